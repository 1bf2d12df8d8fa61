#include "proxy/worker.h"

#include <signal.h>

#include "base/budget.h"
#include "base/mem.h"

bool worker_init(struct worker *w, const struct worker_options *options, struct err *err)
{
    *w = (struct worker){.index = options->index};
    w->loop = loop_create(options->index, err);
    if (w->loop == NULL) {
        return false;
    }
    w->upstream = upstream_create(w->loop, options->shared);
    if (options->index == 0) {
        return true;
    }
    struct exchanger_options exchange = {
        .loop = w->loop,
        .upstream = w->upstream,
        .stats = options->stats,
        .limits = options->limits,
        .overload = options->overload,
        .on_idle = options->on_idle,
        .ctx = options->ctx,
    };
    budget_init(loop_inbox(w->loop), options->limits->inbox_budget_bytes / options->workers);
    w->exchanger = exchanger_create(&exchange);
    struct downstream_options downstream = {
        .stats = options->stats,
        .limits = options->limits,
        .connections = options->connections,
        .overload = options->overload,
        .events = &exchange_downstream_events,
        .ctx = w->exchanger,
    };
    w->downstream = downstream_create(w->loop, &downstream);
    return true;
}

/* From the outside in. Ends are told in turns: a request that is cut writes its record and lets go of its upstream. */
void worker_fini(struct worker *w)
{
    if (w->downstream != NULL) {
        downstream_abort(w->downstream);
        loop_turn(w->loop, false);
        exchanger_destroy(&w->exchanger);
        downstream_destroy(&w->downstream);
        loop_turn(w->loop, false);
    }
    upstream_destroy(&w->upstream);
    loop_destroy(&w->loop);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
    worker_fini(w); /* in its own thread: its pools are */
    pool_trim();
    return NULL;
}

bool worker_start(struct worker *w, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    int code = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0 || err_errno(err, code, "worker %u", w->index);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}

void worker_swap(struct worker *w, struct snapshot *snapshot, const int *fds)
{
    upstream_update(w->upstream, snapshot);
    if (w->index != 0) {
        exchanger_update(w->exchanger, snapshot);
        downstream_update(w->downstream, snapshot, fds);
    }
}

void worker_drain(struct worker *w)
{
    if (w->downstream != NULL) {
        downstream_drain(w->downstream);
    }
}

unsigned worker_open(const struct worker *w)
{
    return w->downstream == NULL ? 0 : downstream_connections(w->downstream) + exchanger_active(w->exchanger);
}
