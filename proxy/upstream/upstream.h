/*
 * upstream: clusters at run time, for one worker: endpoints, balancing, connection pools. Follows the snapshot
 * (upstream_update); state is kept for a cluster whose configuration did not change. One loop.
 *
 * An acquisition ends in exactly one of on_ready and on_failed, never inside upstream_acquire itself; upstream_cancel
 * silences it. Nothing is taken from the downstream inbox before on_ready, so a failed dial costs no body bytes.
 */
#pragma once
#include "base/stat/stat.h"
#include "proxy/config/snapshot.h"
#include "proxy/http/client.h"

struct upstream;
struct upstream_shared;
struct acquire;

/* What workers share: breaker counters, addresses resolved by the main thread, counters' registry. */
struct upstream_shared *upstream_shared_create(struct stats *stats, unsigned workers);
void upstream_shared_destroy(struct upstream_shared **s);

struct upstream *upstream_create(struct loop *loop, struct upstream_shared *shared);
void upstream_destroy(struct upstream **u); /* aborts what is open */
void upstream_update(struct upstream *u, struct snapshot *snapshot); /* takes its own reference */

/* What the access log and error texts say about where a request went. */
struct upstream_target {
    struct slice cluster;
    struct addr remote;        /* the endpoint; len 0 behind a tunnel whose end we do not see */
    char host[288];            /* "192.168.1.232:3001", "third.test:443" */
    struct slice hostname;     /* the endpoint's own name: auto_host_rewrite; valid during the call */
    bool reused;               /* a kept connection: a failure before any answer may be its idle close */
    int64_t connect_us;        /* time it took to get the stream */
    struct host *endpoint;     /* for upstream_report, as long as the stream is held; NULL: none */
};

struct acquire_events {
    /* The stream has the events given in the request; its owner sends the head. */
    void (*on_ready)(void *ctx, struct stream *s, const struct upstream_target *target);
    void (*on_failed)(void *ctx, const struct err *why, const struct upstream_target *target);
};

struct acquire_request {
    struct slice cluster;
    struct arena *arena;              /* response heads are decoded into it */
    const struct stream_events *stream_events;
    void *stream_ctx;
    bool raw;                         /* bytes, not HTTP: a tcp_proxy or a CONNECT that ends here */
    bool fresh;                       /* not a kept connection: a retry after one was found closed */
    bool extended_connect;            /* needs RFC 8441 of an HTTP/2 upstream */
    struct slice authority;           /* for auto_sni */
    const uint64_t *avoid;            /* hashes (slice_hash, seed 0) of upstream_target.host: up to avoid_attempts other */
    unsigned n_avoid, avoid_attempts; /* choices are made when one of them comes up */
};

struct acquire *upstream_acquire(struct upstream *u, const struct acquire_request *request,
                                 const struct acquire_events *events, void *ctx);
void upstream_cancel(struct acquire **a);

/* What came of a request: each is reported once. */
enum upstream_outcome { UPSTREAM_ANSWERED, UPSTREAM_ANSWERED_5XX, UPSTREAM_BROKEN, UPSTREAM_TIMED_OUT };
void upstream_report(const struct upstream_target *target, enum upstream_outcome outcome);

/* A repetition under way: one of the cluster's max_retries. NULL: as many are under way as may be (or no such cluster). */
struct upstream_retry;
struct upstream_retry *upstream_retry_begin(struct upstream *u, struct slice cluster);
void upstream_retry_end(struct upstream_retry **retry, bool success); /* NULL is well */

enum upstream_count { UPSTREAM_COUNT_RETRY_LIMIT, UPSTREAM_COUNT_RETRY_ABANDONED, UPSTREAM_COUNT_PER_TRY_TIMEOUT };
void upstream_count(struct upstream *u, struct slice cluster, enum upstream_count what);

/* Addresses of named endpoints, pushed by the main thread's dns (any worker's loop). */
struct host_addrs;
void upstream_resolved(struct upstream *u, struct slice name, uint16_t port, const struct host_addrs *addrs);

bool upstream_is_idle(const struct upstream *u); /* no stream is open */
void upstream_drain_idle(struct upstream *u);    /* closes kept connections */

/* One line a host in the shape of Envoy's /clusters; called in the worker's thread. */
struct strbuf;
void upstream_describe(const struct upstream *u, struct strbuf *text);
