/*
 * The documents that an operation's policies stand in, most specific first, absent ones skipped, and what of them is
 * reached: said beforehand, because nothing in a program's flow depends on the call.
 */
#include "proxy/filter/apim_run.h"

/* ---- linking ---- */

static bool add_scope(struct filter_host *host, struct slice name, struct slice *why)
{
    struct apim_call *call = &host->apim;
    if (name.n == 0) {
        return true;
    }
    const struct apim_program *p = apim_set_program(snapshot_apim(host->snapshot), name);
    if (p == NULL) {
        *why = SLICE("a policy of this operation has not arrived");
        return false;
    }
    call->scopes[call->n_scopes++] = p;
    return true;
}

bool apim_link(struct filter_host *host, const struct apim_match *match, struct slice *why)
{
    struct apim_call *call = &host->apim;
    const struct apim_api_conf *api = &match->api->conf;
    call->n_scopes = 0;
    call->linked = (match->operation == NULL || add_scope(host, match->operation->conf.program, why)) &&
                   add_scope(host, api->api_program, why) &&
                   (call->product == NULL || add_scope(host, call->product->program, why)) &&
                   add_scope(host, api->workspace_program, why) && add_scope(host, api->service_program, why);
    return call->linked;
}

void apim_link_matched(struct filter_host *host)
{
    struct slice why = SLICE_NONE;
    struct apim_call *call = &host->apim;
    call->product = NULL;
    if (call->match->api != NULL) {
        apim_link(host, call->match, &why);
    } else { /* the service's document is for every call */
        call->n_scopes = 0;
        call->linked = add_scope(host, SLICE("policy"), &why);
    }
    call->linked = call->linked && apim_check_chain(host, &why);
}

/* ---- what is reached, beforehand ---- */

struct check {
    const struct apim_call *call;
    enum apim_section section;
    unsigned forwards;
    bool rewrites_response;
    struct slice *why;
};

static void check_section(struct check *c, unsigned scope, bool *ends);

static bool close_chain(struct check *c, struct slice why)
{
    if (c->why->n == 0) {
        *c->why = why;
    }
    return false;
}

static void check_instruction(struct check *c, const struct apim_instruction *i, unsigned scope, bool *ends)
{
    switch (i->op) {
    case APIM_OP_BASE:
        check_section(c, scope + 1, ends);
        return;
    case APIM_OP_FORWARD:
        if (++c->forwards > 1) {
            close_chain(c, SLICE("forward-request is reached a second time"));
        }
        return;
    case APIM_OP_CLOSED:
        close_chain(c, i->text);
        return;
    case APIM_OP_NOTE:
    case APIM_OP_LEAVE:
        return;
    case APIM_OP_RETURN:
    case APIM_OP_MOCK:
        *ends = true;
        break;
    case APIM_OP_REPLACE:
    case APIM_OP_REDIRECT_URLS:
    case APIM_OP_JSONP:
    case APIM_OP_TO_XML:
    case APIM_OP_TO_JSON:
        c->rewrites_response |= c->section == APIM_OUTBOUND || c->section == APIM_ON_ERROR;
        break;
    case APIM_OP_SET_BACKEND:
    case APIM_OP_SET_HEADER:
    case APIM_OP_SET_QUERY:
    case APIM_OP_SET_METHOD:
    case APIM_OP_SET_STATUS:
    case APIM_OP_SET_BODY:
    case APIM_OP_REWRITE_URI:
    case APIM_OP_IP_FILTER:
    case APIM_OP_CHECK_HEADER:
    case APIM_OP_CORS:
    case APIM_OP_BASIC:
    case APIM_OP_LIMIT:
    case APIM_OP_ENTER:
    case APIM_OP_PROXY:
        break;
    }
    if (c->section == APIM_BACKEND && c->forwards > 0) {
        close_chain(c, SLICE("a policy behind forward-request in backend is not supported yet"));
    }
}

static void check_section(struct check *c, unsigned scope, bool *ends)
{
    if (scope >= c->call->n_scopes) {
        c->forwards += c->section == APIM_BACKEND ? 1 : 0; /* the built-in document */
        if (c->forwards > 1) {
            close_chain(c, SLICE("forward-request is reached a second time"));
        }
        return;
    }
    const struct apim_program *p = c->call->scopes[scope];
    for (size_t i = 0; i < p->sections[c->section].n && !*ends; i++) {
        check_instruction(c, &p->sections[c->section].code[i], scope, ends);
    }
}

bool apim_check_chain(struct filter_host *host, struct slice *why)
{
    static const enum apim_section order[] = {APIM_INBOUND, APIM_BACKEND, APIM_OUTBOUND};
    struct check c = {.call = &host->apim, .why = why};
    bool ends = false;
    *why = SLICE_NONE;
    for (size_t i = 0; i < sizeof order / sizeof order[0] && !ends; i++) {
        c.section = order[i];
        check_section(&c, 0, &ends);
    }
    c.section = APIM_ON_ERROR;
    ends = false;
    check_section(&c, 0, &ends);
    host->apim.rewrites_response = c.rewrites_response;
    return why->n == 0;
}

/* ---- looking ahead ---- */

static const struct apim_instruction *find_in(const struct apim_call *call, unsigned scope, enum apim_op op)
{
    if (scope >= call->n_scopes) {
        return NULL;
    }
    const struct apim_program *p = call->scopes[scope];
    for (size_t i = 0; i < p->sections[APIM_INBOUND].n; i++) {
        const struct apim_instruction *in = &p->sections[APIM_INBOUND].code[i];
        const struct apim_instruction *found = in->op == op            ? in
                                               : in->op == APIM_OP_BASE ? find_in(call, scope + 1, op)
                                                                        : NULL;
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

const struct apim_instruction *apim_find_inbound(const struct filter_host *host, enum apim_op op)
{
    return find_in(&host->apim, 0, op);
}
