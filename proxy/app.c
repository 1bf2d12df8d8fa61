#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "proxy/app_internal.h"
#include "proxy/filter/apim.h"
#include "proxy/observe/access_log.h"
#include "proxy/observe/log_sink.h"

enum { RECLAIM_MS = 250, CHECK_FILES_EVERY = 4, DRAIN_CHECK_MS = 100, QUIET_MS = 1000 };

/* ---- a configuration to the workers ---- */

struct swap_step {
    struct swap *swap;
    struct worker *worker;
};

/*
 * When no configuration is on its way to a worker: descriptors that nothing names any more are closed, and the process
 * before us may drain. Both only once all that is to be served is there: until then the sockets it gave us are kept for
 * listeners that the control server has yet to send.
 */
static void settle(struct app *a)
{
    struct strbuf missing;
    if (a->sockets == NULL) {
        return; /* ending: a configuration that was on its way comes back last */
    }
    strbuf_init(&missing);
    if (a->swaps == 0 && (!app_handover_is_due(a) || store_is_ready(a->store, &missing))) {
        listen_sockets_trim(a->sockets, store_snapshot(a->store));
        app_handover_done(a);
    }
    strbuf_fini(&missing);
}

static void swap_done(void *arg)
{
    struct swap *s = arg;
    struct app *a = s->app;
    uint64_t generation = s->generation;
    a->swaps--;
    snapshot_unref(&s->snapshot);
    mem_free(s->fds);
    mem_free(s);
    a->state = a->state == APP_STARTING ? APP_SERVING : a->state;
    settle(a);
    app_ads_applied(a, generation);
}

static void swap_on_worker(void *arg)
{
    struct swap_step *step = arg;
    struct swap *s = step->swap;
    worker_swap(step->worker, s->snapshot, s->fds);
    mem_free(step);
    if (atomic_fetch_sub(&s->left, 1) == 1) {
        loop_post(s->app->workers[0].loop, swap_done, s);
    }
}

void app_publish(struct app *a)
{
    struct snapshot *snapshot = store_snapshot(a->store);
    struct err err;
    uint64_t generation = snapshot_generation(snapshot);
    if (a->published == generation || a->state >= APP_DRAINING) {
        return;
    }
    a->published = generation;
    if (!listen_sockets_update(a->sockets, snapshot, &err)) {
        LOG(LOG_ERROR, "config", "%s", err.text);
        if (a->state == APP_STARTING && bootstrap_ads_cluster(a->bootstrap).n == 0) {
            a->failure = err;
            app_end(a);
            return;
        }
    }
    struct swap *s = mem_alloc(sizeof *s);
    a->swaps++;
    s->app = a;
    s->snapshot = snapshot_ref(snapshot);
    s->generation = generation;
    s->fds = mem_alloc((snapshot_listener_count(snapshot) + 1) * sizeof *s->fds);
    atomic_init(&s->left, a->n_workers);
    for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
        const struct listener_conf *l = snapshot_listener_at(snapshot, i);
        s->fds[i] = l->internal || !l->bind_to_port ? -1 : listen_sockets_fd(a->sockets, &l->addr);
    }
    worker_swap(&a->workers[0], snapshot, s->fds);
    dns_update(a->dns, snapshot);
    for (unsigned i = 1; i <= a->n_workers; i++) {
        struct swap_step *step = mem_alloc(sizeof *step);
        *step = (struct swap_step){s, &a->workers[i]};
        loop_post(a->workers[i].loop, swap_on_worker, step);
    }
}

/* ---- something on every worker ---- */

struct visit {
    struct app *app;
    void (*fn)(struct worker *w, void *arg);
    void *arg;
    void (*done)(struct app *a, void *arg);
    atomic_uint left;
};

struct visit_step {
    struct visit *visit;
    struct worker *worker;
};

static void visit_done(void *arg)
{
    struct visit *v = arg;
    if (v->done != NULL) {
        v->done(v->app, v->arg);
    }
    mem_free(v);
}

static void visit_worker(void *arg)
{
    struct visit_step *step = arg;
    struct visit *v = step->visit;
    v->fn(step->worker, v->arg);
    mem_free(step);
    if (atomic_fetch_sub(&v->left, 1) == 1) {
        loop_post(v->app->workers[0].loop, visit_done, v);
    }
}

void app_each_worker(struct app *a, void (*fn)(struct worker *w, void *arg), void *arg, void (*done)(struct app *a, void *arg))
{
    struct visit *v = mem_alloc(sizeof *v);
    *v = (struct visit){.app = a, .fn = fn, .arg = arg, .done = done};
    atomic_init(&v->left, a->n_workers);
    for (unsigned i = 1; i <= a->n_workers; i++) {
        struct visit_step *step = mem_alloc(sizeof *step);
        *step = (struct visit_step){v, &a->workers[i]};
        loop_post(a->workers[i].loop, visit_worker, step);
    }
}

/* ---- addresses ---- */

struct resolved {
    char name[256];
    uint16_t port;
    const struct host_addrs *addrs;
    struct worker *worker;
};

static void resolved_on_worker(void *arg)
{
    struct resolved *r = arg;
    upstream_resolved(r->worker->upstream, slice_of(r->name), r->port, r->addrs);
    host_addrs_unref(&r->addrs);
    mem_free(r);
}

static void on_resolved(void *ctx, struct slice name, uint16_t port, const struct host_addrs *addrs)
{
    struct app *a = ctx;
    upstream_resolved(a->workers[0].upstream, name, port, addrs);
    for (unsigned i = 1; i <= a->n_workers; i++) {
        struct resolved *r = mem_alloc(sizeof *r);
        memcpy(r->name, name.p, name.n < sizeof r->name ? name.n : sizeof r->name - 1);
        r->port = port;
        r->addrs = host_addrs_ref(addrs);
        r->worker = &a->workers[i];
        loop_post(r->worker->loop, resolved_on_worker, r);
    }
}

/* ---- ending ---- */

void app_end(struct app *a)
{
    a->state = APP_ENDING;
    loop_stop(a->workers[0].loop);
}

static void drain_worker(struct worker *w, void *arg)
{
    (void)arg;
    worker_drain(w);
    atomic_store(&w->open, worker_open(w));
}

static void count_worker(struct worker *w, void *arg)
{
    bool until_empty = arg != NULL;
    atomic_store(&w->open, until_empty ? worker_open(w) : exchanger_active(w->exchanger));
}

/* Empty: no connection is left; or, asked to end, no request has been open for a while and only idle ones remain. */
static void drain_counted(struct app *a, void *arg)
{
    unsigned open = 0;
    int64_t now = loop_now_us(a->workers[0].loop);
    for (unsigned i = 1; i <= a->n_workers; i++) {
        open += atomic_load(&a->workers[i].open);
    }
    if (open > 0) {
        a->idle_since_us = 0;
    } else if (a->idle_since_us == 0) {
        a->idle_since_us = now;
    }
    bool quiet = a->idle_since_us != 0 && (arg != NULL || now - a->idle_since_us >= QUIET_MS * 1000);
    if (quiet || now >= a->drain_deadline_us) {
        LOG(LOG_INFO, "main", quiet ? "drained" : "drain time is over");
        app_end(a);
        return;
    }
    timer_set_in(&a->drain, DRAIN_CHECK_MS);
}

static void on_drain_check(struct timer *timer)
{
    struct app *a = container_of(timer, struct app, drain);
    app_each_worker(a, count_worker, a->drain_until_empty ? a : NULL, drain_counted);
}

void app_drain(struct app *a, uint32_t seconds, bool until_empty)
{
    if (a->state >= APP_DRAINING) {
        return;
    }
    LOG(LOG_INFO, "main", "draining for at most %u s", seconds);
    a->state = APP_DRAINING;
    a->drain_until_empty = until_empty;
    a->drain_deadline_us = loop_now_us(a->workers[0].loop) + (int64_t)seconds * 1000000;
    app_each_worker(a, drain_worker, NULL, NULL);
    timer_set_in(&a->drain, DRAIN_CHECK_MS);
}

static void on_signal(void *ctx, int signo)
{
    struct app *a = ctx;
    if (signo == SIGUSR1) {
        log_sink_reopen(a->sink);
        if (a->options.log_path != NULL) {
            log_open(a->options.log_path);
        }
    } else if (a->state >= APP_DRAINING && !a->drain_until_empty) {
        app_end(a);
    } else {
        if (a->state >= APP_DRAINING) {
            a->drain_until_empty = false;
            return;
        }
        app_drain(a, a->options.drain_time_s, false);
    }
}

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
    app_overload_check(a);
    if (++a->reclaims % CHECK_FILES_EVERY == 0) {
        check_files(a);
    }
    if (app_handover_is_due(a) && a->state == APP_SERVING) {
        settle(a);
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
    a->shared = upstream_shared_create(a->stats, a->options.concurrency);
    if (!create_workers(a, err)) {
        return false;
    }
    a->resolver = resolver_create(a->workers[0].loop, err);
    if (a->resolver == NULL) {
        return false;
    }
    a->dns = dns_create(a->workers[0].loop, a->resolver, on_resolved, a);
    a->sockets = listen_sockets_create();
    timer_init(&a->reclaim, a->workers[0].loop, on_reclaim);
    timer_init(&a->drain, a->workers[0].loop, on_drain_check);
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
        loop_on_signal(loop, signals[i], on_signal, a);
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
    stats_destroy(&a->stats);
    log_sink_destroy(&a->sink);
    mem_free(a);
}
