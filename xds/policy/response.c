/* Policies that say what a message looks like: status, headers, body, a whole response. */
#include <string.h>
#include <strings.h>

#include "base/macros.h"
#include "xds/policy/compile.h"

/* ---- parts that stand alone or in return-response ---- */

static Egret__Apim__V1__SetStatus *make_status(struct compile *c, const xmlNode *e)
{
    const char *reason = NULL;
    Egret__Apim__V1__SetStatus *m = compile_message(c, &egret__apim__v1__set_status__descriptor);
    if (!compile_number(c, e, "code", (struct number_rule){200, 599, true}, &m->code) ||
        !compile_attribute(c, e, "reason", &reason) || !compile_check_empty(c, e)) {
        return NULL;
    }
    for (const char *p = reason; p != NULL && *p != '\0'; p++) {
        if ((unsigned char)*p < ' ') {
            compile_close(c, e, "attribute reason holds a control character");
            return NULL;
        }
    }
    m->reason = arena_str(c->program->arena, slice_of(reason));
    return m;
}

static bool read_action(struct compile *c, const xmlNode *e, Egret__Apim__V1__ExistsAction *action)
{
    static const char *const names[] = {"override", "skip", "append", "delete"};
    const char *text = NULL;
    if (!compile_attribute(c, e, "exists-action", &text)) {
        return false;
    }
    for (int i = 0; i < (int)ARRAY_LEN(names); i++) {
        if (text == NULL || strcmp(text, names[i]) == 0) {
            *action = (Egret__Apim__V1__ExistsAction)i;
            return true;
        }
    }
    return compile_close(c, e, "exists-action is none of override, skip, append, delete");
}

struct values {
    Egret__Apim__V1__Value **items;
    size_t n;
};

static bool check_header_value(struct compile *c, const xmlNode *e, const Egret__Apim__V1__Value *v)
{
    for (size_t i = 0; i < v->n_parts; i++) {
        const Egret__Apim__V1__Value__Part *part = v->parts[i];
        if (part->part_case == EGRET__APIM__V1__VALUE__PART__PART_LITERAL && strpbrk(part->literal, "\r\n") != NULL) {
            return compile_close(c, e, "a header's value has one line");
        }
    }
    return true;
}

/* The <value> elements inside. */
static bool read_values(struct compile *c, const xmlNode *e, bool header, struct values *out)
{
    if (!compile_check_children(c, e, "value")) {
        return false;
    }
    out->items = arena_alloc(c->program->arena, (xmlChildElementCount((xmlNode *)(uintptr_t)e) + 1) * sizeof *out->items);
    out->n = 0;
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (!compile_is(n, "value")) {
            continue;
        }
        if (!compile_check_attributes(c, n, "") || !compile_text_value(c, n, true, &out->items[out->n]) ||
            (header && !check_header_value(c, n, out->items[out->n]))) {
            return false;
        }
        out->n++;
    }
    return true;
}

/* The gateway's own business (refs: set-header). */
static bool is_settable(const char *lower)
{
    static const char *const fixed[] = {"connection", "content-length", "keep-alive", "transfer-encoding"};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        if (strcmp(fixed[i], lower) == 0) {
            return false;
        }
    }
    return true;
}

static Egret__Apim__V1__SetHeader *make_header(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__SetHeader *m = compile_message(c, &egret__apim__v1__set_header__descriptor);
    struct values values;
    const char *name = NULL;
    if (!compile_header_name(c, e, &name) || !read_action(c, e, &m->action) || !read_values(c, e, true, &values)) {
        return NULL;
    }
    bool deletes = m->action == EGRET__APIM__V1__EXISTS_ACTION__DELETE;
    if (!is_settable(name)) {
        compile_close(c, e, "header %s cannot be set", name);
        return NULL;
    }
    if (!deletes && values.n == 0) {
        compile_close(c, e, "needs a <value>");
        return NULL;
    }
    m->name = arena_str(c->program->arena, slice_of(name));
    m->values = values.items;
    m->n_values = deletes ? 0 : values.n;
    return m;
}

/* Liquid without anything of Liquid's is a text like any other. */
static bool check_template(struct compile *c, const xmlNode *e, const char *template)
{
    bool plain = strcmp(template, "liquid") == 0;
    for (const xmlNode *n = e->children; n != NULL && plain; n = n->next) {
        const char *text = n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE ? (const char *)n->content : "";
        plain = strstr(text, "{{") == NULL && strstr(text, "{%") == NULL;
    }
    return plain || compile_close(c, e, "%.50s templates are not carried out yet", template);
}

static Egret__Apim__V1__SetBody *make_body(struct compile *c, const xmlNode *e)
{
    const char *template = NULL;
    Egret__Apim__V1__SetBody *m = compile_message(c, &egret__apim__v1__set_body__descriptor);
    if (!compile_attribute(c, e, "template", &template)) {
        return NULL;
    }
    if (template != NULL && *template != '\0' && !check_template(c, e, template)) {
        return NULL;
    }
    return compile_text_value(c, e, false, &m->value) ? m : NULL;
}

/* ---- as policies ---- */

void compile_set_header(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__SetHeader *h = make_header(c, e);
    if (h != NULL) {
        Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
        m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_SET_HEADER;
        m->set_header = h;
    }
}

void compile_set_status(struct compile *c, const xmlNode *e)
{
    if (c->section == POLICY_INBOUND || c->section == POLICY_BACKEND) {
        compile_close(c, e, "there is no response yet whose status it could set");
        return;
    }
    Egret__Apim__V1__SetStatus *s = make_status(c, e);
    if (s != NULL) {
        Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
        m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_SET_STATUS;
        m->set_status = s;
    }
}

void compile_set_body(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__SetBody *b = make_body(c, e);
    if (b != NULL) {
        Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
        m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_SET_BODY;
        m->set_body = b;
    }
}

static bool read_response_part(struct compile *c, const xmlNode *n, Egret__Apim__V1__ReturnResponse *r)
{
    if (compile_is(n, "set-status")) {
        return compile_check_attributes(c, n, "code reason") && (r->status = make_status(c, n)) != NULL;
    }
    if (compile_is(n, "set-header")) {
        return compile_check_attributes(c, n, "name exists-action") &&
               (r->headers[r->n_headers++] = make_header(c, n)) != NULL;
    }
    if (compile_is(n, "set-body")) {
        return compile_check_attributes(c, n, "template") && (r->body = make_body(c, n)) != NULL;
    }
    return true;
}

void compile_return_response(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__ReturnResponse *r = compile_message(c, &egret__apim__v1__return_response__descriptor);
    const char *stored = NULL;
    size_t most = xmlChildElementCount((xmlNode *)(uintptr_t)e);
    if (!compile_attribute(c, e, "response-variable-name", &stored) ||
        !compile_check_children(c, e, "set-status set-header set-body")) {
        return;
    }
    if (stored != NULL) {
        compile_close(c, e, "attribute response-variable-name: no policy stores a response yet");
        return;
    }
    r->headers = arena_alloc(c->program->arena, (most + 1) * sizeof *r->headers);
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (!read_response_part(c, n, r)) {
            return;
        }
    }
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_RETURN, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_RETURN_RESPONSE;
    m->return_response = r;
}

void compile_set_query_parameter(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__SetQueryParameter *q = compile_message(c, &egret__apim__v1__set_query_parameter__descriptor);
    struct values values;
    const char *name = NULL;
    if (!compile_required(c, e, "name", &name) || !read_action(c, e, &q->action) || !read_values(c, e, false, &values)) {
        return;
    }
    bool deletes = q->action == EGRET__APIM__V1__EXISTS_ACTION__DELETE;
    if (!deletes && values.n == 0) {
        compile_close(c, e, "needs a <value>");
        return;
    }
    q->name = arena_str(c->program->arena, slice_of(name));
    q->values = values.items;
    q->n_values = deletes ? 0 : values.n;
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_SET_QUERY_PARAMETER;
    m->set_query_parameter = q;
}

void compile_mock_response(struct compile *c, const xmlNode *e)
{
    const char *type = NULL;
    Egret__Apim__V1__MockResponse *r = compile_message(c, &egret__apim__v1__mock_response__descriptor);
    if (!compile_number(c, e, "status-code", (struct number_rule){200, 599, false}, &r->status) ||
        !compile_attribute(c, e, "content-type", &type) || !compile_check_empty(c, e)) {
        return;
    }
    if (type != NULL && strpbrk(type, "\r\n") != NULL) {
        compile_close(c, e, "attribute content-type has more than one line");
        return;
    }
    r->content_type = arena_str(c->program->arena, slice_of(type));
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_RETURN, e);
    c->items[c->section][c->n[c->section] - 1].mocks = true;
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_MOCK_RESPONSE;
    m->mock_response = r;
}
