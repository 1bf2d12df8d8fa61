#include "proxy/config/snapshot.h"

#include "base/arena.h"
#include "base/macros.h"
#include "base/mem.h"
#include "proxy/config/apim_set.h"
#include "proxy/config/secret.h"
#include "proxy/config/snapshot_build.h"

static bool last_ref(atomic_uint *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

/* ---- clusters, endpoints, listeners: everything in them lives in their arena, the object too ---- */

static void cluster_free(struct grave *g)
{
    struct cluster_conf *c = container_of(g, struct cluster_conf, grave);
    struct arena *arena = c->arena;
    cleanup_run(c->cleanups);
    arena_destroy(&arena);
}

struct cluster_conf *cluster_conf_ref(const struct cluster_conf *c)
{
    struct cluster_conf *mine = (struct cluster_conf *)(uintptr_t)c;
    atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

void cluster_conf_unref(struct cluster_conf **c)
{
    struct cluster_conf *old = *c;
    *c = NULL;
    if (old != NULL && last_ref(&old->refs)) {
        grave_bury(&old->grave, cluster_free);
    }
}

static void endpoints_free(struct grave *g)
{
    struct arena *arena = container_of(g, struct endpoint_set, grave)->arena;
    arena_destroy(&arena);
}

struct endpoint_set *endpoint_set_ref(const struct endpoint_set *e)
{
    struct endpoint_set *mine = (struct endpoint_set *)(uintptr_t)e;
    atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

void endpoint_set_unref(struct endpoint_set **e)
{
    struct endpoint_set *old = *e;
    *e = NULL;
    if (old != NULL && last_ref(&old->refs)) {
        grave_bury(&old->grave, endpoints_free);
    }
}

static void listener_free(struct grave *g)
{
    struct listener_conf *l = container_of(g, struct listener_conf, grave);
    cleanup_run(l->cleanups);
    struct arena *arena = l->arena;
    arena_destroy(&arena);
}

struct listener_conf *listener_conf_ref(const struct listener_conf *l)
{
    struct listener_conf *mine = (struct listener_conf *)(uintptr_t)l;
    atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

void listener_conf_unref(struct listener_conf **l)
{
    struct listener_conf *old = *l;
    *l = NULL;
    if (old != NULL && last_ref(&old->refs)) {
        grave_bury(&old->grave, listener_free);
    }
}

/* ---- secrets ---- */

static void wipe(struct slice s)
{
    if (s.n > 0) {
        mem_wipe((void *)(uintptr_t)s.p, s.n);
    }
}

static void secret_free(struct grave *g)
{
    struct secret *s = container_of(g, struct secret, grave);
    wipe(s->value);
    wipe(s->certificate.key.text);
    cleanup_run(s->cleanups);
    struct arena *arena = s->arena;
    arena_destroy(&arena);
}

struct secret *secret_ref(const struct secret *s)
{
    struct secret *mine = (struct secret *)(uintptr_t)s;
    atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
    return mine;
}

void secret_unref(struct secret **s)
{
    struct secret *old = *s;
    *s = NULL;
    if (old != NULL && last_ref(&old->refs)) {
        grave_bury(&old->grave, secret_free);
    }
}

/* ---- indexes ---- */

#define INDEX_OF(prefix, type, name_of, ref_fn, unref_fn)                                                              \
    static struct slice prefix##_key(const void *object)                                                               \
    {                                                                                                                  \
        const type *o = object;                                                                                        \
        return name_of;                                                                                                \
    }                                                                                                                  \
    static void prefix##_hold(const void *object)                                                                      \
    {                                                                                                                  \
        ref_fn((type *)(uintptr_t)object);                                                                             \
    }                                                                                                                  \
    static void prefix##_drop(const void *object)                                                                      \
    {                                                                                                                  \
        type *o = (type *)(uintptr_t)object;                                                                           \
        unref_fn(&o);                                                                                                  \
    }                                                                                                                  \
    const struct index_kind prefix##_index = {prefix##_key, prefix##_hold, prefix##_drop};

INDEX_OF(cluster, struct cluster_conf, o->name, cluster_conf_ref, cluster_conf_unref)
INDEX_OF(endpoint, struct endpoint_set, o->name, endpoint_set_ref, endpoint_set_unref)
INDEX_OF(listener, struct listener_conf, o->name, listener_conf_ref, listener_conf_unref)
INDEX_OF(route, struct route_table, route_table_conf(o)->name, route_table_ref, route_table_unref)
INDEX_OF(secret, struct secret, o->name, secret_ref, secret_unref)

/* ---- the whole ---- */

struct snapshot *snapshot_create(struct graveyard *yard, uint64_t generation)
{
    struct snapshot *s = mem_alloc(sizeof *s);
    atomic_init(&s->refs, 1);
    s->grave.yard = yard;
    s->generation = generation;
    return s;
}

static void snapshot_free(struct grave *g)
{
    struct snapshot *s = container_of(g, struct snapshot, grave);
    index_unref(&s->clusters);
    index_unref(&s->endpoints);
    index_unref(&s->listeners);
    index_unref(&s->routes);
    index_unref(&s->secrets);
    apim_set_unref(&s->apim);
    mem_free(s);
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot **s)
{
    struct snapshot *old = *s;
    *s = NULL;
    if (old != NULL && last_ref(&old->refs)) {
        grave_bury(&old->grave, snapshot_free);
    }
}

uint64_t snapshot_generation(const struct snapshot *s)
{
    return s->generation;
}

const struct cluster_conf *snapshot_cluster(const struct snapshot *s, struct slice name)
{
    return index_find(s->clusters, name);
}

const struct endpoint_set *snapshot_endpoints(const struct snapshot *s, const struct cluster_conf *c)
{
    return c->type == CLUSTER_EDS ? index_find(s->endpoints, c->eds_name) : c->inline_endpoints;
}

const struct listener_conf *snapshot_listener(const struct snapshot *s, struct slice name)
{
    return index_find(s->listeners, name);
}

const struct route_table *snapshot_routes(const struct snapshot *s, struct slice name)
{
    return index_find(s->routes, name);
}

const struct apim_set *snapshot_apim(const struct snapshot *s)
{
    return s->apim;
}

bool snapshot_secret(const struct snapshot *s, struct slice name, struct slice *value)
{
    const struct secret *secret = index_find(s->secrets, name);
    if (secret == NULL || secret->kind != SECRET_GENERIC) {
        return false;
    }
    *value = secret->value;
    return true;
}

bool snapshot_same_upstreams(const struct snapshot *a, const struct snapshot *b)
{
    return a->clusters == b->clusters && a->endpoints == b->endpoints && a->listeners == b->listeners;
}

size_t snapshot_cluster_count(const struct snapshot *s)
{
    return index_count(s->clusters);
}

const struct cluster_conf *snapshot_cluster_at(const struct snapshot *s, size_t i)
{
    return index_at(s->clusters, i);
}

size_t snapshot_listener_count(const struct snapshot *s)
{
    return index_count(s->listeners);
}

const struct listener_conf *snapshot_listener_at(const struct snapshot *s, size_t i)
{
    return index_at(s->listeners, i);
}
