#include "unit/proxy/http/fixture.h"

static struct calling k;
static struct peer p;
static struct owner o;

static int set_up(void **state)
{
    struct transport *a, *b;
    loop_set_up(state);
    memory_transport_pair(the_loop, &a, &b);
    call_over(&k, a, false);
    peer_start(&p, b);
    o = (struct owner){0};
    return 0;
}

static int tear_down(void **state)
{
    owner_fini(&o);
    peer_end(&p);
    calling_fini(&k);
    return loop_tear_down(state);
}

static void a_call_is_answered_and_the_connection_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(http_client_can_open(k.client));
        call(&k, &o, "GET", "/x", true);
        assert_false(http_client_can_open(k.client));
        settle();
        heard_is(&p, "GET /x HTTP/1.1\r\nhost: up.example\r\n\r\n");
        say(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_true(body_is(&o, "ok"));
        assert_true(o.closed && o.why.kind == ERR_NONE);
        owner_fini(&o);
    }
    assert_int_equal(http_client_opened(k.client), 3);
    assert_int_equal(k.capacity, 3);
}

static void an_answer_reads_the_same_byte_by_byte(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    const char *text =
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n";
    for (const char *c = text; *c != '\0'; c++) {
        struct buf b;
        buf_init(&b);
        buf_append(&b, c, 1);
        transport_write(p.t, &b);
        settle_ms(4);
    }
    assert_int_equal(o.n_heads, 2);
    assert_int_equal(o.heads[0].status, 103);
    assert_true(body_is(&o, "abcde"));
    assert_string_equal(o.trailers, "x-sum=7");
    assert_true(o.closed && o.why.kind == ERR_NONE && http_client_can_open(k.client));
}

static void a_body_of_unknown_length_goes_out_in_chunks(void **state)
{
    (void)state;
    call(&k, &o, "POST", "/", false);
    send_text(&o, "abc", false);
    settle();
    heard_is(&p, "POST / HTTP/1.1\r\nhost: up.example\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    send_text(&o, "", true);
    settle();
    heard_is(&p, "0\r\n\r\n");
    say(&p, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_true(o.in_end_at_head && o.closed && http_client_can_open(k.client));
}

static void an_early_answer_ends_the_call_and_the_connection_is_not_used_again(void **state)
{
    (void)state;
    call(&k, &o, "POST", "/", false);
    send_text(&o, "abc", false);
    settle();
    say(&p, "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n");
    assert_true(o.closed && o.why.kind == ERR_NONE);
    assert_int_equal(o.heads[0].status, 413);
    assert_int_equal(k.closed, 1);
}

static void an_answer_to_head_has_no_body_whatever_it_declares(void **state)
{
    (void)state;
    call(&k, &o, "HEAD", "/", true);
    say(&p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_true(o.in_end_at_head && o.closed && o.why.kind == ERR_NONE);
    assert_int_equal(o.heads[0].content_length, 5);
    assert_true(http_client_can_open(k.client));
}

static void an_answer_until_close_ends_with_the_connection(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    say(&p, "HTTP/1.0 200 OK\r\n\r\nall of it");
    assert_false(o.ended);
    transport_finish(p.t);
    settle();
    assert_true(o.ended && body_is(&o, "all of it"));
    assert_true(o.closed && o.why.kind == ERR_NONE);
    assert_int_equal(k.closed, 1);
}

static void bytes_behind_an_answer_make_the_connection_useless(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    say(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
    assert_true(body_is(&o, "ok") && o.why.kind == ERR_NONE);
    assert_int_equal(k.closed, 1);
}

static void bytes_nobody_asked_for_end_an_idle_connection(void **state)
{
    (void)state;
    say(&p, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(k.closed, 1);
    assert_int_equal(k.why.kind, ERR_PROTOCOL);
    assert_true(p.closed);
}

static void an_idle_connection_that_ends_is_closed(void **state)
{
    (void)state;
    transport_finish(p.t);
    settle();
    assert_int_equal(k.closed, 1);
}

static void an_end_before_anything_was_sent_may_always_be_repeated(void **state)
{
    (void)state;
    open_call(&k, &o);
    transport_close(&p.t, TRANSPORT_ABORT);
    settle();
    assert_true(o.closed && o.why.kind == ERR_RESET);
    assert_int_equal(o.why.retry, ERR_RETRY_ALWAYS);
    assert_false(o.s != NULL);
}

static void a_kept_connection_that_ends_without_an_answer_may_be_repeated_if_idempotent(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    say(&p, "HTTP/1.1 204 No Content\r\n\r\n");
    owner_fini(&o);
    call(&k, &o, "GET", "/", true);
    settle();
    transport_close(&p.t, TRANSPORT_ABORT);
    settle();
    assert_int_equal(o.why.retry, ERR_RETRY_IF_IDEMPOTENT);
    assert_int_equal(o.why.side, ERR_SIDE_UPSTREAM);
}

static void a_fresh_connection_that_ends_without_an_answer_is_not_repeated(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    settle();
    transport_finish(p.t);
    settle();
    assert_int_equal(o.why.kind, ERR_RESET);
    assert_int_equal(o.why.retry, ERR_RETRY_NEVER);
    assert_int_equal(k.closed, 1);
}

static void an_answer_cut_short_is_an_error(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    say(&p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    transport_finish(p.t);
    settle();
    assert_true(o.closed && o.why.kind == ERR_RESET && !o.ended);
    assert_int_equal(o.why.retry, ERR_RETRY_NEVER);
}

static void an_unsound_answer_is_a_protocol_error(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    say(&p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(o.why.kind, ERR_PROTOCOL);
    assert_int_equal(o.n_heads, 0);
    assert_int_equal(k.closed, 1);
    assert_true(p.closed);
}

static void an_upgrade_waits_for_101_and_then_carries_bytes(void **state)
{
    (void)state;
    open_call(&k, &o);
    struct head h = request_head(&o, "GET", "/ws");
    h.protocol = SLICE("websocket");
    head_add(&h, SLICE("sec-websocket-key"), SLICE("dGhlIHNhbXBsZSBub25jZQ=="));
    stream_send_head(o.s, &h, false);
    settle();
    heard_is(&p, "GET /ws HTTP/1.1\r\nhost: up.example\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 "connection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_int_equal(stream_room(o.s), 0);
    say(&p, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst");
    assert_int_equal(o.heads[0].status, 101);
    assert_true(o.s->raw && body_is(&o, "first"));
    assert_int_equal(o.writable, 1);
    assert_true(stream_room(o.s) > 0);
    send_text(&o, "up", true);
    settle();
    heard_is(&p, "up");
    assert_true(p.eof && !o.closed);
    say(&p, "more");
    transport_finish(p.t);
    settle();
    assert_true(body_is(&o, "more") && o.closed && o.why.kind == ERR_NONE);
    assert_int_equal(k.closed, 1);
}

static void a_websocket_without_a_key_gets_one_and_its_answer_is_checked(void **state)
{
    (void)state;
    open_call(&k, &o);
    struct head h = request_head(&o, "GET", "/ws");
    h.protocol = SLICE("websocket");
    stream_send_head(o.s, &h, false);
    settle();
    assert_non_null(strstr(strbuf_cstr(&p.heard), "\r\nsec-websocket-key: "));
    say(&p, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    assert_int_equal(o.why.kind, ERR_PROTOCOL);
    assert_int_equal(o.n_heads, 0);
}

static void a_switch_nobody_asked_for_is_a_protocol_error(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    say(&p, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_int_equal(o.why.kind, ERR_PROTOCOL);
}

static void a_call_released_early_cuts_the_connection(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    settle();
    stream_release(&o.s);
    settle();
    assert_true(p.closed);
    assert_int_equal(k.closed, 1);
    assert_false(o.closed);
}

static void a_call_that_never_began_leaves_the_connection_as_it_was(void **state)
{
    (void)state;
    open_call(&k, &o);
    owner_fini(&o);
    assert_true(http_client_can_open(k.client));
    assert_int_equal(k.closed, 0);
}

static void untaken_answers_wait_and_the_end_waits_with_them(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    o.hold = true;
    say(&p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_true(o.s->in_end && !o.closed);
    owner_pull(&o);
    settle();
    assert_true(o.closed && o.why.kind == ERR_NONE);
    assert_true(body_is(&o, "hello"));
}

static void a_request_longer_or_shorter_than_declared_never_reaches_a_kept_connection(void **state)
{
    (void)state;
    open_call(&k, &o);
    struct head h = request_head(&o, "POST", "/");
    h.content_length = 2;
    stream_send_head(o.s, &h, false);
    send_text(&o, "okGET /smuggled HTTP/1.1\r\n\r\n", true);
    settle();
    assert_null(strstr(strbuf_cstr(&p.heard), "smuggled"));
    assert_true(o.why.kind == ERR_PROTOCOL && p.closed);
    assert_int_equal(k.closed, 1);
}

static void draining_ends_an_idle_connection_and_one_in_use_after_its_answer(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    http_client_drain(k.client);
    settle();
    assert_int_equal(k.closed, 0);
    say(&p, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_true(o.closed && o.why.kind == ERR_NONE);
    assert_int_equal(k.closed, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_call_is_answered_and_the_connection_kept),
        T(an_answer_reads_the_same_byte_by_byte),
        T(a_body_of_unknown_length_goes_out_in_chunks),
        T(an_early_answer_ends_the_call_and_the_connection_is_not_used_again),
        T(an_answer_to_head_has_no_body_whatever_it_declares),
        T(an_answer_until_close_ends_with_the_connection),
        T(bytes_behind_an_answer_make_the_connection_useless),
        T(bytes_nobody_asked_for_end_an_idle_connection),
        T(an_idle_connection_that_ends_is_closed),
        T(an_end_before_anything_was_sent_may_always_be_repeated),
        T(a_kept_connection_that_ends_without_an_answer_may_be_repeated_if_idempotent),
        T(a_fresh_connection_that_ends_without_an_answer_is_not_repeated),
        T(an_answer_cut_short_is_an_error),
        T(an_unsound_answer_is_a_protocol_error),
        T(an_upgrade_waits_for_101_and_then_carries_bytes),
        T(a_websocket_without_a_key_gets_one_and_its_answer_is_checked),
        T(a_switch_nobody_asked_for_is_a_protocol_error),
        T(a_call_released_early_cuts_the_connection),
        T(a_call_that_never_began_leaves_the_connection_as_it_was),
        T(untaken_answers_wait_and_the_end_waits_with_them),
        T(a_request_longer_or_shorter_than_declared_never_reaches_a_kept_connection),
        T(draining_ends_an_idle_connection_and_one_in_use_after_its_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
