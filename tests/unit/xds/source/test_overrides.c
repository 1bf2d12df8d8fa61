#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/macros.h"
#include "xds/source/overrides.h"
#include "xds/source/props.h"

static struct overrides *read_text(const char *text)
{
    struct err err = {.kind = ERR_NONE};
    struct overrides *o = overrides_read("c.yaml", slice_of(text), &err);
    if (o == NULL) {
        fail_msg("%s", err.text);
    }
    return o;
}

static const char EXAMPLE[] = "apimServiceName: x\n"
                              "apis:\n"
                              "  - name: My;rev=2\n"
                              "    properties:\n"
                              "      serviceUrl: https://prod\n"
                              "    policies:\n"
                              "      - name: policy\n"
                              "        properties:\n"
                              "          format: rawxml\n"
                              "          value: |\n"
                              "            <policies>\n"
                              "            </policies>\n"
                              "    operations:\n"
                              "      - name: Get\n"
                              "        policies:\n"
                              "          - name: policy\n"
                              "            properties: {value: '<policies/>'}\n"
                              "    diagnostics:\n"
                              "      - name: d\n"
                              "NamedValues:\n"
                              "  - {name: nv, properties: {value: v}}\n"
                              "policies:\n"
                              "  - {name: policy, properties: {value: '<policies/>'}}\n"
                              "workspaces:\n"
                              "  - name: W\n"
                              "    backends:\n"
                              "      - {name: b}\n";

static void entries_are_found_by_path(void **state)
{
    (void)state;
    const char *const paths[] = {"apis/my;rev=2",   "apis/my;rev=2/policies/policy",
                                 "apis/my;rev=2/operations/get", "apis/my;rev=2/operations/get/policies/policy",
                                 "apis/my;rev=2/diagnostics/d",  "namedvalues/nv",
                                 "policies/policy", "workspaces/w",
                                 "workspaces/w/backends/b"};
    struct overrides *o = read_text(EXAMPLE);
    assert_int_equal(o->problem_count, 0);
    assert_int_equal(o->n, ARRAY_LEN(paths));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_non_null(overrides_find(o, slice_of(paths[i])));
    }
    const struct override *api = overrides_find(o, SLICE("apis/my;rev=2"));
    assert_string_equal(api->name, "My;rev=2");
    assert_int_equal(api->line, 3);
    assert_null(overrides_find(o, SLICE("apis/other")));
    assert_null(overrides_find(NULL, SLICE("apis/other")));
    overrides_unref(&o);
}

static void a_policy_knows_the_line_on_which_its_text_begins(void **state)
{
    (void)state;
    struct overrides *o = read_text(EXAMPLE);
    struct slice text;
    uint32_t line;
    assert_true(override_policy(o, overrides_find(o, SLICE("apis/my;rev=2/policies/policy")), &text, &line));
    assert_true(slice_eq(text, SLICE("<policies>\n</policies>\n")));
    assert_int_equal(line, 11);
    assert_true(override_policy(o, overrides_find(o, SLICE("policies/policy")), &text, &line));
    assert_int_equal(line, 23);
    assert_false(override_policy(o, overrides_find(o, SLICE("namedvalues/nv/x")), &text, &line));
    overrides_unref(&o);
}

struct bad {
    const char *text;
    uint32_t line;
    const char *reason;
    const char *closed; /* path of the entry that is closed by it, or NULL */
};

static const struct bad BAD[] = {
    {"apis: []\nfoo: 1\n", 2, "unknown section \"foo\"", NULL},
    {"apis: {}\n", 1, "\"apis\" is not a list", NULL},
    {"apis:\n  - properties: {}\n", 2, "without a name", NULL},
    {"apis:\n  - 3\n", 2, "without a name", NULL},
    {"apis:\n  - name: a\n    colour: red\n", 3, "unknown member \"colour\"", NULL},
    {"backends:\n  - name: a\n    properties:\n      url: https://{#host#}/x\n", 4, "token", "backends/a"},
    {"subscriptions:\n  - name: a\n    properties: {x: [{y: '{#t#}'}]}\n", 3, "token", "subscriptions/a"},
    {"backends:\n  - name: a\n  - name: A\n", 3, "stands there twice", "backends/a"},
    {"backends:\n  - name: a\n    properties: 3\n", 3, "not a map", "backends/a"},
    {"workspaces:\n  - name: w\n    foo: []\n", 3, "unknown section \"foo\"", NULL},
    {"workspaces: 3\n", 1, "\"workspaces\" is not a list", NULL},
};

static void what_does_not_fit_is_a_problem_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct overrides *o = read_text(BAD[i].text);
        assert_int_equal(o->problem_count, 1);
        assert_int_equal(o->problems[0].line, BAD[i].line);
        if (strstr(o->problems[0].text, BAD[i].reason) == NULL) {
            fail_msg("row %zu: %s", i, o->problems[0].text);
        }
        for (size_t k = 0; k < o->n; k++) {
            bool closed = BAD[i].closed != NULL && strcmp(BAD[i].closed, o->entries[k].path) == 0;
            assert_int_equal(o->entries[k].closed != NULL, closed);
        }
        overrides_unref(&o);
    }
}

static void an_unreadable_file_is_an_error_and_an_empty_one_is_not(void **state)
{
    (void)state;
    struct err err;
    assert_null(overrides_read("c.yaml", SLICE("a: [\n"), &err));
    assert_non_null(strstr(err.text, "c.yaml:"));
    assert_null(overrides_read("c.yaml", SLICE("- a\n"), &err));
    assert_string_equal(err.text, "c.yaml:1:1: expected a map of sections");
    const char *const fine[] = {"", "\n", "# nothing\n", "apis:\n"};
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        struct overrides *o = read_text(fine[i]);
        assert_int_equal(o->n + o->problem_count, 0);
        overrides_unref(&o);
    }
}

static void maps_merge_deeply_and_everything_else_replaces(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct err err;
    struct doc_source base = {"b", SLICE("{a: 1, m: {x: 1, y: {z: 1}}, l: [1, 2], gone: 5, t: text}"), DOC_YAML};
    struct doc_source over = {"o", SLICE("{m: {y: {w: 2}, n: 3}, l: [9], gone: null, t: {k: 1}}"), DOC_YAML};
    struct props p = {doc_parse(arena, base, NULL, &err), doc_parse(arena, over, NULL, &err)};
    assert_true(slice_eq(props_text(p, "a"), SLICE("1")));
    assert_null(props_get(p, "gone"));
    assert_int_equal(doc_len(props_get(p, "l")), 1);
    struct props m = props_child(p, "m"), y = props_child(m, "y");
    assert_true(slice_eq(props_text(m, "x"), SLICE("1")));
    assert_true(slice_eq(props_text(m, "n"), SLICE("3")));
    assert_true(slice_eq(props_text(y, "z"), SLICE("1")));
    assert_string_equal(doc_file(props_get(y, "w")), "o");
    assert_true(slice_eq(props_text(props_child(p, "t"), "k"), SLICE("1")));
    size_t i = 0, n = 0;
    while (props_at(m, &i) != NULL) {
        n++;
    }
    assert_int_equal(n, 3);
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_by_path),
        cmocka_unit_test(a_policy_knows_the_line_on_which_its_text_begins),
        cmocka_unit_test(what_does_not_fit_is_a_problem_with_its_line),
        cmocka_unit_test(an_unreadable_file_is_an_error_and_an_empty_one_is_not),
        cmocka_unit_test(maps_merge_deeply_and_everything_else_replaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
