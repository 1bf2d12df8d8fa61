/* Kinds of APIs, what releases make current, and workspaces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macros.h"
#include "unit/xds/catalog/fixture.h"

static const struct catalog_api *api_of(const struct catalog *c, const char *name)
{
    const struct catalog_api *api = catalog_find_api(c, name);
    assert_non_null(api);
    return api;
}

/* ---- kinds ---- */

struct kind_row {
    const char *properties;
    const char *closed;  /* NULL: open */
    const char *schemes; /* "http https ws wss", of those */
    const char *operations;
};

static const struct kind_row KINDS[] = {
    {"", NULL, "https", "one GET /one"},
    {", \"protocols\": [\"http\", \"https\", \"ws\"]", NULL, "http https", "one GET /one"},
    {", \"protocols\": [\"wss\"]", "names none that an API of type http can have", "", ""},
    {", \"protocols\": \"https\"", "\"protocols\" is not a list", "", ""},
    {", \"type\": \"websocket\"", NULL, "wss", "onHandshake GET /*"},
    {", \"type\": \"WebSocket\", \"protocols\": [\"ws\", \"wss\"]", NULL, "ws wss", "onHandshake GET /*"},
    {", \"type\": \"websocket\", \"protocols\": [\"https\"]", NULL, "wss", "onHandshake GET /*"},
    {", \"type\": \"graphql\", \"protocols\": [\"https\", \"wss\"]", NULL, "https wss",
     "graphql-post POST /,graphql-get GET /"},
    {", \"type\": \"soap\", \"protocols\": [\"http\"]", NULL, "http", "soap POST /"},
    {", \"apiType\": \"soap\"", NULL, "https", "soap POST /"},
    {", \"type\": \"grpc\"", "APIs of type grpc are not supported yet", "", ""},
};

static void describe(const struct catalog_api *a, struct strbuf *schemes, struct strbuf *operations)
{
    const bool flags[] = {a->http, a->https, a->ws, a->wss};
    static const char *const names[] = {"http", "https", "ws", "wss"};
    strbuf_clear(schemes);
    strbuf_clear(operations);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        strbuf_printf(schemes, "%s%s", flags[i] && schemes->n > 0 ? " " : "", flags[i] ? names[i] : "");
    }
    for (size_t i = 0; i < a->operation_count; i++) {
        const struct catalog_operation *o = &a->operations[i];
        strbuf_printf(operations, "%s%s %s %s", i == 0 ? "" : ",", o->id, o->method, o->url_template);
    }
}

static void a_kind_of_api_says_its_schemes_and_operations(void **state)
{
    (void)state;
    struct strbuf schemes, operations;
    strbuf_init(&schemes);
    strbuf_init(&operations);
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        struct fixture f;
        fixture_init(&f);
        fixture_api(&f, "a", "a", SPEC_ONE, KINDS[i].properties);
        const struct catalog_api *a = api_of(fixture_build(&f), "apis/a;rev=1");
        print_message("%s\n", KINDS[i].properties);
        if (KINDS[i].closed != NULL) {
            assert_non_null(a->o.closed);
            assert_non_null(strstr(a->o.closed, KINDS[i].closed));
        } else {
            describe(a, &schemes, &operations);
            assert_null(a->o.closed);
            assert_string_equal(strbuf_cstr(&schemes), KINDS[i].schemes);
            assert_string_equal(strbuf_cstr(&operations), KINDS[i].operations);
            assert_int_equal(a->open_operations, a->operation_count);
        }
        fixture_fini(&f);
    }
    strbuf_fini(&schemes);
    strbuf_fini(&operations);
}

static void a_websocket_api_needs_no_specification_and_dials_its_wss_url(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    tree_write(&f.tree, "apis/w/apiInformation.json",
               "{\"properties\": {\"path\": \"w\", \"type\": \"websocket\", \"serviceUrl\": \"WSS://Echo.Example:443/chat\"}}");
    tree_write(&f.tree, "apis/w/operations/onHandshake/policy.xml", POLICY_ALL_BASE);
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *a = api_of(c, "apis/w;rev=1");
    const struct catalog_backend *k = catalog_find_backend(c, a->backend);
    assert_int_equal(c->problem_count, 0);
    assert_string_equal(a->operations[0].program, "apis/w;rev=1/operations/onhandshake/policy");
    assert_string_equal(k->url, "wss://echo.example/chat");
    assert_true(k->https && k->port == 443);
    fixture_fini(&f);
}

static void policies_of_a_soap_operation_close_the_api(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "s", "s", NULL, ", \"type\": \"soap\"");
    tree_write(&f.tree, "apis/s/policy.xml", POLICY_ALL_BASE);
    assert_null(api_of(fixture_build(&f), "apis/s;rev=1")->o.closed);
    tree_write(&f.tree, "apis/s/operations/Add/policy.xml", POLICY_ALL_BASE);
    const struct catalog *c = fixture_build(&f);
    assert_true(has_problem(c, CATALOG_CLOSED, "apis/s/operations/Add/policy.xml", 1, "apis/s;rev=1",
                            "which operation of a SOAP API is called"));
    fixture_fini(&f);
}

/* ---- releases ---- */

struct release_row {
    const char *first, *second; /* properties of two releases; NULL: none */
    const char *current;
    const char *problem; /* part of a reason; NULL: no problem at all */
};

#define REV(n) "\"apiId\": \"/subscriptions/0/resourceGroups/r/providers/M/service/s/apis/a;rev=" n "\""

static const struct release_row RELEASES[] = {
    {NULL, NULL, "1", NULL},
    {REV("2"), NULL, "2", "though apis/a/apiInformation.json says \"isCurrent\""},
    {REV("1"), NULL, "1", NULL},
    {"\"apiId\": \"/apis/A\"", NULL, "1", NULL},
    {REV("2"), REV("2"), "2", "though"},
    {REV("2"), REV("1"), "1", NULL}, /* which one came last is not said */
    {REV("2") ", \"createdDateTime\": \"2024-02-01T00:00:00Z\"", REV("1") ", \"createdDateTime\": \"2024-01-01T00:00:00Z\"", "2",
     "though"},
    {REV("2") ", \"createdDateTime\": \"2024-02-01T00:00:00Z\"", REV("1") ", \"createdDateTime\": \"2024-03-01T00:00:00Z\"", "1",
     NULL},
    {REV("2") ", \"createdDateTime\": \"2024-02-01T00:00:00Z\"", REV("1"), "1", NULL},
    {REV("7"), NULL, "1", "the release names a revision that does not exist: a;rev=7"},
    {"\"apiId\": \"/apis/b;rev=2\"", NULL, "1", "the release is of another API"},
    {"\"notes\": \"\"", NULL, "1", "does not say of which API it is"},
};

static void write_release(struct fixture *f, const char *name, const char *properties)
{
    char path[128], text[512];
    if (properties != NULL) {
        snprintf(path, sizeof path, "apis/a/releases/%s/apiReleaseInformation.json", name);
        snprintf(text, sizeof text, "{\"properties\": {%s}}", properties);
        tree_write(&f->tree, path, text);
    }
}

static void a_release_makes_its_revision_the_current_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(RELEASES); i++) {
        const struct release_row *r = &RELEASES[i];
        struct fixture f;
        fixture_init(&f);
        fixture_api(&f, "a", "a", SPEC_ONE, ", \"apiRevision\": \"1\", \"isCurrent\": true");
        fixture_api(&f, "a;rev=2", "a", SPEC_ONE, ", \"apiRevision\": \"2\"");
        write_release(&f, "r1", r->first);
        write_release(&f, "r2", r->second);
        const struct catalog *c = fixture_build(&f);
        print_message("row %zu\n", i);
        assert_int_equal(api_of(c, "apis/a;rev=1")->is_current, strcmp(r->current, "1") == 0);
        assert_int_equal(api_of(c, "apis/a;rev=2")->is_current, strcmp(r->current, "2") == 0);
        assert_int_equal(c->problem_count, r->problem == NULL ? 0 : 1);
        if (r->problem != NULL) {
            assert_string_equal(c->problems[0].file, "apis/a/releases/r1/apiReleaseInformation.json");
            assert_non_null(strstr(c->problems[0].reason, r->problem));
        }
        fixture_fini(&f);
    }
}

static void a_release_that_comes_or_goes_moves_the_current_revision(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_ONE, "");
    fixture_api(&f, "a;rev=2", "a", SPEC_ONE, "");
    assert_true(api_of(fixture_build(&f), "apis/a;rev=1")->is_current);
    write_release(&f, "r1", "\"apiId\": \"/apis/a;rev=2\"");
    assert_true(api_of(fixture_build(&f), "apis/a;rev=2")->is_current);
    assert_int_equal(f.catalog->problem_count, 0); /* nothing in the folder says otherwise */
    tree_remove(&f.tree, "apis/a/releases/r1/apiReleaseInformation.json");
    assert_true(api_of(fixture_build(&f), "apis/a;rev=1")->is_current);
    fixture_fini(&f);
}

/* ---- workspaces ---- */

struct workspace_row {
    const char *folder, *scope, *name; /* name NULL: closed */
};

static const struct workspace_row WORKSPACES[] = {
    {"", "/workspaces/W", "workspaces/w"},
    {"", "/subscriptions/0/resourceGroups/r/providers/M/service/s/workspaces/w/apis", "workspaces/w"},
    {"workspaces/W/", "/apis", "workspaces/w"},
    {"workspaces/W/", "/", "workspaces/w"},
    {"workspaces/W/", "/subscriptions/0/resourceGroups/r/providers/M/service/s/workspaces/W", "workspaces/w"},
    {"", "/workspaces/gone", NULL},
    {"workspaces/other/", "/apis", NULL},
};

static void a_subscription_may_cover_a_whole_workspace(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(WORKSPACES); i++) {
        const struct workspace_row *r = &WORKSPACES[i];
        struct fixture f;
        char path[128], text[256], name[128];
        fixture_init(&f);
        tree_write(&f.tree, "workspaces/W/apis/x/apiInformation.json",
                   "{\"properties\": {\"path\": \"w/x\", \"serviceUrl\": \"https://h\"}}");
        tree_write(&f.tree, "workspaces/W/apis/x/specification.yaml", SPEC_ONE);
        snprintf(path, sizeof path, "%ssubscriptions/s/subscriptionInformation.json", r->folder);
        snprintf(text, sizeof text, "{\"properties\": {\"state\": \"active\", \"scope\": \"%s\"}}", r->scope);
        tree_write(&f.tree, path, text);
        snprintf(name, sizeof name, "%ssubscriptions/s", r->folder);
        for (char *p = name; *p != '\0'; p++) {
            *p = ascii_lower(*p);
        }
        const struct catalog_subscription *s = catalog_find_subscription(fixture_build(&f), name);
        print_message("row %zu\n", i);
        assert_non_null(s);
        assert_int_equal(s->o.closed == NULL, r->name != NULL);
        if (r->name != NULL) {
            assert_int_equal(s->scope, CATALOG_SCOPE_WORKSPACE);
            assert_string_equal(s->scope_name, r->name);
        }
        fixture_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_of_api_says_its_schemes_and_operations),
        cmocka_unit_test(a_websocket_api_needs_no_specification_and_dials_its_wss_url),
        cmocka_unit_test(policies_of_a_soap_operation_close_the_api),
        cmocka_unit_test(a_release_makes_its_revision_the_current_one),
        cmocka_unit_test(a_release_that_comes_or_goes_moves_the_current_revision),
        cmocka_unit_test(a_subscription_may_cover_a_whole_workspace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
