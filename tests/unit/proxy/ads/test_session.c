#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/ads/backoff.h"
#include "proxy/ads/session.h"
#include "unit/proxy/ads/ads_test.h"

enum { T_CDS, T_EDS, T_LDS, T_API };

static char seen[2048];

/* All requests that are due, joined with "; ". */
static const char *requests(struct ads_session *s)
{
    struct strbuf request, all;
    strbuf_init(&request);
    strbuf_init(&all);
    while (ads_session_next(s, &request)) {
        char one[1024];
        strbuf_printf(&all, "%s%s", all.n > 0 ? "; " : "", request_text(strbuf_slice(&request), one, sizeof one));
    }
    snprintf(seen, sizeof seen, "%s", strbuf_cstr(&all));
    strbuf_fini(&request);
    strbuf_fini(&all);
    return seen;
}

static struct ads_session *session(void)
{
    struct ads_session *s = ads_session_create(NODE, false);
    ads_session_add_type(s, SLICE(CDS));
    ads_session_add_type(s, SLICE(EDS));
    ads_session_add_type(s, SLICE(LDS));
    ads_session_add_type(s, SLICE(API));
    struct slice all = SLICE("*");
    ads_session_set_names(s, T_CDS, &all, 1);
    ads_session_set_names(s, T_LDS, &all, 1);
    ads_session_set_names(s, T_API, &all, 1);
    return s;
}

static enum ads_verdict receive(struct ads_session *s, struct wire w, struct err *err)
{
    struct arena *arena = arena_create(0);
    struct ads_response response;
    enum ads_verdict verdict = ads_session_receive(s, wire_pack(arena, w), arena, &response, err);
    if (verdict == ADS_TAKE) {
        assert_int_equal(response.n, w.n);
        assert_true(slice_eq(response.version, slice_of(w.version)));
        assert_true(w.n == 0 || slice_eq(response.resources[w.n - 1].bytes, SLICE("\n")));
    }
    arena_destroy(&arena);
    return verdict;
}

static void take(struct ads_session *s, const char *type, const char *version, const char *nonce)
{
    struct err err;
    assert_int_equal(receive(s, (struct wire){.type = type, .version = version, .nonce = nonce, .n = 2}, &err),
                     ADS_TAKE);
}

static void a_new_stream_asks_for_each_type_with_names_and_says_the_node_once(void **state)
{
    (void)state;
    struct ads_session *s = session();
    assert_string_equal(requests(s), "");
    ads_session_open(s);
    assert_string_equal(requests(s), "Cluster v= n= node []; Listener v= n= []; Api v= n= [*]");
    assert_string_equal(requests(s), "");
    ads_session_destroy(&s);
}

static void an_acknowledgement_carries_version_and_nonce(void **state)
{
    (void)state;
    struct ads_session *s = session();
    ads_session_open(s);
    requests(s);
    take(s, CDS, "7", "a");
    assert_string_equal(requests(s), "");
    ads_session_ack(s);
    assert_string_equal(requests(s), "Cluster v=7 n=a []");
    take(s, API, "h1", "b");
    ads_session_ack(s);
    assert_string_equal(requests(s), "Api v=h1 n=b [*]");
    assert_true(slice_eq(ads_session_version(s, T_CDS), SLICE("7")));
    ads_session_destroy(&s);
}

static void a_refusal_keeps_the_accepted_version_and_is_said_once(void **state)
{
    (void)state;
    struct ads_session *s = session();
    ads_session_open(s);
    requests(s);
    take(s, CDS, "1", "a");
    ads_session_ack(s);
    requests(s);
    take(s, CDS, "2", "b");
    ads_session_nack(s, SLICE("x: lb_policy: no"));
    assert_string_equal(requests(s), "Cluster v=1 n=b [] error 13: x: lb_policy: no");
    assert_string_equal(requests(s), "");
    take(s, CDS, "3", "c");
    ads_session_ack(s);
    assert_string_equal(requests(s), "Cluster v=3 n=c []");
    ads_session_destroy(&s);
}

static void changed_names_are_a_request_of_their_own(void **state)
{
    (void)state;
    struct ads_session *s = session();
    ads_session_open(s);
    requests(s);
    struct slice names[] = {SLICE("b"), SLICE("a"), SLICE("b")}, same[] = {SLICE("a"), SLICE("b")};
    ads_session_set_names(s, T_EDS, names, 3);
    assert_string_equal(requests(s), "ClusterLoadAssignment v= n= [a,b]");
    ads_session_set_names(s, T_EDS, same, 2);
    assert_string_equal(requests(s), "");
    assert_int_equal(ads_session_name_count(s, T_EDS), 2);
    take(s, EDS, "1", "e1");
    ads_session_ack(s);
    ads_session_set_names(s, T_EDS, same, 1);
    assert_string_equal(requests(s), "ClusterLoadAssignment v=1 n=e1 [a]");
    ads_session_set_names(s, T_EDS, NULL, 0);
    assert_string_equal(requests(s), "ClusterLoadAssignment v=1 n=e1 []");
    ads_session_destroy(&s);
}

static void a_type_that_was_never_wanted_is_never_asked_for(void **state)
{
    (void)state;
    struct ads_session *s = session();
    struct slice name = SLICE("a");
    ads_session_open(s);
    requests(s);
    ads_session_set_names(s, T_EDS, &name, 1);
    ads_session_set_names(s, T_EDS, NULL, 0);
    assert_string_equal(requests(s), "");
    ads_session_destroy(&s);
}

static void a_new_stream_forgets_nonces_and_keeps_versions(void **state)
{
    (void)state;
    struct ads_session *s = session();
    ads_session_open(s);
    requests(s);
    take(s, CDS, "1", "a");
    ads_session_ack(s);
    take(s, LDS, "2", "b");
    ads_session_nack(s, SLICE("bad"));
    ads_session_close(s);
    assert_string_equal(requests(s), "");
    ads_session_open(s);
    assert_string_equal(requests(s), "Cluster v=1 n= node []; Listener v= n= []; Api v= n= [*]");
    ads_session_destroy(&s);
}

static void what_is_accepted_after_its_stream_ended_counts_but_is_not_said(void **state)
{
    (void)state;
    struct ads_session *s = session();
    ads_session_open(s);
    requests(s);
    take(s, CDS, "1", "a");
    ads_session_close(s);
    ads_session_ack(s);
    assert_string_equal(requests(s), "");
    ads_session_open(s);
    assert_string_equal(requests(s), "Cluster v=1 n= node []; Listener v= n= []; Api v= n= [*]");
    take(s, CDS, "2", "b");
    ads_session_close(s);
    ads_session_open(s);
    requests(s);
    ads_session_nack(s, SLICE("bad"));
    assert_string_equal(requests(s), "");
    ads_session_destroy(&s);
}

static void a_type_nobody_asked_for_is_passed_over(void **state)
{
    (void)state;
    struct ads_session *s = session();
    struct err err = {.kind = ERR_NONE};
    ads_session_open(s);
    requests(s);
    assert_int_equal(receive(s, (struct wire){.type = EDS, .version = "1", .nonce = "a", .n = 1}, &err), ADS_DONE);
    assert_string_equal(err.text, EDS ": a type that was not asked for");
    assert_int_equal(receive(s, (struct wire){.type = "x/y.Z", .version = "1", .nonce = "a"}, &err), ADS_DONE);
    assert_string_equal(requests(s), "");
    ads_session_destroy(&s);
}

static void a_response_that_crossed_with_our_withdrawal_is_not_applied(void **state)
{
    (void)state;
    struct ads_session *s = session();
    struct slice name = SLICE("a");
    struct err err = {.kind = ERR_NONE};
    ads_session_set_names(s, T_EDS, &name, 1);
    ads_session_open(s);
    requests(s);
    ads_session_set_names(s, T_EDS, NULL, 0);
    requests(s);
    assert_int_equal(receive(s, (struct wire){.type = EDS, .version = "1", .nonce = "a", .n = 1}, &err), ADS_DONE);
    assert_int_equal(err.kind, ERR_NONE);
    assert_string_equal(requests(s), "ClusterLoadAssignment v= n=a []");
    ads_session_destroy(&s);
}

static void a_resource_of_another_type_refuses_the_response(void **state)
{
    (void)state;
    struct ads_session *s = session();
    struct err err;
    ads_session_open(s);
    requests(s);
    struct wire w = {.type = CDS, .version = "1", .nonce = "a", .inner = LDS, .n = 1};
    assert_int_equal(receive(s, w, &err), ADS_DONE);
    assert_string_equal(requests(s),
                        "Cluster v= n=a [] error 13: resources[0]: of type " LDS " in a response of type " CDS);
    ads_session_destroy(&s);
}

static struct slice wrapped(struct arena *arena, bool expires)
{
    Envoy__Service__Discovery__V3__DiscoveryResponse m = ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_RESPONSE__INIT;
    Envoy__Service__Discovery__V3__Resource resource = ENVOY__SERVICE__DISCOVERY__V3__RESOURCE__INIT;
    Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
    Google__Protobuf__Any inner = GOOGLE__PROTOBUF__ANY__INIT, outer = GOOGLE__PROTOBUF__ANY__INIT, *list = &outer;
    inner.type_url = (char *)(uintptr_t)CDS;
    inner.value.data = (uint8_t *)(uintptr_t) "abc";
    inner.value.len = 3;
    ttl.seconds = 5;
    resource.resource = &inner;
    resource.ttl = expires ? &ttl : NULL;
    struct slice packed = pack_message(&resource.base, arena);
    outer.type_url = (char *)(uintptr_t) "type.googleapis.com/envoy.service.discovery.v3.Resource";
    outer.value.data = (uint8_t *)(uintptr_t)packed.p;
    outer.value.len = packed.n;
    m.type_url = (char *)(uintptr_t)CDS;
    m.nonce = (char *)(uintptr_t) "a";
    m.resources = &list;
    m.n_resources = 1;
    return pack_message(&m.base, arena);
}

static void a_wrapped_resource_is_unwrapped_and_one_that_expires_refused(void **state)
{
    (void)state;
    struct ads_session *s = session();
    struct arena *arena = arena_create(0);
    struct ads_response response;
    struct err err;
    ads_session_open(s);
    requests(s);
    assert_int_equal(ads_session_receive(s, wrapped(arena, false), arena, &response, &err), ADS_TAKE);
    assert_int_equal(response.n, 1);
    assert_true(slice_eq(response.resources[0].type_url, SLICE(CDS)));
    assert_true(slice_eq(response.resources[0].bytes, SLICE("abc")));
    ads_session_ack(s);
    requests(s);
    assert_int_equal(ads_session_receive(s, wrapped(arena, true), arena, &response, &err), ADS_DONE);
    assert_non_null(strstr(requests(s), "error 13: resources[0]: ttl: "));
    arena_destroy(&arena);
    ads_session_destroy(&s);
}

static void bytes_that_are_no_response_break_the_stream(void **state)
{
    (void)state;
    struct ads_session *s = session();
    struct arena *arena = arena_create(0);
    struct ads_response response;
    ads_session_open(s);
    requests(s);
    struct slice good = wire_pack(arena, (struct wire){.type = CDS, .version = "1", .nonce = "a", .n = 1});
    unsigned broken = 0;
    for (size_t n = 0; n < good.n; n++) {
        struct err err = {.kind = ERR_NONE};
        enum ads_verdict verdict = ads_session_receive(s, slice_sub(good, 0, n), arena, &response, &err);
        if (verdict == ADS_TAKE) { /* cut between two fields: shorter, but whole */
            ads_session_nack(s, SLICE("cut"));
        }
        broken += verdict == ADS_BROKEN;
        assert_true(verdict == ADS_TAKE || err.kind != ERR_NONE);
    }
    assert_true(broken > good.n / 2);
    arena_destroy(&arena);
    ads_session_destroy(&s);
}

static void a_refusal_cut_inside_a_character_loses_the_half(void **state)
{
    (void)state;
    static const struct {
        const char *reason, *sent;
    } rows[] = {
        {"caf\xc3\xa9", "caf\xc3\xa9"}, {"caf\xc3", "caf"}, {"x\xe2\x82", "x"}, {"x\xf0\x9f\x98", "x"}, {"", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ads_session *s = session();
        char want[128];
        ads_session_open(s);
        requests(s);
        take(s, CDS, "1", "a");
        ads_session_nack(s, slice_of(rows[i].reason));
        snprintf(want, sizeof want, "Cluster v= n=a [] error 13: %s", rows[i].sent);
        assert_string_equal(requests(s), want);
        ads_session_destroy(&s);
    }
}

static void waits_grow_to_the_cap_and_vary(void **state)
{
    (void)state;
    struct backoff b = {.base_ms = 500, .cap_ms = 30000};
    static const uint32_t bounds[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        assert_int_equal(backoff_next_ms(&b, bounds[i] - 1), bounds[i] - 1);
    }
    for (unsigned i = 0; i < 100; i++) {
        assert_true(backoff_next_ms(&b, UINT32_MAX - i) < 30000);
    }
    assert_int_equal(backoff_next_ms(&b, 0), BACKOFF_LEAST_MS);
    backoff_reset(&b);
    assert_true(backoff_next_ms(&b, 12345) < 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_stream_asks_for_each_type_with_names_and_says_the_node_once),
        cmocka_unit_test(an_acknowledgement_carries_version_and_nonce),
        cmocka_unit_test(a_refusal_keeps_the_accepted_version_and_is_said_once),
        cmocka_unit_test(changed_names_are_a_request_of_their_own),
        cmocka_unit_test(a_type_that_was_never_wanted_is_never_asked_for),
        cmocka_unit_test(a_new_stream_forgets_nonces_and_keeps_versions),
        cmocka_unit_test(what_is_accepted_after_its_stream_ended_counts_but_is_not_said),
        cmocka_unit_test(a_type_nobody_asked_for_is_passed_over),
        cmocka_unit_test(a_response_that_crossed_with_our_withdrawal_is_not_applied),
        cmocka_unit_test(a_resource_of_another_type_refuses_the_response),
        cmocka_unit_test(a_wrapped_resource_is_unwrapped_and_one_that_expires_refused),
        cmocka_unit_test(bytes_that_are_no_response_break_the_stream),
        cmocka_unit_test(a_refusal_cut_inside_a_character_loses_the_half),
        cmocka_unit_test(waits_grow_to_the_cap_and_vary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
