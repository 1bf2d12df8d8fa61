/*
 * ads: the xDS client: one aggregated stream, state of the world or delta, to the control server, over this process's own HTTP/2
 * upstream. What arrives goes through the store; the snapshot that comes of it is published, and acknowledged once the
 * last worker uses it. When the stream ends, what was accepted stays, and another is tried after a while that grows
 * from half a second to half a minute. Main thread.
 *
 * A half-open connection is noticed by the HTTP/2 keepalive of the cluster, not here.
 */
#pragma once
#include "base/strbuf.h"
#include "proxy/config/store.h"
#include "proxy/upstream/upstream.h"

struct ads;

struct ads_events {
    /* A new snapshot, borrowed: every worker is to be given it; then say ads_applied with its generation. */
    void (*publish)(void *ctx, struct snapshot *snapshot);
    /* Something was acknowledged: the store may have something to save. */
    void (*on_accepted)(void *ctx);
    /* An attempt begins: the cluster's names are to be resolved anew, the control server may have moved. May be NULL. */
    void (*on_attempt)(void *ctx);
};

struct ads_config {
    struct loop *loop;
    struct upstream *upstream; /* the main thread's */
    struct config_store *store;
    const struct bootstrap_node *node;
    struct slice cluster; /* bootstrap_ads_cluster */
    bool delta;           /* bootstrap_ads_is_delta */
    struct stats *stats;
};

/* Begins with the first turn of the loop. What config points at outlives it. */
struct ads *ads_create(const struct ads_config *config, const struct ads_events *events, void *ctx);
void ads_destroy(struct ads **a);
/* The last worker uses this snapshot (or a newer one). May be called from publish. */
void ads_applied(struct ads *a, uint64_t generation);
/* The cluster has other addresses: an attempt that waits, or is under way at the old ones, is made now. */
void ads_addresses_changed(struct ads *a);
size_t ads_take_bytes(struct ads *a); /* received since the last call */
bool ads_is_connected(const struct ads *a); /* the server has answered on the present stream */
/* One JSON object: the state of the stream and, per type, versions, names, times and the last refusal. */
void ads_describe(const struct ads *a, struct strbuf *json);
