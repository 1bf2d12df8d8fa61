#include "tests/unit/proxy/net/net_test.h"

#include <stdio.h>

#include "proxy/net/admin_http.h"

struct seen {
    unsigned times;
    char line[256], body[64];
};

static void handle(void *ctx, const struct admin_request *request, struct admin_reply *reply)
{
    struct seen *s = ctx;
    s->times++;
    snprintf(s->line, sizeof s->line, "%.*s %.*s %.*s", SLICE_ARG(request->method), SLICE_ARG(request->path),
             SLICE_ARG(request->query));
    snprintf(s->body, sizeof s->body, "%.*s", SLICE_ARG(request->body));
    if (slice_eq(request->path, SLICE("/none"))) {
        reply->status = 404;
        return;
    }
    if (slice_eq(request->path, SLICE("/big"))) {
        for (unsigned i = 0; i < 100000; i++) {
            strbuf_add_str(&reply->body, "0123456789");
        }
        return;
    }
    reply->content_type = "application/json";
    strbuf_add_str(&reply->body, "{}");
}

static struct owner talk(struct loop *loop, const struct addr *to, const char *words)
{
    struct dial_tcp how = {.remote = *to, .connect_timeout_ms = 1000};
    struct owner o;
    owner_init(&o, socket_transport_dial(loop, &how));
    owner_say_str(&o, words);
    transport_own(o.t, &owner_events, &o);
    RUN_UNTIL(loop, o.eof || o.closed);
    transport_close(&o.t, TRANSPORT_ABORT);
    buf_append(&o.got, "", 1);
    return o;
}

static const char *text_of(struct owner *o)
{
    return buf_pullup(&o->got, o->got.len).p;
}

static void requests_reach_the_handler_and_replies_the_client(void **state)
{
    struct loop *loop = *state;
    struct addr any;
    struct err err;
    struct seen seen = {0};
    addr_parse(&any, SLICE("127.0.0.1"), 0, NULL);
    struct admin_http *h = admin_http_listen(loop, &any, handle, &seen, &err);
    assert_non_null(h);
    struct addr at = admin_http_address(h);
    assert_true(addr_port(&at) != 0);

    struct owner o = talk(loop, &at, "GET /stats?format=json&x=%20 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_string_equal(seen.line, "GET /stats format=json&x=%20");
    assert_non_null(strstr(text_of(&o), "HTTP/1.1 200"));
    assert_non_null(strstr(text_of(&o), "Content-Type: application/json"));
    assert_non_null(strstr(text_of(&o), "\r\n\r\n{}"));
    owner_fini(&o);

    o = talk(loop, &at, "POST /quit HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    assert_string_equal(seen.line, "POST /quit ");
    assert_string_equal(seen.body, "hello");
    owner_fini(&o);

    o = talk(loop, &at, "GET /none HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(text_of(&o), " 404 "));
    owner_fini(&o);

    o = talk(loop, &at, "HEAD /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(o.got.len < 1000);
    owner_fini(&o);

    o = talk(loop, &at, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_true(o.got.len > 1000000);
    owner_fini(&o);

    unsigned before = seen.times;
    o = talk(loop, &at, "PATCH /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    owner_fini(&o);
    o = talk(loop, &at, "nonsense\r\n\r\n");
    owner_fini(&o);
    assert_int_equal(seen.times, before);
    admin_http_destroy(&h);
}

static void a_unix_socket_serves_too(void **state)
{
    struct loop *loop = *state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/egret-admin-%d", (int)getpid());
    struct addr at;
    struct err err;
    struct seen seen = {0};
    addr_pipe(&at, slice_of(path), NULL);
    struct admin_http *h = admin_http_listen(loop, &at, handle, &seen, &err);
    assert_non_null(h);
    struct owner o = talk(loop, &at, "GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_string_equal(seen.line, "GET /ready ");
    assert_non_null(strstr(text_of(&o), "HTTP/1.1 200"));
    owner_fini(&o);
    admin_http_destroy(&h);
    unlink(path);
}

static void query_values_are_decoded(void **state)
{
    (void)state;
    struct strbuf out;
    strbuf_init(&out);
    assert_true(admin_query(SLICE("a=1&filter=x%2Ey+z%&b"), SLICE("filter"), &out));
    assert_string_equal(strbuf_cstr(&out), "x.y z%");
    strbuf_clear(&out);
    assert_true(admin_query(SLICE("a=1&b"), SLICE("b"), &out));
    assert_string_equal(strbuf_cstr(&out), "");
    assert_false(admin_query(SLICE("aa=1"), SLICE("a"), &out));
    assert_false(admin_query(SLICE_NONE, SLICE("a"), &out));
    strbuf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_reach_the_handler_and_replies_the_client, given_loop, drop_loop),
        cmocka_unit_test_setup_teardown(a_unix_socket_serves_too, given_loop, drop_loop),
        cmocka_unit_test(query_values_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
