/*
 * exchange: what happens between a downstream stream and an upstream one. One struct exchanger per worker: it takes the
 * requests and raw connections that downstream hands over and carries each to its end: route, filters, acquire, pump,
 * finish, one access-log record. One loop.
 */
#pragma once
#include "proxy/downstream/downstream.h"
#include "proxy/upstream/upstream.h"

struct exchanger;

struct exchanger_options {
    struct loop *loop;
    struct upstream *upstream;
    struct stats *stats;
    const struct config_limits *limits;
    const atomic_uint *overload; /* enum overload_level; may be NULL */
    /* Called when the number of open exchanges fell to zero: for draining. May be NULL. */
    void (*on_idle)(void *ctx);
    void *ctx;
};

struct exchanger *exchanger_create(const struct exchanger_options *options);
void exchanger_destroy(struct exchanger **e); /* after downstream: no request is open any more; raw sessions are cut */
void exchanger_update(struct exchanger *e, struct snapshot *snapshot); /* takes its own reference */
unsigned exchanger_active(const struct exchanger *e); /* requests, tunnels and raw sessions */
/* While draining: raw sessions and tunnels get no new data time; they end on their own or with the process. */

extern const struct downstream_events exchange_downstream_events; /* ctx: the exchanger */
