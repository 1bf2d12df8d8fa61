#include <stdio.h>
#include <stdlib.h>

#include "base/macros.h"
#include "base/mem.h"
#include "proxy/config/store_inside.h"

/* ---- promotion ---- */

static void replace_active(struct config_store *s, struct entry *e, struct form *f)
{
    store_touch(s, e);
    if (e->active != e->before) {
        form_free(e->type, &e->active); /* promoted twice within one update */
    }
    e->active = f;
}

/* What waited for a secret is built now that it is there. */
static bool build_late(struct config_store *s, struct entry *e)
{
    struct err err;
    err_clear(&err);
    struct form *f = form_create(s, e->type, e->warming->bytes, e->warming->version, e->is_static, &err);
    if (f == NULL || f->object == NULL) {
        store_refuse(s, e, e->name, e->warming->version, f == NULL ? err.text : "a secret is missing");
        form_free(e->type, &f);
        e->stuck = true;
        return false;
    }
    f->updated_us = e->warming->updated_us;
    form_free(e->type, &e->warming);
    e->warming = f;
    return true;
}

static bool promote(struct config_store *s, struct entry *e)
{
    if (e->warming == NULL || e->dead || e->stuck || !form_is_ready(s, e->type, e->warming)) {
        return false;
    }
    if (e->warming->object == NULL && !build_late(s, e)) {
        return false;
    }
    struct form *f = e->warming;
    e->warming = NULL;
    list_remove(&e->link);
    store_names_of(s, e->active);
    replace_active(s, e, f);
    return true;
}

static bool promote_all(struct config_store *s)
{
    bool any = false;
    for (int t = 0; t < TYPE_COUNT; t++) {
        const struct list *all = &s->types[t].warming;
        for (struct list *i = all->next, *next; i != all; i = next) {
            next = i->next;
            any = promote(s, container_of(i, struct entry, link)) || any;
        }
    }
    return any;
}

/* ---- changed secrets ---- */

static bool uses_changed(const struct config_store *s, const struct form *f)
{
    for (const struct need *n = f == NULL ? NULL : f->needs; n != NULL; n = n->next) {
        if (n->type == TYPE_SECRET && map_has(s->changed_secrets, n->name)) {
            return true;
        }
    }
    return false;
}

static struct form *rebuild(struct config_store *s, struct entry *e, const struct form *old)
{
    struct err err;
    err_clear(&err);
    struct form *f = form_create(s, e->type, old->bytes, old->version, e->is_static, &err);
    if (f != NULL && f->object != NULL) {
        f->updated_us = old->updated_us;
        return f;
    }
    store_refuse(s, e, e->name, old->version, f == NULL ? err.text : "a secret is missing");
    form_free(e->type, &f);
    return NULL;
}

void store_rebuild(struct config_store *s, struct entry *e)
{
    struct form *f = e->active == NULL || e->dead ? NULL : rebuild(s, e, e->active);
    if (f != NULL) {
        replace_active(s, e, f);
    }
}

static void rebuild_users(struct config_store *s)
{
    static const enum resource_type users[] = {TYPE_CLUSTER, TYPE_LISTENER};
    for (size_t t = 0; t < ARRAY_LEN(users) && map_count(s->changed_secrets) > 0; t++) {
        for (struct map_item *i = map_first(s->types[users[t]].entries); i != NULL; i = map_next(i)) {
            struct entry *e = map_value(i);
            if (uses_changed(s, e->active) && e->active->object != NULL) {
                store_rebuild(s, e);
            }
            if (!uses_changed(s, e->warming)) {
                continue;
            }
            e->stuck = false;
            if (e->warming->object != NULL) {
                struct form *f = rebuild(s, e, e->warming);
                if (f != NULL) {
                    form_free(e->type, &e->warming);
                    e->warming = f;
                }
            }
        }
    }
    map_destroy(&s->changed_secrets);
    s->changed_secrets = map_create(NULL);
}

/* ---- what was removed, but is still named ---- */

static void note_named(const struct config_store *s, enum resource_type type, struct map *const named[TYPE_COUNT])
{
    for (struct map_item *i = map_first(s->types[type].entries); i != NULL; i = map_next(i)) {
        const struct entry *e = map_value(i);
        const struct need *n = e->active == NULL || e->dead ? NULL : e->active->needs;
        for (; n != NULL; n = n->next) {
            if (named[n->type] != NULL) {
                map_put(named[n->type], n->name, (void *)(uintptr_t)e);
            }
        }
    }
}

static bool bury_unnamed(struct config_store *s)
{
    static const enum resource_type namers[] = {TYPE_BACKEND, TYPE_PROGRAM, TYPE_PRODUCT, TYPE_API};
    struct map *named[TYPE_COUNT] = {NULL};
    bool any_gone = false, any = false;
    if (!s->maybe_gone) {
        return false;
    }
    for (int t = 0; t < TYPE_COUNT; t++) {
        for (struct map_item *i = resource_kinds[t].lingers ? map_first(s->types[t].entries) : NULL; i != NULL;
             i = map_next(i)) {
            const struct entry *e = map_value(i);
            any_gone = any_gone || (e->gone && !e->dead);
        }
        named[t] = resource_kinds[t].lingers ? map_create(NULL) : NULL;
    }
    for (size_t t = 0; any_gone && t < ARRAY_LEN(namers); t++) {
        note_named(s, namers[t], named);
    }
    for (int t = 0; t < TYPE_COUNT; t++) {
        for (struct map_item *i = any_gone && named[t] != NULL ? map_first(s->types[t].entries) : NULL; i != NULL;
             i = map_next(i)) {
            struct entry *e = map_value(i);
            if (e->gone && !e->dead && !map_has(named[t], e->name)) {
                store_touch(s, e);
                store_names_of(s, e->active);
                e->dead = any = true;
            }
        }
        map_destroy(&named[t]);
    }
    s->maybe_gone = any_gone;
    return any;
}

/* ---- names ---- */

static int by_text(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static bool is_static_value(const struct config_store *s, enum resource_type by, const struct need *n)
{
    return n->type == TYPE_SECRET && (by == TYPE_BACKEND || by == TYPE_PROGRAM) &&
           map_has(s->bootstrap->secrets, n->name);
}

static void collect(struct config_store *s, enum resource_type by, const struct form *f, struct map *const wanted[])
{
    for (const struct need *n = f == NULL ? NULL : f->needs; n != NULL; n = n->next) {
        if (!resource_kinds[n->type].wildcard && !is_static_value(s, by, n)) {
            map_put(wanted[n->type], n->name, s);
        }
    }
}

static void set_names(struct config_store *s, struct type_state *t, const struct map *wanted)
{
    t->names = arena_alloc(s->names_arena, (map_count(wanted) + 1) * sizeof *t->names);
    t->n_names = 0;
    for (struct map_item *i = map_first(wanted); i != NULL; i = map_next(i)) {
        t->names[t->n_names++] = arena_slice(s->names_arena, map_key(i));
    }
    if (t->n_names > 1) {
        qsort(t->names, t->n_names, sizeof *t->names, by_text);
    }
}

/* A named resource that nobody names any more is forgotten: xDS deletes those in no other way. */
static void forget_unnamed(struct config_store *s, enum resource_type type, const struct map *wanted)
{
    for (struct map_item *i = map_first(s->types[type].entries); i != NULL; i = map_next(i)) {
        struct entry *e = map_value(i);
        if (!e->dead && !map_has(wanted, e->name)) {
            entry_drop_warming(e);
            store_touch(s, e);
            e->dead = true;
            store_dirty(s, type);
        }
    }
}

void store_update_names(struct config_store *s)
{
    static const enum resource_type by[] = {TYPE_CLUSTER, TYPE_PROGRAM, TYPE_BACKEND, TYPE_LISTENER};
    struct map *wanted[TYPE_COUNT] = {NULL};
    if (!s->names_stale) {
        return;
    }
    s->names_stale = false;
    arena_reset(s->names_arena);
    for (int t = 0; t < TYPE_COUNT; t++) {
        wanted[t] = resource_kinds[t].wildcard ? NULL : map_create(NULL);
    }
    for (size_t k = 0; k < ARRAY_LEN(by); k++) {
        for (struct map_item *i = map_first(s->types[by[k]].entries); i != NULL; i = map_next(i)) {
            const struct entry *e = map_value(i);
            collect(s, by[k], e->dead ? NULL : e->active, wanted);
            collect(s, by[k], e->dead ? NULL : e->warming, wanted);
        }
    }
    for (int t = 0; t < TYPE_COUNT; t++) {
        if (wanted[t] != NULL) {
            set_names(s, &s->types[t], wanted[t]);
            forget_unnamed(s, (enum resource_type)t, wanted[t]);
            map_destroy(&wanted[t]);
        }
    }
}

void store_settle(struct config_store *s)
{
    bool more = true;
    while (more) {
        more = promote_all(s);
        if (map_count(s->changed_secrets) > 0) {
            rebuild_users(s);
            more = true;
        }
        more = bury_unnamed(s) || more;
    }
    store_update_names(s);
}
