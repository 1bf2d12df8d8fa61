/* Shared by the app_*.c files: the one struct app. */
#pragma once
#include "proxy/app.h"
#include "proxy/config/store.h"
#include "proxy/upstream/dns.h"
#include "proxy/worker.h"

struct swap { /* one configuration on its way through the workers */
    struct app *app;
    struct snapshot *snapshot;
    uint64_t generation;
    int *fds;
    atomic_uint left; /* workers that have not swapped yet */
};

enum app_state { APP_STARTING, APP_SERVING, APP_DRAINING, APP_ENDING };

struct app {
    struct options options;
    enum app_state state;
    struct stats *stats;
    struct log_sink *sink;
    struct extension_registry *registry;
    struct config_bootstrap *bootstrap;
    struct config_store *store;
    struct upstream_shared *shared;
    struct worker *workers; /* [0] is this thread */
    unsigned n_workers;     /* without [0] */
    bool started;
    struct listen_sockets *sockets;
    struct resolver *resolver;
    struct dns *dns;
    struct app_ads *ads;
    struct app_admin *admin;
    struct app_handover *handover;
    atomic_uint connections, overload;
    uint64_t memory_limit; /* 0: none */
    struct stat_handle *overload_gauge;
    struct stat_handle *inbox_used, *inbox_pressed, *inbox_waits; /* sums of the workers' budgets */
    unsigned reclaims;
    struct timer reclaim; /* frees dead configuration, saves state */
    struct timer drain;
    int64_t drain_deadline_us, idle_since_us;
    bool drain_until_empty; /* taken over: ends when the last connection has gone */
    uint64_t published;     /* generation the workers were last given */
    unsigned swaps;         /* configurations on their way */
    struct stat_handle *swap_us, *publish_us; /* time so far: on the workers, on the main thread */
    struct err failure;
};

/* app_swap.c */
void app_publish(struct app *a); /* gives store_snapshot to the workers if it is new */
void app_settle(struct app *a); /* trims sockets, tells the process before us to drain: once all is there */
void app_resolved(void *ctx, struct slice name, uint16_t port, const struct host_addrs *addrs); /* dns_create's publish */
/* Runs fn on every worker but the main one and calls done on the main thread after the last. */
void app_each_worker(struct app *a, void (*fn)(struct worker *w, void *arg), void *arg, void (*done)(struct app *a, void *arg));

/* app_drain.c */
void app_drain(struct app *a, uint32_t seconds, bool until_empty);
void app_end(struct app *a);
void app_on_drain_check(struct timer *timer);
void app_on_signal(void *ctx, int signo);

/* app_ads.c: the ADS client, state on disk */
bool app_ads_start(struct app *a, struct err *err);
void app_ads_stop(struct app *a);
void app_ads_resolved(struct app *a, struct slice name, uint16_t port); /* a name has other addresses */
void app_ads_trim(struct app *a); /* now and then */
void app_ads_applied(struct app *a, uint64_t generation);
struct strbuf;
void app_ads_describe(const struct app *a, struct strbuf *json);

/* app_admin.c */
bool app_admin_start(struct app *a, struct err *err);
void app_admin_stop(struct app *a);

/* app_overload.c: how near the memory limit is, for all workers to see */
void app_overload_start(struct app *a);
void app_overload_check(struct app *a); /* a few times a second */
void app_overload_stop(struct app *a);

/* app_handover.c: sockets from the process before, to the one after */
bool app_handover_inherit(struct app *a, struct err *err); /* before the first publish */
bool app_handover_is_due(const struct app *a);             /* the process before us waits for our word */
void app_handover_done(struct app *a);                     /* we accept: the one before may drain */
bool app_handover_serve(struct app *a, struct err *err);   /* wait for the one after */
void app_handover_stop(struct app *a);
