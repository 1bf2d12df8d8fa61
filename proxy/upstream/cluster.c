/* Clusters and their hosts as the snapshot and the resolver say; what did not change keeps its connections. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/upstream/internal.h"

enum { LAST_TURNS = 3 };

unsigned upstream_slot(const struct upstream *u)
{
    return loop_index(u->loop);
}

struct cluster *cluster_find(struct upstream *u, struct slice name)
{
    return map_get(u->clusters, name);
}

const struct tcp_conf *internal_target(const struct snapshot *s, struct slice listener)
{
    const struct listener_conf *l = snapshot_listener(s, listener);
    if (l == NULL || !l->internal) {
        return NULL;
    }
    const struct chain_conf *chain = l->n_chains > 0 ? &l->chains[0] : l->default_chain;
    return chain == NULL || chain->kind != CHAIN_TCP ? NULL : chain->tcp;
}

/* ---- hosts ---- */

static bool host_is(const struct host *h, const struct endpoint_conf *ep, const struct addr *addr)
{
    if (h->endpoint.kind != ep->kind) {
        return false;
    }
    if (ep->kind == ENDPOINT_INTERNAL) {
        return slice_eq(h->endpoint.host, ep->host);
    }
    return addr_eq(&h->addr, addr);
}

struct host_list {
    const struct endpoint_set *set;
    struct host **hosts;
    size_t n;
};

/* Takes the host over from `old` when it is there, so that its connections live on. */
static void add_host(struct cluster *c, struct host_list *fresh, const struct endpoint_conf *ep, const struct addr *addr)
{
    fresh->hosts = mem_resize(fresh->hosts, (fresh->n + 1) * sizeof(struct host *));
    for (size_t i = 0; i < c->n_hosts; i++) {
        if (c->hosts[i] != NULL && host_is(c->hosts[i], ep, addr)) {
            fresh->hosts[fresh->n] = c->hosts[i];
            host_describe(fresh->hosts[fresh->n++], fresh->set, ep);
            c->hosts[i] = NULL;
            return;
        }
    }
    fresh->hosts[fresh->n++] = host_create(c, fresh->set, ep, addr);
}

static void addrs_key(char *key, size_t size, struct slice name, uint16_t port)
{
    snprintf(key, size, "%.*s:%u", SLICE_ARG(name), port);
}

static void add_named(struct cluster *c, struct host_list *fresh, const struct endpoint_conf *ep)
{
    char key[300];
    addrs_key(key, sizeof key, ep->host, ep->port);
    const struct host_addrs *addrs = map_get(c->up->addrs, slice_of(key));
    if (addrs == NULL) {
        c->resolving = true;
        return;
    }
    if (addrs->n == 0) {
        snprintf(c->resolve_error, sizeof c->resolve_error, "%s", addrs->error);
    }
    size_t n = c->conf->type == CLUSTER_LOGICAL_DNS && addrs->n > 1 ? 1 : addrs->n;
    for (size_t i = 0; i < n; i++) {
        struct addr addr = addrs->addrs[i];
        addr_set_port(&addr, ep->port);
        add_host(c, fresh, ep, &addr);
    }
}

/* Rebuilds the host list from configuration and addresses. */
static void cluster_fill(struct cluster *c)
{
    const struct endpoint_set *set = snapshot_endpoints(c->up->snapshot, c->conf);
    struct host_list fresh = {.set = set};
    uint32_t priority = 0;
    c->resolving = set == NULL;
    c->resolve_error[0] = '\0';
    for (size_t i = 0; set != NULL && i < set->n; i++) {
        const struct endpoint_conf *ep = &set->endpoints[i];
        if (ep->priority != priority && (fresh.n > 0 || c->resolving)) {
            break; /* a lower level serves only when the one above has nobody */
        }
        priority = ep->priority;
        if (!ep->healthy) {
            continue;
        }
        if (ep->kind == ENDPOINT_NAME) {
            add_named(c, &fresh, ep);
        } else {
            add_host(c, &fresh, ep, &ep->addr);
        }
    }
    for (size_t i = 0; i < c->n_hosts; i++) {
        if (c->hosts[i] != NULL) {
            host_retire(c->hosts[i]);
        }
    }
    mem_free(c->hosts);
    c->hosts = fresh.hosts;
    c->n_hosts = fresh.n;
}

/* Those who waited for an address try again; acquire_start puts back who still has to wait. */
static void cluster_wake(struct cluster *c)
{
    struct list waiting;
    if (list_is_empty(&c->waiting)) {
        return;
    }
    waiting = c->waiting;
    waiting.next->prev = &waiting;
    waiting.prev->next = &waiting;
    list_init(&c->waiting);
    cluster_hold(c);
    for (struct list *l; (l = list_pop(&waiting)) != NULL;) {
        acquire_start(container_of(l, struct acquire, link));
    }
    cluster_release(c);
}

/* ---- life ---- */

void cluster_hold(struct cluster *c)
{
    c->holds++;
}

static void cluster_free(void *p)
{
    struct cluster *c = p;
    cluster_conf_unref(&c->conf);
    mem_free(c->hosts);
    mem_free(c);
}

void cluster_release(struct cluster *c)
{
    if (--c->holds > 0 || !c->gone) {
        return;
    }
    list_remove(&c->link);
    shared_cluster_stats_drop(c->up->shared, &c->stats);
    loop_free_later(c->up->loop, cluster_free, c);
}

static uint64_t recipe_of(const struct snapshot *s, const struct cluster_conf *conf, unsigned depth)
{
    uint64_t hash = conf->hash;
    const struct endpoint_set *set = snapshot_endpoints(s, conf);
    for (size_t i = 0; set != NULL && i < set->n && depth < 8; i++) {
        if (set->endpoints[i].kind != ENDPOINT_INTERNAL) {
            continue;
        }
        const struct listener_conf *l = snapshot_listener(s, set->endpoints[i].host);
        const struct tcp_conf *via = internal_target(s, set->endpoints[i].host);
        const struct cluster_conf *under = via == NULL ? NULL : snapshot_cluster(s, via->cluster);
        uint64_t parts[3] = {hash, l == NULL ? 0 : l->hash, under == NULL ? 0 : recipe_of(s, under, depth + 1)};
        hash = slice_hash(slice_make(parts, sizeof parts), depth);
    }
    return hash;
}

static struct cluster *cluster_create(struct upstream *u, const struct cluster_conf *conf, uint64_t recipe)
{
    struct cluster *c = mem_alloc(sizeof *c);
    list_init(&c->link);
    list_init(&c->waiting);
    c->up = u;
    c->conf = cluster_conf_ref(conf);
    c->recipe = recipe;
    c->holds = 1;
    c->shared = shared_cluster(u->shared, conf->name);
    shared_cluster_stats(u->shared, conf, &c->stats);
    c->client = (struct http_client_config){
        .h1 = conf->h1,
        .h2 = conf->h2,
        .buffer_limit = conf->buffer_limit,
        .keepalive_interval_ms = conf->keepalive_interval_ms,
        .keepalive_timeout_ms = conf->keepalive_timeout_ms,
    };
    cluster_fill(c);
    return c;
}

/* Out of service: what is in flight goes on, nothing new starts; who waits turns to the successor, if there is one. */
static void cluster_retire(struct cluster *c)
{
    c->gone = true;
    list_push(&c->up->draining, &c->link);
    while (!list_is_empty(&c->waiting)) {
        acquire_again(container_of(c->waiting.next, struct acquire, link));
    }
    for (size_t i = 0; i < c->n_hosts; i++) {
        host_retire(c->hosts[i]);
    }
    c->n_hosts = 0;
    cluster_release(c);
}

/* Nothing that the cluster's hosts and dials are made of has changed. A tunnel depends on another cluster. */
static bool is_same(const struct snapshot *before, const struct snapshot *now, const struct cluster *old,
                    const struct cluster_conf *conf)
{
    const struct endpoint_set *set = snapshot_endpoints(now, conf);
    if (old == NULL || old->conf != conf || before == NULL || set == NULL || snapshot_endpoints(before, conf) != set) {
        return false;
    }
    for (size_t i = 0; i < set->n; i++) {
        if (set->endpoints[i].kind == ENDPOINT_INTERNAL) {
            return false;
        }
    }
    return true;
}

static void update_cluster(struct upstream *u, const struct snapshot *before_all, const struct cluster_conf *conf)
{
    struct cluster *old = map_get(u->clusters, conf->name);
    if (is_same(before_all, u->snapshot, old, conf)) {
        return;
    }
    uint64_t recipe = recipe_of(u->snapshot, conf, 0);
    if (old != NULL && old->recipe == recipe) {
        struct cluster_conf *before = old->conf;
        old->conf = cluster_conf_ref(conf); /* host text points into it or its endpoints */
        cluster_fill(old);
        cluster_conf_unref(&before);
        cluster_wake(old);
        return;
    }
    struct cluster *fresh = cluster_create(u, conf, recipe);
    map_put(u->clusters, conf->name, fresh);
    if (old != NULL) {
        cluster_retire(old);
    }
}

void upstream_update(struct upstream *u, struct snapshot *snapshot)
{
    struct snapshot *before = u->snapshot;
    u->snapshot = snapshot_ref(snapshot);
    if (before != NULL && snapshot_same_upstreams(before, snapshot)) {
        snapshot_unref(&before);
        return; /* an edited API or key: not a look at thousands of clusters */
    }
    for (size_t i = 0; i < snapshot_cluster_count(snapshot); i++) {
        update_cluster(u, before, snapshot_cluster_at(snapshot, i));
    }
    struct map_item *next;
    for (struct map_item *i = map_first(u->clusters); i != NULL; i = next) {
        next = map_next(i);
        struct cluster *c = map_value(i);
        if (snapshot_cluster(snapshot, map_key(i)) == NULL) {
            map_take(u->clusters, c->conf->name);
            cluster_retire(c);
        }
    }
    snapshot_unref(&before);
}

void upstream_resolved(struct upstream *u, struct slice name, uint16_t port, const struct host_addrs *addrs)
{
    char key[300];
    addrs_key(key, sizeof key, name, port);
    const struct host_addrs *before = map_take(u->addrs, slice_of(key));
    map_put(u->addrs, slice_of(key), (void *)(uintptr_t)host_addrs_ref(addrs));
    host_addrs_unref(&before);
    for (struct map_item *i = map_first(u->clusters); i != NULL; i = map_next(i)) {
        struct cluster *c = map_value(i);
        const struct endpoint_set *set = snapshot_endpoints(u->snapshot, c->conf);
        for (size_t e = 0; set != NULL && e < set->n; e++) {
            if (set->endpoints[e].kind == ENDPOINT_NAME && set->endpoints[e].port == port &&
                slice_eq(set->endpoints[e].host, name)) {
                cluster_fill(c);
                cluster_wake(c);
                break;
            }
        }
    }
}

struct upstream *upstream_create(struct loop *loop, struct upstream_shared *shared)
{
    struct upstream *u = mem_alloc(sizeof *u);
    u->loop = loop;
    u->shared = shared;
    u->clusters = map_create(NULL);
    u->addrs = map_create(NULL);
    u->random = 0x9e3779b97f4a7c15u ^ (uint64_t)loop_now_us(loop) ^ ((uint64_t)loop_index(loop) << 32);
    list_init(&u->draining);
    list_init(&u->conns);
    return u;
}

void upstream_destroy(struct upstream **u)
{
    if (*u == NULL) {
        return;
    }
    struct upstream *up = *u;
    for (struct map_item *i; (i = map_first(up->clusters)) != NULL;) {
        struct cluster *c = map_value(i);
        map_take(up->clusters, map_key(i));
        cluster_retire(c);
    }
    pool_end_all(up);
    for (int i = 0; i < LAST_TURNS; i++) {
        loop_turn(up->loop, false); /* tunnels hear of their carrier's end and go */
    }
    for (struct map_item *i = map_first(up->addrs); i != NULL; i = map_next(i)) {
        const struct host_addrs *addrs = map_value(i);
        host_addrs_unref(&addrs);
    }
    map_destroy(&up->addrs);
    map_destroy(&up->clusters);
    snapshot_unref(&up->snapshot);
    mem_free(up);
    *u = NULL;
}

bool upstream_is_idle(const struct upstream *u)
{
    return u->streams == 0;
}

void upstream_drain_idle(struct upstream *u)
{
    for (struct map_item *i = map_first(u->clusters); i != NULL; i = map_next(i)) {
        struct cluster *c = map_value(i);
        for (size_t h = 0; h < c->n_hosts; h++) {
            pool_close_all(c->hosts[h]);
        }
    }
}

void upstream_describe(const struct upstream *u, struct strbuf *text)
{
    for (struct map_item *i = map_first(u->clusters); i != NULL; i = map_next(i)) {
        const struct cluster *c = map_value(i);
        for (size_t n = 0; n < c->n_hosts; n++) {
            host_print(c->hosts[n], text);
        }
    }
}
