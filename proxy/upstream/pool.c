/* A host's HTTP connections: idle and busy HTTP/1, shared HTTP/2, and those being dialled with who waits for them. */
#include <string.h>

#include "base/mem.h"
#include "proxy/upstream/conn.h"

/* ---- dials ---- */

static const struct dialer_events dial_events;

static void on_idle_timeout(struct timer *timer)
{
    struct conn *c = container_of(timer, struct conn, idle);
    if (c->streams == 0) {
        conn_end(c);
    }
}

static void on_age(struct timer *timer)
{
    struct conn *c = container_of(timer, struct conn, age);
    c->draining = true;
    if (c->streams == 0) {
        conn_end(c);
    }
}

static void dial(struct host *h, const struct acquire *a)
{
    struct cluster *cluster = h->cluster;
    struct conn *c = mem_alloc(sizeof *c);
    struct slice sni = conn_name_for(h, a);
    c->host = h;
    h->holds++;
    cluster_hold(cluster);
    list_init(&c->link);
    list_push(&cluster->up->conns, &c->every);
    timer_init(&c->idle, cluster->up->loop, on_idle_timeout);
    timer_init(&c->age, cluster->up->loop, on_age);
    memcpy(c->sni, sni.n == 0 ? "" : sni.p, sni.n);
    stat_add(cluster->stats.cx_total, upstream_slot(cluster->up), 1);
    host_add(h, HOST_cx_total, 1);
    atomic_fetch_add_explicit(&cluster->shared->connections, 1, memory_order_relaxed);
    list_push(&h->dialing, &c->link);
    h->n_dialing++;
    c->dialer = dialer_start(h, sni, &dial_events, c);
}

/* Whether a dial that is under way will do for this waiter: on HTTP/2 any of its name, on HTTP/1 one each. */
static bool is_covered(const struct host *h, const struct acquire *a)
{
    struct slice sni = conn_name_for(h, a);
    unsigned dials = 0, before = 0;
    for (const struct list *l = h->dialing.next; l != &h->dialing; l = l->next) {
        dials += slice_eq(slice_of(container_of(l, struct conn, link)->sni), sni);
    }
    if (dials == 0 || h->cluster->conf->protocol == UPSTREAM_HTTP2) {
        return dials > 0;
    }
    for (const struct list *l = h->waiters.next; l != &a->link; l = l->next) {
        before += slice_eq(conn_name_for(h, container_of(l, struct acquire, link)), sni);
    }
    return before < dials;
}

/* Past the breaker's limit a host keeps the one connection it needs to get on at all. */
static bool may_dial(const struct host *h)
{
    unsigned limit = h->cluster->conf->breakers[0].max_connections;
    return atomic_load_explicit(&h->cluster->shared->connections, memory_order_relaxed) < limit ||
           (list_is_empty(&h->idle) && list_is_empty(&h->busy) && list_is_empty(&h->dialing));
}

static void dial_for_waiters(struct host *h)
{
    bool shared = h->cluster->conf->protocol == UPSTREAM_HTTP2, by_name = h->cluster->conf->auto_sni;
    unsigned rank = 0;
    if (h->gone || (!by_name && h->n_dialing >= (shared ? 1 : h->n_waiters))) {
        return;
    }
    for (struct list *l = h->waiters.next; l != &h->waiters; l = l->next) {
        struct acquire *a = container_of(l, struct acquire, link);
        bool covered = by_name || shared ? is_covered(h, a) : rank++ < h->n_dialing;
        if (!covered && !may_dial(h)) {
            stat_add(h->cluster->stats.cx_overflow, upstream_slot(h->cluster->up), 1);
            return; /* they wait for one that is there */
        }
        if (!covered) {
            dial(h, a);
        }
    }
}

/* ---- streams on what is open ---- */

/* Lends one stream. The connection leaves the idle list. */
static void conn_serve(struct conn *c, struct acquire *a, bool reused)
{
    struct cluster *cluster = c->host->cluster;
    struct stream *s =
        http_client_open(c->client, a->request.arena, a->request.stream_events, a->request.stream_ctx);
    stat_add(cluster->stats.rq_total, upstream_slot(cluster->up), 1);
    host_add(c->host, HOST_rq_total, 1);
    c->served = c->served || !c->h2; /* one HTTP/2 dial may carry several of those who wait for a fresh connection */
    timer_cancel(&c->idle);
    list_remove(&c->link);
    list_push(&c->host->busy, &c->link);
    conn_count(c, http_client_streams(c->client));
    acquire_ready(a, s, reused);
}

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

static void conn_rest(struct conn *c)
{
    list_remove(&c->link);
    list_push_front(c->h2 ? &c->host->busy : &c->host->idle, &c->link);
    if (c->host->cluster->conf->idle_timeout_ms != 0) {
        timer_set_in(&c->idle, c->host->cluster->conf->idle_timeout_ms);
    }
}

/* The connection has ended: who counted on it gets another. */
static void conn_end_and_redial(struct conn *c)
{
    struct host *h = c->host;
    struct cluster *cluster = h->cluster;
    h->holds++;
    cluster_hold(cluster);
    conn_end(c);
    dial_for_waiters(h);
    host_release(h);
    cluster_release(cluster);
}

static void on_capacity(void *ctx)
{
    struct conn *c = ctx;
    c->served = c->served || c->streams > http_client_streams(c->client);
    conn_count(c, http_client_streams(c->client));
    if (conn_is_spent(c) || c->host->gone || c->host->cluster->gone) {
        if (c->streams == 0) {
            conn_end_and_redial(c);
        }
        return;
    }
    if (http_client_can_open(c->client)) {
        serve_waiters(c);
        if (c->streams == 0) {
            conn_rest(c);
        }
    }
}

/* Those who waited for this dial fail with it. */
static void eject_waiters(struct conn *c, const struct err *why)
{
    struct host *h = c->host;
    struct stat_handle *ejected = h->cluster->stats.rq_pending_failure_eject;
    unsigned slot = upstream_slot(h->cluster->up);
    for (struct list *l = h->waiters.next, *next; l != &h->waiters; l = next) {
        struct acquire *a = container_of(l, struct acquire, link);
        next = l->next;
        if (slice_eq(slice_of(c->sni), conn_name_for(h, a)) && !is_covered(h, a)) {
            stat_add(ejected, slot, 1);
            acquire_fail(a, why);
            next = h->waiters.next; /* on_failed may have changed the list */
        }
    }
}

static void on_conn_closed(void *ctx, const struct err *why)
{
    struct conn *c = ctx;
    c->client = NULL;
    if (!c->served && c->streams == 0) { /* it never carried anything: no better than a failed dial */
        struct err err = *why;
        if (err.kind == ERR_NONE) {
            err_set(&err, ERR_RESET, "%s: closed before its first request", c->host->text);
        }
        err.retry = ERR_RETRY_ALWAYS;
        eject_waiters(c, &err);
    }
    conn_end_and_redial(c);
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
        break;
    }
    return slice_eq(transport_info_tls(t->info)->alpn, SLICE("h2"));
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
    host_add(h, HOST_cx_active, 1);
    c->counted = true;
    if (cluster->conf->max_connection_duration_ms != 0) {
        timer_set_in(&c->age, cluster->conf->max_connection_duration_ms);
    }
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
    dial_for_waiters(h);
    host_release(h);
    cluster_release(cluster);
}

static void on_dial_failed(void *ctx, const struct err *why)
{
    struct conn *c = ctx;
    struct host *h = c->host;
    struct cluster *cluster = h->cluster;
    unsigned slot = upstream_slot(cluster->up);
    stat_add(why->kind == ERR_TIMEOUT ? cluster->stats.cx_connect_timeout : cluster->stats.cx_connect_fail, slot, 1);
    host_add(h, HOST_cx_connect_fail, 1);
    c->dialer = NULL;
    h->n_dialing--;
    list_remove(&c->link);
    eject_waiters(c, why);
    conn_end_and_redial(c);
}

static const struct dialer_events dial_events = {.on_done = on_dialled, .on_failed = on_dial_failed};

/* Those that nobody may use any more go on the way: a tunnel whose gateway ends, for one. */
static struct conn *find_in(struct list *conns, bool shared_only, struct acquire *a)
{
    for (struct list *l = conns->next, *next; l != conns; l = next) {
        struct conn *c = container_of(l, struct conn, link);
        next = l->next;
        if ((c->h2 || !shared_only) && conn_can_take(c, a)) {
            return c;
        }
        if (c->streams == 0 && conn_is_spent(c)) {
            conn_end(c);
        }
    }
    return NULL;
}

static struct conn *find_open(struct host *h, struct acquire *a)
{
    struct conn *c = find_in(&h->idle, false, a);
    return c != NULL || h->cluster->conf->protocol == UPSTREAM_HTTP1 ? c : find_in(&h->busy, true, a);
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
    if (a->request.extended_connect) { /* the peer's SETTINGS decide, and may never allow it */
        timer_set_in(&a->timer, cluster->conf->connect_timeout_ms);
    }
    dial_for_waiters(h);
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
    while (h->gone && !list_is_empty(&h->waiters)) {
        acquire_again(container_of(h->waiters.next, struct acquire, link));
    }
    host_release(h);
}

void pool_end_all(struct upstream *u)
{
    while (!list_is_empty(&u->conns)) {
        conn_end(container_of(u->conns.next, struct conn, every));
    }
}
