#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "proxy/app_internal.h"
#include "proxy/filter/apim.h"
#include "proxy/observe/access_log.h"
#include "proxy/observe/log_sink.h"

enum { RECLAIM_MS = 250, CHECK_FILES_EVERY = 4 };

/* Certificates and keys that were replaced on disk. */
static void check_files(struct app *a)
{
    struct err err = {.kind = ERR_NONE};
    bool changed = false;
    if (!store_check_files(a->store, &changed, &err)) {
        LOG(LOG_WARN, "config", "%s", err.text);
    }
    if (changed) {
        app_publish(a);
    }
}

static void on_reclaim(struct timer *timer)
{
    struct app *a = container_of(timer, struct app, reclaim);
    store_reclaim(a->store);
    app_ads_trim(a);
    app_overload_check(a);
    if (++a->reclaims % CHECK_FILES_EVERY == 0) {
        check_files(a);
    }
    if (app_handover_is_due(a) && a->state == APP_SERVING) {
        app_settle(a);
    }
    timer_set_in(timer, RECLAIM_MS);
}

/* ---- life ---- */

static bool create_workers(struct app *a, struct err *err)
{
    a->n_workers = a->options.concurrency;
    a->workers = mem_alloc((a->n_workers + 1) * sizeof *a->workers);
    for (unsigned i = 0; i <= a->n_workers; i++) {
        struct worker_options options = {
            .index = i,
            .workers = a->n_workers,
            .stats = a->stats,
            .shared = a->shared,
            .limits = bootstrap_limits(a->bootstrap),
            .connections = &a->connections,
            .overload = &a->overload,
        };
        if (!worker_init(&a->workers[i], &options, err)) {
            return false;
        }
    }
    return true;
}

static void register_extensions(struct app *a)
{
    a->registry = extension_registry_create();
    extension_register(a->registry, &apim_filter_type);
    extension_register(a->registry, &apim_per_host_type);
    for (size_t i = 0; i < access_log_type_count; i++) {
        extension_register(a->registry, access_log_types[i]);
    }
}

static bool app_build(struct app *a, struct err *err)
{
    struct bootstrap_options b = {
        .path = a->options.config_path,
        .yaml = a->options.config_yaml,
        .node_id = a->options.service_node,
        .node_cluster = a->options.service_cluster,
        .node_zone = a->options.service_zone,
    };
    if (a->options.mode == MODE_SERVE) {
        a->sink = log_sink_create(LOG_SINK_QUEUE, err);
        if (a->sink == NULL) {
            return false;
        }
    }
    tls_use_pools();
    register_extensions(a);
    a->bootstrap = bootstrap_load(&b, a->registry, err);
    if (a->bootstrap == NULL) {
        return false;
    }
    a->store = store_create(a->bootstrap, a->registry, err);
    if (a->store == NULL || a->options.mode == MODE_VALIDATE) {
        return a->store != NULL;
    }
    a->stats = stats_create(a->options.concurrency + 1);
    a->swap_us = stat_counter(a->stats, "config.swap_worker_us", NULL);
    a->publish_us = stat_counter(a->stats, "config.publish_us", NULL);
    a->shared = upstream_shared_create(a->stats, a->options.concurrency);
    if (!create_workers(a, err)) {
        return false;
    }
    a->resolver = resolver_create(a->workers[0].loop, err);
    if (a->resolver == NULL) {
        return false;
    }
    a->dns = dns_create(a->workers[0].loop, a->resolver, app_resolved, a);
    a->sockets = listen_sockets_create();
    timer_init(&a->reclaim, a->workers[0].loop, on_reclaim);
    timer_init(&a->drain, a->workers[0].loop, app_on_drain_check);
    return true;
}

struct app *app_create(const struct options *options, struct err *err)
{
    struct app *a = mem_alloc(sizeof *a);
    a->options = *options;
    if (!app_build(a, err)) {
        app_destroy(&a);
    }
    return a;
}

static bool app_start(struct app *a, struct err *err)
{
    struct loop *loop = a->workers[0].loop;
    const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        loop_on_signal(loop, signals[i], app_on_signal, a);
    }
    if (!app_handover_inherit(a, err) || !app_admin_start(a, err)) {
        return false;
    }
    for (unsigned i = 1; i <= a->n_workers; i++) {
        if (!worker_start(&a->workers[i], err)) {
            return false;
        }
        a->started = true;
    }
    app_overload_start(a);
    timer_set_in(&a->reclaim, RECLAIM_MS);
    if (!app_ads_start(a, err)) {
        return false;
    }
    app_publish(a);
    return app_handover_serve(a, err);
}

bool app_run(struct app *a, struct err *err)
{
    bool ok = app_start(a, err);
    if (ok && a->state < APP_ENDING) {
        loop_run(a->workers[0].loop);
    }
    if (a->failure.kind != ERR_NONE) {
        *err = a->failure;
        ok = false;
    }
    return ok;
}

static void stop_worker(void *arg)
{
    loop_stop(arg);
}

void app_destroy(struct app **app)
{
    struct app *a = *app;
    if (a == NULL) {
        return;
    }
    *app = NULL;
    timer_cancel(&a->drain); /* this loop still turns while its upstream goes, the workers' loops do not */
    timer_cancel(&a->reclaim);
    app_handover_stop(a);
    app_ads_stop(a);
    app_admin_stop(a);
    for (unsigned i = 1; a->started && i <= a->n_workers; i++) {
        loop_post(a->workers[i].loop, stop_worker, a->workers[i].loop);
    }
    for (unsigned i = 1; a->workers != NULL && i <= a->n_workers; i++) {
        if (a->workers[i].thread != 0) {
            worker_join(&a->workers[i]);
        } else {
            worker_fini(&a->workers[i]);
        }
    }
    dns_destroy(&a->dns);
    resolver_destroy(&a->resolver);
    listen_sockets_destroy(&a->sockets);
    if (a->workers != NULL) {
        worker_fini(&a->workers[0]);
        mem_free(a->workers);
    }
    store_destroy(&a->store);
    bootstrap_destroy(&a->bootstrap);
    extension_registry_destroy(&a->registry);
    app_overload_stop(a);
    upstream_shared_destroy(&a->shared);
    stat_release(&a->swap_us);
    stat_release(&a->publish_us);
    stats_destroy(&a->stats);
    log_sink_destroy(&a->sink);
    mem_free(a);
}
