#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>

#include "base/arena.h"
#include "base/mem.h"
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"
#include "proto/guard.h"
#include "xds/server/envelope.h"
#include "xds/server/request.h"

/* Sizes around every length of a varint and around the limit from which bytes are shared. */
static const size_t sizes[] = {0, 1, 99, 127, 128, 2047, 2048, 2049, 16383, 16384, 70000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static struct resource_list *make_list(void)
{
    struct resource *items[SIZES];
    for (size_t i = 0; i < SIZES; i++) {
        char name[16], *bytes = mem_alloc(sizes[i] + 1);
        snprintf(name, sizeof name, "r%02zu", i);
        memset(bytes, (int)('a' + i), sizes[i]);
        items[i] = resource_create(slice_of(name), slice_make(bytes, sizes[i]));
        mem_free(bytes);
    }
    return resource_list_create(items, SIZES);
}

static void a_decoder_reads_back_what_was_put_in(void **state)
{
    (void)state;
    grpc_init();
    struct resource_list *list = make_list();
    struct session_response r = {.type = XDS_API, .version = "v1", .nonce = "7", .resources = list};
    grpc_byte_buffer *message = envelope_create(&r, "egret-control");
    resource_list_unref(list); /* the message keeps what it needs */
    grpc_byte_buffer_reader reader;
    assert_true(grpc_byte_buffer_reader_init(&reader, message));
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    struct arena *arena = arena_create(0);
    struct err err = {0};
    const Envoy__Service__Discovery__V3__DiscoveryResponse *m =
        guard_unpack(NULL, &envoy__service__discovery__v3__discovery_response__descriptor,
                     slice_make(GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all)), arena, &err);
    if (m == NULL) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(m->version_info, "v1");
    assert_string_equal(m->nonce, "7");
    assert_string_equal(m->type_url, "type.googleapis.com/egret.apim.v1.Api");
    assert_string_equal(m->control_plane->identifier, "egret-control");
    assert_int_equal(m->n_resources, SIZES);
    for (size_t i = 0; i < SIZES; i++) {
        assert_string_equal(m->resources[i]->type_url, m->type_url);
        assert_int_equal(m->resources[i]->value.len, sizes[i]);
        assert_true(sizes[i] == 0 || m->resources[i]->value.data[sizes[i] - 1] == 'a' + i);
    }
    arena_destroy(&arena);
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(message);
    grpc_shutdown_blocking();
}

static void a_request_is_decoded_and_a_broken_one_is_refused(void **state)
{
    (void)state;
    /* node {id "n" cluster "c" client_features "egret.apim.v1"}, names "a" "*", type_url "t", nonce "9", error "bad" */
    static const char wire[] = "\x0a\x01v"
                               "\x12\x15\x0a\x01n\x12\x01"
                               "c\x52\x0d"
                               "egret.apim.v1"
                               "\x1a\x01"
                               "a\x1a\x01*\x22\x01t\x2a\x01"
                               "9\x32\x05\x12\x03"
                               "bad";
    struct request r;
    struct err err = {0};
    if (!request_init(&r, slice_make(wire, sizeof wire - 1), &err)) {
        fail_msg("%s", err.text);
    }
    assert_true(r.has_node && r.node.egret);
    assert_true(slice_eq(r.node.cluster, SLICE("c")));
    assert_int_equal(r.session.name_count, 2);
    assert_true(slice_eq(r.session.names[1], SLICE("*")));
    assert_true(r.refused && slice_eq(r.session.reason, SLICE("bad")));
    assert_true(slice_eq(r.session.version, SLICE("v")));
    request_fini(&r);
    for (size_t n = 1; n < sizeof wire - 1; n++) { /* cut anywhere: decoded or refused, never worse */
        if (request_init(&r, slice_make(wire, n), &err)) {
            request_fini(&r);
        }
    }
    assert_false(request_init(&r, SLICE("\x12\xff\xff\xff\xff\x0f"), &err));
    assert_non_null(strstr(err.text, "DiscoveryRequest"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decoder_reads_back_what_was_put_in),
        cmocka_unit_test(a_request_is_decoded_and_a_broken_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
