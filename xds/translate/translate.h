/*
 * translate: catalog and settings → the resources of one node group. A group is a node.cluster: the id of an API
 * management gateway (sidecars), or "egress/<name>" (an egress gateway). Pure and deterministic: equal input gives
 * equal bytes. Control server's main thread.
 */
#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "base/crypto/crypto.h"
#include "base/err.h"
#include "base/slice.h"
#include "pb/egret/control/v1/config.pb-c.h"
#include "xds/catalog/catalog.h"

struct translate_input {
    const struct catalog *catalog;
    const Egret__Control__V1__Config *config; /* checked: what it names exists in it */
    struct hmac *const *macs;                 /* one for each of config->mac_keys */
};

struct translate_sink {
    bool (*add)(void *ctx, struct slice type_url, struct slice name, struct slice bytes, struct err *err);
    /*
     * May be NULL. source: a hash of all that a resource, or all of a type, is made from. true: it was made from the same
     * before and is taken over; false: it is made and added next.
     */
    bool (*reuse)(void *ctx, struct slice type_url, struct slice name, uint64_t source);
    bool (*reuse_all)(void *ctx, struct slice type_url, uint64_t source);
    void *ctx;
};

/* false, ERR_DENIED: no such gateway. Which ones exist is known once the folder has gateways. */
bool translate_knows(const struct translate_input *in, struct slice cluster, struct err *err);
/* Every resource of the group, each once. false: our own bug, or what the sink said. */
bool translate_group(const struct translate_input *in, const char *cluster, const struct translate_sink *sink,
                     struct err *err);

/* What partners must whitelist: a row for each egress entry's host and port that leaves through a pool. */
struct translate_egress_row {
    const char *host;
    uint32_t port;
    const char *gateway, *pool, *source; /* source: the address used now; "" without a pool */
};
void translate_each_egress(const struct translate_input *in,
                           void (*fn)(void *ctx, const struct translate_egress_row *row), void *ctx);
/* Does a sidecar of this gateway ("": of any) answer for this host, a name without port? */
bool translate_serves_host(const Egret__Control__V1__Config *config, const char *gateway, const char *host);
/* In which HTTP version, and through which proxy, policies have a backend reached. */
struct translate_way {
    enum { BACKEND_HTTP1, BACKEND_HTTP2, BACKEND_HTTP2_OR_1 } http;
    const char *proxy; /* "host:port"; NULL: none */
};
/* The cluster that carries this backend's calls. */
const char *translate_cluster_name(struct arena *arena, const Egret__Control__V1__Config *config,
                                   const struct catalog_backend *backend, struct translate_way way);
