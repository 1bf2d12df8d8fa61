#include "unit/proxy/route/fixture.h"

#include "proxy/route/template.h"

static void templates_are_read_into_segments_and_query(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct err err;
    struct url_template *t =
        url_template_parse(SLICE("/Orders/{id}/v{major}.{minor}/a%20b/{*rest}?view={v}&Kind=a%2Fb&flag"), arena, &err);
    assert_non_null(t);
    assert_int_equal(t->segment_count, 5);
    assert_int_equal(t->name_count, 5);
    assert_int_equal(t->segments[0].kind, TEMPLATE_LITERAL);
    assert_slice(t->segments[0].text, "Orders");
    assert_int_equal(t->segments[1].kind, TEMPLATE_PARAM);
    assert_slice(t->segments[1].names[0], "id");
    assert_int_equal(t->segments[2].kind, TEMPLATE_MIXED);
    assert_slice(t->segments[2].parts[0], "v");
    assert_slice(t->segments[2].names[1], "minor");
    assert_slice(t->segments[3].text, "a b");
    assert_int_equal(t->segments[4].kind, TEMPLATE_REST);
    assert_slice(t->segments[4].names[0], "rest");
    assert_int_equal(t->query_count, 3);
    assert_slice(t->query[0].param, "v");
    assert_slice(t->query[1].value, "a/b");
    assert_slice(t->query[2].value, "");
    assert_non_null(t->query[2].value.p);
    arena_destroy(&arena);
}

static void slashes_at_the_ends_do_not_count(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t segments;
    } cases[] = {{"", 0},   {"/", 0},    {"a", 1},  {"/a", 1},   {"/a/", 1},  {"/a/b/", 2},
                 {"//", 1}, {"/a//", 2}, {"/*", 1}, {"?x=1", 0}, {"/?x=1", 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_create(0);
        struct url_template *t = url_template_parse(slice_of(cases[i].text), arena, NULL);
        assert_non_null(t);
        assert_int_equal(t->segment_count, cases[i].segments);
        arena_destroy(&arena);
    }
}

static void what_cannot_be_a_template_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "/{",        "/}",         "/{a",       "/a}",    "/{{a}}", "/{}",        "/{*}",    "/{a}{b}",  "/{a}/{A}",
        "/*/a",      "/{*a}/b",    "/x{*a}",    "/{a/b}", "/{?a}",  "/a{*b}c",    "/?{a}=1", "/?a={b}c", "/?=1",
        "/?a=1&A=2", "/{a}?b={a}", "/a?b={*c}", "/{a=1}", "/a\tb",  "/?a={b}{c}", "/{a*}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena *arena = arena_create(0);
        struct err err;
        if (url_template_parse(slice_of(bad[i]), arena, &err) != NULL) {
            fail_msg("%s accepted", bad[i]);
        }
        assert_text_has(&err, "url template");
        arena_destroy(&arena);
    }
    struct arena *arena = arena_create(0);
    char text[TEMPLATE_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_null(url_template_parse(slice_make(text, sizeof text), arena, NULL));
    arena_destroy(&arena);
}

/* Every beginning of a valid template is either refused or read, never misread into memory. */
static void every_beginning_of_a_template_is_safe(void **state)
{
    (void)state;
    const char *text = "/a{b}c{d}/{*e}?f={g}&h=i%2f";
    for (size_t n = 0; n <= strlen(text); n++) {
        char *exact = malloc(n + 1);
        memcpy(exact, text, n);
        exact = realloc(exact, n > 0 ? n : 1);
        struct arena *arena = arena_create(0);
        url_template_parse(slice_make(exact, n), arena, NULL);
        arena_destroy(&arena);
        free(exact);
    }
}

static void mixed_segments_take_as_little_as_they_can(void **state)
{
    (void)state;
    static const struct {
        const char *segment, *subject, *values; /* joined with '|', NULL: no match */
    } cases[] = {
        {"v{a}", "v1", "1"},           {"v{a}", "V1", "1"},         {"v{a}", "v", NULL},
        {"{a}.json", "x.json", "x"},   {"{a}.json", ".json", NULL}, {"{a}.json", "x.json.json", "x.json"},
        {"{a}-{b}", "1-2-3", "1|2-3"}, {"{a}-{b}", "-1", NULL},     {"{a}-{b}", "--1", "-|1"},
        {"({a},{b})", "(1,2)", "1|2"}, {"({a},{b})", "(1,)", NULL}, {"a{x}a", "aa", NULL},
        {"a{x}a", "aaa", "a"},         {"{a}x{b}x", "1x2x", "1|2"}, {"{a}x{b}x", "1x2", NULL},
        {"{a}x{b}x", "xxxx", "x|x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_create(0);
        struct url_template *t = url_template_parse(slice_of(cases[i].segment), arena, NULL);
        assert_non_null(t);
        struct slice values[2];
        bool fits = template_mixed_match(&t->segments[0], slice_of(cases[i].subject), values);
        if (fits != (cases[i].values != NULL)) {
            fail_msg("%s on %s", cases[i].segment, cases[i].subject);
        }
        struct slice want = slice_of(cases[i].values);
        for (uint32_t k = 0; fits && k < t->segments[0].name_count; k++) {
            struct slice one = slice_cut(&want, '|');
            assert_true(slice_eq(values[k], one));
        }
        arena_destroy(&arena);
    }
}

static void templates_are_the_same_whatever_their_parameters_are_called(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"/a/{x}", "/A/{y}", true}, {"/a/{x}", "/A/{y}/", false},   {"/a/{x}", "/a/b", false}, {"/{x}.j", "/{y}.J", true},
        {"/{x}.j", "/{y}.k", false},   {"/*", "/{*r}", true},     {"/a?x={p}&y=1", "/a?Y=1&X={q}", true},
        {"/a?x={p}", "/a?x=p", false}, {"/a?x={p}", "/a", false}, {"/a?x=1", "/a?x=2", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_create(0);
        struct url_template *a = url_template_parse(slice_of(cases[i].a), arena, NULL);
        struct url_template *b = url_template_parse(slice_of(cases[i].b), arena, NULL);
        assert_int_equal(url_template_same(a, b), cases[i].same);
        assert_int_equal(url_template_same(b, a), cases[i].same);
        arena_destroy(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_are_read_into_segments_and_query),
        cmocka_unit_test(slashes_at_the_ends_do_not_count),
        cmocka_unit_test(what_cannot_be_a_template_is_refused),
        cmocka_unit_test(every_beginning_of_a_template_is_safe),
        cmocka_unit_test(mixed_segments_take_as_little_as_they_can),
        cmocka_unit_test(templates_are_the_same_whatever_their_parameters_are_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
