/*
 * An egress gateway: one mTLS HTTP/2 listener that takes CONNECT, one virtual host for each host:port that may be
 * reached, one cluster for each that dials from its pool's address. An authority without a virtual host is refused.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "xds/translate/egress.h"
#include "xds/translate/fill.h"
#include "xds/translate/group.h"

struct targets {
    struct translate_egress_row *rows;
    size_t n, cap;
    struct arena *arena;
};

static void add_target(struct targets *t, const char *host, uint32_t port, struct egress_route route)
{
    if (t->n == t->cap) {
        size_t cap = t->cap == 0 ? 16 : t->cap * 2;
        struct translate_egress_row *rows = arena_alloc(t->arena, cap * sizeof rows[0]);
        if (t->n > 0) {
            memcpy(rows, t->rows, t->n * sizeof rows[0]);
        }
        t->rows = rows;
        t->cap = cap;
    }
    char *lower = arena_str(t->arena, slice_of(host));
    for (char *p = lower; *p != '\0'; p++) {
        *p = ascii_lower(*p);
    }
    t->rows[t->n++] = (struct translate_egress_row){
        .host = lower,
        .port = port,
        .gateway = route.gateway->name,
        .pool = route.pool == NULL ? "" : route.pool->name,
        .source = route.pool == NULL ? "" : egress_source(route.pool, lower),
    };
}

static int by_target(const void *a, const void *b)
{
    const struct translate_egress_row *x = a, *y = b;
    int c = strcmp(x->host, y->host);
    return c != 0 ? c : (x->port > y->port) - (x->port < y->port);
}

/* Hosts that the settings name outright. */
static void named_targets(const struct translate_input *in, const Egret__Control__V1__Gateway *gateway,
                          struct targets *out)
{
    for (size_t i = 0; i < in->config->n_egress; i++) {
        const Egret__Control__V1__Egress *e = in->config->egress[i];
        const uint32_t *ports;
        size_t n = egress_ports(e, &ports);
        for (size_t h = 0; h < e->n_hosts; h++) {
            for (size_t p = 0; e->hosts[h][0] != '*' && p < n; p++) {
                struct egress_route route = egress_find(in->config, e->hosts[h], ports[p]);
                if (route.gateway == gateway) {
                    add_target(out, e->hosts[h], ports[p], route);
                }
            }
        }
    }
}

/* Hosts of backends: what a wildcard stands for. */
static void backend_targets(const struct translate_input *in, const Egret__Control__V1__Gateway *gateway,
                            struct targets *out)
{
    for (size_t i = 0; i < in->catalog->backends.n; i++) {
        const struct catalog_backend *b = in->catalog->backends.items[i];
        if (b->o.closed != NULL || b->host == NULL || b->host[0] == '\0') {
            continue;
        }
        struct egress_route route = egress_find(in->config, b->host, b->port);
        if (route.gateway == gateway) {
            add_target(out, b->host, b->port, route);
        }
    }
}

void gateway_each_target(const struct translate_input *in, const Egret__Control__V1__Gateway *gateway,
                         struct arena *arena, void (*fn)(void *ctx, const struct translate_egress_row *row), void *ctx)
{
    struct targets t = {.arena = arena};
    named_targets(in, gateway, &t);
    backend_targets(in, gateway, &t);
    if (t.n > 0) {
        qsort(t.rows, t.n, sizeof t.rows[0], by_target);
    }
    for (size_t i = 0; i < t.n; i++) {
        if (i == 0 || by_target(&t.rows[i - 1], &t.rows[i]) != 0) {
            fn(ctx, &t.rows[i]);
        }
    }
}

struct hosts {
    struct group *g;
    const char **virtual_hosts;
    size_t n, cap;
};

static const char BIND[] = ", 'dns_lookup_family': $s,"
                           " 'upstream_bind_config': {'source_address': {'address': $s, 'port_value': 0}}";

/* From this address only, and so only to addresses of its family. */
static const char *bind_config(struct arena *a, const char *source)
{
    unsigned char bytes[16];
    if (source[0] == '\0') {
        return "";
    }
    return fill(a, BIND, inet_pton(AF_INET, source, bytes) == 1 ? "V4_ONLY" : "V6_ONLY", source);
}

static const char CLUSTER[] = "{'name': $s, 'type': $s, 'connect_timeout': '10s', 'load_assignment': $r $r $r}";

static const char VIRTUAL_HOST[] =
    "{'name': $s, 'domains': [$s], 'routes': [{'match': {'connect_matcher': {}}, 'route': {"
    "  'cluster': $s, 'timeout': '0s', 'upgrade_configs': [{'upgrade_type': 'CONNECT', 'connect_config': {}}]}}]}";

static void add_virtual_host(struct hosts *h, const char *json)
{
    if (h->n == h->cap) {
        size_t cap = h->cap == 0 ? 16 : h->cap * 2;
        const char **grown = arena_alloc(h->g->arena, cap * sizeof grown[0]);
        if (h->n > 0) {
            memcpy(grown, h->virtual_hosts, h->n * sizeof grown[0]);
        }
        h->virtual_hosts = grown;
        h->cap = cap;
    }
    h->virtual_hosts[h->n++] = json;
}

static void target_resources(void *ctx, const struct translate_egress_row *row)
{
    struct hosts *h = ctx;
    struct arena *a = h->g->arena;
    const char *authority = host_port(a, row->host, row->port);
    const char *cluster = row->pool[0] == '\0' ? authority : arena_printf(a, "%s@%s", authority, row->pool);
    const char *type = is_ip_literal(row->host) ? "STATIC" : "STRICT_DNS";
    const char *endpoint = json_endpoint(a, cluster, json_address(a, row->host, row->port));
    group_add_json(h->g, TYPE_CLUSTER, cluster,
                   fill(a, CLUSTER, cluster, type, endpoint, JSON_KEEPALIVE, bind_config(a, row->source)));
    add_virtual_host(h, fill(a, VIRTUAL_HOST, authority, authority, cluster));
}

static const char TLS[] =
    "{'name': 'envoy.transport_sockets.tls', 'typed_config': {"
    "  '@type': '@/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',"
    "  'require_client_certificate': true, 'common_tls_context': {"
    "    'alpn_protocols': ['h2'], 'tls_certificates': [$r], 'validation_context': {'trusted_ca': {'filename': $s}}}}}";

/* Tunnels may be idle for long: the sidecar's pool decides when one is given up. */
static const char LISTENER[] =
    "{'name': 'egress', 'address': $r, 'filter_chains': [{'transport_socket': $r, 'filters': [{"
    "  'name': 'envoy.filters.network.http_connection_manager', 'typed_config': {"
    "    '@type': '@/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',"
    "    'stat_prefix': 'egress', 'codec_type': 'HTTP2', 'http2_protocol_options': {'allow_connect': true},"
    "    'upgrade_configs': [{'upgrade_type': 'CONNECT'}], 'stream_idle_timeout': '7200s',"
    "    'rds': {'config_source': {'ads': {}, 'resource_api_version': 'V3'}, 'route_config_name': 'egress'},"
    "    'http_filters': [{'name': 'envoy.filters.http.router', 'typed_config': {"
    "      '@type': '@/envoy.extensions.filters.http.router.v3.Router'}}]}}]}]}";

static void gateway_listener(struct group *g, const Egret__Control__V1__Gateway *gateway)
{
    struct arena *a = g->arena;
    struct json_certificate own = {gateway->certificate, gateway->private_key};
    const char *tls = fill(a, TLS, json_certificate(a, own), gateway->client_ca);
    const char *address = gateway->listen_address[0] == '\0' ? gateway->address : gateway->listen_address;
    group_add_json(g, TYPE_LISTENER, "egress", fill(a, LISTENER, json_address(a, address, gateway->port), tls));
}

void gateway_resources(struct group *g, const Egret__Control__V1__Gateway *gateway)
{
    struct hosts h = {.g = g};
    gateway_each_target(g->in, gateway, g->arena, target_resources, &h);
    const char *virtual_hosts = fill_list(g->arena, h.virtual_hosts, h.n);
    group_add_json(g, TYPE_ROUTES, "egress", fill(g->arena, "{'name': 'egress', 'virtual_hosts': $r}", virtual_hosts));
    gateway_listener(g, gateway);
}
