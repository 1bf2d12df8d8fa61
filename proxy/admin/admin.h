/*
 * admin: the administration interface: state, statistics, configuration and a few commands over HTTP/1, in Envoy's
 * paths and shapes. Whoever can reach it rules the process: bind it to the loopback or to a Unix socket. Commands
 * take POST only. Main thread.
 *
 * What stands above (workers, the xDS client, the process) is asked through struct admin_sources, which app fills.
 */
#pragma once
#include "base/stat/stat.h"
#include "base/strbuf.h"
#include "proxy/config/store.h"
#include "proxy/downstream/downstream.h"
#include "proxy/observe/log_sink.h"

struct admin;

enum admin_phase {
    ADMIN_STARTING, /* workers do not run yet: PRE_INITIALIZING */
    ADMIN_RUNNING,  /* LIVE, or INITIALIZING while the store waits for something */
    ADMIN_DRAINING,
};

/* Each may be NULL: what it serves is then left out, a command answers 501. */
struct admin_sources {
    enum admin_phase (*phase)(void *ctx);
    void (*hosts)(void *ctx, struct strbuf *text); /* upstream_describe of every worker, one after the other */
    void (*ads)(void *ctx, struct strbuf *json);   /* ads_describe */
    void (*drain)(void *ctx, bool graceful);       /* listeners: at once, or over the drain time */
    void (*quit)(void *ctx);
    void (*set_healthy)(void *ctx, bool healthy); /* health_check filters answer by it */
};

struct admin_config {
    struct loop *loop;
    struct addr addr;
    struct config_store *store;
    const struct bootstrap_node *node;
    struct stats *stats;
    struct log_sink *logs;                /* may be NULL */
    const struct listen_sockets *sockets; /* may be NULL: configured addresses are shown */
    unsigned concurrency;
    struct slice command_line; /* JSON object of the options in force; empty: {} */
};

/* Listens at once. What config points at outlives it. */
struct admin *admin_create(const struct admin_config *config, const struct admin_sources *sources, void *ctx,
                           struct err *err);
void admin_destroy(struct admin **a);
struct addr admin_address(const struct admin *a);
