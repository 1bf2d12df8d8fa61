/* Named values, and text that refers to them. */
#include <string.h>

#include "xds/catalog/build.h"

/* Not in the catalog: why a named value cannot be used, which is only a problem where it is. */
struct value_entry {
    struct catalog_named_value *value;
    const char *why; /* NULL: usable */
};

static const char *value_name(struct build *b, const char *workspace, struct slice display)
{
    return resource_name(b, workspace, "namedvalues", display);
}

static const char *why_unusable(const struct catalog_named_value *v, struct props p)
{
    if (v->value != NULL) {
        return NULL;
    }
    if (props_get(p, "keyVault") != NULL) {
        return "its value stands in a key vault; the overrides may give it";
    }
    return v->secret ? "it is secret and the overrides give no value" : "it has no value";
}

static struct catalog_named_value *make_value(struct build *b, const char *name, const char *file, struct props p,
                                              const char *id)
{
    struct catalog_named_value *v = object_create(b, sizeof *v, name, file);
    struct slice display = props_text(p, "displayName");
    const struct doc *value = props_get(p, "value");
    v->id = arena_str(v->o.arena, slice_of(id));
    v->display_name = arena_str(v->o.arena, slice_is_empty(display) ? slice_of(id) : display);
    v->secret = props_bool(p, "secret", false) || props_get(p, "keyVault") != NULL;
    if (doc_is(value, DOC_STRING) || doc_is(value, DOC_NUMBER) || doc_is(value, DOC_BOOL)) {
        v->value = arena_str(v->o.arena, doc_text(value));
        v->o.line = doc_line(value);
    }
    hash_text(&v->o.hash, v->display_name);
    hash_number(&v->o.hash, v->secret);
    hash_text(&v->o.hash, v->value);
    return v;
}

static void add_value(struct build *b, const struct artifact *a, const struct override *o, const char *workspace,
                      const char *id)
{
    struct props p = props_of(a, o);
    struct slice display = props_text(p, "displayName");
    const char *name = value_name(b, workspace, slice_is_empty(display) ? slice_of(id) : display);
    const char *file = a != NULL ? a->path : b->snap->overrides->file;
    uint64_t inputs = inputs_of(a, o);
    const struct catalog_object *old = b->prev == NULL ? NULL : (const void *)catalog_find_named_value(b->prev, name);
    struct catalog_named_value *v = object_reuse(b, old, inputs);
    if (v == NULL) {
        v = make_value(b, name, file, p, id);
        v->o.inputs = inputs;
    }
    struct value_entry *e = arena_zalloc(b->arena, sizeof *e);
    e->value = v;
    e->why = why_unusable(v, p);
    if (a != NULL && a->state == ARTIFACT_BROKEN) {
        e->why = "its file cannot be read";
    } else if (o != NULL && o->closed != NULL) {
        e->why = "its overrides cannot be used";
    }
    b->values_inputs = inputs_text(inputs_add(inputs_text(b->values_inputs, name), inputs), e->why);
    struct value_entry *other = map_get(b->values_by_display, slice_of(name));
    if (other != NULL) {
        other->why = "two named values have this displayName";
        struct closure at = {file, 1, 0, NULL};
        build_problem(b, CATALOG_WARNING, at, name, "%s has the same displayName; neither can be used",
                      other->value->o.file);
        catalog_object_unref(&v->o);
        return;
    }
    map_put(b->values_by_display, slice_of(name), e);
    object_publish(b, &b->named_values, &v->o);
}

static bool is_named_value(const struct override *o)
{
    struct slice path = slice_of(o->path), rest = path;
    if (slice_starts_with(rest, SLICE("workspaces/"))) {
        slice_cut(&rest, '/');
        slice_cut(&rest, '/');
    }
    return rest.p != NULL && slice_starts_with(rest, SLICE("namedvalues/"));
}

void build_named_values(struct build *b)
{
    struct map *seen = map_create(NULL);
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        if (a->kind != ARTIFACT_NAMED_VALUE) {
            continue;
        }
        const struct override *o = override_of(b, a);
        if (o != NULL) {
            map_put(seen, slice_of(o->path), (void *)(uintptr_t)o);
        }
        add_value(b, a, o, a->workspace, a->id);
    }
    const struct overrides *all = b->snap->overrides;
    for (size_t i = 0; all != NULL && i < all->n; i++) {
        const struct override *o = &all->entries[i];
        if (is_named_value(o) && !map_has(seen, slice_of(o->path))) {
            add_value(b, NULL, o, o->workspace, o->name);
        }
    }
    map_destroy(&seen);
}

struct parts {
    struct arena *arena;
    struct catalog_part *items;
    size_t n, cap;
    struct strbuf literal; /* not yet a part */
};

static void add_part(struct parts *p, struct catalog_part part)
{
    if (p->n == p->cap) {
        p->cap = p->cap == 0 ? 4 : p->cap * 2;
        struct catalog_part *more = arena_alloc(p->arena, p->cap * sizeof *more);
        if (p->n > 0) {
            memcpy(more, p->items, p->n * sizeof *more);
        }
        p->items = more;
    }
    p->items[p->n++] = part;
}

static void end_literal(struct parts *p)
{
    if (p->literal.n > 0) {
        add_part(p, (struct catalog_part){.literal = arena_str(p->arena, strbuf_slice(&p->literal))});
        strbuf_clear(&p->literal);
    }
}

static const char *add_reference(struct build *b, struct parts *p, const char *workspace, struct slice name)
{
    const struct value_entry *e = map_get(b->values_by_display, slice_of(value_name(b, workspace, name)));
    if (e == NULL || e->why != NULL) {
        return arena_printf(b->arena, "named value {{%.*s}}: %s", SLICE_ARG(slice_sub(name, 0, 256)),
                            e == NULL ? "there is none of this displayName" : e->why);
    }
    if (!e->value->secret) {
        strbuf_add_str(&p->literal, e->value->value);
        return NULL;
    }
    end_literal(p);
    add_part(p, (struct catalog_part){.secret = arena_str(p->arena, slice_of(e->value->o.name))});
    return NULL;
}

bool value_parse(struct build *b, struct arena *arena, const char *workspace, struct slice text, struct value_text *out,
                 const char **why)
{
    struct parts p = {.arena = arena};
    strbuf_init(&p.literal);
    *why = NULL;
    while (text.n > 0 && *why == NULL) {
        size_t open = slice_search(text, SLICE("{{"));
        struct slice rest = slice_from(text, open);
        size_t close = slice_search(rest, SLICE("}}"));
        if (close >= rest.n) {
            strbuf_add(&p.literal, text);
            break;
        }
        strbuf_add(&p.literal, slice_sub(text, 0, open));
        *why = add_reference(b, &p, workspace, slice_trim(slice_sub(rest, 2, close - 2)));
        text = slice_from(rest, close + 2);
    }
    end_literal(&p);
    strbuf_fini(&p.literal);
    *out = (struct value_text){.parts = p.items, .n = p.n};
    for (size_t i = 0; i < p.n; i++) {
        out->has_secret |= p.items[i].secret != NULL;
    }
    out->plain = out->has_secret ? NULL : p.n == 0 ? "" : p.items[0].literal;
    return *why == NULL;
}

const char *value_find(struct build *b, const char *workspace, struct slice name, struct slice *value,
                       const char **secret)
{
    const struct value_entry *e = map_get(b->values_by_display, slice_of(value_name(b, workspace, name)));
    if (e == NULL) {
        return "there is none of this displayName";
    }
    if (e->why != NULL) {
        return e->why;
    }
    *value = slice_of(e->value->value);
    if (e->value->secret) {
        if (slice_starts_with(*value, SLICE("@(")) || slice_starts_with(*value, SLICE("@{"))) {
            return "it is a secret expression, which is not evaluated yet";
        }
        *value = SLICE_NONE;
        *secret = e->value->o.name;
    }
    return NULL;
}
