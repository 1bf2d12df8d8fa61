/* Statistics of the process itself. They are nobody's to count: they are brought up to date before they are shown. */
#include <malloc.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/doc/doc.h"
#include "base/macros.h"
#include "base/mem.h"
#include "proxy/admin/internal.h"

struct gauges {
    unsigned slot;
    struct stat_handle *uptime, *live, *state, *concurrency, *allocated, *heap, *cert_days;
    struct stat_handle *lines, *failed, *dropped, *reopen_failed;
    struct log_sink_counts counted;
    uint64_t generation; /* whose certificates were looked at */
    int64_t first_expiry_s;
};

struct gauges *gauges_create(struct admin *a)
{
    struct stats *stats = a->config.stats;
    struct gauges *g = mem_alloc(sizeof *g);
    g->slot = loop_index(a->config.loop);
    g->generation = UINT64_MAX;
    g->uptime = stat_gauge(stats, "server.uptime", NULL);
    g->live = stat_gauge(stats, "server.live", NULL);
    g->state = stat_gauge(stats, "server.state", NULL);
    g->concurrency = stat_gauge(stats, "server.concurrency", NULL);
    g->allocated = stat_gauge(stats, "server.memory_allocated", NULL);
    g->heap = stat_gauge(stats, "server.memory_heap_size", NULL);
    g->cert_days = stat_gauge(stats, "server.days_until_first_cert_expiring", NULL);
    g->lines = stat_counter(stats, "filesystem.write_buffered", NULL);
    g->failed = stat_counter(stats, "filesystem.write_failed", NULL);
    g->dropped = stat_counter(stats, "filesystem.write_dropped", NULL);
    g->reopen_failed = stat_counter(stats, "filesystem.reopen_failed", NULL);
    return g;
}

void gauges_destroy(struct gauges **gauges)
{
    struct gauges *g = *gauges;
    *gauges = NULL;
    if (g == NULL) {
        return;
    }
    struct stat_handle **all[] = {&g->uptime,    &g->live,  &g->state,  &g->concurrency, &g->allocated,    &g->heap,
                                  &g->cert_days, &g->lines, &g->failed, &g->dropped,     &g->reopen_failed};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        stat_release(all[i]);
    }
    mem_free(g);
}

static void note_expiry(void *ctx, const struct tls_context *c)
{
    struct gauges *g = ctx;
    struct arena *arena = arena_create(0);
    char *json = tls_context_describe(c);
    const struct doc *certs = doc_parse(
        arena, (struct doc_source){.name = "certificate", .bytes = slice_of(json), .format = DOC_JSON}, NULL, NULL);
    for (size_t i = 0; i < doc_len(certs); i++) {
        struct tm tm;
        memset(&tm, 0, sizeof tm);
        const char *text = doc_get_string(doc_at(certs, i), "expiration_time").p; /* a NUL stands behind it */
        if (text != NULL && strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) != NULL && timegm(&tm) < g->first_expiry_s) {
            g->first_expiry_s = timegm(&tm);
        }
    }
    mem_free(json);
    arena_destroy(&arena);
}

static void update_expiry(struct gauges *g, struct admin *a)
{
    struct snapshot *snapshot = store_snapshot(a->config.store);
    if (snapshot_generation(snapshot) != g->generation) {
        g->generation = snapshot_generation(snapshot);
        g->first_expiry_s = INT64_MAX;
        certs_each(snapshot, note_expiry, g);
    }
    if (g->first_expiry_s == INT64_MAX) { /* as Envoy shows that there is none */
        stat_set(g->cert_days, g->slot, UINT32_MAX);
        return;
    }
    int64_t left_s = g->first_expiry_s - clock_wall_us() / 1000000;
    stat_set(g->cert_days, g->slot, left_s > 0 ? (uint64_t)left_s / 86400 : 0);
}

static void update_logs(struct gauges *g, const struct log_sink *logs)
{
    if (logs == NULL) {
        return;
    }
    struct log_sink_counts now = log_sink_counts(logs);
    stat_add(g->lines, g->slot, now.lines - g->counted.lines);
    stat_add(g->failed, g->slot, now.failed - g->counted.failed);
    stat_add(g->dropped, g->slot, now.dropped - g->counted.dropped);
    stat_add(g->reopen_failed, g->slot, now.reopen_failed - g->counted.reopen_failed);
    g->counted = now;
}

void gauges_update(struct gauges *g, struct admin *a)
{
    struct mallinfo2 m = mallinfo2();
    unsigned state = admin_state(a, NULL);
    stat_set(g->uptime, g->slot, (uint64_t)(loop_now_us(a->config.loop) - a->started_us) / 1000000);
    stat_set(g->live, g->slot, state == STATE_LIVE);
    stat_set(g->state, g->slot, state);
    stat_set(g->concurrency, g->slot, a->config.concurrency);
    stat_set(g->allocated, g->slot, m.uordblks + m.hblkhd);
    stat_set(g->heap, g->slot, m.arena + m.hblkhd);
    update_expiry(g, a);
    update_logs(g, a->config.logs);
}
