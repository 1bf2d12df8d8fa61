#include "proxy/config/extension.h"

#include <assert.h>

#include "base/mem.h"

struct extension_registry {
    const struct extension_type **types;
    size_t n, cap;
};

struct extension_registry *extension_registry_create(void)
{
    return mem_alloc(sizeof(struct extension_registry));
}

void extension_registry_destroy(struct extension_registry **r)
{
    if (*r != NULL) {
        mem_free((*r)->types);
        mem_free(*r);
        *r = NULL;
    }
}

void extension_register(struct extension_registry *r, const struct extension_type *type)
{
    assert(type->kind != EXTENSION_PER_ROUTE || type->destroy == NULL);
    assert(extension_find(r, type->kind, slice_of(type->message)) == NULL);
    if (r->n == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->types = mem_resize(r->types, r->cap * sizeof(const struct extension_type *));
    }
    r->types[r->n++] = type;
}

const struct extension_type *extension_find(const struct extension_registry *r, enum extension_kind kind,
                                            struct slice message)
{
    for (size_t i = 0; r != NULL && i < r->n; i++) {
        if (r->types[i]->kind == kind && slice_eq(slice_of(r->types[i]->message), message)) {
            return r->types[i];
        }
    }
    return NULL;
}
