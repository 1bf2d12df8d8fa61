#include "proxy/upstream/dns.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

struct name {
    struct dns *dns;
    char host[256];
    uint16_t port;
    enum resolve_family family;
    uint32_t refresh_ms;
    bool respect_ttl;
    bool wanted;
    struct resolve_query *query;
    struct timer timer;
    const struct host_addrs *addrs; /* NULL: not answered yet */
};

struct dns {
    struct loop *loop;
    struct resolver *resolver;
    void (*publish)(void *ctx, struct slice name, uint16_t port, const struct host_addrs *addrs);
    void *ctx;
    struct map *names; /* "host:port" → struct name */
};

const struct host_addrs *host_addrs_ref(const struct host_addrs *h)
{
    atomic_fetch_add(&((struct host_addrs *)(uintptr_t)h)->refs, 1);
    return h;
}

void host_addrs_unref(const struct host_addrs **h)
{
    if (*h != NULL && atomic_fetch_sub(&((struct host_addrs *)(uintptr_t)*h)->refs, 1) == 1) {
        mem_free((void *)(uintptr_t)*h);
    }
    *h = NULL;
}

static struct host_addrs *addrs_create(const struct resolve_answer *answer, const struct err *err)
{
    size_t n = err->kind == ERR_NONE ? answer->n : 0;
    struct host_addrs *h = mem_alloc(sizeof *h + n * sizeof h->addrs[0]);
    atomic_init(&h->refs, 1);
    h->n = n;
    snprintf(h->error, sizeof h->error, "%.*s", (int)sizeof h->error - 1, err->text);
    if (n > 0) {
        memcpy(h->addrs, answer->addrs, n * sizeof h->addrs[0]);
    }
    return h;
}

static bool same_addrs(const struct host_addrs *a, const struct host_addrs *b)
{
    if (a == NULL || a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (!addr_eq(&a->addrs[i], &b->addrs[i])) {
            return false;
        }
    }
    return true;
}

static void on_answer(void *ctx, const struct resolve_answer *answer, const struct err *err)
{
    struct name *n = ctx;
    n->query = NULL;
    uint64_t again = n->refresh_ms;
    if (err->kind == ERR_NONE && n->respect_ttl && answer->ttl_s > 0) {
        again = (uint64_t)answer->ttl_s * 1000;
    }
    timer_set_in(&n->timer, again);
    if (err->kind != ERR_NONE && n->addrs != NULL && n->addrs->n > 0) {
        return; /* a failure keeps what was known */
    }
    const struct host_addrs *fresh = addrs_create(answer, err);
    if (same_addrs(n->addrs, fresh)) {
        host_addrs_unref(&fresh);
        return;
    }
    host_addrs_unref(&n->addrs);
    n->addrs = fresh;
    n->dns->publish(n->dns->ctx, slice_of(n->host), n->port, fresh);
}

static void ask(struct name *n)
{
    if (n->query == NULL) {
        n->query = resolver_query(n->dns->resolver, slice_of(n->host), n->family, on_answer, n);
    }
}

static void on_refresh(struct timer *timer)
{
    ask(container_of(timer, struct name, timer));
}

static void name_destroy(void *p)
{
    struct name *n = p;
    resolver_cancel(&n->query);
    timer_cancel(&n->timer);
    host_addrs_unref(&n->addrs);
    mem_free(n);
}

struct dns *dns_create(struct loop *loop, struct resolver *resolver,
                       void (*publish)(void *ctx, struct slice name, uint16_t port, const struct host_addrs *addrs),
                       void *ctx)
{
    struct dns *d = mem_alloc(sizeof *d);
    d->loop = loop;
    d->resolver = resolver;
    d->publish = publish;
    d->ctx = ctx;
    d->names = map_create(name_destroy);
    return d;
}

void dns_destroy(struct dns **d)
{
    if (*d != NULL) {
        map_destroy(&(*d)->names);
        mem_free(*d);
        *d = NULL;
    }
}

static struct name *find(const struct dns *d, const struct endpoint_conf *ep, char key[300])
{
    snprintf(key, 300, "%.*s:%u", SLICE_ARG(ep->host), ep->port);
    return map_get(d->names, slice_of(key));
}

static void want(struct dns *d, const struct cluster_conf *c, const struct endpoint_conf *ep)
{
    char key[300];
    struct name *n = find(d, ep, key);
    bool fresh = n == NULL;
    if (fresh) {
        n = mem_alloc(sizeof *n);
        n->dns = d;
        n->port = ep->port;
        snprintf(n->host, sizeof n->host, "%.*s", SLICE_ARG(ep->host));
        timer_init(&n->timer, d->loop, on_refresh);
        map_put(d->names, slice_of(key), n);
    }
    n->wanted = true;
    n->family = c->dns_family;
    n->refresh_ms = c->dns_refresh_ms == 0 ? 5000 : c->dns_refresh_ms;
    n->respect_ttl = c->respect_dns_ttl;
    if (fresh) {
        ask(n);
    }
}

void dns_update(struct dns *d, const struct snapshot *snapshot)
{
    for (struct map_item *i = map_first(d->names); i != NULL; i = map_next(i)) {
        ((struct name *)map_value(i))->wanted = false;
    }
    for (size_t c = 0; c < snapshot_cluster_count(snapshot); c++) {
        const struct cluster_conf *conf = snapshot_cluster_at(snapshot, c);
        const struct endpoint_set *set = snapshot_endpoints(snapshot, conf);
        for (size_t e = 0; set != NULL && e < set->n; e++) {
            if (set->endpoints[e].kind == ENDPOINT_NAME) {
                want(d, conf, &set->endpoints[e]);
            }
        }
    }
    struct map_item *next;
    for (struct map_item *i = map_first(d->names); i != NULL; i = next) {
        next = map_next(i);
        if (!((struct name *)map_value(i))->wanted) {
            map_del(d->names, map_key(i));
        }
    }
}

void dns_refresh(struct dns *d, const struct snapshot *snapshot, struct slice cluster)
{
    const struct cluster_conf *conf = snapshot_cluster(snapshot, cluster);
    const struct endpoint_set *set = conf == NULL ? NULL : snapshot_endpoints(snapshot, conf);
    for (size_t e = 0; set != NULL && e < set->n; e++) {
        char key[300];
        struct name *n = set->endpoints[e].kind == ENDPOINT_NAME ? find(d, &set->endpoints[e], key) : NULL;
        if (n != NULL) {
            ask(n);
        }
    }
}

bool dns_is_settled(const struct dns *d)
{
    for (struct map_item *i = map_first(d->names); i != NULL; i = map_next(i)) {
        if (((struct name *)map_value(i))->addrs == NULL) {
            return false;
        }
    }
    return true;
}

void dns_replay(struct dns *d, void (*each)(void *ctx, struct slice name, uint16_t port, const struct host_addrs *addrs),
                void *ctx)
{
    for (struct map_item *i = map_first(d->names); i != NULL; i = map_next(i)) {
        const struct name *n = map_value(i);
        if (n->addrs != NULL) {
            each(ctx, slice_of(n->host), n->port, n->addrs);
        }
    }
}
