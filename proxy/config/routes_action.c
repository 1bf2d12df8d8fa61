#include "proxy/config/routes.h"

#include <string.h>

#define CLUSTER_CASE(x) ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_##x
#define HOST_CASE(x) ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_##x

enum { ROUTE_TIMEOUT_MS = 15000 };

/* ---- the cluster ---- */

static bool read_weight(struct reader *r, const pb_cluster_weight *m, struct weighted_cluster_conf *out)
{
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    out->name = read_text(r, m->name);
    out->weight = read_u32(m->weight, 0);
    if (m->host_rewrite_specifier_case ==
            ENVOY__CONFIG__ROUTE__V3__WEIGHTED_CLUSTER__CLUSTER_WEIGHT__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL &&
        !read_header_value(r, "host_rewrite_literal", m->host_rewrite_literal, &out->host_rewrite)) {
        return false;
    }
    struct override_entry *entries = arena_alloc(r->scratch, (m->n_typed_per_filter_config + 1) * sizeof *entries);
    for (size_t i = 0; i < m->n_typed_per_filter_config; i++) {
        entries[i] = (struct override_entry){m->typed_per_filter_config[i]->key, m->typed_per_filter_config[i]->value};
    }
    struct header_lists lists = HEADER_LISTS(m);
    return header_lists_read(r, &lists, &out->headers) &&
           overrides_read(r, entries, m->n_typed_per_filter_config, NULL, &out->user);
}

static bool read_weighted(struct reader *r, const pb_weighted *m, struct forward_conf *out)
{
    size_t mark = read_push(r, "weighted_clusters");
    struct weighted_cluster_conf *list = read_list(r, m->n_clusters, sizeof *list);
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_clusters; i++) {
        size_t inner = read_push_at(r, "clusters", i);
        if (!read_weight(r, m->clusters[i], &list[i])) {
            return false;
        }
        sum += list[i].weight;
        read_pop(r, inner);
    }
    if (sum == 0 || sum > UINT32_MAX) {
        return read_fail(r, "clusters", ERR_INPUT, "the weights must sum to more than 0 and at most 4294967295");
    }
    if (m->total_weight != NULL && m->total_weight->value != sum) {
        return read_fail(r, "total_weight", ERR_INPUT, "is not the sum of the weights");
    }
    out->pick = CLUSTER_WEIGHTED;
    out->weighted = list;
    out->weighted_count = m->n_clusters;
    read_pop(r, mark);
    return true;
}

static bool read_cluster(struct reader *r, const pb_route_action *m, struct forward_conf *out)
{
    switch ((int)m->cluster_specifier_case) {
    case CLUSTER_CASE(CLUSTER):
        out->pick = CLUSTER_NAMED;
        out->cluster = read_text(r, m->cluster);
        return out->cluster.n > 0 || read_required(r, "cluster");
    case CLUSTER_CASE(CLUSTER_HEADER):
        out->pick = CLUSTER_FROM_HEADER;
        return read_header_name(r, "cluster_header", m->cluster_header, &out->cluster);
    case CLUSTER_CASE(WEIGHTED_CLUSTERS):
        return read_weighted(r, m->weighted_clusters, out);
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of cluster, cluster_header, weighted_clusters is required");
    }
}

/* ---- rewriting ---- */

static bool read_host_rewrite(struct reader *r, const pb_route_action *m, struct forward_conf *out)
{
    switch ((int)m->host_rewrite_specifier_case) {
    case HOST_CASE(HOST_REWRITE_LITERAL):
        return read_header_value(r, "host_rewrite_literal", m->host_rewrite_literal, &out->host_rewrite);
    case HOST_CASE(HOST_REWRITE_HEADER):
        return read_header_name(r, "host_rewrite_header", m->host_rewrite_header, &out->host_rewrite_header);
    case HOST_CASE(AUTO_HOST_REWRITE):
        out->auto_host_rewrite = read_bool(m->auto_host_rewrite, false);
        return true;
    default:
        return true;
    }
}

static bool read_rewrites(struct reader *r, const pb_route_action *m, struct forward_conf *out)
{
    if (!read_header_value(r, "prefix_rewrite", m->prefix_rewrite, &out->prefix_rewrite)) {
        return false;
    }
    out->has_prefix_rewrite = out->prefix_rewrite.n > 0; /* "" is unset on the wire */
    if (out->has_prefix_rewrite && m->regex_rewrite != NULL) {
        return read_fail(r, "regex_rewrite", ERR_INPUT, "excluded by prefix_rewrite");
    }
    out->append_x_forwarded_host = m->append_x_forwarded_host != 0;
    return regex_rewrite_read(r, "regex_rewrite", m->regex_rewrite, &out->regex_rewrite) &&
           read_host_rewrite(r, m, out);
}

/* ---- time ---- */

static bool read_ms64(struct reader *r, const char *field, const pb_duration *d, uint32_t otherwise, uint64_t *out)
{
    uint32_t ms = 0;
    if (!read_ms(r, field, d, (struct ms_rule){otherwise, 0}, &ms)) {
        return false;
    }
    *out = ms;
    return true;
}

static bool read_times(struct reader *r, const pb_route_action *m, struct forward_conf *out)
{
    out->has_idle_timeout = m->idle_timeout != NULL;
    if (!read_ms64(r, "timeout", m->timeout, ROUTE_TIMEOUT_MS, &out->timeout_ms) ||
        !read_ms64(r, "idle_timeout", m->idle_timeout, 0, &out->idle_timeout_ms)) {
        return false;
    }
    const Envoy__Config__Route__V3__RouteAction__MaxStreamDuration *d = m->max_stream_duration;
    out->has_max_stream_duration = d != NULL && d->max_stream_duration != NULL;
    return d == NULL || read_ms64(r, "max_stream_duration.max_stream_duration", d->max_stream_duration, 0,
                                  &out->max_stream_duration_ms);
}

/* ---- upgrades ---- */

static bool read_upgrades(struct reader *r, const pb_route_action *m, struct forward_conf *out)
{
    struct upgrade_conf *list = read_list(r, m->n_upgrade_configs, sizeof *list);
    for (size_t i = 0; i < m->n_upgrade_configs; i++) {
        size_t mark = read_push_at(r, "upgrade_configs", i);
        const Envoy__Config__Route__V3__RouteAction__UpgradeConfig *u = m->upgrade_configs[i];
        if (u->upgrade_type[0] == '\0') {
            return read_required(r, "upgrade_type");
        }
        bool is_connect = strcasecmp(u->upgrade_type, "CONNECT") == 0;
        if (u->connect_config != NULL && !is_connect) {
            return read_fail(r, "connect_config", ERR_INPUT, "needs upgrade_type CONNECT");
        }
        list[i] = (struct upgrade_conf){read_text(r, u->upgrade_type), read_bool(u->enabled, true),
                                        u->connect_config != NULL};
        read_pop(r, mark);
    }
    out->upgrades = list;
    out->upgrade_count = m->n_upgrade_configs;
    return true;
}

bool route_action_read(struct reader *r, const pb_route_action *m, struct forward_conf *out)
{
    static const uint32_t not_found[] = {503, 404, 500};
    size_t mark = read_push(r, "route");
    out->cluster_not_found_status = not_found[m->cluster_not_found_response_code];
    if (!read_cluster(r, m, out) || !read_rewrites(r, m, out) || !read_times(r, m, out) ||
        !retry_read(r, "retry_policy", m->retry_policy, &out->retry) || !read_upgrades(r, m, out)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}
