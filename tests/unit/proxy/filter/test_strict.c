/* What a call must not do, however its policies, its backend's secrets or its backend's answer are made. */
static const char *test_secret = "hidden";
#define TEST_SECRET test_secret
#define TEST_BACKEND_MORE ", query: [ { name: code, value: { parts: [ { literal: \"x=\" }, { secret: namedvalues/s } ] } } ]"
#include "unit/proxy/filter/runner_test.h"

static struct fixture f;

static int open_store(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

#define FORWARD "backend: [ { forward_request: { follow_redirects: true } } ]"
#define REPLACE "{ find_and_replace: { from: a, to: { parts: [ { literal: bb } ] } } }"

static void a_secret_in_a_backends_query_stays_one_parameter(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *query;
    } rows[] = {
        {"Az09-._~!$'()*+,;:@/?==", "x=Az09-._~!$'()*+,;:@/?=="},
        {"a b", "x=a%20b"},
        {"a&b=c", "x=a%26b=c"},
        {"a#b", "x=a%23b"},
        {"a\\r\\nX-Injected: yes", "x=a%0D%0AX-Injected:%20yes"},
        {"\\u00e9\\\"<>\\x7f", "x=%C3%A9%22%3C%3E%7F"},
        {"a%2Fb%2f", "x=a%2Fb%2f"},
        {"50%", "x=50%25"},
        {"%zz%4", "x=%25zz%254"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c;
        char path[200];
        fixture_close(&f);
        fixture_open(&f);
        test_secret = rows[i].secret;
        load(&f, &(struct documents){FORWARD, NULL, NULL});
        call_init(&c, &f, "GET", "/a/items/7?q=1");
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        snprintf(path, sizeof path, "%.*s", SLICE_ARG(c.request.path));
        char expected[200];
        snprintf(expected, sizeof expected, "/base/items/7?q=1&code=%s", rows[i].query);
        assert_string_equal(path, expected);
        call_fini(&c);
    }
}

/* ---- preflights ---- */

static void a_preflight_matches_by_what_the_connection_speaks(void **state)
{
    (void)state;
    static const struct transport_tls tls = {0};
    load(&f, &(struct documents){"inbound: [ { cors: { origins: [ \"http://o.test\" ], methods: [ GET ] } } ], " FORWARD, NULL, NULL});
    for (int secure = 0; secure < 2; secure++) { /* the API takes http only */
        struct call c;
        call_init(&c, &f, "OPTIONS", "/a/items/7");
        c.info.tls = secure ? &tls : NULL;
        c.request.scheme = secure ? SLICE("http") : SLICE("https");
        head_add_id(&c.request, FIELD_ORIGIN, SLICE("http://o.test"));
        head_add(&c.request, SLICE("access-control-request-method"), SLICE("GET"));
        assert_int_equal(call_request(&c), FILTER_REPLIED);
        bool allowed = strstr(strbuf_cstr(&c.replied), "access-control-allow-methods: GET") != NULL;
        assert_int_equal(allowed, !secure);
        call_fini(&c);
    }
}

/* ---- redirects ---- */

static void a_redirect_of_a_backend_with_a_secret_in_its_query_hides_the_url(void **state)
{
    (void)state;
    static const struct {
        const char *location;
        enum apim_redirect verdict;
    } rows[] = {{"/x?other=hidden", APIM_REDIRECT_FOLLOW},
                {"http://up.test:80/x?other=hidden", APIM_REDIRECT_FOLLOW}, /* the port it has anyway */
                {"http://up.test:443/x", APIM_REDIRECT_AWAY},
                {"https://up.test:443/x", APIM_REDIRECT_AWAY},
                {"http://up.test:80:80/x", APIM_REDIRECT_AWAY}};
    load(&f, &(struct documents){FORWARD, NULL, NULL});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c;
        call_init(&c, &f, "GET", "/a/items/7?q=1");
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        assert_false(c.host.secret_url);
        head_init(&c.response, c.arena);
        c.response.status = 302;
        head_add_id(&c.response, FIELD_LOCATION, slice_of(rows[i].location));
        assert_int_equal(apim_redirect(&c.host, &c.response), rows[i].verdict);
        assert_int_equal(c.host.secret_url, rows[i].verdict == APIM_REDIRECT_FOLLOW);
        call_fini(&c);
    }
}

/* ---- bodies that are rewritten ---- */

static void begin_response(struct call *c, unsigned status)
{
    head_init(&c->response, c->arena);
    c->response.status = status;
    c->host.response = &c->response;
}

static void run_response(struct call *c)
{
    const struct http_filter *filter = call_filter(c);
    filter->on_response(filter, &c->host);
}

static const struct {
    unsigned status;
    const char *name, *first, *second;
    const char *error; /* NULL: it is rewritten */
} READABLE[] = {
    {200, "content-encoding", "identity", NULL, NULL},
    {200, "content-encoding", "", "identity , IDENTITY,", NULL},
    {200, "content-encoding", "identity", "gzip", "the body is compressed (gzip), which find-and-replace cannot read"},
    {200, "content-encoding", "identity, br", NULL, "the body is compressed (br), which find-and-replace cannot read"},
    {200, "content-encoding", ",,zstd", NULL, "the body is compressed (zstd), which find-and-replace cannot read"},
    {206, "x", "y", NULL, "the body is a part of one, which find-and-replace cannot read"},
    {200, "content-range", "bytes 0-1/2", NULL, "the body is a part of one, which find-and-replace cannot read"},
    {416, "content-range", "bytes */2", NULL, NULL},
    {304, "content-encoding", "gzip", NULL, NULL},
};

static void a_body_is_rewritten_only_if_it_is_plain_and_whole(void **state)
{
    (void)state;
    load(&f, &(struct documents){FORWARD ", outbound: [ " REPLACE " ]", NULL, NULL});
    for (size_t i = 0; i < ARRAY_LEN(READABLE); i++) {
        struct call c;
        call_init(&c, &f, "GET", "/a/items/7");
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        begin_response(&c, READABLE[i].status);
        head_add(&c.response, slice_of(READABLE[i].name), slice_of(READABLE[i].first));
        if (READABLE[i].second != NULL) {
            head_add(&c.response, slice_of(READABLE[i].name), slice_of(READABLE[i].second));
        }
        run_response(&c);
        if (READABLE[i].error == NULL) {
            assert_string_equal(strbuf_cstr(&c.replied), "");
        } else {
            assert_true(slice_starts_with(strbuf_slice(&c.replied), SLICE("500 ")));
            assert_true(slice_eq(c.host.error.message, slice_of(READABLE[i].error)));
        }
        call_fini(&c);
    }
}

static void what_was_said_of_a_body_does_not_outlive_it(void **state)
{
    (void)state;
    static const char *const names[] = {"content-md5", "digest", "repr-digest", "content-digest", "accept-ranges"};
    static const struct {
        const char *outbound;
        unsigned status;
        const char *etag, *then;
    } rows[] = {{REPLACE, 200, "\"x\"", "W/\"x\""},
                {REPLACE, 200, "W/\"x\"", "W/\"x\""},
                {"{ set_body: { value: { parts: [ { literal: one } ] } } }", 200, "\"x\"", "W/\"x\""},
                {REPLACE, 304, "\"x\"", "\"x\""},
                {"{ set_status: { code: 200 } }", 200, "\"x\"", "\"x\""}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c;
        char text[300];
        snprintf(text, sizeof text, FORWARD ", outbound: [ %s ]", rows[i].outbound);
        load(&f, &(struct documents){text, NULL, NULL});
        call_init(&c, &f, "GET", "/a/items/7");
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        begin_response(&c, rows[i].status);
        head_add_id(&c.response, FIELD_ETAG, slice_of(rows[i].etag));
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            head_add(&c.response, slice_of(names[k]), SLICE("x"));
        }
        run_response(&c);
        assert_true(slice_eq(head_value_id(&c.response, FIELD_ETAG), slice_of(rows[i].then)));
        bool kept = i >= 3;
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            assert_int_equal(head_find(&c.response, slice_of(names[k])) != NULL, kept);
        }
        call_fini(&c);
    }
}

static void no_part_of_a_body_is_asked_for_where_it_is_rewritten(void **state)
{
    (void)state;
    for (int rewrites = 0; rewrites < 2; rewrites++) {
        struct call c;
        load(&f, &(struct documents){rewrites ? FORWARD ", outbound: [ " REPLACE " ]" : FORWARD, NULL, NULL});
        call_init(&c, &f, "GET", "/a/items/7");
        head_add_id(&c.request, FIELD_RANGE, SLICE("bytes=0-1"));
        head_add(&c.request, SLICE("if-range"), SLICE("\"x\""));
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        assert_int_equal(head_find_id(&c.request, FIELD_RANGE) == NULL, rewrites);
        assert_int_equal(head_find(&c.request, SLICE("if-range")) == NULL, rewrites);
        call_fini(&c);
    }
}

static void a_body_that_on_error_cannot_rewrite_does_not_go_out(void **state)
{
    (void)state;
    load(&f, &(struct documents){"backend: [ { forward_request: { fail_on_error_status_code: true } } ], on_error: [ " REPLACE " ]", NULL, NULL});
    for (int compressed = 0; compressed < 2; compressed++) {
        struct call c;
        call_init(&c, &f, "GET", "/a/items/7");
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        begin_response(&c, 503);
        head_add(&c.response, SLICE("x"), SLICE("y"));
        if (compressed) {
            head_add_id(&c.response, FIELD_CONTENT_ENCODING, SLICE("gzip"));
        }
        run_response(&c);
        assert_int_equal(c.response.status, compressed ? 500 : 503);
        assert_int_equal(c.host.replaces_response_body, compressed);
        assert_int_equal(head_find(&c.response, SLICE("x")) == NULL, compressed);
        assert_int_equal(c.host.response_body.n, 0);
        call_fini(&c);
    }
}

static void a_head_that_a_policy_made_has_no_body_either_way(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        bool drops, answers;
    } rows[] = {{"POST", true, true}, {"HEAD", true, false}};
    load(&f, &(struct documents){"inbound: [ { set_method: { method: HEAD } }, " REPLACE " ], " FORWARD, NULL, NULL});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c;
        call_init(&c, &f, "GET", "/a/items/7");
        c.request.method = slice_of(rows[i].method);
        head_add_id(&c.request, FIELD_CONTENT_TYPE, SLICE("t/p"));
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        assert_int_equal(c.host.drops_request_body, rows[i].drops);
        assert_int_equal(c.host.replaces_request_body, rows[i].drops);
        assert_null(c.host.request_stages);
        assert_null(head_find_id(&c.request, FIELD_CONTENT_TYPE));
        call_response(&c, 200);
        assert_int_equal(c.host.replaces_response_body, rows[i].answers);
        call_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_secret_in_a_backends_query_stays_one_parameter, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_preflight_matches_by_what_the_connection_speaks, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_redirect_of_a_backend_with_a_secret_in_its_query_hides_the_url, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_body_is_rewritten_only_if_it_is_plain_and_whole, open_store, close_store),
        cmocka_unit_test_setup_teardown(what_was_said_of_a_body_does_not_outlive_it, open_store, close_store),
        cmocka_unit_test_setup_teardown(no_part_of_a_body_is_asked_for_where_it_is_rewritten, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_body_that_on_error_cannot_rewrite_does_not_go_out, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_head_that_a_policy_made_has_no_body_either_way, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
