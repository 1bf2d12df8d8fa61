#include "unit/proxy/http/fixture.h"

static struct served v;
static struct peer p;

static int set_up(void **state)
{
    struct transport *a, *b;
    loop_set_up(state);
    memory_transport_pair(the_loop, &a, &b);
    serve(&v, a, HTTP_CODEC_1);
    peer_start(&p, b);
    return 0;
}

static int tear_down(void **state)
{
    peer_end(&p);
    served_fini(&v);
    return loop_tear_down(state);
}

static void a_request_is_answered_and_the_connection_kept(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        say(&p, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(v.n, i + 1);
        struct owner *o = &v.streams[i];
        assert_true(o->in_end_at_head);
        assert_int_equal(o->readable, 0);
        assert_true(slice_eq(o->heads[0].scheme, SLICE("http")));
        respond(o, 200, "hello");
        settle();
        assert_true(o->closed && o->why.kind == ERR_NONE);
        heard_is(&p, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    }
    assert_true(http_server_is_idle(v.server));
    assert_false(p.eof);
}

static void a_pipelined_request_waits_for_the_release_of_the_one_before(void **state)
{
    (void)state;
    v.keep = true;
    say(&p, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nokGET /3 "
            "HTTP/1.1\r\n"
            "Host: a\r\n\r\n");
    assert_int_equal(v.n, 1);
    respond(&v.streams[0], 200, "1");
    settle();
    assert_int_equal(v.n, 1);
    stream_release(&v.streams[0].s);
    settle();
    assert_int_equal(v.n, 2);
    assert_true(body_is(&v.streams[1], "ok") && v.streams[1].ended);
    respond(&v.streams[1], 200, "2");
    settle();
    stream_release(&v.streams[1].s);
    settle();
    assert_int_equal(v.n, 3);
    respond(&v.streams[2], 204, "");
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2"
                 "HTTP/1.1 204 No Content\r\n\r\n");
}

static void bodies_and_trailers_cross_in_chunks_both_ways(void **state)
{
    (void)state;
    const char *text =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n";
    for (const char *c = text; *c != '\0'; c++) {
        struct buf b;
        buf_init(&b);
        buf_append(&b, c, 1);
        transport_write(p.t, &b);
        if ((c - text) % 7 == 0) {
            settle();
        }
    }
    settle();
    struct owner *o = &v.streams[0];
    assert_false(o->in_end_at_head);
    assert_true(body_is(o, "abc") && o->ended);
    assert_string_equal(o->trailers, "x-sum=9");
    respond_head(o, 200, -1, false);
    send_text(o, "one", false);
    settle();
    struct head t;
    head_init(&t, o->s->arena);
    head_add(&t, SLICE("x-t"), SLICE("1"));
    stream_send_trailers(o->s, &t);
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\nx-t: 1\r\n\r\n");
    assert_true(o->closed && o->why.kind == ERR_NONE);
}

static void an_expected_continue_is_sent_when_body_is_first_wanted(void **state)
{
    (void)state;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    struct owner *o = &v.streams[0];
    assert_null(head_find_id(&o->heads[0], FIELD_EXPECT));
    heard_is(&p, "");
    stream_taken(o->s, 0);
    stream_taken(o->s, 0);
    settle();
    heard_is(&p, "HTTP/1.1 100 Continue\r\n\r\n");
    say(&p, "ok");
    assert_true(body_is(o, "ok"));
    respond(o, 200, "");
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(v.n, 2);
}

static void a_refused_expectation_closes_because_the_body_may_or_may_not_come(void **state)
{
    (void)state;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    respond(&v.streams[0], 403, "");
    settle();
    heard_is(&p, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_true(p.eof && v.closed == 1);
}

static void an_early_answer_lets_a_short_rest_pass_and_keeps_the_connection(void **state)
{
    (void)state;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc");
    respond(&v.streams[0], 413, "no");
    settle();
    assert_true(v.streams[0].closed && v.streams[0].why.kind == ERR_NONE);
    heard_is(&p, "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\n\r\nno");
    char rest[498];
    memset(rest, 'x', sizeof rest);
    rest[497] = '\0';
    say(&p, rest);
    say(&p, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(v.n, 2);
    assert_true(slice_eq(v.streams[1].heads[0].path, SLICE("/next")));
}

static void an_early_answer_to_a_long_upload_is_delivered_and_then_the_connection_ends(void **state)
{
    (void)state;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
    respond(&v.streams[0], 413, "no");
    settle();
    char rest[2001];
    memset(rest, 'x', sizeof rest);
    rest[2000] = '\0';
    say(&p, rest);
    heard_is(&p, "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\n\r\nno");
    assert_true(v.closed == 1);
}

static void a_discard_that_takes_too_long_ends_the_connection(void **state)
{
    (void)state;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n");
    respond(&v.streams[0], 413, "no");
    settle();
    assert_int_equal(v.closed, 0);
    settle_ms(100);
    assert_int_equal(v.closed, 1);
    assert_true(p.eof);
}

static void a_client_that_half_closes_after_its_request_is_answered(void **state)
{
    (void)state;
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    transport_finish(p.t);
    settle();
    assert_false(v.streams[0].closed);
    respond(&v.streams[0], 200, "late");
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate");
    assert_true(v.streams[0].why.kind == ERR_NONE);
    assert_int_equal(v.closed, 1);
}

static void a_client_that_ends_within_its_request_aborts_it(void **state)
{
    (void)state;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
    transport_finish(p.t);
    settle();
    assert_true(v.streams[0].closed && v.streams[0].why.kind == ERR_RESET);
    assert_int_equal(v.streams[0].why.side, ERR_SIDE_DOWNSTREAM);
    assert_int_equal(v.closed, 1);
}

static void a_client_that_vanishes_closes_the_stream_once(void **state)
{
    (void)state;
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    transport_close(&p.t, TRANSPORT_ABORT);
    settle();
    assert_true(v.streams[0].closed && v.streams[0].why.kind == ERR_RESET);
    assert_int_equal(v.closed, 1);
}

static void refused_heads_are_answered_and_closed(void **state)
{
    (void)state;
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    heard_is(&p,
             "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 11\r\nconnection: close\r\n\r\n"
             "Bad Request");
    assert_true(p.eof);
    assert_int_equal(v.refused, 400);
    assert_int_equal(v.closed, 1);
    assert_int_equal(v.n, 0);
}

static void a_body_that_turns_bad_is_answered_400_while_nothing_was_said(void **state)
{
    (void)state;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
    assert_true(v.streams[0].closed && v.streams[0].why.kind == ERR_PROTOCOL);
    assert_int_equal(v.refused, 400);
    assert_memory_equal(strbuf_cstr(&p.heard), "HTTP/1.1 400", 12);
    assert_int_equal(v.closed, 1);
}

static void draining_closes_with_the_next_answer(void **state)
{
    (void)state;
    http_server_drain(v.server);
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    respond(&v.streams[0], 200, "x");
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx");
    assert_true(p.eof && v.closed == 1);
}

static void http_10_gets_what_it_understands(void **state)
{
    (void)state;
    say(&p, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    struct head early;
    head_init(&early, v.streams[0].s->arena);
    early.status = 103;
    stream_send_head(v.streams[0].s, &early, false);
    respond(&v.streams[0], 200, "x");
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx");
    say(&p, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    respond_head(&v.streams[1], 200, -1, false);
    send_text(&v.streams[1], "until", false);
    send_text(&v.streams[1], " close", true);
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil close");
    assert_true(p.eof);
}

static void interim_heads_are_passed_on(void **state)
{
    (void)state;
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    respond_head(&v.streams[0], 103, -1, false);
    respond(&v.streams[0], 200, "");
    settle();
    heard_is(&p, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

static void an_answer_to_head_has_no_body(void **state)
{
    (void)state;
    say(&p, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    respond_head(&v.streams[0], 200, 5, false);
    send_text(&v.streams[0], "hello", true);
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(v.n, 2);
}

static void an_answer_longer_than_declared_never_reaches_the_client_as_a_second_one(void **state)
{
    (void)state;
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    respond_head(&v.streams[0], 200, 2, false);
    send_text(&v.streams[0], "okHTTP/1.1 200 OK\r\n\r\n", true);
    settle();
    assert_null(strstr(strbuf_cstr(&p.heard), "okHTTP"));
    assert_true(v.streams[0].why.kind == ERR_PROTOCOL && p.closed);
}

static void an_upgrade_becomes_a_tunnel_that_half_closes_each_way(void **state)
{
    (void)state;
    say(&p, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
            "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nEARLY");
    struct owner *o = &v.streams[0];
    assert_false(o->in_end_at_head);
    assert_true(slice_eq(o->heads[0].protocol, SLICE("websocket")));
    assert_true(body_is(o, ""));
    respond_head(o, 101, -1, false);
    settle();
    assert_true(o->s->raw);
    assert_true(body_is(o, "EARLY"));
    heard_is(&p, "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                 "connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    say(&p, "ping");
    assert_true(body_is(o, "ping"));
    transport_finish(p.t);
    settle();
    assert_true(o->ended && !o->closed);
    send_text(o, "pong", false);
    settle();
    heard_is(&p, "pong");
    send_text(o, "", true);
    settle();
    assert_true(p.eof && o->closed && o->why.kind == ERR_NONE);
    assert_int_equal(v.closed, 1);
}

static void a_refused_upgrade_is_an_ordinary_request(void **state)
{
    (void)state;
    say(&p, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    struct owner *o = &v.streams[0];
    respond(o, 200, "no");
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno");
    assert_true(o->closed && o->why.kind == ERR_NONE);
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(v.n, 2);
}

static void connect_becomes_a_tunnel_and_a_refused_one_closes(void **state)
{
    (void)state;
    say(&p, "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\nhello");
    struct owner *o = &v.streams[0];
    assert_false(o->in_end_at_head);
    assert_true(body_is(o, ""));
    respond_head(o, 200, -1, false);
    settle();
    heard_is(&p, "HTTP/1.1 200 OK\r\n\r\n");
    assert_true(body_is(o, "hello"));
    send_text(o, "bye", true);
    settle();
    heard_is(&p, "bye");
    assert_true(p.eof && !o->closed);
    transport_finish(p.t);
    settle();
    assert_true(o->closed && o->why.kind == ERR_NONE);
}

static void a_refused_connect_closes_so_that_tunnel_bytes_are_no_request(void **state)
{
    (void)state;
    say(&p, "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    respond(&v.streams[0], 403, "");
    settle();
    heard_is(&p, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_int_equal(v.n, 1);
    assert_int_equal(v.closed, 1);
}

static void what_nobody_takes_is_not_read_without_bound(void **state)
{
    (void)state;
    v.hold = true;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    char block[10000];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 100; i++) {
        struct buf b;
        buf_init(&b);
        buf_append(&b, block, sizeof block);
        transport_write(p.t, &b);
    }
    settle();
    struct owner *o = &v.streams[0];
    assert_true(o->s->in.len <= 200000 && o->s->in.len > 0);
    assert_true(transport_queued(p.t) > 700000);
    o->hold = false;
    owner_pull(o);
    settle();
    assert_int_equal(o->taken, 1000000);
}

static void writing_stops_at_the_transports_mark_and_resumes(void **state)
{
    (void)state;
    p.deaf = true;
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct owner *o = &v.streams[0];
    respond_head(o, 200, -1, false);
    char block[4001];
    memset(block, 'x', sizeof block - 1);
    block[4000] = '\0';
    int n = 0;
    while (stream_room(o->s) > 0 && n < 1000) {
        send_text(o, block, false);
        n++;
        if (n % 10 == 0) {
            settle();
        }
    }
    assert_true(n < 100);
    assert_int_equal(o->writable, 0);
    p.deaf = false;
    peer_readable(&p);
    settle();
    assert_int_equal(o->writable, 1);
    assert_true(stream_room(o->s) > 0);
}

static void an_echo_that_fills_its_room_exactly_is_woken_again(void **state)
{
    (void)state;
    v.hold = true;
    say(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    struct owner *o = &v.streams[0];
    respond_head(o, 200, 200000, false);
    static char block[200000];
    memset(block, 'x', sizeof block);
    say_bytes(&p, block, sizeof block);
    unsigned woken;
    do { /* what the exchange's pump does */
        size_t n = o->s->in.len < stream_room(o->s) ? o->s->in.len : stream_room(o->s);
        struct buf b;
        buf_init(&b);
        buf_move(&b, &o->s->in, n);
        bool end = o->s->in_end && o->s->in.len == 0;
        woken = o->readable + o->writable;
        stream_send(o->s, &b, end);
        stream_taken(o->s, n);
        settle();
    } while (!o->closed && o->readable + o->writable > woken);
    assert_true(o->closed && o->why.kind == ERR_NONE);
    assert_true(p.heard.n > 200000);
}

static void a_slow_head_is_answered_408(void **state)
{
    (void)state;
    v.config.request_headers_timeout_ms = 30;
    say(&p, "GET / HTTP/1.1\r\nHos");
    settle_ms(80);
    assert_memory_equal(strbuf_cstr(&p.heard), "HTTP/1.1 408", 12);
    assert_int_equal(v.refused, 408);
    assert_int_equal(v.closed, 1);
}

static void the_protocol_is_known_by_its_preface(void **state)
{
    (void)state;
    struct transport *a, *b;
    struct served w;
    struct peer q;
    memory_transport_pair(the_loop, &a, &b);
    serve(&w, a, HTTP_CODEC_AUTO);
    peer_start(&q, b);
    say(&q, "P");
    say(&q, "OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(w.n, 1);
    peer_end(&q);
    served_fini(&w);
    memory_transport_pair(the_loop, &a, &b);
    serve(&w, a, HTTP_CODEC_AUTO);
    peer_start(&q, b);
    say(&q, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    say_bytes(&q, "\0\0\0\4\0\0\0\0\0", 9);
    assert_true(q.heard.n > 9 && q.heard.p[3] == 4);
    peer_end(&q);
    served_fini(&w);
}

static void an_aborted_server_tells_its_streams_and_not_its_owner(void **state)
{
    (void)state;
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    http_server_abort(&v.server);
    settle();
    assert_true(v.streams[0].closed && v.streams[0].why.kind == ERR_RESET);
    assert_int_equal(v.closed, 0);
    assert_true(p.closed);
}

static void a_connection_ends_after_its_last_allowed_request(void **state)
{
    (void)state;
    v.config.max_requests = 2;
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    respond(&v.streams[0], 204, "");
    say(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    respond(&v.streams[1], 204, "");
    settle();
    heard_is(&p, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    assert_int_equal(v.closed, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_request_is_answered_and_the_connection_kept),
        T(a_pipelined_request_waits_for_the_release_of_the_one_before),
        T(bodies_and_trailers_cross_in_chunks_both_ways),
        T(an_expected_continue_is_sent_when_body_is_first_wanted),
        T(a_refused_expectation_closes_because_the_body_may_or_may_not_come),
        T(an_early_answer_lets_a_short_rest_pass_and_keeps_the_connection),
        T(an_early_answer_to_a_long_upload_is_delivered_and_then_the_connection_ends),
        T(a_discard_that_takes_too_long_ends_the_connection),
        T(a_client_that_half_closes_after_its_request_is_answered),
        T(a_client_that_ends_within_its_request_aborts_it),
        T(a_client_that_vanishes_closes_the_stream_once),
        T(refused_heads_are_answered_and_closed),
        T(a_body_that_turns_bad_is_answered_400_while_nothing_was_said),
        T(draining_closes_with_the_next_answer),
        T(http_10_gets_what_it_understands),
        T(interim_heads_are_passed_on),
        T(an_answer_to_head_has_no_body),
        T(an_answer_longer_than_declared_never_reaches_the_client_as_a_second_one),
        T(an_upgrade_becomes_a_tunnel_that_half_closes_each_way),
        T(a_refused_upgrade_is_an_ordinary_request),
        T(connect_becomes_a_tunnel_and_a_refused_one_closes),
        T(a_refused_connect_closes_so_that_tunnel_bytes_are_no_request),
        T(what_nobody_takes_is_not_read_without_bound),
        T(writing_stops_at_the_transports_mark_and_resumes),
        T(an_echo_that_fills_its_room_exactly_is_woken_again),
        T(a_slow_head_is_answered_408),
        T(the_protocol_is_known_by_its_preface),
        T(an_aborted_server_tells_its_streams_and_not_its_owner),
        T(a_connection_ends_after_its_last_allowed_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
