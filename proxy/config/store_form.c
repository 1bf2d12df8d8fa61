#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/config/store_inside.h"

/* ---- forms ---- */

/* The reader's notes live in the object's arena, which may go before the form does: they are copied. */
static const struct need *copy_needs(const struct need *from, struct arena *arena)
{
    struct need *first = NULL;
    for (; from != NULL; from = from->next) {
        struct need *n = arena_alloc(arena, sizeof *n);
        *n = (struct need){first, from->type, arena_slice(arena, from->name)};
        first = n;
    }
    return first;
}

static const struct file_use *copy_files(const struct file_use *from, struct arena *arena)
{
    struct file_use *first = NULL;
    for (; from != NULL; from = from->next) {
        struct file_use *f = arena_alloc(arena, sizeof *f);
        *f = *from;
        f->next = first;
        f->path = arena_str(arena, slice_of(from->path));
        first = f;
    }
    return first;
}

/* Endpoints, route tables and APIs have memory of their own: the reader's arena then only holds notes. */
static bool keeps_arena(enum resource_type type)
{
    return type != TYPE_ENDPOINTS && type != TYPE_ROUTES && type != TYPE_API;
}

/* Fills object, needs and files of f from its bytes. */
static bool form_build(struct config_store *s, enum resource_type type, struct form *f, bool is_static, struct err *err)
{
    struct build_env env = s->env;
    env.is_static = is_static;
    struct reader r;
    reader_init(&r, &env, err);
    const pb_message *m = NULL;
    void *object = NULL;
    if (!read_message(&r, resource_kinds[type].message, f->bytes, &m) ||
        !resource_kinds[type].build(s, &r, m, &object)) {
        reader_abandon(&r);
        return false;
    }
    f->needs = copy_needs(r.needs, f->arena);
    f->files = copy_files(r.files, f->arena);
    if (r.missing_secret) {
        reader_abandon(&r); /* with the object: it was made to be checked */
        f->object = NULL;
    } else {
        f->object = object;
        if (keeps_arena(type)) {
            reader_done(&r);
        } else {
            reader_abandon(&r);
        }
    }
    return true;
}

struct form *form_create(struct config_store *s, enum resource_type type, struct slice bytes, struct slice version,
                         bool is_static, struct err *err)
{
    /* To the block that is needed: there may be a hundred thousand. Those who name others need some more. */
    size_t more = type == TYPE_SUBSCRIPTION || type == TYPE_SECRET ? 176 : 256;
    struct arena *arena = arena_create(bytes.n + version.n + more);
    struct form *f = arena_zalloc(arena, sizeof *f);
    f->arena = arena;
    f->bytes = arena_slice(arena, bytes);
    f->version = arena_slice(arena, version);
    f->updated_us = clock_wall_us();
    if (!form_build(s, type, f, is_static, err)) {
        form_free(type, &f);
    }
    return f;
}

void form_free(enum resource_type type, struct form **f)
{
    struct form *old = *f;
    *f = NULL;
    if (old == NULL) {
        return;
    }
    if (old->object != NULL) {
        resource_kinds[type].unref(old->object);
    }
    if (type == TYPE_SECRET) {
        mem_wipe((void *)(uintptr_t)old->bytes.p, old->bytes.n);
    }
    struct arena *arena = old->arena;
    arena_destroy(&arena);
}

static bool is_held(const struct config_store *s, enum resource_type by, const struct need *n)
{
    if (n->type == TYPE_SECRET && (by == TYPE_BACKEND || by == TYPE_PROGRAM)) {
        return s->lenient_backends || map_has(s->bootstrap->secrets, n->name) ||
               (map_has(s->types[TYPE_SECRET].entries, n->name) &&
                ((struct entry *)map_get(s->types[TYPE_SECRET].entries, n->name))->active != NULL);
    }
    const struct entry *e = map_get(s->types[n->type].entries, n->name);
    return e != NULL && e->active != NULL && !e->gone && !e->dead;
}

bool form_is_ready(const struct config_store *s, enum resource_type type, const struct form *f)
{
    for (const struct need *n = f->needs; n != NULL; n = n->next) {
        if (!is_held(s, type, n)) {
            return false;
        }
    }
    return true;
}

/* ---- entries ---- */

void store_dirty(struct config_store *s, enum resource_type type)
{
    s->types[type].dirty = true;
}

struct entry *entry_create(enum resource_type type, struct slice name)
{
    struct entry *e = mem_alloc(sizeof *e);
    e->type = type;
    e->name = slice_make(mem_str_slice(name), name.n);
    list_init(&e->link);
    return e;
}

void entry_free(void *entry)
{
    struct entry *e = entry;
    list_remove(&e->link);
    form_free(e->type, &e->active);
    form_free(e->type, &e->warming);
    form_free(e->type, &e->before);
    mem_free(e->refusal.reason);
    mem_free(e->refusal.version);
    mem_free((void *)(uintptr_t)e->name.p);
    mem_free(e);
}

struct entry *store_entry(struct config_store *s, enum resource_type type, struct slice name)
{
    return map_get(s->types[type].entries, name);
}

struct entry *store_add_entry(struct config_store *s, enum resource_type type, struct slice name)
{
    struct entry *e = store_entry(s, type, name);
    if (e == NULL) {
        e = entry_create(type, name);
        map_put(s->types[type].entries, name, e);
    }
    return e;
}

void entry_drop_warming(struct entry *e)
{
    if (e->warming != NULL) {
        form_free(e->type, &e->warming);
        list_remove(&e->link);
    }
}

void store_names_of(struct config_store *s, const struct form *f)
{
    for (const struct need *n = f == NULL ? NULL : f->needs; n != NULL; n = n->next) {
        s->names_stale = s->names_stale || !resource_kinds[n->type].wildcard;
    }
}

const struct form *entry_latest(const struct entry *e)
{
    return e->warming != NULL ? e->warming : e->active;
}

/* From here to the next publish the form that served before is kept, to go back to. */
void store_touch(struct config_store *s, struct entry *e)
{
    if (e->touched) {
        return;
    }
    e->touched = true;
    e->before = e->active;
    if (s->n_touched == s->touched_cap) {
        s->touched_cap = s->touched_cap == 0 ? 64 : s->touched_cap * 2;
        s->touched = mem_resize(s->touched, s->touched_cap * sizeof *s->touched);
    }
    s->touched[s->n_touched++] = e;
}

void entry_take(struct config_store *s, struct entry *e, struct form *f)
{
    struct type_state *t = &s->types[e->type];
    store_names_of(s, e->warming);
    store_names_of(s, f);
    entry_drop_warming(e);
    mem_free(e->refusal.reason);
    mem_free(e->refusal.version);
    e->refusal = (struct refusal){0};
    e->gone = e->dead = e->stuck = false;
    e->warming = f; /* store_settle promotes it, at once if it waits for nothing */
    list_push(&t->warming, &e->link);
    t->dirty = true;
}

void store_refuse(struct config_store *s, struct entry *e, struct slice name, struct slice version, const char *reason)
{
    strbuf_printf(&s->refusals, "%s%.*s: %s", s->n_refusals == 0 ? "" : "\n", SLICE_ARG(name), reason);
    s->n_refusals++;
    if (e != NULL) {
        mem_free(e->refusal.reason);
        mem_free(e->refusal.version);
        e->refusal = (struct refusal){mem_str(reason), mem_str_slice(version), clock_wall_us()};
    }
}
