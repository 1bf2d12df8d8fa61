#include "xds/source/openapi.h"

#include <string.h>

#include "base/macros.h"
#include "xds/source/operation_list.h"
#include "xds/source/sample.h"

enum { REF_HOPS = 8 };

static const char *const METHODS[][2] = {
    {"get", "GET"},         {"put", "PUT"},   {"post", "POST"},   {"delete", "DELETE"},
    {"options", "OPTIONS"}, {"head", "HEAD"}, {"patch", "PATCH"}, {"trace", "TRACE"},
};

struct reader {
    struct arena *arena;
    const struct doc *root;
    struct openapi *out;
    struct operation_list operations;
};

static const char *method_of(struct slice key)
{
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (slice_eq(key, slice_of(METHODS[i][0]))) {
            return METHODS[i][1];
        }
    }
    return NULL;
}

static void close_api(struct reader *r, const struct doc *at, const char *why)
{
    if (r->out->closed == NULL) {
        r->out->closed = arena_str(r->arena, slice_of(why));
        r->out->line = at == NULL ? 1 : doc_line(at);
        r->out->column = at == NULL ? 0 : doc_column(at);
    }
}

static void add_operation(struct reader *r, const struct doc *op, const char *method, const char *template)
{
    struct openapi_operation o = {
        .method = method, .url_template = template, .line = doc_key_line(op), .column = doc_key_column(op)};
    operation_list_add(&r->operations, slice_trim(doc_text(doc_get(op, "operationId"))), o);
}

static void read_path_item(struct reader *r, const struct doc *item, const char *template, unsigned hops)
{
    const struct doc *ref = doc_get(item, "$ref");
    if (ref != NULL) {
        const struct doc *target = hops < REF_HOPS ? openapi_pointer(r->root, doc_text(ref)) : NULL;
        if (!doc_is(target, DOC_MAP)) {
            close_api(r, ref, "the path item's $ref leads nowhere in this document");
            return;
        }
        read_path_item(r, target, template, hops + 1);
    }
    for (size_t i = 0; i < doc_len(item); i++) {
        const struct doc *member = doc_at(item, i);
        const char *method = method_of(doc_key(member));
        if (method == NULL) {
            continue;
        }
        if (!doc_is(member, DOC_MAP)) {
            close_api(r, member, "an operation is not an object");
            continue;
        }
        add_operation(r, member, method, template);
    }
}

static void read_paths(struct reader *r, const struct doc *paths)
{
    for (size_t i = 0; i < doc_len(paths); i++) {
        const struct doc *item = doc_at(paths, i);
        struct slice key = doc_key(item);
        if (slice_starts_with(key, SLICE("x-"))) {
            continue;
        }
        bool slash = slice_starts_with(key, SLICE("/"));
        const char *template = arena_printf(r->arena, "%s%.*s", slash ? "" : "/", SLICE_ARG(key));
        if (doc_is(item, DOC_NULL)) {
            continue;
        }
        if (!doc_is(item, DOC_MAP)) {
            close_api(r, item, "a path item is not an object");
            continue;
        }
        read_path_item(r, item, template, 0);
    }
}

const struct openapi *openapi_read(struct arena *arena, const struct doc *root)
{
    struct openapi *out = arena_zalloc(arena, sizeof *out);
    struct reader r = {.arena = arena, .root = root, .out = out, .operations = {.arena = arena, .out = out}};
    struct slice v3 = doc_text(doc_get(root, "openapi")), v2 = doc_text(doc_get(root, "swagger"));
    const struct doc *paths = doc_get(root, "paths");
    if (!slice_starts_with(v3, SLICE("3.")) && !slice_eq(v2, SLICE("2.0"))) {
        close_api(&r, root, "neither OpenAPI 3 nor Swagger 2.0");
    } else if (paths != NULL && !doc_is(paths, DOC_MAP) && !doc_is(paths, DOC_NULL)) {
        close_api(&r, paths, "\"paths\" is not an object");
    } else {
        read_paths(&r, paths);
    }
    operation_list_finish(&r.operations);
    return out;
}
