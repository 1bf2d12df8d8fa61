/* API management resources: pending APIs, keys, claims, sharing. */
#include "fixture.h"
#include "proxy/config/apim.h"

#define CLUSTER "{ name: up, load_assignment: { cluster_name: up } }"
#define BACKEND(name, cluster) "{ name: " name ", cluster: " cluster ", authority: up.test, url: \"http://up.test\" }"
#define PROGRAM(name) "{ name: " name ", inbound: [ { line: 1, base_scope: {} } ], backend: [ { line: 2, forward_request: {} } ] }"
#define API(id, path, backend)                                                                                         \
    "{ name: \"apis/" id ";rev=1\", api_id: " id ", path: " path ", revision: \"1\", is_current: true, is_online: true, http: true, " \
    "key_header: Ocp-Apim-Subscription-Key, key_query: subscription-key, backend: " backend                            \
    ", service_program: policy, operations: [ { id: get, method: GET, url_template: /x } ] }"
#define MAC_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=" /* 32 bytes, the last one 1 */
#define MAC_B "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
#define SUB(id, key, mac)                                                                                              \
    "{ name: subscriptions/" id ", subscription_id: " id ", state: ACTIVE, scope: ALL_APIS, primary: [ { mac_key_id: " key  \
    ", mac: \"" mac "\" } ] }"

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

static const struct apim_set *set(void)
{
    return snapshot_apim(fixture_now(&f));
}

static const struct apim_api *api(const char *name)
{
    return apim_set_table(set()) == NULL ? NULL : apim_table_find(apim_set_table(set()), slice_of(name));
}

static void an_api_waits_for_program_backend_and_cluster_in_any_order(void **state)
{
    (void)state;
    assert_null(apim_set_table(set()));
    assert_true(APPLY(&f, URL_API, "1", API("a", "a", "backends/up")));
    assert_null(api("apis/a;rev=1"));
    assert_true(APPLY(&f, URL_BACKEND, "1", BACKEND("backends/up", "up")));
    assert_null(apim_set_backend(set(), SLICE("backends/up")));
    assert_true(APPLY(&f, URL_PROGRAM, "1", PROGRAM("policy")));
    assert_null(api("apis/a;rev=1"));
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER));
    assert_non_null(api("apis/a;rev=1"));
    assert_non_null(apim_set_backend(set(), SLICE("backends/up")));
    assert_int_equal(apim_set_program(set(), SLICE("policy"))->sections[APIM_BACKEND].code[0].op, APIM_OP_FORWARD);
}

static void fill(void)
{
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER));
    assert_true(APPLY(&f, URL_BACKEND, "1", BACKEND("backends/up", "up")));
    assert_true(APPLY(&f, URL_PROGRAM, "1", PROGRAM("policy")));
    assert_true(APPLY(&f, URL_API, "1", API("a", "a", "backends/up"), API("b", "b", "backends/up")));
    assert_non_null(api("apis/a;rev=1"));
}

static void a_changed_api_that_names_something_unknown_leaves_the_old_one(void **state)
{
    (void)state;
    fill();
    const struct apim_api *old = api("apis/a;rev=1"), *neighbour = api("apis/b;rev=1");
    assert_true(APPLY(&f, URL_API, "2", API("a", "new", "backends/unknown"), API("b", "b", "backends/up")));
    assert_ptr_equal(api("apis/a;rev=1"), old);
    assert_true(APPLY(&f, URL_BACKEND, "2", BACKEND("backends/up", "up"), BACKEND("backends/unknown", "up")));
    assert_ptr_not_equal(api("apis/a;rev=1"), old);
    assert_ptr_equal(api("apis/b;rev=1"), neighbour);
}

static void what_is_removed_stays_while_an_api_names_it(void **state)
{
    (void)state;
    fill();
    assert_true(APPLY(&f, URL_BACKEND, "2"));
    assert_non_null(apim_set_backend(set(), SLICE("backends/up")));
    assert_true(APPLY(&f, URL_CDS, "2"));
    assert_non_null(snapshot_cluster(fixture_now(&f), SLICE("up")));
    assert_true(APPLY(&f, URL_API, "2"));
    assert_null(api("apis/a;rev=1"));
    assert_null(apim_set_backend(set(), SLICE("backends/up")));
    assert_null(snapshot_cluster(fixture_now(&f), SLICE("up")));
    assert_non_null(apim_set_table(set()));
}

static void a_closed_api_needs_nothing(void **state)
{
    (void)state;
    assert_true(APPLY(&f, URL_API, "1",
                      "{ name: \"apis/c;rev=1\", api_id: c, path: c, revision: \"1\", is_current: true, closed: policy, backend: backends/none }"));
    assert_non_null(api("apis/c;rev=1"));
}

static void two_apis_that_claim_one_path_are_both_refused_and_named(void **state)
{
    (void)state;
    fill();
    assert_false(APPLY(&f, URL_API, "2", API("a", "a", "backends/up"), API("b", "b", "backends/up"),
                       API("c", "z", "backends/up"), API("d", "z", "backends/up")));
    assert_non_null(strstr(f.err.text, "apis/c;rev=1: "));
    assert_non_null(strstr(f.err.text, "apis/d;rev=1: "));
    assert_null(api("apis/c;rev=1"));
    assert_null(api("apis/d;rev=1"));
    assert_non_null(api("apis/a;rev=1"));
    /* a newcomer cannot push out who is there */
    assert_false(APPLY(&f, URL_API, "3", API("a", "a", "backends/up"), API("b", "b", "backends/up"),
                       API("c", "a", "backends/up")));
    assert_non_null(api("apis/a;rev=1"));
    assert_null(api("apis/c;rev=1"));
    assert_true(APPLY(&f, URL_API, "4", API("a", "a", "backends/up"), API("c", "z", "backends/up")));
    assert_non_null(api("apis/c;rev=1"));
}

static void a_key_is_found_by_its_mac_under_its_mac_key(void **state)
{
    (void)state;
    uint8_t mac[32] = {0};
    mac[31] = 1;
    assert_true(APPLY(&f, URL_SUB, "1", SUB("one", "k2", MAC_A), SUB("two", "k1", MAC_A)));
    const struct apim_mac_key *keys;
    assert_int_equal(apim_set_mac_keys(set(), &keys), 2);
    assert_memory_equal(keys[1].id.p, "k2", 2);
    assert_memory_equal(keys[0].key.p, "first-mac-key", 13);
    assert_memory_equal(apim_set_by_mac(set(), 1, mac)->id.p, "one", 3);
    assert_memory_equal(apim_set_by_mac(set(), 0, mac)->id.p, "two", 3);
    mac[31] = 2;
    assert_null(apim_set_by_mac(set(), 1, mac));
    assert_true(APPLY(&f, URL_SUB, "2", SUB("one", "k2", MAC_B)));
    assert_memory_equal(apim_set_by_mac(set(), 1, mac)->id.p, "one", 3);
    mac[31] = 1;
    assert_null(apim_set_by_mac(set(), 1, mac));
    assert_null(apim_set_by_mac(set(), 0, mac));
}

static void an_unknown_mac_key_is_refused(void **state)
{
    (void)state;
    assert_false(APPLY(&f, URL_SUB, "1", SUB("one", "k9", MAC_A)));
    assert_string_equal(f.err.text, "subscriptions/one: primary[0].mac_key_id: unknown MAC key \"k9\"");
}

static void two_subscriptions_with_one_key_are_both_refused_and_named(void **state)
{
    (void)state;
    uint8_t mac[32] = {0};
    mac[31] = 1;
    assert_false(APPLY(&f, URL_SUB, "1", SUB("one", "k1", MAC_A), SUB("two", "k1", MAC_A), SUB("three", "k1", MAC_B)));
    assert_non_null(strstr(f.err.text, "subscriptions/one: has the same key as subscriptions/two"));
    assert_non_null(strstr(f.err.text, "subscriptions/two: has the same key as subscriptions/one"));
    assert_null(apim_set_by_mac(set(), 0, mac));
    mac[31] = 2;
    assert_non_null(apim_set_by_mac(set(), 0, mac));
    /* and who swaps keys within one update is not in anybody's way */
    assert_true(APPLY(&f, URL_SUB, "2", SUB("one", "k1", MAC_A), SUB("three", "k1", MAC_B)));
    assert_true(APPLY(&f, URL_SUB, "3", SUB("one", "k1", MAC_B), SUB("three", "k1", MAC_A)));
    assert_memory_equal(apim_set_by_mac(set(), 0, mac)->id.p, "one", 3);
}

static void a_backend_waits_for_its_named_value(void **state)
{
    (void)state;
    const struct slice *names;
    assert_true(APPLY(&f, URL_CDS, "1", CLUSTER));
    assert_true(APPLY(&f, URL_BACKEND, "1",
                      "{ name: backends/f, cluster: up, headers: [ { name: X-Functions-Key, value: { parts: [ { secret: "
                      "namedvalues/fkey } ] } } ] }"));
    assert_null(apim_set_backend(set(), SLICE("backends/f")));
    assert_int_equal(store_names(f.store, slice_of(URL_SDS), &names), 1);
    assert_false(APPLY(&f, URL_SDS, "1", "{ name: namedvalues/fkey, generic_secret: { secret: { inline_string: \"\" } } }"));
    assert_true(APPLY(&f, URL_SDS, "2", "{ name: namedvalues/fkey, generic_secret: { secret: { inline_string: hush } } }"));
    const struct apim_backend *b = apim_set_backend(set(), SLICE("backends/f"));
    assert_non_null(b);
    assert_memory_equal(b->headers[0].name.p, "x-functions-key", 15);
    struct slice value;
    assert_true(snapshot_secret(fixture_now(&f), SLICE("namedvalues/fkey"), &value));
    assert_memory_equal(value.p, "hush", 4);
    assert_false(APPLY(&f, URL_BACKEND, "2",
                       "{ name: backends/f, cluster: up, headers: [ { name: k, value: { parts: [ { secret: mac/k1 } ] } } ] }"));
    struct strbuf json;
    strbuf_init(&json);
    store_dump(f.store, &json);
    assert_null(strstr(strbuf_cstr(&json), "hush"));
    strbuf_fini(&json);
}

static void an_instruction_of_a_later_version_refuses_the_program(void **state)
{
    (void)state;
    assert_false(APPLY(&f, URL_PROGRAM, "1", "{ name: policy, inbound: [ { line: 7 } ] }"));
    assert_string_equal(f.err.text, "policy: inbound[0]: unknown instruction (line 7 of the policy)");
}

enum { MANY = 2000 };

static void one_changed_api_among_two_thousand_costs_one_api(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct store_resource *list = mem_alloc(MANY * sizeof *list);
    for (int i = 0; i < MANY; i++) {
        list[i] = fixture_resource(arena, URL_API,
                                   arena_printf(arena, "{ name: \"apis/a%d;rev=1\", api_id: a%d, path: p%d, revision: \"1\", "
                                                       "is_current: true, operations: [ { id: o, method: GET, url_template: /x } ] }", i, i, i));
    }
    struct store_update u = {.type_url = slice_of(URL_API), .version = SLICE("1"), .resources = list, .n = MANY};
    assert_true(store_apply(f.store, &u, &f.changed, &f.err));
    struct snapshot *before = snapshot_ref(fixture_now(&f));
    const struct apim_table *old = apim_set_table(snapshot_apim(before));
    assert_int_equal(apim_table_count(old), MANY);
    list[7] = fixture_resource(arena, URL_API, "{ name: \"apis/a7;rev=1\", api_id: a7, path: elsewhere, revision: \"1\", is_current: true }");
    u.version = SLICE("2");
    assert_true(store_apply(f.store, &u, &f.changed, &f.err));
    const struct apim_table *now = apim_set_table(set());
    size_t same = 0;
    for (size_t i = 0; i < MANY; i++) {
        same += apim_table_at(old, i) == apim_table_at(now, i);
    }
    assert_int_equal(same, MANY - 1);
    snapshot_unref(&before);
    store_reclaim(f.store);
    mem_free(list);
    arena_destroy(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_api_waits_for_program_backend_and_cluster_in_any_order),
        TEST(a_changed_api_that_names_something_unknown_leaves_the_old_one),
        TEST(what_is_removed_stays_while_an_api_names_it),
        TEST(a_closed_api_needs_nothing),
        TEST(two_apis_that_claim_one_path_are_both_refused_and_named),
        TEST(a_key_is_found_by_its_mac_under_its_mac_key),
        TEST(an_unknown_mac_key_is_refused),
        TEST(two_subscriptions_with_one_key_are_both_refused_and_named),
        TEST(a_backend_waits_for_its_named_value),
        TEST(an_instruction_of_a_later_version_refuses_the_program),
        TEST(one_changed_api_among_two_thousand_costs_one_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
