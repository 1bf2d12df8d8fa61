/* Every section of the overrides file, in the service and in a workspace: what it changes, and what is said when it cannot. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macros.h"
#include "unit/xds/catalog/fixture.h"

#define SET(value) "<policies><inbound><set-header name='a'><value>" value "</value></set-header></inbound></policies>"

/* One of everything that a section can name. */
static void write_tree(struct fixture *f, const char *root)
{
    static const char *const files[][2] = {
        {"policy.xml", POLICY_ALL_BASE},
        {"apis/a/apiInformation.json",
         "{\"properties\": {\"path\": \"p%s\", \"serviceUrl\": \"https://old\", \"apiVersionSetId\": \"v\", \"apiRevision\": \"3\","
         " \"protocols\": [\"http\", \"https\"], \"subscriptionKeyParameterNames\": {\"header\": \"H\", \"query\": \"q\"}}}"},
        {"apis/a/specification.yaml", "openapi: 3.0.1\npaths:\n  /one:\n    get: {operationId: one}\n"},
        {"apis/a/policy.xml", POLICY_ALL_BASE},
        {"apis/a/operations/one/policy.xml", POLICY_ALL_BASE},
        {"apis/a/diagnostics/d/diagnosticInformation.json", "{\"properties\": {}}"},
        {"backends/b/backendInformation.json",
         "{\"properties\": {\"url\": \"https://old\", \"credentials\": {\"header\": {\"x\": [\"1\"]}}}}"},
        {"diagnostics/d/diagnosticInformation.json", "{\"properties\": {}}"},
        {"groups/g/groupInformation.json", "{\"properties\": {}}"},
        {"loggers/l/loggerInformation.json", "{\"properties\": {}}"},
        {"tags/t/tagInformation.json", "{\"properties\": {}}"},
        {"named values/n/namedValueInformation.json", "{\"properties\": {\"displayName\": \"N\", \"value\": \"old\"}}"},
        {"policy fragments/f/policyFragmentInformation.json", "{\"properties\": {}}"},
        {"policy fragments/f/policy.xml", "<fragment/>"},
        {"products/p/productInformation.json", "{\"properties\": {\"subscriptionRequired\": true}}"},
        {"products/p/policy.xml", POLICY_ALL_BASE},
        {"products/p/apis.json", "[{\"name\": \"a\"}]"},
        {"subscriptions/s/subscriptionInformation.json",
         "{\"properties\": {\"scope\": \"/products/p\", \"state\": \"suspended\"}}"},
        {"version sets/v/versionSetInformation.json",
         "{\"properties\": {\"versioningScheme\": \"Header\", \"versionHeaderName\": \"old\"}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[256], text[512];
        snprintf(path, sizeof path, "%s%s", root, files[i][0]);
        const char *mark = strstr(files[i][1], "p%s"); /* two APIs in one place would close each other */
        if (mark != NULL) {
            size_t before = (size_t)(mark - files[i][1]) + 1;
            snprintf(text, sizeof text, "%.*s%s%s", (int)before, files[i][1], *root == '\0' ? "" : "w", mark + 3);
        } else {
            snprintf(text, sizeof text, "%s", files[i][1]);
        }
        tree_write(&f->tree, path, text);
    }
}

static const char SECTIONS[] =
    "- {name: A, properties: {serviceUrl: 'https://new', protocols: [https], apiRevision: '9', isCurrent: false,\n"
    "   subscriptionKeyParameterNames: {header: X-Key}},\n"
    "   policies: [{name: policy, properties: {format: rawxml, value: \"" SET("api") "\"}}],\n"
    "   operations: [{name: ONE, policies: [{name: policy, properties: {value: \"" SET("operation") "\"}}]}],\n"
    "   diagnostics: [{name: d, properties: {verbosity: x}}]}\n";

static const char *const LISTS[][2] = {
    {"apis", SECTIONS},
    {"backends", "- {name: b, properties: {url: 'https://new', credentials: {query: {y: ['2']}}}}\n"},
    {"diagnostics", "- {name: d, properties: {verbosity: x}}\n"},
    {"groups", "- {name: g, properties: {displayName: x}}\n"},
    {"loggers", "- {name: l, properties: {loggerType: x}}\n"},
    {"tags", "- {name: t, properties: {displayName: x}}\n"},
    {"namedValues", "- {name: n, properties: {value: new}}\n"},
    {"policies", "- {name: policy, properties: {value: \"" SET("all") "\"}}\n"},
    {"policyFragments", "- {name: f, properties: {value: \"<fragment><trace source='x'/></fragment>\"}}\n"},
    {"products", "- {name: p, properties: {subscriptionRequired: false, displayName: new},\n"
                 "   policies: [{name: policy, properties: {value: \"" SET("product") "\"}}]}\n"},
    {"subscriptions", "- {name: s, properties: {state: active, primaryKey: one%s}}\n"
                      "- {name: added, properties: {scope: /products/p, state: active, primaryKey: two%s, secondaryKey: 3}}\n"},
    {"versionSets", "- {name: v, properties: {versionHeaderName: new}}\n"},
};

/* All sections, indented by `indent`, keys told apart by `mark`. */
static void add_sections(struct strbuf *out, const char *indent, const char *mark)
{
    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        strbuf_printf(out, "%s%s:\n", indent, LISTS[i][0]);
        struct slice rest = slice_of(LISTS[i][1]);
        while (rest.n > 0) {
            struct slice line = slice_cut(&rest, '\n');
            size_t at = slice_search(line, SLICE("%s"));
            strbuf_printf(out, "%s%.*s%s%.*s\n", indent, (int)at, line.p, at < line.n ? mark : "",
                          (int)(at < line.n ? line.n - at - 2 : 0), line.p + (at < line.n ? at + 2 : line.n));
        }
    }
}

static const char *named(const char *prefix, const char *name)
{
    static char text[256];
    snprintf(text, sizeof text, "%s%s", prefix, name);
    return text;
}

static bool sets_header(const struct catalog *c, const char *program)
{
    const struct catalog_program *p = catalog_find_program(c, program);
    assert_non_null(p);
    return p->policy->sections[POLICY_INBOUND].n == 1 && p->policy->sections[POLICY_INBOUND].items[0].op != POLICY_BASE;
}

static void check_tree(const struct catalog *c, const char *prefix)
{
    const struct catalog_api *a = catalog_find_api(c, named(prefix, "apis/a;rev=3"));
    assert_non_null(a); /* revisions are the folder's */
    assert_true(a->is_current);
    assert_string_equal(catalog_find_backend(c, a->backend)->host, "new");
    assert_true(a->https && !a->http); /* lists replace */
    assert_string_equal(a->key_header, "X-Key");
    assert_string_equal(a->key_query, "q"); /* maps merge */
    assert_string_equal(a->version_parameter, "new");
    assert_true(sets_header(c, named(prefix, "apis/a;rev=3/policy")));
    assert_true(sets_header(c, named(prefix, "apis/a;rev=3/operations/one/policy")));
    assert_true(sets_header(c, named(prefix, "products/p/policy")));
    assert_true(sets_header(c, named(prefix, "policy")));
    const struct catalog_backend *b = catalog_find_backend(c, named(prefix, "backends/b"));
    assert_string_equal(b->url, "https://new");
    assert_int_equal(b->header_count, 1);
    assert_int_equal(b->query_count, 1);
    assert_string_equal(catalog_find_named_value(c, named(prefix, "namedvalues/n"))->value, "new");
    const struct catalog_product *p = catalog_find_product(c, named(prefix, "products/p"));
    assert_false(p->subscription_required);
    assert_string_equal(p->display_name, "new");
    const struct catalog_subscription *s = catalog_find_subscription(c, named(prefix, "subscriptions/s"));
    assert_int_equal(s->state, CATALOG_SUBSCRIPTION_ACTIVE);
    assert_true(strncmp(s->primary_key, "one", 3) == 0);
    s = catalog_find_subscription(c, named(prefix, "subscriptions/added"));
    assert_non_null(s);
    assert_null(s->o.closed);
    assert_string_equal(s->secondary_key, "3");
    assert_int_equal(s->scope, CATALOG_SCOPE_PRODUCT);
}

static void each_section_changes_what_it_names_in_the_service_and_in_a_workspace(void **state)
{
    (void)state;
    for (int workspace = 0; workspace < 2; workspace++) {
        struct fixture f;
        struct strbuf text;
        fixture_init(&f);
        strbuf_init(&text);
        write_tree(&f, workspace ? "workspaces/W/" : "");
        strbuf_add_str(&text, workspace ? "workspaces:\n- name: w\n" : "apimServiceName: x\n");
        add_sections(&text, workspace ? "  " : "", "");
        if (!workspace) {
            tree_write(&f.tree, "gateways/g/gatewayInformation.json", "{\"properties\": {\"locationData\": {\"name\": \"old\"}}}");
            tree_write(&f.tree, "gateways/g/apis.json", "[{\"name\": \"a\"}]");
            strbuf_add_str(&text, "gateways:\n- {name: g, properties: {locationData: {name: new}}}\n");
        }
        fixture_overrides(&f, strbuf_cstr(&text));
        const struct catalog *c = fixture_build(&f);
        for (size_t i = 0; i < c->problem_count; i++) {
            print_message("%s:%u: %s\n", c->problems[i].file, c->problems[i].line, c->problems[i].reason);
        }
        assert_int_equal(c->problem_count, 0);
        check_tree(c, workspace ? "workspaces/w/" : "");
        if (!workspace) {
            assert_string_equal(catalog_find_gateway(c, "gateways/g")->region, "new");
        }
        strbuf_fini(&text);
        fixture_fini(&f);
    }
}

/* Section, whether an entry without its artifact is a problem. */
static const struct {
    const char *section;
    bool said;
} LOST[] = {
    {"apis", true},      {"backends", true}, {"diagnostics", true}, {"gateways", true},        {"groups", true},
    {"loggers", true},   {"tags", true},     {"policies", true},    {"policyFragments", true}, {"products", true},
    {"versionSets", true}, {"workspaces", true}, {"subscriptions", false}, {"namedValues", false},
};

static void an_entry_that_matches_nothing_is_said_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(LOST); i++) {
        struct fixture f;
        char text[256];
        bool found = false;
        fixture_init(&f);
        fixture_api(&f, "a", "a", SPEC_ONE, "");
        snprintf(text, sizeof text, "# 1\n%s:\n- name: gone\n  properties: {displayName: x}\n", LOST[i].section);
        fixture_overrides(&f, text);
        const struct catalog *c = fixture_build(&f);
        for (size_t k = 0; k < c->problem_count; k++) {
            const struct catalog_problem *p = &c->problems[k];
            found |= strcmp(p->file, f.overrides) == 0 && p->line == 3 &&
                     strcmp(p->reason, "\"gone\" overrides nothing: there is no such thing in the folder") == 0;
        }
        print_message("%s\n", LOST[i].section);
        assert_int_equal(found, LOST[i].said);
        fixture_fini(&f);
    }
}

struct bad_row {
    const char *text;
    uint32_t line;
    const char *reason;
    bool closes; /* apis/a */
};

static const struct bad_row BAD[] = {
    {"apiz: []\n", 1, "unknown section \"apiz\"", false},
    {"apis:\n- name: a\n  propertys: {}\n", 3, "unknown member \"propertys\"", false},
    {"apis:\n- properties: {}\n", 2, "an entry of \"apis\" without a name", false},
    {"apis: {name: a}\n", 1, "\"apis\" is not a list", false},
    {"apis:\n- {name: a, properties: [1]}\n", 2, "\"properties\" is not a map", true},
    {"apis:\n- name: a\n  properties:\n    serviceUrl: 'https://{#host#}/x'\n", 4, "a token {#…#} that nobody replaced", true},
    {"apis:\n- name: a\n  properties:\n    subscriptionKeyParameterNames:\n      header: '{#h#}'\n", 5,
     "a token {#…#} that nobody replaced", true},
    {"apis:\n- {name: a}\n- {name: A}\n", 3, "stands there twice", true},
    {"workspaces:\n- name: w\n  apiz: []\n", 3, "unknown section \"apiz\"", false},
};

static void what_is_wrong_in_the_overrides_is_named_and_closes_what_it_is_about(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct fixture f;
        bool found = false;
        fixture_init(&f);
        fixture_api(&f, "a", "a", SPEC_ONE, "");
        fixture_api(&f, "b", "b", SPEC_ONE, "");
        tree_write(&f.tree, "workspaces/w/workspaceInformation.json", "{}");
        fixture_overrides(&f, BAD[i].text);
        const struct catalog *c = fixture_build(&f);
        for (size_t k = 0; k < c->problem_count; k++) {
            const struct catalog_problem *p = &c->problems[k];
            found |= strcmp(p->file, f.overrides) == 0 && p->line == BAD[i].line && strstr(p->reason, BAD[i].reason) != NULL;
        }
        print_message("%s", BAD[i].text);
        assert_true(found);
        assert_int_equal(catalog_find_api(c, "apis/a;rev=1")->o.closed != NULL, BAD[i].closes);
        assert_null(catalog_find_api(c, "apis/b;rev=1")->o.closed);
        fixture_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_section_changes_what_it_names_in_the_service_and_in_a_workspace),
        cmocka_unit_test(an_entry_that_matches_nothing_is_said_with_its_place),
        cmocka_unit_test(what_is_wrong_in_the_overrides_is_named_and_closes_what_it_is_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
