/* Incremental updates: what does not stand in one stays, what goes is named, and every resource has its own version. */
#include "unit/proxy/config/fixture.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

#define CLUSTER(name, port)                                                                                                  \
    "{ name: " name ", type: STATIC, load_assignment: { cluster_name: " name                                                 \
    ", endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: " port      \
    " } } } } ] } ] } }"

struct item {
    const char *name, *version, *yaml;
};

/* items ends with a NULL yaml; removed: names, separated by blanks. */
static bool apply(const char *url, const struct item *items, const char *removed)
{
    struct arena *arena = arena_create(0);
    struct store_resource list[8];
    struct slice gone[8], rest = removed == NULL ? SLICE_NONE : slice_of(removed);
    struct store_update u = {
        .type_url = slice_of(url), .version = SLICE("s"), .resources = list, .delta = true, .removed = gone};
    for (; items[u.n].yaml != NULL; u.n++) {
        list[u.n] = fixture_resource(arena, url, items[u.n].yaml);
        list[u.n].name = slice_of(items[u.n].name);
        list[u.n].version = slice_of(items[u.n].version);
    }
    while (rest.n > 0) {
        gone[u.n_removed++] = slice_cut(&rest, ' ');
    }
    err_clear(&f.err);
    bool ok = store_apply(f.store, &u, &f.changed, &f.err);
    arena_destroy(&arena);
    store_reclaim(f.store);
    return ok;
}

#define ITEMS(...) (const struct item[]){__VA_ARGS__ __VA_OPT__(, ){NULL, NULL, NULL}}
#define NO_ITEMS (const struct item[]){{NULL, NULL, NULL}}

static bool has_cluster(const char *name)
{
    return snapshot_cluster(fixture_now(&f), slice_of(name)) != NULL;
}

/* "a=1 b=2", in the order they came. */
static const char *held(const char *url)
{
    static char text[512];
    struct arena *arena = arena_create(0);
    const struct store_version *list;
    size_t n = store_versions(f.store, slice_of(url), arena, &list), used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s=%.*s", i == 0 ? "" : " ",
                                 SLICE_ARG(list[i].name), SLICE_ARG(list[i].version));
    }
    arena_destroy(&arena);
    return text;
}

static void absence_says_nothing_and_removals_are_named(void **state)
{
    (void)state;
    assert_true(apply(URL_CDS, ITEMS({"a", "1", CLUSTER("a", "80")}, {"b", "1", CLUSTER("b", "80")}), NULL));
    assert_true(apply(URL_CDS, ITEMS({"c", "1", CLUSTER("c", "80")}), NULL));
    assert_true(has_cluster("a") && has_cluster("b") && has_cluster("c"));
    assert_true(apply(URL_CDS, NO_ITEMS, "b never xds"));
    assert_true(f.changed);
    assert_true(has_cluster("a") && !has_cluster("b") && has_cluster("c"));
    assert_true(has_cluster("xds")); /* a static one is not the server's to remove */
    assert_string_equal(held(URL_CDS), "a=1 c=1");
}

static void each_resource_keeps_the_version_it_was_accepted_in(void **state)
{
    (void)state;
    assert_true(apply(URL_CDS, ITEMS({"a", "1", CLUSTER("a", "80")}, {"b", "1", CLUSTER("b", "80")}), NULL));
    assert_true(apply(URL_CDS, ITEMS({"a", "2", CLUSTER("a", "81")}), NULL));
    assert_string_equal(held(URL_CDS), "a=2 b=1");
    assert_false(apply(URL_CDS, ITEMS({"a", "3", "{ name: a, type: STRICT_DNS, lb_policy: MAGLEV }"}, {"b", "3", CLUSTER("b", "83")}), NULL));
    assert_non_null(strstr(f.err.text, "a: "));
    assert_string_equal(held(URL_CDS), "a=2 b=3");
}

static void a_version_may_change_without_its_content(void **state)
{
    (void)state;
    assert_true(apply(URL_CDS, ITEMS({"a", "1", CLUSTER("a", "80")}), NULL));
    assert_true(apply(URL_CDS, ITEMS({"a", "longer", CLUSTER("a", "80")}), NULL));
    assert_false(f.changed);
    assert_string_equal(held(URL_CDS), "a=longer");
    assert_true(apply(URL_CDS, ITEMS({"a", "anothe", CLUSTER("a", "80")}), NULL));
    assert_string_equal(held(URL_CDS), "a=anothe");
}

static void another_name_than_the_contents_is_refused(void **state)
{
    (void)state;
    assert_false(apply(URL_CDS, ITEMS({"b", "1", CLUSTER("a", "80")}, {"c", "1", CLUSTER("c", "80")}), NULL));
    assert_string_equal(f.err.text, "b: its content has the name \"a\"");
    assert_false(has_cluster("a") || has_cluster("b"));
    assert_true(has_cluster("c"));
}

static void a_name_that_comes_and_goes_at_once_is_refused(void **state)
{
    (void)state;
    assert_true(apply(URL_CDS, ITEMS({"a", "1", CLUSTER("a", "80")}), NULL));
    assert_false(apply(URL_CDS, ITEMS({"a", "2", CLUSTER("a", "81")}, {"n", "1", CLUSTER("n", "80")}, {"c", "1", CLUSTER("c", "80")}), "a n"));
    assert_string_equal(f.err.text, "a: stands among the resources and among the removed ones\n"
                                    "n: stands among the resources and among the removed ones");
    assert_true(has_cluster("a") && has_cluster("c") && !has_cluster("n"));
    assert_string_equal(held(URL_CDS), "a=1 c=1");
}

static void a_name_that_stands_twice_is_refused(void **state)
{
    (void)state;
    assert_false(apply(URL_CDS, ITEMS({"a", "1", CLUSTER("a", "80")}, {"a", "2", CLUSTER("a", "81")}), NULL));
    assert_string_equal(f.err.text, "a: stands twice in this update");
    assert_false(has_cluster("a"));
}

#define EDS_CLUSTER "{ name: e, type: EDS, eds_cluster_config: { eds_config: { ads: {}, resource_api_version: V3 } } }"
#define ENDPOINTS                                                                                                        \
    "{ cluster_name: e, endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, "  \
    "port_value: 9 } } } } ] } ] }"

/* Envoy, too, keeps what is still named. */
static void what_others_name_stays_while_they_do(void **state)
{
    (void)state;
    assert_true(apply(URL_CDS, ITEMS({"e", "1", EDS_CLUSTER}), NULL));
    assert_true(apply(URL_EDS, ITEMS({"e", "1", ENDPOINTS}), NULL));
    assert_true(apply(URL_EDS, NO_ITEMS, "e"));
    assert_non_null(snapshot_endpoints(fixture_now(&f), snapshot_cluster(fixture_now(&f), SLICE("e"))));
    assert_string_equal(held(URL_EDS), "e=1");
    assert_true(apply(URL_CDS, NO_ITEMS, "e"));
    assert_string_equal(held(URL_EDS), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(absence_says_nothing_and_removals_are_named),
        TEST(each_resource_keeps_the_version_it_was_accepted_in),
        TEST(a_version_may_change_without_its_content),
        TEST(another_name_than_the_contents_is_refused),
        TEST(a_name_that_comes_and_goes_at_once_is_refused),
        TEST(a_name_that_stands_twice_is_refused),
        TEST(what_others_name_stays_while_they_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
