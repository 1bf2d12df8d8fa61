#include "unit/proxy/http/fixture.h"

/* A client and a server of ours, with nothing but memory between them. */
static struct served v;
static struct calling k;
static struct owner o, o2;

static int set_up(void **state)
{
    struct transport *a, *b;
    loop_set_up(state);
    memory_transport_pair(the_loop, &a, &b);
    serve(&v, a, HTTP_CODEC_AUTO);
    call_over(&k, b, true);
    settle();
    o = o2 = (struct owner){0};
    return 0;
}

static int tear_down(void **state)
{
    owner_fini(&o);
    owner_fini(&o2);
    served_fini(&v);
    calling_fini(&k);
    return loop_tear_down(state);
}

static void requests_and_answers_cross_and_streams_end_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        call(&k, &o, "POST", "/x?y", false);
        send_text(&o, "up", true);
        settle();
        struct owner *s = &v.streams[i];
        assert_int_equal(v.n, i + 1);
        assert_true(slice_eq(s->heads[0].path, SLICE("/x?y")) && slice_eq(s->heads[0].authority, SLICE("up.example")));
        assert_int_equal(s->heads[0].version, HTTP_2);
        assert_true(body_is(s, "up") && s->ended);
        respond_head(s, 103, -1, false);
        respond_head(s, 200, -1, false);
        send_text(s, "down", false);
        struct head t;
        head_init(&t, s->s->arena);
        head_add(&t, SLICE("grpc-status"), SLICE("0"));
        stream_send_trailers(s->s, &t);
        settle();
        assert_true(s->closed && s->why.kind == ERR_NONE);
        assert_int_equal(o.n_heads, 2);
        assert_true(body_is(&o, "down"));
        assert_string_equal(o.trailers, "grpc-status=0");
        assert_true(o.closed && o.why.kind == ERR_NONE);
        owner_fini(&o);
    }
    assert_int_equal(http_client_streams(k.client), 0);
    assert_true(http_server_is_idle(v.server));
}

static void a_request_without_body_ends_with_its_head(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    settle();
    assert_true(v.streams[0].in_end_at_head);
    assert_int_equal(v.streams[0].readable, 0);
    respond(&v.streams[0], 204, "");
    settle();
    assert_true(o.in_end_at_head && o.closed && o.why.kind == ERR_NONE);
}

static void an_early_answer_is_delivered_and_stops_the_upload(void **state)
{
    (void)state;
    call(&k, &o, "POST", "/", false);
    send_text(&o, "part", false);
    settle();
    respond(&v.streams[0], 413, "too large");
    settle();
    assert_true(v.streams[0].closed && v.streams[0].why.kind == ERR_NONE);
    assert_int_equal(o.heads[0].status, 413);
    assert_true(body_is(&o, "too large"));
    assert_true(o.closed && o.why.kind == ERR_NONE);
    assert_int_equal(http_client_streams(k.client), 0);
    owner_fini(&o);
    call(&k, &o, "GET", "/", true);
    settle();
    assert_int_equal(v.n, 2);
}

static void an_expected_continue_is_sent_when_body_is_first_wanted(void **state)
{
    (void)state;
    open_call(&k, &o);
    struct head h = request_head(&o, "POST", "/");
    head_add(&h, SLICE("expect"), SLICE("100-continue"));
    stream_send_head(o.s, &h, false);
    settle();
    assert_null(head_find_id(&v.streams[0].heads[0], FIELD_EXPECT));
    assert_int_equal(o.n_heads, 0);
    stream_taken(v.streams[0].s, 0);
    settle();
    assert_int_equal(o.n_heads, 1);
    assert_int_equal(o.heads[0].status, 100);
}

static void one_unread_stream_is_bounded_and_does_not_hold_its_sibling(void **state)
{
    (void)state;
    call(&k, &o, "POST", "/stuck", false);
    call(&k, &o2, "POST", "/free", false);
    settle();
    v.streams[0].hold = true;
    char block[8193];
    memset(block, 'x', sizeof block - 1);
    block[sizeof block - 1] = '\0';
    size_t sent = 0;
    for (int i = 0; i < 200; i++) {
        while (stream_room(o.s) > 0) {
            send_text(&o, block, false);
        }
        while (stream_room(o2.s) > 0) {
            send_text(&o2, block, false);
            sent += sizeof block - 1;
        }
        settle_ms(2);
    }
    assert_true(v.streams[0].s->in.len <= 65535);
    assert_true(v.streams[1].taken > 4000000);
    assert_true(sent - v.streams[1].taken < 300000);
    assert_true(o2.writable > 10);
    assert_true(o.writable <= 2); /* while its first window lasted */
}

static void a_reset_reaches_the_other_side_once(void **state)
{
    (void)state;
    call(&k, &o, "POST", "/", false);
    settle();
    stream_reset(v.streams[0].s, STREAM_REFUSED);
    settle();
    assert_true(v.streams[0].closed && v.streams[0].why.side == ERR_SIDE_LOCAL);
    assert_true(o.closed && o.why.kind == ERR_RESET);
    assert_int_equal(o.why.retry, ERR_RETRY_ALWAYS);
    owner_fini(&o);
    call(&k, &o, "POST", "/", false);
    settle();
    stream_reset(v.streams[1].s, STREAM_INTERNAL_ERROR);
    settle();
    assert_int_equal(o.why.retry, ERR_RETRY_NEVER);
    owner_fini(&o);
    call(&k, &o, "POST", "/", false);
    settle();
    stream_release(&o.s);
    settle();
    assert_true(v.streams[2].closed && v.streams[2].why.kind == ERR_RESET);
    assert_int_equal(v.streams[2].why.side, ERR_SIDE_DOWNSTREAM);
}

static void connect_becomes_a_tunnel_that_half_closes_each_way(void **state)
{
    (void)state;
    open_call(&k, &o);
    struct head h = request_head(&o, "CONNECT", "");
    h.authority = SLICE("far.example:443");
    stream_send_head(o.s, &h, false);
    settle();
    struct owner *s = &v.streams[0];
    assert_true(slice_eq(s->heads[0].authority, SLICE("far.example:443")));
    assert_int_equal(stream_room(o.s), 0);
    respond_head(s, 200, -1, false);
    settle();
    assert_true(o.s->raw && s->s->raw && o.writable == 1 && stream_room(o.s) > 0);
    send_text(&o, "to", true);
    settle();
    assert_true(body_is(s, "to") && s->ended && !s->closed);
    send_text(s, "fro", true);
    settle();
    assert_true(body_is(&o, "fro"));
    assert_true(o.closed && o.why.kind == ERR_NONE && s->closed && s->why.kind == ERR_NONE);
}

static void an_upgrade_crosses_as_extended_connect(void **state)
{
    (void)state;
    assert_true(http_client_extended_connect(k.client));
    open_call(&k, &o);
    struct head h = request_head(&o, "GET", "/ws");
    h.protocol = SLICE("websocket");
    head_add(&h, SLICE("sec-websocket-key"), SLICE("dGhlIHNhbXBsZSBub25jZQ=="));
    stream_send_head(o.s, &h, false);
    settle();
    struct owner *s = &v.streams[0];
    assert_true(slice_eq(s->heads[0].method, SLICE("GET")) && slice_eq(s->heads[0].protocol, SLICE("websocket")));
    assert_null(head_find_id(&s->heads[0], FIELD_SEC_WEBSOCKET_KEY));
    respond_head(s, 101, -1, false);
    settle();
    assert_int_equal(o.heads[0].status, 101);
    assert_true(slice_eq(o.heads[0].protocol, SLICE("websocket")));
    send_text(&o, "frame", false);
    settle();
    assert_true(body_is(s, "frame"));
}

static void a_success_that_refuses_an_upgrade_is_no_acceptance(void **state)
{
    (void)state;
    open_call(&k, &o);
    struct head h = request_head(&o, "GET", "/ws");
    h.protocol = SLICE("websocket");
    stream_send_head(o.s, &h, false);
    settle();
    respond(&v.streams[0], 200, "a page");
    settle();
    assert_int_equal(o.heads[0].status, 502);
    assert_true(o.closed);
}

static void a_head_over_its_limit_is_answered_431_and_its_siblings_live(void **state)
{
    (void)state;
    char big[9000];
    memset(big, 'a', sizeof big);
    open_call(&k, &o);
    struct head h = request_head(&o, "GET", "/");
    head_add(&h, SLICE("x-big"), slice_make(big, sizeof big));
    stream_send_head(o.s, &h, true);
    call(&k, &o2, "GET", "/ok", true);
    settle();
    assert_int_equal(v.refused, 431);
    assert_int_equal(v.n, 1);
    assert_int_equal(o.heads[0].status, 431);
    respond(&v.streams[0], 200, "fine");
    settle();
    assert_true(body_is(&o2, "fine"));
}

static void draining_lets_the_last_stream_finish_and_then_closes(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    settle();
    http_server_drain(v.server);
    settle();
    assert_false(http_client_can_open(k.client));
    assert_int_equal(v.closed, 0);
    respond(&v.streams[0], 200, "bye");
    settle();
    assert_true(body_is(&o, "bye") && o.why.kind == ERR_NONE);
    assert_int_equal(v.closed, 1);
    assert_int_equal(k.closed, 1);
}

static void a_client_drain_ends_the_connection_after_its_streams(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    settle();
    http_client_drain(k.client);
    settle();
    assert_int_equal(k.closed, 0);
    respond(&v.streams[0], 200, "bye");
    settle();
    assert_true(o.closed && o.why.kind == ERR_NONE);
    assert_int_equal(k.closed, 1);
    assert_int_equal(v.closed, 1);
}

static void a_lost_connection_closes_every_stream_and_then_itself(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    call(&k, &o2, "GET", "/", true);
    settle();
    http_server_abort(&v.server);
    settle();
    assert_true(o.closed && o2.closed && o.why.kind == ERR_RESET);
    assert_true(v.streams[0].closed && v.streams[1].closed);
    assert_int_equal(o.why.retry, ERR_RETRY_NEVER);
    assert_int_equal(k.closed, 1);
    assert_int_equal(v.closed, 0);
}

static void a_request_that_never_left_may_always_be_repeated(void **state)
{
    (void)state;
    call(&k, &o, "GET", "/", true);
    http_server_abort(&v.server);
    settle();
    assert_true(o.closed);
    assert_int_equal(o.why.retry, ERR_RETRY_ALWAYS);
}

static void a_tunnel_stream_carries_another_connection(void **state)
{
    (void)state;
    open_call(&k, &o);
    struct head h = request_head(&o, "CONNECT", "");
    h.authority = SLICE("far.example:443");
    stream_send_head(o.s, &h, false);
    settle();
    respond_head(&v.streams[0], 200, -1, false);
    settle();
    struct transport *near = stream_transport_create(&o.s, &o.arena);
    struct transport *far = stream_transport_create(&v.streams[0].s, NULL);
    struct served inner;
    struct calling inner_call;
    struct owner call_inner;
    serve(&inner, far, HTTP_CODEC_1);
    call_over(&inner_call, near, false);
    for (int i = 0; i < 3; i++) {
        call(&inner_call, &call_inner, "POST", "/deep", false);
        send_text(&call_inner, "question", true);
        settle();
        assert_true(body_is(&inner.streams[i], "question"));
        respond(&inner.streams[i], 200, "answer");
        settle();
        assert_true(body_is(&call_inner, "answer"));
        owner_fini(&call_inner);
    }
    calling_fini(&inner_call);
    assert_int_equal(inner.closed, 1);
    served_fini(&inner);
    settle();
    assert_int_equal(http_client_streams(k.client), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(requests_and_answers_cross_and_streams_end_in_order),
        T(a_request_without_body_ends_with_its_head),
        T(an_early_answer_is_delivered_and_stops_the_upload),
        T(an_expected_continue_is_sent_when_body_is_first_wanted),
        T(one_unread_stream_is_bounded_and_does_not_hold_its_sibling),
        T(a_reset_reaches_the_other_side_once),
        T(connect_becomes_a_tunnel_that_half_closes_each_way),
        T(an_upgrade_crosses_as_extended_connect),
        T(a_success_that_refuses_an_upgrade_is_no_acceptance),
        T(a_head_over_its_limit_is_answered_431_and_its_siblings_live),
        T(draining_lets_the_last_stream_finish_and_then_closes),
        T(a_client_drain_ends_the_connection_after_its_streams),
        T(a_lost_connection_closes_every_stream_and_then_itself),
        T(a_request_that_never_left_may_always_be_repeated),
        T(a_tunnel_stream_carries_another_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
