/*
 * downstream: listeners at run time, for one worker: accepts, chooses the filter chain (original destination, SNI, ALPN),
 * puts TLS and HTTP on a connection and hands streams or raw transports to the exchange. Follows the snapshot.
 *
 * Listening descriptors belong to the main thread's struct listen_sockets and are kept across configuration changes and
 * take-over; workers only accept from them.
 */
#pragma once
#include "base/stat/stat.h"
#include "proxy/config/snapshot.h"
#include "proxy/config/store.h"
#include "proxy/http/server.h"

/* ---- main thread: bound addresses ---- */

struct listen_sockets;
struct listen_sockets *listen_sockets_create(void);
void listen_sockets_destroy(struct listen_sockets **l);
/* A descriptor inherited from the process before us. Takes it. */
void listen_sockets_adopt(struct listen_sockets *l, struct slice address, int fd);
/* Opens what the snapshot names and is not open yet. false: err has a line for each address that could not be bound; the
 * others are open. */
bool listen_sockets_update(struct listen_sockets *l, const struct snapshot *snapshot, struct err *err);
/* After all workers have swapped: closes what no snapshot names any more. */
void listen_sockets_trim(struct listen_sockets *l, const struct snapshot *snapshot);
int listen_sockets_fd(const struct listen_sockets *l, const struct addr *address); /* -1: not open */
size_t listen_sockets_count(const struct listen_sockets *l);
void listen_sockets_at(const struct listen_sockets *l, size_t i, struct slice *address, int *fd);

/* ---- per worker ---- */

struct downstream;
struct connection; /* one accepted connection */

/* What a connection knows that an exchange needs; valid while the connection lives. */
struct connection_view {
    struct listener_conf *listener;
    const struct chain_conf *chain;
    const struct transport_info *info;
    struct slice sni;
    bool too_fast; /* the stream being handed over is beyond requests_per_second */
};

struct downstream_events {
    /* A request head; same contract as http_server_events.on_stream. */
    void (*on_stream)(void *ctx, const struct connection_view *c, struct stream *s);
    /* A connection of a tcp_proxy chain; the callee takes the transport (it is open) and says connection_done at the end. */
    void (*on_raw)(void *ctx, struct connection *c, const struct connection_view *view, struct transport **t);
    /* The codec refused a head; the answer is on its way. */
    void (*on_refused)(void *ctx, const struct connection_view *c, unsigned status, const struct err *why);
};

/* How near the process is to its memory limit; set by the main thread. */
enum overload_level { OVERLOAD_NONE, OVERLOAD_SHED_REQUESTS, OVERLOAD_CLOSE_CONNECTIONS };

struct downstream_options {
    struct stats *stats;
    const struct config_limits *limits;
    atomic_uint *connections; /* of the process */
    const atomic_uint *overload; /* enum overload_level */
    const struct downstream_events *events;
    void *ctx;
};

struct downstream *downstream_create(struct loop *loop, const struct downstream_options *options);
/* Cuts every connection but raw ones: those belong to their sessions. Requests hear of it in the next turn. */
void downstream_abort(struct downstream *d);
void downstream_destroy(struct downstream **d); /* no connection is left */
/* fds[i] belongs to listener i of the snapshot; -1: not open. A listener that changed drains its old connections. */
void downstream_update(struct downstream *d, struct snapshot *snapshot, const int *fds);
void downstream_stop_accepting(struct downstream *d);
void downstream_drain(struct downstream *d); /* stop accepting, Connection: close, GOAWAY; idle connections last */
void connection_done(struct connection *c); /* of an on_raw: its session is over */
unsigned downstream_connections(const struct downstream *d);
