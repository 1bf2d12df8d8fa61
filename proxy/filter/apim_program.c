/*
 * Runs the policy programs of one operation: the most specific document first, BASE calls the same section of the next
 * wider scope in place, absent documents are skipped. Linear in their length; allocates nothing.
 */
#include "proxy/filter/apim.h"

enum { SCOPE_COUNT = 4 }; /* operation, API, product, service */

struct run {
    struct filter_host *host;
    const struct apim_program *scopes[SCOPE_COUNT];
    unsigned n;
    struct slice backend; /* resource name */
    struct slice *why;
};

static bool run_section(struct run *r, enum apim_section section, unsigned scope);

static bool run_instruction(struct run *r, const struct apim_instruction *i, enum apim_section section, unsigned scope)
{
    switch (i->op) {
    case APIM_OP_BASE:
        return run_section(r, section, scope + 1);
    case APIM_OP_FORWARD:
        r->host->apim.forwards = true;
        r->host->apim.forward_timeout_s = i->timeout_s;
        return true;
    case APIM_OP_SET_BACKEND:
        r->backend = i->backend;
        return true;
    }
    *r->why = SLICE("a policy instruction is not known");
    return false;
}

static bool run_section(struct run *r, enum apim_section section, unsigned scope)
{
    if (scope >= r->n) {
        return true;
    }
    const struct apim_program *p = r->scopes[scope];
    for (size_t i = 0; i < p->sections[section].n; i++) {
        if (!run_instruction(r, &p->sections[section].code[i], section, scope)) {
            return false;
        }
    }
    return true;
}

static bool add_scope(struct run *r, struct slice name)
{
    if (name.n == 0) {
        return true;
    }
    const struct apim_program *p = apim_set_program(snapshot_apim(r->host->snapshot), name);
    if (p == NULL) {
        *r->why = SLICE("a policy of this operation has not arrived");
        return false;
    }
    r->scopes[r->n++] = p;
    return true;
}

static bool link_scopes(struct run *r, struct slice *service)
{
    const struct apim_call *call = &r->host->apim;
    const struct apim_api_conf *api = &call->match->api->conf;
    *service = api->service_program;
    return add_scope(r, call->match->operation->conf.program) && add_scope(r, api->api_program) &&
           (call->product == NULL || add_scope(r, call->product->program)) && add_scope(r, *service);
}

bool apim_programs_run(struct filter_host *host, struct slice *why)
{
    struct run r = {.host = host, .why = why, .backend = host->apim.match->api->conf.backend};
    struct slice service;
    if (!link_scopes(&r, &service) || !run_section(&r, APIM_INBOUND, 0) || !run_section(&r, APIM_BACKEND, 0)) {
        return false;
    }
    if (r.n == 0) {
        host->apim.forwards = true; /* no document at all: the service's default one forwards */
    }
    if (!host->apim.forwards) {
        return true;
    }
    host->apim.backend = r.backend.n == 0 ? NULL : apim_set_backend(snapshot_apim(host->snapshot), r.backend);
    if (host->apim.backend == NULL) {
        *why = r.backend.n == 0 ? SLICE("no backend is configured") : SLICE("its backend has not arrived");
        return false;
    }
    if (host->apim.backend->closed.n > 0) {
        *why = host->apim.backend->closed;
        return false;
    }
    return true;
}
