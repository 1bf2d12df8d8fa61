/* What the process is and whether it serves: /ready, /server_info, /status, /memory. */
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/admin/internal.h"

unsigned admin_state(const struct admin *a, struct strbuf *why)
{
    struct strbuf ignored;
    strbuf_init(&ignored);
    enum admin_phase phase = a->sources->phase == NULL ? ADMIN_RUNNING : a->sources->phase(a->ctx);
    bool ready = store_is_ready(a->config.store, why == NULL ? &ignored : why);
    strbuf_fini(&ignored);
    if (phase == ADMIN_DRAINING || a->failed_by_hand) {
        return STATE_DRAINING;
    }
    if (phase == ADMIN_STARTING) {
        return STATE_PRE_INITIALIZING;
    }
    return ready ? STATE_LIVE : STATE_INITIALIZING;
}

const char *admin_state_name(unsigned state)
{
    static const char *const names[] = {"LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"};
    return names[state];
}

/* The first line is Envoy's; what is missing follows, though it may not keep this process from serving. */
static void answer_ready(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    struct strbuf why;
    (void)request;
    strbuf_init(&why);
    unsigned state = admin_state(a, &why);
    reply->status = state == STATE_LIVE ? 200 : 503;
    strbuf_printf(&reply->body, "%s\n", admin_state_name(state));
    if (why.n > 0) {
        strbuf_printf(&reply->body, "%s%s", why.p, why.p[why.n - 1] == '\n' ? "" : "\n");
    }
    strbuf_fini(&why);
}

static void answer_server_info(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    struct strbuf *out = &reply->body;
    (void)request;
    long long uptime_s = (loop_now_us(a->config.loop) - a->started_us) / 1000000;
    reply_json(reply);
    strbuf_printf(out, "{\"version\":\"egret/%s\",\"state\":\"%s\",", EGRET_VERSION,
                  admin_state_name(admin_state(a, NULL)));
    strbuf_printf(out, "\"uptime_current_epoch\":\"%llds\",\"uptime_all_epochs\":\"%llds\",", uptime_s, uptime_s);
    strbuf_add_str(out, "\"hot_restart_version\":\"disabled\",\"command_line_options\":");
    strbuf_add(out, a->config.command_line.n > 0 ? a->config.command_line : SLICE("{}"));
    strbuf_add_str(out, ",\"node\":{\"id\":");
    strbuf_add_json(out, a->config.node->id);
    strbuf_add_str(out, ",\"cluster\":");
    strbuf_add_json(out, a->config.node->cluster);
    strbuf_add_str(out, ",\"locality\":{\"zone\":");
    strbuf_add_json(out, a->config.node->zone);
    strbuf_add_str(out, "}}}\n");
}

static void add_logs(const struct admin *a, struct strbuf *out)
{
    if (a->config.logs == NULL) {
        strbuf_add_str(out, "null");
        return;
    }
    struct log_sink_counts c = log_sink_counts(a->config.logs);
    strbuf_printf(out, "{\"lines\":%llu,\"dropped\":%llu,\"failed\":%llu,\"reopen_failed\":%llu}",
                  (unsigned long long)c.lines, (unsigned long long)c.dropped, (unsigned long long)c.failed,
                  (unsigned long long)c.reopen_failed);
}

/* All that egretctl shows of one proxy, in one answer. */
static void answer_status(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    struct strbuf why, *out = &reply->body;
    char since[32];
    (void)request;
    strbuf_init(&why);
    unsigned state = admin_state(a, &why);
    int64_t disk_us = store_disk_since_us(a->config.store);
    reply_json(reply);
    strbuf_printf(out, "{\"version\":\"%s\",\"state\":\"%s\",\"missing\":", EGRET_VERSION, admin_state_name(state));
    strbuf_add_json(out, strbuf_slice(&why));
    strbuf_add_str(out, ",\"node\":{\"id\":");
    strbuf_add_json(out, a->config.node->id);
    strbuf_add_str(out, ",\"cluster\":");
    strbuf_add_json(out, a->config.node->cluster);
    strbuf_add_str(out, "},\"serving_from_disk_since\":");
    strbuf_add_json(out, disk_us == 0 ? SLICE("") : slice_make(since, clock_format_iso(disk_us, since)));
    struct snapshot *snapshot = store_snapshot(a->config.store);
    strbuf_printf(out, ",\"generation\":%llu,\"listeners\":%zu,\"clusters\":%zu,\"access_logs\":",
                  (unsigned long long)snapshot_generation(snapshot), snapshot_listener_count(snapshot),
                  snapshot_cluster_count(snapshot));
    add_logs(a, out);
    strbuf_add_str(out, ",\"xds\":");
    if (a->sources->ads != NULL) {
        a->sources->ads(a->ctx, out);
    } else {
        strbuf_add_str(out, "null");
    }
    strbuf_add_str(out, "}\n");
    strbuf_fini(&why);
}

static size_t resident_bytes(void)
{
    unsigned long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        if (fscanf(f, "%lu %lu", &size, &resident) != 2) {
            resident = 0;
        }
        fclose(f);
    }
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Envoy's message; what only its allocator knows is 0. */
static void answer_memory(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    (void)a;
    (void)request;
    struct mallinfo2 m = mallinfo2();
    reply_json(reply);
    strbuf_printf(&reply->body,
                  "{\"allocated\":\"%zu\",\"heap_size\":\"%zu\",\"pageheap_unmapped\":\"0\",\"pageheap_free\":\"%zu\","
                  "\"total_thread_cache\":\"0\",\"total_physical_bytes\":\"%zu\"}\n",
                  m.uordblks + m.hblkhd, m.arena + m.hblkhd, m.fordblks, resident_bytes());
}

const struct endpoint endpoints_state[] = {
    {"/ready", false, "200 and LIVE once traffic is served, else 503 with the state and what is missing", answer_ready},
    {"/server_info", false, "version, state, uptime, options and node", answer_server_info},
    {"/status", false, "state, xDS stream and access logs in one JSON object", answer_status},
    {"/memory", false, "what the process has allocated", answer_memory},
    {NULL, false, NULL, NULL},
};
