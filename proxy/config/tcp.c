/* TcpProxy → tcp_conf, and access logs, which HTTP connection managers have too. */
#include "proxy/config/listener.h"
#include "proxy/config/routes.h"

#define CLUSTER_CASE(x) ENVOY__EXTENSIONS__FILTERS__NETWORK__TCP_PROXY__V3__TCP_PROXY__CLUSTER_SPECIFIER_##x

enum { HOUR_MS = 3600 * 1000 };

bool access_logs_read(struct reader *r, pb_access_log *const *list, size_t n, void *const **out)
{
    void **logs = read_list(r, n, sizeof *logs);
    for (size_t i = 0; i < n; i++) {
        size_t mark = read_push_at(r, "access_log", i);
        const struct extension_type *type = NULL;
        if (list[i]->typed_config == NULL) {
            return read_required(r, "typed_config");
        }
        read_push(r, "typed_config");
        if (!read_extension(r, EXTENSION_ACCESS_LOG, list[i]->typed_config, &type, &logs[i])) {
            return false;
        }
        if (type == NULL) {
            return read_fail(r, NULL, ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret as an access log",
                             list[i]->typed_config->type_url);
        }
        read_pop(r, mark);
    }
    *out = logs;
    return true;
}

static bool read_weighted(struct reader *r,
                          const Envoy__Extensions__Filters__Network__TcpProxy__V3__TcpProxy__WeightedCluster *m,
                          struct tcp_conf *out)
{
    struct weighted_cluster_conf *list = read_list(r, m->n_clusters, sizeof *list);
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_clusters; i++) {
        size_t mark = read_push_at(r, "weighted_clusters.clusters", i);
        list[i].name = read_text(r, m->clusters[i]->name);
        list[i].weight = m->clusters[i]->weight;
        sum += list[i].weight;
        if (list[i].name.n == 0) {
            return read_required(r, "name");
        }
        if (list[i].weight == 0) {
            return read_fail(r, "weight", ERR_INPUT, "must be at least 1");
        }
        read_pop(r, mark);
    }
    out->weighted = list;
    out->n_weighted = m->n_clusters;
    return (sum > 0 && sum <= UINT32_MAX) ||
           read_fail(r, "weighted_clusters", ERR_INPUT, "the weights must sum to more than 0 and at most 4294967295");
}

static bool read_cluster(struct reader *r, const pb_tcp_proxy *m, struct tcp_conf *out)
{
    switch ((int)m->cluster_specifier_case) {
    case CLUSTER_CASE(CLUSTER):
        out->cluster = read_text(r, m->cluster);
        return out->cluster.n > 0 || read_required(r, "cluster");
    case CLUSTER_CASE(WEIGHTED_CLUSTERS):
        return read_weighted(r, m->weighted_clusters, out);
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of cluster, weighted_clusters is required");
    }
}

/* hostname is the CONNECT authority: host:port. Envoy would also take %-commands. */
static bool read_tunnel(struct reader *r,
                        const Envoy__Extensions__Filters__Network__TcpProxy__V3__TcpProxy__TunnelingConfig *m,
                        struct tcp_conf *out)
{
    if (m == NULL) {
        return true;
    }
    size_t mark = read_push(r, "tunneling_config");
    if (!read_header_value(r, "hostname", m->hostname, &out->tunnel_hostname)) {
        return false;
    }
    struct slice rest = out->tunnel_hostname, port = SLICE_NONE;
    uint64_t number = 0;
    for (size_t i = rest.n; i > 0 && port.p == NULL; i--) {
        port = rest.p[i - 1] == ':' ? slice_from(rest, i) : port;
    }
    if (slice_find(rest, '%') != rest.n) {
        return read_fail(r, "hostname", ERR_UNSUPPORTED, "%%-commands are not supported by Egret here");
    }
    if (!slice_to_u64(port, &number) || number == 0 || number > 65535 || rest.n == port.n + 1) {
        return read_fail(r, "hostname", ERR_INPUT, "must be host:port");
    }
    out->n_tunnel_headers = m->n_headers_to_add;
    if (!header_adds_read(r, "headers_to_add", m->headers_to_add, m->n_headers_to_add, &out->tunnel_headers)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

bool tcp_read(struct reader *r, const pb_tcp_proxy *m, struct tcp_conf *out)
{
    if (m->stat_prefix[0] == '\0') {
        return read_required(r, "stat_prefix");
    }
    out->stat_prefix = read_text(r, m->stat_prefix);
    out->max_connect_attempts = read_u32(m->max_connect_attempts, 1);
    if (out->max_connect_attempts == 0) {
        return read_fail(r, "max_connect_attempts", ERR_INPUT, "must be at least 1");
    }
    out->n_access_logs = m->n_access_log;
    out->has_idle_timeout = m->idle_timeout != NULL;
    return read_cluster(r, m, out) && read_tunnel(r, m->tunneling_config, out) &&
           read_ms(r, "idle_timeout", m->idle_timeout, (struct ms_rule){HOUR_MS, 0}, &out->idle_timeout_ms) &&
           read_ms(r, "max_downstream_connection_duration", m->max_downstream_connection_duration,
                   (struct ms_rule){0, 1}, &out->max_duration_ms) &&
           access_logs_read(r, m->access_log, m->n_access_log, &out->access_logs);
}
