/* State-of-the-world updates: partial refusal, removal, warming, sharing. */
#include "fixture.h"
#include "proxy/config/apim.h"

#define CLUSTER(name, port)                                                                                            \
    "{ name: " name ", load_assignment: { cluster_name: " name                                                         \
    ", endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: " port \
    " } } } } ] } ] } }"
#define ADS "{ ads: {}, resource_api_version: V3 }"
#define HCM_TYPE "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
#define ROUTER "{ name: r, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }"
#define LISTENER(name, port, routes)                                                                                   \
    "{ name: " name ", address: { socket_address: { address: 127.0.0.1, port_value: " port                             \
    " } }, filter_chains: [ { filters: [ { name: h, typed_config: { \"@type\": " HCM_TYPE                              \
    ", stat_prefix: s, http_filters: [ " ROUTER " ], rds: { route_config_name: " routes ", config_source: " ADS " } } } ] } ] }"
#define ROUTES(name, cluster)                                                                                          \
    "{ name: " name ", virtual_hosts: [ { name: v, domains: [ \"*\" ], routes: [ { match: { prefix: / }, route: { cluster: " \
    cluster " } } ] } ] }"

static struct fixture f;

static int open_store(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static bool has_cluster(const char *name)
{
    return snapshot_cluster(fixture_now(&f), slice_of(name)) != NULL;
}

static void a_bad_cluster_is_refused_by_name_and_its_neighbours_apply(void **state)
{
    (void)state;
    assert_false(APPLY(&f, URL_CDS, "1", CLUSTER("a", "80"), "{ name: bad, lb_policy: RING_HASH, load_assignment: { cluster_name: b } }",
                       CLUSTER("c", "80")));
    assert_string_equal(f.err.text, "bad: lb_policy: not supported by Egret");
    assert_true(f.changed);
    assert_true(has_cluster("a"));
    assert_true(has_cluster("c"));
    assert_false(has_cluster("bad"));
}

static void a_refused_form_leaves_the_old_one_and_does_not_count_as_removal(void **state)
{
    (void)state;
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER("a", "80"), CLUSTER("b", "80")));
    const struct cluster_conf *old = snapshot_cluster(fixture_now(&f), SLICE("a"));
    assert_false(APPLY(&f, URL_CDS, "2", "{ name: a, connect_timeout: -1s, load_assignment: { cluster_name: a } }",
                       CLUSTER("b", "81")));
    assert_string_equal(f.err.text, "a: connect_timeout: not a duration of zero or more");
    assert_ptr_equal(snapshot_cluster(fixture_now(&f), SLICE("a")), old);
    assert_int_equal(snapshot_endpoints(fixture_now(&f), snapshot_cluster(fixture_now(&f), SLICE("b")))->endpoints[0].port, 81);
}

static void absence_removes_clusters_but_never_static_ones(void **state)
{
    (void)state;
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER("a", "80"), CLUSTER("b", "80")));
    assert_true(APPLY(&f, URL_CDS, "2", CLUSTER("b", "80")));
    assert_false(has_cluster("a"));
    assert_true(has_cluster("b"));
    assert_true(has_cluster("xds"));
    assert_true(APPLY(&f, URL_CDS, "3"));
    assert_false(has_cluster("b"));
    assert_false(APPLY(&f, URL_CDS, "4", CLUSTER("xds", "1")));
    assert_string_equal(f.err.text, "xds: is a static resource of the bootstrap");
}

static void unchanged_bytes_keep_the_object_and_the_snapshot(void **state)
{
    (void)state;
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER("a", "80")));
    struct snapshot *before = fixture_now(&f);
    assert_true(APPLY(&f, URL_CDS, "2", CLUSTER("a", "80")));
    assert_false(f.changed);
    assert_ptr_equal(fixture_now(&f), before);
}

static void a_name_that_stands_twice_is_refused_whole(void **state)
{
    (void)state;
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER("a", "80")));
    assert_false(APPLY(&f, URL_CDS, "2", CLUSTER("a", "81"), CLUSTER("a", "82"), CLUSTER("b", "83")));
    assert_string_equal(f.err.text, "a: stands twice in this update");
    assert_int_equal(snapshot_endpoints(fixture_now(&f), snapshot_cluster(fixture_now(&f), SLICE("a")))->endpoints[0].port, 80);
    assert_true(has_cluster("b"));
}

static void a_nameless_or_garbled_resource_stops_removals(void **state)
{
    (void)state;
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER("a", "80")));
    struct store_resource bad = {.type_url = slice_of(URL_CDS), .bytes = SLICE("\xff\xff\xff")};
    struct store_update u = {.type_url = slice_of(URL_CDS), .version = SLICE("2"), .resources = &bad, .n = 1};
    assert_false(store_apply(f.store, &u, &f.changed, &f.err));
    assert_string_equal(f.err.text, "resource 0: it has no name");
    assert_true(has_cluster("a"));
}

static void another_type_url_is_refused_and_a_wrapper_is_opened(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct store_resource list[2] = {
        fixture_resource(arena, URL_RDS, ROUTES("r", "a")),
        fixture_resource(arena, URL "envoy.service.discovery.v3.Resource",
                         "{ name: a, version: \"7\", resource: { \"@type\": " URL_CDS ", name: a, load_assignment: { cluster_name: a } } }"),
    };
    struct store_update u = {.type_url = slice_of(URL_CDS), .version = SLICE("1"), .resources = list, .n = 2};
    assert_false(store_apply(f.store, &u, &f.changed, &f.err));
    assert_string_equal(f.err.text, "resource 0: type \"" URL_RDS "\" in an update of \"" URL_CDS "\"");
    assert_true(has_cluster("a"));
    arena_destroy(&arena);
}

static void a_listener_appears_when_its_routes_are_there_and_changes_only_then(void **state)
{
    (void)state;
    const struct slice *names;
    assert_int_equal(store_names(f.store, slice_of(URL_RDS), &names), 0);
    assert_true(APPLY(&f, URL_LDS, "1", LISTENER("l", "8080", "r1")));
    assert_false(f.changed);
    assert_null(snapshot_listener(fixture_now(&f), SLICE("l")));
    assert_int_equal(store_names(f.store, slice_of(URL_RDS), &names), 1);
    assert_memory_equal(names[0].p, "r1", 2);
    struct strbuf why;
    strbuf_init(&why);
    assert_false(store_is_ready(f.store, &why));
    assert_non_null(strstr(strbuf_cstr(&why), "listener waits: l route configuration \"r1\""));
    strbuf_fini(&why);
    assert_true(APPLY(&f, URL_RDS, "1", ROUTES("r1", "a"), ROUTES("nobody", "a")));
    assert_true(f.changed);
    const struct listener_conf *l = snapshot_listener(fixture_now(&f), SLICE("l"));
    assert_non_null(l);
    assert_non_null(snapshot_routes(fixture_now(&f), SLICE("r1")));
    assert_null(snapshot_routes(fixture_now(&f), SLICE("nobody")));

    assert_true(APPLY(&f, URL_LDS, "2", LISTENER("l", "8080", "r2")));
    assert_ptr_equal(snapshot_listener(fixture_now(&f), SLICE("l")), l);
    assert_int_equal(store_names(f.store, slice_of(URL_RDS), &names), 2);
    assert_true(APPLY(&f, URL_RDS, "2", ROUTES("r2", "a")));
    assert_ptr_not_equal(snapshot_listener(fixture_now(&f), SLICE("l")), l);
    assert_int_equal(store_names(f.store, slice_of(URL_RDS), &names), 1);
    assert_null(snapshot_routes(fixture_now(&f), SLICE("r1")));
}

static void routes_absent_from_an_update_stay(void **state)
{
    (void)state;
    assert_true(APPLY(&f, URL_LDS, "1", LISTENER("l", "8080", "r1"), LISTENER("m", "8081", "r2")));
    assert_true(APPLY(&f, URL_RDS, "1", ROUTES("r1", "a"), ROUTES("r2", "a")));
    assert_true(APPLY(&f, URL_RDS, "2", ROUTES("r1", "b")));
    assert_non_null(snapshot_routes(fixture_now(&f), SLICE("r2")));
    assert_true(APPLY(&f, URL_RDS, "3"));
    assert_non_null(snapshot_routes(fixture_now(&f), SLICE("r1")));
}

static void two_listeners_cannot_have_one_address(void **state)
{
    (void)state;
    assert_false(APPLY(&f, URL_LDS, "1", LISTENER("l", "8080", "r1"), LISTENER("m", "8080", "r1")));
    assert_string_equal(f.err.text, "m: address: listener \"l\" has the same");
    assert_true(APPLY(&f, URL_LDS, "2", LISTENER("m", "8080", "r1"))); /* l goes first, so its address is free */
}

static void a_cluster_of_type_eds_waits_for_its_endpoints(void **state)
{
    (void)state;
    const struct slice *names;
    assert_true(APPLY(&f, URL_CDS, "1", "{ name: e, type: EDS, eds_cluster_config: { eds_config: " ADS ", service_name: svc } }"));
    assert_false(has_cluster("e"));
    assert_int_equal(store_names(f.store, slice_of(URL_EDS), &names), 1);
    assert_true(APPLY(&f, URL_EDS, "1",
                      "{ cluster_name: svc, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: "
                      "{ address: 10.0.0.1, port_value: 80 } } } } ] } ] }"));
    assert_true(has_cluster("e"));
    const struct endpoint_set *set = snapshot_endpoints(fixture_now(&f), snapshot_cluster(fixture_now(&f), SLICE("e")));
    assert_int_equal(set->n, 1);
    assert_true(APPLY(&f, URL_CDS, "2"));
    assert_int_equal(store_names(f.store, slice_of(URL_EDS), &names), 0);
}

static void a_snapshot_outlives_the_updates_that_follow_it(void **state)
{
    (void)state;
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER("a", "80")));
    struct snapshot *held = snapshot_ref(fixture_now(&f));
    struct cluster_conf *tunnel = cluster_conf_ref(snapshot_cluster(held, SLICE("a")));
    assert_true(APPLY(&f, URL_CDS, "2"));
    assert_non_null(snapshot_cluster(held, SLICE("a")));
    snapshot_unref(&held);
    store_reclaim(f.store);
    assert_int_equal(tunnel->inline_endpoints->n, 1);
    cluster_conf_unref(&tunnel);
    store_reclaim(f.store);
}

static void the_dump_has_every_state_and_no_secret(void **state)
{
    (void)state;
    APPLY(&f, URL_CDS, "1", CLUSTER("a", "80"));
    APPLY(&f, URL_CDS, "2", "{ name: a, lb_policy: MAGLEV, load_assignment: { cluster_name: a } }");
    APPLY(&f, URL_LDS, "1", LISTENER("l", "8080", "r1"));
    struct strbuf json;
    strbuf_init(&json);
    store_dump(f.store, &json);
    const char *text = strbuf_cstr(&json);
    struct arena *arena = arena_create(0);
    struct err err;
    const struct doc *d = doc_parse(arena, (struct doc_source){"dump", strbuf_slice(&json), DOC_JSON}, NULL, &err);
    if (d == NULL) {
        fail_msg("%s\n%s", err.text, text);
    }
    assert_int_equal(doc_len(doc_get(d, "configs")), 11);
    assert_non_null(strstr(text, "\"error_state\":{"));
    assert_non_null(strstr(text, "lb_policy: not supported by Egret"));
    assert_non_null(strstr(text, "\"warming_state\":{"));
    assert_null(strstr(text, "mac-key"));
    arena_destroy(&arena);
    strbuf_fini(&json);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bad_cluster_is_refused_by_name_and_its_neighbours_apply),
        TEST(a_refused_form_leaves_the_old_one_and_does_not_count_as_removal),
        TEST(absence_removes_clusters_but_never_static_ones),
        TEST(unchanged_bytes_keep_the_object_and_the_snapshot),
        TEST(a_name_that_stands_twice_is_refused_whole),
        TEST(a_nameless_or_garbled_resource_stops_removals),
        TEST(another_type_url_is_refused_and_a_wrapper_is_opened),
        TEST(a_listener_appears_when_its_routes_are_there_and_changes_only_then),
        TEST(routes_absent_from_an_update_stay),
        TEST(two_listeners_cannot_have_one_address),
        TEST(a_cluster_of_type_eds_waits_for_its_endpoints),
        TEST(a_snapshot_outlives_the_updates_that_follow_it),
        TEST(the_dump_has_every_state_and_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
