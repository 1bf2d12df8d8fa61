/* One request for a stream: cluster, host, then a kept connection or a dial. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/upstream/internal.h"

static void acquire_free(void *p)
{
    pool_free(p, sizeof(struct acquire));
}

static void uncount_pending(struct acquire *a)
{
    if (a->pending_counted) {
        a->pending_counted = false;
        atomic_fetch_sub_explicit(&a->cluster->shared->pending, 1, memory_order_relaxed);
    }
}

static void uncount_dial(struct acquire *a)
{
    if (a->dial_counted) {
        a->dial_counted = false;
        atomic_fetch_sub_explicit(&a->cluster->shared->connections, 1, memory_order_relaxed);
    }
}

/* Leaves every list; afterwards nobody but the caller knows of it. */
static void acquire_end(struct acquire *a)
{
    loop_task_cancel(&a->task);
    timer_cancel(&a->timer);
    dialer_cancel(&a->dialer);
    list_remove(&a->link);
    if (a->state == ACQUIRE_WAITING) {
        a->host->n_waiters--;
    }
    if (a->host != NULL) {
        host_release(a->host);
        a->host = NULL;
    }
    if (a->cluster != NULL) {
        uncount_pending(a);
        uncount_dial(a);
        cluster_release(a->cluster);
        a->cluster = NULL;
    }
    loop_free_later(a->up->loop, acquire_free, a);
}

void upstream_cancel(struct acquire **a)
{
    if (*a != NULL) {
        acquire_end(*a);
        *a = NULL;
    }
}

/* The last that is said of the endpoint: what it was called when the wait began may be gone. */
static void finish_target(struct acquire *a)
{
    const struct host *h = a->host;
    a->target.connect_us = loop_now_us(a->up->loop) - a->started_us;
    if (h != NULL) {
        a->target.hostname = h->endpoint.kind == ENDPOINT_NAME ? h->endpoint.host : h->endpoint.hostname;
    }
}

void acquire_fail(struct acquire *a, const struct err *why)
{
    struct err err = *why;
    err.side = ERR_SIDE_UPSTREAM;
    finish_target(a);
    acquire_end(a);
    a->events->on_failed(a->ctx, &err, &a->target); /* freed at the end of the turn */
}

void acquire_ready(struct acquire *a, struct stream *s, bool reused)
{
    a->target.reused = reused;
    finish_target(a);
    acquire_end(a);
    a->events->on_ready(a->ctx, s, &a->target);
}

static void fail_now(struct acquire *a, enum err_kind kind, const char *text)
{
    struct err err;
    err_set(&err, kind, "%s", text);
    err.retry = ERR_RETRY_ALWAYS;
    acquire_fail(a, &err);
}

/* Its endpoint or cluster went before it had a connection: as if it had just come. */
void acquire_again(struct acquire *a)
{
    timer_cancel(&a->timer);
    list_remove(&a->link);
    if (a->state == ACQUIRE_WAITING) {
        a->host->n_waiters--;
        host_release(a->host);
        a->host = NULL;
    }
    a->state = ACQUIRE_QUEUED;
    loop_deliver(a->up->loop, &a->task);
}

/* ---- bytes instead of HTTP ---- */

static void on_raw_gone(void *ctx)
{
    struct host *h = ctx;
    struct cluster *c = h->cluster;
    unsigned slot = upstream_slot(c->up);
    stat_sub(c->stats.cx_active, slot, 1);
    stat_add(c->stats.cx_destroy, slot, 1);
    host_add(h, HOST_cx_active, -1);
    atomic_fetch_sub_explicit(&c->shared->connections, 1, memory_order_relaxed);
    host_release(h);
    cluster_release(c);
}

static void on_raw_done(void *ctx, struct transport **t)
{
    struct acquire *a = ctx;
    struct host *h = a->host;
    a->dialer = NULL;
    struct stream *s = raw_stream_create(t, a->request.arena, a->request.stream_events, a->request.stream_ctx);
    stat_add(a->cluster->stats.cx_active, upstream_slot(a->up), 1);
    host_add(h, HOST_cx_active, 1);
    h->holds++;
    cluster_hold(h->cluster);
    a->dial_counted = false; /* it stays counted until the stream goes */
    raw_stream_at_release(s, on_raw_gone, h);
    acquire_ready(a, s, false);
}

static void on_raw_failed(void *ctx, const struct err *why)
{
    struct acquire *a = ctx;
    a->dialer = NULL;
    stat_add(a->cluster->stats.cx_connect_fail, upstream_slot(a->up), 1);
    host_add(a->host, HOST_cx_connect_fail, 1);
    acquire_fail(a, why);
}

static const struct dialer_events raw_events = {.on_done = on_raw_done, .on_failed = on_raw_failed};

/* ---- */

static void on_wait_timeout(struct timer *timer)
{
    struct acquire *a = container_of(timer, struct acquire, timer);
    if (a->state == ACQUIRE_RESOLVING) {
        fail_now(a, ERR_RESOLVE, "no address is known yet");
    } else {
        fail_now(a, ERR_UNSUPPORTED, "the upstream does not take upgrades over HTTP/2");
    }
}

static bool admit(struct acquire *a)
{
    const struct breaker_conf *limits = &a->cluster->conf->breakers[0];
    struct cluster_shared *shared = a->cluster->shared;
    unsigned pending = atomic_fetch_add_explicit(&shared->pending, 1, memory_order_relaxed);
    a->pending_counted = true;
    if (pending >= limits->max_pending ||
        atomic_load_explicit(&shared->requests, memory_order_relaxed) >= limits->max_requests) {
        stat_add(a->cluster->stats.rq_pending_overflow, upstream_slot(a->up), 1);
        fail_now(a, ERR_OVERFLOW, "circuit breaker of the cluster is open");
        return false;
    }
    return true;
}

/* Bytes have a connection of their own, and it lasts: there is no use in waiting for another one's end. */
static bool admit_dial(struct acquire *a)
{
    unsigned before = atomic_fetch_add_explicit(&a->cluster->shared->connections, 1, memory_order_relaxed);
    a->dial_counted = true;
    if (before >= a->cluster->conf->breakers[0].max_connections) {
        stat_add(a->cluster->stats.cx_overflow, upstream_slot(a->up), 1);
        fail_now(a, ERR_OVERFLOW, "circuit breaker of the cluster is open");
        return false;
    }
    return true;
}

static void wait_for_address(struct acquire *a)
{
    a->state = ACQUIRE_RESOLVING;
    list_push(&a->cluster->waiting, &a->link);
    if (!timer_is_set(&a->timer)) {
        timer_set_in(&a->timer, a->cluster->conf->connect_timeout_ms);
    }
}

/* Not one that was tried before, unless chance has it again and again. */
static struct host *pick_host(struct acquire *a)
{
    struct host *h = cluster_pick(a->cluster);
    for (unsigned i = 0; h != NULL && i < a->request.avoid_attempts; i++) {
        bool tried = false;
        uint64_t hash = slice_hash(slice_of(h->text), 0);
        for (unsigned k = 0; k < a->request.n_avoid; k++) {
            tried = tried || a->request.avoid[k] == hash;
        }
        if (!tried) {
            break;
        }
        h = cluster_pick(a->cluster);
    }
    return h;
}

/* Addresses or a connection: called at first and whenever the cluster's hosts have changed. */
void acquire_start(struct acquire *a)
{
    struct cluster *c = a->cluster;
    struct host *h = pick_host(a);
    if (h == NULL && c->resolving) {
        wait_for_address(a);
        return;
    }
    timer_cancel(&a->timer);
    if (h == NULL) {
        stat_add(c->stats.none_healthy, upstream_slot(a->up), 1);
        fail_now(a, ERR_RESOLVE, c->resolve_error[0] != '\0' ? c->resolve_error : "the cluster has no endpoint");
        return;
    }
    a->host = h;
    h->holds++;
    a->target.remote = h->addr;
    memcpy(a->target.host, h->text, strlen(h->text) + 1);
    a->target.endpoint = h;
    if (a->request.raw && !admit_dial(a)) {
        return;
    }
    if (a->request.raw) {
        a->state = ACQUIRE_DIALING;
        stat_add(c->stats.cx_total, upstream_slot(a->up), 1);
        host_add(h, HOST_cx_total, 1);
        a->dialer = dialer_start(h, SLICE_NONE, &raw_events, a);
        return;
    }
    pool_serve(h, a);
}

static void find_cluster(struct acquire *a)
{
    struct cluster *c = cluster_find(a->up, a->request.cluster);
    if (c == NULL) {
        struct err err;
        err_set(&err, ERR_NOT_FOUND, "unknown cluster %.*s", SLICE_ARG(a->request.cluster));
        acquire_fail(a, &err);
        return;
    }
    cluster_hold(c);
    a->cluster = c;
    if (admit(a)) {
        acquire_start(a);
    }
}

static void run_acquire(struct loop_task *task)
{
    struct acquire *a = container_of(task, struct acquire, task);
    if (a->cluster != NULL && !a->cluster->gone) {
        acquire_start(a);
        return;
    }
    if (a->cluster != NULL) {
        uncount_pending(a);
        cluster_release(a->cluster);
        a->cluster = NULL;
    }
    find_cluster(a);
}

struct acquire *upstream_acquire(struct upstream *u, const struct acquire_request *request,
                                 const struct acquire_events *events, void *ctx)
{
    size_t cap = 0;
    struct acquire *a = pool_alloc(sizeof *a, &cap);
    memset(a, 0, sizeof *a);
    a->up = u;
    a->request = *request;
    a->events = events;
    a->ctx = ctx;
    a->target.cluster = request->cluster;
    a->started_us = loop_now_us(u->loop);
    list_init(&a->link);
    timer_init(&a->timer, u->loop, on_wait_timeout);
    loop_task_init(&a->task, run_acquire);
    loop_deliver(u->loop, &a->task);
    return a;
}
