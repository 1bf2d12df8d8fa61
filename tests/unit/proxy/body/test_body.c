/* Stages on bodies: tables, and every way a body may be cut into pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/strbuf.h"
#include "proxy/body/stage.h"

static struct arena *arena;

static int open_arena(void **state)
{
    (void)state;
    arena = arena_create(0);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_destroy(&arena);
    return 0;
}

/* Runs a body through, in pieces of `first`, then `step` bytes; *err when it cannot go on. */
struct cut {
    size_t first, step;
};

static bool run(struct body_stage *stage, struct slice body, struct cut cut, struct strbuf *out, struct err *err)
{
    struct body_chain *c = body_chain_create(arena);
    struct buf in, made;
    bool ok = true;
    size_t n = cut.first;
    buf_init(&in);
    buf_init(&made);
    body_chain_add(c, stage);
    strbuf_clear(out);
    err_clear(err);
    do {
        struct slice piece = slice_sub(body, 0, n);
        body = slice_from(body, piece.n);
        buf_append_slice(&in, piece);
        ok = body_chain_run(c, &in, body.n == 0, &made, err);
        n = cut.step;
    } while (ok && body.n > 0);
    strbuf_add(out, buf_pullup(&made, buf_len(&made)));
    buf_fini(&made);
    body_chain_fini(c);
    return ok;
}

/* ---- find-and-replace ---- */

static const struct {
    const char *from, *to, *body, *expected;
    bool whole_url;
} REPLACED[] = {
    {"a", "b", "", "", false},
    {"a", "b", "xaxaax", "xbxbbx", false},
    {"a", "", "xaxaax", "xxx", false},
    {"aa", "b", "aaaaa", "bba", false},
    {"aab", "X", "aaab aab aa", "aX X aa", false},
    {"abab", "-", "abaabababab", "aba--", false},
    {"needle", "pin", "needleneedle need needl e needle", "pinpin need needl e pin", false},
    {"ab", "ab", "abab", "abab", false},
    {"x", "xx", "xxx", "xxxxxx", false},
    {"http://a/b", "U", "http://a/b http://a/bc http://a/b/c \"http://a/b\" http://a/b", "U http://a/bc U/c \"U\" U", true},
    {"http://a", "U", "http://a:80 http://a.b http://a/ http://http://a?x", "http://a:80 http://a.b U/ http://U?x", true},
    {"aba", "U", "ababa ababa", "abU abU", true},
};

static void a_text_is_replaced_wherever_the_body_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(REPLACED); i++) {
        struct body_replace r = {slice_of(REPLACED[i].from), slice_of(REPLACED[i].to), REPLACED[i].whole_url};
        for (size_t first = 0; first <= strlen(REPLACED[i].body); first++) {
            for (size_t step = 1; step < 8; step += 3) {
                struct strbuf out;
                struct err err;
                strbuf_init(&out);
                assert_true(run(body_replace_create(arena, &r, "p"), slice_of(REPLACED[i].body),
                                (struct cut){first, step}, &out, &err));
                if (strcmp(strbuf_cstr(&out), REPLACED[i].expected) != 0) {
                    fail_msg("%s in %s cut at %zu: %s", REPLACED[i].from, REPLACED[i].body, first, strbuf_cstr(&out));
                }
                strbuf_fini(&out);
            }
        }
    }
}

/* What a plain search from the left gives. */
static void replace_simply(struct slice body, struct slice from, struct slice to, struct strbuf *out)
{
    while (body.n > 0) {
        size_t at = slice_search(body, from);
        strbuf_add(out, slice_sub(body, 0, at));
        if (at < body.n) {
            strbuf_add(out, to);
        }
        body = slice_from(body, at < body.n ? at + from.n : body.n);
    }
}

static void replacing_agrees_with_a_plain_search_on_texts_of_few_letters(void **state)
{
    (void)state;
    uint32_t random = 12345;
    for (int round = 0; round < 3000; round++) {
        char body[64], from[6];
        size_t n = 0, m = 0;
        random = random * 1664525u + 1013904223u;
        for (uint32_t bits = random; n < 40 + random % 24; n++, bits = bits * 1664525u + 1013904223u) {
            body[n] = (bits >> 20 & 3) == 0 ? 'b' : 'a';
        }
        for (uint32_t bits = random ^ 77; m < 1 + random % 5; m++, bits = bits * 1664525u + 1013904223u) {
            from[m] = (bits >> 20 & 1) == 0 ? 'b' : 'a';
        }
        struct body_replace r = {slice_make(from, m), SLICE("."), false};
        struct strbuf out, expected;
        struct err err;
        strbuf_init(&out);
        strbuf_init(&expected);
        replace_simply(slice_make(body, n), r.from, r.to, &expected);
        assert_true(run(body_replace_create(arena, &r, "p"), slice_make(body, n), (struct cut){random % 9, 1 + random % 7},
                        &out, &err));
        assert_string_equal(strbuf_cstr(&out), strbuf_cstr(&expected));
        strbuf_fini(&out);
        strbuf_fini(&expected);
    }
}

static void a_body_that_would_grow_without_end_fails(void **state)
{
    (void)state;
    char *xs = arena_alloc(arena, 8192);
    memset(xs, 'x', 8192);
    struct body_replace r = {SLICE("x"), slice_make(xs, 4096), false};
    struct body_stage *first = body_replace_create(arena, &r, "first"), *second = body_replace_create(arena, &r, "second");
    struct body_chain *c = body_chain_create(arena);
    struct buf in, out;
    struct err err;
    buf_init(&in);
    buf_init(&out);
    body_chain_add(c, first);
    body_chain_add(c, second);
    buf_append(&in, xs, 4);
    assert_false(body_chain_run(c, &in, true, &out, &err));
    assert_ptr_equal(c->failed, second);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_true(buf_is_empty(&out) && buf_is_empty(&in));
    body_chain_fini(c);
    body_chain_fini(c);
}

static void a_body_is_wrapped_even_when_it_is_empty(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", "cb();"}, {"{}", "cb({});"}, {"[1,2]", "cb([1,2]);"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t first = 0; first <= strlen(rows[i][0]); first++) {
            struct strbuf out;
            struct err err;
            strbuf_init(&out);
            assert_true(run(body_wrap_create(arena, SLICE("cb("), SLICE(");"), "jsonp"), slice_of(rows[i][0]),
                            (struct cut){first, 1}, &out, &err));
            assert_string_equal(strbuf_cstr(&out), rows[i][1]);
            strbuf_fini(&out);
        }
    }
}

/* ---- conversions ---- */

struct conversion {
    const char *body, *expected;
    const char *error; /* a part of it; NULL: none */
};

static void check(struct body_stage *stage, const struct conversion *c, struct cut cut)
{
    struct strbuf out;
    struct err err;
    strbuf_init(&out);
    bool ok = run(stage, slice_of(c->body), cut, &out, &err);
    if (ok != (c->error == NULL) || (!ok && strstr(err.text, c->error) == NULL)) {
        fail_msg("%s: %s", c->body, ok ? strbuf_cstr(&out) : err.text);
    }
    if (ok && strcmp(strbuf_cstr(&out), c->expected) != 0) {
        fail_msg("%s\n gives %s\n not   %s", c->body, strbuf_cstr(&out), c->expected);
    }
    strbuf_fini(&out);
}

#define NIL " xsi:nil=\"true\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" />"

static const struct conversion TO_XML[] = {
    {"", "", NULL},
    {"{\"a\":{\"b\":1}}", "<a><b>1</b></a>", NULL},
    {"{\"a\":1,\"b\":\"x\"}", "<Document><a>1</a><b>x</b></Document>", NULL},
    {"{\"a\":true,\"b\":false,\"c\":null,\"d\":[],\"e\":{},\"f\":\"\"}",
     "<Document><a>True</a><b>False</b><c" NIL "<d /><e /><f /></Document>", NULL},
    {"{\"p\":[{\"t\":\"home\"},{\"t\":\"mobile\"},3]}", "<Document><p><t>home</t></p><p><t>mobile</t></p><p>3</p></Document>", NULL},
    {"{\"a\":\"<&>\\\"\\n\"}", "<a>&lt;&amp;&gt;&quot;\n</a>", NULL},
    {"{\"1 a:b\":\"\\u00e9\"}", "<_x0031__x0020_a_x003A_b>\xc3\xa9</_x0031__x0020_a_x003A_b>", NULL},
    {"{\"\":1}", "<_>1</_>", NULL},
    {"5", "<Document>5</Document>", NULL},
    {"[1]", NULL, "an array"},
    {"{\"a\":\"\\u0001\"}", NULL, "a character that XML cannot have"},
    {"{\"a\":", NULL, "body:1:"},
    {"{\"a\":1,\"a\":2}", NULL, "body:1:"},
    {"{\"date\":\"2020-01-01T00:00:00.000Z\"}", "<date>2020-01-01T00:00:00.000Z</date>", NULL},
};

static void json_becomes_xml(void **state)
{
    (void)state;
    struct body_to_xml x = {.separator = SLICE("_"), .max_bytes = 10000};
    for (size_t i = 0; i < ARRAY_LEN(TO_XML); i++) {
        for (size_t first = 0; first <= strlen(TO_XML[i].body); first++) {
            check(body_to_xml_create(arena, &x, "json-to-xml"), &TO_XML[i], (struct cut){first, 3});
        }
    }
}

static const struct conversion WITH_NAMESPACES[] = {
    {"{\"s:Envelope\":{\"xmlns:s\":\"urn:s\",\"xmlns\":\"urn:d\",\"s:Header\":{},\"s:Body\":{\"v:Q\":{\"#attrs\":{\"name\":\"a\\\"b\",\"n\":1},"
     "\"item\":[\"x\",{\"s:y\":2}]}}}}",
     "<s:Envelope xmlns:s=\"urn:s\" xmlns=\"urn:d\"><s:Header /><s:Body><v_x003A_Q name=\"a&quot;b\" n=\"1\">"
     "<item>x</item><item><s:y>2</s:y></item></v_x003A_Q></s:Body></s:Envelope>", NULL},
    {"{\"#attrs\":{\"a\":1}}", "<Document a=\"1\" />", NULL},
    {"{\"a\":{\"#attrs\":{\"b\":[1]}}}", NULL, "an attribute's value"},
    {"{\"a\":{\"#attrs\":3}}", "<a><_x0023_attrs>3</_x0023_attrs></a>", NULL},
};

static void prefixes_are_used_where_they_are_declared_and_a_block_becomes_attributes(void **state)
{
    (void)state;
    struct body_to_xml x = {SLICE(":"), SLICE("xmlns"), SLICE("#attrs"), 10000};
    for (size_t i = 0; i < ARRAY_LEN(WITH_NAMESPACES); i++) {
        check(body_to_xml_create(arena, &x, "json-to-xml"), &WITH_NAMESPACES[i], (struct cut){1000, 1});
    }
}

static const struct conversion TO_JSON[] = {
    {"", "", NULL},
    {"<a/>", "{\"a\":null}", NULL},
    {"<a>x</a>", "{\"a\":\"x\"}", NULL},
    {"<a> \n </a>", "{\"a\":null}", NULL},
    {"<?xml version=\"1.0\" encoding=\"utf-8\" standalone='yes'?>\n<!-- c --><a><b>1</b></a>",
     "{\"version\":\"1.0\",\"encoding\":\"utf-8\",\"standalone\":\"yes\",\"a\":{\"b\":\"1\"}}", NULL},
    {"<s:E xmlns=\"urn:d\" xmlns:s=\"urn:s\" s:x='1'><s:B><Get><Id>7</Id></Get></s:B></s:E>",
     "{\"s$E\":{\"@xmlns\":\"urn:d\",\"@xmlns$s\":\"urn:s\",\"@s$x\":\"1\",\"s$B\":{\"Get\":{\"Id\":\"7\"}}}}", NULL},
    {"<a><b>1</b><c/><b>2</b></a>", "{\"a\":{\"b\":[\"1\",\"2\"],\"c\":null}}", NULL},
    {"<a k='v'>text</a>", "{\"a\":{\"@k\":\"v\",\"#text\":\"text\"}}", NULL},
    {"<a>one<b/>two</a>", "{\"a\":{\"#text\":\"onetwo\",\"b\":null}}", NULL},
    {"<a><![CDATA[<x>]]>&amp;</a>", "{\"a\":\"<x>&\"}", NULL},
    {"<a><b1/><b2/><b3/><b4/><b5/><b6/><b7/><b8/><b9/><b1/><b9>x</b9></a>",
     "{\"a\":{\"b1\":[null,null],\"b2\":null,\"b3\":null,\"b4\":null,\"b5\":null,\"b6\":null,\"b7\":null,\"b8\":null,\"b9\":[null,\"x\"]}}", NULL},
    {"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>", "{\"version\":\"1.0\",\"encoding\":\"ISO-8859-1\",\"a\":\"\xc3\xa9\"}", NULL},
    {"<a>", NULL, "not readable as XML"},
    {"{\"a\":1}", NULL, "not readable as XML"},
    {"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", NULL, "not readable as XML"},
    {"<a>&undefined;</a>", NULL, "not readable as XML"},
};

static void xml_becomes_json(void **state)
{
    (void)state;
    struct body_to_json j = {false, 10000};
    for (size_t i = 0; i < ARRAY_LEN(TO_JSON); i++) {
        for (size_t first = 0; first <= strlen(TO_JSON[i].body); first += 5) {
            check(body_to_json_create(arena, &j, "xml-to-json"), &TO_JSON[i], (struct cut){first, 7});
        }
    }
}

/* Its message ends up in logs, where nothing of a body belongs. */
static void what_is_wrong_with_xml_is_told_by_place_and_not_by_its_text(void **state)
{
    (void)state;
    static const struct {
        const char *body, *error;
    } rows[] = {
        {"<a>\n<private-name></a>", "the body is not readable as XML: line 2, column 19: an element is not closed"},
        {"<a private-name='x' private-name='y'/>", "the body is not readable as XML: line 1, column 37"},
        {"<a>&private-name;</a>", "the body is not readable as XML: line 1, column 18"},
        {"<private-name:a/", "the body is not readable as XML: line 1, column 16"},
        {"<a/><private-name/>", "the body is not readable as XML: line 1, column 5: it does not end with its first element"},
        {"<?xml version='1.0' encoding='private-name'?><a/>", "the body is XML in an encoding that is not read"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct strbuf out;
        struct err err;
        struct body_to_json j = {false, 10000};
        strbuf_init(&out);
        assert_false(run(body_to_json_create(arena, &j, "xml-to-json"), slice_of(rows[i].body), (struct cut){1 << 20, 1}, &out, &err));
        assert_null(strstr(err.text, "private"));
        if (strstr(err.text, rows[i].error) == NULL) {
            fail_msg("%s", err.text);
        }
        strbuf_fini(&out);
    }
}

static void a_key_that_stands_twice_in_json_is_not_repeated(void **state)
{
    (void)state;
    struct strbuf out;
    struct err err;
    struct body_to_xml x = {.separator = SLICE("_"), .max_bytes = 10000};
    strbuf_init(&out);
    assert_false(run(body_to_xml_create(arena, &x, "json-to-xml"), SLICE("{\"private\":1,\"private\":2}"), (struct cut){1 << 20, 1}, &out, &err));
    assert_string_equal(err.text, "body:1:14: a key stands there twice");
    strbuf_fini(&out);
}

static void every_child_is_an_array_where_that_is_asked_for(void **state)
{
    (void)state;
    struct body_to_json j = {true, 10000};
    struct conversion c = {"<a><b><c>1</c></b></a>", "{\"a\":{\"b\":[{\"c\":[\"1\"]}]}}", NULL};
    check(body_to_json_create(arena, &j, "xml-to-json"), &c, (struct cut){3, 3});
}

static void a_body_beyond_the_limit_or_nested_too_deep_fails(void **state)
{
    (void)state;
    struct strbuf text, out;
    struct err err;
    strbuf_init(&text);
    strbuf_init(&out);
    struct body_to_xml x = {.separator = SLICE("_"), .max_bytes = 10};
    struct body_to_json j = {false, 100000};
    assert_false(run(body_to_xml_create(arena, &x, "json-to-xml"), SLICE("{\"a\":\"123456\"}"), (struct cut){4, 4}, &out, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_string_equal(err.text, "the body is larger than 10 bytes, which is what json-to-xml may hold");
    for (int deep = 210; deep < 5000; deep += 3000) {
        strbuf_clear(&text);
        for (int i = 0; i < deep; i++) {
            strbuf_add_str(&text, "<a>");
        }
        for (int i = 0; i < deep; i++) {
            strbuf_add_str(&text, "</a>");
        }
        assert_false(run(body_to_json_create(arena, &j, "xml-to-json"), strbuf_slice(&text), (struct cut){9999999, 1}, &out, &err));
    }
    strbuf_fini(&text);
    strbuf_fini(&out);
}

/* Documents whose reading or writing would cost the square of their size are refused; the rest of them is not. */
static void add_numbered(struct strbuf *text, const char *before, const char *after, int n)
{
    for (int i = 0; i < n; i++) {
        strbuf_printf(text, "%s%d%s", before, i, after);
    }
}

static void to_json(const struct strbuf *text, const char *error)
{
    struct strbuf out;
    struct err err;
    strbuf_init(&out);
    struct body_to_json j = {false, 1 << 20};
    bool ok = run(body_to_json_create(arena, &j, "xml-to-json"), strbuf_slice(text), (struct cut){1 << 20, 1}, &out, &err);
    if (ok != (error == NULL) || (!ok && strstr(err.text, error) == NULL)) {
        fail_msg("%s", ok ? "read" : err.text);
    }
    strbuf_fini(&out);
}

static void xml_with_more_attributes_or_namespaces_than_can_be_compared_fails(void **state)
{
    (void)state;
    static const struct {
        int attributes, namespaces, depth;
        const char *error;
    } rows[] = {{990, 0, 1, NULL},  {1010, 0, 1, "an element with more than 1000 attributes"},
                {500, 0, 20, NULL}, {0, 250, 1, NULL},
                {0, 260, 1, "declares more than 256 namespaces inside each other"},
                {0, 20, 20, "declares more than 256 namespaces inside each other"}};
    struct strbuf text;
    strbuf_init(&text);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        strbuf_clear(&text);
        for (int k = 0; k < rows[i].depth; k++) {
            strbuf_add_str(&text, "<a");
            add_numbered(&text, " a", " =\n'>'", rows[i].attributes);
            add_numbered(&text, " xmlns:p", "=\"u\"", rows[i].namespaces);
            strbuf_add_str(&text, ">");
        }
        for (int k = 0; k < rows[i].depth; k++) {
            strbuf_add_str(&text, "</a>");
        }
        to_json(&text, rows[i].error);
    }
    strbuf_clear(&text); /* one after the other, each with its own */
    strbuf_add_str(&text, "<a>");
    add_numbered(&text, "<b xmlns:p", "='u' c='d'/>", 5000);
    strbuf_add_str(&text, "</a>");
    to_json(&text, NULL);
    strbuf_fini(&text);
}

static void xml_in_an_encoding_that_hides_its_tags_fails(void **state)
{
    (void)state;
    static const struct {
        const char *body, *error;
    } rows[] = {{"<?xml version='1.0' encoding='UTF-7'?><a b='c'/>", "an encoding that is not read"},
                {"<?xml version='1.0' encoding=\"IBM037\"?><a/>", "an encoding that is not read"},
                {"\xef\xbb\xbf<?xml version='1.0' encoding='x'?><a/>", "an encoding that is not read"},
                {"\x4c\x6f\xa7\x94", "not readable as XML"},
                {"<?xml version='1.0' encoding='windows-1252'?><a/>", NULL},
                {"<?xml version='1.0' encoding='?><a/>", "not readable as XML"},
                {"<?xml version='1.0'?><a encoding='x'/>", NULL}};
    struct strbuf text;
    strbuf_init(&text);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        strbuf_clear(&text);
        strbuf_add_str(&text, rows[i].body);
        to_json(&text, rows[i].error);
    }
    strbuf_clear(&text);
    strbuf_add(&text, SLICE("\xff\xfe<\0a\0/\0>\0"));
    to_json(&text, NULL);
    strbuf_fini(&text);
}

static void json_with_many_prefixed_names_is_written_and_with_too_many_namespaces_fails(void **state)
{
    (void)state;
    struct body_to_xml x = {SLICE(":"), SLICE("xmlns"), SLICE("#attrs"), 1 << 20};
    struct strbuf text, out;
    struct err err;
    strbuf_init(&text);
    strbuf_init(&out);
    strbuf_add_str(&text, "{\"a\":{\"xmlns:p\":\"u\"");
    add_numbered(&text, ",\"p:n", "\":1", 30000); /* minutes, if each were looked for among all */
    strbuf_add_str(&text, "}}");
    assert_true(run(body_to_xml_create(arena, &x, "json-to-xml"), strbuf_slice(&text), (struct cut){1 << 20, 1}, &out, &err));
    assert_true(slice_starts_with(strbuf_slice(&out), SLICE("<a xmlns:p=\"u\"><p:n0>1</p:n0><p:n1>")));
    strbuf_clear(&text);
    strbuf_add_str(&text, "{\"a\":{\"b\":1");
    add_numbered(&text, ",\"xmlns:p", "\":\"u\"", 65);
    strbuf_add_str(&text, "}}");
    assert_false(run(body_to_xml_create(arena, &x, "json-to-xml"), strbuf_slice(&text), (struct cut){1 << 20, 1}, &out, &err));
    assert_string_equal(err.text, "the JSON declares more than 64 namespaces inside each other");
    strbuf_fini(&text);
    strbuf_fini(&out);
}

/* A name whose hash, without a seed, is near the beginning of any table of up to 2^18 slots. */
static void next_crowded(unsigned *counter, char name[16])
{
    do {
        snprintf(name, 16, "a%x", (*counter)++);
    } while ((slice_hash(slice_of(name), 0) & 0x3ffff) > 0xfff);
}

static void names_made_to_collide_are_read_like_others(void **state) /* in minutes, if they did */
{
    (void)state;
    enum { NAMES = 60000 };
    struct body_to_xml x = {SLICE(":"), SLICE_NONE, SLICE_NONE, 1 << 20};
    struct strbuf json, xml, out;
    struct err err;
    unsigned counter = 0;
    char name[16];
    strbuf_init(&json);
    strbuf_init(&xml);
    strbuf_init(&out);
    for (int i = 0; i < NAMES; i++) {
        next_crowded(&counter, name);
        strbuf_printf(&json, "%s\"%s\":1", i == 0 ? "{" : ",", name);
        next_crowded(&counter, name);
        strbuf_printf(&xml, "%s<%s/>", i == 0 ? "<a>" : "", name);
    }
    strbuf_add_str(&json, "}");
    strbuf_add_str(&xml, "</a>");
    assert_true(run(body_to_xml_create(arena, &x, "json-to-xml"), strbuf_slice(&json), (struct cut){1 << 20, 1}, &out, &err));
    to_json(&xml, NULL);
    strbuf_fini(&json);
    strbuf_fini(&xml);
    strbuf_fini(&out);
}

static void stages_follow_one_another(void **state)
{
    (void)state;
    struct body_to_json j = {false, 10000};
    struct body_replace r = {SLICE("one"), SLICE("two"), false};
    struct body_chain *c = body_chain_create(arena);
    struct buf in, out;
    struct err err;
    buf_init(&in);
    buf_init(&out);
    body_chain_add(c, body_to_json_create(arena, &j, "xml-to-json"));
    body_chain_add(c, body_replace_create(arena, &r, "find-and-replace"));
    body_chain_add(c, body_wrap_create(arena, SLICE("f("), SLICE(")"), "jsonp"));
    buf_append_str(&in, "<a>on");
    assert_true(body_chain_run(c, &in, false, &out, &err) && buf_is_empty(&out) && !c->over);
    buf_append_str(&in, "e</a>");
    assert_true(body_chain_run(c, &in, true, &out, &err) && c->over);
    assert_true(slice_eq(buf_pullup(&out, buf_len(&out)), SLICE("f({\"a\":\"two\"})")));
    buf_fini(&out);
    body_chain_fini(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_replaced_wherever_the_body_is_cut),
        cmocka_unit_test(replacing_agrees_with_a_plain_search_on_texts_of_few_letters),
        cmocka_unit_test(a_body_that_would_grow_without_end_fails),
        cmocka_unit_test(a_body_is_wrapped_even_when_it_is_empty),
        cmocka_unit_test(json_becomes_xml),
        cmocka_unit_test(prefixes_are_used_where_they_are_declared_and_a_block_becomes_attributes),
        cmocka_unit_test(xml_becomes_json),
        cmocka_unit_test(a_key_that_stands_twice_in_json_is_not_repeated),
        cmocka_unit_test(what_is_wrong_with_xml_is_told_by_place_and_not_by_its_text),
        cmocka_unit_test(every_child_is_an_array_where_that_is_asked_for),
        cmocka_unit_test(a_body_beyond_the_limit_or_nested_too_deep_fails),
        cmocka_unit_test(xml_with_more_attributes_or_namespaces_than_can_be_compared_fails),
        cmocka_unit_test(xml_in_an_encoding_that_hides_its_tags_fails),
        cmocka_unit_test(json_with_many_prefixed_names_is_written_and_with_too_many_namespaces_fails),
        cmocka_unit_test(names_made_to_collide_are_read_like_others),
        cmocka_unit_test(stages_follow_one_another),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
