#include "xds/source/openapi.h"

#include <string.h>

#include "base/macros.h"
#include "base/map.h"
#include "xds/source/sample.h"
#include "xds/source/template.h"

enum { ID_MAX = 76, REF_HOPS = 8 };

static const char *const METHODS[][2] = {
    {"get", "GET"},         {"put", "PUT"},   {"post", "POST"},   {"delete", "DELETE"},
    {"options", "OPTIONS"}, {"head", "HEAD"}, {"patch", "PATCH"}, {"trace", "TRACE"},
};

struct reader {
    struct arena *arena;
    const struct doc *root;
    struct openapi *out;
    struct openapi_operation *operations;
    size_t cap;
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

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

char *openapi_normalise_id(struct arena *arena, struct slice text)
{
    char *out = arena_alloc(arena, text.n + 1);
    size_t n = 0;
    bool dash = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = ascii_lower(text.p[i]);
        if (!is_word(c)) {
            dash = n > 0;
            continue;
        }
        if (dash) {
            out[n++] = '-';
            dash = false;
        }
        out[n++] = c;
    }
    n = n > ID_MAX ? ID_MAX : n;
    out[n] = '\0';
    return out;
}

static const char *derive_id(struct reader *r, const char *method, const char *template)
{
    char *text = arena_printf(r->arena, "%s %s", method, template);
    return openapi_normalise_id(r->arena, slice_of(text));
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
    if (r->out->n == r->cap) {
        size_t cap = r->cap == 0 ? 8 : r->cap * 2;
        struct openapi_operation *more = arena_alloc(r->arena, cap * sizeof *more);
        if (r->out->n > 0) {
            memcpy(more, r->operations, r->out->n * sizeof *more);
        }
        r->operations = more;
        r->cap = cap;
    }
    struct openapi_operation *o = &r->operations[r->out->n++];
    struct slice id = slice_trim(doc_text(doc_get(op, "operationId")));
    *o = (struct openapi_operation){.method = method,
                                    .url_template = template,
                                    .line = doc_key_line(op),
                                    .column = doc_key_column(op),
                                    .id_is_derived = slice_is_empty(id),
                                    .closed = template_check(template)};
    o->id = o->id_is_derived ? derive_id(r, method, template) : arena_str(r->arena, id);
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

static char *lower_copy(struct arena *arena, const char *text)
{
    char *out = arena_str(arena, slice_of(text));
    for (char *p = out; *p != '\0'; p++) {
        *p = ascii_lower(*p);
    }
    return out;
}

/* A derived id that is taken gets "-1", "-2", … as on import. */
static void number_derived_ids(struct reader *r)
{
    struct map *taken = map_create(NULL);
    for (size_t i = 0; i < r->out->n; i++) {
        if (!r->operations[i].id_is_derived) {
            map_put(taken, slice_of(lower_copy(r->arena, r->operations[i].id)), &r->operations[i]);
        }
    }
    for (size_t i = 0; i < r->out->n; i++) {
        struct openapi_operation *o = &r->operations[i];
        const char *id = o->id;
        for (unsigned k = 1; o->id_is_derived && map_has(taken, slice_of(id)); k++) {
            id = arena_printf(r->arena, "%s-%u", o->id, k);
        }
        o->id = id;
        map_put(taken, slice_of(lower_copy(r->arena, id)), o);
    }
    map_destroy(&taken);
}

static void close_both(struct arena *arena, struct map *seen, const char *key, struct openapi_operation *o,
                       const char *what)
{
    struct openapi_operation *other = map_get(seen, slice_of(key));
    if (other == NULL) {
        map_put(seen, slice_of(key), o);
        return;
    }
    o->closed = arena_printf(arena, "%s as the operation in line %u", what, other->line);
    if (other->closed == NULL) {
        other->closed = arena_printf(arena, "%s as the operation in line %u", what, o->line);
    }
}

static void close_duplicates(struct reader *r)
{
    struct map *templates = map_create(NULL), *ids = map_create(NULL);
    for (size_t i = 0; i < r->out->n; i++) {
        struct openapi_operation *o = &r->operations[i];
        char *key = arena_printf(r->arena, "%s %s", o->method, template_key(r->arena, o->url_template));
        close_both(r->arena, templates, key, o, "the same method and path");
        close_both(r->arena, ids, lower_copy(r->arena, o->id), o, "the same operationId");
    }
    map_destroy(&templates);
    map_destroy(&ids);
}

const struct openapi *openapi_read(struct arena *arena, const struct doc *root)
{
    struct openapi *out = arena_zalloc(arena, sizeof *out);
    struct reader r = {.arena = arena, .root = root, .out = out};
    struct slice v3 = doc_text(doc_get(root, "openapi")), v2 = doc_text(doc_get(root, "swagger"));
    const struct doc *paths = doc_get(root, "paths");
    if (!slice_starts_with(v3, SLICE("3.")) && !slice_eq(v2, SLICE("2.0"))) {
        close_api(&r, root, "neither OpenAPI 3 nor Swagger 2.0");
    } else if (paths != NULL && !doc_is(paths, DOC_MAP) && !doc_is(paths, DOC_NULL)) {
        close_api(&r, paths, "\"paths\" is not an object");
    } else {
        read_paths(&r, paths);
    }
    number_derived_ids(&r);
    close_duplicates(&r);
    out->operations = r.operations;
    return out;
}
