/* Shared by the files of proxy/upstream only: how clusters, hosts, connections and acquisitions hang together. */
#pragma once
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "proxy/http/client.h"
#include "proxy/upstream/dns.h"
#include "proxy/upstream/upstream.h"

/* ---- shared.c ---- */

struct cluster_shared { /* one per cluster name, of all workers; lives as long as the process */
    atomic_uint connections, pending, requests, retries;
};

#define CLUSTER_COUNTERS(X)                                                                                            \
    X(cx_total, "upstream_cx_total")                                                                                   \
    X(cx_http1_total, "upstream_cx_http1_total")                                                                       \
    X(cx_http2_total, "upstream_cx_http2_total")                                                                       \
    X(cx_connect_fail, "upstream_cx_connect_fail")                                                                     \
    X(cx_connect_timeout, "upstream_cx_connect_timeout")                                                               \
    X(cx_overflow, "upstream_cx_overflow")                                                                             \
    X(cx_destroy, "upstream_cx_destroy")                                                                               \
    X(rq_total, "upstream_rq_total")                                                                                   \
    X(rq_pending_total, "upstream_rq_pending_total")                                                                   \
    X(rq_pending_overflow, "upstream_rq_pending_overflow")                                                             \
    X(rq_pending_failure_eject, "upstream_rq_pending_failure_eject")                                                   \
    X(rq_retry, "upstream_rq_retry")                                                                                   \
    X(rq_retry_backoff, "upstream_rq_retry_backoff_exponential")                                                       \
    X(rq_retry_success, "upstream_rq_retry_success")                                                                   \
    X(rq_retry_overflow, "upstream_rq_retry_overflow")                                                                 \
    X(rq_retry_limit_exceeded, "upstream_rq_retry_limit_exceeded")                                                     \
    X(retry_or_shadow_abandoned, "retry_or_shadow_abandoned")                                                          \
    X(rq_per_try_timeout, "upstream_rq_per_try_timeout")                                                               \
    X(none_healthy, "upstream_cx_none_healthy")

struct cluster_stats {
#define X(field, name) struct stat_handle *field;
    CLUSTER_COUNTERS(X)
#undef X
    struct stat_handle *cx_active, *rq_active;
};

/* What /clusters counts of one endpoint: each worker in its own lines, added up by whoever asks. */
#define HOST_FIGURES(X)                                                                                                \
    X(cx_active) X(cx_connect_fail) X(cx_total) X(rq_active) X(rq_error) X(rq_success) X(rq_timeout) X(rq_total)
enum host_figure {
#define X(name) HOST_##name,
    HOST_FIGURES(X)
#undef X
        HOST_FIGURES_N
};
struct host_shared { /* of all workers; counted by reference */
    unsigned refs;   /* under the lock of upstream_shared */
    char *key;
    struct {
        atomic_uint_fast64_t n[HOST_FIGURES_N]; /* a cache line: 64 bytes */
    } slots[]; /* one for each worker, and the main thread's */
};

struct host_shared *shared_host(struct upstream_shared *s, struct slice cluster, const char *address);
void shared_host_drop(struct upstream_shared *s, struct host_shared **host);
_Static_assert(HOST_FIGURES_N == 8, "a worker's figures fill a cache line");
uint64_t shared_host_figure(const struct upstream_shared *s, const struct host_shared *host, enum host_figure figure);

struct cluster_shared *shared_cluster(struct upstream_shared *s, struct slice name);
void shared_cluster_stats(struct upstream_shared *s, const struct cluster_conf *conf, struct cluster_stats *out);
void shared_cluster_stats_drop(struct upstream_shared *s, struct cluster_stats *stats);

/* ---- cluster.c ---- */

struct cluster {
    struct list link; /* in upstream.draining once it was replaced */
    struct upstream *up;
    struct cluster_conf *conf;
    uint64_t recipe; /* configuration and what its internal endpoints lead to: equal → state is kept */
    struct host **hosts;
    size_t n_hosts;
    struct list waiting; /* acquisitions that wait for a first address */
    struct cluster_shared *shared;
    struct cluster_stats stats;
    struct http_client_config client;
    bool gone;         /* replaced or removed; freed with its last connection */
    bool resolving;    /* some name has not been answered yet */
    unsigned holds;    /* connections, raw dials and waiting acquisitions */
    char resolve_error[200];
};

struct host {
    struct cluster *cluster;
    struct endpoint_conf endpoint;
    struct endpoint_set *set; /* held: the endpoint's texts live in it */
    struct addr addr;              /* ENDPOINT_ADDR, ENDPOINT_NAME */
    char text[288];
    struct host_shared *shared;
    struct list idle;    /* struct conn, HTTP/1, newest first */
    struct list busy;    /* struct conn, open otherwise */
    struct list dialing; /* struct conn */
    unsigned n_dialing;
    struct list waiters; /* struct acquire */
    unsigned n_waiters;
    unsigned active;     /* streams: least request */
    int64_t credit;      /* round robin */
    bool gone;           /* no longer an endpoint; freed with its last connection */
    unsigned holds;
};

struct upstream {
    struct loop *loop;
    struct upstream_shared *shared;
    struct snapshot *snapshot;
    struct map *clusters; /* name → struct cluster */
    struct list draining;
    struct list conns; /* every pooled connection, of gone hosts too */
    struct map *addrs; /* "name:port" → struct host_addrs */
    uint64_t random;
    unsigned streams;
};

struct cluster *cluster_find(struct upstream *u, struct slice name);
void cluster_hold(struct cluster *c);
void cluster_release(struct cluster *c); /* may free it */
void cluster_destroy(struct cluster *c);
unsigned upstream_slot(const struct upstream *u);
/* The internal listener's tcp_proxy behind an ENDPOINT_INTERNAL; NULL: no such listener, or it is no tcp_proxy. */
const struct tcp_conf *internal_target(const struct snapshot *s, struct slice listener);

/* ---- balance.c ---- */

struct host *cluster_pick(struct cluster *c); /* NULL: nobody is there */

/* ---- host.c ---- */

struct host *host_create(struct cluster *c, const struct endpoint_set *set, const struct endpoint_conf *ep,
                         const struct addr *addr); /* addr: NULL for an internal one */
void host_describe(struct host *h, const struct endpoint_set *set, const struct endpoint_conf *ep); /* again */
void host_add(struct host *h, enum host_figure figure, int diff);
void host_print(const struct host *h, struct strbuf *text);
void host_retire(struct host *h);  /* no endpoint any more */
void host_release(struct host *h); /* may free it */

/* ---- dialer.c: one transport stack, from the address up to the last TLS layer ---- */

struct dialer;
struct dialer_events {
    void (*on_done)(void *ctx, struct transport **t); /* open; the callee takes it */
    void (*on_failed)(void *ctx, const struct err *why);
};
struct dialer *dialer_start(struct host *h, struct slice sni, const struct dialer_events *events, void *ctx);
void dialer_cancel(struct dialer **d);

/* ---- pool.c ---- */

void pool_serve(struct host *h, struct acquire *a); /* a kept connection, or a wait and a dial */
void pool_close_all(struct host *h); /* idle closed, busy drained, dials cancelled; who waits for a gone host starts again */

void pool_end_all(struct upstream *u);              /* the loop ends: streams are cut too */

/* ---- acquire.c ---- */

enum acquire_state { ACQUIRE_QUEUED, ACQUIRE_RESOLVING, ACQUIRE_WAITING, ACQUIRE_DIALING };

struct acquire {
    struct list link; /* cluster.waiting or host.waiters */
    struct loop_task task;
    struct timer timer;
    struct upstream *up;
    struct acquire_request request;
    const struct acquire_events *events;
    void *ctx;
    enum acquire_state state;
    struct cluster *cluster; /* held */
    struct host *host;
    struct dialer *dialer; /* raw only */
    struct upstream_target target;
    int64_t started_us;
    bool pending_counted;
    bool dial_counted; /* raw: among the cluster's connections */
};

void acquire_start(struct acquire *a); /* again: addresses have come */
void acquire_again(struct acquire *a); /* in a later turn, from the cluster's name on: its endpoint or cluster has gone */
void acquire_fail(struct acquire *a, const struct err *why);
void acquire_ready(struct acquire *a, struct stream *s, bool reused);
