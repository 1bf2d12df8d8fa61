#include "proxy/config/store.h"

#include <string.h>

#include "base/mem.h"
#include "proto/pack.h"
#include "proxy/config/store_inside.h"

enum { RECLAIM_SLICE = 1000 }; /* objects a call */

/* ---- what builders may look up ---- */

static const struct secret *find_secret(void *ctx, bool from_bootstrap, struct slice name)
{
    struct config_store *s = ctx;
    if (from_bootstrap) {
        return map_get(s->bootstrap->secrets, name);
    }
    const struct entry *e = store_entry(s, TYPE_SECRET, name);
    return e == NULL || e->active == NULL || e->dead ? NULL : e->active->object;
}

static bool has_cluster(void *ctx, struct slice name)
{
    struct config_store *s = ctx;
    const struct entry *e = store_entry(s, TYPE_CLUSTER, name);
    return s->bootstrap->wants_cds || (e != NULL && !e->dead);
}

/* ---- the bootstrap's own resources ---- */

static bool add_static(struct config_store *s, enum resource_type type, const char *name, const pb_message *m,
                       struct err *err)
{
    struct arena *arena = arena_create(0);
    struct form *f = form_create(s, type, pack_message(m, arena), SLICE_NONE, true, err);
    arena_destroy(&arena);
    if (f == NULL) {
        return false;
    }
    struct entry *e = store_add_entry(s, type, slice_of(name));
    e->is_static = true;
    entry_take(s, e, f);
    return true;
}

static bool add_all_static(struct config_store *s, struct err *err)
{
    const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *m = s->bootstrap->message->static_resources;
    for (size_t i = 0; m != NULL && i < m->n_clusters; i++) {
        if (!add_static(s, TYPE_CLUSTER, m->clusters[i]->name, &m->clusters[i]->base, err)) {
            return err_prefix(err, "static_resources.clusters[%zu]", i);
        }
    }
    for (size_t i = 0; m != NULL && i < m->n_listeners; i++) {
        if (!add_static(s, TYPE_LISTENER, m->listeners[i]->name, &m->listeners[i]->base, err)) {
            return err_prefix(err, "static_resources.listeners[%zu]", i);
        }
    }
    return true;
}

/* The first snapshot: empty but for the bootstrap's generic secrets, which nobody can change. */
static void begin(struct config_store *s)
{
    struct config_bootstrap *b = s->bootstrap;
    s->current = snapshot_create(&b->yard, 1);
    s->current->apim = apim_set_create(b->mac_keys, b->n_mac_keys, NULL);
    struct index_change *changes = mem_alloc((map_count(b->secrets) + 1) * sizeof *changes);
    size_t n = 0;
    for (struct map_item *i = map_first(b->secrets); i != NULL; i = map_next(i)) {
        const struct secret *secret = map_value(i);
        if (secret->kind == SECRET_GENERIC) {
            changes[n++] = (struct index_change){NULL, secret};
        }
    }
    s->current->secrets = index_update(NULL, &secret_index, changes, n);
    mem_free(changes);
}

struct config_store *store_create(struct config_bootstrap *b, const struct extension_registry *r, struct err *err)
{
    struct config_store *s = mem_alloc(sizeof *s);
    s->bootstrap = b;
    s->env = bootstrap_env(b);
    s->env.extensions = r;
    s->env.find_secret = find_secret;
    s->env.has_cluster = has_cluster;
    s->env.ctx = s;
    s->env.is_static = false;
    s->env.unknown_fields = &s->unknown_fields;
    s->changed_secrets = map_create(NULL);
    s->names_arena = arena_create(0);
    strbuf_init(&s->refusals);
    for (int t = 0; t < TYPE_COUNT; t++) {
        s->types[t].entries = map_create(entry_free);
        list_init(&s->types[t].warming);
        s->urls[t] = slice_of(resource_kinds[t].url);
    }
    begin(s);
    if (!add_all_static(s, err)) {
        store_destroy(&s);
        return NULL;
    }
    store_settle(s);
    store_publish(s);
    for (int t = 0; t < TYPE_COUNT; t++) {
        s->types[t].dirty = false;
    }
    return s;
}

void store_destroy(struct config_store **s)
{
    struct config_store *old = *s;
    *s = NULL;
    if (old == NULL) {
        return;
    }
    snapshot_unref(&old->current);
    for (int t = 0; t < TYPE_COUNT; t++) {
        map_destroy(&old->types[t].entries);
        mem_free((void *)(uintptr_t)old->types[t].version.p);
    }
    graveyard_dig(&old->bootstrap->yard, SIZE_MAX);
    map_destroy(&old->changed_secrets);
    arena_destroy(&old->names_arena);
    strbuf_fini(&old->refusals);
    mem_free(old->touched);
    mem_free(old);
}

struct snapshot *store_snapshot(struct config_store *s)
{
    return s->current;
}

size_t store_unknown_fields(const struct config_store *s)
{
    return s->unknown_fields;
}

void store_reclaim(struct config_store *s)
{
    graveyard_dig(&s->bootstrap->yard, RECLAIM_SLICE);
}

/* ---- subscriptions ---- */

static bool is_subscribed(const struct config_store *s, enum resource_type type)
{
    return type == TYPE_CLUSTER ? s->bootstrap->wants_cds : type == TYPE_LISTENER ? s->bootstrap->wants_lds : true;
}

size_t store_types(const struct config_store *s, const struct slice **type_urls)
{
    *type_urls = s->urls;
    return TYPE_COUNT;
}

size_t store_names(const struct config_store *s, struct slice type_url, const struct slice **names)
{
    static const struct slice all = {"*", 1};
    enum resource_type type;
    *names = NULL;
    if (!store_find_type(type_url, &type) || !is_subscribed(s, type)) {
        return 0;
    }
    *names = resource_kinds[type].wildcard ? &all : s->types[type].names;
    return resource_kinds[type].wildcard ? 1 : s->types[type].n_names;
}

size_t store_versions(const struct config_store *s, struct slice type_url, struct arena *arena,
                      const struct store_version **out)
{
    enum resource_type type;
    size_t n = 0;
    *out = NULL;
    if (!store_find_type(type_url, &type) || (s->types[type].loaded && !resource_kinds[type].wildcard)) {
        return 0;
    }
    const struct map *entries = s->types[type].entries;
    struct store_version *all = arena_alloc(arena, (map_count(entries) + 1) * sizeof *all);
    for (struct map_item *i = map_first(entries); i != NULL; i = map_next(i)) {
        const struct entry *e = map_value(i);
        const struct form *f = e->is_static || e->gone || e->dead ? NULL : entry_latest(e);
        if (f != NULL && f->version.n > 0) {
            all[n++] = (struct store_version){e->name, f->version};
        }
    }
    *out = all;
    return n;
}

/* ---- readiness ---- */

static void say(struct strbuf *why, const char *text, struct slice name)
{
    strbuf_printf(why, "%s%s%.*s", why->n == 0 ? "" : "; ", text, SLICE_ARG(name));
}

static bool is_missing(const struct config_store *s, enum resource_type type)
{
    return is_subscribed(s, type) && !s->types[type].answered && !s->types[type].loaded;
}

static void say_needs(const struct config_store *s, const struct entry *e, struct strbuf *why)
{
    for (const struct need *n = e->warming->needs; n != NULL; n = n->next) {
        const struct entry *held = map_get(s->types[n->type].entries, n->name);
        if (held == NULL || held->active == NULL) {
            strbuf_printf(why, " %s \"%.*s\"", n->type == TYPE_SECRET ? "secret" : "route configuration",
                          SLICE_ARG(n->name));
        }
    }
}

/* From disk without its sealed secrets: such calls fail closed, the others are served. */
static void say_lenient(const struct config_store *s, struct strbuf *why)
{
    for (size_t i = 0; s->lenient_backends && i < s->types[TYPE_SECRET].n_names; i++) {
        const struct entry *e = map_get(s->types[TYPE_SECRET].entries, s->types[TYPE_SECRET].names[i]);
        if (e == NULL || e->active == NULL) {
            say(why, "started from disk without secret ", s->types[TYPE_SECRET].names[i]);
        }
    }
}

bool store_is_ready(const struct config_store *s, struct strbuf *why)
{
    bool dynamic = s->bootstrap->has_ads;
    size_t before = why->n;
    for (int t = 0; t < TYPE_COUNT && dynamic; t++) {
        bool apim = t >= TYPE_PROGRAM && t <= TYPE_API;
        if (resource_kinds[t].wildcard && is_missing(s, (enum resource_type)t) && (!apim || s->wants_apim)) {
            say(why, "no answer yet for ", slice_of(resource_kinds[t].url + strlen("type.googleapis.com/")));
        }
    }
    for (struct map_item *i = map_first(s->types[TYPE_LISTENER].entries); i != NULL; i = map_next(i)) {
        const struct entry *e = map_value(i);
        if (e->warming != NULL && e->active == NULL) {
            say(why, "listener waits: ", e->name);
            say_needs(s, e, why);
        }
    }
    bool ready = why->n == before;
    say_lenient(s, why);
    return ready;
}
