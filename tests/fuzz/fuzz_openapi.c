// rooms: xds/source base/doc base
/*
 * A specification as anyone may commit it, as YAML or JSON: every operation that is not closed has a name, a method and a
 * path that begins with a slash; no two open ones share a name; what is closed says why and where.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "xds/source/openapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct openapi *spec)
{
    if (spec->closed != NULL) {
        assert(spec->closed[0] != '\0' && spec->line > 0);
    }
    for (size_t i = 0; i < spec->n; i++) {
        const struct openapi_operation *o = &spec->operations[i];
        assert(o->line > 0);
        if (o->closed != NULL) {
            assert(o->closed[0] != '\0');
            continue;
        }
        assert(o->id[0] != '\0' && o->method[0] != '\0' && o->url_template[0] == '/');
        for (size_t k = 0; k < i && i < 64; k++) {
            assert(spec->operations[k].closed != NULL || strcmp(spec->operations[k].id, o->id) != 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(0);
    struct err err;
    err_clear(&err);
    struct doc_source source = {.name = "specification", .bytes = slice_make(data, size), .format = DOC_AUTO};
    const struct doc *root = doc_parse(arena, source, NULL, &err);
    if (root != NULL) {
        check(openapi_read(arena, root));
    }
    arena_destroy(&arena);
    return 0;
}
