/* One response: through the store, published, acknowledged or refused. */
#include "proxy/ads/internal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* Envoy's names where there are any. */
static void add_stats(struct ads *a, struct ads_type *t, struct slice url)
{
    const char *prefix = slice_ends_with(url, SLICE("envoy.config.cluster.v3.Cluster"))     ? "cluster_manager.cds."
                         : slice_ends_with(url, SLICE("envoy.config.listener.v3.Listener")) ? "listener_manager.lds."
                                                                                            : "xds.{egret_xds_type}.";
    struct slice name = slice_from(url, slice_find(url, '/') + 1);
    char pattern[96];
    snprintf(pattern, sizeof pattern, "%supdate_attempt", prefix);
    t->attempt = stat_counter(a->config.stats, pattern, &name);
    snprintf(pattern, sizeof pattern, "%supdate_success", prefix);
    t->success = stat_counter(a->config.stats, pattern, &name);
    snprintf(pattern, sizeof pattern, "%supdate_rejected", prefix);
    t->rejected = stat_counter(a->config.stats, pattern, &name);
    snprintf(pattern, sizeof pattern, "%sresources_received", prefix);
    t->resources = stat_counter(a->config.stats, pattern, &name);
    snprintf(pattern, sizeof pattern, "%sbytes_received", prefix);
    t->bytes = stat_counter(a->config.stats, pattern, &name);
    snprintf(pattern, sizeof pattern, "%sversion", prefix);
    t->version = stat_gauge(a->config.stats, pattern, &name);
}

void ads_types_init(struct ads *a)
{
    const struct slice *urls;
    size_t n = store_types(a->config.store, &urls);
    a->types = mem_alloc((n + 1) * sizeof *a->types);
    for (size_t i = 0; i < n; i++) {
        ads_session_add_type(a->session, urls[i]);
        add_stats(a, &a->types[i], urls[i]);
    }
}

void ads_types_fini(struct ads *a)
{
    for (size_t i = 0; i < ads_session_types(a->session); i++) {
        stat_release(&a->types[i].attempt);
        stat_release(&a->types[i].success);
        stat_release(&a->types[i].rejected);
        stat_release(&a->types[i].resources);
        stat_release(&a->types[i].bytes);
        stat_release(&a->types[i].version);
        mem_free(a->types[i].refusal);
    }
    mem_free(a->types);
}

void ads_refresh_names(struct ads *a)
{
    for (size_t i = 0; i < ads_session_types(a->session); i++) {
        const struct slice *names = NULL;
        size_t n = store_names(a->config.store, ads_session_type_url(a->session, i), &names);
        ads_session_set_names(a->session, i, names, n);
    }
}

static void count_accepted(struct ads *a, struct ads_type *t)
{
    unsigned slot = loop_index(a->config.loop);
    t->accepted++;
    t->last_update_us = loop_wall_us(a->config.loop);
    stat_add(t->success, slot, 1);
    stat_set(t->version, slot, slice_hash(a->response.version, 0));
}

/* The same refusal again, of a server that sends the same again, is counted but not logged. */
static void count_refused(struct ads *a, struct ads_type *t, struct slice type_url, const char *reason)
{
    bool again = t->refusal != NULL && slice_eq(slice_of(t->refusal), slice_of(reason));
    t->refused++;
    t->last_refusal_us = loop_wall_us(a->config.loop);
    stat_add(t->rejected, loop_index(a->config.loop), 1);
    if (!again) {
        LOG(LOG_WARN, "ads", "%.*s version \"%.*s\" refused: %s", SLICE_ARG(type_url), SLICE_ARG(a->response.version),
            reason);
        mem_free(t->refusal);
        t->refusal = mem_str(reason);
    }
}

/* Names that the new state asks for follow the acknowledgement of what asked for them. */
void ads_finish_message(struct ads *a)
{
    struct ads_type *t = &a->types[a->response.type];
    a->applying = false;
    if (a->acceptable) {
        count_accepted(a, t);
        ads_session_ack(a->session);
    } else {
        count_refused(a, t, a->response.type_url, a->reason);
        ads_session_nack(a->session, slice_of(a->reason));
    }
    ads_refresh_names(a);
    arena_destroy(&a->message);
    mem_free(a->reason);
    a->reason = NULL;
    if (a->acceptable && a->events->on_accepted != NULL) {
        a->events->on_accepted(a->ctx);
    }
}

static void apply(struct ads *a)
{
    struct err err = {.kind = ERR_NONE};
    struct store_update update = {
        .type_url = a->response.type_url,
        .version = a->response.version,
        .resources = a->response.resources,
        .n = a->response.n,
        .delta = a->config.delta,
        .removed = a->response.removed,
        .n_removed = a->response.n_removed,
    };
    bool changed = false;
    int64_t start = clock_mono_us();
    a->acceptable = store_apply(a->config.store, &update, &changed, &err);
    stat_add(a->apply_us, loop_index(a->config.loop), (uint64_t)(clock_mono_us() - start));
    a->reason = a->acceptable ? NULL : mem_str(err.text);
    a->applying = true;
    if (!changed) {
        ads_finish_message(a);
        return;
    }
    struct snapshot *snapshot = store_snapshot(a->config.store);
    a->generation = snapshot_generation(snapshot);
    a->events->publish(a->ctx, snapshot);
}

static void count_received(struct ads *a, struct ads_type *t, struct slice message)
{
    unsigned slot = loop_index(a->config.loop);
    a->bytes += message.n;
    stat_add(t->attempt, slot, 1);
    stat_add(t->resources, slot, a->response.n);
    stat_add(t->bytes, slot, message.n);
}

static void note_control_plane(struct ads *a, struct slice identifier)
{
    if (identifier.n > 0 && (a->control_plane == NULL || !slice_eq(identifier, slice_of(a->control_plane)))) {
        mem_free(a->control_plane);
        a->control_plane = mem_str_slice(identifier);
    }
}

bool ads_take_message(struct ads *a, struct slice bytes, struct err *err)
{
    a->message = arena_create(0);
    enum ads_verdict verdict = ads_session_receive(a->session, bytes, a->message, &a->response, err);
    if (verdict != ADS_BROKEN) {
        note_control_plane(a, a->response.control_plane);
    }
    switch (verdict) {
    case ADS_TAKE:
        count_received(a, &a->types[a->response.type], bytes);
        apply(a);
        return true;
    case ADS_DONE:
        if (err->kind != ERR_NONE) {
            LOG(LOG_WARN, "ads", "%s", err->text);
            err_clear(err);
        }
        arena_destroy(&a->message);
        return true;
    case ADS_BROKEN:
        break;
    }
    arena_destroy(&a->message);
    return false;
}
