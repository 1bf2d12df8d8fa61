#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/config/store_inside.h"

/* ---- forms ---- */

/* Endpoints, route tables, APIs and subscriptions have memory of their own: the reader's arena then only holds notes. */
static bool keeps_arena(enum resource_type type)
{
    return type != TYPE_ENDPOINTS && type != TYPE_ROUTES && type != TYPE_API && type != TYPE_SUBSCRIPTION;
}

/* What stands in the resource is not copied a second time. */
static bool stands_in(struct slice bytes, struct slice text)
{
    return slice_search(bytes, text) < bytes.n;
}

struct form_size {
    size_t needs, files, text;
};

static struct form_size measure(const struct reader *r, struct slice bytes, bool copied, struct slice version)
{
    struct form_size size = {0, 0, (copied ? bytes.n : 0) + version.n};
    for (const struct need *n = r->needs; n != NULL; n = n->next) {
        size.needs++;
        size.text += stands_in(bytes, n->name) ? 0 : n->name.n;
    }
    for (const struct file_use *u = r->files; u != NULL; u = u->next) {
        size.files++;
        size.text += strlen(u->path) + 1;
    }
    return size;
}

static struct slice put_text(char **at, struct slice text)
{
    char *p = *at;
    if (text.n > 0) {
        memcpy(p, text.p, text.n);
    }
    *at += text.n;
    return slice_make(p, text.n);
}

/* The reader's notes live in the object's arena, which may go before the form does: they are copied. */
static void copy_notes(const struct reader *r, struct form *f, struct need *needs, struct file_use *files, char *text)
{
    for (const struct need *n = r->needs; n != NULL; n = n->next, needs++) {
        size_t at = slice_search(f->bytes, n->name);
        *needs = (struct need){(struct need *)(uintptr_t)f->needs, n->type,
                               at < f->bytes.n ? slice_sub(f->bytes, at, n->name.n) : put_text(&text, n->name)};
        f->needs = needs;
    }
    for (const struct file_use *u = r->files; u != NULL; u = u->next, files++) {
        *files = *u;
        files->next = (struct file_use *)(uintptr_t)f->files;
        files->path = put_text(&text, slice_make(u->path, strlen(u->path) + 1)).p;
        f->files = files;
    }
}

/* bytes: the object's own, unless they are to be copied. */
static struct form *form_pack(const struct reader *r, struct slice bytes, bool copied, struct slice version)
{
    struct form_size size = measure(r, bytes, copied, version);
    struct form *f = mem_alloc(sizeof *f + size.needs * sizeof(struct need) + size.files * sizeof(struct file_use) +
                               size.text);
    struct need *needs = (void *)(f + 1);
    struct file_use *files = (void *)(needs + size.needs);
    char *text = (void *)(files + size.files);
    f->version = put_text(&text, version);
    f->bytes = copied ? put_text(&text, bytes) : bytes;
    f->updated_us = clock_wall_us();
    copy_notes(r, f, needs, files, text);
    return f;
}

struct form *form_create(struct config_store *s, enum resource_type type, struct slice bytes, struct slice version,
                         bool is_static, struct err *err)
{
    struct build_env env = s->env;
    env.is_static = is_static;
    struct reader r;
    reader_init(&r, &env, err);
    r.bytes = bytes;
    const pb_message *m = NULL;
    void *object = NULL;
    if (!read_message(&r, resource_kinds[type].message, bytes, &m) ||
        !resource_kinds[type].build(s, &r, m, &object)) {
        reader_abandon(&r);
        return NULL;
    }
    bool owns = type == TYPE_SUBSCRIPTION; /* the object has the bytes */
    struct form *f = form_pack(&r, owns ? ((struct apim_object *)object)->bytes : bytes, !owns, version);
    if (r.missing_secret) {
        reader_abandon(&r); /* with the object: it was made to be checked */
        return f;
    }
    f->object = object;
    if (keeps_arena(type)) {
        reader_done(&r);
    } else {
        reader_abandon(&r);
    }
    return f;
}

void form_set_version(struct form *f, struct slice version)
{
    if (version.n <= f->version.n) {
        memcpy((void *)(uintptr_t)f->version.p, version.p, version.n);
        f->version.n = version.n;
        return;
    }
    mem_free(f->other_version);
    f->other_version = mem_str_slice(version);
    f->version = slice_make(f->other_version, version.n);
}

void form_free(enum resource_type type, struct form **f)
{
    struct form *old = *f;
    *f = NULL;
    if (old == NULL) {
        return;
    }
    if (type == TYPE_SECRET) {
        mem_wipe((void *)(uintptr_t)old->bytes.p, old->bytes.n);
    }
    if (old->object != NULL) {
        resource_kinds[type].unref(old->object);
    }
    mem_free(old->other_version);
    mem_free(old);
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
    struct entry *e = mem_alloc(sizeof *e + name.n);
    e->type = type;
    memcpy(e + 1, name.p, name.n);
    e->name = slice_make((char *)(e + 1), name.n);
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
