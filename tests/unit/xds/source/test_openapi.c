#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/macros.h"
#include "xds/source/openapi.h"

struct row {
    const char *text, *expected; /* "id METHOD template[!]…", one a line; "closed: reason" for the whole */
};

static const struct row ROWS[] = {
    {"openapi: 3.0.1\npaths:\n  /a/{id}:\n    get:\n      operationId: GetA\n    parameters: []\n    post: {operationId: b}\n",
     "GetA GET /a/{id}\nb POST /a/{id}\n"},
    {"swagger: '2.0'\nbasePath: /v1\npaths:\n  a:\n    delete: {operationId: d}\n", "d DELETE /a\n"},
    {"{\"openapi\":\"3.1.0\",\"paths\":{\"/*\":{\"head\":{\"operationId\":\"h\"},\"options\":{\"operationId\":\"o\"}}}}",
     "h HEAD /*\no OPTIONS /*\n"},
    {"openapi: 3.0.0\npaths: {}\n", ""},
    {"openapi: 3.0.0\n", ""},
    {"openapi: 3.0.0\npaths:\n  x-note: 1\n  /a: null\n", ""},
    {"openapi: 3.0.0\npaths:\n  /foo/{bar}:\n    get: {}\n  '/foo/{bar}/':\n    get: {summary: x}\n",
     "get-foo-bar GET /foo/{bar} derived\nget-foo-bar-1 GET /foo/{bar}/ derived\n"},
    {"openapi: 3.0.0\npaths:\n  /a:\n    get: {operationId: x}\n  /b:\n    get: {operationId: X}\n",
     "x GET /a closed[the same operationId as the operation in line 6]\n"
     "X GET /b closed[the same operationId as the operation in line 4]\n"},
    {"openapi: 3.0.0\npaths:\n  /a/{b}:\n    get: {operationId: x}\n  /a/{c}:\n    get: {operationId: y}\n",
     "x GET /a/{b} closed[the same method and path as the operation in line 6]\n"
     "y GET /a/{c} closed[the same method and path as the operation in line 4]\n"},
    {"openapi: 3.0.0\npaths:\n  '/a/{b':\n    get: {operationId: x}\n", "x GET /a/{b closed[the braces of the path do not fit]\n"},
    {"openapi: 3.1.0\npaths:\n  /a: {$ref: '#/components/pathItems/A~1B'}\ncomponents:\n  pathItems:\n    A/B:\n      get: {operationId: x}\n",
     "x GET /a\n"},
    {"openapi: 3.1.0\npaths:\n  /a: {$ref: 'other.yaml'}\n", "closed: the path item's $ref leads nowhere in this document\n"},
    {"openapi: 3.1.0\npaths:\n  /a: &a {$ref: '#/paths/~1a'}\n", "closed: the path item's $ref leads nowhere in this document\n"},
    {"openapi: 3.0.0\npaths:\n  /a: {get: 3}\n", "closed: an operation is not an object\n"},
    {"openapi: 3.0.0\npaths: [1]\n", "closed: \"paths\" is not an object\n"},
    {"asyncapi: 2.0\n", "closed: neither OpenAPI 3 nor Swagger 2.0\n"},
};

static void operations_are_read_in_the_order_of_the_document(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct arena *arena = arena_create(0);
        struct err err = {.kind = ERR_NONE};
        struct doc_source source = {"s", slice_of(ROWS[i].text), DOC_AUTO};
        const struct doc *root = doc_parse(arena, source, NULL, &err);
        if (root == NULL) {
            fail_msg("row %zu: %s", i, err.text);
        }
        const struct openapi *spec = openapi_read(arena, root);
        struct strbuf got;
        strbuf_init(&got);
        if (spec->closed != NULL) {
            strbuf_printf(&got, "closed: %s\n", spec->closed);
        }
        for (size_t k = 0; k < spec->n; k++) {
            const struct openapi_operation *o = &spec->operations[k];
            strbuf_printf(&got, "%s %s %s%s", o->id, o->method, o->url_template, o->id_is_derived ? " derived" : "");
            if (o->closed != NULL) {
                strbuf_printf(&got, " closed[%s]", o->closed);
            }
            strbuf_add_char(&got, '\n');
        }
        assert_string_equal(strbuf_cstr(&got), ROWS[i].expected);
        strbuf_fini(&got);
        arena_destroy(&arena);
    }
}

static void a_name_is_normalised_as_on_import(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    assert_string_equal(openapi_normalise_id(arena, SLICE("GET-/foo/{bar}?buzz={quix}")), "get-foo-bar-buzz-quix");
    assert_string_equal(openapi_normalise_id(arena, SLICE("--A__b--")), "a-b");
    assert_string_equal(openapi_normalise_id(arena, SLICE("")), "");
    char text[200];
    memset(text, 'x', sizeof text);
    assert_int_equal(strlen(openapi_normalise_id(arena, slice_make(text, sizeof text))), 76);
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_are_read_in_the_order_of_the_document),
        cmocka_unit_test(a_name_is_normalised_as_on_import),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
