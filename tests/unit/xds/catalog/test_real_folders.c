/* Folders that people published, read as they are. They are not part of the project: EGRET_SHARED says where they stand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macros.h"
#include "unit/xds/catalog/fixture.h"

struct expected {
    const char *folder, *overrides; /* NULL: none */
    size_t objects[7];              /* apis, products, subscriptions, backends, named values, programs, gateways */
    size_t operations;              /* known, open or not */
    size_t closed, stale, warnings; /* problems */
    struct catalog_counts counts;
};

static const struct expected FOLDERS[] = {
    {"official", NULL, {8, 2, 2, 11, 4, 9, 0}, 11, 5, 0, 2, {8, 11, 2, 0, 0}},
    {"lab", NULL, {8, 2, 0, 8, 6, 8, 0}, 20, 9, 0, 0, {3, 16, 1, 0, 5}},
    {"function-app", NULL, {1, 1, 0, 1, 2, 2, 0}, 1, 2, 0, 0, {0, 0, 0, 0, 1}},
    {"function-app",
     "namedValues:\n  - {name: dev1-api-function-app-key, properties: {value: abc}}\n"
     "subscriptions:\n  - {name: s, properties: {scope: /products/dev1-api-product, state: active, primaryKey: k}}\n",
     {1, 1, 1, 1, 2, 2, 0}, 1, 0, 0, 0, {1, 1, 1, 1, 0}},
    {"lab", /* without its own service policy: what is readable is served */
     "policies:\n  - {name: policy, properties: {value: <policies/>}}\n"
     "namedValues:\n  - {name: helloworldfromfuncapp-key, properties: {value: abc}}\n",
     {8, 2, 0, 8, 6, 8, 0}, 20, 8, 0, 0, {3, 16, 1, 0, 5}},
};

static bool find_folder(const char *name, char *out, size_t n)
{
    const char *shared = getenv("EGRET_SHARED");
    snprintf(out, n, "%s/apim-folders/%s", shared == NULL ? "../shared" : shared, name);
    return access(out, R_OK) == 0;
}

static size_t count(const struct catalog *c, enum catalog_problem_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < c->problem_count; i++) {
        n += c->problems[i].kind == kind ? 1 : 0;
    }
    return n;
}

static void check(const struct catalog *c, const struct expected *e)
{
    const size_t objects[] = {c->apis.n,         c->products.n, c->subscriptions.n, c->backends.n,
                              c->named_values.n, c->programs.n, c->gateways.n};
    size_t operations = 0;
    for (size_t i = 0; i < c->apis.n; i++) {
        operations += c->apis.items[i]->operation_count;
    }
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        assert_int_equal(objects[i], e->objects[i]);
    }
    assert_int_equal(operations, e->operations);
    assert_int_equal(count(c, CATALOG_CLOSED), e->closed);
    assert_int_equal(count(c, CATALOG_STALE), e->stale);
    assert_int_equal(count(c, CATALOG_WARNING), e->warnings);
    struct catalog_counts n = catalog_count(c);
    assert_int_equal(n.apis, e->counts.apis);
    assert_int_equal(n.operations, e->counts.operations);
    assert_int_equal(n.products, e->counts.products);
    assert_int_equal(n.subscriptions, e->counts.subscriptions);
    assert_int_equal(n.left_out, e->counts.left_out);
}

static void each_published_folder_is_served_or_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(FOLDERS); i++) {
        struct fixture f;
        char root[512];
        if (!find_folder(FOLDERS[i].folder, root, sizeof root)) {
            print_message("SKIPPED: %s is not there\n", root);
            skip();
        }
        fixture_init(&f);
        if (FOLDERS[i].overrides != NULL) {
            fixture_overrides(&f, FOLDERS[i].overrides);
        }
        f.folder = folder_create(root, FOLDERS[i].overrides == NULL ? NULL : f.overrides);
        print_message("%s\n", FOLDERS[i].folder);
        check(fixture_build(&f), &FOLDERS[i]);
        fixture_fini(&f);
    }
}

static void what_is_broken_in_the_lab_folder_is_named_with_its_place(void **state)
{
    (void)state;
    struct fixture f;
    char root[512];
    if (!find_folder("lab", root, sizeof root)) {
        print_message("SKIPPED: %s is not there\n", root);
        skip();
    }
    fixture_init(&f);
    f.folder = folder_create(root, NULL);
    const struct catalog *c = fixture_build(&f);
    assert_true(has_problem(c, CATALOG_CLOSED, "apis/helloworldfromlogicapp/apiInformation.json", 12,
                            "apis/helloworldfromlogicapp;rev=1", "expected a value"));
    assert_true(has_problem(c, CATALOG_CLOSED, "apis/helloworldfromfuncapp/specification.yaml", 7,
                            "apis/helloworldfromfuncapp;rev=1", ""));
    assert_true(has_problem(c, CATALOG_CLOSED, "policy fragments/ForwardContext/policy.xml", 3,
                            "apis/testapi;rev=1", "expression in <set-header> is not evaluated yet"));
    assert_string_equal(catalog_find_api(c, "apis/helloworldfromlogicapp;rev=1")->path, "helloworldfromlogicapp");
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_published_folder_is_served_or_named),
        cmocka_unit_test(what_is_broken_in_the_lab_folder_is_named_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
