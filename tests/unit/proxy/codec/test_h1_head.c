#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proxy/codec/h1.h"

static const struct h1_limits limits = {
    .max_head_bytes = 2048,
    .max_uri_bytes = 256,
    .max_fields = 12,
    .max_trailer_bytes = 512,
    .max_chunk_line_bytes = 64,
    .accept_http_10 = true,
};

struct read {
    enum h1_result result;
    struct head head;
    struct h1_message message;
    struct err err;
    size_t left;
};

/* Gives the text in pieces: [0, split) and the rest; split 0: byte by byte. */
static struct read read_split(struct slice text, size_t split, const char *response_to)
{
    struct read r = {.result = H1_MORE};
    struct h1_parser parser;
    struct buf in;
    h1_parser_init(&parser);
    buf_init(&in);
    head_init(&r.head, arena_create(0));
    for (size_t at = 0; at < text.n && r.result == H1_MORE;) {
        size_t n = split == 0 ? 1 : at < split ? split - at : text.n - at;
        struct buf piece;
        buf_init(&piece);
        buf_append(&piece, text.p + at, n);
        buf_move_all(&in, &piece);
        at += n;
        r.result = response_to == NULL
                       ? h1_read_request(&parser, &in, &limits, &r.head, &r.message, &r.err)
                       : h1_read_response(&parser, &in, &limits, slice_of(response_to), &r.head, &r.message, &r.err);
        if (r.result != H1_MORE) {
            r.left = in.len + text.n - at;
        }
    }
    buf_fini(&in);
    return r;
}

static void done(struct read *r)
{
    arena_destroy(&r->head.arena);
}

static void refuses(struct slice text, unsigned status)
{
    for (size_t split = 0; split <= text.n; split++) {
        struct read r = read_split(text, split, NULL);
        if (r.result != H1_BAD || (status != 0 && r.message.refuse_status != status) || r.err.text[0] == '\0') {
            fail_msg("split %zu: result %d status %u for: %.*s", split, r.result, r.message.refuse_status,
                     SLICE_ARG(text));
        }
        done(&r);
    }
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static void ambiguous_requests_are_refused_at_every_split(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        unsigned status;
    } cases[] = {
        {SLICE(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 5, 5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: +5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: -5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 0x5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 5 5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length:\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 99999999999999999999\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 9223372036854775808\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 18446744073709551621\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: chunked,\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding: \x0b"
                    "chunked\r\n\r\n"),
         400},
        {SLICE(POST "Transfer-Encoding: xchunked\r\n\r\n"), 501},
        {SLICE(POST "Transfer-Encoding: identity\r\n\r\n"), 501},
        {SLICE(POST "Transfer-Encoding: gzip\r\n\r\n"), 501},
        {SLICE(POST "Transfer-Encoding:\r\n\r\n"), 400},
        {SLICE("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
        {SLICE(POST "Transfer_Encoding: chunked\r\n\r\n"), 400},
        {SLICE(POST "Content_Length: 5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length : 5\r\n\r\n"), 400},
        {SLICE(POST "Content-Length\t: 5\r\n\r\n"), 400},
        {SLICE(POST "Transfer-Encoding : chunked\r\n\r\n"), 400},
        {SLICE(POST " Transfer-Encoding: chunked\r\n\r\n"), 400},
        {SLICE(GET "X-A: 1\r\n folded\r\n\r\n"), 400},
        {SLICE(GET "X-A: 1\r\n\tfolded\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400},
        {SLICE(GET ": empty\r\n\r\n"), 400},
        {SLICE(GET "no colon\r\n\r\n"), 400},
        {SLICE(GET "X-A\r\n\r\n"), 400},
        {SLICE(GET "X\xe9: 1\r\n\r\n"), 400},
        {SLICE(GET "X(a): 1\r\n\r\n"), 400},
        {SLICE(GET "X-A: \rTransfer-Encoding: chunked\r\n\r\n"), 400},
        {SLICE(GET "X-A: 1\rX-B: 2\r\n\r\n"), 400},
        {SLICE(GET "X-A: 1\r\r\n\r\n"), 400},
        {SLICE(GET "X-A: a\0b\r\n\r\n"), 400},
        {SLICE(GET "X-A: a\x01\r\n\r\n"), 400},
        {SLICE(GET "X-A: a\x7f\r\n\r\n"), 400},
        {SLICE(GET "X-A\0: a\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\nHost: a\n\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400},
        {SLICE("GET / HTTP/1.1\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"), 400},
        {SLICE("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET a HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400},
        {SLICE(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET / http/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.01\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET / HTTP/11\r\nHost: a\r\n\r\n"), 400},
        {SLICE("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 505},
        {SLICE("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505},
        {SLICE("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), 505},
        {SLICE("GET /\r\n"), 400},
        {SLICE("GET\r\n"), 400},
        {SLICE("\r\n\r\n" GET "\r\n"), 400},
        {SLICE("\n" GET "\r\n"), 400},
        {SLICE("\x16\x03\x01\x02"), 400},
        {SLICE("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
        {SLICE("CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n"), 400},
        {SLICE("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\n"), 400},
        {SLICE("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
        {SLICE(POST "Content-Length: 1\r\nExpect: magic\r\n\r\n"), 417},
        {SLICE(POST "Content-Length: 1\r\nExpect: 100-continue, x\r\n\r\n"), 417},
        {SLICE(GET "Connection: a b\r\n\r\n"), 400},
        {SLICE("AMETHODNAMETHATISLONGERTHANANYOTHER / HTTP/1.1\r\nHost: a\r\n\r\n"), 501},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        refuses(cases[i].text, cases[i].status);
    }
}

static void limits_answer_with_their_own_status(void **state)
{
    (void)state;
    char text[8192];
    int n = snprintf(text, sizeof text, "GET /%0300d HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    refuses(slice_make(text, (size_t)n), 414);
    n = snprintf(text, sizeof text, GET "X-A: %03000d\r\n\r\n", 0);
    refuses(slice_make(text, (size_t)n), 431);
    n = snprintf(text, sizeof text, GET);
    for (int i = 0; i < 13; i++) {
        n += snprintf(text + n, sizeof text - (size_t)n, "X-%d: 1\r\n", i);
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    refuses(slice_make(text, (size_t)n), 431);
    memset(text, 'A', sizeof text);
    struct read r = read_split(slice_make(text, sizeof text), sizeof text, NULL);
    assert_int_equal(r.result, H1_BAD);
    assert_int_equal(r.message.refuse_status, 414);
    done(&r);
}

static void a_request_reads_the_same_at_every_split(void **state)
{
    (void)state;
    struct slice text =
        SLICE("\r\nPOST /a/b?c=d HTTP/1.1\r\nHOST: Example.com:8080\r\nX-A:  one \t\r\nX-A:two\r\nX-E:\r\n"
              "Content-Length: 3\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\nabc");
    for (size_t split = 0; split <= text.n; split++) {
        struct read r = read_split(text, split, NULL);
        assert_int_equal(r.result, H1_DONE);
        assert_int_equal(r.left, 3);
        assert_true(slice_eq(r.head.method, SLICE("POST")));
        assert_true(slice_eq(r.head.path, SLICE("/a/b?c=d")));
        assert_true(slice_eq(r.head.authority, SLICE("Example.com:8080")));
        assert_int_equal(r.head.version, HTTP_1_1);
        assert_int_equal(r.head.content_length, 3);
        assert_int_equal(r.head.n, 5);
        assert_true(slice_eq(r.head.fields[0].name, SLICE("x-a")));
        assert_true(slice_eq(r.head.fields[0].value, SLICE("one")));
        assert_true(slice_eq(r.head.fields[2].value, SLICE_NONE));
        assert_int_equal(r.message.framing, H1_LENGTH);
        assert_true(r.message.expect_continue);
        assert_false(r.message.keep_alive);
        assert_int_equal(r.message.head_bytes, text.n - 5);
        done(&r);
    }
}

static void good_targets_name_one_authority_and_path(void **state)
{
    (void)state;
    static const struct {
        const char *text, *authority, *path;
    } cases[] = {
        {"GET http://a/x?y HTTP/1.1\r\nHost: A:80\r\n\r\n", "a", "/x?y"},
        {"GET https://a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "a:443", "/"},
        {"GET HTTP://a?q=/ HTTP/1.1\r\nHost: a\r\n\r\n", "a", "/?q=/"},
        {"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "a", "*"},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "a", "*"},
        {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "a:443", ""},
        {"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", "[::1]:443", ""},
        {"GET / HTTP/1.0\r\n\r\n", "", "/"},
        {"GET // HTTP/1.1\r\nHost: a:\r\n\r\n", "a", "//"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct read r = read_split(slice_of(cases[i].text), 0, NULL);
        if (r.result != H1_DONE || !slice_eq(r.head.authority, slice_of(cases[i].authority)) ||
            !slice_eq(r.head.path, slice_of(cases[i].path))) {
            fail_msg("%d %.*s %.*s: %s %s", r.result, SLICE_ARG(r.head.authority), SLICE_ARG(r.head.path),
                     cases[i].text, r.err.text);
        }
        done(&r);
    }
}

static void only_a_lone_protocol_without_body_is_an_upgrade(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool upgrade;
    } cases[] = {
        {"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", true},
        {"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n", false},
        {"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", false},
        {"Upgrade: websocket\r\n", false},
        {"Connection: upgrade\r\n", false},
        {"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        int n = snprintf(text, sizeof text, GET "%s\r\n", cases[i].fields);
        struct read r = read_split(slice_make(text, (size_t)n), 0, NULL);
        assert_int_equal(r.result, H1_DONE);
        assert_int_equal(r.message.upgrade, cases[i].upgrade);
        assert_int_equal(r.head.protocol.n > 0, cases[i].upgrade);
        done(&r);
    }
}

static void responses_are_framed_by_status_method_and_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text, *method;
        enum h1_framing framing;
        bool keep;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", H1_LENGTH, true},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", H1_LENGTH, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "GET", H1_CHUNKED, true},
        {"HTTP/1.1 200 OK\r\n\r\n", "GET", H1_UNTIL_CLOSE, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", H1_NO_BODY, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", H1_NO_BODY, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET", H1_NO_BODY, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", "GET", H1_NO_BODY, true},
        {"HTTP/1.1 100 Continue\r\n\r\n", "GET", H1_NO_BODY, true},
        {"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET", H1_NO_BODY, true},
        {"HTTP/1.1 200 OK\r\n\r\n", "CONNECT", H1_NO_BODY, true},
        {"HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n", "CONNECT", H1_LENGTH, true},
        {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", H1_LENGTH, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n", "GET", H1_LENGTH, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n", "GET", H1_LENGTH, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice text = slice_of(cases[i].text);
        for (size_t split = 0; split <= text.n; split++) {
            struct read r = read_split(text, split, cases[i].method);
            if (r.result != H1_DONE || r.message.framing != cases[i].framing || r.message.keep_alive != cases[i].keep) {
                fail_msg("%d %d %d: %s %s", r.result, r.message.framing, r.message.keep_alive, cases[i].text,
                         r.err.text);
            }
            done(&r);
        }
    }
}

static void unsound_responses_are_refused_at_every_split(void **state)
{
    (void)state;
    static const struct slice cases[] = {
        SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"),
        SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
        SLICE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
        SLICE("HTTP/1.1 200 OK\nX: a\n\n"),
        SLICE("HTTP/1.1 20 OK\r\n\r\n"),
        SLICE("HTTP/1.1 2000 OK\r\n\r\n"),
        SLICE("HTTP/1.1 099 OK\r\n\r\n"),
        SLICE("HTTP/1.1 600 OK\r\n\r\n"),
        SLICE("HTTP/1.1  200 OK\r\n\r\n"),
        SLICE("HTTP/2.0 200 OK\r\n\r\n"),
        SLICE("http/1.1 200 OK\r\n\r\n"),
        SLICE("ICY 200 OK\r\n\r\n"),
        SLICE("\r\nHTTP/1.1 200 OK\r\n\r\n"),
        SLICE("HTTP/1.1 200 O\x01K\r\n\r\n"),
        SLICE("HTTP/1.1 200 O\0K\r\n\r\n"),
        SLICE("HTTP/1.1 101 Go\r\n\r\n"),
        SLICE("HTTP/1.1 200 OK\r\ncontent_length: 1\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t split = 0; split <= cases[i].n; split++) {
            struct read r = read_split(cases[i], split, "GET");
            if (r.result != H1_BAD) {
                fail_msg("%d: %.*s", r.result, SLICE_ARG(cases[i]));
            }
            done(&r);
        }
    }
}

static void written_is(struct buf *out, const char *expected)
{
    struct slice got = buf_pullup(out, out->len);
    if (!slice_eq(got, slice_of(expected))) {
        fail_msg("got:\n%.*s\nexpected:\n%s", SLICE_ARG(got), expected);
    }
    buf_fini(out);
}

static void a_written_request_has_one_framing_and_no_foreign_connection_fields(void **state)
{
    (void)state;
    struct head h;
    struct buf out;
    buf_init(&out);
    head_init(&h, arena_create(0));
    h.method = SLICE("POST");
    h.authority = SLICE("a:1");
    h.path = SLICE("/p");
    head_add(&h, SLICE("connection"), SLICE("x"));
    head_add(&h, SLICE("transfer-encoding"), SLICE("chunked"));
    head_add(&h, SLICE("content-length"), SLICE("7"));
    head_add(&h, SLICE("host"), SLICE("b"));
    head_add(&h, SLICE("x-a"), SLICE("v\r\nx-evil: 1"));
    head_add(&h, SLICE("bad name"), SLICE("1"));
    head_add(&h, SLICE("te"), SLICE("trailers"));
    enum h1_framing framing = h1_choose_framing(&h, false, SLICE_NONE, false, true);
    assert_int_equal(framing, H1_CHUNKED);
    h1_write_request(&out, &h, framing, H1_KEEP_ALIVE);
    written_is(&out, "POST /p HTTP/1.1\r\nhost: a:1\r\nx-a: v  x-evil: 1\r\nte: trailers\r\n"
                     "transfer-encoding: chunked\r\nconnection: te\r\n\r\n");
    h.n = 0;
    h1_write_request(&out, &h, h1_choose_framing(&h, false, SLICE_NONE, false, false), H1_CLOSE);
    written_is(&out, "POST /p HTTP/1.1\r\nhost: a:1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    h.method = SLICE("GET");
    h.protocol = SLICE("websocket");
    h1_write_request(&out, &h, h1_choose_framing(&h, false, SLICE_NONE, false, true), H1_UPGRADE);
    written_is(&out, "GET /p HTTP/1.1\r\nhost: a:1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    h.method = SLICE("CONNECT");
    h.protocol = h.path = SLICE_NONE;
    h1_write_request(&out, &h, h1_choose_framing(&h, false, SLICE_NONE, false, true), H1_KEEP_ALIVE);
    written_is(&out, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n");
    arena_destroy(&h.arena);
}

static void a_written_response_is_framed_by_what_it_answers(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *method;
        bool http_10, body;
        int64_t length;
        const char *expected;
    } cases[] = {
        {200, "GET", false, true, -1, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
        {200, "GET", false, true, 5, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
        {200, "GET", true, true, -1, "HTTP/1.1 200 OK\r\n\r\n"},
        {200, "GET", false, false, -1, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
        {200, "HEAD", false, false, 5, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
        {204, "GET", false, false, 5, "HTTP/1.1 204 No Content\r\n\r\n"},
        {304, "GET", false, false, 5, "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"},
        {103, "GET", false, false, -1, "HTTP/1.1 103 Early Hints\r\n\r\n"},
        {200, "CONNECT", false, true, -1, "HTTP/1.1 200 OK\r\n\r\n"},
        {299, "GET", false, false, -1, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct head h;
        struct buf out;
        buf_init(&out);
        head_init(&h, arena_create(0));
        h.status = cases[i].status;
        h.content_length = cases[i].length;
        enum h1_framing framing =
            h1_choose_framing(&h, true, slice_of(cases[i].method), cases[i].http_10, cases[i].body);
        h1_write_response(&out, &h, framing, H1_KEEP_ALIVE);
        written_is(&out, cases[i].expected);
        arena_destroy(&h.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ambiguous_requests_are_refused_at_every_split),
        cmocka_unit_test(limits_answer_with_their_own_status),
        cmocka_unit_test(a_request_reads_the_same_at_every_split),
        cmocka_unit_test(good_targets_name_one_authority_and_path),
        cmocka_unit_test(only_a_lone_protocol_without_body_is_an_upgrade),
        cmocka_unit_test(responses_are_framed_by_status_method_and_fields),
        cmocka_unit_test(unsound_responses_are_refused_at_every_split),
        cmocka_unit_test(a_written_request_has_one_framing_and_no_foreign_connection_fields),
        cmocka_unit_test(a_written_response_is_framed_by_what_it_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
