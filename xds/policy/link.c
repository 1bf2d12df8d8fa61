/* The effective policy: <base/> followed through the scopes (refs: APIM's "set or edit policies", section on scopes).
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

/* Recursion is as deep as there are scopes, and a section holds <base/> once at most: linear. */
static void link_section(const struct link *l, enum policy_section s, size_t scope)
{
    scope = next_document(l, scope);
    if (scope == l->n) {
        l->out->forwards += s == POLICY_BACKEND ? 1 : 0; /* the built-in document */
        return;
    }
    const struct policy_list *list = &l->scopes[scope]->sections[s];
    for (size_t i = 0; i < list->n; i++) {
        const struct policy_instruction *in = &list->items[i];
        switch (in->op) {
        case POLICY_BASE:
            link_section(l, s, scope + 1);
            break;
        case POLICY_FORWARD_REQUEST:
            l->out->forwards++;
            break;
        case POLICY_SET_BACKEND_SERVICE:
            l->out->backend = in;
            l->out->backend_scope = scope;
            break;
        case POLICY_CLOSED:
            if (l->out->closed == NULL) {
                l->out->closed = in;
                l->out->closed_scope = scope;
            }
            break;
        }
    }
}

void policy_link(const struct policy_program *const *scopes, size_t n, struct policy_effect *out)
{
    *out = (struct policy_effect){0};
    struct link l = {scopes, n, out};
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        link_section(&l, s, 0);
    }
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
