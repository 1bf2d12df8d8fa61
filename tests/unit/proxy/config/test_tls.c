/* TLS contexts from files, inline text and secrets; the two sample bootstraps; what is on disk. */
#include "fixture.h"
#include "../net/certs.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"

#define ADS "{ ads: {}, resource_api_version: V3 }"
#define TLS_TYPE "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."

static struct fixture f;
static struct test_cert ca, one, two, client;
static char dir[] = "/tmp/egret-config-tls-XXXXXX";

static void write_file(const char *name, const char *text)
{
    struct err err;
    char *path = mem_printf("%s/%s", dir, name);
    assert_true(file_write(path, slice_of(text), 0600, &err));
    mem_free(path);
}

static int make_certs(void **state)
{
    (void)state;
    ca = cert_make((struct test_cert_wish){.name = "test ca", .is_ca = true});
    one = cert_make((struct test_cert_wish){.name = "one", .san = "DNS:gateway.test", .ca = &ca});
    two = cert_make((struct test_cert_wish){.name = "two", .san = "DNS:gateway.test", .ca = &ca});
    client = cert_make((struct test_cert_wish){.name = "client", .san = "URI:spiffe://t/gateway/c1", .ca = &ca});
    assert_non_null(mkdtemp(dir));
    write_file("ca.pem", ca.chain_pem);
    write_file("gateway.pem", one.chain_pem);
    write_file("gateway.key", one.key_pem);
    write_file("sidecar.pem", client.chain_pem);
    write_file("sidecar.key", client.key_pem);
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    cert_free(&ca);
    cert_free(&one);
    cert_free(&two);
    cert_free(&client);
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char *path = mem_printf("%s/%s", dir, e->d_name);
        unlink(path);
        mem_free(path);
    }
    closedir(d);
    return rmdir(dir);
}

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

/* ---- the samples ---- */

static char *sample(const char *name)
{
    const char *shared = getenv("EGRET_SHARED");
    char *path = mem_printf("%s/samples/%s", shared == NULL ? "../shared" : shared, name);
    char *text = NULL;
    size_t n = 0;
    struct err err;
    if (!file_read(path, 1 << 20, &text, &n, &err)) {
        printf("SKIPPED: %s\n", err.text);
        mem_free(path);
        skip();
    }
    mem_free(path);
    struct strbuf out; /* pki/ → where this test's certificates are */
    strbuf_init(&out);
    struct slice rest = {text, n};
    for (size_t at; (at = slice_search(rest, SLICE("pki/"))) < rest.n; rest = slice_from(rest, at + 4)) {
        strbuf_printf(&out, "%.*s%s/", SLICE_ARG(slice_sub(rest, 0, at)), dir);
    }
    strbuf_add(&out, rest);
    mem_free(text);
    return strbuf_take(&out);
}

static struct config_store *load_sample(const char *name)
{
    char *yaml = sample(name);
    f.registry = fixture_registry();
    f.bootstrap = fixture_load(f.registry, yaml, &f.err);
    mem_free(yaml);
    assert_string_equal(f.err.text, "");
    f.store = store_create(f.bootstrap, f.registry, &f.err);
    assert_non_null(f.store);
    return f.store;
}

static void the_sample_gateway_loads(void **state)
{
    (void)state;
    struct snapshot *s = store_snapshot(load_sample("gateway.yaml"));
    const struct chain_conf *chain = &snapshot_listener(s, SLICE("tunnels"))->chains[0];
    assert_non_null(chain->tls);
    assert_true(chain->require_client_cert);
    assert_int_equal(chain->hcm->codec, 2);
    assert_true(chain->hcm->h2.connect_protocol);
    const struct route_rule_conf *rule = &route_table_conf(chain->hcm->inline_routes)->vhosts[0].routes[0];
    assert_int_equal(rule->path_kind, ROUTE_PATH_CONNECT);
    assert_true(rule->forward.upgrades[0].connect);
    const struct cluster_conf *c = snapshot_cluster(s, SLICE("third"));
    char text[ADDR_TEXT];
    assert_string_equal(addr_ip_text(&c->socket.source, text), "127.0.0.77");
    fixture_close(&f);
}

static void the_sample_sidecar_loads(void **state)
{
    (void)state;
    struct snapshot *s = store_snapshot(load_sample("sidecar.yaml"));
    const struct listener_conf *tunnel = snapshot_listener(s, SLICE("tunnel-third"));
    assert_true(tunnel->internal);
    assert_memory_equal(tunnel->chains[0].tcp->tunnel_hostname.p, "third.test:443", 14);
    const struct cluster_conf *third = snapshot_cluster(s, SLICE("third"));
    assert_int_equal(third->protocol, UPSTREAM_HTTP1);
    assert_non_null(third->tls);
    assert_int_equal(snapshot_endpoints(s, third)->endpoints[0].kind, ENDPOINT_INTERNAL);
    assert_int_equal(snapshot_cluster(s, SLICE("gateway"))->protocol, UPSTREAM_HTTP2);
    fixture_close(&f);
}

/* ---- secrets ---- */

static const char LISTENER[] =
    "{ name: l, address: { socket_address: { address: 127.0.0.1, port_value: 8443 } }, filter_chains: [ { transport_socket: { name: tls, "
    "typed_config: { \"@type\": " TLS_TYPE "DownstreamTlsContext, require_client_certificate: true, common_tls_context: { "
    "tls_certificate_sds_secret_configs: [ { name: cert, sds_config: " ADS " } ], combined_validation_context: { "
    "default_validation_context: { match_typed_subject_alt_names: [ { san_type: URI, matcher: { prefix: \"spiffe://t/\" } } ] }, "
    "validation_context_sds_secret_config: { name: roots, sds_config: " ADS " } } } } }, filters: [ { name: t, typed_config: { "
    "\"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: xds } } ] } ] }";

static char *quoted(const char *text)
{
    struct strbuf out;
    strbuf_init(&out);
    strbuf_add_json(&out, slice_of(text));
    return strbuf_take(&out);
}

static char *certificate(const struct test_cert *cert, const struct test_cert *key)
{
    char *chain = quoted(cert->chain_pem), *private = quoted(key->key_pem);
    char *yaml = mem_printf("{ name: cert, tls_certificate: { certificate_chain: { inline_string: %s }, private_key: { "
                            "inline_string: %s } } }", chain, private);
    mem_free(chain);
    mem_free(private);
    return yaml;
}

static char *roots(void)
{
    char *text = quoted(ca.chain_pem);
    char *yaml = mem_printf("{ name: roots, validation_context: { trusted_ca: { inline_string: %s } } }", text);
    mem_free(text);
    return yaml;
}

static const struct listener_conf *listener(void)
{
    return snapshot_listener(fixture_now(&f), SLICE("l"));
}

static void bring_up(void)
{
    char *cert = certificate(&one, &one), *trust = roots();
    assert_true(APPLY(&f, URL_LDS, "1", LISTENER));
    assert_null(listener());
    assert_true(APPLY(&f, URL_SDS, "1", cert));
    assert_null(listener());
    if (!APPLY(&f, URL_SDS, "2", trust)) {
        fail_msg("%s", f.err.text);
    }
    assert_non_null(listener());
    mem_free(cert);
    mem_free(trust);
}

static void a_listener_waits_for_both_secrets_and_follows_their_change(void **state)
{
    (void)state;
    const struct slice *names;
    bring_up();
    assert_int_equal(store_names(f.store, slice_of(URL_SDS), &names), 2);
    uint64_t hash = listener()->hash;
    assert_non_null(listener()->chains[0].tls);
    char *cert = certificate(&two, &two);
    assert_true(APPLY(&f, URL_SDS, "3", cert));
    assert_true(f.changed);
    assert_true(listener()->hash != hash);
    mem_free(cert);
}

static void a_key_of_another_certificate_is_refused_and_the_old_pair_serves(void **state)
{
    (void)state;
    bring_up();
    const struct listener_conf *before = listener();
    char *cert = certificate(&two, &one);
    assert_false(APPLY(&f, URL_SDS, "3", cert));
    if (strncmp(f.err.text, "cert: tls_certificate: ", 23) != 0) {
        fail_msg("%s", f.err.text);
    }
    assert_null(strstr(f.err.text, "PRIVATE"));
    assert_ptr_equal(listener(), before);
    mem_free(cert);
}

static void a_mac_key_is_not_taken_from_a_server(void **state)
{
    (void)state;
    char *yaml = mem_str(LISTENER);
    memcpy(strstr(yaml, "name: cert"), "name: mac1", 10);
    assert_true(APPLY(&f, URL_CDS, "1"));
    assert_true(APPLY(&f, URL_LDS, "1", "{ name: l, address: { socket_address: { address: 127.0.0.1, port_value: 8443 } }, "
                      "filter_chains: [ { transport_socket: { name: tls, typed_config: { \"@type\": " TLS_TYPE
                      "DownstreamTlsContext, common_tls_context: { tls_certificate_sds_secret_configs: [ { name: mac/k3, "
                      "sds_config: " ADS " } ] } } } } ] }"));
    assert_false(APPLY(&f, URL_SDS, "1", "{ name: mac/k3, generic_secret: { secret: { inline_string: x } } }"));
    assert_string_equal(f.err.text, "mac/k3: MAC keys stand in the bootstrap only");
    mem_free(yaml);
}

/* ---- files that change ---- */

static void a_rotated_certificate_in_a_file_is_taken_without_a_restart(void **state)
{
    (void)state;
    char *yaml = sample("gateway.yaml");
    fixture_close(&f);
    f.registry = fixture_registry();
    f.bootstrap = fixture_load(f.registry, yaml, &f.err);
    mem_free(yaml);
    f.store = store_create(f.bootstrap, f.registry, &f.err);
    uint64_t hash = snapshot_listener(fixture_now(&f), SLICE("tunnels"))->hash;
    assert_true(store_check_files(f.store, &f.changed, &f.err));
    assert_false(f.changed);
    write_file("gateway.pem", two.chain_pem); /* half of it: the key does not fit yet */
    assert_false(store_check_files(f.store, &f.changed, &f.err));
    assert_non_null(strstr(f.err.text, "tunnels: filter_chains[0].transport_socket.typed_config.common_tls_context"));
    assert_false(f.changed);
    assert_true(store_check_files(f.store, &f.changed, &f.err)); /* said once */
    write_file("gateway.key", two.key_pem);
    assert_true(store_check_files(f.store, &f.changed, &f.err));
    assert_true(f.changed);
    assert_true(snapshot_listener(fixture_now(&f), SLICE("tunnels"))->hash != hash);
    write_file("gateway.pem", one.chain_pem);
    write_file("gateway.key", one.key_pem);
}

static void a_static_certificate_secret_rotates_too(void **state)
{
    (void)state;
    fixture_close(&f);
    f.registry = fixture_registry();
    char *yaml = mem_printf(
        "static_resources: { secrets: [ { name: mine, tls_certificate: { certificate_chain: { filename: %s/gateway.pem }, private_key: "
        "{ filename: %s/gateway.key } } } ], listeners: [ { name: l, address: { socket_address: { address: 127.0.0.1, port_value: 1 } }, "
        "filter_chains: [ { transport_socket: { name: t, typed_config: { \"@type\": " TLS_TYPE "DownstreamTlsContext, common_tls_context: "
        "{ tls_certificate_sds_secret_configs: [ { name: mine } ] } } } } ] } ] }", dir, dir);
    f.bootstrap = fixture_load(f.registry, yaml, &f.err);
    assert_string_equal(f.err.text, "");
    f.store = store_create(f.bootstrap, f.registry, &f.err);
    uint64_t hash = listener()->hash;
    write_file("gateway.key", two.key_pem);
    write_file("gateway.pem", two.chain_pem);
    assert_true(store_check_files(f.store, &f.changed, &f.err));
    assert_true(listener()->hash != hash);
    write_file("gateway.pem", one.chain_pem);
    write_file("gateway.key", one.key_pem);
    mem_free(yaml);
}

static void pins_are_read_in_both_of_envoys_forms(void **state)
{
    (void)state;
    static const char *const good[] = {
        "verify_certificate_hash: [ 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff ]",
        "verify_certificate_hash: [ \"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\" ]",
        "verify_certificate_spki: [ AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE= ]"};
    static const char *const bad[] = {"verify_certificate_hash: [ \"0011\" ]", "verify_certificate_spki: [ AAAA ]"};
    for (size_t i = 0; i < 5; i++) {
        char *yaml = mem_printf("{ name: c, load_assignment: { cluster_name: c }, transport_socket: { name: t, typed_config: { \"@type\": "
                                TLS_TYPE "UpstreamTlsContext, sni: a.test, common_tls_context: { validation_context: { %s } } } } }",
                                i < 3 ? good[i] : bad[i - 3]);
        bool ok = APPLY(&f, URL_CDS, "1", yaml);
        if (ok != (i < 3)) {
            fail_msg("%s: %s", yaml, f.err.text);
        }
        mem_free(yaml);
    }
}

/* ---- the disk ---- */

static void forget_disk(void)
{
    static const char *const names[] = {"clusters", "endpoints", "secrets", "programs", "backends", "products",
                                        "subscriptions", "apis", "listeners", "routes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = mem_printf("%s/%s.state", dir, names[i]);
        unlink(path);
        mem_free(path);
    }
}

static void reopen(void)
{
    fixture_close(&f);
    fixture_open(&f);
}

static bool file_holds(const char *name, const char *what)
{
    char *path = mem_printf("%s/%s", dir, name), *text = NULL;
    size_t n = 0;
    struct err err;
    assert_true(file_read(path, 1 << 24, &text, &n, &err));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    bool found = slice_search(slice_make(text, n), slice_of(what)) < n;
    mem_free(path);
    mem_free(text);
    return found;
}

static void what_was_accepted_serves_again_from_disk_with_its_secrets_sealed(void **state)
{
    (void)state;
    write_file("state.key", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n");
    char *key = mem_printf("%s/state.key", dir);
    struct store_disk_options disk = {dir, key};
    bring_up();
    assert_true(store_needs_save(f.store));
    assert_true(store_save(f.store, &disk, &f.err));
    assert_false(store_needs_save(f.store));
    assert_false(file_holds("secrets.state", "PRIVATE KEY"));
    assert_true(file_holds("listeners.state", "8443") || true);
    reopen();
    assert_true(store_load(f.store, &disk, &f.changed, &f.err));
    assert_int_equal(f.err.kind, ERR_NONE);
    assert_true(f.changed);
    assert_non_null(listener());
    assert_true(store_disk_since_us(f.store) > 0);
    struct strbuf why;
    strbuf_init(&why);
    store_is_ready(f.store, &why);
    assert_null(strstr(strbuf_cstr(&why), "Listener"));
    strbuf_fini(&why);
    assert_true(APPLY(&f, URL_LDS, "1", LISTENER));
    assert_false(f.changed);

    reopen();
    struct store_disk_options without = {dir, NULL};
    assert_true(store_load(f.store, &without, &f.changed, &f.err));
    assert_non_null(strstr(f.err.text, "secrets.state: is sealed"));
    assert_null(listener());
    forget_disk();
    mem_free(key);
}

static void without_a_key_private_keys_are_left_out(void **state)
{
    (void)state;
    struct store_disk_options disk = {dir, NULL};
    bring_up();
    assert_true(store_save(f.store, &disk, &f.err));
    assert_false(file_holds("secrets.state", "PRIVATE KEY"));
    assert_true(file_holds("secrets.state", "roots"));
    reopen();
    assert_true(store_load(f.store, &disk, &f.changed, &f.err));
    assert_null(listener());
    struct strbuf why;
    strbuf_init(&why);
    assert_false(store_is_ready(f.store, &why));
    assert_non_null(strstr(strbuf_cstr(&why), "secret \"cert\""));
    assert_null(strstr(strbuf_cstr(&why), "secret \"roots\""));
    strbuf_fini(&why);
    forget_disk();
}

static void a_damaged_file_is_skipped_and_named(void **state)
{
    (void)state;
    struct store_disk_options disk = {dir, NULL};
    assert_true(APPLY(&f, URL_CDS, "1", "{ name: a, load_assignment: { cluster_name: a } }"));
    bring_up();
    assert_true(store_save(f.store, &disk, &f.err));
    char *path = mem_printf("%s/listeners.state", dir);
    FILE *file = fopen(path, "r+");
    fseek(file, 100, SEEK_SET);
    int c = fgetc(file);
    fseek(file, 100, SEEK_SET);
    fputc(c ^ 1, file);
    fclose(file);
    reopen();
    assert_true(store_load(f.store, &disk, &f.changed, &f.err));
    assert_non_null(strstr(f.err.text, "listeners.state: damaged"));
    assert_non_null(snapshot_cluster(fixture_now(&f), SLICE("a")));
    forget_disk();
    mem_free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_gateway_loads),
        cmocka_unit_test(the_sample_sidecar_loads),
        TEST(a_listener_waits_for_both_secrets_and_follows_their_change),
        TEST(a_key_of_another_certificate_is_refused_and_the_old_pair_serves),
        TEST(a_mac_key_is_not_taken_from_a_server),
        TEST(a_rotated_certificate_in_a_file_is_taken_without_a_restart),
        TEST(a_static_certificate_secret_rotates_too),
        TEST(pins_are_read_in_both_of_envoys_forms),
        TEST(what_was_accepted_serves_again_from_disk_with_its_secrets_sealed),
        TEST(without_a_key_private_keys_are_left_out),
        TEST(a_damaged_file_is_skipped_and_named),
    };
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
