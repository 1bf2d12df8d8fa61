/* The bootstrap: what loads, what is refused, and where the error points. */
#include "fixture.h"
#include "proxy/config/bootstrap_inside.h"

static struct extension_registry *registry;

static int make_registry(void **state)
{
    (void)state;
    registry = fixture_registry();
    return 0;
}

static int drop_registry(void **state)
{
    (void)state;
    extension_registry_destroy(&registry);
    return 0;
}

static const char SIMPLE[] =
    "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } } }\n"
    "static_resources:\n"
    "  listeners:\n"
    "  - name: app\n"
    "    address: { socket_address: { address: 127.0.0.1, port_value: 8080 } }\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: hcm\n"
    "        typed_config:\n"
    "          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: app\n"
    "          access_log:\n"
    "          - name: out\n"
    "            typed_config: { \"@type\": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog }\n"
    "          http_filters:\n"
    "          - name: egret.apim\n"
    "            typed_config: { \"@type\": type.googleapis.com/egret.apim.v1.ApimFilter }\n"
    "          - name: envoy.filters.http.router\n"
    "            typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }\n"
    "          route_config:\n"
    "            virtual_hosts:\n"
    "            - name: all\n"
    "              domains: [\"*\"]\n"
    "              routes:\n"
    "              - match: { prefix: /echo }\n"
    "                route: { cluster: local, timeout: 2s, prefix_rewrite: / }\n"
    "              typed_per_filter_config:\n"
    "                egret.apim: { \"@type\": type.googleapis.com/egret.apim.v1.ApiTable }\n"
    "  clusters:\n"
    "  - name: local\n"
    "    connect_timeout: 0.25s\n"
    "    load_assignment:\n"
    "      cluster_name: local\n"
    "      endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 80 } } } } ] } ]\n";

static void a_static_proxy_loads_with_its_values(void **state)
{
    (void)state;
    struct err err;
    struct config_bootstrap *b = fixture_load(registry, SIMPLE, &err);
    assert_string_equal(err.text, "");
    assert_non_null(b);
    struct config_store *s = store_create(b, registry, &err);
    assert_non_null(s);
    struct snapshot *snap = store_snapshot(s);
    const struct cluster_conf *c = snapshot_cluster(snap, SLICE("local"));
    assert_non_null(c);
    assert_int_equal(c->connect_timeout_ms, 250);
    assert_int_equal(c->breakers[0].max_requests, 1024);
    const struct endpoint_set *e = snapshot_endpoints(snap, c);
    assert_int_equal(e->n, 1);
    assert_int_equal(e->endpoints[0].port, 80);
    const struct listener_conf *l = snapshot_listener(snap, SLICE("app"));
    assert_non_null(l);
    assert_int_equal(addr_port(&l->addr), 8080);
    const struct hcm_conf *h = l->chains[0].hcm;
    assert_int_equal(h->n_filters, 1);
    assert_int_equal(h->n_access_logs, 1);
    assert_int_equal(h->request_headers_timeout_ms, 10000);
    assert_non_null(route_table_conf(h->inline_routes)->vhosts[0].apim);
    const struct forward_conf *f = &route_table_conf(h->inline_routes)->vhosts[0].routes[0].forward;
    assert_int_equal(f->timeout_ms, 2000);
    struct addr admin;
    assert_true(bootstrap_admin(b, &admin));
    assert_int_equal(addr_port(&admin), 9901);
    struct strbuf why;
    strbuf_init(&why);
    assert_true(store_is_ready(s, &why));
    strbuf_fini(&why);
    store_destroy(&s);
    bootstrap_destroy(&b);
}

static void an_empty_bootstrap_is_well(void **state)
{
    (void)state;
    struct err err;
    struct config_bootstrap *b = fixture_load(registry, "{}", &err);
    assert_non_null(b);
    assert_int_equal(bootstrap_limits(b)->max_uri_bytes, 16384);
    bootstrap_destroy(&b);
}

static void the_flag_is_merged_over_the_file_and_positions_know_which(void **state)
{
    (void)state;
    struct err err;
    char *path = fixture_file("merge.yaml", "node: { id: file, cluster: file }\n"
                                            "static_resources:\n"
                                            "  clusters:\n"
                                            "  - { name: a, load_assignment: { cluster_name: a } }\n");
    struct bootstrap_options o = {.path = path, .node_zone = "z1",
                                  .yaml = "{ node: { id: flag }, static_resources: { clusters: [ { name: b, load_assignment: { cluster_name: b } } ] } }"};
    struct config_bootstrap *b = bootstrap_load(&o, registry, &err);
    assert_non_null(b);
    assert_memory_equal(bootstrap_node(b)->id.p, "flag", 4);
    assert_memory_equal(bootstrap_node(b)->cluster.p, "file", 4);
    assert_memory_equal(bootstrap_node(b)->zone.p, "z1", 2);
    struct config_store *s = store_create(b, registry, &err);
    assert_int_equal(snapshot_cluster_count(store_snapshot(s)), 2);
    store_destroy(&s);
    bootstrap_destroy(&b);

    o.yaml = "{ static_resources: { clusters: [ { name: b, load_assignment: { cluster_name: b }, lb_policy: MAGLEV } ] } }";
    assert_null(bootstrap_load(&o, registry, &err));
    assert_string_equal(err.text, "--config-yaml:1:84: static_resources.clusters[1].lb_policy: not supported by Egret");
    unlink(path);
    mem_free(path);
}

/* ---- what is refused, and where ---- */

#define C0 "static_resources:\n  clusters:\n  - name: a\n    load_assignment: { cluster_name: a }\n"
#define HCM                                                                                                            \
    "static_resources:\n  listeners:\n  - name: l\n    address: { socket_address: { address: 127.0.0.1, port_value: 1 } }\n" \
    "    filter_chains:\n    - filters:\n      - name: h\n        typed_config:\n"                                   \
    "          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n" \
    "          http_filters: [ { name: r, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ]\n"
#define ROUTE HCM "          stat_prefix: s\n          route_config:\n            virtual_hosts:\n            - name: v\n" \
    "              domains: [\"*\"]\n              routes:\n"
#define ADS "node: { id: n, cluster: c }\ndynamic_resources:\n"

static const struct bad {
    const char *yaml, *error; /* the error without its file name */
} bads[] = {
    {"admin: { address: { socket_address: { address: 127.0.0.1 } } }\n",
     "1:21: admin.address.socket_address.port_value: is required"},
    {"adminn: {}\n",
     "1:1: adminn: unknown field of envoy.config.bootstrap.v3.Bootstrap"},
    {"layered_runtime: {}\n",
     "1:1: layered_runtime: not supported by Egret"},
    {"hds_config: { api_type: GRPC }\n",
     "1:1: hds_config: not supported by Egret"},
    {"node: { id: n }\nstatic_resources:\n  clusterz: []\n",
     "3:3: static_resources.clusterz: unknown field of envoy.config.bootstrap.v3.Bootstrap.StaticResources"},
    {C0 "    lb_policy: RING_HASH\n",
     "5:5: static_resources.clusters[0].lb_policy: not supported by Egret"},
    {C0 "    lb_policy: BEST\n",
     "5:16: static_resources.clusters[0].lb_policy: \"BEST\" is not a LbPolicy"},
    {C0 "    health_checks: [ { timeout: 1s } ]\n",
     "5:5: static_resources.clusters[0].health_checks: not supported by Egret"},
    {C0 "    metadata: {}\n    outlier_detection: {}\n",
     "6:5: static_resources.clusters[0].outlier_detection: not supported by Egret"},
    {C0 "    connect_timeout: 0s\n",
     "5:5: static_resources.clusters[0].connect_timeout: must be at least 1 ms"},
    {C0 "    type: EDS\n",
     "4:5: static_resources.clusters[0].load_assignment: excluded by type EDS"},
    {C0 "    type: ORIGINAL_DST\n",
     "5:5: static_resources.clusters[0].type: ORIGINAL_DST is not supported by Egret"},
    {C0 "  - name: a\n    load_assignment: { cluster_name: b }\n",
     "5:5: static_resources.clusters[1].name: stands twice"},
    {C0 "    circuit_breakers: { thresholds: [ { max_requests: 1 }, { max_requests: 2 } ] }\n",
     "5:60: static_resources.clusters[0].circuit_breakers.thresholds[1].priority: given twice"},
    {C0 "    upstream_bind_config: { socket_options: [ { level: 1, name: 2, int_value: 3 } ] }\n",
     "5:47: static_resources.clusters[0].upstream_bind_config.socket_options[0]: only SO_MARK (level 1, name 36, int_value) is supported by Egret"},
    {C0 "    transport_socket: { name: t, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext } }\n",
     "5:34: static_resources.clusters[0].transport_socket.typed_config: sni, auto_sni or match_typed_subject_alt_names is required to verify the peer"},
    {C0 "    transport_socket: { name: t, typed_config: { \"@type\": type.googleapis.com/no.such.Thing } }\n",
     "5:59: static_resources.clusters[0].transport_socket.typed_config: type \"type.googleapis.com/no.such.Thing\" is not supported by Egret"},
    {C0 "    typed_extension_protocol_options:\n      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        explicit_http_config: { http2_protocol_options: { initial_stream_window_size: 7 } }\n",
     "8:59: static_resources.clusters[0].typed_extension_protocol_options[\"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\"].explicit_http_config.http2_protocol_options.initial_stream_window_size: must be from 65535 to 2147483647"},
    {"static_resources:\n  clusters:\n  - name: a\n    load_assignment:\n      cluster_name: a\n      endpoints:\n      - lb_endpoints:\n        - endpoint: { address: { socket_address: { address: some.host, port_value: 1 } } }\n",
     "8:52: static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: \"some.host\" is not an IP address"},
    {"static_resources:\n  clusters:\n  - name: a\n    load_assignment:\n      cluster_name: a\n      endpoints:\n      - lb_endpoints:\n        - endpoint: { address: { envoy_internal_address: { server_listener_name: x } } }\n",
     "8:34: static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.envoy_internal_address: needs envoy.bootstrap.internal_listener among the bootstrap_extensions"},
    {C0 "    protocol_selection: USE_DOWNSTREAM_PROTOCOL\n",
     "5:5: static_resources.clusters[0].protocol_selection: not supported by Egret"},
    {C0 "    common_lb_config: { healthy_panic_threshold: { value: 10 } }\n",
     "5:5: static_resources.clusters[0].common_lb_config: not supported by Egret"},
    {C0 "    preconnect_policy: { per_upstream_preconnect_ratio: { value: 2 } }\n",
     "5:5: static_resources.clusters[0].preconnect_policy: not supported by Egret"},
    {C0 "    ring_hash_lb_config: {}\n",
     "5:5: static_resources.clusters[0].ring_hash_lb_config: not supported by Egret"},
    {C0 "    circuit_breakers: { thresholds: [ { retry_budget: {} } ] }\n",
     "5:41: static_resources.clusters[0].circuit_breakers.thresholds[0].retry_budget: not supported by Egret"},
    {C0 "    circuit_breakers: { per_host_thresholds: [ { max_connections: 1 } ] }\n",
     "5:25: static_resources.clusters[0].circuit_breakers.per_host_thresholds: not supported by Egret"},
    {C0 "    upstream_connection_options: { happy_eyeballs_config: {} }\n",
     "5:36: static_resources.clusters[0].upstream_connection_options.happy_eyeballs_config: not supported by Egret"},
    {C0 "    upstream_http_protocol_options: { auto_san_validation: true }\n",
     "5:39: static_resources.clusters[0].upstream_http_protocol_options.auto_san_validation: needs auto_sni: it is the name that is asked for which is validated"},
    {HCM "          stat_prefix: s\n          drain_timeout: 5s\n          route_config: {}\n",
     "12:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.drain_timeout: not supported by Egret"},
    {HCM "          stat_prefix: s\n          xff_num_trusted_hops: 1\n          route_config: {}\n",
     "12:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.xff_num_trusted_hops: not supported by Egret"},
    {HCM "          stat_prefix: s\n          set_current_client_cert_details: { cert: true }\n          route_config: {}\n",
     "12:46: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.set_current_client_cert_details.cert: not supported by Egret"},
    {ROUTE "              - match: { prefix: / }\n                route: { cluster_header: x, hash_policy: [ { header: { header_name: x } } ] }\n",
     "18:45: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.hash_policy: not supported by Egret"},
    {ROUTE "              - match: { prefix: / }\n                route: { cluster_header: x, priority: HIGH }\n",
     "18:45: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.priority: not supported by Egret"},
    {ROUTE "              - match: { prefix: / }\n                route: { cluster_header: x, max_grpc_timeout: 0s }\n",
     "18:45: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.max_grpc_timeout: not supported by Egret"},
    {ROUTE "              - match: { prefix: / }\n                route: { cluster_header: x, retry_policy: { retriable_headers: [ { name: x } ] } }\n",
     "18:61: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.retry_policy.retriable_headers: not supported by Egret"},
    {"bootstrap_extensions: [ { name: l, typed_config: { \"@type\": type.googleapis.com/egret.config.v1.Limits, inbox_budget: 5 } } ]\n",
     "1:105: bootstrap_extensions[0].typed_config.inbox_budget: unknown field of egret.config.v1.Limits"},
    {"stats_config: { stats_tags: [ { tag_name: x, regex: y } ] }\n",
     "1:17: stats_config.stats_tags: not supported by Egret"},
    {"static_resources:\n  listeners:\n  - name: l\n    address: { socket_address: { address: 127.0.0.1, port_value: 1 } }\n"
     "    listener_filters: [ { name: i, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector } } ]\n"
     "    filter_chains: [ { filter_chain_match: { application_protocols: [ h2c ] } } ]\n",
     "6:46: static_resources.listeners[0].filter_chains[0].filter_chain_match.application_protocols: matching what an HTTP inspector finds is not supported by Egret: \"h2c\" is taken from ALPN, with transport_protocol \"tls\""},
    {"bootstrap_extensions: [ { name: i, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener } } ]\n"
     "static_resources:\n  listeners:\n  - name: l\n    internal_listener: {}\n    filter_chains:\n    - filters:\n      - name: t\n        typed_config:\n"
     "          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n          stat_prefix: s\n          cluster: c\n"
     "          idle_timeout: 5s\n",
     "13:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.idle_timeout: not supported by Egret in an internal listener"},
    {"bootstrap_extensions: [ { name: i, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener } } ]\n"
     "static_resources:\n  listeners:\n  - name: l\n    internal_listener: {}\n    filter_chains:\n    - filters:\n      - name: t\n        typed_config:\n"
     "          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n          stat_prefix: s\n          cluster: c\n"
     "          max_connect_attempts: 3\n",
     "13:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.max_connect_attempts: not supported by Egret in an internal listener"},
    {HCM "          route_config: {}\n",
     "8:9: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefix: is required"},
    {HCM "          stat_prefix: s\n",
     "8:9: static_resources.listeners[0].filter_chains[0].filters[0].typed_config: one of rds, route_config is required"},
    {HCM "          stat_prefix: s\n          tracing: {}\n          route_config: {}\n",
     "12:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.tracing: not supported by Egret"},
    {HCM "          stat_prefix: s\n          common_http_protocol_options: { headers_with_underscores_action: REJECT_REQUEST }\n          route_config: {}\n",
     "12:43: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.common_http_protocol_options.headers_with_underscores_action: not supported by Egret"},
    {HCM "          stat_prefix: s\n          rds: { route_config_name: r, config_source: { ads: {}, resource_api_version: V3 } }\n",
     "12:40: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.rds.config_source: the bootstrap has no dynamic_resources.ads_config"},
    {ROUTE "              - match: { prefix: / }\n",
     "17:17: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0]: one of route, redirect, direct_response is required"},
    {ROUTE "              - match: { prefix: / }\n                route: { cluster: nowhere }\n",
     "18:26: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.cluster: unknown cluster \"nowhere\""},
    {ROUTE "              - match: { prefix: /, runtime_fraction: { default_value: { numerator: 1 } } }\n                direct_response: { status: 200 }\n",
     "17:37: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].match.runtime_fraction: not supported by Egret"},
    {ROUTE "              - match: { safe_regex: { regex: \"(a\" } }\n                direct_response: { status: 200 }\n",
     "13:13: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[v].routes[0]: match.safe_regex: regex \"(a\": missing closing parenthesis at 2"},
    {ROUTE "              - match: { prefix: / }\n                direct_response: { status: 99 }\n",
     "18:36: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].direct_response.status: must be from 200 to 599"},
    {ROUTE "              - match: { prefix: / }\n                direct_response: { status: 200 }\n                request_headers_to_add: [ { header: { key: \"a b\", value: c } } ]\n",
     "19:55: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].request_headers_to_add[0].header.key: not a header name"},
    {ROUTE "              - match: { prefix: / }\n                direct_response: { status: 200 }\n                typed_per_filter_config: { x: { \"@type\": type.googleapis.com/egret.apim.v1.Product } }\n",
     "19:44: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].typed_per_filter_config[\"x\"]: type \"type.googleapis.com/egret.apim.v1.Product\" is not supported by Egret here"},
    {ADS "  ads_config: { api_type: REST, transport_api_version: V3 }\n",
     "3:17: dynamic_resources.ads_config.api_type: only GRPC and DELTA_GRPC are supported by Egret"},
    {ADS "  ads_config: { api_type: GRPC, transport_api_version: V3, grpc_services: [ { envoy_grpc: { cluster_name: x } } ] }\n",
     "3:93: dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name: no static cluster \"x\""},
    {ADS "  lds_config: { ads: {}, resource_api_version: V3 }\n",
     "3:3: dynamic_resources.lds_config: the bootstrap has no dynamic_resources.ads_config"},
    {ADS "  lds_config: { path_config_source: { path: x } }\n",
     "3:17: dynamic_resources.lds_config.path_config_source: not supported by Egret"},
    {"dynamic_resources:\n  ads_config: { api_type: GRPC }\n",
     "1:1: node: id and cluster are required with dynamic_resources"},
    {"static_resources:\n  secrets:\n  - { name: mac/a, generic_secret: { secret: { filename: /nonexistent/key } } }\n",
     "3:48: static_resources.secrets[0].generic_secret.secret.filename: /nonexistent/key: No such file or directory"},
};

static void what_is_wrong_is_refused_where_it_stands(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        struct err err;
        struct config_bootstrap *b = fixture_load(registry, bads[i].yaml, &err);
        assert_null(b);
        const char *text = strncmp(err.text, "--config-yaml:", 14) == 0 ? err.text + 14 : err.text;
        if (strcmp(text, bads[i].error) != 0) {
            print_error("%s\nis refused with\n%s\ninstead of\n%s\n", bads[i].yaml, text, bads[i].error);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* The control server reads the same file; what one side cut off would make every key a wrong one. */
static void a_mac_key_file_is_taken_byte_for_byte(void **state)
{
    (void)state;
    static const char key[] = "0123456789abcdef\0 23456789abcdef\r\n";
    char path[] = "/tmp/egret-mac-key-XXXXXX", text[256];
    int fd = mkstemp(path);
    assert_int_equal(write(fd, key, sizeof key - 1), sizeof key - 1);
    close(fd);
    snprintf(text, sizeof text,
             "static_resources: { secrets: [ { name: mac/k1, generic_secret: { secret: { filename: %s } } } ] }\n", path);
    struct err err;
    struct config_bootstrap *b = fixture_load(registry, text, &err);
    unlink(path);
    assert_non_null(b);
    assert_int_equal(b->n_mac_keys, 1);
    assert_true(slice_eq(b->mac_keys[0].key, slice_make(key, sizeof key - 1)));
    bootstrap_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_static_proxy_loads_with_its_values),
        cmocka_unit_test(an_empty_bootstrap_is_well),
        cmocka_unit_test(the_flag_is_merged_over_the_file_and_positions_know_which),
        cmocka_unit_test(what_is_wrong_is_refused_where_it_stands),
        cmocka_unit_test(a_mac_key_file_is_taken_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, make_registry, drop_registry);
}
