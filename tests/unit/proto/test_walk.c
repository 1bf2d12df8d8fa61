#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/doc/doc.h"
#include "base/macros.h"
#include "base/mem.h"
#include "pb/envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "pb/envoy/config/cluster/v3/cluster.pb-c.h"
#include "pb/envoy/config/core/v3/base.pb-c.h"
#include "pb/envoy/config/core/v3/socket_option.pb-c.h"
#include "pb/envoy/config/listener/v3/listener.pb-c.h"
#include "pb/envoy/config/route/v3/route_components.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/tls/v3/secret.pb-c.h"
#include "pb/google/protobuf/struct.pb-c.h"
#include "proto/dump.h"
#include "proto/guard.h"
#include "proto/pack.h"
#include "proto/walk.h"

static struct arena *arena;
static struct walk walker;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create(0);
    walker = (struct walk){.arena = arena};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static void *walk_text(const ProtobufCMessageDescriptor *type, const char *text, struct err *err)
{
    struct doc_source source = {.name = "t.yaml", .bytes = slice_of(text), .format = DOC_YAML};
    const struct doc *d = doc_parse(arena, source, NULL, err);
    return d == NULL ? NULL : walk_message(&walker, d, type, err);
}

static void *good(const ProtobufCMessageDescriptor *type, const char *text)
{
    struct err err = {.kind = ERR_NONE};
    void *m = walk_text(type, text, &err);
    if (m == NULL) {
        fail_msg("%s", err.text);
    }
    return m;
}

static void assert_dump(const void *m, const char *expected)
{
    struct strbuf out;
    strbuf_init(&out);
    dump_json(m, 0, &out);
    assert_string_equal(strbuf_cstr(&out), expected);
    strbuf_fini(&out);
}

static void names_are_taken_in_both_spellings(void **state)
{
    (void)state;
    Envoy__Config__Cluster__V3__Cluster *c = good(&envoy__config__cluster__v3__cluster__descriptor,
                                                  "{name: a, connectTimeout: 1.5s, lb_policy: LEAST_REQUEST}");
    assert_string_equal(c->name, "a");
    assert_int_equal(c->connect_timeout->seconds, 1);
    assert_int_equal(c->connect_timeout->nanos, 500000000);
    assert_int_equal(c->lb_policy, ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LEAST_REQUEST);
}

static void every_kind_of_value_is_read_and_shown_again(void **state)
{
    (void)state;
    void *m =
        good(&envoy__config__cluster__v3__cluster__descriptor,
             "name: a\n"
             "type: 1\n"
             "per_connection_buffer_limit_bytes: 32768\n"
             "circuit_breakers: {thresholds: [{max_connections: '7', retry_budget: {budget_percent: {value: 12.5}}}]}\n"
             "metadata: {filter_metadata: {envoy.lb: {a: [1, x, null, true, {b: 2.5}], c: {}}}}\n"
             "common_lb_config: {healthy_panic_threshold: {value: 0}}\n"
             "maglev_lb_config: {table_size: '65537'}\n"
             "wait_for_warm_on_init: false\n"
             "cleanup_interval: 0.25s\n"
             "alt_stat_name: ~\n");
    assert_dump(m,
                "{\"name\":\"a\",\"type\":\"STRICT_DNS\",\"per_connection_buffer_limit_bytes\":32768,"
                "\"circuit_breakers\":{\"thresholds\":[{\"max_connections\":7,\"retry_budget\":{\"budget_percent\":"
                "{\"value\":12.5}}}]},\"cleanup_interval\":\"0.25s\",\"metadata\":{\"filter_metadata\":{\"envoy.lb\":"
                "{\"a\":[1,\"x\",null,true,{\"b\":2.5}],\"c\":{}}}},\"common_lb_config\":{\"healthy_panic_threshold\":"
                "{}},\"maglev_lb_config\":{\"table_size\":\"65537\"},\"wait_for_warm_on_init\":false}");
}

static void an_any_is_checked_and_packed_by_its_type(void **state)
{
    (void)state;
    Envoy__Config__Core__V3__TransportSocket *s =
        good(&envoy__config__core__v3__transport_socket__descriptor,
             "name: tls\n"
             "typed_config:\n"
             "  '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n"
             "  sni: third.test\n");
    assert_int_equal(s->config_type_case, ENVOY__CONFIG__CORE__V3__TRANSPORT_SOCKET__CONFIG_TYPE_TYPED_CONFIG);
    assert_string_equal(s->typed_config->type_url,
                        "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext");
    assert_dump(s, "{\"name\":\"tls\",\"typed_config\":{\"@type\":"
                   "\"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\","
                   "\"sni\":\"third.test\"}}");
    good(&envoy__config__core__v3__transport_socket__descriptor,
         "{name: x, typed_config: {'@type': type.googleapis.com/google.protobuf.Duration, value: 3s}}");
}

static void what_is_ignored_by_table_passes(void **state)
{
    (void)state;
    good(&envoy__config__bootstrap__v3__bootstrap__descriptor, "watchdogs: {main_thread_watchdog: {}}\n");
    good(&envoy__config__bootstrap__v3__bootstrap__descriptor, "memoryAllocatorManager: {}\n");
}

struct refusal {
    const ProtobufCMessageDescriptor *type;
    const char *text, *error;
};

static void every_refusal_names_file_position_path_and_reason(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *cluster = &envoy__config__cluster__v3__cluster__descriptor;
    const ProtobufCMessageDescriptor *bootstrap = &envoy__config__bootstrap__v3__bootstrap__descriptor;
    const ProtobufCMessageDescriptor *route = &envoy__config__route__v3__route__descriptor;
    const ProtobufCMessageDescriptor *option = &envoy__config__core__v3__socket_option__descriptor;
    const ProtobufCMessageDescriptor *socket = &envoy__config__core__v3__transport_socket__descriptor;
    const struct refusal rows[] = {
        {cluster, "[]", "t.yaml:1:1: expected a map, found a list"},
        {cluster, "name: a\nnam: b\n", "t.yaml:2:1: nam: unknown field of envoy.config.cluster.v3.Cluster"},
        {cluster, "name: 5\n", "t.yaml:1:7: name: expected a string, found a number: write it in quotes"},
        {cluster, "name: [a]\n", "t.yaml:1:7: name: expected a string, found a list"},
        {cluster, "name: \"a\\0b\"\n", "t.yaml:1:7: name: holds a NUL character"},
        {cluster, "connect_timeout: 5\n", "t.yaml:1:18: connect_timeout: expected a duration such as \"1.5s\""},
        {cluster, "connect_timeout: 5ms\n", "t.yaml:1:18: connect_timeout: expected a duration such as \"1.5s\""},
        {cluster, "connect_timeout: 1s\nconnectTimeout: 1s\n",
         "t.yaml:2:1: \"connect_timeout\" is given in both spellings"},
        {cluster, "lb_policy: BEST\n", "t.yaml:1:12: lb_policy: \"BEST\" is not a LbPolicy"},
        {cluster, "lb_policy: 99\n", "t.yaml:1:12: lb_policy: \"99\" is not a LbPolicy"},
        {cluster, "lb_policy: true\n", "t.yaml:1:12: lb_policy: expected a name, found a boolean"},
        {cluster, "type: EDS\ncluster_type: {name: x}\n",
         "t.yaml:2:15: cluster_type: excludes \"type\", which is given too"},
        {cluster, "health_checks: {}\n", "t.yaml:1:16: health_checks: expected a list, found a map"},
        {cluster, "health_checks: [~]\n", "t.yaml:1:17: health_checks[0]: expected a map, found a null"},
        {cluster, "health_checks:\n- {}\n- {timeout: x}\n",
         "t.yaml:3:13: health_checks[1].timeout: expected a duration such as \"1.5s\""},
        {cluster, "lb_subset_config: {}\n", "t.yaml:1:1: lb_subset_config: not supported by Egret"},
        {cluster, "lbSubsetConfig: {}\n", "t.yaml:1:1: lbSubsetConfig: not supported by Egret"},
        {cluster, "respect_dns_ttl: yes\n", "t.yaml:1:18: respect_dns_ttl: expected true or false, found a string"},
        {cluster, "per_connection_buffer_limit_bytes: -1\n",
         "t.yaml:1:36: per_connection_buffer_limit_bytes: out of range"},
        {cluster, "per_connection_buffer_limit_bytes: 4294967296\n",
         "t.yaml:1:36: per_connection_buffer_limit_bytes: out of range"},
        {cluster, "per_connection_buffer_limit_bytes: 1.5\n",
         "t.yaml:1:36: per_connection_buffer_limit_bytes: expected a whole number"},
        {cluster, "common_lb_config: {healthy_panic_threshold: {value: a}}\n",
         "t.yaml:1:53: common_lb_config.healthy_panic_threshold.value: expected a number, found a string"},
        {cluster, "metadata: {filter_metadata: []}\n",
         "t.yaml:1:29: metadata.filter_metadata: expected a map, found a list"},
        {cluster, "metadata: {filter_metadata: {a: 1}}\n",
         "t.yaml:1:33: metadata.filter_metadata[\"a\"]: expected a map, found a number"},
        {option, "level: 9223372036854775808\n", "t.yaml:1:8: level: out of range"},
        {option, "buf_value: '=='\n", "t.yaml:1:12: buf_value: not base64"},
        {option, "buf_value: 5\n", "t.yaml:1:12: buf_value: expected a string, found a number"},
        {route, "match: {prefix: /, path: /}\n", "t.yaml:1:26: match.path: excludes \"prefix\", which is given too"},
        {route, "match: {filter_state: []}\n", "t.yaml:1:9: match.filter_state: not supported by Egret"},
        {socket, "typed_config: 5\n", "t.yaml:1:15: typed_config: expected a map, found a number"},
        {socket, "typed_config: {a: 1}\n", "t.yaml:1:15: typed_config: \"@type\" is missing"},
        {socket, "typed_config:\n  '@type': type.googleapis.com/x.Y\n",
         "t.yaml:2:12: typed_config: type \"type.googleapis.com/x.Y\" is not supported by Egret"},
        {socket, "typed_config:\n  '@type': envoy.config.cluster.v3.Cluster\n",
         "t.yaml:2:12: typed_config: type \"envoy.config.cluster.v3.Cluster\" is not supported by Egret"},
        {socket, "typed_config:\n  '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\n  nome: 5\n",
         "t.yaml:3:3: typed_config.nome: unknown field of envoy.config.cluster.v3.Cluster"},
        {socket, "typed_config: {'@type': type.googleapis.com/google.protobuf.Duration, valu: 3s}\n",
         "t.yaml:1:15: typed_config: expected \"@type\" and \"value\""},
        {bootstrap, "static_resources:\n  listeners:\n  - name: a\n  - name: b\n    udp_listener_config: {}\n",
         "t.yaml:5:5: static_resources.listeners[1].udp_listener_config: not supported by Egret"},
        {bootstrap, "overload_manager: {}\n", "t.yaml:1:1: overload_manager: not supported by Egret"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {.kind = ERR_NONE};
        assert_null(walk_text(rows[i].type, rows[i].text, &err));
        assert_string_equal(err.text, rows[i].error);
    }
}

static void a_field_without_support_is_refused_when_it_is_set(void **state)
{
    (void)state;
    static const struct support_rule rules[] = {
        {"envoy.config.cluster.v3.Cluster", "name type load_assignment"},
        {"envoy.config.endpoint.v3.ClusterLoadAssignment", "*"},
    };
    struct support *support = support_create(rules, ARRAY_LEN(rules));
    walker.support = support;
    const ProtobufCMessageDescriptor *cluster = &envoy__config__cluster__v3__cluster__descriptor;
    static const struct {
        const char *text, *walked, *checked;
    } rows[] = {
        {"connect_timeout: 1s\n", "t.yaml:1:1: connect_timeout: not supported by Egret",
         "connect_timeout: not supported by Egret"},
        {"alt_stat_name: x\n", "t.yaml:1:1: alt_stat_name: not supported by Egret",
         "alt_stat_name: not supported by Egret"},
        {"load_assignment: {endpoints: [{}, {priority: 1}]}\n",
         "t.yaml:1:36: load_assignment.endpoints[1].priority: not supported by Egret",
         "load_assignment.endpoints[1].priority: not supported by Egret"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {.kind = ERR_NONE};
        assert_null(walk_text(cluster, rows[i].text, &err));
        assert_string_equal(err.text, rows[i].walked);
        walker.support = NULL;
        struct slice bytes = pack_message(good(cluster, rows[i].text), arena);
        walker.support = support;
        struct guard guard = guard_default();
        guard.support = support;
        assert_null(guard_unpack(&guard, cluster, bytes, arena, &err));
        assert_int_equal(err.kind, ERR_UNSUPPORTED);
        assert_string_equal(err.text, rows[i].checked);
    }
    good(cluster,
         "{name: a, type: STATIC, alt_stat_name: '', health_checks: [], respect_dns_ttl: false, track_timeout_budgets: "
         "true, load_assignment: {cluster_name: a, endpoints: [{}]}}");
    support_destroy(&support);
    assert_null(support);
}

static void secrets_are_never_dumped(void **state)
{
    (void)state;
    void *m = good(&envoy__extensions__transport_sockets__tls__v3__secret__descriptor,
                   "name: a\n"
                   "tls_certificate:\n"
                   "  certificate_chain: {inline_string: public}\n"
                   "  private_key: {inline_string: hidden-1}\n"
                   "  password: {inline_bytes: aGlkZGVuLTI=}\n");
    assert_dump(m,
                "{\"name\":\"a\",\"tls_certificate\":{\"certificate_chain\":{\"inline_string\":\"public\"},"
                "\"private_key\":{\"inline_string\":\"[redacted]\"},\"password\":{\"inline_bytes\":\"[redacted]\"}}}");
    m = good(&envoy__extensions__transport_sockets__tls__v3__secret__descriptor,
             "tls_certificate: {private_key: {filename: pki/a.key}}\n");
    assert_dump(m, "{\"tls_certificate\":{\"private_key\":{\"filename\":\"pki/a.key\"}}}");
    m = good(&envoy__extensions__transport_sockets__tls__v3__secret__descriptor,
             "generic_secret: {secret: {inline_string: hidden}, secrets: {k: {inline_string: hidden}}}\n");
    assert_dump(m, "{\"generic_secret\":{\"secret\":{\"inline_string\":\"[redacted]\"},\"secrets\":{\"k\":{"
                   "\"inline_string\":\"[redacted]\"}}}}");
    m = good(&envoy__extensions__transport_sockets__tls__v3__secret__descriptor,
             "session_ticket_keys: {keys: [{inline_string: hidden}]}\n");
    assert_dump(m, "{\"session_ticket_keys\":{\"keys\":[{\"inline_string\":\"[redacted]\"}]}}");
    m = good(&envoy__config__core__v3__header_value_option__descriptor,
             "header: {key: Authorization, value: Basic hidden}\n");
    assert_dump(m, "{\"header\":{\"key\":\"Authorization\",\"value\":\"[redacted]\"}}");
}

static void a_dump_can_be_indented(void **state)
{
    (void)state;
    void *m =
        good(&envoy__config__cluster__v3__cluster__descriptor, "{name: a, dns_resolvers: [{pipe: {}}], metadata: {}}");
    struct strbuf out;
    strbuf_init(&out);
    dump_json(m, 1, &out);
    assert_string_equal(strbuf_cstr(&out),
                        "{\n \"name\": \"a\",\n \"dns_resolvers\": [\n  {\n   \"pipe\": {}\n  }\n ],\n"
                        " \"metadata\": {}\n}");
    strbuf_fini(&out);
}

static void what_a_dump_shows_reads_back_to_the_same_message(void **state)
{
    (void)state;
    static const char text[] =
        "name: l\naddress: {socket_address: {address: '::1', port_value: 80}}\nlistener_filters_timeout: 0.000000001s\n"
        "filter_chains: [{filter_chain_match: {server_names: [a, b], source_ports: [1, 2], source_type: EXTERNAL}}]\n"
        "socket_options: [{level: -1, name: 9223372036854775807, buf_value: AAEC}]\n"
        "metadata: {filter_metadata: {f: {n: 0.1, big: 1e300, s: \"q\\\"\\n\\u00e9\"}}}\n";
    const ProtobufCMessageDescriptor *type = &envoy__config__listener__v3__listener__descriptor;
    void *m = good(type, text);
    struct strbuf out;
    strbuf_init(&out);
    dump_json(m, 2, &out);
    void *again = good(type, strbuf_cstr(&out));
    assert_true(slice_eq(pack_message(m, arena), pack_message(again, arena)));
    strbuf_fini(&out);
}

static char *shared_path(const char *name)
{
    const char *root = getenv("EGRET_SHARED");
    return arena_printf(arena, "%s/%s", root == NULL ? "../shared" : root, name);
}

static void the_sample_bootstraps_are_read(void **state)
{
    (void)state;
    static const char *const names[] = {"samples/sidecar.yaml", "samples/gateway.yaml"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct err err;
        const struct doc *d = doc_read(arena, shared_path(names[i]), NULL, &err);
        if (d == NULL) {
            print_message("SKIPPED: %s\n", err.text);
            skip();
        }
        const ProtobufCMessageDescriptor *type = &envoy__config__bootstrap__v3__bootstrap__descriptor;
        Envoy__Config__Bootstrap__V3__Bootstrap *b = walk_message(&walker, d, type, &err);
        if (b == NULL) {
            fail_msg("%s", err.text);
        }
        assert_true(b->static_resources->n_listeners >= 1);
        struct slice bytes = pack_message(&b->base, arena);
        assert_non_null(guard_unpack(NULL, type, bytes, arena, &err));
        struct strbuf out;
        strbuf_init(&out);
        dump_json(&b->base, 2, &out);
        assert_non_null(strstr(strbuf_cstr(&out), "\"port_value\""));
        void *again = good(type, strbuf_cstr(&out));
        assert_true(slice_eq(bytes, pack_message(again, arena)));
        strbuf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_taken_in_both_spellings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_kind_of_value_is_read_and_shown_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_any_is_checked_and_packed_by_its_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_ignored_by_table_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_refusal_names_file_position_path_and_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_field_without_support_is_refused_when_it_is_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_are_never_dumped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dump_can_be_indented, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_dump_shows_reads_back_to_the_same_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_sample_bootstraps_are_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
