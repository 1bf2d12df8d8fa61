#include "xds/source/operation_list.h"

#include <string.h>

#include "base/map.h"
#include "xds/source/template.h"

enum { ID_MAX = 76 };

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

static const char *derive_id(struct operation_list *l, const char *method, const char *template)
{
    char *text = arena_printf(l->arena, "%s %s", method, template);
    return openapi_normalise_id(l->arena, slice_of(text));
}

void operation_list_add(struct operation_list *l, struct slice id, struct openapi_operation o)
{
    if (l->out->n == l->cap) {
        size_t cap = l->cap == 0 ? 8 : l->cap * 2;
        struct openapi_operation *more = arena_alloc(l->arena, cap * sizeof *more);
        if (l->out->n > 0) {
            memcpy(more, l->items, l->out->n * sizeof *more);
        }
        l->items = more;
        l->cap = cap;
    }
    o.id_is_derived = slice_is_empty(id);
    o.closed = template_check(o.url_template);
    o.id = o.id_is_derived ? derive_id(l, o.method, o.url_template) : arena_str(l->arena, id);
    l->items[l->out->n++] = o;
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
static void number_derived_ids(struct operation_list *l)
{
    struct map *taken = map_create(NULL);
    for (size_t i = 0; i < l->out->n; i++) {
        if (!l->items[i].id_is_derived) {
            map_put(taken, slice_of(lower_copy(l->arena, l->items[i].id)), &l->items[i]);
        }
    }
    for (size_t i = 0; i < l->out->n; i++) {
        struct openapi_operation *o = &l->items[i];
        const char *id = o->id;
        for (unsigned k = 1; o->id_is_derived && map_has(taken, slice_of(id)); k++) {
            id = arena_printf(l->arena, "%s-%u", o->id, k);
        }
        o->id = id;
        map_put(taken, slice_of(lower_copy(l->arena, id)), o);
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

static void close_duplicates(struct operation_list *l)
{
    struct map *templates = map_create(NULL), *ids = map_create(NULL);
    for (size_t i = 0; i < l->out->n; i++) {
        struct openapi_operation *o = &l->items[i];
        char *key = arena_printf(l->arena, "%s %s", o->method, template_key(l->arena, o->url_template));
        close_both(l->arena, templates, key, o, "the same method and path");
        close_both(l->arena, ids, lower_copy(l->arena, o->id), o, "the same operationId");
    }
    map_destroy(&templates);
    map_destroy(&ids);
}

void operation_list_finish(struct operation_list *l)
{
    number_derived_ids(l);
    close_duplicates(l);
    l->out->operations = l->items;
}
