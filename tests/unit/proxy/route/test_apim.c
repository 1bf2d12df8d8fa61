#include "unit/proxy/route/apim_fixture.h"

#define NO_API "no API has this path"
#define NO_VERSION "no such version"
#define NO_REVISION "no such revision"
#define NO_SCHEME "the API does not take this scheme"
#define NO_OPERATION "no operation fits"
#define BAD_PATH "malformed path"

static void run(const struct fixture_api *apis, size_t api_count, const struct fixture_call *calls, size_t call_count)
{
    struct apim_table *table = fixture_table(apis, api_count);
    fixture_calls(table, calls, call_count);
    apim_table_unref(&table);
}

#define RUN(apis, calls) run(apis, ARRAY_LEN(apis), calls, ARRAY_LEN(calls))

static void the_longest_path_of_whole_segments_wins_and_nothing_falls_back(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "short", .path = "shop"},
        {.name = "long", .path = "/shop/orders/", .operations = "GET /open"},
        {.name = "deep", .path = "a/b/c/d"},
    };
    static const struct fixture_call calls[] = {
        {"GET http://h/shop", NULL, "short;rev=1 * /*  *="},
        {"GET http://h/shop/", NULL, "short;rev=1 * /* / *="},
        {"GET http://h/shop/x/y?q=1", NULL, "short;rev=1 * /* /x/y *=x/y"},
        {"GET http://h/shop/orders/open", NULL, "long;rev=1 GET /open /open"},
        {"GET http://h/shop/orders/shut", NULL, NO_OPERATION},
        {"POST http://h/shop/orders/open", NULL, NO_OPERATION},
        {"GET http://h/SHOP/Orders/OPEN/", NULL, "long;rev=1 GET /open /OPEN/"},
        {"GET http://h/shop/ordersx", NULL, "short;rev=1 * /* /ordersx *=ordersx"},
        {"GET http://h/shopx", NULL, NO_API},
        {"GET http://h/", NULL, NO_API},
        {"GET http://h//shop", NULL, NO_API},
        {"GET http://h/shop//orders/open", NULL, "short;rev=1 * /* //orders/open *=/orders/open"},
        {"GET http://h/a/b/c", NULL, NO_API},
        {"GET http://h/a/b/c/d/e", NULL, "deep;rev=1 * /* /e *=e"},
    };
    RUN(apis, calls);
}

static void an_empty_path_takes_what_no_other_path_does(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "all", .path = "", .operations = "GET /\nGET /{x}"},
        {.name = "all;rev=2", .path = "", .operations = "GET /two", .not_current = true},
        {.name = "one", .path = "one"},
    };
    static const struct fixture_call calls[] = {
        {"GET http://h/", NULL, "all;rev=1 GET / /"},     {"GET http://h/x", NULL, "all;rev=1 GET /{x} /x x=x"},
        {"GET http://h/one", NULL, "one;rev=1 * /*  *="}, {"GET http://h/;rev=2/two", NULL, "all;rev=2 GET /two /two"},
        {"GET http://h/;rev=3/two", NULL, NO_REVISION},
    };
    RUN(apis, calls);
}

static void segments_are_matched_decoded_and_an_encoded_slash_stays_inside(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "ab", .path = "a/b", .operations = "GET /x y/{id}\nGET /e%2Ff"},
        {.name = "sp", .path = "two words"},
    };
    static const struct fixture_call calls[] = {
        {"GET http://h/%61/b/x%20y/%31", NULL, "ab;rev=1 GET /x y/{id} /x%20y/%31 id=1"},
        {"GET http://h/a%2Fb/x%20y/1", NULL, NO_API},
        {"GET http://h/a/b/x%20y/1%2F2", NULL, "ab;rev=1 GET /x y/{id} /x%20y/1%2F2 id=1/2"},
        {"GET http://h/a/b/e%2ff", NULL, "ab;rev=1 GET /e%2Ff /e%2ff"},
        {"GET http://h/a/b/e/f", NULL, NO_OPERATION},
        {"GET http://h/Two%20Words/x", NULL, "sp;rev=1 * /* /x *=x"},
        {"GET http://h/a/b/x%20y/%zz", NULL, "ab;rev=1 GET /x y/{id} /x%20y/%zz id=%zz"},
        {"GET http://h/a/../sp", NULL, BAD_PATH},
        {"GET http://h/a/b/%2e%2E/x", NULL, BAD_PATH},
        {"GET http://h/a/b/.", NULL, BAD_PATH},
        {"GET http://h/a/b/.%2e", NULL, BAD_PATH},
        {"GET http://h/a/b/x%00", NULL, BAD_PATH},
        {"GET http://h", NULL, BAD_PATH},
        {"GET http://h/a/b/x%20y/..x", NULL, "ab;rev=1 GET /x y/{id} /x%20y/..x id=..x"},
    };
    RUN(apis, calls);
}

static void literal_comes_before_mixed_before_parameter_before_catch_all(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "x",
         .path = "x",
         .operations = "GET /*\nGET /{p}\nGET /{p}.json\nGET /r{p}.json\nGET /report.json\nGET /{p}/a\nGET /lit/{q}\n"
                       "POST /lit/b\nGET /{p}/{q}/deep\n* /any\nGET /any\nGET /{p}/w/{*rest}"},
    };
    static const struct fixture_call calls[] = {
        {"GET http://h/x/report.json", NULL, "x;rev=1 GET /report.json /report.json"},
        {"GET http://h/x/REPORT.JSON", NULL, "x;rev=1 GET /report.json /REPORT.JSON"},
        {"GET http://h/x/rest.json", NULL, "x;rev=1 GET /r{p}.json /rest.json p=est"},
        {"GET http://h/x/best.json", NULL, "x;rev=1 GET /{p}.json /best.json p=best"},
        {"GET http://h/x/best", NULL, "x;rev=1 GET /{p} /best p=best"},
        {"GET http://h/x/lit/a", NULL, "x;rev=1 GET /lit/{q} /lit/a q=a"},
        {"GET http://h/x/lit/b", NULL, "x;rev=1 GET /lit/{q} /lit/b q=b"},
        {"POST http://h/x/lit/b", NULL, "x;rev=1 POST /lit/b /lit/b"},
        {"GET http://h/x/other/a", NULL, "x;rev=1 GET /{p}/a /other/a p=other"},
        {"GET http://h/x/lit/a/deep", NULL, "x;rev=1 GET /{p}/{q}/deep /lit/a/deep p=lit q=a"},
        {"GET http://h/x/1/2/3", NULL, "x;rev=1 GET /* /1/2/3 *=1/2/3"},
        {"GET http://h/x/1/w", NULL, "x;rev=1 GET /{p}/w/{*rest} /1/w p=1 rest="},
        {"GET http://h/x/1/w/2/3/", NULL, "x;rev=1 GET /{p}/w/{*rest} /1/w/2/3/ p=1 rest=2/3/"},
        {"GET http://h/x", NULL, "x;rev=1 GET /*  *="},
        {"GET http://h/x//", NULL, "x;rev=1 GET /* // *=/"},
        {"GET http://h/x/any", NULL, "x;rev=1 GET /any /any"},
        {"PUT http://h/x/any", NULL, "x;rev=1 * /any /any"},
        {"HEAD http://h/x/best", NULL, NO_OPERATION},
        {"OPTIONS http://h/x/best", NULL, NO_OPERATION},
        {"get http://h/x/best", NULL, NO_OPERATION},
    };
    RUN(apis, calls);
}

static void query_parts_of_a_template_are_required_in_any_order(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "s",
         .path = "s",
         .operations =
             "POST /?soapAction=http://t.org/I/Get\nPOST /?soapAction=http://t.org/I/Put\n"
             "POST /?soapAction={any}\nPOST /\nGET /login?u={user}&p={pass}\nGET /login?u={user}\nGET /w?wsdl"},
    };
    static const struct fixture_call calls[] = {
        {"POST http://h/s/?soapAction=http%3A%2F%2Ft.org%2FI%2FGet", NULL,
         "s;rev=1 POST /?soapAction=http://t.org/I/Get /"},
        {"POST http://h/s?x=1&SOAPACTION=HTTP://t.org/i/put", NULL, "s;rev=1 POST /?soapAction=http://t.org/I/Put "},
        {"POST http://h/s?soapAction=else", NULL, "s;rev=1 POST /?soapAction={any}  any=else"},
        {"POST http://h/s", NULL, "s;rev=1 POST / "},
        {"GET http://h/s/login?p=a%20b&z=1&U=c+d", NULL,
         "s;rev=1 GET /login?u={user}&p={pass} /login user=c d pass=a b"},
        {"GET http://h/s/login?u=c", NULL, "s;rev=1 GET /login?u={user} /login user=c"},
        {"GET http://h/s/login?p=c", NULL, NO_OPERATION},
        {"GET http://h/s/w?wsdl", NULL, "s;rev=1 GET /w?wsdl /w"},
        {"GET http://h/s/w?wsdl=", NULL, "s;rev=1 GET /w?wsdl /w"},
        {"GET http://h/s/w?wsdl=1", NULL, NO_OPERATION},
        {"GET http://h/s/w", NULL, NO_OPERATION},
    };
    RUN(apis, calls);
}

static void a_revision_is_named_behind_the_path_and_must_be_online(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "o;rev=1", .path = "o", .not_current = true},
        {.name = "o;rev=2", .path = "o"},
        {.name = "o;rev=3", .path = "o", .not_current = true, .offline = true},
        {.name = "o;rev=4", .path = "o/sub", .operations = "GET /"},
        {.name = "c;rev=5", .path = "c", .offline = true},
    };
    static const struct fixture_call calls[] = {
        {"GET http://h/o/x", NULL, "o;rev=2 * /* /x *=x"},
        {"GET http://h/o;rev=1/x", NULL, "o;rev=1 * /* /x *=x"},
        {"GET http://h/O;REV=1", NULL, "o;rev=1 * /*  *="},
        {"GET http://h/o%3Brev%3D1/x", NULL, "o;rev=1 * /* /x *=x"},
        {"GET http://h/o;rev=2/x", NULL, "o;rev=2 * /* /x *=x"},
        {"GET http://h/o;rev=3/x", NULL, NO_REVISION},
        {"GET http://h/o;rev=9/x", NULL, NO_REVISION},
        {"GET http://h/o;rev=/x", NULL, NO_REVISION},
        {"GET http://h/o;rev=1/sub", NULL, "o;rev=1 * /* /sub *=sub"},
        {"GET http://h/o/x;rev=1", NULL, "o;rev=2 * /* /x;rev=1 *=x;rev=1"},
        {"GET http://h/o/;rev=1/x", NULL, "o;rev=2 * /* /;rev=1/x *=;rev=1/x"},
        {"GET http://h/o;v=1/x", NULL, NO_API},
        {"GET http://h/c", NULL, "c;rev=5 * /*  *="},
    };
    RUN(apis, calls);
}

static void without_a_current_revision_only_named_ones_answer(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {{.name = "o;rev=1", .path = "o", .not_current = true}};
    static const struct fixture_call calls[] = {{"GET http://h/o", NULL, NO_REVISION},
                                                {"GET http://h/o;rev=1", NULL, "o;rev=1 * /*  *="}};
    RUN(apis, calls);
}

static void versions_by_segment_fall_back_to_the_original(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "o", .path = "o", .versioning = APIM_VERSION_SEGMENT},
        {.name = "o-v1", .path = "o", .versioning = APIM_VERSION_SEGMENT, .version = "v1"},
        {.name = "o-v2;rev=1", .path = "o", .versioning = APIM_VERSION_SEGMENT, .version = "V2"},
        {.name = "o-v2;rev=2", .path = "o", .versioning = APIM_VERSION_SEGMENT, .version = "V2", .not_current = true},
        {.name = "p-v1", .path = "p", .versioning = APIM_VERSION_SEGMENT, .version = "2024-01-01"},
    };
    static const struct fixture_call calls[] = {
        {"GET http://h/o/v1/x", NULL, "o-v1;rev=1 * /* /x *=x"},
        {"GET http://h/o/V1", NULL, "o-v1;rev=1 * /*  *="},
        {"GET http://h/o/v2/x", NULL, "o-v2;rev=1 * /* /x *=x"},
        {"GET http://h/o/v2;rev=2/x", NULL, "o-v2;rev=2 * /* /x *=x"},
        {"GET http://h/o;rev=2/v2/x", NULL, "o-v2;rev=2 * /* /x *=x"},
        {"GET http://h/o/v2;rev=7/x", NULL, NO_REVISION},
        {"GET http://h/o/v3/x", NULL, "o;rev=1 * /* /v3/x *=v3/x"},
        {"GET http://h/o", NULL, "o;rev=1 * /*  *="},
        {"GET http://h/o;rev=1/v9", NULL, "o;rev=1 * /* /v9 *=v9"},
        {"GET http://h/p/2024-01-01/x", NULL, "p-v1;rev=1 * /* /x *=x"},
        {"GET http://h/p/x", NULL, NO_VERSION},
        {"GET http://h/p", NULL, NO_VERSION},
    };
    RUN(apis, calls);
}

static void versions_by_header_or_query_miss_when_they_are_unknown(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "h0", .path = "h", .versioning = APIM_VERSION_HEADER, .parameter = "Api-Version"},
        {.name = "h1", .path = "h", .versioning = APIM_VERSION_HEADER, .parameter = "Api-Version", .version = "v1"},
        {.name = "q1",
         .path = "q",
         .versioning = APIM_VERSION_QUERY,
         .parameter = "api-version",
         .version = "2024-01-01"},
        {.name = "q2", .path = "q", .versioning = APIM_VERSION_QUERY, .parameter = "api-version", .version = "b c"},
    };
    static const struct fixture_call calls[] = {
        {"GET http://h/h/x", "api-version: v1", "h1;rev=1 * /* /x *=x"},
        {"GET http://h/h/x", "api-version: V1", "h1;rev=1 * /* /x *=x"},
        {"GET http://h/h/x", NULL, "h0;rev=1 * /* /x *=x"},
        {"GET http://h/h/x", "api-version:", "h0;rev=1 * /* /x *=x"},
        {"GET http://h/h/x", "api-version: v2", NO_VERSION},
        {"GET http://h/h;rev=1/x", "api-version: v1", "h1;rev=1 * /* /x *=x"},
        {"GET http://h/q/x?a&Api-Version=2024-01-01", NULL, "q1;rev=1 * /* /x *=x"},
        {"GET http://h/q/x?api%2Dversion=b%20c", NULL, "q2;rev=1 * /* /x *=x"},
        {"GET http://h/q/x?api-version=3", NULL, NO_VERSION},
        {"GET http://h/q/x", NULL, NO_VERSION},
    };
    RUN(apis, calls);
}

static void an_api_is_there_only_for_its_hosts(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "a", .path = "p/q", .host = "a.Test"},
        {.name = "w", .path = "p/q", .host = "*.wild.test"},
        {.name = "b", .path = "p"},
        {.name = "port", .path = "port", .host = "c.test:8080"},
    };
    static const struct fixture_call calls[] = {
        {"GET http://A.test/p/q", NULL, "a;rev=1 * /*  *="},
        {"GET http://a.test:8080/p/q", NULL, "a;rev=1 * /*  *="},
        {"GET http://x.wild.test/p/q", NULL, "w;rev=1 * /*  *="},
        {"GET http://.wild.test/p/q", NULL, "b;rev=1 * /* /q *=q"},
        {"GET http://else/p/q", NULL, "b;rev=1 * /* /q *=q"},
        {"GET http://c.test:8080/port", NULL, "port;rev=1 * /*  *="},
        {"GET http://c.test/port", NULL, NO_API},
    };
    RUN(apis, calls);
}

static void a_slash_at_the_end_only_tells_two_templates_apart(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "t", .path = "t", .operations = "GET /a\nGET /a/\nGET /b/\nGET /c\nGET /d/{x}\nGET /d/{y}/\n* /a?q={q}"}};
    static const struct fixture_call calls[] = {
        {"GET http://h/t/a", NULL, "t;rev=1 GET /a /a"},        {"GET http://h/t/a/", NULL, "t;rev=1 GET /a/ /a/"},
        {"GET http://h/t/b", NULL, "t;rev=1 GET /b/ /b"},       {"GET http://h/t/b/", NULL, "t;rev=1 GET /b/ /b/"},
        {"GET http://h/t/c/", NULL, "t;rev=1 GET /c /c/"},      {"GET http://h/t/d/1", NULL, "t;rev=1 GET /d/{x} /d/1 x=1"},
        {"GET http://h/t/d/1/", NULL, "t;rev=1 GET /d/{y}/ /d/1/ y=1"},
    };
    RUN(apis, calls);
}

static void the_scheme_must_be_one_of_the_apis(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {{.name = "s", .path = "p/s", .no_http = true},
                                              {.name = "c", .path = "p/c", .no_https = true},
                                              {.name = "w", .path = "p/w", .no_http = true, .no_https = true, .ws = true},
                                              {.name = "x", .path = "p/x", .no_http = true, .no_https = true, .wss = true},
                                              {.name = "p", .path = "p"}};
    static const struct fixture_call calls[] = {
        {"GET https://h/p/s", NULL, "s;rev=1 * /*  *="}, {"GET wss://h/p/s", NULL, NO_SCHEME},
        {"GET http://h/p/s", NULL, NO_SCHEME},           {"GET https://h/p/c", NULL, NO_SCHEME},
        {"GET ws://h/p/c", NULL, NO_SCHEME},             {"GET ws://h/p/w", NULL, "w;rev=1 * /*  *="},
        {"GET wss://h/p/w", NULL, NO_SCHEME},            {"GET http://h/p/w", NULL, NO_SCHEME},
        {"GET wss://h/p/x/a", NULL, "x;rev=1 * /* /a *=a"}, {"GET https://h/p/x", NULL, NO_SCHEME},
    };
    RUN(apis, calls);
}

static void what_is_closed_is_matched_and_says_so_and_never_lets_a_neighbour_answer(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {
        {.name = "open", .path = "p"},
        {.name = "shut", .path = "p/shut", .operations = "GET /known", .closed = "spec unreadable"},
        {.name = "bare", .path = "p/bare", .operations = "", .closed = "no spec"},
        {.name = "half", .path = "p/half", .operations = "GET /a !policy\nGET /b"},
        {.name = "v", .path = "p/v", .versioning = APIM_VERSION_SEGMENT, .version = "v1", .closed = "gone"},
        {.name = "one", .path = "p/two", .closed = "same path"},
        {.name = "two", .path = "p/two", .closed = "same path"},
    };
    static const struct fixture_call calls[] = {
        {"GET http://h/p/shut/known", NULL, "shut;rev=1 GET /known /known closed:spec unreadable"},
        {"PUT http://h/p/shut/other", NULL, "shut;rev=1 - /other closed:spec unreadable"},
        {"GET http://h/p/bare", NULL, "bare;rev=1 -  closed:no spec"},
        {"GET http://h/p/half/a", NULL, "half;rev=1 GET /a /a closed:policy"},
        {"GET http://h/p/half/b", NULL, "half;rev=1 GET /b /b"},
        {"GET http://h/p/half/c", NULL, NO_OPERATION},
        {"GET http://h/p/v/v1/x", NULL, "v;rev=1 * /* /x *=x closed:gone"},
        {"GET http://h/p/v/v2/x", NULL, NO_VERSION},
        {"GET http://h/p/two", NULL, "one;rev=1 * /*  *= closed:same path"},
        {"GET http://h/p/else", NULL, "open;rev=1 * /* /else *=else"},
    };
    RUN(apis, calls);
}

static void what_cannot_be_an_api_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct fixture_api api;
        const char *says;
    } cases[] = {
        {{.name = "x", .path = "a//b"}, "empty segment"},
        {{.name = "x", .path = "a/../b"}, "dot segment"},
        {{.name = "x", .path = "%2e"}, "dot segment"},
        {{.name = "x", .path = "a?b"}, "'?'"},
        {{.name = "x", .path = "a;rev=2"}, ";rev="},
        {{.name = "x", .path = "1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3"}, "segments"},
        {{.name = "x", .path = "a", .version = "v1"}, "scheme"},
        {{.name = "x", .path = "a", .versioning = APIM_VERSION_SEGMENT, .version = "v/1"}, "one segment"},
        {{.name = "x", .path = "a", .versioning = APIM_VERSION_HEADER, .version = "v1"}, "version_parameter"},
        {{.name = "x", .path = "a", .operations = "GET /{"}, "operations[GET /{]"},
        {{.name = "x", .path = "a", .operations = " /x"}, "method"},
        {{.name = "x", .path = "a", .operations = "GET /{a}/b\nGET /{c}/B"}, "\"GET /{a}/b\" and \"GET /{c}/B\""},
        {{.name = "x", .path = "a", .operations = "GET /*\nGET /{*r} !shut"}, "same method and template"},
        {{.name = "x", .path = "a", .operations = "GET /?a={b}&c=1\nGET /?C=1&A={x}"}, "same method and template"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct apim_api *api = fixture_api_try(&cases[i].api, &err);
        if (api != NULL) {
            fail_msg("case %zu accepted", i);
        }
        assert_text_has(&err, cases[i].says);
        assert_text_has(&err, "apis/x;rev=1");
    }
}

static void two_closed_operations_may_be_alike(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {{.name = "x", .path = "x", .operations = "GET /{a} !one\nGET /{b} !two"}};
    static const struct fixture_call calls[] = {{"GET http://h/x/1", NULL, "x;rev=1 GET /{a} /1 a=1 closed:one"}};
    RUN(apis, calls);
}

static void parameters_are_found_by_name_with_their_raw_text(void **state)
{
    (void)state;
    static const struct fixture_api apis[] = {{.name = "x", .path = "x", .operations = "GET /{Id}/{*rest}"}};
    struct apim_table *table = fixture_table(apis, 1);
    struct route_request req = {.scheme = SLICE("https"),
                                .method = SLICE("GET"),
                                .authority = SLICE("h"),
                                .path = SLICE("/x/a%2Fb/c%20d/e?q=1")};
    struct arena *arena = arena_create(0);
    struct apim_match m;
    bool found = false;
    assert_true(apim_match(table, &req, arena, &m));
    assert_null(m.params);
    apim_match_params(&m, arena);
    assert_slice(apim_match_param(&m, SLICE("id"), &found), "a/b");
    assert_true(found);
    assert_slice(m.params[0].raw, "a%2Fb");
    assert_slice(m.params[1].raw, "c%20d/e");
    assert_slice(m.query, "q=1");
    apim_match_param(&m, SLICE("none"), &found);
    assert_false(found);
    arena_destroy(&arena);
    apim_table_unref(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_path_of_whole_segments_wins_and_nothing_falls_back),
        cmocka_unit_test(an_empty_path_takes_what_no_other_path_does),
        cmocka_unit_test(segments_are_matched_decoded_and_an_encoded_slash_stays_inside),
        cmocka_unit_test(literal_comes_before_mixed_before_parameter_before_catch_all),
        cmocka_unit_test(query_parts_of_a_template_are_required_in_any_order),
        cmocka_unit_test(a_revision_is_named_behind_the_path_and_must_be_online),
        cmocka_unit_test(without_a_current_revision_only_named_ones_answer),
        cmocka_unit_test(versions_by_segment_fall_back_to_the_original),
        cmocka_unit_test(versions_by_header_or_query_miss_when_they_are_unknown),
        cmocka_unit_test(an_api_is_there_only_for_its_hosts),
        cmocka_unit_test(a_slash_at_the_end_only_tells_two_templates_apart),
        cmocka_unit_test(the_scheme_must_be_one_of_the_apis),
        cmocka_unit_test(what_is_closed_is_matched_and_says_so_and_never_lets_a_neighbour_answer),
        cmocka_unit_test(what_cannot_be_an_api_is_refused_by_name),
        cmocka_unit_test(two_closed_operations_may_be_alike),
        cmocka_unit_test(parameters_are_found_by_name_with_their_raw_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
