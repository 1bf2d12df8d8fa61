/* Which URL templates can be served, and which fit the same requests. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/macros.h"
#include "xds/source/template.h"

struct check_row {
    const char *text, *why; /* NULL: it can be served */
};

static const struct check_row CHECKS[] = {
    {"/", NULL},
    {"/a/{b}/c.{d}", NULL},
    {"/{a}-{b}", NULL},
    {"/*", NULL},
    {"/a/{*rest}", NULL},
    {"/a*b", NULL},
    {"/a//b/", NULL},
    {"/a?b={c}&d=e&f&", NULL},
    {"/odata('{key}')", NULL},
    {"/.well-known/x", NULL},
    {"/a b", "a blank"},
    {"/a\x7f", "a control character"},
    {"/a#b", "'#'"},
    {"/{", "braces"},
    {"/}", "braces"},
    {"/{{a}}", "braces"},
    {"/{a/b}", "a parameter's name holds"},
    {"/{a?b}", "a parameter's name holds"},
    {"/{}", "no name"},
    {"/{*}", "no name"},
    {"/{a}{b}", "side by side"},
    {"/{a}/{A}", "one name"},
    {"/{a}?x={a}", "one name"},
    {"/*/a", "not the last segment"},
    {"/{*a}/b", "not the last segment"},
    {"/x{*a}", "not a whole segment"},
    {"/x?{a}=1", "no literal name"},
    {"/x?=1", "no literal name"},
    {"/x?a=1{b}", "neither one parameter nor literal"},
    {"/x?a={b}c", "neither one parameter nor literal"},
    {"/x?a={b}{c}", "neither one parameter nor literal"},
    {"/x?a={*b}", "a catch-all stands in the query"},
    {"/x?a=1&A=2", "one query parameter twice"},
    {"/a/../b", "dot segment"},
    {"/./b", "dot segment"},
};

static void what_the_proxy_would_refuse_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CHECKS); i++) {
        const char *why = template_check(CHECKS[i].text);
        print_message("%s\n", CHECKS[i].text);
        assert_int_equal(why == NULL, CHECKS[i].why == NULL);
        assert_true(why == NULL || strstr(why, CHECKS[i].why) != NULL);
    }
    char text[1100];
    memset(text, 'a', sizeof text);
    text[1001] = '\0';
    assert_string_equal(template_check(text), "the path is longer than 1000 bytes");
    text[1000] = '\0';
    assert_null(template_check(text));
}

static void a_template_of_many_parameters_and_pairs_is_no_trouble(void **state)
{
    (void)state;
    char text[1001] = "/";
    for (int i = 0; strlen(text) < 990; i++) {
        strcat(text, i == 0 ? "?a" : "&a");
    }
    assert_non_null(strstr(template_check(text), "twice"));
    struct arena *arena = arena_create(0);
    assert_non_null(template_key(arena, text));
    arena_destroy(&arena);
}

struct pair_row {
    const char *a, *b;
    bool same;
};

static const struct pair_row PAIRS[] = {
    {"/a/{x}", "/a/{y}", true},       {"/a", "/a/", false},           {"/A", "/a", true},
    {"/a%2Db", "/a-b", true},         {"/a%2Fb", "/a/b", false},     {"/a%252Fb", "/a%2Fb", false},
    {"/a/{x}", "/a/*", false},        {"/a/*", "/a/{*r}", true},     {"/{a}.{b}", "/{c}.{d}", true},
    {"/{a}.{b}", "/{a}-{b}", false},  {"/{a}", "/{a}.", false},      {"/q?a=1&b={x}", "/q?B={y}&A=1", true},
    {"/q?a=1", "/q?a={x}", false},    {"/q?a", "/q?a=", true},       {"/q?a=%41", "/q?a=a", true},
    {"/q?a=+", "/q?a=%20", true},     {"/q", "/q?", true},           {"/q", "/q?a=1", false},
    {"/a//b", "/a/b", false},         {"/%7Bx%7D", "/{x}", false},   {"/a%26b", "/a&b", true},
};

static void templates_that_fit_the_same_requests_have_one_key(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
        const char *a = template_key(arena, PAIRS[i].a), *b = template_key(arena, PAIRS[i].b);
        print_message("%s %s: %s %s\n", PAIRS[i].a, PAIRS[i].b, a, b);
        assert_int_equal(strcmp(a, b) == 0, PAIRS[i].same);
    }
    assert_string_equal(template_path_key(arena, SLICE("A%2Db/%2f/C")), "/a-b/%2f/c");
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_proxy_would_refuse_is_refused_with_its_reason),
        cmocka_unit_test(a_template_of_many_parameters_and_pairs_is_no_trouble),
        cmocka_unit_test(templates_that_fit_the_same_requests_have_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
