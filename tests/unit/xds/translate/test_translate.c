/*
 * A folder in a temporary place → catalog → resources, looked at as JSON. What a resource must hold is told by pieces
 * of its dump.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/doc/doc.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "proto/dump.h"
#include "proto/guard.h"
#include "proto/walk.h"
#include "xds/catalog/catalog_build.h"
#include "xds/translate/fill.h"
#include "xds/translate/translate.h"

struct world {
    char folder[64];
    struct arena *arena;
    struct catalog *catalog;
    struct hmac *mac;
    struct map *resources; /* "<short type> <name>" → JSON text */
    struct map *bytes;     /* the same → packed bytes in hex, for comparing runs */
};

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    strcpy(w->folder, "/tmp/egret-translate-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    w->arena = arena_create(0);
    w->mac = hmac_create(SLICE("0123456789abcdef0123456789abcdef"));
    w->resources = map_create(mem_free);
    w->bytes = map_create(mem_free);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", w->folder);
    if (w->catalog != NULL) {
        catalog_unref(&w->catalog);
    }
    hmac_destroy(&w->mac);
    map_destroy(&w->resources);
    map_destroy(&w->bytes);
    arena_destroy(&w->arena);
    mem_free(w);
    return system(command);
}

static void put(struct world *w, const char *path, const char *content)
{
    char *full = mem_printf("%s/%s", w->folder, path);
    for (char *p = full + strlen(w->folder) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        assert_true(file_make_dir(full, 0755, NULL));
        *p = '/';
    }
    assert_true(file_write(full, slice_of(content), 0600, NULL));
    mem_free(full);
}

static void api(struct world *w, const char *name, const char *url)
{
    char *path = mem_printf("apis/%s/apiInformation.json", name);
    char *text = mem_printf("{\"properties\":{\"path\":\"%s\",\"displayName\":\"%s\",\"protocols\":[\"https\"],"
                            "\"serviceUrl\":\"%s\",\"isCurrent\":true,\"apiRevision\":\"1\"}}",
                            name, name, url);
    put(w, path, text);
    mem_free(path);
    mem_free(text);
    path = mem_printf("apis/%s/specification.yaml", name);
    put(w, path,
        "openapi: 3.0.1\ninfo: {title: t, version: '1'}\npaths:\n  /a: {get: {operationId: get-a, responses: "
        "{'200': {description: ok}}}}\n");
    mem_free(path);
}

static void build(struct world *w, const char *overrides)
{
    char *file = NULL;
    if (overrides != NULL) {
        file = mem_printf("%s/overrides.yaml", w->folder);
        assert_true(file_write(file, slice_of(overrides), 0600, NULL));
    }
    struct folder *f = folder_create(w->folder, file);
    bool changed;
    assert_true(folder_rescan(f, &changed, NULL));
    struct folder_snapshot *s = folder_snapshot(f);
    if (w->catalog != NULL) {
        catalog_unref(&w->catalog);
    }
    w->catalog = catalog_build(NULL, s);
    folder_snapshot_unref(&s);
    folder_destroy(&f);
    mem_free(file);
}

static bool take(void *ctx, struct slice type_url, struct slice name, struct slice bytes, struct err *err)
{
    struct world *w = ctx;
    const ProtobufCMessage *m = guard_unpack_any(NULL, type_url, bytes, w->arena, err);
    assert_non_null(m);
    struct slice type = type_url;
    for (size_t dot; (dot = slice_find(type, '.')) < type.n;) {
        type = slice_from(type, dot + 1);
    }
    char *key = mem_printf("%.*s %.*s", SLICE_ARG(type), SLICE_ARG(name));
    assert_false(map_has(w->resources, slice_of(key)));
    struct strbuf json, hex;
    strbuf_init(&json);
    strbuf_init(&hex);
    dump_json(m, 0, &json);
    hex_encode(bytes, &hex);
    map_put(w->resources, slice_of(key), strbuf_take(&json));
    map_put(w->bytes, slice_of(key), strbuf_take(&hex));
    mem_free(key);
    return true;
}

static bool translate(struct world *w, const char *settings, const char *cluster, struct err *err)
{
    struct doc_source source = {.name = "settings", .bytes = slice_of(settings), .format = DOC_YAML};
    const struct doc *doc = doc_parse(w->arena, source, NULL, err);
    struct walk walk = {.arena = w->arena};
    const Egret__Control__V1__Config *config = walk_message(&walk, doc, &egret__control__v1__config__descriptor, err);
    assert_non_null(config);
    struct translate_input in = {.catalog = w->catalog, .config = config, .macs = &w->mac};
    map_destroy(&w->resources);
    map_destroy(&w->bytes);
    w->resources = map_create(mem_free);
    w->bytes = map_create(mem_free);
    const struct translate_sink sink = {.add = take, .ctx = w};
    return translate_knows(&in, slice_of(cluster), err) && translate_group(&in, cluster, &sink, err);
}

static const char *resource(struct world *w, const char *key)
{
    const char *json = map_get(w->resources, slice_of(key));
    if (json == NULL) {
        for (struct map_item *i = map_first(w->resources); i != NULL; i = map_next(i)) {
            print_message("there is: %.*s\n", SLICE_ARG(map_key(i)));
        }
        fail_msg("no resource %s", key);
    }
    return json;
}

static void holds(struct world *w, const char *key, const char *piece)
{
    const char *json = resource(w, key);
    if (strstr(json, piece) == NULL) {
        fail_msg("%s does not hold %s: %s", key, piece, json);
    }
}

static const char SETTINGS[] =
    "mac_keys: [ { id: k1, file: /unused } ]\n"
    "gateways: [ { name: eu, address: 10.0.0.5, port: 15008, certificate: /gw.pem, private_key: /gw.key, client_ca: "
    "/ca.pem, sidecar_certificate: /sc.pem, sidecar_private_key: /sc.key, sidecar_ca: /ca.pem } ]\n"
    "pools: [ { name: six, addresses: [ '2001:db8::7' ] } ]\n"
    "egress: [ { hosts: [ '*.out.test' ], gateway: eu, pool: six } ]\n";

static void each_backend_has_the_cluster_its_url_and_way_ask_for(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    api(w, "direct", "https://in.test:8443/base/");
    api(w, "plain", "http://[2001:db8::1]:81");
    api(w, "literal", "https://10.1.1.1");
    api(w, "tunnelled", "https://a.out.test");
    api(w, "open-port", "https://a.out.test:9999");
    build(w, NULL);
    assert_true(translate(w, SETTINGS, "any", &err));
    holds(w, "Cluster https/in.test:8443", "\"sni\":\"in.test\"");
    holds(w, "Cluster https/in.test:8443", "/etc/ssl/certs/ca-certificates.crt");
    holds(w, "Cluster https/in.test:8443", "STRICT_DNS");
    holds(w, "Cluster http/[2001:db8::1]:81", "\"address\":\"2001:db8::1\"");
    holds(w, "Cluster https/10.1.1.1:443", "IP_ADDRESS");
    assert_null(strstr(resource(w, "Cluster https/10.1.1.1:443"), "\"sni\""));
    holds(w, "Cluster https/a.out.test:443@eu", "\"server_listener_name\":\"tunnel/eu/a.out.test:443\"");
    holds(w, "Listener tunnel/eu/a.out.test:443", "\"hostname\":\"a.out.test:443\"");
    holds(w, "Listener tunnel/eu/a.out.test:443", "\"cluster\":\"gateway/eu\"");
    holds(w, "Cluster gateway/eu", "\"connection_keepalive\"");
    holds(w, "Cluster https/a.out.test:9999", "STRICT_DNS");
    holds(w, "Backend apis/direct;rev=1/backend", "\"cluster\":\"https/in.test:8443\"");
    holds(w, "Backend apis/direct;rev=1/backend", "\"authority\":\"in.test:8443\"");
    holds(w, "RouteConfiguration apim", "\"domains\":[\"*\"]");
    assert_true(translate(w, SETTINGS, "egress/eu", &err));
    holds(w, "Cluster a.out.test:443@six", "\"address\":\"2001:db8::7\"");
    holds(w, "Cluster a.out.test:443@six", "V6_ONLY");
    holds(w, "RouteConfiguration egress", "\"domains\":[\"a.out.test:443\"]");
    assert_false(map_has(w->resources, SLICE("Cluster a.out.test:9999@six")));
    assert_int_equal(map_count(w->resources), 3);
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    api(w, "one", "https://a.out.test");
    api(w, "two", "http://b.test");
    build(w, NULL);
    assert_true(translate(w, SETTINGS, "any", &err));
    struct map *before = w->bytes;
    w->bytes = map_create(mem_free);
    build(w, NULL);
    assert_true(translate(w, SETTINGS, "any", &err));
    assert_int_equal(map_count(before), map_count(w->bytes));
    for (struct map_item *i = map_first(before); i != NULL; i = map_next(i)) {
        assert_string_equal(map_value(i), map_get(w->bytes, map_key(i)));
    }
    map_destroy(&before);
}

static void keys_leave_as_macs_and_secrets_as_references(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    api(w, "one", "http://a.test");
    put(w, "apis/one/policy.xml",
        "<policies><inbound><base/><set-backend-service backend-id=\"fn\"/></inbound><backend>"
        "<base/></backend><outbound><base/></outbound><on-error><base/></on-error></policies>");
    put(w, "backends/fn/backendInformation.json",
        "{\"properties\":{\"url\":\"https://fn.test/api\",\"protocol\":\"http\",\"credentials\":{\"header\":"
        "{\"x-functions-key\":[\"{{fn-key}}\"]}}}}");
    put(w, "named values/fn-key/namedValueInformation.json",
        "{\"properties\":{\"displayName\":\"fn-key\",\"secret\":true}}");
    put(w, "subscriptions/acme/subscriptionInformation.json",
        "{\"properties\":{\"displayName\":\"acme\",\"scope\":\"/apis/one\",\"state\":\"active\"}}");
    put(w, "subscriptions/keyless/subscriptionInformation.json",
        "{\"properties\":{\"displayName\":\"keyless\",\"scope\":\"/apis/one\",\"state\":\"active\"}}");
    build(w, "subscriptions:\n- name: acme\n  properties: {primaryKey: the-plain-key}\n"
             "namedValues:\n- name: fn-key\n  properties: {value: the-secret-value}\n");
    assert_true(translate(w, SETTINGS, "any", &err));
    holds(w, "Backend backends/fn", "\"x-functions-key\"");
    holds(w, "PolicyProgram apis/one;rev=1/policy", "\"backend\":\"backends/fn\"");
    resource(w, "Secret namedvalues/fn-key");
    holds(w, "Subscription subscriptions/acme", "\"mac_key_id\":\"k1\"");
    assert_false(map_has(w->resources, SLICE("Subscription subscriptions/keyless")));
    struct strbuf key, secret;
    strbuf_init(&key);
    strbuf_init(&secret);
    hex_encode(SLICE("the-plain-key"), &key);
    hex_encode(SLICE("the-secret-value"), &secret);
    for (struct map_item *i = map_first(w->bytes); i != NULL; i = map_next(i)) {
        assert_null(strstr(map_value(i), strbuf_cstr(&key)));
        bool is_secret = slice_starts_with(map_key(i), SLICE("Secret "));
        assert_int_equal(strstr(map_value(i), strbuf_cstr(&secret)) != NULL, is_secret);
    }
    strbuf_fini(&key);
    strbuf_fini(&secret);
}

static void what_the_folder_closes_is_closed_for_the_sidecar(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    api(w, "one", "http://a.test");
    api(w, "two", "http://b.test");
    put(w, "apis/one/policy.xml",
        "<policies><inbound><base/><quota-by-key calls=\"1\" renewal-period=\"60\"/></inbound>"
        "<backend><base/></backend><outbound><base/></outbound></policies>");
    put(w, "products/p/productInformation.json",
        "{\"properties\":{\"displayName\":\"p\",\"state\":\"published\",\"subscriptionRequired\":true}}");
    put(w, "products/p/policy.xml",
        "<policies><inbound><base/><rate-limit-by-key calls=\"1\" renewal-period=\"60\"/></inbound>"
        "<backend><base/></backend><outbound><base/></outbound></policies>");
    put(w, "products/p/apis/two/productApiInformation.json", "{}");
    build(w, NULL);
    assert_true(translate(w, SETTINGS, "any", &err));
    holds(w, "Api apis/one;rev=1", "<quota-by-key>");
    holds(w, "PolicyProgram products/p/policy", "products/p/policy.xml:1: policy <rate-limit-by-key>");
    assert_null(strstr(resource(w, "Product products/p"), "closed")); /* who comes with another key is served */
    assert_null(strstr(resource(w, "Api apis/two;rev=1"), "closed"));
}

static void only_gateways_that_exist_are_known(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    api(w, "one", "http://a.test");
    api(w, "two", "http://b.test");
    build(w, NULL);
    assert_true(translate(w, SETTINGS, "anything", &err));
    assert_false(translate(w, SETTINGS, "egress/us", &err));
    assert_int_equal(err.kind, ERR_DENIED);
    put(w, "gateways/Shop/gatewayInformation.json", "{\"properties\":{\"locationData\":{\"name\":\"Here\"}}}");
    put(w, "gateways/Shop/apis/one/gatewayApiInformation.json", "{}");
    build(w, NULL);
    assert_false(translate(w, SETTINGS, "anything", &err));
    assert_int_equal(err.kind, ERR_DENIED);
    assert_true(translate(w, SETTINGS, "Shop", &err));
    resource(w, "Api apis/one;rev=1");
    assert_false(map_has(w->resources, SLICE("Api apis/two;rev=1")));
    assert_false(map_has(w->resources, SLICE("Cluster http/b.test:80")));
    holds(w, "Listener http", "\"region\":\"Here\"");
}

static void a_template_is_filled_with_quotes_where_they_belong(void **state)
{
    struct world *w = *state;
    assert_string_equal(fill(w->arena, "{'a': $s, 'b': $r, 'c': $u}", "it's \"x\"\n", "[1]", 7u),
                        "{\"a\": \"it's \\\"x\\\"\\n\", \"b\": [1], \"c\": 7}");
    const char *const parts[] = {"1", "2"};
    assert_string_equal(fill_list(w->arena, parts, 2), "[1,2]");
    assert_string_equal(fill_strings(w->arena, parts, 2), "[\"1\",\"2\"]");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_backend_has_the_cluster_its_url_and_way_ask_for),
        TEST(the_same_input_gives_the_same_bytes),
        TEST(keys_leave_as_macs_and_secrets_as_references),
        TEST(what_the_folder_closes_is_closed_for_the_sidecar),
        TEST(only_gateways_that_exist_are_known),
        TEST(a_template_is_filled_with_quotes_where_they_belong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
