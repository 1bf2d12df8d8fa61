/*
 * The overload manager: compares resident memory with the limit a few times a second and lets every worker see how near it
 * is, so that requests are answered with 503, and connections closed, before memory runs out. Shows what the workers'
 * streams hold of their inbox budgets.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/file.h"
#include "base/mem.h"
#include "proxy/app_internal.h"

enum { SHED_PERCENT = 95, CLOSE_PERCENT = 98 };

/* memory.max of the cgroup; 0: none. */
static uint64_t cgroup_limit(void)
{
    char *text = NULL;
    size_t n = 0;
    uint64_t limit = 0;
    if (file_read("/sys/fs/cgroup/memory.max", 64, &text, &n, NULL)) {
        struct slice line = slice_make(text, n);
        if (!slice_to_u64(slice_cut(&line, '\n'), &limit)) { /* "max" */
            limit = 0;
        }
        mem_free(text);
    }
    return limit;
}

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) {
        return 0;
    }
    int got = fscanf(f, "%llu %llu", &size, &resident);
    fclose(f);
    return got == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void app_overload_start(struct app *a)
{
    a->memory_limit = bootstrap_limits(a->bootstrap)->max_memory_bytes;
    a->memory_limit = a->memory_limit == 0 ? cgroup_limit() : a->memory_limit;
    a->overload_gauge = stat_gauge(a->stats, "overload.memory.pressure_percent", NULL);
    a->inbox_used = stat_gauge(a->stats, "overload.inbox.bytes", NULL);
    a->inbox_pressed = stat_counter(a->stats, "overload.inbox.pressed", NULL);
    a->inbox_waits = stat_counter(a->stats, "overload.inbox.reads_paused", NULL);
    app_overload_check(a);
}

static void count_up_to(struct stat_handle *counter, uint64_t total)
{
    stat_add(counter, 0, total - stat_value(counter));
}

static void tell_inboxes(struct app *a)
{
    uint64_t used = 0, pressed = 0, waits = 0;
    for (unsigned i = 1; i <= a->n_workers; i++) {
        const struct budget *b = loop_inbox(a->workers[i].loop);
        used += budget_used(b);
        pressed += atomic_load_explicit(&b->pressed, memory_order_relaxed);
        waits += atomic_load_explicit(&b->waits, memory_order_relaxed);
    }
    stat_set(a->inbox_used, 0, used);
    count_up_to(a->inbox_pressed, pressed);
    count_up_to(a->inbox_waits, waits);
}

void app_overload_check(struct app *a)
{
    tell_inboxes(a);
    if (a->memory_limit == 0) {
        return;
    }
    uint64_t percent = resident_bytes() * 100 / a->memory_limit;
    unsigned level = percent >= CLOSE_PERCENT  ? OVERLOAD_CLOSE_CONNECTIONS
                     : percent >= SHED_PERCENT ? OVERLOAD_SHED_REQUESTS
                                               : OVERLOAD_NONE;
    unsigned before = atomic_exchange(&a->overload, level);
    stat_set(a->overload_gauge, 0, percent);
    if (level != before) {
        LOG(level > before ? LOG_WARN : LOG_INFO, "main", "memory at %llu %% of its limit: %s", (unsigned long long)percent,
            level == OVERLOAD_NONE            ? "everything is served"
            : level == OVERLOAD_SHED_REQUESTS ? "new requests get 503"
                                              : "new connections are closed");
    }
}

void app_overload_stop(struct app *a)
{
    stat_release(&a->overload_gauge);
    stat_release(&a->inbox_used);
    stat_release(&a->inbox_pressed);
    stat_release(&a->inbox_waits);
}
