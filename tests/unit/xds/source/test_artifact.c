#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/macros.h"
#include "xds/source/artifact.h"

struct row {
    const char *path;
    int kind; /* -1: not read */
    const char *workspace, *id, *item, *override;
};

static const struct row ROWS[] = {
    {"policy.xml", ARTIFACT_POLICY, "", "", "", "policies/policy"},
    {"apis/x;rev=2/apiInformation.json", ARTIFACT_API, "", "x;rev=2", "", "apis/x;rev=2"},
    {"apis/My API/specification.yaml", ARTIFACT_SPECIFICATION, "", "My API", "", "apis/my api"},
    {"apis/x/specification.graphql", ARTIFACT_SPECIFICATION, "", "x", "", "apis/x"},
    {"apis/x/policy.xml", ARTIFACT_API_POLICY, "", "x", "", "apis/x/policies/policy"},
    {"apis/x/operations/Get/policy.xml", ARTIFACT_OPERATION_POLICY, "", "x", "Get", "apis/x/operations/get/policies/policy"},
    {"version sets/v/apiVersionSetInformation.json", ARTIFACT_VERSION_SET, "", "v", "", "versionsets/v"},
    {"version sets/v/versionSetInformation.json", ARTIFACT_VERSION_SET, "", "v", "", "versionsets/v"},
    {"products/p/apis.json", ARTIFACT_PRODUCT_APIS, "", "p", "", "products/p"},
    {"products/p/apis/x/productApiInformation.json", ARTIFACT_PRODUCT_API, "", "p", "x", "products/p"},
    {"products/p/policy.xml", ARTIFACT_PRODUCT_POLICY, "", "p", "", "products/p/policies/policy"},
    {"named values/n/namedValueInformation.json", ARTIFACT_NAMED_VALUE, "", "n", "", "namedvalues/n"},
    {"gateways/g/apis/x/gatewayApiInformation.json", ARTIFACT_GATEWAY_API, "", "g", "x", "gateways/g"},
    {"workspaces/W/apis/x/apiInformation.json", ARTIFACT_API, "W", "x", "", "workspaces/w/apis/x"},
    {"workspaces/w/policy.xml", ARTIFACT_POLICY, "w", "", "", "workspaces/w/policies/policy"},
    {"workspaces/w/workspaceInformation.json", ARTIFACT_WORKSPACE, "w", "", "", "workspaces/w"},
    {"apis/x/diagnostics/d/diagnosticInformation.json", ARTIFACT_API_DIAGNOSTIC, "", "x", "d", "apis/x/diagnostics/d"},
    {"README.md", -1, NULL, NULL, NULL, NULL},
    {"apis/x/readme.txt", -1, NULL, NULL, NULL, NULL},
    {"apis/x/specification", -1, NULL, NULL, NULL, NULL},
    {"apis//apiInformation.json", -1, NULL, NULL, NULL, NULL},
    {"a/apis/x/apiInformation.json", -1, NULL, NULL, NULL, NULL},
    {"workspaces/w/workspaces/v/policy.xml", -1, NULL, NULL, NULL, NULL},
    {"", -1, NULL, NULL, NULL, NULL},
};

static void a_path_says_what_a_file_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct artifact_path p;
        bool known = artifact_classify(slice_of(ROWS[i].path), &p);
        assert_int_equal(known, ROWS[i].kind >= 0);
        if (!known) {
            continue;
        }
        assert_int_equal((int)p.kind, ROWS[i].kind);
        assert_true(slice_eq(p.workspace, slice_of(ROWS[i].workspace)));
        assert_true(slice_eq(p.id, slice_of(ROWS[i].id)));
        assert_true(slice_eq(p.item, slice_of(ROWS[i].item)));
        struct artifact *a = artifact_read(ROWS[i].path, SLICE("{\"properties\": {}}"), NULL);
        struct strbuf path;
        strbuf_init(&path);
        artifact_override_path(a, &path);
        assert_string_equal(strbuf_cstr(&path), ROWS[i].override);
        strbuf_fini(&path);
        artifact_unref(&a);
    }
}

static void only_folders_that_can_hold_artifacts_are_entered(void **state)
{
    (void)state;
    const char *const yes[] = {"apis", "apis/x", "apis/x/operations", "apis/x/operations/o", "workspaces", "workspaces/w",
                               "workspaces/w/products/p/apis/x", "version sets"};
    const char *const no[] = {"src", ".git", "apis/x/y", "apis/x/operations/o/p", "policy.xml", ""};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        assert_true(artifact_is_folder(slice_of(yes[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_false(artifact_is_folder(slice_of(no[i])));
    }
}

struct broken {
    const char *path, *bytes;
    uint32_t line, column;
};

static const struct broken BROKEN[] = {
    {"apis/x/apiInformation.json", "{\"properties\": {\n \"a\": oops}}", 2, 7},
    {"apis/x/apiInformation.json", "", 1, 1},
    {"apis/x/apiInformation.json", "[]", 1, 1},
    {"apis/x/apiInformation.json", "{}", 1, 1},
    {"apis/x/apiInformation.json", "{\"properties\": 3}", 1, 16},
    {"products/p/apis.json", "{}", 1, 1},
    {"apis/x/specification.yaml", "a: [", 2, 0}, /* the reader only notices at the end */
    {"apis/x/specification.yaml", "- a", 1, 1},
};

static void what_cannot_be_read_is_broken_and_says_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BROKEN); i++) {
        struct artifact *a = artifact_read(BROKEN[i].path, slice_of(BROKEN[i].bytes), NULL);
        assert_int_equal(a->state, ARTIFACT_BROKEN);
        assert_int_equal(a->error.line, BROKEN[i].line);
        if (strcmp(BROKEN[i].path, "apis/x/specification.yaml") != 0) {
            assert_int_equal(a->error.column, BROKEN[i].column);
        }
        assert_non_null(a->error.text);
        assert_null(a->doc);
        artifact_unref(&a);
    }
}

static void a_broken_file_keeps_its_last_good_form_except_a_policy(void **state)
{
    (void)state;
    struct artifact *good = artifact_read("backends/b/backendInformation.json", SLICE("\xef\xbb\xbf{\"properties\":\r\n{\"url\":\"u\"}}"), NULL);
    assert_int_equal(good->state, ARTIFACT_GOOD);
    struct artifact *stale = artifact_read("backends/b/backendInformation.json", SLICE("{"), good);
    artifact_unref(&good);
    assert_int_equal(stale->state, ARTIFACT_STALE);
    assert_true(slice_eq(doc_get_string(doc_get(stale->doc, "properties"), "url"), SLICE("u")));
    struct artifact *again = artifact_unreadable("backends/b/backendInformation.json", "Permission denied", stale);
    assert_int_equal(again->state, ARTIFACT_STALE);
    assert_string_equal(again->error.text, "Permission denied");
    assert_true(again->hash != stale->hash);
    artifact_unref(&again);
    artifact_unref(&stale);

    struct artifact *policy = artifact_read("policy.xml", SLICE("<policies/>"), NULL);
    struct artifact *gone = artifact_unreadable("policy.xml", "Permission denied", policy);
    assert_int_equal(gone->state, ARTIFACT_BROKEN);
    artifact_unref(&gone);
    artifact_unref(&policy);
}

static void every_prefix_of_a_file_is_read_or_broken(void **state)
{
    (void)state;
    const char *text = "{\"properties\": {\"path\": \"a/b\", \"protocols\": [\"https\"], \"n\": null}}";
    for (size_t n = 0; n < strlen(text); n++) {
        struct artifact *a = artifact_read("apis/x/apiInformation.json", slice_make(text, n), NULL);
        assert_int_equal(a->state, ARTIFACT_BROKEN);
        artifact_unref(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_says_what_a_file_is),
        cmocka_unit_test(only_folders_that_can_hold_artifacts_are_entered),
        cmocka_unit_test(what_cannot_be_read_is_broken_and_says_where),
        cmocka_unit_test(a_broken_file_keeps_its_last_good_form_except_a_policy),
        cmocka_unit_test(every_prefix_of_a_file_is_read_or_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
