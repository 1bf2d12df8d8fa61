/* Draining and ending: on a signal, on a command, or because another process has taken over. */
#include <signal.h>

#include "proxy/app_internal.h"
#include "proxy/observe/log_sink.h"

enum { DRAIN_CHECK_MS = 100, QUIET_MS = 1000 };

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

void app_on_drain_check(struct timer *timer)
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

void app_on_signal(void *ctx, int signo)
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
