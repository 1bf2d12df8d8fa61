/* Shared by the files of proxy/downstream only. */
#pragma once
#include "base/list.h"
#include "proxy/downstream/downstream.h"
#include "proxy/net/listen.h"

#define LISTENER_COUNTERS(X)                                                                                           \
    X(cx_total, "downstream_cx_total")                                                                                 \
    X(cx_destroy, "downstream_cx_destroy")                                                                             \
    X(cx_overflow, "downstream_cx_overflow")                                                                           \
    X(cx_overload, "downstream_cx_overload_reject")                                                                    \
    X(filters_timeout, "downstream_pre_cx_timeout")                                                                    \
    X(no_chain, "no_filter_chain_match")                                                                               \
    X(tls_error, "ssl.connection_error")                                                                               \
    X(handshake, "ssl.handshake")                                                                                      \
    X(refused, "downstream_rq_refused")

#define HTTP2_COUNTERS(X) /* Envoy's names where it has one */                                                         \
    X(H2_COUNT_RX_RESET, "rx_reset")                                                                                   \
    X(H2_COUNT_TX_RESET, "tx_reset")                                                                                   \
    X(H2_COUNT_MESSAGING_ERROR, "rx_messaging_error")                                                                  \
    X(H2_COUNT_HEADER_OVERFLOW, "header_overflow")                                                                     \
    X(H2_COUNT_CONTROL_FLOOD, "outbound_control_flood")                                                                \
    X(H2_COUNT_EMPTY_FLOOD, "inbound_empty_frames_flood")                                                              \
    X(H2_COUNT_PRIORITY_FLOOD, "inbound_priority_frames_flood")                                                        \
    X(H2_COUNT_WINDOW_UPDATE_FLOOD, "inbound_window_update_frames_flood")                                              \
    X(H2_COUNT_RESET_FLOOD, "reset_flood")

struct listener_stats {
#define X(field, name) struct stat_handle *field;
    LISTENER_COUNTERS(X)
#undef X
    struct stat_handle *cx_active;
};

struct listener { /* one listener of the configuration on one worker */
    struct list link;
    struct downstream *owner;
    struct listener_conf *conf;
    int fd;
    struct acceptor *acceptor;
    struct list connections;
    struct http_server_config *http; /* one for each chain, the default chain last */
    struct listener_stats stats;
    bool draining; /* freed with its last connection */
};

struct downstream {
    struct loop *loop;
    struct downstream_options options;
    struct list listeners, draining;
    struct stat_handle *http2[H2_COUNTS];
    unsigned connections;
    bool stopped;
};

struct listener *listener_start(struct downstream *d, const struct listener_conf *conf, int fd);
void listener_drain(struct listener *l);
void listener_check_done(struct listener *l); /* frees a draining one without connections */
const struct http_server_config *listener_http(const struct listener *l, const struct chain_conf *chain);

/* connection.c */
void connection_accept(struct listener *l, int fd, const struct addr *peer);
void connection_drain(struct list *link);
void connection_abort(struct list *link);
