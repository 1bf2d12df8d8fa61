/* egret.apim.v1.PolicyProgram → what the runner walks through. */
#include <arpa/inet.h>
#include <string.h>

#include "proxy/config/apim_set.h"

/* ---- parts ---- */

bool apim_values_read(struct reader *r, Egret__Apim__V1__Value *const *list, size_t n, bool one_line,
                      const struct apim_value **out)
{
    struct apim_value *values = read_list(r, n, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        size_t mark = read_push_at(r, "values", i);
        if (!apim_value_read(r, list[i], one_line, &values[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    *out = values;
    return true;
}

static const enum apim_exists EXISTS[] = {APIM_OVERRIDE, APIM_SKIP, APIM_APPEND, APIM_DELETE};

static bool read_set_header(struct reader *r, const Egret__Apim__V1__SetHeader *m, struct apim_set_value *out)
{
    out->action = EXISTS[m->action];
    out->n = m->n_values;
    return read_header_name(r, "name", m->name, &out->name) &&
           apim_values_read(r, m->values, m->n_values, true, &out->values);
}

static bool read_set_query(struct reader *r, const Egret__Apim__V1__SetQueryParameter *m, struct apim_set_value *out)
{
    out->action = EXISTS[m->action];
    out->n = m->n_values;
    out->name = read_text(r, m->name);
    return (out->name.n > 0 || read_required(r, "name")) &&
           apim_values_read(r, m->values, m->n_values, false, &out->values);
}

static bool read_status(struct reader *r, const Egret__Apim__V1__SetStatus *m, unsigned *code, struct slice *reason)
{
    *code = 200;
    *reason = SLICE_NONE;
    if (m == NULL) {
        return true;
    }
    *code = m->code;
    if (m->code < 200 || m->code > 599) {
        return read_fail(r, "code", ERR_INPUT, "must be from 200 to 599");
    }
    return read_header_value(r, "reason", m->reason, reason);
}

static bool read_response(struct reader *r, const Egret__Apim__V1__ReturnResponse *m, struct apim_response *out)
{
    struct apim_set_value *headers = read_list(r, m->n_headers, sizeof *headers);
    for (size_t i = 0; i < m->n_headers; i++) {
        size_t mark = read_push_at(r, "headers", i);
        if (!read_set_header(r, m->headers[i], &headers[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    out->headers = headers;
    out->n_headers = m->n_headers;
    return read_status(r, m->status, &out->status, &out->reason) &&
           apim_value_read(r, m->body == NULL ? NULL : m->body->value, false, &out->body);
}

static bool read_ip(struct reader *r, const char *field, const char *text, struct apim_ip *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memcpy(out->bytes, mapped, sizeof mapped);
    return inet_pton(AF_INET, text, out->bytes + sizeof mapped) == 1 || inet_pton(AF_INET6, text, out->bytes) == 1 ||
           read_fail(r, field, ERR_INPUT, "\"%.60s\" is no IP address", text);
}

static bool read_ip_filter(struct reader *r, const Egret__Apim__V1__IpFilter *m, struct apim_ip_filter *out)
{
    struct apim_ip(*ranges)[2] = read_list(r, m->n_ranges, sizeof *ranges);
    for (size_t i = 0; i < m->n_ranges; i++) {
        size_t mark = read_push_at(r, "ranges", i);
        if (!read_ip(r, "first", m->ranges[i]->first, &ranges[i][0]) ||
            !read_ip(r, "last", m->ranges[i]->last, &ranges[i][1])) {
            return false;
        }
        read_pop(r, mark);
    }
    out->allow = m->allow != 0;
    out->ranges = (const struct apim_ip(*)[2])ranges;
    out->n = m->n_ranges;
    return true;
}

static bool read_check_header(struct reader *r, const Egret__Apim__V1__CheckHeader *m, struct apim_check_header *out)
{
    out->code = m->code;
    out->ignore_case = m->ignore_case != 0;
    out->message = read_text(r, m->message);
    out->n = m->n_values;
    if (m->code < 200 || m->code > 599) {
        return read_fail(r, "code", ERR_INPUT, "must be from 200 to 599");
    }
    return read_header_name(r, "name", m->name, &out->name) &&
           apim_values_read(r, m->values, m->n_values, true, &out->values);
}

static bool read_texts(struct reader *r, const char *field, char *const *list, size_t n, struct apim_texts *out)
{
    struct slice *items = read_list(r, n, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        if (!read_header_value(r, field, list[i], &items[i])) {
            return false;
        }
    }
    out->items = items;
    out->n = n;
    return true;
}

static bool read_cors(struct reader *r, const Egret__Apim__V1__Cors *m, struct apim_cors *out)
{
    struct apim_texts exposed = {0};
    out->credentials = m->allow_credentials != 0;
    out->terminate_unmatched = m->terminate_unmatched != 0;
    out->max_age_s = m->max_age_s;
    out->origins.any = m->any_origin != 0;
    out->methods.any = m->any_method != 0;
    out->headers.any = m->any_header != 0;
    if (m->any_origin && m->allow_credentials) {
        return read_fail(r, "any_origin", ERR_INPUT, "not with allow_credentials");
    }
    if (!read_texts(r, "origins", m->origins, m->n_origins, &out->origins) ||
        !read_texts(r, "methods", m->methods, m->n_methods, &out->methods) ||
        !read_texts(r, "headers", m->headers, m->n_headers, &out->headers) ||
        !read_texts(r, "expose_headers", m->expose_headers, m->n_expose_headers, &exposed)) {
        return false;
    }
    for (size_t i = 0; i < exposed.n; i++) {
        out->exposed = slice_of(arena_printf(r->arena, "%.*s%s%.*s", SLICE_ARG(out->exposed), i == 0 ? "" : ",",
                                             SLICE_ARG(exposed.items[i])));
    }
    return true;
}

static bool read_basic(struct reader *r, const Egret__Apim__V1__AuthenticationBasic *m, struct apim_value *out)
{
    return apim_value_read(r, m->username, false, &out[0]) && apim_value_read(r, m->password, false, &out[1]);
}

static bool read_method(struct reader *r, const Egret__Apim__V1__SetMethod *m, struct slice *out)
{
    struct slice lower; /* a method is a token like a header's name, but for its case */
    *out = read_text(r, m->method);
    return read_header_name(r, "method", m->method, &lower);
}

/* ---- instructions ---- */

static bool read_set(struct reader *r, const Egret__Apim__V1__Instruction *m, struct apim_instruction *out)
{
    struct apim_set_value *set = arena_zalloc(r->arena, sizeof *set);
    bool header = m->op_case == EGRET__APIM__V1__INSTRUCTION__OP_SET_HEADER;
    out->op = header ? APIM_OP_SET_HEADER : APIM_OP_SET_QUERY;
    out->set = set;
    return header ? read_set_header(r, m->set_header, set) : read_set_query(r, m->set_query_parameter, set);
}

static bool read_body(struct reader *r, const Egret__Apim__V1__SetBody *m, struct apim_instruction *out)
{
    struct apim_value *value = arena_zalloc(r->arena, sizeof *value);
    out->op = APIM_OP_SET_BODY;
    out->values = value;
    return apim_value_read(r, m->value, false, value);
}

static bool read_rewrite(struct reader *r, const Egret__Apim__V1__RewriteUri *m, struct apim_instruction *out)
{
    out->op = APIM_OP_REWRITE_URI;
    out->rewrite.copy_unmatched = m->copy_unmatched_params != 0;
    if (m->secret_template != NULL) {
        struct apim_value *v = arena_zalloc(r->arena, sizeof *v);
        out->rewrite.secret = v;
        return apim_value_read(r, m->secret_template, true, v);
    }
    return read_header_value(r, "uri_template", m->uri_template, &out->rewrite.template) &&
           (m->uri_template[0] == '/' || read_fail(r, "uri_template", ERR_INPUT, "must begin with a slash"));
}

static bool read_guard(struct reader *r, const Egret__Apim__V1__Instruction *m, struct apim_instruction *out)
{
    switch ((int)m->op_case) {
    case EGRET__APIM__V1__INSTRUCTION__OP_RATE_LIMIT:
    case EGRET__APIM__V1__INSTRUCTION__OP_QUOTA:
        return apim_limit_read(r, m, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_IP_FILTER: {
        struct apim_ip_filter *f = arena_zalloc(r->arena, sizeof *f);
        out->op = APIM_OP_IP_FILTER;
        out->ip_filter = f;
        return read_ip_filter(r, m->ip_filter, f);
    }
    case EGRET__APIM__V1__INSTRUCTION__OP_CHECK_HEADER: {
        struct apim_check_header *h = arena_zalloc(r->arena, sizeof *h);
        out->op = APIM_OP_CHECK_HEADER;
        out->check = h;
        return read_check_header(r, m->check_header, h);
    }
    case EGRET__APIM__V1__INSTRUCTION__OP_CORS: {
        struct apim_cors *c = arena_zalloc(r->arena, sizeof *c);
        out->op = APIM_OP_CORS;
        out->cors = c;
        return read_cors(r, m->cors, c);
    }
    case EGRET__APIM__V1__INSTRUCTION__OP_AUTHENTICATION_BASIC: {
        struct apim_value *pair = arena_zalloc(r->arena, 2 * sizeof *pair);
        out->op = APIM_OP_BASIC;
        out->values = pair;
        return read_basic(r, m->authentication_basic, pair);
    }
    default:
        return apim_step_read(r, m, out);
    }
}

static bool read_backend(struct reader *r, const Egret__Apim__V1__SetBackendService *m, struct apim_instruction *out)
{
    out->op = APIM_OP_SET_BACKEND;
    out->text = read_text(r, m->backend);
    if (out->text.n == 0) {
        return read_required(r, "set_backend_service.backend");
    }
    read_need(r, TYPE_BACKEND, slice_of(m->backend));
    return true;
}

static bool read_return(struct reader *r, const Egret__Apim__V1__ReturnResponse *m, struct apim_instruction *out)
{
    struct apim_response *response = arena_zalloc(r->arena, sizeof *response);
    out->op = APIM_OP_RETURN;
    out->response = response;
    return read_response(r, m, response);
}

static bool read_instruction(struct reader *r, const Egret__Apim__V1__Instruction *m, struct apim_instruction *out)
{
    out->line = m->line;
    out->policy_id = read_text(r, m->policy_id);
    out->path = read_text(r, m->path);
    switch ((int)m->op_case) {
    case EGRET__APIM__V1__INSTRUCTION__OP_BASE_SCOPE:
        out->op = APIM_OP_BASE;
        return true;
    case EGRET__APIM__V1__INSTRUCTION__OP_FORWARD_REQUEST:
        out->op = APIM_OP_FORWARD;
        apim_forward_read(m->forward_request, &out->forward);
        return true;
    case EGRET__APIM__V1__INSTRUCTION__OP_SET_BACKEND_SERVICE:
        return read_backend(r, m->set_backend_service, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_CLOSED:
        out->op = APIM_OP_CLOSED;
        out->text = read_text(r, m->closed->reason);
        return out->text.n > 0 || read_required(r, "closed.reason");
    case EGRET__APIM__V1__INSTRUCTION__OP_SET_HEADER:
    case EGRET__APIM__V1__INSTRUCTION__OP_SET_QUERY_PARAMETER:
        return read_set(r, m, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_SET_METHOD:
        out->op = APIM_OP_SET_METHOD;
        return read_method(r, m->set_method, &out->text);
    case EGRET__APIM__V1__INSTRUCTION__OP_SET_STATUS:
        out->op = APIM_OP_SET_STATUS;
        return read_status(r, m->set_status, &out->status.code, &out->status.reason);
    case EGRET__APIM__V1__INSTRUCTION__OP_SET_BODY:
        return read_body(r, m->set_body, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_REWRITE_URI:
        return read_rewrite(r, m->rewrite_uri, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_RETURN_RESPONSE:
        return read_return(r, m->return_response, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_NOTE:
        out->op = APIM_OP_NOTE;
        out->text = read_text(r, m->note->policy);
        return true;
    default:
        return read_guard(r, m, out);
    }
}

/* ---- sections ---- */

struct section {
    const char *field;
    Egret__Apim__V1__Instruction *const *list;
    size_t n;
};

/* limit-concurrency: every one that is entered is left in the same section, the innermost first. */
static bool check_nesting(struct reader *r, enum apim_op op, unsigned *depth)
{
    if (op == APIM_OP_ENTER && ++*depth > APIM_HELD_MAX) {
        return read_fail(r, "enter_limit", ERR_LIMIT, "more than %d inside each other", APIM_HELD_MAX);
    }
    if (op == APIM_OP_LEAVE && (*depth)-- == 0) {
        return read_fail(r, "leave_limit", ERR_INPUT, "nothing was entered");
    }
    return true;
}

static bool read_section(struct reader *r, const struct section *from, struct apim_program *p, enum apim_section which)
{
    unsigned depth = 0;
    struct apim_instruction *code = read_list(r, from->n, sizeof *code);
    for (size_t i = 0; i < from->n; i++) {
        size_t mark = read_push_at(r, from->field, i);
        if (!read_instruction(r, from->list[i], &code[i]) || !check_nesting(r, code[i].op, &depth)) {
            return false;
        }
        if (code[i].op == APIM_OP_LIMIT) { /* the counter lives on when the program comes again */
            struct apim_limit *l = (struct apim_limit *)(uintptr_t)code[i].limit;
            l->hash = slice_hash(p->name, (uint64_t)which << 32 | i) ^ ((uint64_t)l->calls << 32 | l->period_s);
        }
        read_pop(r, mark);
    }
    p->sections[which].code = code;
    p->sections[which].n = from->n;
    return depth == 0 || read_fail(r, from->field, ERR_INPUT, "an enter_limit without its leave_limit");
}

struct apim_object *apim_program_create(struct reader *r, const Egret__Apim__V1__PolicyProgram *m)
{
    struct apim_object *o = apim_object_create(r, m->name);
    if (o == NULL) {
        return NULL;
    }
    o->program.name = o->name;
    const struct section sections[APIM_SECTIONS] = {
        [APIM_INBOUND] = {"inbound", m->inbound, m->n_inbound},
        [APIM_BACKEND] = {"backend", m->backend, m->n_backend},
        [APIM_OUTBOUND] = {"outbound", m->outbound, m->n_outbound},
        [APIM_ON_ERROR] = {"on_error", m->on_error, m->n_on_error},
    };
    for (int i = 0; i < APIM_SECTIONS; i++) {
        if (!read_section(r, &sections[i], &o->program, (enum apim_section)i)) {
            return NULL;
        }
    }
    return o;
}
