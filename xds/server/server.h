/*
 * server: the ADS port. gRPC over mTLS, AggregatedDiscoveryService, state of the world and delta.
 * Everything here is called from, and calls back in, the owner's thread; gRPC's own threads stay behind it. The owner
 * watches server_fd and calls server_run when it is readable.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "xds/cache/cache.h"
#include "xds/session/session.h"

struct server;

struct server_params {
    const char *address;                               /* IPv4 or IPv6 literal, or a name */
    uint16_t port;                                     /* 0: any, see server_port */
    const char *certificate, *private_key, *client_ca; /* PEM files; clients need a certificate of this CA */
    const char *trust_domain;
    const char *identifier;   /* what responses call this server */
    size_t max_request_bytes; /* 0: 32 MB: a client that comes back lists all it holds */
};

struct server_hooks {
    /*
     * A node whose certificate allows its cluster wants its resources. *set: one reference, or NULL when nothing was
     * published yet (it then waits). false: the stream ends, with PERMISSION_DENIED for ERR_DENIED, else UNAVAILABLE.
     */
    bool (*admit)(void *ctx, struct slice cluster, struct resource_set **set, struct err *err);
    void *ctx;
};

struct server *server_create(const struct server_params *params, const struct server_hooks *hooks, struct err *err);
/* Ends every stream with UNAVAILABLE, waits a moment for them, then cuts. Blocks for at most about two seconds. */
void server_destroy(struct server **server);
int server_fd(const struct server *server);
void server_run(struct server *server);
uint16_t server_port(const struct server *server);
bool server_reload_certificates(struct server *server, struct err *err);

/* Tells every stream of this cluster; streams that wait are answered now. */
void server_publish(struct server *server, const char *cluster, struct resource_set *set);
/* Ends this cluster's streams with PERMISSION_DENIED and this reason. */
void server_deny(struct server *server, const char *cluster, const char *reason);

/* One row for each node seen: connected ones, and those that left (the newest thousand). */
struct server_proxy {
    const char *node_id, *cluster, *peer, *user_agent;
    bool connected, egret, delta;
    int64_t since_us, until_us;    /* wall clock; until_us 0 while connected */
    const struct session *session; /* session_status tells of each type; NULL when it left */
};
void server_each_proxy(const struct server *server, void (*fn)(void *ctx, const struct server_proxy *proxy), void *ctx);
