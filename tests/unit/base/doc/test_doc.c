#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/doc/doc.h"
#include "base/macros.h"
#include "base/mem.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static const struct doc *parse(const char *name, struct slice bytes, struct err *err)
{
    /* An exact copy, so that reading one byte beyond it is seen. */
    char *copy = mem_alloc(bytes.n == 0 ? 1 : bytes.n);
    memcpy(copy, bytes.n == 0 ? "" : bytes.p, bytes.n);
    const struct doc *d = doc_parse(arena, (struct doc_source){.name = name, .bytes = {copy, bytes.n}}, NULL, err);
    mem_free(copy);
    return d;
}

static const struct doc *good(const char *name, const char *text)
{
    struct err err = {.kind = ERR_NONE};
    const struct doc *d = parse(name, slice_of(text), &err);
    if (d == NULL) {
        fail_msg("%s", err.text);
    }
    return d;
}

static void assert_json(const struct doc *d, const char *expected)
{
    struct strbuf out;
    strbuf_init(&out);
    doc_write_json(d, &out);
    assert_string_equal(strbuf_cstr(&out), expected);
    strbuf_fini(&out);
}

static void yaml_and_json_of_the_same_content_give_the_same_tree(void **state)
{
    (void)state;
    const struct doc *yaml = good("a.yaml", "a: 1\nb: [x, 'y', null]\nc: {d: true, e: -1.5}\nf: \"\"\n");
    const struct doc *json =
        good("a.json", "{\"a\":1,\"b\":[\"x\",\"y\",null],\"c\":{\"d\":true,\"e\":-1.5},\"f\":\"\"}");
    const char *expected = "{\"a\":1,\"b\":[\"x\",\"y\",null],\"c\":{\"d\":true,\"e\":-1.5},\"f\":\"\"}";
    assert_json(yaml, expected);
    assert_json(json, expected);
}

static void scalars_of_yaml_mean_what_the_core_schema_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum doc_kind kind;
    } rows[] = {
        {"no", DOC_STRING},      {"yes", DOC_STRING},      {"on", DOC_STRING},         {"y", DOC_STRING},
        {"true", DOC_BOOL},      {"False", DOC_BOOL},      {"TRUE", DOC_BOOL},         {"tRue", DOC_STRING},
        {"~", DOC_NULL},         {"null", DOC_NULL},       {"Null", DOC_NULL},         {"nULL", DOC_STRING},
        {"12", DOC_NUMBER},      {"-12", DOC_NUMBER},      {"+12", DOC_NUMBER},        {"012", DOC_NUMBER},
        {"0x1F", DOC_NUMBER},    {"0o17", DOC_NUMBER},     {"0b1", DOC_STRING},        {"0x", DOC_STRING},
        {"1_000", DOC_STRING},   {"12:30", DOC_STRING},    {"1.", DOC_NUMBER},         {".5", DOC_NUMBER},
        {"1e3", DOC_NUMBER},     {"1e", DOC_STRING},       {"1e+", DOC_STRING},        {".", DOC_STRING},
        {".inf", DOC_NUMBER},    {"-.INF", DOC_NUMBER},    {".nan", DOC_NUMBER},       {"-.nan", DOC_STRING},
        {"1.2.3.4", DOC_STRING}, {"'12'", DOC_STRING},     {"\"true\"", DOC_STRING},   {"!!str 12", DOC_STRING},
        {"! 12", DOC_STRING},    {"!!int 12", DOC_NUMBER}, {"2026-01-02", DOC_STRING}, {"-", DOC_LIST},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[64];
        snprintf(text, sizeof text, "- %s\n", rows[i].text);
        const struct doc *d = doc_at(good("s.yaml", text), 0);
        if (doc_kind(d) != rows[i].kind) {
            fail_msg("%s is a %s", rows[i].text, doc_kind_name(doc_kind(d)));
        }
    }
}

static void numbers_are_read_exactly_or_not_at_all(void **state)
{
    (void)state;
    const struct doc *d = good("n.yaml", "[18446744073709551615, 18446744073709551616, -9223372036854775808, 1e3, 1.5,"
                                         " 0x10, 0o17, -0, 0xffffffffffffffff, 0x1ffffffffffffffff, 1e300, -5]");
    uint64_t u = 0;
    int64_t i = 0;
    double f = 0;
    assert_true(doc_u64(doc_at(d, 0), &u));
    assert_true(u == UINT64_MAX);
    assert_false(doc_i64(doc_at(d, 0), &i));
    assert_false(doc_u64(doc_at(d, 1), &u));
    assert_true(doc_i64(doc_at(d, 2), &i));
    assert_true(i == INT64_MIN);
    assert_true(doc_u64(doc_at(d, 3), &u));
    assert_int_equal(u, 1000);
    assert_false(doc_u64(doc_at(d, 4), &u));
    assert_true(doc_number(doc_at(d, 4), &f));
    assert_true(f == 1.5);
    assert_true(doc_u64(doc_at(d, 5), &u));
    assert_int_equal(u, 16);
    assert_true(doc_u64(doc_at(d, 6), &u));
    assert_int_equal(u, 15);
    assert_true(doc_u64(doc_at(d, 7), &u));
    assert_int_equal(u, 0);
    assert_true(doc_u64(doc_at(d, 8), &u));
    assert_true(u == UINT64_MAX);
    assert_false(doc_u64(doc_at(d, 9), &u));
    assert_false(doc_u64(doc_at(d, 10), &u));
    assert_false(doc_u64(doc_at(d, 11), &u));
    d = good("n.yaml", "[.inf, -.Inf, .nan]");
    assert_true(doc_number(doc_at(d, 0), &f) && isinf(f) && f > 0);
    assert_true(doc_number(doc_at(d, 1), &f) && isinf(f) && f < 0);
    assert_true(doc_number(doc_at(d, 2), &f) && isnan(f));
}

static void positions_count_characters_from_one(void **state)
{
    (void)state;
    const struct doc *yaml = good("p.yaml", "a:\n  \xc3\xa4: [1,\n      2]\n");
    const struct doc *inner = doc_at(doc_get(yaml, "a"), 0);
    assert_int_equal(doc_key_line(inner), 2);
    assert_int_equal(doc_key_column(inner), 3);
    assert_int_equal(doc_column(inner), 6);
    assert_int_equal(doc_line(doc_at(inner, 1)), 3);
    assert_int_equal(doc_column(doc_at(inner, 1)), 7);
    const struct doc *json = good("p.json", "\xef\xbb\xbf{\r\n \"\xc3\xa4\": [1,\r\n  2]}");
    const struct doc *list = doc_at(json, 0);
    assert_int_equal(doc_key_line(list), 2);
    assert_int_equal(doc_key_column(list), 2);
    assert_int_equal(doc_column(list), 7);
    assert_int_equal(doc_line(doc_at(list, 1)), 3);
    assert_int_equal(doc_column(doc_at(list, 1)), 3);
    assert_string_equal(doc_file(list), "p.json");
    struct err err;
    assert_false(doc_fail(&err, list, ERR_INPUT, "wrong %d", 7));
    assert_string_equal(err.text, "p.json:2:7: wrong 7");
    assert_false(doc_fail_key(&err, list, ERR_INPUT, "wrong"));
    assert_string_equal(err.text, "p.json:2:2: wrong");
}

struct refusal {
    const char *name;
    struct slice text;
    const char *error;
};
#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static void check_refusals(const struct refusal *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct err err = {.kind = ERR_NONE};
        assert_null(parse(rows[i].name, rows[i].text, &err));
        if (strncmp(err.text, rows[i].error, strlen(rows[i].error)) != 0) {
            fail_msg("%.*s:\n is     %s\n should %s", SLICE_ARG(rows[i].text), err.text, rows[i].error);
        }
    }
}

static void every_refusal_of_json_names_its_position(void **state)
{
    (void)state;
    static const struct refusal rows[] = {
        {"a.json", TEXT(""), "a.json:1:1: the document ends too early"},
        {"a.json", TEXT(" \n "), "a.json:2:2: the document ends too early"},
        {"a.json", TEXT("{"), "a.json:1:2: the document ends too early"},
        {"a.json", TEXT("{\"a\""), "a.json:1:5: the document ends too early"},
        {"a.json", TEXT("{\"a\":"), "a.json:1:6: the document ends too early"},
        {"a.json", TEXT("[1"), "a.json:1:3: the document ends too early"},
        {"a.json", TEXT("[1 2]"), "a.json:1:4: expected ',' or ']'"},
        {"a.json", TEXT("{\"a\":1 \"b\":2}"), "a.json:1:8: expected ',' or '}'"},
        {"a.json", TEXT("[1,]"), "a.json:1:4: expected a value"},
        {"a.json", TEXT("{\"a\":1,}"), "a.json:1:8: expected a key in double quotes"},
        {"a.json", TEXT("{a:1}"), "a.json:1:2: expected a key in double quotes"},
        {"a.json", TEXT("{\"a\" 1}"), "a.json:1:6: expected ':' after the key"},
        {"a.json", TEXT("[\n 01]"), "a.json:2:2: a number must not begin with 0"},
        {"a.json", TEXT("[-]"), "a.json:1:3: not a number"},
        {"a.json", TEXT("[1.]"), "a.json:1:4: digits must follow the point"},
        {"a.json", TEXT("[1e+]"), "a.json:1:5: digits must follow the exponent"},
        {"a.json", TEXT("[+1]"), "a.json:1:2: expected a value"},
        {"a.json", TEXT("[.5]"), "a.json:1:2: expected a value"},
        {"a.json", TEXT("[NaN]"), "a.json:1:2: expected a value"},
        {"a.json", TEXT("[truE]"), "a.json:1:2: expected a value"},
        {"a.json", TEXT("[truefalse]"), "a.json:1:6: expected ',' or ']'"},
        {"a.json", TEXT("['a']"), "a.json:1:2: expected a value"},
        {"a.json", TEXT("[\"a]"), "a.json:1:2: the text has no closing quote"},
        {"a.json", TEXT("[\"a\\\"]"), "a.json:1:2: the text has no closing quote"},
        {"a.json", TEXT("[\"a\nb\"]"), "a.json:1:4: a control character must be escaped"},
        {"a.json", TEXT("[\"\\x\"]"), "a.json:1:4: unknown escape"},
        {"a.json", TEXT("[\"\\u12g4\"]"), "a.json:1:7: \\u needs four hexadecimal digits"},
        {"a.json", TEXT("[\"\\ud800\"]"), "a.json:1:9: half of a surrogate pair"},
        {"a.json", TEXT("[\"\\ud800\\u0041\"]"), "a.json:1:15: half of a surrogate pair"},
        {"a.json", TEXT("[\"\\udc00\"]"), "a.json:1:9: half of a surrogate pair"},
        {"a.json", TEXT("[\"\xc3\"]"), "a.json:1:3: not UTF-8"},
        {"a.json", TEXT("[\"\xc0\xaf\"]"), "a.json:1:3: not UTF-8"},
        {"a.json", TEXT("[\"\xed\xa0\x80\"]"), "a.json:1:3: not UTF-8"},
        {"a.json", TEXT("[\"\xf5\x80\x80\x80\"]"), "a.json:1:3: not UTF-8"},
        {"a.json", TEXT("{} x"), "a.json:1:4: something follows the document"},
        {"a.json", TEXT("[1]\0"), "a.json:1:4: something follows the document"},
        {"a.json", TEXT("{\"a\":1,\n\"b\":2,\n \"a\":3}"), "a.json:3:2: key \"a\" was already given at line 1"},
        {"a.json", TEXT("/*c*/{}"), "a.json:1:1: expected a value"},
    };
    check_refusals(rows, ARRAY_LEN(rows));
}

static void every_refusal_of_yaml_names_its_position(void **state)
{
    (void)state;
    static const struct refusal rows[] = {
        {"a.yaml", TEXT("a: 1\nb: 2\na: 3\n"), "a.yaml:3:1: key \"a\" was already given at line 1"},
        {"a.yaml", TEXT("a: 1\n---\nb: 2\n"), "a.yaml:2:1: more than one document in the file"},
        {"a.yaml", TEXT("x: &x {a: 1}\ny:\n  <<: *x\n"), "a.yaml:3:3: merge keys are not supported"},
        {"a.yaml", TEXT("a: *b\n"), "a.yaml:1:4: alias \"*b\" has no anchor before it"},
        {"a.yaml", TEXT("a: &a [1, *a]\n"), "a.yaml:1:11: alias \"*a\" stands inside its own anchor"},
        {"a.yaml", TEXT("? [a, b]\n: 1\n"), "a.yaml:1:3: a key must be a plain text, not a list"},
        {"a.yaml", TEXT("? {a: b}\n: 1\n"), "a.yaml:1:3: a key must be a plain text, not a map"},
        {"a.yaml", TEXT("a: &k b\n*k : 1\n"), "a.yaml:2:1: an alias as a key is not supported"},
        {"a.yaml", TEXT("&k a: b\n"), "a.yaml:1:1: an anchor on a key is not supported"},
        {"a.yaml", TEXT("?\n: 1\n"), "a.yaml:1:2: a key is missing"},
        {"a.yaml", TEXT("a: !!binary QQ==\n"), "a.yaml:1:4: tag \"tag:yaml.org,2002:binary\" is not supported"},
        {"a.yaml", TEXT("a: !x 1\n"), "a.yaml:1:4: tag \"!x\" is not supported"},
        {"a.yaml", TEXT("a: !!set {x}\n"), "a.yaml:1:4: tag \"tag:yaml.org,2002:set\" is not supported"},
        {"a.yaml", TEXT("a: !!int x\n"), "a.yaml:1:4: \"x\" does not fit its tag"},
        {"a.yaml", TEXT("a: [1, 2\n"), "a.yaml:2:1: did not find expected ',' or ']'"},
        {"a.yaml", TEXT("a: 'x\n"), "a.yaml:2:1: found unexpected end of stream"},
        {"a.yaml", TEXT("a:\n\t- b\n"), "a.yaml:2:1: found character that cannot start any token"},
        {"a.yaml", TEXT("a: b: c\n"), "a.yaml:1:5: mapping values are not allowed"},
        {"a.yaml", TEXT("a: 1\n b: 2\n"), "a.yaml:2:3: mapping values are not allowed"},
        {"a.yaml", TEXT("a: \xff\n"), "a.yaml:1:4: invalid leading UTF-8 octet"},
        {"a.yaml", TEXT("a: 1\nb: \x01\n"), "a.yaml:2:4: control characters are not allowed"},
    };
    check_refusals(rows, ARRAY_LEN(rows));
}

static void an_empty_yaml_file_is_null(void **state)
{
    (void)state;
    assert_true(doc_is(good("a.yaml", ""), DOC_NULL));
    assert_true(doc_is(good("a.yaml", "# nothing\n"), DOC_NULL));
}

static void aliases_repeat_their_anchor(void **state)
{
    (void)state;
    assert_json(good("a.yaml", "a: &x {k: [1]}\nb: *x\nc: [*x, &y 7, *y]\n"),
                "{\"a\":{\"k\":[1]},\"b\":{\"k\":[1]},\"c\":[{\"k\":[1]},7,7]}");
    assert_json(good("a.yaml", "[&a 1, *a, &a 2, *a]"), "[1,1,2,2]");
}

static void a_bomb_of_aliases_meets_the_limit(void **state)
{
    (void)state;
    struct strbuf text;
    strbuf_init(&text);
    strbuf_add_str(&text, "- &a0 [x, x]\n");
    for (int i = 1; i < 40; i++) {
        strbuf_printf(&text, "- &a%d [*a%d, *a%d]\n", i, i - 1, i - 1);
    }
    struct err err;
    assert_null(parse("a.yaml", strbuf_slice(&text), &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_non_null(strstr(err.text, "more than 4194304 values"));
    strbuf_fini(&text);
}

static void depth_is_limited_also_through_aliases(void **state)
{
    (void)state;
    struct strbuf text;
    strbuf_init(&text);
    for (int i = 0; i < 65; i++) {
        strbuf_add_str(&text, "[");
    }
    struct err err;
    assert_null(parse("a.json", strbuf_slice(&text), &err));
    assert_string_equal(err.text, "a.json:1:65: nested more than 64 deep");
    assert_null(parse("a.yaml", strbuf_slice(&text), &err));
    assert_string_equal(err.text, "a.yaml:1:65: nested more than 64 deep");
    strbuf_clear(&text);
    strbuf_add_str(&text, "- &a0 []\n");
    for (int i = 1; i < 70; i++) {
        strbuf_printf(&text, "- &a%d [*a%d]\n", i, i - 1);
    }
    assert_null(parse("a.yaml", strbuf_slice(&text), &err));
    assert_string_equal(err.text, "a.yaml:64:9: nested more than 64 deep");
    strbuf_fini(&text);
}

static void bytes_and_values_are_limited(void **state)
{
    (void)state;
    struct err err;
    struct doc_limits limits = {.max_bytes = 10, .max_nodes = 3, .max_depth = 4};
    struct doc_source source = {.name = "x", .bytes = SLICE("[1,2,3,4,5]"), .format = DOC_JSON};
    assert_null(doc_parse(arena, source, &limits, &err));
    assert_string_equal(err.text, "x: larger than 10 bytes");
    source.bytes = SLICE("[1,2,3]");
    assert_null(doc_parse(arena, source, &limits, &err));
    assert_string_equal(err.text, "x:1:6: more than 3 values");
    source.bytes = SLICE("[1,2]");
    assert_non_null(doc_parse(arena, source, &limits, &err));
}

static void large_maps_are_found_by_key_and_refuse_duplicates(void **state)
{
    (void)state;
    struct strbuf text;
    strbuf_init(&text);
    strbuf_add_char(&text, '{');
    for (int i = 0; i < 1000; i++) {
        strbuf_printf(&text, "\"key-%d\":%d,", i, i);
    }
    struct strbuf twice;
    strbuf_init(&twice);
    strbuf_add(&twice, strbuf_slice(&text));
    strbuf_add_str(&text, "\"last\":1}");
    strbuf_add_str(&twice, "\"key-500\":1}");
    const struct doc *d = good("a.json", strbuf_cstr(&text));
    assert_int_equal(doc_len(d), 1001);
    for (uint64_t i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "key-%d", (int)i);
        uint64_t value = 0;
        assert_true(doc_u64(doc_get(d, key), &value));
        assert_int_equal(value, i);
        assert_ptr_equal(doc_at(d, i), doc_get(d, key));
    }
    assert_null(doc_get(d, "key-1000"));
    struct err err;
    assert_null(parse("a.json", strbuf_slice(&twice), &err));
    assert_non_null(strstr(err.text, "key \"key-500\" was already given at line 1"));
    strbuf_fini(&text);
    strbuf_fini(&twice);
}

static void a_document_cut_anywhere_is_refused_and_never_read_beyond(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1.5e+3,\"x\\u00e4\\ud83d\\ude00\\n\",true],\"b\":{\"c\":null,\"d\":false},\"\xc3\xa4\":-0}";
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct err err;
        assert_null(parse("a.json", slice_make(text, n), &err));
    }
    const struct doc *d = good("a.json", text);
    assert_json(d,
                "{\"a\":[1500,\"x\xc3\xa4\xf0\x9f\x98\x80\\n\",true],\"b\":{\"c\":null,\"d\":false},\"\xc3\xa4\":0}");
    for (size_t n = 0; n < sizeof text - 1; n++) {
        parse("a.yaml", slice_make(text, n), NULL); /* may be good YAML; must only not crash */
    }
}

static void the_format_follows_the_name_or_the_first_character(void **state)
{
    (void)state;
    struct err err;
    assert_json(good("x", " \n[1]"), "[1]");
    assert_json(good("x", "a: 1"), "{\"a\":1}");
    assert_null(parse("x", SLICE("{a: 1}"), &err));
    assert_json(good("x.YML", "{a: 1}"), "{\"a\":1}");
    assert_json(good("x.yaml", "\xef\xbb\xbf"
                               "a: 1"),
                "{\"a\":1}");
}

static void looking_into_nothing_finds_nothing(void **state)
{
    (void)state;
    const struct doc *d = good("x", "a: text\nn: 5\n");
    assert_null(doc_get(doc_get(doc_get(d, "b"), "c"), "d"));
    assert_null(doc_at(NULL, 0));
    assert_int_equal(doc_len(doc_get(d, "a")), 0);
    assert_null(doc_get(doc_get(d, "a"), "x"));
    assert_int_equal(doc_get_string(d, "a").n, 4);
    assert_int_equal(doc_get_string(d, "n").n, 0);
    assert_int_equal(doc_key(doc_at(d, 1)).n, 1);
    assert_int_equal(doc_key(d).n, 0);
    bool b = false;
    double f = 0;
    assert_false(doc_bool(doc_get(d, "a"), &b));
    assert_false(doc_number(doc_get(d, "a"), &f));
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct err err;
    assert_null(doc_read(arena, "/nonexistent/a.yaml", NULL, &err));
    assert_int_equal(err.kind, ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(yaml_and_json_of_the_same_content_give_the_same_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scalars_of_yaml_mean_what_the_core_schema_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_are_read_exactly_or_not_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(positions_count_characters_from_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_refusal_of_json_names_its_position, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_refusal_of_yaml_names_its_position, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_yaml_file_is_null, set_up, tear_down),
        cmocka_unit_test_setup_teardown(aliases_repeat_their_anchor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bomb_of_aliases_meets_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(depth_is_limited_also_through_aliases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_and_values_are_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_maps_are_found_by_key_and_refuse_duplicates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_document_cut_anywhere_is_refused_and_never_read_beyond, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_format_follows_the_name_or_the_first_character, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looking_into_nothing_finds_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
