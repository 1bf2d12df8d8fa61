#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/macros.h"
#include "pb/google/protobuf/struct.pb-c.h"
#include "proxy/observe/format.h"
#include "unit/proxy/observe/observe_test.h"

static char rendered[8192];

static const char *render_with(const struct record *r, const char *format, bool omit)
{
    struct arena *arena = arena_create(0);
    struct err err = {.kind = ERR_NONE};
    const struct text_format *f = text_format_compile(slice_of(format), omit, arena, &err);
    if (f == NULL) {
        snprintf(rendered, sizeof rendered, "error: %s", err.text);
    } else {
        struct line line;
        line_init(&line);
        text_format_render(f, r, &line);
        snprintf(rendered, sizeof rendered, "%.*s", SLICE_ARG(line_slice(&line)));
        line_fini(&line);
    }
    arena_destroy(&arena);
    return rendered;
}

static const char *render(const struct record *r, const char *format)
{
    return render_with(r, format, false);
}

struct row {
    const char *format, *text;
};

static void every_operator_prints_its_value(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"100%%", "100%"},
        {"%%%PROTOCOL%%%", "%HTTP/2%"},
        {"%%%%", "%%"},
        {"%START_TIME%", "2026-01-02T03:04:05.678Z"},
        {"%START_TIME(%Y/%m/%d %H:%M:%S %z)%", "2026/01/02 03:04:05 +0000"},
        {"%START_TIME(%s)%", "1767323045"},
        {"%START_TIME(%s.%3f %6f %9f %f)%", "1767323045.678 678901 678901000 678901000"},
        {"%REQ(:METHOD)% %REQ(:PATH)%", "GET /shop/items?subscription-key=***&q=1"},
        {"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/shop/items?subscription-key=***&q=1"},
        {"%REQ(X-NONE?:PATH):5%", "/shop"},
        {"%REQ_WITHOUT_QUERY(:PATH)%", "/shop/items"},
        {"%PATH(NQ)% %PATH(WQ:ORIG)%", "/shop/items /shop/items?subscription-key=***&q=1"},
        {"%QUERY_PARAM(q)% %QUERY_PARAM(none)%", "1 -"},
        {"%REQ(:AUTHORITY)% %REQ(HOST)% %REQ(:SCHEME)%", "api.test:8443 api.test:8443 https"},
        {"%REQ(USER-AGENT)% %REQ(user-agent):4% %REQ(X-NONE?User-Agent)%", "curl/8 curl curl/8"},
        {"%REQ(Ocp-Apim-Subscription-Key)%", "***"},
        {"%REQ(REFERER)%", "https://x.test/?a=1&Subscription-Key=***&b=2"},
        {"%REQUEST_HEADER(USER-AGENT)%", "curl/8"},
        {"%REQ(X-NONE)%", "-"},
        {"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %RESP(:STATUS)%", "7 200"},
        {"%TRAILER(GRPC-STATUS)%", "14"},
        {"%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%",
         "Unavailable UNAVAILABLE 14 14"},
        {"%PROTOCOL% %UPSTREAM_PROTOCOL%", "HTTP/2 HTTP/1.1"},
        {"%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS%", "200 via_upstream -"},
        {"%BYTES_RECEIVED% %BYTES_SENT%", "3 5"},
        {"%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "16 2 10 6"},
        {"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %COMMON_DURATION(US_TX_BEG:US_RX_BEG:ns)%", "16999 7000000"},
        {"%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %ROUTE_NAME%", "192.168.1.232:3001 shop items"},
        {"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "192.168.1.232 3001"},
        {"%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_PORT%", "10.0.0.9:51000 51000"},
        {"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "10.0.0.1:8443 10.0.0.1"},
        {"%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "[::1]:40000 ::1"},
        {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "[::1]:40000"},
        {"%REQUESTED_SERVER_NAME% %DOWNSTREAM_TLS_VERSION%", "api.test TLSv1.3"},
        {"%UPSTREAM_TRANSPORT_FAILURE_REASON% %CONNECTION_TERMINATION_DETAILS%", "- -"},
        {"%UPSTREAM_REQUEST_ATTEMPT_COUNT% %ACCESS_LOG_TYPE% %STREAM_ID%", "1 DownstreamEnd id-1"},
        {"%ENVIRONMENT(EGRET_TEST_VALUE)% %ENVIRONMENT(EGRET_TEST_VALUE):2% %ENVIRONMENT(EGRET_NONE)%", "abc ab -"},
    };
    struct sample s;
    sample_init(&s);
    setenv("EGRET_TEST_VALUE", "abc", 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(render(&s.record, rows[i].format), rows[i].text);
    }
    sample_fini(&s);
}

static void the_default_format_is_that_of_envoy(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    assert_string_equal(render(&s.record, FORMAT_DEFAULT),
                        "[2026-01-02T03:04:05.678Z] \"GET /shop/items?subscription-key=***&q=1 HTTP/2\" 200 - 3 5 16 7 "
                        "\"-\" \"curl/8\" \"id-1\" \"api.test:8443\" \"192.168.1.232:3001\"\n");
    sample_fini(&s);
}

static void a_format_that_cannot_be_compiled_names_the_operator(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"%NONSENSE%", "error: unknown operator %NONSENSE%"},
        {"a %REQ(:PATH)% %DYNAMIC_METADATA(a:b)%", "error: unknown operator %DYNAMIC_METADATA%"},
        {"%REQ%", "error: %REQ% needs an argument in parentheses"},
        {"%REQ()%", "error: %REQ%: a header name is empty"},
        {"%REQ(A?)%", "error: %REQ%: a header name is empty"},
        {"%REQ(A B)%", "error: %REQ%: \"A B\" is not a header name"},
        {"%PROTOCOL(x)%", "error: %PROTOCOL% takes no argument"},
        {"%START_TIME(%Y\n)%", "error: %START_TIME%: a line break in the time format"},
        {"%START_TIME(%Y%)%", "error: %START_TIME%: the time format ends with %"},
        {"%COMMON_DURATION(DS_RX_BEG:US_CX_BEG:ms)%",
         "error: %COMMON_DURATION%: US_CX_BEG: a point in time that is not recorded"},
        {"%GRPC_STATUS(X)%", "error: %GRPC_STATUS%: the argument is CAMEL_STRING, SNAKE_STRING or NUMBER"},
        {"%", "error: \"%\" is not an operator"},
        {"50% of", "error: \"% of\" is not an operator"},
        {"%PROTOCOL", "error: \"%PROTOCOL\" is not an operator"},
        {"%REQ(A", "error: \"%REQ(A\" is not an operator"},
        {"%REQ(A)", "error: \"%REQ(A)\" is not an operator"},
        {"%REQ(A):%", "error: \"%REQ(A):%\" is not an operator"},
        {"%REQ(A):x%", "error: \"%REQ(A):x%\" is not an operator"},
    };
    struct sample s;
    sample_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(render(&s.record, rows[i].format), rows[i].text);
    }
    sample_fini(&s);
}

static void a_prefix_of_a_format_is_compiled_or_refused_but_never_read_beyond(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    const char format[] = "a%%%REQ(X?:PATH):9%%START_TIME(%Y%3f)%";
    for (size_t n = 0; n < sizeof format; n++) {
        char *exact = malloc(n + 1);
        memcpy(exact, format, n);
        exact[n] = '\0';
        render(&s.record, exact);
        free(exact);
    }
    sample_fini(&s);
}

static void what_is_missing_is_a_dash_or_nothing(void **state)
{
    (void)state;
    struct record empty;
    memset(&empty, 0, sizeof empty);
    const char *format = "%REQ(:METHOD)%|%PROTOCOL%|%UPSTREAM_HOST%|%DOWNSTREAM_REMOTE_ADDRESS%|%RESP(A)%|%TRAILER(A)%|"
                         "%REQUESTED_SERVER_NAME%|%RESPONSE_CODE%|%GRPC_STATUS%|%DURATION%|%UPSTREAM_REMOTE_PORT%";
    assert_string_equal(render(&empty, format), "-|-|-|-|-|-|-|0|-|-|-");
    assert_string_equal(render_with(&empty, format, true), "|||||||0|||");
}

static void flags_are_joined_in_one_order(void **state)
{
    (void)state;
    struct record r;
    memset(&r, 0, sizeof r);
    r.flags = FLAG_RETRY_LIMIT | FLAG_UPSTREAM_CONNECTION_FAILURE;
    assert_string_equal(render(&r, "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%"),
                        "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded");
    r.flags = UINT32_MAX;
    assert_string_equal(render(&r, "%RESPONSE_FLAGS%"), "UH,UF,UO,NR,NC,UT,UC,UR,LR,DC,DPE,UPE,SI,UAEX,DT,URX,OM,DF");
    assert_non_null(strstr(render(&r, "<%RESPONSE_FLAGS_LONG%>"), ",OverloadManagerTerminated,DnsResolutionFailed>"));
}

static void a_key_never_shows_whatever_field_carries_it(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    s.record.original_path = SLICE_NONE; /* nobody masked it: the query stays out */
    head_add(&s.request, SLICE("x-api-key"), SLICE("topsecret"));
    s.request.fields[s.request.n - 1].never_index = true;
    assert_string_equal(render(&s.record, "%REQ(:PATH)% %REQ(X-API-KEY)%"), "/shop/items ***");
    head_add(&s.response, SLICE("location"), SLICE("/next?subscription-key=topsecret"));
    assert_string_equal(render(&s.record, "%RESP(LOCATION)%"), "/next?subscription-key=***");
    sample_fini(&s);
}

static void a_long_line_is_rendered_in_full(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    char *path = arena_alloc(s.arena, 6000);
    memset(path, 'p', 6000);
    s.record.original_path = slice_make(path, 6000);
    assert_int_equal(strlen(render(&s.record, "<%REQ(:PATH)%>")), 6002);
    sample_fini(&s);
}

/* ---- JSON ---- */

static Google__Protobuf__Value *value_of(struct arena *arena, const char *text)
{
    Google__Protobuf__Value *v = arena_alloc(arena, sizeof *v);
    google__protobuf__value__init(v);
    v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    v->string_value = (char *)(uintptr_t)text;
    return v;
}

static Google__Protobuf__Struct *struct_of(struct arena *arena, size_t n)
{
    Google__Protobuf__Struct *s = arena_alloc(arena, sizeof *s);
    google__protobuf__struct__init(s);
    s->fields = arena_zalloc(arena, (n + 1) * sizeof(void *));
    return s;
}

static void add_member(struct arena *arena, Google__Protobuf__Struct *s, const char *key, Google__Protobuf__Value *v)
{
    Google__Protobuf__Struct__FieldsEntry *e = arena_alloc(arena, sizeof *e);
    google__protobuf__struct__fields_entry__init(e);
    e->key = (char *)(uintptr_t)key;
    e->value = v;
    s->fields[s->n_fields++] = e;
}

static const char *render_json(const struct record *r, const Google__Protobuf__Struct *fields,
                               struct json_options options)
{
    struct arena *arena = arena_create(0);
    struct err err = {.kind = ERR_NONE};
    const struct json_format *f = json_format_compile(fields, options, arena, &err);
    if (f == NULL) {
        snprintf(rendered, sizeof rendered, "error: %s", err.text);
    } else {
        struct line line;
        line_init(&line);
        json_format_render(f, r, &line);
        snprintf(rendered, sizeof rendered, "%.*s", SLICE_ARG(line_slice(&line)));
        line_fini(&line);
    }
    arena_destroy(&arena);
    return rendered;
}

static Google__Protobuf__Struct *sample_template(struct arena *a)
{
    Google__Protobuf__Struct *s = struct_of(a, 8), *inner = struct_of(a, 2);
    add_member(a, s, "status", value_of(a, "%RESPONSE_CODE%"));
    add_member(a, s, "agent", value_of(a, "%REQ(USER-AGENT)%"));
    add_member(a, s, "missing", value_of(a, "%REQ(X-NONE)%"));
    add_member(a, s, "mixed", value_of(a, "%PROTOCOL% and \"%REQ(X-NONE)%\""));
    add_member(a, s, "fixed", value_of(a, "a\"b"));
    Google__Protobuf__Value *list = value_of(a, NULL), *number = value_of(a, NULL), *object = value_of(a, NULL);
    number->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    number->number_value = 2.5;
    Google__Protobuf__ListValue *items = arena_alloc(a, sizeof *items);
    google__protobuf__list_value__init(items);
    items->values = arena_alloc(a, 2 * sizeof(void *));
    items->values[items->n_values++] = number;
    items->values[items->n_values++] = value_of(a, "%DURATION%");
    list->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    list->list_value = items;
    add_member(a, s, "list", list);
    add_member(a, inner, "gone", value_of(a, "%UPSTREAM_TRANSPORT_FAILURE_REASON%"));
    object->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    object->struct_value = inner;
    add_member(a, s, "object", object);
    return s;
}

static void json_keeps_types_and_sorts_members(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    Google__Protobuf__Struct *template = sample_template(s.arena);
    assert_string_equal(render_json(&s.record, template, (struct json_options){.omit_empty = false}),
                        "{\"agent\":\"curl/8\",\"fixed\":\"a\\\"b\",\"list\":[2.5,16],\"missing\":null,"
                        "\"mixed\":\"HTTP/2 and \\\"-\\\"\",\"object\":{\"gone\":null},\"status\":200}\n");
    assert_string_equal(render_json(&s.record, template, (struct json_options){.omit_empty = true}),
                        "{\"agent\":\"curl/8\",\"fixed\":\"a\\\"b\",\"list\":[2.5,16],"
                        "\"mixed\":\"HTTP/2 and \\\"\\\"\",\"object\":{},\"status\":200}\n");
    assert_string_equal(render_json(&s.record, template, (struct json_options){.strings = true}),
                        "{\"agent\":\"curl/8\",\"fixed\":\"a\\\"b\",\"list\":[2.5,\"16\"],\"missing\":\"-\","
                        "\"mixed\":\"HTTP/2 and \\\"-\\\"\",\"object\":{\"gone\":\"-\"},\"status\":\"200\"}\n");
    sample_fini(&s);
}

static void json_says_where_the_bad_operator_stands(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    Google__Protobuf__Struct *outer = struct_of(s.arena, 1), *inner = struct_of(s.arena, 1);
    add_member(s.arena, inner, "x", value_of(s.arena, "%BAD%"));
    Google__Protobuf__Value *object = value_of(s.arena, NULL);
    object->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    object->struct_value = inner;
    add_member(s.arena, outer, "o", object);
    assert_string_equal(render_json(&s.record, outer, (struct json_options){.strings = false}),
                        "error: o: x: unknown operator %BAD%");
    sample_fini(&s);
}

static void json_text_is_always_valid(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"plain", "\"plain\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\"\\\n\t\x01\x7f", "\"\\\"\\\\\\n\\t\\u0001\\u007f\""},
        {"a\xff"
         "b",
         "\"a\xef\xbf\xbd"
         "b\""},
        {"\xc3", "\"\xef\xbf\xbd\""},
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct line line;
        line_init(&line);
        line_add_json(&line, slice_of(rows[i].format));
        assert_int_equal(line.n, strlen(rows[i].text));
        assert_memory_equal(line.p, rows[i].text, line.n);
        line_fini(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_prints_its_value),
        cmocka_unit_test(the_default_format_is_that_of_envoy),
        cmocka_unit_test(a_format_that_cannot_be_compiled_names_the_operator),
        cmocka_unit_test(a_prefix_of_a_format_is_compiled_or_refused_but_never_read_beyond),
        cmocka_unit_test(what_is_missing_is_a_dash_or_nothing),
        cmocka_unit_test(flags_are_joined_in_one_order),
        cmocka_unit_test(a_key_never_shows_whatever_field_carries_it),
        cmocka_unit_test(a_long_line_is_rendered_in_full),
        cmocka_unit_test(json_keeps_types_and_sorts_members),
        cmocka_unit_test(json_says_where_the_bad_operator_stands),
        cmocka_unit_test(json_text_is_always_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
