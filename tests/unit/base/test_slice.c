#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macros.h"
#include "base/slice.h"
#include "base/strbuf.h"

static void comparing_knows_length_order_and_ascii_case(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE("a"), slice_of("a")));
    assert_true(slice_eq(SLICE_NONE, SLICE("")));
    assert_true(slice_eq(slice_of(NULL), SLICE_NONE));
    assert_false(slice_eq(SLICE("a"), SLICE("ab")));
    assert_true(slice_eq_nocase(SLICE("Host"), SLICE("hOST")));
    assert_false(slice_eq_nocase(SLICE("\xc4"), SLICE("\xe4")));
    assert_true(slice_cmp(SLICE("a"), SLICE("ab")) < 0);
    assert_true(slice_cmp(SLICE("b"), SLICE("ab")) > 0);
    assert_true(slice_cmp(SLICE("\xff"), SLICE("a")) > 0);
    assert_int_equal(slice_cmp(SLICE_NONE, SLICE("")), 0);
    assert_true(slice_starts_with(SLICE("abc"), SLICE("ab")));
    assert_false(slice_starts_with(SLICE("ab"), SLICE("abc")));
    assert_true(slice_starts_with_nocase(SLICE("ABC"), SLICE("ab")));
    assert_true(slice_ends_with(SLICE("abc"), SLICE("bc")));
    assert_true(slice_ends_with(SLICE("abc"), SLICE("")));
    assert_false(slice_ends_with(SLICE("c"), SLICE("bc")));
    assert_true(slice_ends_with_nocase(SLICE("a.YAML"), SLICE(".yaml")));
}

static void parts_are_clamped(void **state)
{
    (void)state;
    struct slice s = SLICE("abc");
    assert_true(slice_eq(slice_from(s, 1), SLICE("bc")));
    assert_int_equal(slice_from(s, 9).n, 0);
    assert_int_equal(slice_from(SLICE_NONE, 1).n, 0);
    assert_true(slice_eq(slice_sub(s, 1, 1), SLICE("b")));
    assert_true(slice_eq(slice_sub(s, 1, 99), SLICE("bc")));
    assert_true(slice_eq(slice_sub(s, 1, SIZE_MAX), SLICE("bc")));
    assert_true(slice_eq(slice_trim(SLICE(" \ta b\t ")), SLICE("a b")));
    assert_int_equal(slice_trim(SLICE("  ")).n, 0);
    assert_int_equal(slice_trim(SLICE_NONE).n, 0);
}

static void searching_gives_the_length_when_there_is_nothing(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE("abc"), 'c'), 2);
    assert_int_equal(slice_find(SLICE("abc"), 'x'), 3);
    assert_int_equal(slice_find(SLICE_NONE, 'x'), 0);
    assert_int_equal(slice_search(SLICE("abcabd"), SLICE("abd")), 3);
    assert_int_equal(slice_search(SLICE("abc"), SLICE("x")), 3);
    assert_int_equal(slice_search(SLICE("abc"), SLICE("")), 0);
}

static void cutting_ends_with_a_null_rest(void **state)
{
    (void)state;
    static const char *const parts[] = {"a", "", "b", ""};
    struct slice rest = SLICE("a,,b,");
    size_t n = 0;
    while (rest.p != NULL) {
        assert_true(n < ARRAY_LEN(parts));
        assert_true(slice_eq(slice_cut(&rest, ','), slice_of(parts[n++])));
    }
    assert_int_equal(n, ARRAY_LEN(parts));
}

static void numbers_are_digits_that_fit(void **state)
{
    (void)state;
    uint64_t v = 0;
    assert_true(slice_to_u64(SLICE("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    static const char *const wrong[] = {
        "", "18446744073709551616", "99999999999999999999", "-1", "+1", " 1", "1 ", "0x1", "1.0"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(slice_to_u64(slice_of(wrong[i]), &v));
    }
    assert_true(slice_to_u64(SLICE("0007"), &v));
    assert_int_equal(v, 7);
}

static void a_hash_depends_on_bytes_and_seed(void **state)
{
    (void)state;
    assert_true(slice_hash(SLICE("a"), 1) == slice_hash(slice_of("a"), 1));
    assert_false(slice_hash(SLICE("a"), 1) == slice_hash(SLICE("a"), 2));
    assert_false(slice_hash(SLICE("a"), 1) == slice_hash(SLICE("b"), 1));
    assert_true(slice_hash(SLICE_NONE, 1) == slice_hash(SLICE(""), 1));
}

static void a_strbuf_grows_and_escapes_json(void **state)
{
    (void)state;
    struct strbuf s;
    strbuf_init(&s);
    assert_string_equal(strbuf_cstr(&s), "");
    for (int i = 0; i < 1000; i++) {
        strbuf_printf(&s, "%d,", i % 10);
    }
    assert_int_equal(s.n, 2000);
    strbuf_clear(&s);
    strbuf_add_json(&s, SLICE("a\"\\\n\r\t\x01\x7f\xc3\xa4"));
    assert_string_equal(strbuf_cstr(&s), "\"a\\\"\\\\\\n\\r\\t\\u0001\\u007f\xc3\xa4\"");
    strbuf_fini(&s);
    assert_int_equal(strbuf_slice(&s).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing_knows_length_order_and_ascii_case),
        cmocka_unit_test(parts_are_clamped),
        cmocka_unit_test(searching_gives_the_length_when_there_is_nothing),
        cmocka_unit_test(cutting_ends_with_a_null_rest),
        cmocka_unit_test(numbers_are_digits_that_fit),
        cmocka_unit_test(a_hash_depends_on_bytes_and_seed),
        cmocka_unit_test(a_strbuf_grows_and_escapes_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
