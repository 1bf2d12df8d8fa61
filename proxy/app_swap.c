/* How a configuration, an address or a question reaches every worker: as messages, answered by messages. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "proxy/app_internal.h"

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
void app_settle(struct app *a)
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
    app_settle(a);
    app_ads_applied(a, generation);
}

static void swap_on_worker(void *arg)
{
    struct swap_step *step = arg;
    struct swap *s = step->swap;
    int64_t start = clock_mono_us();
    worker_swap(step->worker, s->snapshot, s->fds);
    stat_add(s->app->swap_us, step->worker->index, (uint64_t)(clock_mono_us() - start));
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
    int64_t start = clock_mono_us();
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
    stat_add(a->publish_us, 0, (uint64_t)(clock_mono_us() - start));
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

void app_resolved(void *ctx, struct slice name, uint16_t port, const struct host_addrs *addrs)
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
    app_ads_resolved(a, name, port);
}
