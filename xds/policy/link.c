/*
 * The effective policy: <base/> followed through the scopes (refs: APIM's "set or edit policies", section on scopes).
 * Without expressions nothing depends on the request, so what is reached can be said beforehand.
 */
#include "xds/policy/policy.h"

struct link {
    const struct policy_program *const *scopes;
    size_t n;
    struct policy_effect *out;
};

static size_t next_document(const struct link *l, size_t scope)
{
    while (scope < l->n && l->scopes[scope] == NULL) {
        scope++;
    }
    return scope;
}

static void close_effect(struct link *l, const struct policy_instruction *in, size_t scope, const char *reason)
{
    if (l->out->closed == NULL) {
        l->out->closed = in;
        l->out->closed_scope = scope;
        l->out->reason = reason;
    }
}

static void forward(struct link *l, const struct policy_instruction *in, size_t scope)
{
    if (++l->out->forwards > 1) {
        close_effect(l, in, scope, "policy <forward-request>: reached a second time, which is not supported");
    }
}

/* Behind forward-request the backend section would act on what came back. */
static void step(struct link *l, const struct policy_instruction *in, enum policy_section s, size_t scope)
{
    if (s == POLICY_BACKEND && l->out->forwards > 0 && in->has_effect) {
        close_effect(l, in, scope, "a policy behind <forward-request> in <backend> is not supported yet");
    }
}

/* false: the pipeline ends here. Recursion is as deep as there are scopes, and a section holds <base/> once at most. */
static bool link_section(struct link *l, enum policy_section s, size_t scope)
{
    scope = next_document(l, scope);
    if (scope == l->n) {
        l->out->forwards += s == POLICY_BACKEND ? 1 : 0; /* the built-in document */
        return true;
    }
    const struct policy_list *list = &l->scopes[scope]->sections[s];
    for (size_t i = 0; i < list->n; i++) {
        const struct policy_instruction *in = &list->items[i];
        switch (in->op) {
        case POLICY_BASE:
            if (!link_section(l, s, scope + 1)) {
                return false;
            }
            break;
        case POLICY_FORWARD_REQUEST:
            forward(l, in, scope);
            break;
        case POLICY_SET_BACKEND_SERVICE:
            step(l, in, s, scope);
            l->out->backend = in;
            l->out->backend_scope = scope;
            break;
        case POLICY_STEP:
            step(l, in, s, scope);
            if (in->proxy != NULL) {
                l->out->proxy = in;
                l->out->proxy_scope = scope;
            }
            break;
        case POLICY_RETURN:
            step(l, in, s, scope);
            l->out->mocks |= in->mocks;
            l->out->returns |= s == POLICY_INBOUND || (s == POLICY_BACKEND && l->out->forwards == 0);
            return false;
        case POLICY_CLOSED:
            close_effect(l, in, scope, in->reason);
            break;
        }
    }
    return true;
}

void policy_link(const struct policy_program *const *scopes, size_t n, struct policy_effect *out)
{
    *out = (struct policy_effect){0};
    struct link l = {scopes, n, out};
    if (link_section(&l, POLICY_INBOUND, 0) && link_section(&l, POLICY_BACKEND, 0)) {
        link_section(&l, POLICY_OUTBOUND, 0);
    }
    link_section(&l, POLICY_ON_ERROR, 0);
}

bool policy_is_closed(const struct policy_program *program)
{
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        for (size_t i = 0; i < program->sections[s].n; i++) {
            if (program->sections[s].items[i].op == POLICY_CLOSED) {
                return true;
            }
        }
    }
    return false;
}
