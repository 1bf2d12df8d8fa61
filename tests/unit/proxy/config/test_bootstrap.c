/* The bootstrap: what loads, what is refused, and where the error points. */
#include "fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_static_proxy_loads_with_its_values),
        cmocka_unit_test(an_empty_bootstrap_is_well),
    };
    return cmocka_run_group_tests(tests, make_registry, drop_registry);
}
