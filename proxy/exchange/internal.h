/* Shared by the files of proxy/exchange only. */
#pragma once
#include <time.h>

#include "base/list.h"
#include "base/map.h"
#include "proxy/exchange/exchange.h"
#include "proxy/filter/apim.h"
#include "proxy/filter/apim_mac.h"
#include "proxy/observe/record.h"
#include "proxy/route/path.h"
#include "proxy/route/table.h"

/* A snapshot as this worker holds it: one reference for any number of users (DATAPLANE 7). */
struct held {
    struct list link;
    struct snapshot *snapshot;
    unsigned users;
};

#define HCM_COUNTERS(X)                                                                                                \
    X(rq_total, "downstream_rq_total")                                                                                 \
    X(rq_1xx, "downstream_rq_1xx")                                                                                     \
    X(rq_2xx, "downstream_rq_2xx")                                                                                     \
    X(rq_3xx, "downstream_rq_3xx")                                                                                     \
    X(rq_4xx, "downstream_rq_4xx")                                                                                     \
    X(rq_5xx, "downstream_rq_5xx")                                                                                     \
    X(rq_completed, "downstream_rq_completed")                                                                         \
    X(rq_rx_reset, "downstream_rq_rx_reset")                                                                           \
    X(rq_timeout, "downstream_rq_timeout")                                                                             \
    X(rq_overload, "downstream_rq_overload_close")                                                                     \
    X(rq_too_fast, "downstream_rq_rate_limited")                                                                       \
    X(rq_too_large, "downstream_rq_too_large")                                                                         \
    X(rs_too_large, "upstream_rs_too_large")                                                                           \
    X(policy_traces, "policy_traces")                                                                                  \
    X(policy_metrics, "policy_metrics")                                                                                \
    X(no_route, "no_route")                                                                                            \
    X(no_cluster, "no_cluster")

struct hcm_stats {
#define X(field, name) struct stat_handle *field;
    HCM_COUNTERS(X)
#undef X
    struct stat_handle *rq_active, *rq_time;
    char *prefix;
};

#define TCP_COUNTERS(X)                                                                                                \
    X(cx_total, "downstream_cx_total")                                                                                 \
    X(rx_bytes, "downstream_cx_rx_bytes_total")                                                                        \
    X(tx_bytes, "downstream_cx_tx_bytes_total")                                                                        \
    X(no_route, "downstream_cx_no_route")                                                                              \
    X(idle_timeout, "idle_timeout")                                                                                    \
    X(max_duration, "max_downstream_connection_duration")

struct tcp_stats {
#define X(field, name) struct stat_handle *field;
    TCP_COUNTERS(X)
#undef X
};

struct exchanger {
    struct loop *loop;
    struct upstream *upstream;
    struct stats *stats;
    const struct config_limits *limits;
    const atomic_uint *overload;
    void (*on_idle)(void *ctx);
    void *ctx;
    struct held *current;
    struct list old; /* held snapshots that still have users */
    struct map *hcm_stats;
    struct hcm_stats *hcm_last;
    struct map *tcp_stats;
    struct apim_mac *mac;
    struct list sessions; /* raw */
    uint64_t random[2];
    time_t date_second; /* of `date` */
    char date[40];
    unsigned active;
};

struct held *held_acquire(struct exchanger *e);
void held_release(struct exchanger *e, struct held **h);
struct hcm_stats *exchanger_hcm_stats(struct exchanger *e, struct slice prefix);
uint64_t exchanger_random(struct exchanger *e);
void exchanger_opened(struct exchanger *e);
void exchanger_closed(struct exchanger *e);

/* ---- pump.c ---- */

/* Moves what `from` has and `to` has room for, then the end and the trailers. Returns bytes moved. */
size_t pump(struct stream *from, struct stream *to);

/* ---- one HTTP request ---- */

enum request_state {
    REQUEST_NEW,      /* waiting for the head */
    REQUEST_ACQUIRE,  /* routed, waiting for an upstream stream */
    REQUEST_FORWARD,  /* head sent upstream */
    REQUEST_RESPONSE, /* response head sent downstream */
    REQUEST_TUNNEL,   /* 101 or 2xx to CONNECT: raw bytes both ways */
    REQUEST_REPLIED,  /* answered here */
    REQUEST_ENDED,
};

struct request {
    struct filter_host host; /* first: what filters see */
    struct exchanger *owner;
    enum request_state state;
    const struct connection_view *connection;
    const struct hcm_conf *hcm;
    struct listener_conf *listener; /* held: access loggers live in it */
    struct hcm_stats *stats;
    struct held *held; /* NULL for a tunnel: it may live for days */
    struct stream *down, *up;
    struct acquire *acquire;
    struct retry *retry; /* NULL: the route has no policy, or it is over */
    struct upstream_target target;
    struct head *head;    /* the request */
    struct slice method;  /* as it came in */
    struct route_match route;
    struct apim_match apim_match;
    const struct forward_conf *forward; /* plain routes */
    struct slice cluster;
    bool connect;         /* a CONNECT that ends here: bytes to the cluster */
    bool grpc;
    bool stale_retry_done; /* the one repetition after a kept connection turned out closed */
    bool own_body_sent;    /* a filter's body went upstream instead of the client's */
    bool body_taken;       /* some of the request's body is gone: it cannot be repeated */
    bool request_done;     /* its end has been passed on */
    bool keeps_body;       /* what has gone of it is in `kept`, and can be sent again */
    bool no_body;          /* a redirect made it a GET */
    bool up_head_sent;     /* of a request whose body goes through stages */
    uint8_t redirects;     /* followed so far */
    size_t keep_limit;
    struct buf kept;
    struct head *late_head; /* of a response whose body goes through stages; waits for the first of it */
    bool up_over;          /* closed in order; bytes of it may still wait for room downstream */
    uint64_t timeout_ms;   /* the route's, until the request has been received and it runs */
    uint64_t idle_ms;
    struct timer idle, receiving, timeout, duration;
    struct record record;
};

/* request.c */
void request_create(struct exchanger *e, const struct connection_view *c, struct stream *s);
void request_acquire(struct request *r, bool fresh);
void request_enter(struct request *r, enum request_state next);

/* misdirected.c: true: the authority belongs to another chain, and 421 has been answered */
bool request_is_misdirected(struct request *r);

/* limits.c: false: the request has been answered, or its stream reset, because of a limit */
bool limits_admit(struct request *r);                          /* overload, rate, announced body */
bool limits_request_body(struct request *r);                   /* what has come of it */
bool limits_response_head(struct request *r, const struct head *head);
bool limits_response_body(struct request *r);

/* route.c: decides and either acquires or replies */
bool request_skips(const struct request *r, const struct filter_conf *f); /* the filter is off for this route */
void request_route(struct request *r);

/* upstream_side.c */
extern const struct stream_events request_up_events;
void request_send_upstream(struct request *r);
void request_send_own_body(struct request *r); /* once the client's is over */
void request_upstream_failed(struct request *r, const struct err *why);
void request_pump_response(struct request *r);

/* retry.c: true: the request will be repeated, whatever came of this try is gone */
void retry_begin(struct request *r);
bool retry_after_answer(struct request *r, const struct head *answer);
bool retry_after_failure(struct request *r, const struct err *why, bool connected);
void retry_aim(const struct request *r, struct acquire_request *request);
void retry_watch(struct request *r);     /* a try is under way: its time runs from the request's end on */
bool retry_timed_out(const struct request *r);
void retry_lost_body(struct request *r); /* it was too long to be kept */
void retry_end(struct request *r);       /* no more of it */

/* replay.c */
void replay_begin(struct request *r, size_t limit); /* what goes of the body is kept from now on */
void replay_end(struct request *r);
void replay_keep(struct request *r, const struct buf *bytes, size_t n); /* the first n of them have gone */
size_t replay_pump(struct request *r);                                  /* pump() of the request */
void replay_send(struct request *r, bool end);                          /* what is kept, upstream */
bool replay_redirect(struct request *r, const struct head *head);       /* true: not the answer */

/* body.c: bodies through stages. false: there are none */
bool body_begin_request(struct request *r);
bool body_begin_response(struct request *r, struct head *head);
void body_pump_request(struct request *r);
void body_pump_response(struct request *r);
void body_drop_request(struct request *r);

/* timers.c */
void timers_init(struct request *r);
void timers_head(struct request *r);
void timers_route(struct request *r, uint64_t timeout_ms); /* 0: none */
void timers_received(struct request *r); /* more of the request came: perhaps its end */
void timers_no_timeout(struct request *r);
void timers_touch(struct request *r); /* a byte moved */
void timers_stop(struct request *r);

/* client_cert.c */
void headers_client_cert(struct request *r);

/* headers.c */
bool headers_prepare_request(struct request *r); /* before routing: hop-by-hop, forwarding headers, request id */
void headers_finish_request(struct request *r);  /* after routing: edits, host and path rewrites */
bool headers_prepare_response(struct request *r, struct head *head);
void headers_edit(struct head *head, const struct header_edit_conf *edit);

/* reply.c */
void reply_local(struct filter_host *host, const struct local_reply *reply);
int64_t reply_length(unsigned status, struct slice body); /* for head.content_length (RFC 9110 8.6) */
void reply_plain(struct request *r, unsigned status, const char *body, uint32_t flags, const char *details);

/* finish.c */
void record_begin(struct request *r);
void record_detach(struct request *r); /* the snapshot is let go of: what the record needs of it is copied */
void record_finish(struct request *r);
struct slice mask_query(struct arena *arena, struct slice url, struct slice parameter);

/* session_stats.c */
struct tcp_stats *exchanger_tcp_stats(struct exchanger *e, struct slice prefix);
void tcp_stats_free(void *p);

/* session.c */
void session_create(struct exchanger *e, struct connection *c, const struct connection_view *view, struct transport **t);
void session_cut(struct list *link);
