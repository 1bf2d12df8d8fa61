/* Policy programs as resources. */
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "xds/translate/apim.h"

/* Fail closed: what cannot be said exactly is said to be closed, at its place. */
static void close_instruction(struct apim *m, const struct catalog_program *program, const struct policy_instruction *i,
                              Egret__Apim__V1__Instruction *out, const char *reason)
{
    struct arena *a = m->g->arena;
    out->op_case = EGRET__APIM__V1__INSTRUCTION__OP_CLOSED;
    out->closed = arena_alloc(a, sizeof *out->closed);
    egret__apim__v1__closed__init(out->closed);
    out->closed->reason = arena_printf(a, "%s:%u: %s", catalog_program_file(program, i), catalog_program_line(program, i),
                                       reason);
}

static void set_backend(struct apim *m, const struct catalog_program *program, const struct policy_instruction *i,
                        Egret__Apim__V1__Instruction *out)
{
    struct arena *a = m->g->arena;
    const char *backend = catalog_program_backend(program, i);
    if (backend[0] == '\0') {
        close_instruction(m, program, i, out, "policy <set-backend-service>: its backend cannot be used");
        return;
    }
    map_put(m->backends, slice_of(backend), NULL);
    out->op_case = EGRET__APIM__V1__INSTRUCTION__OP_SET_BACKEND_SERVICE;
    out->set_backend_service = arena_alloc(a, sizeof *out->set_backend_service);
    egret__apim__v1__set_backend_service__init(out->set_backend_service);
    out->set_backend_service->backend = arena_str(a, slice_of(backend));
}

/* In which HTTP versions, and through which proxies, backends are to be reached. */
static void note_way(struct apim *m, const Egret__Apim__V1__Instruction *i)
{
    if (i->op_case == EGRET__APIM__V1__INSTRUCTION__OP_USE_PROXY) {
        map_put(m->proxies, slice_of(i->use_proxy->address), NULL);
    }
    if (i->op_case == EGRET__APIM__V1__INSTRUCTION__OP_FORWARD_REQUEST) {
        m->http2 |= i->forward_request->version == EGRET__APIM__V1__FORWARD_REQUEST__HTTP_VERSION__HTTP2;
        m->http2_or_1 |= i->forward_request->version == EGRET__APIM__V1__FORWARD_REQUEST__HTTP_VERSION__HTTP2_OR_1;
    }
}

static Egret__Apim__V1__Instruction *make(struct apim *m, const struct catalog_program *program,
                                          const struct policy_instruction *i)
{
    struct arena *a = m->g->arena;
    if (i->message != NULL) {
        note_way(m, i->message);
        return i->message; /* lives as long as the catalog */
    }
    Egret__Apim__V1__Instruction *out = arena_alloc(a, sizeof *out);
    egret__apim__v1__instruction__init(out);
    out->line = i->line;
    switch (i->op) {
    case POLICY_BASE:
        out->op_case = EGRET__APIM__V1__INSTRUCTION__OP_BASE_SCOPE;
        out->base_scope = arena_alloc(a, sizeof *out->base_scope);
        egret__apim__v1__base__init(out->base_scope);
        break;
    case POLICY_SET_BACKEND_SERVICE:
        set_backend(m, program, i, out);
        break;
    case POLICY_CLOSED:
    case POLICY_FORWARD_REQUEST: /* these three have a message of their own */
    case POLICY_STEP:
    case POLICY_RETURN:
        close_instruction(m, program, i, out, i->reason != NULL ? i->reason : "it cannot be carried out");
        break;
    }
    return out;
}

static Egret__Apim__V1__Instruction **section(struct apim *m, const struct catalog_program *program,
                                              enum policy_section which, size_t *n)
{
    const struct policy_list *list = &program->policy->sections[which];
    Egret__Apim__V1__Instruction **out = arena_alloc(m->g->arena, (list->n + 1) * sizeof out[0]);
    *n = list->n;
    for (size_t i = 0; i < list->n; i++) {
        out[i] = make(m, program, &list->items[i]);
    }
    return out;
}

void apim_programs(struct apim *m)
{
    const struct catalog *c = m->g->in->catalog;
    for (size_t i = 0; i < c->programs.n; i++) {
        const struct catalog_program *p = c->programs.items[i];
        if (!map_has(m->programs, slice_of(p->o.name))) {
            continue;
        }
        for (size_t k = 0; k < p->policy->secret_count; k++) {
            map_put(m->secrets, slice_of(p->policy->secrets[k]), NULL);
        }
        Egret__Apim__V1__PolicyProgram out = EGRET__APIM__V1__POLICY_PROGRAM__INIT;
        out.name = arena_str(m->g->arena, slice_of(p->o.name));
        out.inbound = section(m, p, POLICY_INBOUND, &out.n_inbound);
        out.backend = section(m, p, POLICY_BACKEND, &out.n_backend);
        out.outbound = section(m, p, POLICY_OUTBOUND, &out.n_outbound);
        out.on_error = section(m, p, POLICY_ON_ERROR, &out.n_on_error);
        group_add_message(m->g, TYPE_URL("egret.apim.v1.PolicyProgram"), p->o.name, &out.base);
    }
}
