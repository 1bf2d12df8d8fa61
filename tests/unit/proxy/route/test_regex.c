#include "unit/proxy/route/fixture.h"

#include "proxy/route/regex.h"

static void what_re2_reads_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "/a/.*",          "/users/\\d+",
        "(?i)/Abc",       "(?P<id>[a-z]+)/(?:x|y)?",
        "[^/]+",          "a{2,3}b{4}c{5,}",
        "a{,5}",          "[]a]",
        "[[:alpha:]_-]+", "\\.\\/\\-",
        "\\x41\\x{263a}", "\\pL\\p{Greek}\\P{Lu}",
        "a*?b+?c??d{2}?", "^/x$",
        "\\Qa.b*\\E+",    "(?i:a)(?-s)b",
        "[[:^digit:]]",   "(?<name>a)",
        "\\bfoo\\B",      "[a\\]b\\d]",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena *arena = arena_create(0);
        struct err err = {.kind = ERR_NONE};
        if (regex_compile(slice_of(good[i]), REGEX_WHOLE, arena, &err) == NULL) {
            fail_msg("%s refused: %s", good[i], err.text);
        }
        arena_destroy(&arena);
    }
}

static void what_re2_would_refuse_or_read_differently_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "(a)\\1",  "\\k<n>",  "\\g1",       "(?=a)",      "(?!a)",   "(?<=a)b",   "(?<!a)b", "(?>a)",
        "a*+",     "a++",     "a?+",     "a{2}+",      "a**",        "a{2}{3}", "(?R)",      "(?1)",    "(?&n)",
        "(?P>n)",  "(?P=n)",  "(?C1)",   "(?(1)a|b)",  "(*ACCEPT)a", "(?x) a",  "(?#c)a",    "(?|a|b)", "(?'n'a)",
        "a\\Kb",   "\\G",     "\\R",     "\\X",        "\\h",        "\\v",     "\\Z",       "\\C",     "\\N",
        "\\u0041", "[[.a.]]", "[[=a=]]", "[[:nope:]]", "[\\b]",      "a{1001}", "a{2,1001}", "[a",      "(a",
        "a)",      "*a",      "\\",      "\\x4",       "\\x{}",      "(?)",     "(?i-)",     "\\Qabc",  "a{3,2}",
        "\\cA",    "(?^i)a",  "(?J)a",   "\\o{101}",   "\\e",        "(?",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena *arena = arena_create(0);
        struct err err = {.kind = ERR_NONE};
        if (regex_compile(slice_of(bad[i]), REGEX_WHOLE, arena, &err) != NULL) {
            fail_msg("%s accepted", bad[i]);
        }
        assert_true(err.text[0] != '\0');
        arena_destroy(&arena);
    }
}

static void a_whole_match_is_anchored_at_both_ends(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *subject;
        enum regex_result want;
    } cases[] = {
        {"/a", "/a", REGEX_YES},
        {"/a", "/ab", REGEX_NO},
        {"/a", "x/a", REGEX_NO},
        {"a|ab", "ab", REGEX_YES},
        {"/a.*?", "/abc", REGEX_YES},
        {"a$", "a\n", REGEX_NO},
        {"", "", REGEX_NO},
        {".*", "", REGEX_YES},
        {"a.c", "a\nc", REGEX_NO},
        {"(?s)a.c", "a\nc", REGEX_YES},
        {"\\d+", "12x", REGEX_NO},
        {".", "\xc3\xa9", REGEX_YES},
        {"a.*", "a\xff", REGEX_LIMIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_create(0);
        struct regex *re = regex_compile(slice_of(cases[i].pattern), REGEX_WHOLE, arena, NULL);
        if (re != NULL) {
            struct regex_scratch scratch = {.arena = arena};
            if (regex_match(re, slice_of(cases[i].subject), &scratch) != cases[i].want) {
                fail_msg("%zu: %s", i, cases[i].pattern);
            }
        }
        arena_destroy(&arena);
    }
}

static void work_is_bounded(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct regex *re = regex_compile(SLICE("(a|aa)*[bc]"), REGEX_WHOLE, arena, NULL);
    struct regex_scratch scratch = {.arena = arena};
    char subject[200];
    memset(subject, 'a', sizeof subject);
    assert_int_equal(regex_match(re, slice_make(subject, sizeof subject), &scratch), REGEX_LIMIT);
    assert_true(arena_bytes(arena) < 4 << 20);
    arena_destroy(&arena);
}

static void replacing_substitutes_every_match_with_groups(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *substitution, *subject, *want;
    } cases[] = {
        {"^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/service/foo/v1/api", "/v1/api/instance/foo"},
        {"one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"},
        {"(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"},
        {"x", "\\\\\\0", "axb", "a\\xb"},
        {"b*", "-", "abc", "-a-c-"},
        {"(a)|b", "[\\1]", "ab", "[a][]"},
        {"nothing", "x", "abc", "abc"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_create(0);
        struct regex *re = regex_compile(slice_of(cases[i].pattern), REGEX_ANYWHERE, arena, NULL);
        struct regex_scratch scratch = {.arena = arena};
        struct slice out;
        assert_non_null(re);
        assert_true(regex_check_substitution(re, slice_of(cases[i].substitution), NULL));
        enum regex_result r =
            regex_replace(re, slice_of(cases[i].substitution), slice_of(cases[i].subject), &scratch, &out);
        assert_int_not_equal(r, REGEX_LIMIT);
        assert_slice(out, cases[i].want);
        arena_destroy(&arena);
    }
}

static void a_substitution_that_explodes_hits_the_limit(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct regex *re = regex_compile(SLICE("(.*)"), REGEX_ANYWHERE, arena, NULL);
    struct regex_scratch scratch = {.arena = arena};
    char subject[20000], substitution[64];
    memset(subject, 'x', sizeof subject);
    for (size_t i = 0; i < sizeof substitution; i += 2) {
        memcpy(substitution + i, "\\1", 2);
    }
    struct slice out;
    assert_int_equal(regex_replace(re, slice_make(substitution, sizeof substitution),
                                   slice_make(subject, sizeof subject), &scratch, &out),
                     REGEX_LIMIT);
    arena_destroy(&arena);
}

static void a_substitution_names_only_groups_that_are_there(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct regex *re = regex_compile(SLICE("(a)"), REGEX_ANYWHERE, arena, NULL);
    struct err err;
    assert_true(regex_check_substitution(re, SLICE("\\0\\1"), &err));
    assert_false(regex_check_substitution(re, SLICE("\\2"), &err));
    assert_text_has(&err, "\\2");
    assert_false(regex_check_substitution(re, SLICE("\\n"), &err));
    assert_false(regex_check_substitution(re, SLICE("a\\"), &err));
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_re2_reads_is_accepted),
        cmocka_unit_test(what_re2_would_refuse_or_read_differently_is_refused),
        cmocka_unit_test(a_whole_match_is_anchored_at_both_ends),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(replacing_substitutes_every_match_with_groups),
        cmocka_unit_test(a_substitution_that_explodes_hits_the_limit),
        cmocka_unit_test(a_substitution_names_only_groups_that_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
