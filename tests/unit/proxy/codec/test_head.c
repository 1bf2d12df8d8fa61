#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/codec/chars.h"
#include "proxy/codec/head.h"

static struct head start(void)
{
    struct head h;
    head_init(&h, arena_create(0));
    return h;
}

static void every_known_name_is_interned_as_itself(void **state)
{
    (void)state;
    for (int id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        assert_int_equal(head_intern(head_field_name((enum head_field)id)), id);
    }
    assert_int_equal(head_intern(SLICE("x-unknown")), FIELD_OTHER);
    assert_int_equal(head_intern(SLICE("")), FIELD_OTHER);
    assert_int_equal(head_intern(SLICE("a-name-that-is-longer-than-any-we-know-of")), FIELD_OTHER);
}

static void set_replaces_all_of_a_name_and_keeps_the_others(void **state)
{
    (void)state;
    struct head h = start();
    head_add(&h, SLICE("x-a"), SLICE("1"));
    head_add(&h, SLICE("via"), SLICE("p"));
    head_add(&h, SLICE("x-a"), SLICE("2"));
    bool present;
    assert_true(slice_eq(head_joined(&h, SLICE("x-a"), &present), SLICE("1,2")));
    assert_true(present);
    head_set(&h, SLICE("x-a"), SLICE("3"));
    assert_int_equal(h.n, 2);
    assert_true(slice_eq(head_find(&h, SLICE("x-a"))->value, SLICE("3")));
    assert_true(slice_eq(head_value_id(&h, FIELD_VIA), SLICE("p")));
    head_set_id(&h, FIELD_DATE, SLICE("now"));
    assert_int_equal(head_remove(&h, SLICE("x-a")), 1);
    assert_int_equal(head_remove_id(&h, FIELD_VIA), 1);
    assert_int_equal(h.n, 1);
    assert_null(head_find(&h, SLICE("x-a")));
    head_joined(&h, SLICE("x-a"), &present);
    assert_false(present);
    arena_destroy(&h.arena);
}

static void a_copy_owns_its_text(void **state)
{
    (void)state;
    struct head h = start();
    char text[] = "value";
    head_add(&h, SLICE("x-a"), slice_make(text, 5));
    h.path = slice_make(text, 5);
    struct arena *other = arena_create(0);
    struct head *c = head_copy(&h, other);
    text[0] = 'X';
    arena_destroy(&h.arena);
    assert_true(slice_eq(c->path, SLICE("value")));
    assert_true(slice_eq(head_find(c, SLICE("x-a"))->value, SLICE("value")));
    for (int i = 0; i < 40; i++) {
        head_add(c, SLICE("x-b"), SLICE("v"));
    }
    assert_int_equal(c->n, 41);
    arena_destroy(&other);
}

static void hop_by_hop_fields_go_with_all_that_connection_names(void **state)
{
    (void)state;
    struct head h = start();
    struct err err;
    head_add(&h, SLICE("connection"), SLICE("close, X-Secret , te"));
    head_add(&h, SLICE("connection"), SLICE("x-other"));
    head_add(&h, SLICE("x-secret"), SLICE("1"));
    head_add(&h, SLICE("x-other"), SLICE("2"));
    head_add(&h, SLICE("x-kept"), SLICE("3"));
    head_add(&h, SLICE("keep-alive"), SLICE("timeout=5"));
    head_add(&h, SLICE("te"), SLICE("gzip, trailers"));
    head_add(&h, SLICE("upgrade"), SLICE("websocket"));
    head_add(&h, SLICE("proxy-connection"), SLICE("close"));
    head_add(&h, SLICE("http2-settings"), SLICE("AAA"));
    head_add(&h, SLICE("trailer"), SLICE("x-sum"));
    assert_true(head_strip_hop_by_hop(&h, &err));
    assert_int_equal(h.n, 3);
    assert_non_null(head_find(&h, SLICE("x-kept")));
    assert_non_null(head_find(&h, SLICE("trailer")));
    assert_true(slice_eq(head_value_id(&h, FIELD_TE), SLICE("trailers")));
    arena_destroy(&h.arena);
}

static void an_end_to_end_field_may_not_be_nominated(void **state)
{
    (void)state;
    static const char *lists[] = {"Host",
                                  "cookie",
                                  "close, Authorization",
                                  "X-Forwarded-For",
                                  "content-length",
                                  "transfer-encoding",
                                  "x y",
                                  "ocp-apim-subscription-key",
                                  "\"a\""};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct head h = start();
        struct err err = {0};
        head_add(&h, SLICE("connection"), slice_of(lists[i]));
        assert_false(head_strip_hop_by_hop(&h, &err));
        assert_int_equal(err.kind, ERR_PROTOCOL);
        arena_destroy(&h.arena);
    }
}

static void authorities_are_hosts_with_an_optional_port(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"a", true},          {"a.b:80", true}, {"A-b_c.~:65535", true}, {"[::1]", true},     {"[::1]:1", true},
        {"a:", true},         {"", false},      {":80", false},          {"u@a", false},      {"a:65536", false},
        {"a:0x1", false},     {"a:8 0", false}, {"a b", false},          {"a/b", false},      {"a,b", false},
        {"[::1", false},      {"[]", false},    {"[::1]x", false},       {"::1", false},      {"a:1:2", false},
        {"a\xc3\xa9", false}, {"a%41", false},  {"[::1%25eth0]", false}, {"a:123456", false}, {"a?b", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct authority a;
        if (authority_parse(slice_of(cases[i].text), &a) != cases[i].ok) {
            fail_msg("%s", cases[i].text);
        }
    }
    struct authority a, b;
    assert_true(authority_parse(SLICE("Host.example"), &a) && authority_parse(SLICE("host.EXAMPLE:80"), &b));
    assert_true(authority_same(&a, &b, 80));
    assert_false(authority_same(&a, &b, 443));
}

static void value_bytes_are_found_at_every_offset(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool ok = c == '\t' || (c >= 0x20 && c != 0x7f);
        for (size_t at = 0; at < 20; at++) {
            char text[20];
            for (size_t i = 0; i < sizeof text; i++) {
                text[i] = i % 3 == 0 ? (char)0xe9 : '~';
            }
            text[at] = (char)c;
            assert_int_equal(chars_value_span(text, sizeof text), ok ? sizeof text : at);
        }
    }
}

static void names_that_resemble_framing_are_known(void **state)
{
    (void)state;
    assert_true(chars_looks_like_framing(SLICE("content_length")));
    assert_true(chars_looks_like_framing(SLICE("transfer_encoding")));
    assert_true(chars_looks_like_framing(SLICE("transfer--encoding")));
    assert_true(chars_looks_like_framing(SLICE("transferencoding")));
    assert_true(chars_looks_like_framing(SLICE("transfer-encoding'")));
    assert_true(chars_looks_like_framing(SLICE("_content.length")));
    assert_false(chars_looks_like_framing(SLICE("x-content-length")));
    assert_false(chars_looks_like_framing(SLICE("content-language")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_name_is_interned_as_itself),
        cmocka_unit_test(set_replaces_all_of_a_name_and_keeps_the_others),
        cmocka_unit_test(a_copy_owns_its_text),
        cmocka_unit_test(hop_by_hop_fields_go_with_all_that_connection_names),
        cmocka_unit_test(an_end_to_end_field_may_not_be_nominated),
        cmocka_unit_test(authorities_are_hosts_with_an_optional_port),
        cmocka_unit_test(value_bytes_are_found_at_every_offset),
        cmocka_unit_test(names_that_resemble_framing_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
