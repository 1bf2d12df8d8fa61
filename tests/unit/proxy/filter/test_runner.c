/* The runner of policy programs: what each instruction does to a call, and how sections and errors follow one another. */
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

/* ---- requests ---- */

struct row {
    struct documents documents;
    const char *expected; /* "METHOD path authority timeout cluster header=value…", or a reply */
};

#define BASE "{ base_scope: {} }"
#define HEADER(name, value) "{ set_header: { name: " name ", values: [ { parts: [ { literal: \"" value "\" } ] } ] } }"
#define FORWARD "{ forward_request: {} }"
#define RETURN(code) "{ return_response: { status: { code: " code " } } }"
#define CLOSED "{ closed: { reason: \"f:1: why\" } }"
#define ENTER(key, most) "{ enter_limit: { key: " key ", max_count: " most " } }"
#define LEAVE "{ leave_limit: {} }"
#define FORBID "{ ip_filter: { ranges: [ { first: 10.0.0.0, last: 10.0.0.255 } ] } }"
#define JSON(status, message) "content-type: application/json|{ \"statusCode\": " status ", \"message\": \"" message "\" }"

static const struct row ROWS[] = {
    /* documents */
    {{NULL, NULL, NULL}, "GET /base/items/7?q=1 up.test 300000 up"},
    {{"inbound: [ " HEADER("x", "s") " ], backend: [ { forward_request: { timeout_s: 3 } } ]", NULL, NULL},
     "GET /base/items/7?q=1 up.test 3000 up x=s"},
    {{"inbound: [ " HEADER("x", "s") " ], backend: [ " FORWARD " ]", "inbound: [ " BASE ", " HEADER("y", "a") " ], backend: [ " BASE " ]",
      "inbound: [ " HEADER("z", "o") ", " BASE " ], backend: [ " BASE " ]"},
     "GET /base/items/7?q=1 up.test 300000 up z=o x=s y=a"},
    {{"inbound: [ " CLOSED " ], backend: [ " CLOSED " ]", "inbound: [ " HEADER("y", "a") " ], backend: [ { forward_request: { timeout_ms: 5 } } ]", NULL},
     "GET /base/items/7?q=1 up.test 5 up y=a"},
    {{"inbound: [ " CLOSED " ]", NULL, "inbound: [ " BASE " ]"}, "501 Not Implemented|content-type: application/json|{ \"statusCode\": 501, \"message\": \"f:1: why\" }"},
    {{"outbound: [ " CLOSED " ], backend: [ " FORWARD " ]", NULL, NULL},
     "501 Not Implemented|content-type: application/json|{ \"statusCode\": 501, \"message\": \"f:1: why\" }"},
    {{"inbound: [ " RETURN("204") ", " CLOSED " ], outbound: [ " CLOSED " ]", NULL, NULL}, "204 |"},
    {{"backend: [ " FORWARD ", " HEADER("x", "y") " ]", NULL, NULL},
     "501 Not Implemented|" JSON("501", "a policy behind forward-request in backend is not supported yet")},
    {{"backend: [ " FORWARD ", " FORWARD " ]", NULL, NULL}, "501 Not Implemented|" JSON("501", "forward-request is reached a second time")},
    {{"backend: [ ], outbound: [ " HEADER("x", "out") ", { set_status: { code: 201, reason: Made } }, { set_body: { value: { parts: [ { literal: made } ] } } } ]", NULL, NULL},
     "201 Made|x: out|made"},
    /* steps of the request */
    {{"inbound: [ { set_method: { method: PUT } }, { rewrite_uri: { uri_template: \"/new/{id}\", copy_unmatched_params: true } } ], backend: [ " FORWARD " ]", NULL, NULL},
     "PUT /base/new/7?q=1 up.test 300000 up"},
    {{"inbound: [ { set_query_parameter: { name: q, values: [ { parts: [ { secret: namedvalues/s } ] } ] } } ], backend: [ " FORWARD " ]", NULL, NULL},
     "GET /base/items/7?q=hidden up.test 300000 up"},
    {{"inbound: [ { rewrite_uri: { uri_template: \"/{none}\" } } ], backend: [ " FORWARD " ]", NULL, NULL},
     "501 Not Implemented|" JSON("501", "rewrite-uri names a parameter that the operation's template does not have")},
    {{"backend: [ { forward_request: { version: HTTP2 } } ]", NULL, NULL}, "GET /base/items/7?q=1 up.test 300000 up2"},
    {{"backend: [ { forward_request: { version: HTTP2_OR_1 } } ]", NULL, NULL}, "GET /base/items/7?q=1 up.test 300000 up"},
    {{"inbound: [ { use_proxy: { address: \"p:80\" } } ], backend: [ " FORWARD " ]", NULL, NULL}, "GET /base/items/7?q=1 up.test 300000 up3"},
    {{"inbound: [ { use_proxy: { address: \"q:80\" } }, { use_proxy: { address: \"p:80\" } } ], backend: [ { forward_request: { version: HTTP2 } } ]", NULL, NULL},
     "GET /base/items/7?q=1 up.test 300000 up2"},
    {{"inbound: [ { use_proxy: { address: \"q:80\" } } ], backend: [ " FORWARD " ]", NULL, NULL},
     "501 Not Implemented|" JSON("501", "policy <proxy>: no way through this proxy to its backend is known")},
    /* those that turn away, and on-error */
    {{"inbound: [ " FORBID " ], backend: [ " FORWARD " ]", NULL, NULL}, "403 |" JSON("403", "Caller IP address is blocked. Access denied.")},
    {{"inbound: [ " FORBID " ], backend: [ " FORWARD " ], on_error: [ " HEADER("x", "caught") ", { set_status: { code: 418 } } ]", NULL, NULL},
     "418 |content-type: application/json|x: caught|{ \"statusCode\": 403, \"message\": \"Caller IP address is blocked. Access denied.\" }"},
    {{"inbound: [ " FORBID " ], on_error: [ " RETURN("299") " ]", NULL, NULL}, "299 |"},
    {{"inbound: [ " FORBID " ], on_error: [ " HEADER("x", "1") ", " ENTER("gone", "1") ", " ENTER("gone", "1") ", " HEADER("x", "2") ", " LEAVE ", " LEAVE " ]", NULL, NULL},
     "403 |content-type: application/json|x: 1|{ \"statusCode\": 403, \"message\": \"Caller IP address is blocked. Access denied.\" }"},
    {{"inbound: [ " FORBID " ], on_error: [ { find_and_replace: { from: statusCode, to: { parts: [ { literal: code } ] } } } ]", NULL, NULL},
     "403 |content-type: application/json|{ \"code\": 403, \"message\": \"Caller IP address is blocked. Access denied.\" }"},
    /* an on-error that fails itself */
    {{"inbound: [ " FORBID " ], on_error: [ { xml_to_json: {} } ]", NULL, NULL},
     "403 |" JSON("403", "Caller IP address is blocked. Access denied.")},
    {{"inbound: [ " FORBID " ], on_error: [ { rewrite_uri: { uri_template: \"/{none}\" } } ]", NULL, NULL},
     "403 |" JSON("403", "Caller IP address is blocked. Access denied.")},
    {{"inbound: [ { check_header: { name: none, code: 400, message: 'no \"x\"' } } ]", NULL, NULL}, "400 |" JSON("400", "no \\\"x\\\"")},
    /* limit-concurrency */
    {{"inbound: [ " ENTER("k", "1") ", " ENTER("k", "1") ", " LEAVE ", " LEAVE " ]", NULL, NULL},
     "429 Too Many Requests|" JSON("429", "Too many requests are under way.")},
    {{"inbound: [ " ENTER("k", "1") ", " LEAVE ", " ENTER("k", "1") ", " RETURN("200") ", " LEAVE " ]", NULL, NULL}, "200 |"},
    {{"backend: [ " ENTER("k", "1") ", " FORWARD ", " LEAVE " ]", NULL, NULL}, "GET /base/items/7?q=1 up.test 300000 up"},
    /* mock-response */
    {{"inbound: [ { mock_response: {} } ]", NULL, NULL}, "200 |content-type: text/one|one"},
    {{"inbound: [ { mock_response: { content_type: Text/Two } } ]", NULL, NULL}, "200 |content-type: Text/Two|two"},
    {{"inbound: [ { mock_response: { status: 404 } } ]", NULL, NULL}, "404 |content-type: text/none|"},
    {{"inbound: [ { mock_response: { status: 500 } } ]", NULL, NULL}, "500 |content-type: text/any|any"},
    {{"inbound: [ { mock_response: { status: 500, content_type: text/one } } ]", NULL, NULL}, "500 |content-type: text/one|"},
    {{"inbound: [ " FORBID " ], on_error: [ { mock_response: { status: 404 } } ]", NULL, NULL}, "404 |content-type: text/none|"},
};

static void describe(const struct call *c, struct strbuf *out)
{
    if (!slice_is_empty(strbuf_slice(&c->replied))) {
        strbuf_add(out, strbuf_slice(&c->replied));
        return;
    }
    strbuf_printf(out, "%.*s %.*s %.*s %u %.*s", SLICE_ARG(c->request.method), SLICE_ARG(c->request.path),
                  SLICE_ARG(c->request.authority), c->host.apim.forward->timeout_ms, SLICE_ARG(c->host.apim.cluster));
    for (unsigned i = 0; i < c->request.n; i++) {
        strbuf_printf(out, " %.*s=%.*s", SLICE_ARG(c->request.fields[i].name), SLICE_ARG(c->request.fields[i].value));
    }
}

static void each_program_makes_of_a_request_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        for (int again = 0; again < 2; again++) { /* whatever the first held is free again */
            struct call c;
            struct strbuf got;
            strbuf_init(&got);
            load(&f, &ROWS[i].documents);
            call_init(&c, &f, "GET", "/a/items/7?q=1");
            bool replied = call_request(&c) == FILTER_REPLIED;
            assert_int_equal(replied, !slice_is_empty(strbuf_slice(&c.replied)));
            describe(&c, &got);
            if (strcmp(strbuf_cstr(&got), ROWS[i].expected) != 0) {
                fail_msg("row %zu gives\n%s\nnot\n%s", i, strbuf_cstr(&got), ROWS[i].expected);
            }
            strbuf_fini(&got);
            call_fini(&c);
        }
    }
}

static void a_chain_of_nothing_but_base_takes_no_memory_to_link_and_check(void **state)
{
    (void)state;
    static const struct documents d = {"inbound: [ " BASE " ], backend: [ " BASE " ], outbound: [ " BASE " ], on_error: [ " BASE " ]",
                                       "inbound: [ " BASE " ], backend: [ " BASE " ], outbound: [ " BASE " ], on_error: [ " BASE " ]",
                                       "inbound: [ " BASE " ], backend: [ " BASE " ], outbound: [ " BASE " ], on_error: [ " BASE " ]"};
    struct call c;
    load(&f, &d);
    call_init(&c, &f, "GET", "/a/items/7");
    size_t before = arena_bytes(c.arena);
    assert_int_equal(call_request(&c), FILTER_CONTINUE);
    assert_int_equal(arena_bytes(c.arena), before);
    assert_null(c.host.request_stages);
    call_response(&c, 200);
    assert_null(c.host.response_stages);
    assert_int_equal(c.response.n, 0);
    call_fini(&c);
}

/* ---- responses ---- */

static void outbound_acts_on_the_backends_response(void **state)
{
    (void)state;
    static const struct documents d = {"backend: [ " FORWARD " ], outbound: [ " HEADER("x", "s") " ]",
                                       "backend: [ " BASE " ], outbound: [ " BASE ", " HEADER("y", "a") ", { set_status: { code: 299, reason: Odd } } ]", NULL};
    struct call c;
    load(&f, &d);
    call_init(&c, &f, "GET", "/a/items/7");
    assert_int_equal(call_request(&c), FILTER_CONTINUE);
    call_response(&c, 200);
    assert_int_equal(c.response.status, 299);
    assert_true(slice_eq(head_find(&c.response, SLICE("x"))->value, SLICE("s")));
    assert_true(slice_eq(head_find(&c.response, SLICE("y"))->value, SLICE("a")));
    call_fini(&c);
}

static void an_error_status_runs_on_error_only_where_forward_request_says_so(void **state)
{
    (void)state;
    static const struct documents d = {
        "backend: [ { forward_request: { fail_on_error_status_code: true } } ], outbound: [ " HEADER("x", "out") " ], on_error: [ " HEADER("x", "caught") " ]", NULL, NULL};
    static const struct {
        unsigned status;
        const char *x;
    } rows[] = {{200, "out"}, {399, "out"}, {400, "caught"}, {599, "caught"}, {304, "out"}};
    load(&f, &d);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c;
        call_init(&c, &f, "GET", "/a/items/7");
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        call_response(&c, rows[i].status);
        assert_true(slice_eq(head_find(&c.response, SLICE("x"))->value, slice_of(rows[i].x)));
        assert_int_equal(c.response.status, rows[i].status);
        assert_int_equal(c.host.error.source.n > 0, rows[i].status >= 400);
        call_fini(&c);
    }
}

static void a_place_taken_around_forward_request_is_free_with_the_responses_head_or_the_requests_end(void **state)
{
    (void)state;
    static const struct documents d = {"backend: [ " ENTER("around", "2") ", " FORWARD ", " LEAVE " ]", NULL, NULL};
    struct call a, b, over, next;
    load(&f, &d);
    call_init(&a, &f, "GET", "/a/items/7");
    call_init(&b, &f, "GET", "/a/items/7");
    call_init(&over, &f, "GET", "/a/items/7");
    assert_int_equal(call_request(&a), FILTER_CONTINUE);
    assert_int_equal(call_request(&b), FILTER_CONTINUE);
    assert_int_equal(call_request(&over), FILTER_REPLIED);
    assert_true(slice_eq(over.host.error.reason, SLICE("ConcurrencyLimitExceeded")));
    call_response(&a, 200);
    call_fini(&over);
    call_init(&over, &f, "GET", "/a/items/7");
    assert_int_equal(call_request(&over), FILTER_CONTINUE);
    call_fini(&b); /* its client went away */
    call_init(&next, &f, "GET", "/a/items/7");
    assert_int_equal(call_request(&next), FILTER_CONTINUE);
    call_fini(&a);
    call_fini(&over);
    call_fini(&next);
}

/* ---- bodies ---- */

static const struct {
    const char *outbound, *path, *type, *accept, *body, *expected, *expected_type; /* expected NULL: no stages */
} BODIES[] = {
    {"{ find_and_replace: { from: a, to: { parts: [ { secret: namedvalues/s } ] } } }", "/a/items/7", "t/p", NULL, "banana", "bhiddennhiddennhidden", "t/p"},
    {"{ jsonp: { callback_parameter: cb } }", "/a/items/7?x&cb=a.b1", "application/json", NULL, "{}", "a.b1({});", "text/javascript"},
    {"{ jsonp: { callback_parameter: cb } }", "/a/items/7", "application/json", NULL, "{}", NULL, "application/json"},
    {"{ redirect_content_urls: {} }", "/a/items/7", "t/p", NULL, "http://up.test/base/x http://up.test/basement", "http://gw.test/a/x http://up.test/basement", "t/p"},
    {"{ json_to_xml: { namespace_separator: _ } }", "/a/items/7", "t/p", NULL, "{\"a\":1}", "<a>1</a>", "text/xml"},
    {"{ json_to_xml: { namespace_separator: _, only_json: true } }", "/a/items/7", "t/p", NULL, "", NULL, "t/p"},
    {"{ json_to_xml: { namespace_separator: _, only_json: true } }", "/a/items/7", "application/problem+JSON;x=1", NULL, "{\"a\":1}", "<a>1</a>", "text/xml"},
    {"{ json_to_xml: { namespace_separator: _, consider_accept: true } }", "/a/items/7", "t/p", "*/*, text/html", "", NULL, "t/p"},
    {"{ json_to_xml: { namespace_separator: _, consider_accept: true } }", "/a/items/7", "t/p", "text/html, application/soap+xml", "{\"a\":1}", "<a>1</a>", "text/xml"},
    {"{ xml_to_json: { only_xml: true } }", "/a/items/7", "text/xml", NULL, "<a/>", "{\"a\":null}", "application/json"},
    {"{ xml_to_json: { only_xml: true } }", "/a/items/7", "text/xmlish", NULL, "", NULL, "text/xmlish"},
    {"{ xml_to_json: {} }, { find_and_replace: { from: a, to: {} } }", "/a/items/7", "text/xml", NULL, "<ab/>", "{\"b\":null}", "application/json"},
};

static void policies_on_bodies_are_stages_where_they_concern_the_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
        struct call c;
        struct strbuf out;
        char text[1000];
        strbuf_init(&out);
        snprintf(text, sizeof text, "backend: [ " FORWARD " ], outbound: [ %s ]", BODIES[i].outbound);
        load(&f, &(struct documents){text, NULL, NULL});
        call_init(&c, &f, "GET", BODIES[i].path);
        head_add_id(&c.request, FIELD_ACCEPT_ENCODING, SLICE("gzip"));
        if (BODIES[i].accept != NULL) {
            head_add_id(&c.request, FIELD_ACCEPT, slice_of(BODIES[i].accept));
        }
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        assert_null(head_find_id(&c.request, FIELD_ACCEPT_ENCODING));
        const struct http_filter *filter = call_filter(&c);
        head_init(&c.response, c.arena);
        c.response.status = 200;
        head_add_id(&c.response, FIELD_CONTENT_TYPE, slice_of(BODIES[i].type));
        c.host.response = &c.response;
        filter->on_response(filter, &c.host);
        assert_true(slice_eq(head_value_id(&c.response, FIELD_CONTENT_TYPE), slice_of(BODIES[i].expected_type)));
        if (BODIES[i].expected == NULL) {
            assert_null(c.host.response_stages);
        } else {
            call_stages(c.host.response_stages, BODIES[i].body, &out);
            assert_string_equal(strbuf_cstr(&out), BODIES[i].expected);
        }
        strbuf_fini(&out);
        call_fini(&c);
    }
}

static void a_response_that_cannot_be_read_is_answered_with_an_error_once(void **state)
{
    (void)state;
    static const struct documents d = {
        "backend: [ " FORWARD " ], outbound: [ { find_and_replace: { from: a, to: {} } } ], on_error: [ " HEADER("x", "caught") ", { find_and_replace: { from: Internal, to: {} } } ]", NULL, NULL};
    struct call c;
    load(&f, &d);
    call_init(&c, &f, "GET", "/a/items/7");
    assert_int_equal(call_request(&c), FILTER_CONTINUE);
    head_init(&c.response, c.arena);
    c.response.status = 200;
    head_add_id(&c.response, FIELD_CONTENT_ENCODING, SLICE("gzip"));
    c.host.response = &c.response;
    const struct http_filter *filter = call_filter(&c);
    filter->on_response(filter, &c.host);
    assert_string_equal(strbuf_cstr(&c.replied),
                        "500 Internal Server Error|content-type: application/json|x: caught|"
                        "{ \"statusCode\": 500, \"message\": \" server error\", \"activityId\": \"id-1\" }");
    assert_true(slice_eq(c.host.error.source, SLICE("find-and-replace")));
    assert_true(slice_eq(c.host.error.message, SLICE("the body is compressed (gzip), which find-and-replace cannot read")));
    call_fini(&c);
}

static void a_callback_that_is_no_identifier_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "1a", "a.", ".a", "a..b", "a(b", "a%20b", "%C3%A9"};
    load(&f, &(struct documents){"backend: [ " FORWARD " ], outbound: [ { jsonp: { callback_parameter: cb } } ]", NULL, NULL});
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct call c;
        char path[100];
        snprintf(path, sizeof path, "/a/items/7?cb=%s", bad[i]);
        call_init(&c, &f, "GET", path);
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        call_response(&c, 200);
        assert_string_equal(strbuf_cstr(&c.replied), "400 |" JSON("400", "Value of callback parameter cb is not a valid JavaScript identifier."));
        assert_true(slice_eq(c.host.error.reason, SLICE("CallbackParameterInvalid")));
        call_fini(&c);
    }
}

static void a_body_of_a_policys_own_goes_through_the_stages_at_once(void **state)
{
    (void)state;
    struct call c;
    load(&f, &(struct documents){"inbound: [ { set_body: { value: { parts: [ { literal: one } ] } } }, { find_and_replace: { from: one, to: { parts: [ { literal: two } ] } } } ], backend: [ " FORWARD " ]", NULL, NULL});
    call_init(&c, &f, "POST", "/a/items/7");
    assert_int_equal(call_request(&c), FILTER_CONTINUE);
    assert_true(c.host.replaces_request_body && c.host.request_stages == NULL);
    assert_true(slice_eq(c.host.request_body, SLICE("two")));
    call_fini(&c);
    load(&f, &(struct documents){"inbound: [ { set_body: { value: { parts: [ { literal: one } ] } } }, { xml_to_json: {} } ], backend: [ " FORWARD " ]", NULL, NULL});
    call_init(&c, &f, "POST", "/a/items/7");
    assert_int_equal(call_request(&c), FILTER_REPLIED);
    assert_true(slice_starts_with(strbuf_slice(&c.replied), SLICE("500 ")));
    call_fini(&c);
}

/* It would wait for the end of a request that has none before the answer. */
static void an_upgrade_goes_without_a_body_of_a_policys_own(void **state)
{
    (void)state;
    struct call c;
    load(&f, &(struct documents){"inbound: [ { set_body: { value: { parts: [ { literal: one } ] } } } ], backend: [ " FORWARD " ]", NULL, NULL});
    call_init(&c, &f, "GET", "/a/items/7");
    c.request.protocol = SLICE("websocket");
    assert_int_equal(call_request(&c), FILTER_CONTINUE);
    assert_false(c.host.replaces_request_body);
    call_fini(&c);
}

static void a_place_taken_in_on_error_is_free_with_the_answer(void **state)
{
    (void)state;
    load(&f, &(struct documents){"inbound: [ " FORBID " ], on_error: [ " ENTER("late", "1") ", " RETURN("299") ", " LEAVE " ]", NULL, NULL});
    struct call c[2];
    for (int i = 0; i < 2; i++) {
        call_init(&c[i], &f, "GET", "/a/items/7");
        assert_int_equal(call_request(&c[i]), FILTER_REPLIED);
        assert_string_equal(strbuf_cstr(&c[i].replied), "299 |");
    }
    call_fini(&c[0]);
    call_fini(&c[1]);
}

static void a_failure_says_which_policy_it_was(void **state)
{
    (void)state;
    static const char *const ip = "{ policy_id: mine, path: 'choose[1]\\when[2]\\ip-filter', ip_filter: { ranges: [ { first: 10.0.0.0, last: 10.0.0.255 } ] } }";
    struct call c;
    char text[1000];
    snprintf(text, sizeof text, "inbound: [ " BASE ", %s ]", ip);
    load(&f, &(struct documents){"inbound: [ " HEADER("x", "y") " ]", text, NULL});
    call_init(&c, &f, "GET", "/a/items/7");
    assert_int_equal(call_request(&c), FILTER_REPLIED);
    const struct filter_error *e = &c.host.error;
    assert_true(slice_eq(e->path, SLICE("choose[1]\\when[2]\\ip-filter")) && slice_eq(e->policy_id, SLICE("mine")));
    assert_true(slice_eq(e->scope, SLICE("api")) && slice_eq(e->section, SLICE("inbound")));
    assert_true(slice_eq(e->source, SLICE("ip-filter")) && slice_eq(e->reason, SLICE("CallerIpBlocked")));
    call_fini(&c);
}

/* ---- redirects ---- */

static const struct {
    unsigned status;
    const char *method, *location;
    enum apim_redirect verdict;
    const char *next; /* "METHOD path" */
} REDIRECTS[] = {
    {302, "GET", "/x?y", APIM_REDIRECT_FOLLOW, "GET /x?y"},
    {301, "POST", "/x", APIM_REDIRECT_NO_BODY, "GET /x"},
    {302, "PUT", "/x", APIM_REDIRECT_FOLLOW, "PUT /x"},
    {303, "PUT", "/x", APIM_REDIRECT_NO_BODY, "GET /x"},
    {303, "HEAD", "/x", APIM_REDIRECT_FOLLOW, "HEAD /x"},
    {307, "POST", "/x", APIM_REDIRECT_FOLLOW, "POST /x"},
    {308, "POST", "HTTP://UP.test/x#f", APIM_REDIRECT_FOLLOW, "POST /x"},
    {302, "GET", "http://up.test", APIM_REDIRECT_FOLLOW, "GET /"},
    {302, "GET", "http://up.test?q", APIM_REDIRECT_FOLLOW, "GET /?q"},
    {302, "GET", "//up.test/x", APIM_REDIRECT_FOLLOW, "GET /x"},
    {302, "GET", "x", APIM_REDIRECT_FOLLOW, "GET /base/items/x"},
    {302, "GET", "?q=2", APIM_REDIRECT_FOLLOW, "GET /base/items/7?q=2"},
    {302, "GET", "#f", APIM_REDIRECT_FOLLOW, "GET /base/items/7"},
    {302, "GET", "http://up.test:8080/x", APIM_REDIRECT_AWAY, NULL},
    {302, "GET", "https://up.test/x", APIM_REDIRECT_AWAY, NULL},
    {302, "GET", "http://up.test.evil/x", APIM_REDIRECT_AWAY, NULL},
    {302, "GET", "http://up.test@evil/x", APIM_REDIRECT_AWAY, NULL},
    {302, "GET", "//evil/x", APIM_REDIRECT_AWAY, NULL},
    {302, "GET", "/x y", APIM_REDIRECT_AWAY, NULL},
    {302, "GET", "", APIM_REDIRECT_NONE, NULL},
    {300, "GET", "/x", APIM_REDIRECT_NONE, NULL},
    {304, "GET", "/x", APIM_REDIRECT_NONE, NULL},
    {200, "GET", "/x", APIM_REDIRECT_NONE, NULL},
};

static void a_redirect_is_followed_within_the_backends_origin(void **state)
{
    (void)state;
    load(&f, &(struct documents){"backend: [ { forward_request: { follow_redirects: true } } ]", NULL, NULL});
    for (size_t i = 0; i < ARRAY_LEN(REDIRECTS); i++) {
        struct call c;
        char next[200];
        call_init(&c, &f, "GET", "/a/items/7?q=1");
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        assert_true(c.host.apim.forward->keeps_body);
        c.request.method = slice_of(REDIRECTS[i].method);
        head_init(&c.response, c.arena);
        c.response.status = REDIRECTS[i].status;
        head_add_id(&c.response, FIELD_LOCATION, slice_of(REDIRECTS[i].location));
        assert_int_equal(apim_redirect(&c.host, &c.response), REDIRECTS[i].verdict);
        snprintf(next, sizeof next, "%.*s %.*s", SLICE_ARG(c.request.method), SLICE_ARG(c.request.path));
        assert_string_equal(next, REDIRECTS[i].next == NULL ? next : REDIRECTS[i].next);
        call_fini(&c);
    }
}

/* ---- checked when loaded ---- */

static void a_program_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"inbound: [ " ENTER("k", "1") " ]", "an enter_limit without its leave_limit"},
        {"inbound: [ " LEAVE " ]", "nothing was entered"},
        {"inbound: [ " ENTER("k", "0") ", " LEAVE " ]", "must not be 0"},
        {"inbound: [ { mock_response: { status: 99 } } ]", "must be from 200 to 599"},
        {"inbound: [ { find_and_replace: {} } ]", "must have from 1 to 4096 bytes"},
        {"outbound: [ { jsonp: {} } ]", "is required"},
        {"inbound: [ { json_to_xml: {} } ]", "is required"},
        {"inbound: [ { rate_limit: { calls: 1, renewal_period_s: 1, narrower: [ { calls: 1, renewal_period_s: 1 } ] } } ]", "is required"},
        {"inbound: [ { rate_limit: { calls: 1, renewal_period_s: 1, narrower: [ { api_id: a, calls: 1 } ] } } ]", "must not be 0"},
        {"inbound: [ { use_proxy: {} } ]", "is required"},
        {"inbound: [ {} ]", "unknown instruction"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[500];
        snprintf(text, sizeof text, "{ name: other/policy, %s }", bad[i][0]);
        assert_false(APPLY(&f, URL_PROGRAM, "bad", text));
        if (strstr(f.err.text, bad[i][1]) == NULL) {
            fail_msg("%s: %s", bad[i][0], f.err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_program_makes_of_a_request_what_it_says, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_chain_of_nothing_but_base_takes_no_memory_to_link_and_check, open_store, close_store),
        cmocka_unit_test_setup_teardown(outbound_acts_on_the_backends_response, open_store, close_store),
        cmocka_unit_test_setup_teardown(an_error_status_runs_on_error_only_where_forward_request_says_so, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_place_taken_around_forward_request_is_free_with_the_responses_head_or_the_requests_end, open_store, close_store),
        cmocka_unit_test_setup_teardown(policies_on_bodies_are_stages_where_they_concern_the_message, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_response_that_cannot_be_read_is_answered_with_an_error_once, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_callback_that_is_no_identifier_is_refused, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_body_of_a_policys_own_goes_through_the_stages_at_once, open_store, close_store),
        cmocka_unit_test_setup_teardown(an_upgrade_goes_without_a_body_of_a_policys_own, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_place_taken_in_on_error_is_free_with_the_answer, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_failure_says_which_policy_it_was, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_redirect_is_followed_within_the_backends_origin, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_program_that_does_not_fit_is_refused, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
