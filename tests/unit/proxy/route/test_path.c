#include "unit/proxy/route/fixture.h"

#include "proxy/route/path.h"

struct path_case {
    const char *in;
    enum path_verdict verdict;
    const char *out;
};

static void check_paths(const struct path_options *o, const struct path_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_create(0);
        /* the exact length on the heap, so that reading beyond it shows */
        size_t n = strlen(cases[i].in);
        char *exact = malloc(n > 0 ? n : 1);
        memcpy(exact, cases[i].in, n);
        struct slice out;
        enum path_verdict v = path_normalize(slice_make(exact, n), o, arena, &out);
        if (v != cases[i].verdict) {
            fail_msg("%s: verdict %d, want %d", cases[i].in, (int)v, (int)cases[i].verdict);
        }
        if (v != PATH_REJECTED) {
            assert_slice(out, cases[i].out == NULL ? cases[i].in : cases[i].out);
        }
        free(exact);
        arena_destroy(&arena);
    }
}

static void dot_segments_backslashes_and_unreserved_escapes_are_normalised(void **state)
{
    (void)state;
    static const struct path_case cases[] = {
        {"/", PATH_SAME, NULL},
        {"/a/b?x=/../y", PATH_SAME, NULL},
        {"*", PATH_SAME, NULL},
        {"/a/./b", PATH_CHANGED, "/a/b"},
        {"/a/../b", PATH_CHANGED, "/b"},
        {"/a/b/..", PATH_CHANGED, "/a/"},
        {"/a/b/.", PATH_CHANGED, "/a/b/"},
        {"/..", PATH_CHANGED, "/"},
        {"/../../x", PATH_CHANGED, "/x"},
        {"/a//../b", PATH_CHANGED, "/a/b"},
        {"/.well-known/x", PATH_SAME, NULL},
        {"/a/...", PATH_SAME, NULL},
        {"/a/%2e%2E/b?q", PATH_CHANGED, "/b?q"},
        {"/a\\..\\b", PATH_CHANGED, "/b"},
        {"/%61%7e%2d", PATH_CHANGED, "/a~-"},
        {"/%2f%20%c3%a9", PATH_SAME, NULL},
        {"/%zz%2", PATH_SAME, NULL},
        {"/%2%65%2e", PATH_CHANGED, "/%2%65."},
        {"/%%32e", PATH_SAME, NULL},
        {"/a%00", PATH_REJECTED, NULL},
        {"/a#b", PATH_REJECTED, NULL},
        {"/a?b#c", PATH_REJECTED, NULL},
        {"", PATH_REJECTED, NULL},
        {"a/b", PATH_REJECTED, NULL},
        {"http://a/b", PATH_REJECTED, NULL},
        {"/a//b", PATH_SAME, NULL},
    };
    struct path_options o = {.normalize = true};
    check_paths(&o, cases, ARRAY_LEN(cases));
}

static void slashes_are_merged_behind_normalisation_only_in_the_path(void **state)
{
    (void)state;
    static const struct path_case cases[] = {
        {"//a///b//", PATH_CHANGED, "/a/b/"},
        {"/a//b?c=//d", PATH_CHANGED, "/a/b?c=//d"},
        {"/a/.//../b", PATH_CHANGED, "/a/b"},
        {"/a/b", PATH_SAME, NULL},
    };
    struct path_options o = {.normalize = true, .merge_slashes = true};
    check_paths(&o, cases, ARRAY_LEN(cases));
}

static void nothing_is_touched_when_nothing_is_asked_for(void **state)
{
    (void)state;
    static const struct path_case cases[] = {
        {"/a/../b//c%2f%41\\", PATH_SAME, NULL},
        {"/a#", PATH_REJECTED, NULL},
    };
    struct path_options o = {.normalize = false};
    check_paths(&o, cases, ARRAY_LEN(cases));
}

static void escaped_slashes_are_kept_rejected_unescaped_or_redirected(void **state)
{
    (void)state;
    static const struct path_case reject[] = {{"/a%2fb", PATH_REJECTED, NULL},
                                              {"/a%5Cb", PATH_REJECTED, NULL},
                                              {"/a?%2f", PATH_SAME, NULL},
                                              {"/a%20b", PATH_SAME, NULL}};
    static const struct path_case unescape[] = {{"/a%2F..%5c..%2Fb?%2f", PATH_CHANGED, "/b?%2f"},
                                                {"/a%2", PATH_SAME, NULL}};
    static const struct path_case redirect[] = {{"/a%2Fb", PATH_REDIRECT, "/a/b"}, {"/a/../b", PATH_CHANGED, "/b"}};
    static const struct path_case only[] = {{"/a%2F..%5cb", PATH_CHANGED, "/a/..\\b"}};
    struct path_options o = {.normalize = true, .escaped_slashes = PATH_SLASHES_REJECT};
    check_paths(&o, reject, ARRAY_LEN(reject));
    o.escaped_slashes = PATH_SLASHES_UNESCAPE;
    check_paths(&o, unescape, ARRAY_LEN(unescape));
    o.escaped_slashes = PATH_SLASHES_UNESCAPE_REDIRECT;
    check_paths(&o, redirect, ARRAY_LEN(redirect));
    o = (struct path_options){.escaped_slashes = PATH_SLASHES_UNESCAPE};
    check_paths(&o, only, ARRAY_LEN(only));
}

static void percent_escapes_are_decoded_and_broken_ones_left(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    assert_slice(path_decode(SLICE("a%20b%2Fc+d"), arena), "a b/c+d");
    assert_slice(query_decode(SLICE("a%20b+c%2B"), arena), "a b c+");
    assert_slice(path_decode(SLICE("%"), arena), "%");
    assert_slice(path_decode(SLICE("%4"), arena), "%4");
    assert_slice(path_decode(SLICE("%g1%41"), arena), "%g1A");
    struct slice plain = SLICE("plain");
    assert_ptr_equal(path_decode(plain, arena).p, plain.p);
    arena_destroy(&arena);
}

static void a_query_is_walked_parameter_by_parameter(void **state)
{
    (void)state;
    struct slice rest = SLICE("&a=1&&b&c==&=d&a=2&"), name, value;
    const char *const want[][2] = {{"a", "1"}, {"b", ""}, {"c", "="}, {"", "d"}, {"a", "2"}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(query_next(&rest, &name, &value));
        assert_slice(name, want[i][0]);
        assert_slice(value, want[i][1]);
        assert_int_equal(value.p == NULL, i == 1);
    }
    assert_false(query_next(&rest, &name, &value));
    bool found = false;
    assert_slice(query_get(SLICE("x=1&a=2&a=3"), SLICE("a"), &found), "2");
    assert_true(found);
    query_get(SLICE("x=1"), SLICE("A"), &found);
    assert_false(found);
    struct slice query;
    assert_slice(path_split(SLICE("/a?"), &query), "/a");
    assert_non_null(query.p);
    assert_slice(path_split(SLICE("/a"), &query), "/a");
    assert_null(query.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dot_segments_backslashes_and_unreserved_escapes_are_normalised),
        cmocka_unit_test(slashes_are_merged_behind_normalisation_only_in_the_path),
        cmocka_unit_test(nothing_is_touched_when_nothing_is_asked_for),
        cmocka_unit_test(escaped_slashes_are_kept_rejected_unescaped_or_redirected),
        cmocka_unit_test(percent_escapes_are_decoded_and_broken_ones_left),
        cmocka_unit_test(a_query_is_walked_parameter_by_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
