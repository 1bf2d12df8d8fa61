/* Expressions are found and taken out before an XML reader sees the document. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/macros.h"
#include "xds/policy/expression.h"

/* What follows the expression is told apart by "|". */
static const char *const WHOLE[] = {
    "@(1)|\"",
    "@(a(b[c]{d}))|)",
    "@(\"a)b\")| />",
    "@(\"a\\\")b\")|",
    "@(@\"c:\\\")|)",
    "@(@\"a\"\")b\")|)",
    "@($\"{x(\")\")}){{\")|}",
    "@($\"{{)}}\")|",
    "@($@\"\\{x}\"\")\")|",
    "@(@$\"{ @\"}\" }\")|",
    "@(')')|",
    "@('\\'')|)",
    "@(a /* ) */ + b)|)",
    "@(a // )\n + b)|)",
    "@{ return \"}\"; }|}",
    "@{ // it's a comment with an apostrophe and a \"quote\n return 1; }|",
    "@{ var r = new Regex(@\"\\d{3}\"); if (x < 3 && y > 2) { return '<'; } return a[\"b\"]; }|</value>",
    "@(context.Variables[&quot;a)&quot;])|",
    "@(&quot;a\\&quot;)&quot;)|",
    "@(\"say &quot;)&quot; twice\")|",
    "@(a &lt; b &amp;&amp; c == &apos;)&apos;)|",
    "@(\"\xc3\xa9\" + '\xc3\xa9')|",
};

static const char *const ENDLESS[] = {
    "@(", "@(a", "@(\"a)", "@(a]", "@{ return (1; }", "@($\"{a)", "@(/* )", "@(@\"a)", "x", "@", "(a)",
    "@[a]", "",
};

static size_t length_of(const char *text, size_t n)
{
    return expression_length(slice_make(text, n));
}

static void an_expression_ends_where_csharp_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(WHOLE); i++) {
        char text[300];
        size_t expected = strcspn(WHOLE[i], "|");
        memcpy(text, WHOLE[i], expected);
        strcpy(text + expected, WHOLE[i] + expected + 1);
        if (length_of(text, strlen(text)) != expected) {
            fail_msg("%s: %zu instead of %zu", text, length_of(text, strlen(text)), expected);
        }
    }
}

static void no_part_of_an_expression_is_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(WHOLE); i++) {
        size_t whole = strcspn(WHOLE[i], "|");
        /* Cut within a character, its apostrophe stands for itself. */
        bool begins_with_char = WHOLE[i][2] == '\'' || strstr(WHOLE[i], "&apos;") != NULL;
        for (size_t n = 0; n < whole && !begins_with_char; n++) {
            if (length_of(WHOLE[i], n) != 0) {
                fail_msg("%.*s is taken for an expression", (int)n, WHOLE[i]);
            }
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(ENDLESS); i++) {
        assert_int_equal(length_of(ENDLESS[i], strlen(ENDLESS[i])), 0);
    }
}

static void brackets_and_strings_in_strings_are_limited(void **state)
{
    (void)state;
    char text[5000];
    memset(text, '(', sizeof text);
    text[0] = '@';
    memset(text + 2500, ')', 2500);
    assert_int_equal(length_of(text, sizeof text), 0);
    for (size_t i = 2; i + 3 < sizeof text; i += 3) {
        memcpy(text + i, "$\"{", 3);
    }
    assert_int_equal(length_of(text, sizeof text), 0);
}

struct row {
    const char *document, *plain;
    size_t n;
    uint32_t line, column; /* of the last */
};

static const struct row ROWS[] = {
    {"<a b=\"@(c[\"d\"] < 1 && e)\"/>", "<a b=\"@(#0)             \"/>", 1, 1, 7},
    {"<a b='@(1)'/>", "<a b='@(#0)'/>", 1, 1, 7},
    {"<a>\n <b> @{\n  return \"<x>\";\n } </b></a>", "<a>\n <b> @(#0)\n             \n   </b></a>", 1, 2, 6},
    {"<a b=\"@(1)\" c = \"@(22222)\">@(\"<\")</a>", "<a b=\"@(#0)\" c = \"@(#1)   \">@(#2) </a>", 3, 1, 28},
    {"<!-- @(\" --><a b=\"x\"><![CDATA[@(\"]]></a><?p @(\"?>", NULL, 0, 0, 0},
    {"<a b=\"mail@(x)\">a @(b)</a>", NULL, 0, 0, 0}, /* not the whole of it */
    {"<a b=\"@(unfinished\"/>", NULL, 0, 0, 0},
    {"<a b=\"@(1) more\">@(2) more</a>", NULL, 0, 0, 0},
    {"<a b=\"@(#7)\"/>", "<a b=\"@(#0)\"/>", 1, 1, 7},
    {"<a", NULL, 0, 0, 0},
    {"", NULL, 0, 0, 0},
};

static void expressions_leave_marks_and_lines_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct expressions e = {.arena = arena_create(0)};
        struct strbuf out;
        strbuf_init(&out);
        expressions_lift(&e, slice_of(ROWS[i].document), &out);
        size_t lines[2] = {0};
        for (const char *p = ROWS[i].document; *p != '\0'; p++) {
            lines[0] += *p == '\n';
        }
        for (const char *p = strbuf_cstr(&out); *p != '\0'; p++) {
            lines[1] += *p == '\n';
        }
        assert_int_equal(lines[0], lines[1]);
        assert_int_equal(e.n, ROWS[i].n);
        assert_string_equal(strbuf_cstr(&out), ROWS[i].plain == NULL ? ROWS[i].document : ROWS[i].plain);
        if (e.n > 0) {
            assert_int_equal(e.items[e.n - 1].line, ROWS[i].line);
            assert_int_equal(e.items[e.n - 1].column, ROWS[i].column);
        }
        strbuf_fini(&out);
        arena_destroy(&e.arena);
    }
}

static void every_prefix_of_a_document_is_taken(void **state)
{
    (void)state;
    const char *text = "<a b=\"@(c[\"d\"])\"><!-- x --><![CDATA[y]]>@{ return $\"{z}\"; }</a>";
    for (size_t n = 0; n <= strlen(text); n++) {
        struct expressions e = {.arena = arena_create(0)};
        struct strbuf out;
        strbuf_init(&out);
        expressions_lift(&e, slice_make(text, n), &out);
        assert_true(e.n <= 2);
        strbuf_fini(&out);
        arena_destroy(&e.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expression_ends_where_csharp_says),
        cmocka_unit_test(no_part_of_an_expression_is_one),
        cmocka_unit_test(brackets_and_strings_in_strings_are_limited),
        cmocka_unit_test(expressions_leave_marks_and_lines_stay),
        cmocka_unit_test(every_prefix_of_a_document_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
