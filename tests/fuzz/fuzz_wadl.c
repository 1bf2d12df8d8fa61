// rooms: xds/source base/doc base
/* A WADL document as anyone may commit it: read, or refused with a place; every operation that is open can be matched. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "xds/source/template.h"
#include "xds/source/wadl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(0);
    struct err err;
    err_clear(&err);
    const struct openapi *spec = wadl_read(arena, "specification.wadl", slice_make(data, size), &err);
    if (spec == NULL) {
        assert(strncmp(err.text, "specification.wadl:", 19) == 0);
    }
    for (size_t i = 0; spec != NULL && i < spec->n; i++) {
        const struct openapi_operation *o = &spec->operations[i];
        assert(o->line > 0 && o->method[0] != '\0' && o->url_template[0] == '/');
        assert(o->closed != NULL ? o->closed[0] != '\0' : template_check(o->url_template) == NULL);
    }
    arena_destroy(&arena);
    return 0;
}
