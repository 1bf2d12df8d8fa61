/* What a folder means: one rule a test. */
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

static void a_small_service_is_read_as_a_whole(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "Orders", "/shop/orders/", SPEC_TWO, ", \"displayName\": \"O\", \"protocols\": [\"http\", \"https\"]");
    fixture_product(&f, "P", ", \"subscriptionRequired\": false", "[{\"name\": \"Orders\"}]");
    tree_write(&f.tree, "subscriptions/acme/subscriptionInformation.json",
               "{\"properties\": {\"scope\": \"/products/P\", \"state\": \"active\", \"ownerId\": \"/users/7\"}}");
    tree_write(&f.tree, "gateways/g/gatewayInformation.json", "{\"properties\": {\"locationData\": {\"name\": \"here\"}}}");
    tree_write(&f.tree, "gateways/g/apis/Orders/gatewayApiInformation.json", "{}");
    fixture_overrides(&f, "subscriptions:\n  - name: acme\n    properties: {primaryKey: ' k1 ', secondaryKey: 12345}\n");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *api = api_of(c, "apis/orders;rev=1");
    assert_int_equal(c->problem_count, 0);
    assert_string_equal(api->path, "shop/orders");
    assert_string_equal(api->resource, "apis/orders");
    assert_string_equal(api->id, "Orders");
    assert_string_equal(api->display_name, "O");
    assert_true(api->http && api->https && api->is_current && api->is_online && api->subscription_required);
    assert_string_equal(api->key_header, "Ocp-Apim-Subscription-Key");
    assert_string_equal(api->key_query, "subscription-key");
    assert_string_equal(api->backend, "apis/orders;rev=1/backend");
    assert_int_equal(api->operation_count, 2);
    assert_string_equal(api->operations[1].url_template, "/two/{id}");
    assert_string_equal(api->operations[1].method, "POST");
    assert_null(api->operations[0].closed);
    const struct catalog_backend *k = catalog_find_backend(c, api->backend);
    assert_string_equal(k->url, "https://b.example/base/");
    assert_string_equal(k->base_path, "/base/");
    assert_string_equal(k->authority, "b.example");
    assert_int_equal(k->port, 443);
    const struct catalog_product *p = catalog_find_product(c, "products/p");
    assert_false(p->subscription_required);
    assert_true(p->published && catalog_product_serves(c, p));
    assert_string_equal(api->products[0], "products/p");
    const struct catalog_subscription *s = catalog_find_subscription(c, "subscriptions/acme");
    assert_int_equal(s->state, CATALOG_SUBSCRIPTION_ACTIVE);
    assert_int_equal(s->scope, CATALOG_SCOPE_PRODUCT);
    assert_string_equal(s->scope_name, "products/p");
    assert_string_equal(s->owner, "7");
    assert_string_equal(s->primary_key, " k1 ");
    assert_string_equal(s->secondary_key, "12345");
    const struct catalog_gateway *g = catalog_find_gateway(c, "gateways/g");
    assert_string_equal(g->region, "here");
    assert_true(catalog_gateway_serves(g, api));
    struct catalog_counts n = catalog_count(c);
    assert_true(n.apis == 1 && n.operations == 2 && n.products == 1 && n.subscriptions == 1 && n.left_out == 0);
    fixture_fini(&f);
}

static void the_current_revision_is_the_one_that_says_so_else_the_plain_folder(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_ONE, ", \"apiRevision\": \"3\"");
    fixture_api(&f, "a;rev=2", "a", SPEC_ONE, ", \"apiRevision\": \"9\", \"isOnline\": false");
    fixture_api(&f, "b", "b", SPEC_ONE, ", \"isCurrent\": false");
    fixture_api(&f, "b;rev=2", "b", SPEC_ONE, ", \"isCurrent\": true");
    fixture_api(&f, "c;rev=4", "c", SPEC_ONE, "");
    fixture_api(&f, "d", "d", SPEC_ONE, ", \"apiRevision\": \"2\"");
    fixture_api(&f, "d;rev=2", "d", SPEC_ONE, "");
    const struct catalog *c = fixture_build(&f);
    assert_true(api_of(c, "apis/a;rev=3")->is_current);
    assert_false(api_of(c, "apis/a;rev=2")->is_current);
    assert_false(api_of(c, "apis/a;rev=2")->is_online);
    assert_true(api_of(c, "apis/b;rev=2")->is_current);
    assert_false(api_of(c, "apis/b;rev=1")->is_current);
    assert_false(api_of(c, "apis/c;rev=4")->is_current);
    assert_true(has_problem(c, CATALOG_WARNING, "apis/c;rev=4/apiInformation.json", 1, "apis/c", "no revision"));
    assert_true(has_problem(c, CATALOG_WARNING, "apis/d;rev=2/apiInformation.json", 1, "apis/d;rev=2", "that one counts"));
    assert_int_equal(c->apis.n, 6);
    assert_int_equal(catalog_count(c).left_out, 1);
    fixture_fini(&f);
}

static void a_version_needs_its_set(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    tree_write(&f.tree, "version sets/S/apiVersionSetInformation.json",
               "{\"properties\": {\"versioningScheme\": \"Header\", \"versionHeaderName\": \"X-V\"}}");
    fixture_api(&f, "v1", "v", SPEC_ONE, ", \"apiVersion\": \"v1\", \"apiVersionSetId\": "
                                         "\"/subscriptions/1/resourceGroups/apis/providers/M/service/s/apiVersionSets/s\"");
    fixture_api(&f, "v0", "v", SPEC_ONE, ", \"apiVersionSetId\": \"S\"");
    fixture_api(&f, "w", "w", SPEC_ONE, "");
    fixture_api(&f, "w2", "w", SPEC_ONE, ", \"apiVersion\": \"v2\", \"apiVersionSetId\": \"/apiVersionSets/none\"");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *v1 = api_of(c, "apis/v1;rev=1");
    assert_null(v1->o.closed);
    assert_int_equal(v1->version_scheme, CATALOG_VERSION_HEADER);
    assert_string_equal(v1->version_parameter, "X-V");
    assert_string_equal(v1->version, "v1");
    assert_string_equal(v1->version_set, "versionsets/s");
    assert_null(api_of(c, "apis/v0;rev=1")->o.closed);
    assert_non_null(strstr(api_of(c, "apis/w2;rev=1")->o.closed, "its version set none does not exist"));
    assert_non_null(strstr(api_of(c, "apis/w;rev=1")->o.closed, "it would answer for apis/w2;rev=1"));
    fixture_fini(&f);
}

static void two_apis_in_one_place_are_both_closed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "same/path", SPEC_ONE, "");
    fixture_api(&f, "a;rev=2", "same/path", SPEC_ONE, "");
    fixture_api(&f, "b", "Same/Path/", SPEC_ONE, "");
    fixture_api(&f, "c", "same", SPEC_ONE, "");
    const struct catalog *c = fixture_build(&f);
    assert_non_null(strstr(api_of(c, "apis/a;rev=1")->o.closed, "apis/b;rev=1 has the same path and version"));
    assert_non_null(strstr(api_of(c, "apis/b;rev=1")->o.closed, "has the same path and version"));
    assert_non_null(api_of(c, "apis/a;rev=2")->o.closed);
    assert_null(api_of(c, "apis/c;rev=1")->o.closed);
    fixture_fini(&f);
}

static void an_api_whose_path_is_lost_does_not_fall_to_its_neighbour(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "root", "", SPEC_ONE, "");
    fixture_api(&f, "known", "k", SPEC_ONE, "");
    tree_write(&f.tree, "apis/half/apiInformation.json", "{\"properties\": {\"path\": \"half/way\", \"x\": oops");
    const struct catalog *c = fixture_build(&f);
    assert_string_equal(api_of(c, "apis/half;rev=1")->path, "half/way"); /* closed in its own place */
    assert_non_null(api_of(c, "apis/half;rev=1")->o.closed);
    assert_null(api_of(c, "apis/root;rev=1")->o.closed);
    assert_true(has_problem(c, CATALOG_CLOSED, "apis/half/apiInformation.json", 1, "apis/half;rev=1", "expected a value"));
    tree_write(&f.tree, "apis/lost/apiInformation.json", "{");
    c = fixture_build(&f);
    assert_false(api_of(c, "apis/lost;rev=1")->path_known);
    assert_non_null(strstr(api_of(c, "apis/root;rev=1")->o.closed, "it would answer for apis/lost;rev=1"));
    assert_null(api_of(c, "apis/known;rev=1")->o.closed);
    fixture_api(&f, "lost;rev=2", "lost", SPEC_ONE, ""); /* a revision of it tells the path */
    c = fixture_build(&f);
    assert_string_equal(api_of(c, "apis/lost;rev=1")->path, "lost");
    assert_null(api_of(c, "apis/root;rev=1")->o.closed);
    fixture_fini(&f);
}

static void a_file_that_breaks_goes_on_in_its_last_good_form(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_TWO, "");
    fixture_api(&f, "b", "b", SPEC_ONE, "");
    fixture_build(&f);
    tree_write(&f.tree, "apis/a/specification.yaml", "openapi: 3.0.1\npaths: [");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *a = api_of(c, "apis/a;rev=1");
    assert_true(a->o.stale);
    assert_int_equal(a->open_operations, 2);
    assert_int_equal(c->problem_count, 1);
    assert_int_equal(c->problems[0].kind, CATALOG_STALE);
    assert_string_equal(c->problems[0].object, "apis/a;rev=1");
    tree_write(&f.tree, "apis/a/policy.xml", "<policies><inbound>"); /* a policy is never stale */
    c = fixture_build(&f);
    assert_int_equal(api_of(c, "apis/a;rev=1")->open_operations, 0);
    assert_int_equal(api_of(c, "apis/b;rev=1")->open_operations, 1);
    tree_remove(&f.tree, "apis/a");
    c = fixture_build(&f);
    assert_null(catalog_find_api(c, "apis/a;rev=1"));
    assert_int_equal(c->problem_count, 0);
    fixture_fini(&f);
}

static void an_operation_is_closed_only_in_the_contexts_that_reach_the_policy(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_TWO, "");
    fixture_product(&f, "limited", "", "[{\"name\": \"a\"}]");
    fixture_product(&f, "plain", "", "[{\"name\": \"a\"}]");
    tree_write(&f.tree, "products/limited/policy.xml", POLICY_RATE_LIMIT);
    tree_write(&f.tree, "apis/a/operations/two/policy.xml", "<policies><inbound/></policies>");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *a = api_of(c, "apis/a;rev=1");
    const struct catalog_operation *one = &a->operations[0], *two = &a->operations[1];
    assert_int_equal(a->open_operations, 2);
    assert_null(catalog_operation_closed(one, ""));
    assert_null(catalog_operation_closed(one, "products/plain"));
    assert_string_equal(catalog_operation_closed(one, "products/limited"),
                        "products/limited/policy.xml:3: policy <rate-limit-by-key>: calls are not counted by key yet");
    assert_null(catalog_operation_closed(two, "products/limited"));
    assert_string_equal(two->program, "apis/a;rev=1/operations/two/policy");
    assert_true(has_problem(c, CATALOG_CLOSED, "products/limited/policy.xml", 3, "apis/a;rev=1/operations/one",
                            "(for subscribers of products/limited)"));
    assert_non_null(catalog_find_product(c, "products/limited")->program_closed);
    tree_write(&f.tree, "policy.xml", POLICY_RATE_LIMIT);
    c = fixture_build(&f);
    a = api_of(c, "apis/a;rev=1");
    assert_non_null(a->operations[0].closed);
    assert_null(a->operations[1].closed);
    fixture_fini(&f);
}

static void a_backend_is_the_policys_the_apis_or_none(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_TWO, "");
    tree_write(&f.tree, "apis/n/apiInformation.json", "{\"properties\": {\"path\": \"n\"}}");
    tree_write(&f.tree, "apis/n/specification.yaml", SPEC_TWO "servers:\n  - url: https://never.example\n");
    tree_write(&f.tree, "backends/My_B/backendInformation.json", "{\"properties\": {\"url\": \"http://H:8080/x/\"}}");
    tree_write(&f.tree, "apis/a/operations/two/policy.xml",
               "<policies><inbound><base/><set-backend-service backend-id='my_b'/></inbound></policies>");
    tree_write(&f.tree, "apis/n/operations/two/policy.xml",
               "<policies><inbound><base/><set-backend-service base-url='https://[::1]:444/'/></inbound></policies>");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *a = api_of(c, "apis/a;rev=1"), *n = api_of(c, "apis/n;rev=1");
    assert_string_equal(a->operations[0].contexts[0].backend, "apis/a;rev=1/backend");
    assert_string_equal(a->operations[1].contexts[0].backend, "backends/my_b");
    assert_string_equal(catalog_find_backend(c, "backends/my_b")->authority, "h:8080");
    assert_non_null(strstr(n->operations[0].closed, "no serviceUrl and no policy sets a backend"));
    const struct catalog_backend *url = catalog_find_backend(c, n->operations[1].contexts[0].backend);
    assert_string_equal(url->host, "::1");
    assert_string_equal(url->authority, "[::1]:444");
    const struct catalog_program *p = catalog_find_program(c, n->operations[1].program);
    assert_string_equal(catalog_program_backend(p, &p->policy->sections[POLICY_INBOUND].items[1]), url->o.name);
    tree_write(&f.tree, "apis/a/operations/two/policy.xml",
               "<policies><inbound>\n<set-backend-service backend-id='gone'/></inbound></policies>");
    c = fixture_build(&f);
    assert_string_equal(api_of(c, "apis/a;rev=1")->operations[1].closed,
                        "apis/a/operations/two/policy.xml:2: there is no backend gone");
    fixture_fini(&f);
}

static void without_forward_request_a_policy_answers_and_with_two_it_is_closed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_TWO, "");
    tree_write(&f.tree, "apis/a/operations/one/policy.xml", "<policies><backend/></policies>");
    tree_write(&f.tree, "apis/a/operations/two/policy.xml", "<policies><backend><base/><forward-request/></backend></policies>");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *a = api_of(c, "apis/a;rev=1");
    assert_null(a->operations[0].closed);
    assert_string_equal(a->operations[0].contexts[0].backend, "");
    assert_non_null(strstr(a->operations[1].closed, "reached a second time"));
    fixture_fini(&f);
}

static void credentials_are_references_to_secrets(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    tree_write(&f.tree, "named values/1/namedValueInformation.json",
               "{\"properties\": {\"displayName\": \"Func-Key\", \"secret\": true}}");
    tree_write(&f.tree, "named values/2/namedValueInformation.json",
               "{\"properties\": {\"displayName\": \"host\", \"value\": \"h.example\"}}");
    tree_write(&f.tree, "backends/b/backendInformation.json",
               "{\"properties\": {\"url\": \"https://{{host}}/x\", \"tls\": {\"validateCertificateName\": false},\n"
               "\"credentials\": {\"header\": {\"x-functions-key\": [\"{{Func-Key}}\"], \"x-lit\": [\"abc\", \"p{{host}}\"]},\n"
               "\"query\": {\"code\": [\"a{{func-key}}b\"]}, \"authorization\": {\"scheme\": \"Basic\", \"parameter\": \"QQ==\"}}}}");
    fixture_overrides(&f, "namedValues:\n  - name: '1'\n    properties: {value: s3cr3t}\n");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_backend *k = catalog_find_backend(c, "backends/b");
    assert_null(k->o.closed);
    assert_string_equal(k->url, "https://h.example/x");
    assert_true(k->validate_chain);
    assert_false(k->validate_name);
    assert_int_equal(k->header_count, 4);
    assert_string_equal(k->headers[0].name, "x-functions-key");
    assert_string_equal(k->headers[0].parts[0].secret, "namedvalues/func-key");
    assert_string_equal(catalog_find_named_value(c, "namedvalues/func-key")->value, "s3cr3t");
    assert_string_equal(k->headers[1].parts[0].secret, "backends/b/header/x-lit");
    assert_string_equal(catalog_find_named_value(c, "backends/b/header/x-lit")->value, "abc");
    assert_string_equal(catalog_find_named_value(c, "backends/b/header/x-lit/2")->value, "ph.example");
    assert_string_equal(k->headers[3].name, "Authorization");
    assert_string_equal(catalog_find_named_value(c, k->headers[3].parts[0].secret)->value, "Basic QQ==");
    assert_int_equal(k->query[0].part_count, 3);
    assert_string_equal(k->query[0].parts[0].literal, "a");
    assert_string_equal(k->query[0].parts[1].secret, "namedvalues/func-key");
    struct strbuf all;
    strbuf_init(&all);
    dump(c, &all);
    assert_null(strstr(strbuf_cstr(&all), "s3cr3t"));
    strbuf_fini(&all);
    fixture_fini(&f);
}

struct backend_row {
    const char *properties, *reason;
};

static const struct backend_row BACKENDS[] = {
    {"\"url\": \"ftp://x\"", "does not begin with http://"},
    {"\"url\": \"[your function url goes here]\"", "does not begin with http://"},
    {"\"description\": null", "does not begin with http://"},
    {"\"url\": \"https://\"", "host or port"},
    {"\"url\": \"https://u:p@h\"", "host or port"},
    {"\"url\": \"https://h:0\"", "host or port"},
    {"\"url\": \"https://h:65536\"", "host or port"},
    {"\"url\": \"https://[::1\"", "host or port"},
    {"\"url\": \"https://h/a?b=c\"", "holds a query"},
    {"\"url\": \"https://h/a b\"", "holds a query"},
    {"\"url\": \"https://{{gone}}/\"", "named value {{gone}}: there is none"},
    {"\"url\": \"https://{{vault}}/\"", "named value {{vault}}: its value stands in a key vault"},
    {"\"url\": \"https://{{secret}}/\"", "the URL holds a secret named value"},
    {"\"url\": \"https://h\", \"pool\": {\"services\": [{\"id\": \"/backends/x\"}]}", "pools are not supported"},
    {"\"url\": \"https://h\", \"type\": \"Pool\"", "pools are not supported"},
    {"\"url\": \"https://h\", \"circuitBreaker\": {\"rules\": [{\"name\": \"r\"}]}", "circuit breakers"},
    {"\"url\": \"https://h\", \"proxy\": {\"url\": \"http://p\"}", "a proxy in front"},
    {"\"url\": \"https://h\", \"protocol\": \"fabric\"", "protocol http"},
    {"\"url\": \"https://h\", \"credentials\": {\"certificate\": [\"AA\"]}", "client certificates"},
    {"\"url\": \"https://h\", \"credentials\": {\"header\": {\"bad name\": [\"v\"]}}", "name cannot be used"},
    {"\"url\": \"https://h\", \"credentials\": {\"header\": {\"a\": [\"v\\r\\nb: c\"]}}", "control characters"},
    {"\"url\": \"https://h\", \"credentials\": {\"query\": {\"a\": [\"@(context.X)\"]}}", "expressions are not supported"},
};

static void a_backend_that_cannot_be_had_is_closed_with_a_reason(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    tree_write(&f.tree, "named values/v/namedValueInformation.json",
               "{\"properties\": {\"displayName\": \"vault\", \"keyVault\": {\"secretIdentifier\": \"https://kv\"}}}");
    tree_write(&f.tree, "named values/s/namedValueInformation.json",
               "{\"properties\": {\"displayName\": \"secret\", \"secret\": true, \"value\": \"x\"}}");
    for (size_t i = 0; i < ARRAY_LEN(BACKENDS); i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"properties\": {%s}}", BACKENDS[i].properties);
        tree_write(&f.tree, "backends/b/backendInformation.json", text);
        const struct catalog *c = fixture_build(&f);
        const struct catalog_backend *k = catalog_find_backend(c, "backends/b");
        if (k->o.closed == NULL || strstr(k->o.closed, BACKENDS[i].reason) == NULL) {
            fail_msg("row %zu: %s", i, text_or(k->o.closed));
        }
        assert_true(has_problem(c, CATALOG_CLOSED, "backends/b/backendInformation.json", 1, "backends/b", BACKENDS[i].reason));
    }
    fixture_fini(&f);
}

struct scope_row {
    const char *scope;
    int kind; /* -1: closed */
    const char *name;
};

static const struct scope_row SCOPES[] = {
    {"/apis", CATALOG_SCOPE_ALL_APIS, ""},
    {"/", CATALOG_SCOPE_ALL_APIS, ""},
    {"/apis/A;rev=2", CATALOG_SCOPE_API, "apis/a"},
    {"apis/a", CATALOG_SCOPE_API, "apis/a"},
    {"/products/P", CATALOG_SCOPE_PRODUCT, "products/p"},
    {"/subscriptions/0/resourceGroups/products/providers/Microsoft.ApiManagement/service/s/products/p", CATALOG_SCOPE_PRODUCT, "products/p"},
    {"/subscriptions/0/resourceGroups/r/providers/Microsoft.ApiManagement/service/s/apis/", CATALOG_SCOPE_ALL_APIS, ""},
    {"/subscriptions/0/resourceGroups/r/providers/Microsoft.ApiManagement/service/s", CATALOG_SCOPE_ALL_APIS, ""},
    {"https://management.azure.com/subscriptions/0/resourceGroups/r/providers/M/service/s/", CATALOG_SCOPE_ALL_APIS, ""},
    {"/apis/gone", -1, ""},
    {"/products/gone", -1, ""},
    {"/groups/x", -1, ""},
    {"/workspaces/w", -1, ""},
};

static void the_end_of_a_scope_says_what_it_covers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_ONE, "");
    fixture_product(&f, "p", "", "[]");
    for (size_t i = 0; i < ARRAY_LEN(SCOPES); i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"properties\": {\"state\": \"active\", \"scope\": \"%s\"}}", SCOPES[i].scope);
        tree_write(&f.tree, "subscriptions/s/subscriptionInformation.json", text);
        const struct catalog_subscription *s = catalog_find_subscription(fixture_build(&f), "subscriptions/s");
        assert_int_equal(s->o.closed != NULL, SCOPES[i].kind < 0);
        if (SCOPES[i].kind >= 0) {
            assert_int_equal((int)s->scope, SCOPES[i].kind);
            assert_string_equal(s->scope_name, SCOPES[i].name);
        }
    }
    fixture_fini(&f);
}

static void two_subscriptions_with_one_key_are_both_refused_and_named(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_overrides(&f, "subscriptions:\n"
                          "  - name: a\n    properties: {scope: /apis, state: active, primaryKey: k1, secondaryKey: k1}\n"
                          "  - name: b\n    properties: {scope: /apis, state: active, primaryKey: k2, secondaryKey: k3}\n"
                          "  - name: c\n    properties: {scope: /apis, state: active, primaryKey: k4, secondaryKey: k2}\n"
                          "  - name: d\n    properties: {scope: /apis, primaryKey: '{#key#}'}\n"
                          "  - name: e\n    properties: {scope: /apis, state: active}\n"
                          "  - name: f\n    properties: {scope: /apis, state: odd, primaryKey: k5}\n"
                          "  - name: g\n    properties: {state: active, primaryKey: k6}\n"
                          "  - name: h\n    properties: {scope: /apis, primaryKey: k7}\n");
    const struct catalog *c = fixture_build(&f);
    assert_null(catalog_find_subscription(c, "subscriptions/a")->o.closed);
    assert_non_null(strstr(catalog_find_subscription(c, "subscriptions/b")->o.closed, ":5: subscriptions/c has the same key"));
    assert_non_null(strstr(catalog_find_subscription(c, "subscriptions/c")->o.closed, ":7: subscriptions/b has the same key"));
    assert_non_null(strstr(catalog_find_subscription(c, "subscriptions/d")->o.closed, "token"));
    assert_null(catalog_find_subscription(c, "subscriptions/e")->o.closed);
    assert_non_null(strstr(catalog_find_subscription(c, "subscriptions/f")->o.closed, "state"));
    assert_non_null(strstr(catalog_find_subscription(c, "subscriptions/g")->o.closed, "no scope"));
    assert_int_equal(catalog_find_subscription(c, "subscriptions/h")->state, CATALOG_SUBSCRIPTION_SUBMITTED);
    for (size_t i = 0; i < c->problem_count; i++) {
        assert_null(strstr(c->problems[i].reason, "k2")); /* keys are never said */
    }
    fixture_fini(&f);
}

static void overrides_change_what_they_name_and_say_what_they_miss(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_TWO, ", \"protocols\": [\"http\", \"https\"]");
    tree_write(&f.tree, "policy.xml", POLICY_ALL_BASE);
    fixture_overrides(&f, "apis:\n"
                          "  - name: A\n"
                          "    properties:\n"
                          "      serviceUrl: https://prod.example\n"
                          "      protocols: [https]\n"
                          "      apiRevision: '7'\n"
                          "      subscriptionKeyParameterNames: {header: X-Key}\n"
                          "    policies:\n"
                          "      - name: policy\n"
                          "        properties: {value: <policies/>}\n"
                          "  - name: gone\n"
                          "    properties: {path: x}\n"
                          "policies:\n"
                          "  - name: policy\n"
                          "    properties:\n"
                          "      value: |\n"
                          "        <policies>\n"
                          "          <inbound>\n"
                          "            <quota-by-key/>\n"
                          "          </inbound>\n"
                          "        </policies>\n");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *a = api_of(c, "apis/a;rev=1");
    assert_string_equal(catalog_find_backend(c, a->backend)->host, "prod.example");
    assert_true(a->https && !a->http);
    assert_string_equal(a->key_header, "X-Key");
    assert_string_equal(a->key_query, "subscription-key");
    assert_string_equal(a->program, "");
    char expected[256];
    snprintf(expected, sizeof expected, "%s:19: policy <quota-by-key>: quotas are not counted yet", f.overrides);
    assert_string_equal(a->operations[0].closed, expected);
    assert_true(has_problem(c, CATALOG_WARNING, f.overrides, 11, "apis/gone", "overrides nothing"));
    assert_true(has_problem(c, CATALOG_WARNING, f.overrides, 9, "apis/a/policies/policy", "overrides nothing"));
    fixture_fini(&f);
}

static void unreadable_overrides_without_a_last_good_form_close_everything(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_ONE, "");
    fixture_overrides(&f, "apis: [\n");
    const struct catalog *c = fixture_build(&f);
    assert_non_null(c->closed);
    assert_int_equal(catalog_count(c).apis, 0);
    fixture_overrides(&f, "apis: []\n");
    assert_null(fixture_build(&f)->closed);
    fixture_overrides(&f, "apis: [\n");
    c = fixture_build(&f);
    assert_null(c->closed);
    assert_int_equal(c->problem_count, 1);
    assert_int_equal(c->problems[0].kind, CATALOG_STALE);
    fixture_fini(&f);
}

static void an_api_that_cannot_be_served_is_closed_in_its_place(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "none", "none", NULL, "");
    fixture_api(&f, "graph", "graph", SPEC_ONE, ", \"type\": \"graphql\"");
    fixture_api(&f, "odd", "odd", SPEC_ONE, ", \"type\": \"odata\"");
    fixture_api(&f, "wadl", "wadl", NULL, "");
    tree_write(&f.tree, "apis/wadl/specification.wadl",
               "<application><resources><resource path='s'><method name='GET' id='m'/></resource></resources></application>");
    fixture_api(&f, "wsdl", "wsdl", NULL, "");
    tree_write(&f.tree, "apis/wsdl/specification.wsdl", "<definitions/>");
    fixture_api(&f, "bad", "bad", "paths: [", "");
    fixture_api(&f, "empty", "empty", "openapi: 3.0.1\npaths: {}\n", "");
    fixture_product(&f, "o1", ", \"subscriptionRequired\": false", "[{\"name\": \"open\"}]");
    fixture_product(&f, "o2", ", \"subscriptionRequired\": false", "[{\"name\": \"open\"}, {\"name\": \"gone\"}]");
    fixture_api(&f, "open", "open", SPEC_ONE, "");
    const struct catalog *c = fixture_build(&f);
    assert_non_null(strstr(api_of(c, "apis/none;rev=1")->o.closed, "no specification"));
    const struct catalog_api *graph = api_of(c, "apis/graph;rev=1"); /* passed through, whatever its specification */
    assert_null(graph->o.closed);
    assert_int_equal(graph->open_operations, 2);
    assert_string_equal(graph->operations[0].method, "POST");
    assert_string_equal(graph->operations[1].method, "GET");
    assert_string_equal(graph->operations[1].url_template, "/");
    assert_string_equal(api_of(c, "apis/odd;rev=1")->o.closed,
                        "apis/odd/apiInformation.json:1: APIs of type odata are not supported yet");
    assert_string_equal(api_of(c, "apis/odd;rev=1")->path, "odd");
    assert_int_equal(api_of(c, "apis/wadl;rev=1")->open_operations, 1);
    assert_string_equal(api_of(c, "apis/wadl;rev=1")->operations[0].url_template, "/s");
    assert_non_null(strstr(api_of(c, "apis/wsdl;rev=1")->o.closed, "only those in OpenAPI and WADL"));
    assert_non_null(api_of(c, "apis/bad;rev=1")->o.closed);
    assert_null(api_of(c, "apis/empty;rev=1")->o.closed);
    assert_true(has_problem(c, CATALOG_WARNING, "apis/empty/specification.yaml", 1, "apis/empty;rev=1", "no operations"));
    assert_non_null(strstr(api_of(c, "apis/open;rev=1")->o.closed, "two open products, products/o1 and products/o2"));
    assert_true(has_problem(c, CATALOG_WARNING, "products/o2/apis.json", 1, "apis/gone", "does not exist"));
    assert_int_equal(catalog_count(c).left_out, 6);
    fixture_fini(&f);
}

static void a_policy_without_its_operation_closes_those_it_may_belong_to(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    fixture_api(&f, "a", "a", SPEC_ONE "    post: {}\n", "");
    tree_write(&f.tree, "apis/a/operations/ONE/policy.xml", POLICY_ALL_BASE); /* case does not matter */
    const struct catalog *c = fixture_build(&f);
    assert_int_equal(api_of(c, "apis/a;rev=1")->open_operations, 2);
    assert_string_equal(api_of(c, "apis/a;rev=1")->operations[0].program, "apis/a;rev=1/operations/one/policy");
    assert_true(has_problem(c, CATALOG_WARNING, "apis/a/specification.yaml", 5, "apis/a;rev=1", "taken as post-one"));
    tree_write(&f.tree, "apis/a/operations/64-hex/policy.xml", POLICY_ALL_BASE);
    c = fixture_build(&f);
    assert_int_equal(api_of(c, "apis/a;rev=1")->open_operations, 1);
    assert_non_null(strstr(api_of(c, "apis/a;rev=1")->operations[1].closed, "it may be its"));
    assert_true(has_problem(c, CATALOG_WARNING, "apis/a/operations/64-hex/policy.xml", 1,
                            "apis/a;rev=1/operations/64-hex/policy", "no operation 64-hex"));
    fixture_fini(&f);
}

static void a_workspace_is_a_service_inside_the_service(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    tree_write(&f.tree, "workspaces/W/apis/x/apiInformation.json",
               "{\"properties\": {\"path\": \"w/x\", \"serviceUrl\": \"https://{{h}}\"}}");
    tree_write(&f.tree, "workspaces/W/apis/x/specification.yaml", SPEC_ONE);
    tree_write(&f.tree, "workspaces/W/named values/h/namedValueInformation.json", "{\"properties\": {\"value\": \"dev\"}}");
    tree_write(&f.tree, "workspaces/W/products/p/productInformation.json", "{\"properties\": {}}");
    tree_write(&f.tree, "workspaces/W/products/p/apis/x/productApiInformation.json", "{}");
    fixture_overrides(&f, "workspaces:\n  - name: W\n    namedValues:\n      - {name: h, properties: {value: prod}}\n"
                          "    subscriptions:\n      - {name: s, properties: {scope: /products/p, state: active, primaryKey: k}}\n");
    const struct catalog *c = fixture_build(&f);
    const struct catalog_api *x = api_of(c, "workspaces/w/apis/x;rev=1");
    assert_int_equal(c->problem_count, 0);
    assert_string_equal(x->products[0], "workspaces/w/products/p");
    assert_string_equal(catalog_find_backend(c, x->backend)->host, "prod");
    assert_string_equal(catalog_find_subscription(c, "workspaces/w/subscriptions/s")->scope_name, "workspaces/w/products/p");
    tree_write(&f.tree, "workspaces/W/policy.xml", POLICY_RATE_LIMIT);
    c = fixture_build(&f);
    assert_int_equal(api_of(c, "workspaces/w/apis/x;rev=1")->open_operations, 0);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_service_is_read_as_a_whole),
        cmocka_unit_test(the_current_revision_is_the_one_that_says_so_else_the_plain_folder),
        cmocka_unit_test(a_version_needs_its_set),
        cmocka_unit_test(two_apis_in_one_place_are_both_closed),
        cmocka_unit_test(an_api_whose_path_is_lost_does_not_fall_to_its_neighbour),
        cmocka_unit_test(a_file_that_breaks_goes_on_in_its_last_good_form),
        cmocka_unit_test(an_operation_is_closed_only_in_the_contexts_that_reach_the_policy),
        cmocka_unit_test(a_backend_is_the_policys_the_apis_or_none),
        cmocka_unit_test(without_forward_request_a_policy_answers_and_with_two_it_is_closed),
        cmocka_unit_test(credentials_are_references_to_secrets),
        cmocka_unit_test(a_backend_that_cannot_be_had_is_closed_with_a_reason),
        cmocka_unit_test(the_end_of_a_scope_says_what_it_covers),
        cmocka_unit_test(two_subscriptions_with_one_key_are_both_refused_and_named),
        cmocka_unit_test(overrides_change_what_they_name_and_say_what_they_miss),
        cmocka_unit_test(unreadable_overrides_without_a_last_good_form_close_everything),
        cmocka_unit_test(an_api_that_cannot_be_served_is_closed_in_its_place),
        cmocka_unit_test(a_policy_without_its_operation_closes_those_it_may_belong_to),
        cmocka_unit_test(a_workspace_is_a_service_inside_the_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
