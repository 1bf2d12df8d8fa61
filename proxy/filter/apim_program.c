/*
 * Runs the policy programs of one operation: the most specific document first, BASE calls the same section of the next
 * wider scope in place.
 */
#include "proxy/filter/apim_run.h"
#include "proxy/route/path.h"

enum step {
    STEP_ON,
    STEP_FORWARD,
    STEP_END,     /* host->response is the answer */
    STEP_REPLIED, /* it has been sent */
};

struct run {
    struct filter_host *host;
    enum apim_section section;
};

/* A secret that a policy needs is not here: nothing may go on without it. */
static enum step fail_secret(struct run *r)
{
    if (r->section == APIM_OUTBOUND || r->section == APIM_ON_ERROR) {
        static const struct apim_response none = {.status = 500};
        apim_respond(r->host, r->host->response, &none);
        return STEP_END;
    }
    apim_reply_closed(r->host, SLICE("a secret of its policies is not available"));
    return STEP_REPLIED;
}

static bool on_request_side(const struct run *r)
{
    return r->section == APIM_INBOUND || r->section == APIM_BACKEND;
}

static bool set_body(struct run *r, const struct apim_value *value)
{
    struct filter_host *host = r->host;
    bool secret = false, request = on_request_side(r);
    struct slice *body = request ? &host->request_body : &host->response_body;
    apim_drop_stages(host, request);
    *(request ? &host->replaces_request_body : &host->replaces_response_body) = true;
    struct head *head = request ? host->request : host->response;
    head_remove_id(head, FIELD_CONTENT_ENCODING);
    apim_forget_body(head);
    return apim_value_text(host, value, body, &secret);
}

static enum step respond(struct run *r, const struct apim_instruction *i)
{
    struct filter_host *host = r->host;
    if (host->response == NULL) {
        host->response = arena_alloc(host->arena, sizeof *host->response);
        head_init(host->response, host->arena);
    }
    bool ok = i->op == APIM_OP_MOCK ? apim_respond_mock(host, host->response, &i->mock)
                                    : apim_respond(host, host->response, i->response);
    return ok ? STEP_END : fail_secret(r);
}

static void set_status(struct head *response, const struct apim_instruction *i)
{
    response->status = i->status.code;
    response->reason = i->status.reason;
}

static enum step rewrite(struct run *r, const struct apim_instruction *i)
{
    struct slice template = i->rewrite.template;
    if (i->rewrite.secret != NULL && !apim_template_text(r->host, i->rewrite.secret, &template)) {
        return fail_secret(r);
    }
    if (apim_rewrite(r->host, template, i->rewrite.copy_unmatched)) {
        return STEP_ON;
    }
    apim_reply_closed(r->host, SLICE("rewrite-uri names a parameter that the operation's template does not have"));
    return STEP_REPLIED;
}

static void set_method(struct run *r, struct slice method)
{
    struct head *head = r->host->request;
    struct slice *asked = &r->host->apim.asked_method;
    if (on_request_side(r)) {
        *asked = asked->n == 0 ? head->method : *asked;
        head->method = method;
    }
}

static enum step guard(bool passed)
{
    return passed ? STEP_ON : STEP_REPLIED;
}

static enum step run_one(struct run *r, const struct apim_instruction *i)
{
    struct filter_host *host = r->host;
    bool ok = true;
    switch (i->op) {
    case APIM_OP_FORWARD:
        host->apim.forward = &i->forward;
        return STEP_FORWARD;
    case APIM_OP_SET_BACKEND:
        host->apim.backend_name = i->text;
        return STEP_ON;
    case APIM_OP_SET_HEADER:
        ok = apim_set_header(host, on_request_side(r) ? host->request : host->response, i->set);
        break;
    case APIM_OP_SET_QUERY:
        ok = apim_set_query(host, i->set);
        break;
    case APIM_OP_SET_METHOD:
        set_method(r, i->text);
        return STEP_ON;
    case APIM_OP_SET_STATUS:
        set_status(host->response, i);
        return STEP_ON;
    case APIM_OP_SET_BODY:
        ok = set_body(r, i->values);
        break;
    case APIM_OP_BASIC:
        ok = apim_set_basic(host, i->values);
        break;
    case APIM_OP_REWRITE_URI:
        return rewrite(r, i);
    case APIM_OP_RETURN:
    case APIM_OP_MOCK:
        return respond(r, i);
    case APIM_OP_ENTER:
        return guard(apim_enter(host, &i->enter));
    case APIM_OP_LEAVE:
        apim_leave(host);
        return STEP_ON;
    case APIM_OP_PROXY:
        host->apim.proxy = i->text;
        return STEP_ON;
    case APIM_OP_REPLACE:
    case APIM_OP_REDIRECT_URLS:
    case APIM_OP_JSONP:
    case APIM_OP_TO_XML:
    case APIM_OP_TO_JSON:
        return guard(apim_add_stage(host, i, on_request_side(r)));
    case APIM_OP_IP_FILTER:
        return guard(apim_check_ip(host, i->ip_filter));
    case APIM_OP_CHECK_HEADER:
        return guard(apim_check_header(host, i->check));
    case APIM_OP_CORS:
        return guard(apim_check_cors(host, i->cors));
    case APIM_OP_LIMIT:
        return guard(apim_check_limit(host, i->limit));
    case APIM_OP_NOTE:
        host->apim.traces += slice_eq(i->text, SLICE("trace"));
        host->apim.metrics += slice_eq(i->text, SLICE("emit-metric"));
        return STEP_ON;
    case APIM_OP_BASE:   /* run_section's */
    case APIM_OP_CLOSED: /* apim_check_chain saw to it */
        return STEP_ON;
    }
    return ok ? STEP_ON : fail_secret(r);
}

static enum step run_section(struct run *r, unsigned scope)
{
    const struct apim_call *call = &r->host->apim;
    if (scope >= call->n_scopes) { /* the built-in document */
        static const struct apim_forward plain = {.timeout_ms = 300000};
        r->host->apim.forward = r->section == APIM_BACKEND ? &plain : r->host->apim.forward;
        return r->section == APIM_BACKEND ? STEP_FORWARD : STEP_ON;
    }
    const struct apim_program *p = call->scopes[scope];
    enum step step = STEP_ON;
    for (size_t i = 0; i < p->sections[r->section].n && step == STEP_ON; i++) {
        const struct apim_instruction *in = &p->sections[r->section].code[i];
        r->host->apim.section = r->section;
        r->host->apim.scope = scope;
        r->host->apim.at = in;
        step = in->op == APIM_OP_BASE ? run_section(r, scope + 1) : run_one(r, in);
    }
    return step;
}

/* How the caller names this API: what stands in front of the path that the operation is matched by. */
static void note_own_url(struct apim_call *call, const struct head *request)
{
    struct slice query, path = path_split(request->path, &query);
    call->own_authority = request->authority;
    call->own_path = slice_sub(path, 0, path.n - (call->rest.n <= path.n ? call->rest.n : 0));
}

enum apim_run_result apim_run_request(struct filter_host *host)
{
    struct apim_call *call = &host->apim;
    struct run r = {.host = host, .section = APIM_INBOUND};
    call->rest = call->match->rest;
    call->query = call->match->query;
    call->backend_name = call->match->api->conf.backend;
    note_own_url(call, host->request);
    enum step step = run_section(&r, 0);
    if (step == STEP_ON) {
        r.section = APIM_BACKEND;
        step = run_section(&r, 0);
    }
    switch (step) {
    case STEP_REPLIED:
        return APIM_RUN_REPLIED;
    case STEP_END:
        apim_leave_all(host);
        apim_send(host);
        return APIM_RUN_REPLIED;
    case STEP_FORWARD:
        return apim_finish_body(host, true) ? APIM_RUN_FORWARD : APIM_RUN_REPLIED;
    case STEP_ON:
        break;
    }
    return APIM_RUN_ANSWER;
}

/* fail-on-error-status-code: the backend's answer, but by way of on-error. */
static bool fails(const struct filter_host *host)
{
    const struct apim_forward *f = host->apim.forward;
    return f != NULL && f->fails_on_error && host->response->status >= 400 && host->response->status <= 599;
}

static void blame_status(struct filter_host *host)
{
    host->error = (struct filter_error){
        .source = SLICE("forward-request"),
        .reason = SLICE("BackendErrorStatusCode"),
        .message = slice_of(arena_printf(host->arena, "The backend answered with status %u.", host->response->status)),
        .section = SLICE("backend"),
        .path = SLICE("forward-request\\forward-request"),
    };
}

/* In place of another method, whose caller expects a body. */
static bool asks_for_head(const struct filter_host *host)
{
    struct slice asked = host->apim.asked_method, head = SLICE("HEAD");
    return asked.n > 0 && !slice_eq(asked, head) && slice_eq(host->request->method, head);
}

bool apim_run_response(struct filter_host *host)
{
    struct run r = {.host = host, .section = APIM_OUTBOUND};
    apim_cors_headers(host, host->response);
    apim_limit_headers(host, host->response);
    if (fails(host)) {
        blame_status(host);
        if (!apim_run_on_error(host)) { /* what it wanted done to the backend's body was not done */
            static const struct apim_response none = {.status = 500};
            apim_respond(host, host->response, &none);
        }
    } else if (run_section(&r, 0) == STEP_REPLIED) {
        return false;
    }
    if (asks_for_head(host) && !host->replaces_response_body) { /* the length is that of a body that will not come */
        apim_drop_stages(host, false);
        host->replaces_response_body = true;
        host->response_body = SLICE_NONE;
    }
    apim_leave_all(host); /* of those that the last step did not let go on to their end */
    if (apim_has_no_body(host->response->status)) { /* a policy may have made it so */
        apim_drop_stages(host, false);
        host->replaces_response_body = true;
        host->response_body = SLICE_NONE;
    }
    return apim_finish_body(host, false);
}

void apim_run_answer(struct filter_host *host)
{
    struct head response;
    head_init(&response, host->arena);
    response.status = 200;
    host->response = &response;
    host->replaces_response_body = true;
    if (apim_run_response(host)) {
        apim_leave_all(host);
        apim_send(host);
    }
}

bool apim_run_on_error(struct filter_host *host)
{
    struct run r = {.host = host, .section = APIM_ON_ERROR};
    host->apim.failing = true;
    enum step step = run_section(&r, 0);
    host->apim.failing = false;
    return step != STEP_REPLIED;
}
