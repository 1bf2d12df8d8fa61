#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/macros.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "pb/envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "pb/envoy/config/cluster/v3/cluster.pb-c.h"
#include "pb/envoy/config/core/v3/base.pb-c.h"
#include "pb/envoy/config/rbac/v3/rbac.pb-c.h"
#include "pb/envoy/config/route/v3/route.pb-c.h"
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"
#include "pb/google/protobuf/struct.pb-c.h"
#include "proto/duration.h"
#include "proto/guard.h"
#include "proto/pack.h"
#include "proto/registry.h"
#include "proto/unbuilt.h"

static struct arena *arena;
static struct strbuf wire;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create(0);
    strbuf_init(&wire);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(&arena);
    strbuf_fini(&wire);
    return 0;
}

static void add_varint(struct strbuf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        strbuf_add_char(out, (char)(v | 0x80));
    }
    strbuf_add_char(out, (char)v);
}

static void add_bytes(struct strbuf *out, uint32_t number, struct slice bytes)
{
    add_varint(out, (uint64_t)number << 3 | 2);
    add_varint(out, bytes.n);
    strbuf_add(out, bytes);
}

static void add_number(struct strbuf *out, uint32_t number, uint64_t v)
{
    add_varint(out, (uint64_t)number << 3);
    add_varint(out, v);
}

/* An exact copy, so that reading one byte beyond it is seen. */
static void *unpack(const struct guard *g, const ProtobufCMessageDescriptor *type, struct slice bytes, struct err *err)
{
    char *copy = mem_alloc(bytes.n == 0 ? 1 : bytes.n);
    memcpy(copy, bytes.n == 0 ? "" : bytes.p, bytes.n);
    void *m = guard_unpack(g, type, slice_make(copy, bytes.n), arena, err);
    mem_free(copy);
    return m;
}

static void a_message_ten_thousand_deep_is_refused(void **state)
{
    (void)state;
    struct strbuf inner;
    strbuf_init(&inner);
    for (int i = 0; i < 10000; i++) { /* Permission.not_rule = 8 */
        struct strbuf outer;
        strbuf_init(&outer);
        add_bytes(&outer, 8, strbuf_slice(&inner));
        strbuf_fini(&inner);
        inner = outer;
    }
    struct err err;
    assert_null(unpack(NULL, &envoy__config__rbac__v3__permission__descriptor, strbuf_slice(&inner), &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(err.text, "nested more than 64 deep");
    strbuf_fini(&inner);
}

static void a_message_as_deep_as_the_limit_is_taken(void **state)
{
    (void)state;
    struct strbuf inner;
    strbuf_init(&inner);
    for (int i = 0; i < 63; i++) {
        struct strbuf outer;
        strbuf_init(&outer);
        add_bytes(&outer, 8, strbuf_slice(&inner));
        strbuf_fini(&inner);
        inner = outer;
    }
    struct err err;
    assert_non_null(unpack(NULL, &envoy__config__rbac__v3__permission__descriptor, strbuf_slice(&inner), &err));
    strbuf_fini(&inner);
}

static void what_envoy_has_and_we_do_not_is_refused_by_name(void **state)
{
    (void)state;
    struct strbuf cluster;
    strbuf_init(&cluster);
    add_bytes(&cluster, 1, SLICE("a"));
    add_bytes(&cluster, 22, SLICE("")); /* lb_subset_config */
    struct err err;
    const ProtobufCMessageDescriptor *type = &envoy__config__cluster__v3__cluster__descriptor;
    assert_null(unpack(NULL, type, strbuf_slice(&cluster), &err));
    assert_int_equal(err.kind, ERR_UNSUPPORTED);
    assert_string_equal(err.text, "lb_subset_config: not supported by Egret");

    struct strbuf resources;
    strbuf_init(&resources);
    add_bytes(&resources, 2, SLICE("\x0a\x01x"));
    add_bytes(&resources, 2, strbuf_slice(&cluster));
    add_bytes(&wire, 2, strbuf_slice(&resources));
    assert_null(unpack(NULL, &envoy__config__bootstrap__v3__bootstrap__descriptor, strbuf_slice(&wire), &err));
    assert_string_equal(err.text, "static_resources.clusters[1].lb_subset_config: not supported by Egret");
    strbuf_fini(&resources);

    struct guard lenient = guard_default();
    size_t unknown = 0;
    lenient.allow_unbuilt = true;
    lenient.unknown_fields = &unknown;
    assert_non_null(unpack(&lenient, type, strbuf_slice(&cluster), &err));
    assert_int_equal(unknown, 1);
    strbuf_fini(&cluster);
}

static void what_nobody_knows_is_counted_and_what_is_harmless_passes(void **state)
{
    (void)state;
    struct guard guard = guard_default();
    size_t unknown = 0;
    guard.unknown_fields = &unknown;
    struct err err;
    add_number(&wire, 4000, 1);
    add_bytes(&wire, 4001, SLICE("x"));
    add_bytes(&wire, 27, SLICE("")); /* Bootstrap.watchdogs, in ignored.txt */
    assert_non_null(unpack(&guard, &envoy__config__bootstrap__v3__bootstrap__descriptor, strbuf_slice(&wire), &err));
    assert_int_equal(unknown, 2);
}

static void bytes_that_two_readers_could_take_differently_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        const char *error;
    } rows[] = {
        {{"\x0a\x01"
          "a\x0a\x01"
          "b",
          6},
         "name: given more than once"},
        {{"\x10\x01\xb2\x02\x00", 5}, "cluster_type: excludes another field that is given too"},
        {{"\x0a\x03"
          "a\0b",
          5},
         "name: holds a NUL character"},
        {{"\x0a\x01\xff", 3}, "name: not UTF-8"},
        {{"\x08\x01", 2}, "name: of another type than expected"},
        {{"\x0a\x05"
          "a",
          3},
         "not a protobuf message"},
        {{"\x0a", 1}, "not a protobuf message"},
        {{"\x00", 1}, "not a protobuf message"},
        {{"\x0b\x0c", 2}, "not a protobuf message"},
        {{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10}, "not a protobuf message"},
        {{"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, "not a protobuf message"},
        {{"\x22\x02\x0a\x00", 4}, "connect_timeout.seconds: of another type than expected"},
        {{"\x22\x02\x08\x80", 4}, "connect_timeout: not a protobuf message"},
        {{"\x42\x03\x0a\x01\x08", 5}, "health_checks[0].timeout: not a protobuf message"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {.kind = ERR_NONE};
        assert_null(unpack(NULL, &envoy__config__cluster__v3__cluster__descriptor, rows[i].bytes, &err));
        assert_string_equal(err.text, rows[i].error);
    }
}

static void a_key_given_twice_in_a_map_is_refused(void **state)
{
    (void)state;
    struct strbuf entry, other;
    strbuf_init(&entry);
    strbuf_init(&other);
    add_bytes(&entry, 1, SLICE("k"));
    add_bytes(&entry, 2, SLICE(""));
    add_bytes(&other, 1, SLICE("j"));
    add_bytes(&other, 2, SLICE(""));
    const ProtobufCMessageDescriptor *type = &envoy__config__route__v3__route_configuration__descriptor;
    struct err err;
    add_bytes(&wire, 16, strbuf_slice(&entry)); /* typed_per_filter_config */
    add_bytes(&wire, 16, strbuf_slice(&other));
    assert_non_null(unpack(NULL, type, strbuf_slice(&wire), &err));
    add_bytes(&wire, 16, strbuf_slice(&entry));
    assert_null(unpack(NULL, type, strbuf_slice(&wire), &err));
    assert_string_equal(err.text, "typed_per_filter_config[\"k\"]: given more than once");
    assert_null(unpack(NULL, type, SLICE("\x82\x01\x03\x0a\x01j"), &err));
    assert_string_equal(err.text, "typed_per_filter_config[\"j\"]: has no value");
    strbuf_fini(&entry);
    strbuf_fini(&other);
}

static void packed_and_plain_lists_are_the_same(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *type = &envoy__config__route__v3__retry_policy__descriptor;
    struct err err;
    Envoy__Config__Route__V3__RetryPolicy *p = unpack(NULL, type, SLICE("\x3a\x03\xf4\x03\x05"), &err);
    assert_non_null(p);
    assert_int_equal(p->n_retriable_status_codes, 2);
    assert_int_equal(p->retriable_status_codes[0], 500);
    p = unpack(NULL, type, SLICE("\x38\xf4\x03\x38\x05"), &err);
    assert_non_null(p);
    assert_int_equal(p->n_retriable_status_codes, 2);
    assert_int_equal(p->retriable_status_codes[1], 5);
    assert_null(unpack(NULL, type, SLICE("\x3a\x01\xf4"), &err));
    assert_string_equal(err.text, "retriable_status_codes[0]: not a protobuf list");
}

static void bytes_fields_and_memory_are_limited(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *type = &envoy__config__route__v3__route_configuration__descriptor;
    struct err err;
    for (int i = 0; i < 1000; i++) {
        add_bytes(&wire, 2, SLICE("")); /* an empty virtual host: 2 bytes that take many more */
    }
    struct guard guard = guard_default();
    assert_non_null(unpack(&guard, type, strbuf_slice(&wire), &err));
    guard.max_memory = 100000;
    assert_null(unpack(&guard, type, strbuf_slice(&wire), &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_non_null(strstr(err.text, "the message is too large"));
    guard = guard_default();
    guard.max_fields = 999;
    assert_null(unpack(&guard, type, strbuf_slice(&wire), &err));
    guard = guard_default();
    guard.max_bytes = 1999;
    assert_null(unpack(&guard, type, strbuf_slice(&wire), &err));
    assert_string_equal(err.text, "larger than 1999 bytes");
}

/* Every way to cut a message that has some of everything. */
static void a_message_cut_anywhere_is_refused_or_taken_without_reading_beyond(void **state)
{
    (void)state;
    Envoy__Service__Discovery__V3__DiscoveryRequest request;
    envoy__service__discovery__v3__discovery_request__init(&request);
    Envoy__Config__Core__V3__Node node;
    envoy__config__core__v3__node__init(&node);
    char id[] = "sidecar-1", feature[] = "egret.apim.v1", *features[] = {feature};
    node.id = id;
    node.client_features = features;
    node.n_client_features = 1;
    request.node = &node;
    request.type_url = id;
    struct slice bytes = pack_message(&request.base, arena);
    const ProtobufCMessageDescriptor *type = request.base.descriptor;
    struct err err;
    size_t taken = 0;
    for (size_t n = 0; n <= bytes.n; n++) {
        taken += unpack(NULL, type, slice_sub(bytes, 0, n), &err) != NULL;
    }
    assert_int_equal(taken, 3); /* nothing, the node alone, all */
    Envoy__Service__Discovery__V3__DiscoveryRequest *again = unpack(NULL, type, bytes, &err);
    assert_string_equal(again->node->client_features[0], "egret.apim.v1");
}

static void an_any_is_unpacked_by_its_type_url(void **state)
{
    (void)state;
    Egret__Apim__V1__Product product;
    egret__apim__v1__product__init(&product);
    char name[] = "products/starter";
    product.name = name;
    Google__Protobuf__Any *any = pack_any(&product.base, arena);
    assert_string_equal(any->type_url, "type.googleapis.com/egret.apim.v1.Product");
    struct err err;
    struct slice bytes = slice_make(any->value.data, any->value.len);
    Egret__Apim__V1__Product *again = guard_unpack_any(NULL, slice_of(any->type_url), bytes, arena, &err);
    assert_non_null(again);
    assert_string_equal(again->name, name);
    assert_null(guard_unpack_any(NULL, SLICE("type.googleapis.com/a.B"), bytes, arena, &err));
    assert_string_equal(err.text, "type \"type.googleapis.com/a.B\" is not supported by Egret");
    assert_null(registry_find(SLICE("egret.apim.v1.Product")));
    assert_null(registry_find(SLICE("x/")));
    assert_null(registry_find(SLICE_NONE));
    assert_ptr_equal(registry_find(SLICE("/egret.apim.v1.Product")), &egret__apim__v1__product__descriptor);
    assert_null(registry_find(SLICE("/egret.apim.v1.Produc")));
    assert_null(registry_find(SLICE("/egret.apim.v1.Products")));
}

static void every_message_of_the_registry_survives_init_and_pack(void **state)
{
    (void)state;
    for (size_t i = 0; registry_at(i) != NULL; i++) {
        ProtobufCMessage *m = message_create(registry_at(i), arena);
        assert_int_equal(pack_message(m, arena).n, 0);
        struct err err;
        assert_non_null(unpack(NULL, registry_at(i), SLICE_NONE, &err));
        assert_true(registry_at(i)->n_fields <= 128);
    }
}

static void every_ignored_and_unbuilt_line_names_a_message_we_have(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
#include "pb/ignored.inc"
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        const ProtobufCFieldDescriptor *f = NULL;
        const ProtobufCMessageDescriptor *type = registry_find_name(slice_of(lines[i][0]));
        if (type != NULL) {
            f = protobuf_c_message_descriptor_get_field_by_name(type, lines[i][1]);
            if (f == NULL && !unbuilt_has(lines[i][0], slice_of(lines[i][1]))) {
                fail_msg("ignored.txt: %s has no %s", lines[i][0], lines[i][1]);
            }
        }
        assert_true(ignored_has(lines[i][0], slice_of(lines[i][1])));
    }
    assert_string_equal(unbuilt_name("envoy.config.cluster.v3.Cluster", 22), "lb_subset_config");
    assert_null(unbuilt_name("envoy.config.cluster.v3.Cluster", 1));
}

static void a_support_table_with_a_wrong_name_would_be_noticed(void **state)
{
    (void)state;
    static const struct support_rule rules[] = {{"envoy.config.cluster.v3.Cluster", "name"}};
    struct support *s = support_create(rules, 1);
    const ProtobufCMessageDescriptor *type = &envoy__config__cluster__v3__cluster__descriptor;
    assert_true(support_has(s, type, field_find(type, SLICE("name"))));
    assert_false(support_has(s, type, field_find(type, SLICE("lb_policy"))));
    assert_true(support_has(s, type, field_find(type, SLICE("trackTimeoutBudgets"))));
    assert_true(support_has(s, &google__protobuf__struct__descriptor, &google__protobuf__struct__descriptor.fields[0]));
    support_destroy(&s);
}

static void durations_are_exact_in_text_and_rounded_up_in_milliseconds(void **state)
{
    (void)state;
    static const struct {
        const char *text, *again;
        int64_t ms;
    } rows[] = {
        {"0s", "0s", 0},
        {"1s", "1s", 1000},
        {"1.5s", "1.5s", 1500},
        {"0.000001s", "0.000001s", 1},
        {"-0.5s", "-0.5s", -500},
        {"-3s", "-3s", -3000},
        {"1.000000001s", "1.000000001s", 1001},
        {"315576000000s", "315576000000s", 315576000000000},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;
        assert_true(duration_parse(slice_of(rows[i].text), &d.seconds, &d.nanos));
        assert_true(duration_is_valid(&d));
        assert_int_equal(duration_ms(&d, 7), rows[i].ms);
        char text[32];
        duration_format(d.seconds, d.nanos, text);
        assert_string_equal(text, rows[i].again);
    }
    assert_int_equal(duration_ms(NULL, 7), 7);
    static const char *const wrong[] = {"",     "s",   "1",   "1ms",           "1.s",  ".5s", "1.0000000001s", "+1s",
                                        "--1s", " 1s", "1 s", "315576000001s", "1e3s", "-s",  "1.-5s"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        int64_t seconds = 0;
        int32_t nanos = 0;
        assert_false(duration_parse(slice_of(wrong[i]), &seconds, &nanos));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_ten_thousand_deep_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_as_deep_as_the_limit_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_envoy_has_and_we_do_not_is_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_knows_is_counted_and_what_is_harmless_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_two_readers_could_take_differently_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_given_twice_in_a_map_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packed_and_plain_lists_are_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_fields_and_memory_are_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_cut_anywhere_is_refused_or_taken_without_reading_beyond, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_any_is_unpacked_by_its_type_url, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_message_of_the_registry_survives_init_and_pack, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_ignored_and_unbuilt_line_names_a_message_we_have, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_support_table_with_a_wrong_name_would_be_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(durations_are_exact_in_text_and_rounded_up_in_milliseconds, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
