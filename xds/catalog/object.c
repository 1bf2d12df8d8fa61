/* Objects, their problems, their hashes. */
#include <stdio.h>
#include <string.h>

#include "xds/catalog/build.h"

void vec_add(struct vec *v, void *item)
{
    if (v->n == v->cap) {
        v->cap = v->cap == 0 ? 8 : v->cap * 2;
        v->items = mem_resize(v->items, v->cap * sizeof(void *));
    }
    v->items[v->n++] = item;
}

void vec_fini(struct vec *v)
{
    mem_free(v->items);
    *v = (struct vec){NULL, 0, 0};
}

void *object_create(struct build *b, size_t size, const char *name, const char *file)
{
    (void)b;
    /* One block for most: a second one would be twice as large, and there are tens of thousands of subscriptions. */
    struct arena *arena = arena_create(size + 2 * (strlen(name) + strlen(file)) + 448);
    struct catalog_object *o = arena_zalloc(arena, size);
    o->arena = arena;
    o->refs = 1;
    o->name = arena_str(arena, slice_of(name));
    o->file = arena_str(arena, slice_of(file));
    o->line = 1;
    return o;
}

void *object_reuse(struct build *b, const struct catalog_object *prev, uint64_t inputs)
{
    if (b->prev == NULL || prev == NULL || prev->inputs != inputs) {
        return NULL;
    }
    struct catalog_object *o = (void *)(uintptr_t)prev;
    o->refs++;
    return o;
}

static void add_problem(struct catalog_object *o, struct catalog_problem p)
{
    if (o->problem_count == o->problem_cap) {
        o->problem_cap = o->problem_cap == 0 ? 2 : o->problem_cap * 2;
        struct catalog_problem *more = arena_alloc(o->arena, o->problem_cap * sizeof *more);
        if (o->problem_count > 0) {
            memcpy(more, o->problems, o->problem_count * sizeof *more);
        }
        o->problems = more;
    }
    ((struct catalog_problem *)(uintptr_t)o->problems)[o->problem_count++] = p;
}

static struct catalog_problem make_problem(struct arena *arena, enum catalog_problem_kind kind, struct closure at,
                                           const char *object, const char *text)
{
    return (struct catalog_problem){
        .kind = kind,
        .file = arena_str(arena, slice_of(at.file)),
        .line = at.line == 0 ? 1 : at.line,
        .column = at.column,
        .object = arena_str(arena, slice_of(object)),
        .reason = arena_str(arena, slice_of(text)),
    };
}

void object_problem(struct catalog_object *o, enum catalog_problem_kind kind, struct closure at, const char *object,
                    const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    add_problem(o, make_problem(o->arena, kind, at, object, text));
}

void object_close(struct catalog_object *o, struct closure why)
{
    if (why.text == NULL) {
        return;
    }
    if (o->closed == NULL) {
        o->closed = closure_text(o->arena, why);
    }
    object_problem(o, CATALOG_CLOSED, why, o->name, "%s", why.text);
}

void build_problem(struct build *b, enum catalog_problem_kind kind, struct closure at, const char *object,
                   const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct catalog_problem *p = arena_alloc(b->arena, sizeof *p);
    *p = make_problem(b->catalog->arena, kind, at, object, text);
    vec_add(&b->problems, p);
}

bool object_publish(struct build *b, struct vec *list, struct catalog_object *o)
{
    struct catalog_object *other = map_get(b->by_name, slice_of(o->name));
    if (other == NULL) {
        map_put(b->by_name, slice_of(o->name), o);
        vec_add(list, o);
        return true;
    }
    struct closure at = {o->file, o->line, 0, NULL};
    build_problem(b, CATALOG_CLOSED, at, o->name, "%s has this name too, so neither is served", other->file);
    if (other->refs == 1 && other->closed == NULL) { /* not shared with an older catalog: still ours to change */
        struct closure why = {other->file, other->line, 0,
                              arena_printf(b->arena, "%s has this name too, so neither is served", o->file)};
        object_close(other, why);
        other->inputs = 0;
    }
    catalog_object_unref(o);
    return false;
}

const char *closure_text(struct arena *arena, struct closure c)
{
    return arena_printf(arena, "%s:%u: %s", c.file, c.line == 0 ? 1 : c.line, c.text);
}

struct closure closure_at(struct build *b, const struct doc *at, const char *fallback_file, const char *fmt, ...)
{
    char text[500];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct closure c = {.file = fallback_file, .line = 1, .text = arena_str(b->arena, slice_of(text))};
    if (at != NULL) {
        c.file = doc_file(at);
        c.line = doc_line(at);
        c.column = doc_column(at);
    }
    return c;
}

struct closure closure_of_artifact(const struct artifact *a)
{
    return (struct closure){a->path, a->error.line, a->error.column, a->error.text};
}

struct closure closure_of_override(const struct build *b, const struct override *o)
{
    if (o == NULL || o->closed == NULL) {
        return (struct closure){NULL, 0, 0, NULL};
    }
    return (struct closure){b->snap->overrides->file, o->line, o->column, o->closed};
}

void hash_text(struct catalog_hash *h, const char *text)
{
    struct slice s = slice_of(text);
    uint64_t length = text == NULL ? UINT64_MAX : s.n;
    hash_number(h, length);
    h->hi = slice_hash(s, h->hi);
    h->lo = slice_hash(s, h->lo ^ 0x9e3779b97f4a7c15u);
}

void hash_number(struct catalog_hash *h, uint64_t n)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(n >> (8 * i));
    }
    struct slice s = slice_make(bytes, sizeof bytes);
    h->hi = slice_hash(s, h->hi);
    h->lo = slice_hash(s, h->lo ^ 0x9e3779b97f4a7c15u);
}

uint64_t inputs_add(uint64_t h, uint64_t n)
{
    uint64_t both[2] = {h, n};
    h = slice_hash(slice_make(both, sizeof both), 7);
    return h == 0 ? 1 : h;
}

uint64_t inputs_text(uint64_t h, const char *text)
{
    return inputs_add(h, text == NULL ? 1 : slice_hash(slice_of(text), 3));
}

uint64_t inputs_of(const struct artifact *a, const struct override *o)
{
    uint64_t h = inputs_add(1, a == NULL ? 0 : a->hash);
    h = inputs_text(h, a == NULL ? NULL : a->path);
    h = inputs_add(h, o == NULL ? 0 : o->hash);
    return inputs_text(h, o == NULL ? NULL : o->closed);
}

const struct override *override_of(struct build *b, const struct artifact *a)
{
    if (b->snap->overrides == NULL) {
        return NULL;
    }
    struct strbuf path;
    strbuf_init(&path);
    artifact_override_path(a, &path);
    const struct override *o = overrides_find(b->snap->overrides, strbuf_slice(&path));
    strbuf_fini(&path);
    return o;
}

struct props props_of(const struct artifact *a, const struct override *o)
{
    return (struct props){a == NULL ? NULL : doc_get(a->doc, "properties"), o == NULL ? NULL : o->properties};
}
