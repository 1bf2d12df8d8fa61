/* A host's HTTP connections: idle and busy HTTP/1, shared HTTP/2, and those being dialled with who waits for them. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/upstream/internal.h"

struct conn {
    struct list link; /* in one of the host's lists */
    struct list every; /* in upstream.conns */
    struct host *host;
    struct dialer *dialer;
    struct http_client *client;
    struct timer idle; /* idle_timeout while nothing is open */
    unsigned streams;
    bool h2;
    bool draining; /* takes no new stream */
    bool counted;
    char sni[256]; /* auto_sni: which name it was made for */
};

static void conn_free(void *p)
{
    mem_free(p);
}

/* The pool is not in the way of a lent stream's events: it learns of its end through on_capacity. */
static void gauge_move(struct stat_handle *gauge, unsigned slot, int diff)
{
    if (diff > 0) {
        stat_add(gauge, slot, (uint64_t)diff);
    } else {
        stat_sub(gauge, slot, (uint64_t)-diff);
    }
}

static void count_active(struct conn *c, unsigned now)
{
    struct cluster *cluster = c->host->cluster;
    unsigned slot = upstream_slot(cluster->up);
    int diff = (int)now - (int)c->streams;
    if (diff == 0) {
        return;
    }
    c->streams = now;
    c->host->active = (unsigned)((int)c->host->active + diff);
    cluster->up->streams = (unsigned)((int)cluster->up->streams + diff);
    gauge_move(cluster->stats.rq_active, slot, diff);
    atomic_fetch_add_explicit(&cluster->shared->requests[0], (unsigned)diff, memory_order_relaxed);
}

/* Out of every list and count. The http_client and the dialer are gone already or are ended here. */
static void conn_end(struct conn *c)
{
    struct host *h = c->host;
    struct cluster *cluster = h->cluster;
    unsigned slot = upstream_slot(cluster->up);
    count_active(c, 0);
    timer_cancel(&c->idle);
    list_remove(&c->link);
    list_remove(&c->every);
    if (c->dialer != NULL) {
        h->n_dialing--;
        dialer_cancel(&c->dialer);
    }
    http_client_close(&c->client);
    if (c->counted) {
        stat_sub(cluster->stats.cx_active, slot, 1);
        stat_add(cluster->stats.cx_destroy, slot, 1);
    }
    atomic_fetch_sub_explicit(&cluster->shared->connections[0], 1, memory_order_relaxed);
    loop_free_later(cluster->up->loop, conn_free, c);
    host_release(h);
    cluster_release(cluster);
}

static bool conn_is_spent(const struct conn *c)
{
    uint32_t max = c->host->cluster->conf->max_requests;
    return c->draining || (max != 0 && http_client_opened(c->client) >= max);
}

static bool conn_can_take(struct conn *c, const struct acquire *a)
{
    if (conn_is_spent(c) || !http_client_can_open(c->client)) {
        return false;
    }
    if (c->host->cluster->conf->auto_sni && !slice_eq(slice_of(c->sni), route_host_of(a->request.authority))) {
        return false;
    }
    return !a->request.extended_connect || !c->h2 || http_client_extended_connect(c->client);
}

/* Lends one stream. The connection leaves the idle list. */
static void conn_serve(struct conn *c, struct acquire *a, bool reused)
{
    struct cluster *cluster = c->host->cluster;
    struct stream *s =
        http_client_open(c->client, a->request.arena, a->request.stream_events, a->request.stream_ctx);
    stat_add(cluster->stats.rq_total, upstream_slot(cluster->up), 1);
    timer_cancel(&c->idle);
    list_remove(&c->link);
    list_push(&c->host->busy, &c->link);
    count_active(c, http_client_streams(c->client));
    acquire_ready(a, s, reused);
}

static void dial(struct host *h, const struct acquire *a);

/* Who waits gets what this connection can carry; dials follow for the rest. */
static void serve_waiters(struct conn *c)
{
    struct host *h = c->host;
    bool first = http_client_opened(c->client) == 0;
    for (struct list *l = h->waiters.next, *next; l != &h->waiters; l = next) {
        next = l->next;
        struct acquire *a = container_of(l, struct acquire, link);
        if (conn_can_take(c, a)) {
            conn_serve(c, a, !first);
            first = false;
            next = h->waiters.next; /* on_ready may have changed the list */
            if (!http_client_can_open(c->client)) {
                return;
            }
        }
    }
}

static void on_idle_timeout(struct timer *timer)
{
    struct conn *c = container_of(timer, struct conn, idle);
    if (c->streams == 0) {
        conn_end(c);
    }
}

static void conn_rest(struct conn *c)
{
    list_remove(&c->link);
    list_push_front(c->h2 ? &c->host->busy : &c->host->idle, &c->link);
    if (c->host->cluster->conf->idle_timeout_ms != 0) {
        timer_set_in(&c->idle, c->host->cluster->conf->idle_timeout_ms);
    }
}

static void on_capacity(void *ctx)
{
    struct conn *c = ctx;
    count_active(c, http_client_streams(c->client));
    if (conn_is_spent(c) || c->host->gone || c->host->cluster->gone) {
        if (c->streams == 0) {
            conn_end(c);
        }
        return;
    }
    if (!list_is_empty(&c->host->waiters) && http_client_can_open(c->client)) {
        serve_waiters(c);
        return;
    }
    if (c->streams == 0 && http_client_can_open(c->client)) {
        conn_rest(c);
    }
}

static void on_conn_closed(void *ctx, const struct err *why)
{
    struct conn *c = ctx;
    struct host *h = c->host;
    (void)why;
    c->client = NULL;
    h->holds++;
    cluster_hold(h->cluster);
    conn_end(c);
    /* An HTTP/2 connection may have been what waiters counted on. */
    if (!h->gone && h->n_dialing == 0 && !list_is_empty(&h->waiters)) {
        dial(h, container_of(h->waiters.next, struct acquire, link));
    }
    struct cluster *cluster = h->cluster;
    host_release(h);
    cluster_release(cluster);
}

static const struct http_client_events client_events = {.on_capacity = on_capacity, .on_closed = on_conn_closed};

static bool speaks_h2(const struct host *h, const struct transport *t)
{
    switch (h->cluster->conf->protocol) {
    case UPSTREAM_HTTP1:
        return false;
    case UPSTREAM_HTTP2:
        return true;
    case UPSTREAM_AUTO:
    case UPSTREAM_AS_DOWNSTREAM:
        break;
    }
    return slice_eq(t->info.alpn, SLICE("h2"));
}

/* Dials for those who wait beyond what is under way: one dial carries many on HTTP/2, one each on HTTP/1. */
static void dial_for_rest(struct host *h)
{
    struct list *l = h->waiters.next;
    for (unsigned i = 0; i < h->n_dialing && l != &h->waiters; i++) {
        l = l->next;
    }
    for (; l != &h->waiters; l = l->next) {
        dial(h, container_of(l, struct acquire, link));
    }
}

static void on_dialled(void *ctx, struct transport **t)
{
    struct conn *c = ctx;
    struct host *h = c->host;
    struct cluster *cluster = h->cluster;
    unsigned slot = upstream_slot(cluster->up);
    c->dialer = NULL;
    h->n_dialing--;
    c->h2 = speaks_h2(h, *t);
    stat_add(c->h2 ? cluster->stats.cx_http2_total : cluster->stats.cx_http1_total, slot, 1);
    stat_add(cluster->stats.cx_active, slot, 1);
    c->counted = true;
    c->client = http_client_create(t, c->h2, &cluster->client, &client_events, c);
    list_remove(&c->link);
    list_push(&h->busy, &c->link);
    if (h->gone) {
        conn_end(c);
        return;
    }
    h->holds++;
    cluster_hold(cluster);
    serve_waiters(c);
    if (c->client != NULL && http_client_streams(c->client) == 0 && http_client_can_open(c->client)) {
        conn_rest(c);
    }
    if (!c->h2) {
        dial_for_rest(h);
    }
    host_release(h);
    cluster_release(cluster);
}

static void on_dial_failed(void *ctx, const struct err *why)
{
    struct conn *c = ctx;
    struct host *h = c->host;
    struct cluster *cluster = h->cluster;
    bool shared_dial = cluster->conf->protocol == UPSTREAM_HTTP2;
    unsigned slot = upstream_slot(cluster->up);
    stat_add(why->kind == ERR_TIMEOUT ? cluster->stats.cx_connect_timeout : cluster->stats.cx_connect_fail, slot, 1);
    c->dialer = NULL;
    h->n_dialing--;
    h->holds++;
    cluster_hold(cluster);
    conn_end(c);
    while (!list_is_empty(&h->waiters) && (shared_dial || h->n_waiters > h->n_dialing)) {
        stat_add(cluster->stats.rq_pending_failure_eject, slot, 1);
        acquire_fail(container_of(h->waiters.next, struct acquire, link), why);
        if (!shared_dial) {
            break;
        }
    }
    host_release(h);
    cluster_release(cluster);
}

static const struct dialer_events dial_events = {.on_done = on_dialled, .on_failed = on_dial_failed};

static void dial(struct host *h, const struct acquire *a)
{
    struct cluster *cluster = h->cluster;
    struct conn *c = mem_alloc(sizeof *c);
    struct slice sni = SLICE_NONE;
    c->host = h;
    h->holds++;
    cluster_hold(cluster);
    list_init(&c->link);
    list_push(&cluster->up->conns, &c->every);
    timer_init(&c->idle, cluster->up->loop, on_idle_timeout);
    if (cluster->conf->auto_sni) {
        sni = route_host_of(a->request.authority);
        if (sni.n < sizeof c->sni) {
            memcpy(c->sni, sni.p, sni.n);
        }
    }
    stat_add(cluster->stats.cx_total, upstream_slot(cluster->up), 1);
    atomic_fetch_add_explicit(&cluster->shared->connections[0], 1, memory_order_relaxed);
    list_push(&h->dialing, &c->link);
    h->n_dialing++;
    c->dialer = dialer_start(h, sni, &dial_events, c);
}

static struct conn *find_open(struct host *h, struct acquire *a)
{
    for (struct list *l = h->idle.next; l != &h->idle; l = l->next) {
        struct conn *c = container_of(l, struct conn, link);
        if (conn_can_take(c, a)) {
            return c;
        }
    }
    if (h->cluster->conf->protocol == UPSTREAM_HTTP1) {
        return NULL;
    }
    for (struct list *l = h->busy.next; l != &h->busy; l = l->next) {
        struct conn *c = container_of(l, struct conn, link);
        if (c->h2 && conn_can_take(c, a)) {
            return c;
        }
    }
    return NULL;
}

void pool_serve(struct host *h, struct acquire *a)
{
    struct cluster *cluster = h->cluster;
    struct conn *c = a->request.fresh ? NULL : find_open(h, a);
    if (c != NULL) {
        conn_serve(c, a, true);
        return;
    }
    stat_add(cluster->stats.rq_pending_total, upstream_slot(cluster->up), 1);
    a->state = ACQUIRE_WAITING;
    list_push(&h->waiters, &a->link);
    h->n_waiters++;
    bool shared_dial = cluster->conf->protocol == UPSTREAM_HTTP2;
    unsigned limit = cluster->conf->breakers[0].max_connections;
    if (shared_dial ? h->n_dialing > 0 && !cluster->conf->auto_sni : h->n_dialing >= h->n_waiters) {
        return;
    }
    if (h->n_dialing > 0 && atomic_load_explicit(&cluster->shared->connections[0], memory_order_relaxed) >= limit) {
        stat_add(cluster->stats.cx_overflow, upstream_slot(cluster->up), 1);
        return; /* waits for one that is there */
    }
    dial(h, a);
}

static void close_list(struct list *conns)
{
    for (struct list *l = conns->next, *next; l != conns; l = next) {
        next = l->next;
        struct conn *c = container_of(l, struct conn, link);
        c->draining = true;
        if (c->streams == 0) {
            conn_end(c);
        }
    }
}

void pool_close_all(struct host *h)
{
    h->holds++;
    close_list(&h->idle);
    close_list(&h->busy);
    if (list_is_empty(&h->waiters) || h->gone) {
        close_list(&h->dialing);
    }
    if (h->gone) {
        struct err err;
        err_set(&err, ERR_NOT_FOUND, "the endpoint was removed");
        err.retry = ERR_RETRY_ALWAYS;
        while (!list_is_empty(&h->waiters)) {
            acquire_fail(container_of(h->waiters.next, struct acquire, link), &err);
        }
    }
    host_release(h);
}

void pool_end_all(struct upstream *u)
{
    while (!list_is_empty(&u->conns)) {
        conn_end(container_of(u->conns.next, struct conn, every));
    }
}
