/* What an edit costs: objects whose inputs did not change are the same, and the result is that of a fresh build. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macros.h"
#include "unit/xds/catalog/fixture.h"

static void fill(struct fixture *f)
{
    fixture_api(f, "a", "a", SPEC_TWO, "");
    fixture_api(f, "b", "b", SPEC_TWO, ", \"apiVersion\": \"v1\", \"apiVersionSetId\": \"s\"");
    fixture_api(f, "c", "c", SPEC_ONE, "");
    tree_write(&f->tree, "version sets/s/versionSetInformation.json", "{\"properties\": {\"versioningScheme\": \"Segment\"}}");
    tree_write(&f->tree, "apis/c/policy.xml",
               "<policies><inbound><base/><set-backend-service base-url='https://{{host}}'/></inbound></policies>");
    tree_write(&f->tree, "named values/host/namedValueInformation.json", "{\"properties\": {\"value\": \"h\"}}");
    tree_write(&f->tree, "backends/k/backendInformation.json",
               "{\"properties\": {\"url\": \"https://k\", \"credentials\": {\"header\": {\"a\": [\"x\"]}}}}");
    tree_write(&f->tree, "policy.xml", POLICY_ALL_BASE);
    fixture_product(f, "p", "", "[{\"name\": \"a\"}]");
    fixture_overrides(f, "subscriptions:\n"
                         "  - {name: s, properties: {scope: /products/p, state: active, primaryKey: k1}}\n"
                         "  - {name: t, properties: {scope: /apis/a, state: active, primaryKey: k2}}\n");
}

struct edit {
    const char *path, *text; /* text NULL: removed; path "": the overrides */
};

#define SUBSCRIPTION(scope, key)                                                                        \
    "{\"properties\": {\"scope\": \"" scope "\", \"state\": \"active\", \"primaryKey\": \"" key "\"}}"

static const struct edit EDITS[] = {
    {"subscriptions/u/subscriptionInformation.json", SUBSCRIPTION("/products/p", "u1")},
    {"subscriptions/v/subscriptionInformation.json", SUBSCRIPTION("/products/p", "v1")},
    {"subscriptions/u/subscriptionInformation.json", SUBSCRIPTION("/products/p", "u2")},
    {"subscriptions/u/subscriptionInformation.json", SUBSCRIPTION("/products/gone", "u2")},
    {"subscriptions/u/subscriptionInformation.json", SUBSCRIPTION("/products/p", "v1")}, /* twins */
    {"subscriptions/u/subscriptionInformation.json", SUBSCRIPTION("/products/p", "v1 ")},
    {"subscriptions/u/subscriptionInformation.json", SUBSCRIPTION("/products/p", "k1")}, /* of one in the overrides */
    {"subscriptions/v/subscriptionInformation.json", SUBSCRIPTION("/products/p", "k1")},
    {"subscriptions/u/subscriptionInformation.json", SUBSCRIPTION("/products/p", "a\\u0000b")},
    {"subscriptions/v/subscriptionInformation.json", SUBSCRIPTION("/products/p", "a\\u0000c")},
    {"subscriptions/u/subscriptionInformation.json", "{"},
    {"subscriptions/v/subscriptionInformation.json", SUBSCRIPTION("/products/p", "v3")},
    {"subscriptions/u", NULL},
    {"subscriptions/v/subscriptionInformation.json", SUBSCRIPTION("/apis", "v3")},
    {"apis/a/specification.yaml", SPEC_ONE},
    {"apis/a/policy.xml", POLICY_RATE_LIMIT},
    {"apis/a/policy.xml", "\n" POLICY_RATE_LIMIT},
    {"apis/a/policy.xml", NULL},
    {"policy.xml", POLICY_RATE_LIMIT},
    {"policy.xml", POLICY_ALL_BASE},
    {"products/p/policy.xml", POLICY_RATE_LIMIT},
    {"products/p/apis.json", "[{\"name\": \"b\"}, {\"name\": \"gone\"}]"},
    {"products/p/productInformation.json", "{"},
    {"products/p", NULL},
    {"apis/a", NULL},
    {"apis/d/apiInformation.json", "{\"properties\": {\"path\": \"c\"}}"},
    {"apis/d", NULL},
    {"apis/e/apiInformation.json", "{"},
    {"apis/e", NULL},
    {"named values/host/namedValueInformation.json", "{\"properties\": {\"value\": \"other\"}}"},
    {"named values/host/namedValueInformation.json", "{\"properties\": {\"value\": \"other\", \"secret\": true}}"},
    {"named values/host", NULL},
    {"backends/k/backendInformation.json", "{\"properties\": {\"url\": \"https://k2\"}}"},
    {"backends/k", NULL},
    {"apis/c/policy.xml", "<policies><inbound><set-backend-service backend-id='k'/></inbound></policies>"},
    {"backends/k/backendInformation.json", "{\"properties\": {\"url\": \"nowhere\"}}"},
    {"backends/k/backendInformation.json", "{\"properties\": {\"url\": \"https://k\"}}"},
    {"version sets/s/versionSetInformation.json", "{\"properties\": {\"versioningScheme\": \"Query\"}}"},
    {"version sets", NULL},
    {"", "subscriptions:\n  - {name: s, properties: {scope: /apis, state: active, primaryKey: k1}}\n"
         "  - {name: t, properties: {scope: /apis/c, state: active, primaryKey: k1}}\n"},
    {"", "apis:\n  - name: b\n    properties: {serviceUrl: 'http://{#x#}'}\n"},
    {"", "apis: [\n"},
    {"apis/b/apiInformation.json", "{\"properties\": {\"path\": \"b\", \"x\": }}"},
    {"apis", NULL},
};

static void after_every_edit_the_catalog_is_that_of_a_fresh_build(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fill(&f);
    fixture_build(&f);
    for (size_t i = 0; i < ARRAY_LEN(EDITS); i++) {
        if (*EDITS[i].path == '\0') {
            fixture_overrides(&f, EDITS[i].text);
        } else if (EDITS[i].text == NULL) {
            tree_remove(&f.tree, EDITS[i].path);
        } else {
            tree_write(&f.tree, EDITS[i].path, EDITS[i].text);
        }
        struct strbuf got, expected;
        strbuf_init(&got);
        strbuf_init(&expected);
        dump(fixture_build(&f), &got);
        struct folder_snapshot *s = folder_snapshot(f.folder);
        struct catalog *fresh = catalog_build(NULL, s);
        dump(fresh, &expected);
        if (strcmp(strbuf_cstr(&got), strbuf_cstr(&expected)) != 0) {
            fail_msg("edit %zu:\n%s\nexpected\n%s", i, strbuf_cstr(&got), strbuf_cstr(&expected));
        }
        catalog_unref(&fresh);
        folder_snapshot_unref(&s);
        strbuf_fini(&got);
        strbuf_fini(&expected);
    }
    fixture_fini(&f);
}

static void an_edit_makes_new_objects_only_where_it_counts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fill(&f);
    fixture_build(&f);
    struct catalog *before = catalog_ref(f.catalog);
    tree_write(&f.tree, "apis/a/specification.yaml", SPEC_ONE);
    const struct catalog *after = fixture_build(&f);
    assert_ptr_not_equal(catalog_find_api(before, "apis/a;rev=1"), catalog_find_api(after, "apis/a;rev=1"));
    assert_ptr_equal(catalog_find_api(before, "apis/b;rev=1"), catalog_find_api(after, "apis/b;rev=1"));
    assert_ptr_equal(catalog_find_api(before, "apis/c;rev=1"), catalog_find_api(after, "apis/c;rev=1"));
    for (size_t i = 0; i < before->programs.n; i++) {
        assert_ptr_equal(before->programs.items[i], after->programs.items[i]);
    }
    for (size_t i = 0; i < before->backends.n; i++) {
        assert_ptr_equal(before->backends.items[i], after->backends.items[i]);
    }
    assert_ptr_equal(catalog_find_subscription(before, "subscriptions/s"), catalog_find_subscription(after, "subscriptions/s"));
    assert_ptr_equal(catalog_find_product(before, "products/p"), catalog_find_product(after, "products/p"));
    catalog_unref(&before);
    fixture_fini(&f);
}

static void a_changed_key_is_a_new_subscription_and_nothing_else(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fill(&f);
    fixture_build(&f);
    struct catalog *before = catalog_ref(f.catalog);
    fixture_overrides(&f, "subscriptions:\n"
                          "  - {name: s, properties: {scope: /products/p, state: active, primaryKey: k9}}\n"
                          "  - {name: t, properties: {scope: /apis/a, state: active, primaryKey: k2}}\n");
    const struct catalog *after = fixture_build(&f);
    assert_string_equal(catalog_find_subscription(after, "subscriptions/s")->primary_key, "k9");
    assert_ptr_equal(catalog_find_subscription(before, "subscriptions/t"), catalog_find_subscription(after, "subscriptions/t"));
    for (size_t i = 0; i < before->apis.n; i++) {
        assert_ptr_equal(before->apis.items[i], after->apis.items[i]);
    }
    catalog_unref(&before);
    fixture_fini(&f);
}

static void moving_a_line_does_not_change_a_content_hash(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fill(&f);
    struct catalog_hash before = catalog_find_api(fixture_build(&f), "apis/a;rev=1")->o.hash;
    tree_write(&f.tree, "apis/a/specification.yaml", "# moved\n" SPEC_TWO);
    struct catalog_hash after = catalog_find_api(fixture_build(&f), "apis/a;rev=1")->o.hash;
    assert_true(before.hi == after.hi && before.lo == after.lo);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_every_edit_the_catalog_is_that_of_a_fresh_build),
        cmocka_unit_test(an_edit_makes_new_objects_only_where_it_counts),
        cmocka_unit_test(a_changed_key_is_a_new_subscription_and_nothing_else),
        cmocka_unit_test(moving_a_line_does_not_change_a_content_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
