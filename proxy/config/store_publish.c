#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/config/store_inside.h"

enum { LIST_KEPT = 1024 }; /* entries touched by one update */

/* ---- what an entry shows to the snapshot ---- */

static void *shown(const struct entry *e)
{
    void *object = e->dead || e->active == NULL ? NULL : e->active->object;
    if (e->type == TYPE_SECRET && object != NULL && ((struct secret *)object)->kind != SECRET_GENERIC) {
        return NULL; /* certificates live in the TLS contexts */
    }
    return object;
}

struct change_list {
    struct index_change *list;
    size_t n;
};

static struct change_list changes_of(const struct config_store *s, enum resource_type type)
{
    struct change_list c = {mem_alloc((s->n_touched + 1) * sizeof *c.list), 0};
    for (size_t i = 0; i < s->n_touched; i++) {
        const struct entry *e = s->touched[i];
        if (e->type == type && shown(e) != e->published) {
            c.list[c.n++] = (struct index_change){e->published, shown(e)};
        }
    }
    return c;
}

static bool is_type_changed(const struct config_store *s, enum resource_type type)
{
    for (size_t i = 0; i < s->n_touched; i++) {
        if (s->touched[i]->type == type && shown(s->touched[i]) != s->touched[i]->published) {
            return true;
        }
    }
    return false;
}

static struct index *update(const struct config_store *s, enum resource_type type, const struct index *old,
                            const struct index_kind *kind)
{
    struct change_list c = changes_of(s, type);
    struct index *ix = index_update(old, kind, c.list, c.n);
    mem_free(c.list);
    return ix;
}

/* ---- claims: the new form of an entry goes back to what served before ---- */

static bool is_new(const struct entry *e)
{
    return e != NULL && e->touched && !e->dead && e->active != e->before;
}

static void take_back(struct config_store *s, struct entry *e, const char *reason)
{
    store_refuse(s, e, e->name, e->active == NULL ? SLICE_NONE : e->active->version, reason);
    if (!is_new(e)) {
        return; /* named, as the other one, but what serves already goes on */
    }
    form_free(e->type, &e->active);
    e->active = e->before;
    e->dead = e->active == NULL;
    store_dirty(s, e->type);
}

static struct apim_api **active_apis(const struct config_store *s, size_t *n)
{
    const struct map *entries = s->types[TYPE_API].entries;
    struct apim_api **all = mem_alloc((map_count(entries) + 1) * sizeof(struct apim_api *));
    *n = 0;
    for (struct map_item *i = map_first(entries); i != NULL; i = map_next(i)) {
        void *object = shown(map_value(i));
        if (object != NULL) {
            all[(*n)++] = object;
        }
    }
    return all;
}

/* NULL: no API was ever received. A clash takes back the forms that are new, then it is tried again. */
static struct apim_table *build_table(struct config_store *s, struct apim_table *old)
{
    if (!is_type_changed(s, TYPE_API)) {
        return old == NULL ? NULL : apim_table_ref(old);
    }
    for (;;) {
        size_t n = 0;
        struct apim_clash clash = {NULL, NULL};
        struct err err;
        err_clear(&err);
        struct apim_api **apis = active_apis(s, &n);
        struct apim_table *table = apim_table_update(old, apis, n, &clash, &err);
        mem_free(apis);
        if (table != NULL) {
            return table;
        }
        struct entry *a = clash.first == NULL ? NULL : store_entry(s, TYPE_API, clash.first->conf.name);
        struct entry *b = clash.second == NULL ? NULL : store_entry(s, TYPE_API, clash.second->conf.name);
        if (!is_new(a) && !is_new(b)) {
            store_refuse(s, NULL, SLICE("apis"), SLICE_NONE, err.text);
            return old == NULL ? NULL : apim_table_ref(old);
        }
        take_back(s, a, err.text);
        take_back(s, b, err.text);
    }
}

static size_t mac_changes(const struct entry *e)
{
    if (e->type != TYPE_SUBSCRIPTION || shown(e) == e->published) {
        return 0;
    }
    const struct apim_object *before = e->published, *now = shown(e);
    return (before == NULL ? 0 : before->n_macs) + (now == NULL ? 0 : now->n_macs);
}

static struct index *update_macs(const struct config_store *s, const struct index *old)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_touched; i++) {
        n += mac_changes(s->touched[i]);
    }
    struct change_list c = {mem_alloc((n + 1) * sizeof *c.list), 0};
    for (size_t i = 0; i < s->n_touched; i++) {
        const struct entry *e = s->touched[i];
        if (e->type != TYPE_SUBSCRIPTION || shown(e) == e->published) {
            continue;
        }
        const struct apim_object *old_form = e->published, *now = shown(e);
        for (size_t k = 0; old_form != NULL && k < old_form->n_macs; k++) {
            c.list[c.n++] = (struct index_change){&old_form->macs[k], NULL};
        }
        for (size_t k = 0; now != NULL && k < now->n_macs; k++) {
            c.list[c.n++] = (struct index_change){NULL, &now->macs[k]};
        }
    }
    struct index *ix = index_update(old, &apim_mac_index, c.list, c.n);
    mem_free(c.list);
    return ix;
}

/* true: a pair was found, and taken back. */
static bool settle_macs(struct config_store *s, const struct index *macs)
{
    for (size_t i = 0; i < s->n_touched; i++) {
        struct entry *e = s->touched[i];
        const struct apim_object *now = e->type == TYPE_SUBSCRIPTION && is_new(e) ? shown(e) : NULL;
        for (size_t k = 0; now != NULL && k < now->n_macs; k++) {
            const struct apim_object *other = apim_mac_other(macs, &now->macs[k]);
            struct entry *o = other == NULL ? NULL : store_entry(s, TYPE_SUBSCRIPTION, other->name);
            if (o != NULL) {
                char mine[300], theirs[300];
                snprintf(mine, sizeof mine, "has the same key as %.*s", SLICE_ARG(slice_sub(o->name, 0, 250)));
                snprintf(theirs, sizeof theirs, "has the same key as %.*s", SLICE_ARG(slice_sub(e->name, 0, 250)));
                take_back(s, o, theirs);
                take_back(s, e, mine);
                return true;
            }
        }
    }
    return false;
}

static struct index *build_macs(struct config_store *s, const struct index *old)
{
    for (;;) {
        struct index *macs = update_macs(s, old);
        if (!settle_macs(s, macs)) {
            return macs;
        }
        index_unref(&macs);
    }
}

/* ---- the new snapshot ---- */

static bool is_any_changed(const struct config_store *s)
{
    for (size_t i = 0; i < s->n_touched; i++) {
        if (shown(s->touched[i]) != s->touched[i]->published) {
            return true;
        }
    }
    return false;
}

static struct apim_set *build_apim(struct config_store *s, struct apim_set *old)
{
    static const enum resource_type parts[] = {TYPE_API, TYPE_PRODUCT, TYPE_SUBSCRIPTION, TYPE_BACKEND, TYPE_PROGRAM};
    bool changed = false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        changed = changed || is_type_changed(s, parts[i]);
    }
    if (!changed) {
        return apim_set_ref(old);
    }
    struct apim_set *set = apim_set_create(old->keys, old->n_keys, old->counters);
    set->table = build_table(s, old->table);
    set->macs = build_macs(s, old->macs);
    set->products = update(s, TYPE_PRODUCT, old->products, &apim_object_index);
    set->subscriptions = update(s, TYPE_SUBSCRIPTION, old->subscriptions, &apim_object_index);
    set->backends = update(s, TYPE_BACKEND, old->backends, &apim_object_index);
    set->programs = update(s, TYPE_PROGRAM, old->programs, &apim_object_index);
    return set;
}

static bool has_apim_host(const struct route_table *t)
{
    const struct route_conf *c = t == NULL ? NULL : route_table_conf(t);
    for (size_t i = 0; c != NULL && i < c->vhost_count; i++) {
        if (c->vhosts[i].apim != NULL) {
            return true;
        }
    }
    return false;
}

static bool chain_wants_apim(const struct snapshot *s, const struct chain_conf *c)
{
    if (c == NULL || c->kind != CHAIN_HTTP) {
        return false;
    }
    return has_apim_host(c->hcm->inline_routes != NULL ? c->hcm->inline_routes : snapshot_routes(s, c->hcm->route_name));
}

static bool snapshot_wants_apim(const struct snapshot *s)
{
    for (size_t i = 0; i < snapshot_listener_count(s); i++) {
        const struct listener_conf *l = snapshot_listener_at(s, i);
        bool any = chain_wants_apim(s, l->default_chain);
        for (size_t k = 0; k < l->n_chains && !any; k++) {
            any = chain_wants_apim(s, &l->chains[k]);
        }
        if (any) {
            return true;
        }
    }
    return false;
}

static void forget_touched(struct config_store *s)
{
    for (size_t i = 0; i < s->n_touched; i++) {
        struct entry *e = s->touched[i];
        e->published = shown(e);
        if (e->before != NULL && e->before != e->active) {
            form_free(e->type, &e->before);
        }
        e->before = NULL;
        e->touched = false;
        if (e->dead && e->is_static) {
            e->dead = false; /* never goes: it may still come to life */
        }
        if (e->dead) {
            map_del(s->types[e->type].entries, e->name);
        }
    }
    s->n_touched = 0;
    if (s->touched_cap > LIST_KEPT) {
        mem_free(s->touched);
        s->touched = NULL;
        s->touched_cap = 0;
    }
}

bool store_publish(struct config_store *s)
{
    if (!is_any_changed(s)) {
        forget_touched(s);
        return false;
    }
    const struct snapshot *old = s->current;
    struct apim_set *apim = build_apim(s, old->apim); /* may take forms back */
    struct snapshot *now = snapshot_create(&s->bootstrap->yard, old->generation + 1);
    now->apim = apim;
    now->clusters = update(s, TYPE_CLUSTER, old->clusters, &cluster_index);
    now->endpoints = update(s, TYPE_ENDPOINTS, old->endpoints, &endpoint_index);
    now->listeners = update(s, TYPE_LISTENER, old->listeners, &listener_index);
    now->routes = update(s, TYPE_ROUTES, old->routes, &route_index);
    now->secrets = update(s, TYPE_SECRET, old->secrets, &secret_index);
    forget_touched(s);
    s->wants_apim = snapshot_wants_apim(now);
    snapshot_unref(&s->current);
    s->current = now;
    return true;
}
