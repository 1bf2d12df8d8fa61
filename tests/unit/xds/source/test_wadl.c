/* WADL: its operations, what is not looked up, and what is no XML. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/macros.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "xds/source/wadl.h"

#define NS "xmlns='http://wadl.dev.java.net/2009/02'"
#define APP(inner) "<application " NS "><resources base='http://h/'>" inner "</resources></application>"

struct row {
    const char *text, *expected; /* "id METHOD template line[!]" each with a comma behind it; "closed: …"; "error: …" */
};

static const struct row ROWS[] = {
    {APP("<resource path='/a'><method id='x' name='GET'/></resource>"), "x GET /a 1,"},
    {"\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<!-- <resource path='no'> -->\r\n<w:application xmlns:w='u'>\n<w:resources>\n"
     "<w:resource path=\"a/\">\n<w:resource path='/{b}'>\n<w:method name='PUT' id='p'><w:request/></w:method>\n</w:resource>\n"
     "<w:method name='DELETE'/></w:resource></w:resources></w:application>\n",
     "p PUT /a/{b} 7,delete-a DELETE /a/ 9 derived,"},
    {APP("<resource path='a&amp;b'><method id='x' name='GET'><doc><![CDATA[<method name='POST'/>]]></doc></method></resource>"),
     "x GET /a&b 1,"},
    {APP("<resource path='&#97;'><method id='x' name='GET'/></resource>"), "x GET /a 1,"},
    {APP("<resource><method id='r' name='GET'/></resource>"), "r GET / 1,"},
    {APP("<resource path='a'><method id='x' name='GET'/></resource><resource path='/a'><method id='y' name='GET'/></resource>"),
     "x GET /a 1!,y GET /a 1!,"},
    {APP("<resource path='{'><method id='x' name='GET'/></resource>"), "x GET /{ 1!,"},
    {"<application><method name='GET' id='elsewhere'/><resources/></application>", ""},
    {APP("<resource path='a'><method href='#m'/></resource>"), "closed: a method that stands elsewhere (href) is not looked up"},
    {APP("<resource path='a' type='#t'/>"), "closed: a resource of a type that stands elsewhere is not looked up"},
    {APP("<resource path='a'><method name='get'/></resource>"), "closed: a method without a usable name"},
    {"", "error: w:1:1: the document ends within an element"},
    {"text only", "error: w:1:10: the document ends within an element"},
    {"<definitions/>", "error: w:1:1: expected one <application>, a WADL document"},
    {"<application/><application/>", "error: w:1:15: expected one <application>, a WADL document"},
    {"<application>\n <resources></application>", "error: w:2:13: a tag that closes nothing, or something else"},
    {"</application>", "error: w:1:1: a tag that closes nothing, or something else"},
    {"<!DOCTYPE a [<!ENTITY b 'c'>]><application/>", "error: w:1:1: a document type is not read"},
    {"<application a='1' a='2'/>", "error: w:1:1: an attribute that is not well-formed XML"},
    {"<application a=1/>", "error: w:1:1: an attribute that is not well-formed XML"},
    {"<application a='<'/>", "error: w:1:1: an attribute that is not well-formed XML"},
    {"<application a='1'b='2'/>", "error: w:1:1: an attribute that is not well-formed XML"},
    {"<!-- ", "error: w:1:1: a comment or instruction that does not end"},
};

static void describe(struct arena *arena, const char *text, struct strbuf *out)
{
    struct err err = {.kind = ERR_NONE};
    const struct openapi *spec = wadl_read(arena, "w", slice_of(text), &err);
    strbuf_clear(out);
    if (spec == NULL) {
        strbuf_printf(out, "error: %s", err.text);
        return;
    }
    if (spec->closed != NULL) {
        strbuf_printf(out, "closed: %s", spec->closed);
    }
    for (size_t i = 0; i < spec->n && spec->closed == NULL; i++) {
        const struct openapi_operation *o = &spec->operations[i];
        strbuf_printf(out, "%s %s %s %u%s%s,", o->id, o->method, o->url_template, o->line, o->id_is_derived ? " derived" : "",
                      o->closed != NULL ? "!" : "");
    }
}

static void resources_and_methods_become_operations(void **state)
{
    (void)state;
    struct strbuf got;
    strbuf_init(&got);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct arena *arena = arena_create(0);
        print_message("%s\n", ROWS[i].text);
        describe(arena, ROWS[i].text, &got);
        assert_string_equal(strbuf_cstr(&got), ROWS[i].expected);
        arena_destroy(&arena);
    }
    strbuf_fini(&got);
}

static void every_beginning_of_a_document_is_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        size_t n = strlen(ROWS[i].text);
        for (size_t k = 0; k < n; k++) {
            struct arena *arena = arena_create(0);
            struct err err = {.kind = ERR_NONE};
            char *part = mem_str_slice(slice_make(ROWS[i].text, k)); /* exactly as long, for the sanitizer */
            char *exact = mem_alloc(k + 1);
            memcpy(exact, part, k);
            assert_true(wadl_read(arena, "w", slice_make(exact, k), &err) != NULL || err.text[0] != '\0');
            mem_free(exact);
            mem_free(part);
            arena_destroy(&arena);
        }
    }
}

static void ten_thousand_nested_elements_are_an_error_with_its_place(void **state)
{
    (void)state;
    struct strbuf text, got;
    strbuf_init(&text);
    strbuf_init(&got);
    strbuf_add_str(&text, "<application>\n");
    for (int i = 0; i < 10000; i++) {
        strbuf_add_str(&text, "<a>");
    }
    struct arena *arena = arena_create(0);
    describe(arena, strbuf_cstr(&text), &got);
    assert_string_equal(strbuf_cstr(&got), "error: w:2:190: elements nested too deep");
    arena_destroy(&arena);
    strbuf_fini(&text);
    strbuf_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resources_and_methods_become_operations),
        cmocka_unit_test(every_beginning_of_a_document_is_read_or_refused),
        cmocka_unit_test(ten_thousand_nested_elements_are_an_error_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
