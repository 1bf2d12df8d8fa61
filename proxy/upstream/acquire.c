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
        atomic_fetch_sub_explicit(&a->cluster->shared->pending[a->request.high_priority], 1, memory_order_relaxed);
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

static void on_raw_done(void *ctx, struct transport **t)
{
    struct acquire *a = ctx;
    a->dialer = NULL;
    struct stream *s = raw_stream_create(t, a->request.arena, a->request.stream_events, a->request.stream_ctx);
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
    unsigned priority = a->request.high_priority;
    const struct breaker_conf *limits = &a->cluster->conf->breakers[priority];
    struct cluster_shared *shared = a->cluster->shared;
    unsigned pending = atomic_fetch_add_explicit(&shared->pending[priority], 1, memory_order_relaxed);
    a->pending_counted = true;
    if (pending >= limits->max_pending ||
        atomic_load_explicit(&shared->requests[priority], memory_order_relaxed) >= limits->max_requests) {
        stat_add(a->cluster->stats.rq_pending_overflow, upstream_slot(a->up), 1);
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

/* Addresses or a connection: called at first and whenever the cluster's hosts have changed. */
void acquire_start(struct acquire *a)
{
    struct cluster *c = a->cluster;
    struct host *h = cluster_pick(c);
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
