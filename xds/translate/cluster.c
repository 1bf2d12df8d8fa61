/*
 * How a sidecar reaches backends: one cluster for each scheme, host, port and way out; a tunnel (an internal listener)
 * where the way leads through an egress gateway; one cluster for each gateway.
 */
#include <string.h>

#include "xds/translate/egress.h"
#include "xds/translate/fill.h"
#include "xds/translate/group.h"

static const char *san_match(struct arena *a, const char *host)
{
    return fill(a, "'match_typed_subject_alt_names': [{'san_type': $s, 'matcher': {'exact': $s}}]",
                is_ip_literal(host) ? "IP_ADDRESS" : "DNS", host);
}

/* Debian's bundle, on the sidecar's host. Not system_root_certs: Envoy takes that for no CA at all. */
static const char SYSTEM_CA[] = "/etc/ssl/certs/ca-certificates.crt";

/* Whom an https backend's certificate must come from: the settings' CA, else the system's. */
static const char *trust(struct group *g, const struct catalog_backend *b)
{
    const char *ca = g->in->config->backend_ca;
    if (!b->validate_chain) {
        return "\"trust_chain_verification\": \"ACCEPT_UNTRUSTED\"";
    }
    return fill(g->arena, "'trusted_ca': {'filename': $s}", ca[0] == '\0' ? SYSTEM_CA : ca);
}

static const char *validation(struct group *g, const struct catalog_backend *b)
{
    return b->validate_name ? fill(g->arena, "{$r, $r}", trust(g, b), san_match(g->arena, b->host))
                            : fill(g->arena, "{$r}", trust(g, b));
}

static const char UPSTREAM_TLS[] =
    ", 'transport_socket': {'name': 'envoy.transport_sockets.tls', 'typed_config': {"
    "  '@type': '@/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', $r'common_tls_context': $r}}";

static const char *upstream_tls(struct arena *a, const char *sni, const char *common)
{
    return fill(a, UPSTREAM_TLS, is_ip_literal(sni) ? "" : fill(a, "'sni': $s, ", sni), common);
}

static const char CLUSTER[] = "{'name': $s, 'type': $s, 'connect_timeout': $s, 'load_assignment': $r $r $r $r}";

/* Pings, so that a dead gateway is noticed under an idle tunnel. */
static const char HTTP2[] =
    ", \"typed_extension_protocol_options\": {\"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\": {"
    "  \"@type\": \"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\","
    "  \"explicit_http_config\": {\"http2_protocol_options\": {"
    "    \"connection_keepalive\": {\"interval\": \"30s\", \"timeout\": \"5s\"}}}}}";

static const char HTTP2_OR_1[] =
    ", \"typed_extension_protocol_options\": {\"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\": {"
    "  \"@type\": \"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\","
    "  \"auto_config\": {\"http_protocol_options\": {}, \"http2_protocol_options\": {}}}}";

static const char GATEWAY_TLS[] = "{'alpn_protocols': ['h2'], 'tls_certificates': [$r],"
                                  " 'validation_context': {'trusted_ca': {'filename': $s}, $r}}";

/* Towards an egress gateway: mTLS and HTTP/2. */
static const char *gateway_cluster(struct group *g, const Egret__Control__V1__Gateway *gateway)
{
    struct arena *a = g->arena;
    const char *name = arena_printf(a, "gateway/%s", gateway->name);
    if (!group_begins(g, TYPE_CLUSTER, name)) {
        return name;
    }
    const char *sni = gateway->sni[0] == '\0' ? gateway->address : gateway->sni;
    struct json_certificate own = {gateway->sidecar_certificate, gateway->sidecar_private_key};
    const char *tls = fill(a, GATEWAY_TLS, json_certificate(a, own), gateway->sidecar_ca, san_match(a, sni));
    const char *type = is_ip_literal(gateway->address) ? "STATIC" : "STRICT_DNS";
    const char *endpoint = json_endpoint(a, name, json_address(a, gateway->address, gateway->port));
    group_add_json(g, TYPE_CLUSTER, name,
                   fill(a, CLUSTER, name, type, "5s", endpoint, JSON_KEEPALIVE, HTTP2, upstream_tls(a, sni, tls)));
    return name;
}

static const char TUNNEL[] = "{'name': $s, 'internal_listener': {}, 'filter_chains': [{'filters': [{"
                             "  'name': 'envoy.filters.network.tcp_proxy', 'typed_config': {"
                             "    '@type': '@/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',"
                             "    'stat_prefix': 'tunnel', 'cluster': $s, 'tunneling_config': {'hostname': $s}}}]}]}";

/* The internal listener whose bytes leave through `cluster` as a CONNECT stream; its name is the cluster's address. */
static const char *tunnel(struct group *g, const char *way, const char *cluster, const char *target)
{
    const char *name = arena_printf(g->arena, "tunnel/%s/%s", way, target);
    if (group_begins(g, TYPE_LISTENER, name)) {
        group_add_json(g, TYPE_LISTENER, name, fill(g->arena, TUNNEL, name, cluster, target));
    }
    return name;
}

/* "host:port" as it stands in a policy, IPv6 in brackets. */
static const char *split_address(struct arena *a, const char *address, uint16_t *port)
{
    struct slice all = slice_of(address);
    size_t colon = all.n;
    uint64_t number = 0;
    while (colon > 0 && address[colon - 1] != ':') {
        colon--;
    }
    slice_to_u64(slice_from(all, colon), &number);
    *port = (uint16_t)number;
    struct slice host = slice_sub(all, 0, colon - 1);
    if (slice_starts_with(host, SLICE("["))) {
        host = slice_sub(host, 1, host.n - 2);
    }
    return arena_str(a, host);
}

/* An HTTP proxy that a policy names. NULL: it lies behind an egress gateway, which carries backends only. */
static const char *proxy_cluster(struct group *g, const char *address)
{
    struct arena *a = g->arena;
    uint16_t port = 0;
    const char *host = split_address(a, address, &port), *name = arena_printf(a, "proxy/%s", address);
    if (egress_find(g->in->config, host, port).gateway != NULL) {
        return NULL;
    }
    if (group_begins(g, TYPE_CLUSTER, name)) {
        const char *endpoint = json_endpoint(a, name, json_address(a, host, port));
        group_add_json(g, TYPE_CLUSTER, name,
                       fill(a, CLUSTER, name, is_ip_literal(host) ? "STATIC" : "STRICT_DNS", "5s", endpoint, JSON_KEEPALIVE, "", ""));
    }
    return name;
}

/* The address of an internal listener that leads out, or NULL for a backend that is dialled directly. false: no way. */
static bool way_out(struct group *g, const struct egress_route *route, const char *proxy, const char *target,
                    const char **listener)
{
    *listener = NULL;
    if (proxy != NULL) {
        const char *cluster = proxy_cluster(g, proxy);
        *listener = cluster == NULL ? NULL : tunnel(g, cluster, cluster, target);
        return cluster != NULL;
    }
    if (route->gateway != NULL) {
        *listener = tunnel(g, route->gateway->name, gateway_cluster(g, route->gateway), target);
    }
    return true;
}

static const char *cluster_name(struct arena *a, const struct catalog_backend *b, const char *target,
                                const struct egress_route *route)
{
    return arena_printf(a, "%s/%s%s%s%s%s", b->https ? "https" : "http", target, route->gateway == NULL ? "" : "@",
                        route->gateway == NULL ? "" : route->gateway->name,
                        b->https && !b->validate_chain ? ";any-chain" : "",
                        b->https && !b->validate_name ? ";any-name" : "");
}

/* Behind a proxy the backend's own way out does not matter. */
const char *translate_cluster_name(struct arena *arena, const Egret__Control__V1__Config *config,
                                   const struct catalog_backend *backend, struct translate_way way)
{
    static const char *const suffixes[] = {"", ";h2", ";h2-or-1"};
    struct egress_route route = egress_find(config, backend->host, backend->port), direct = {0};
    const char *name = cluster_name(arena, backend, host_port(arena, backend->host, backend->port),
                                    way.proxy != NULL ? &direct : &route);
    const char *suffix = way.http == BACKEND_HTTP2_OR_1 && !backend->https ? "" : suffixes[way.http];
    return arena_printf(arena, "%s%s%s%s", name, suffix, way.proxy == NULL ? "" : ";through=",
                        way.proxy == NULL ? "" : way.proxy);
}

const char *backend_cluster(struct group *g, const struct catalog_backend *backend, struct translate_way way)
{
    static const char *const protocols[] = {"", HTTP2, HTTP2_OR_1};
    struct arena *a = g->arena;
    struct egress_route route = egress_find(g->in->config, backend->host, backend->port);
    const char *target = host_port(a, backend->host, backend->port), *listener;
    const char *name = translate_cluster_name(a, g->in->config, backend, way);
    if (!way_out(g, &route, way.proxy, target, &listener)) {
        return NULL;
    }
    if (!group_begins(g, TYPE_CLUSTER, name)) {
        return name;
    }
    const char *address = listener == NULL ? json_address(a, backend->host, backend->port)
                                           : fill(a, "{'envoy_internal_address': {'server_listener_name': $s}}", listener);
    const char *type = listener == NULL && !is_ip_literal(backend->host) ? "STRICT_DNS" : "STATIC";
    const char *common = fill(a, "{'validation_context': $r}", validation(g, backend));
    group_add_json(g, TYPE_CLUSTER, name,
                   fill(a, CLUSTER, name, type, "10s", json_endpoint(a, name, address), listener == NULL ? JSON_KEEPALIVE : "",
                        protocols[way.http], backend->https ? upstream_tls(a, backend->host, common) : ""));
    return name;
}
