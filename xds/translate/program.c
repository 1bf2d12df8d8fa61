/* Policy programs as resources. What cannot run is left out here: whoever would reach it is closed (apim.c). */
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "xds/translate/apim.h"

static Egret__Apim__V1__Instruction *make(struct apim *m, const struct catalog_program *program,
                                          const struct policy_instruction *i)
{
    struct arena *a = m->g->arena;
    Egret__Apim__V1__Instruction *out = arena_alloc(a, sizeof *out);
    egret__apim__v1__instruction__init(out);
    out->line = i->line;
    switch (i->op) {
    case POLICY_BASE:
        out->op_case = EGRET__APIM__V1__INSTRUCTION__OP_BASE_SCOPE;
        out->base_scope = arena_alloc(a, sizeof *out->base_scope);
        egret__apim__v1__base__init(out->base_scope);
        return out;
    case POLICY_FORWARD_REQUEST:
        out->op_case = EGRET__APIM__V1__INSTRUCTION__OP_FORWARD_REQUEST;
        out->forward_request = arena_alloc(a, sizeof *out->forward_request);
        egret__apim__v1__forward_request__init(out->forward_request);
        out->forward_request->timeout_s = i->timeout_s;
        return out;
    case POLICY_SET_BACKEND_SERVICE: {
        const char *backend = catalog_program_backend(program, i);
        if (backend[0] == '\0') {
            return NULL;
        }
        map_put(m->backends, slice_of(backend), NULL);
        out->op_case = EGRET__APIM__V1__INSTRUCTION__OP_SET_BACKEND_SERVICE;
        out->set_backend_service = arena_alloc(a, sizeof *out->set_backend_service);
        egret__apim__v1__set_backend_service__init(out->set_backend_service);
        out->set_backend_service->backend = arena_str(a, slice_of(backend));
        return out;
    }
    case POLICY_CLOSED:
        break;
    }
    return NULL;
}

static Egret__Apim__V1__Instruction **section(struct apim *m, const struct catalog_program *program,
                                              enum policy_section which, size_t *n)
{
    const struct policy_list *list = &program->policy->sections[which];
    Egret__Apim__V1__Instruction **out = arena_alloc(m->g->arena, (list->n + 1) * sizeof out[0]);
    *n = 0;
    for (size_t i = 0; i < list->n; i++) {
        Egret__Apim__V1__Instruction *made = make(m, program, &list->items[i]);
        if (made != NULL) {
            out[(*n)++] = made;
        }
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
        Egret__Apim__V1__PolicyProgram out = EGRET__APIM__V1__POLICY_PROGRAM__INIT;
        out.name = arena_str(m->g->arena, slice_of(p->o.name));
        out.inbound = section(m, p, POLICY_INBOUND, &out.n_inbound);
        out.backend = section(m, p, POLICY_BACKEND, &out.n_backend);
        out.outbound = section(m, p, POLICY_OUTBOUND, &out.n_outbound);
        out.on_error = section(m, p, POLICY_ON_ERROR, &out.n_on_error);
        group_add_message(m->g, TYPE_URL("egret.apim.v1.PolicyProgram"), p->o.name, &out.base);
    }
}
