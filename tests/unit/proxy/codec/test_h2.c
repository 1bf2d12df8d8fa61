#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/codec/h2.h"

static const struct h2_config server_config = {
    .server = true,
    .max_concurrent_streams = 100,
    .stream_window = 65535,
    .connection_window = 1 << 20,
    .max_head_bytes = 4096,
    .max_fields = 20,
    .max_uri_bytes = 200,
    .connect_protocol = true,
    .max_control_frames = 200,
    .max_resets = 50,
};

struct pair {
    struct h2_session *client, *server;
    struct arena *arena;
};

static int set_up(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    struct h2_config client_config = server_config;
    client_config.server = false;
    struct err err;
    p->server = h2_create(&server_config, &err);
    p->client = h2_create(&client_config, &err);
    p->arena = arena_create(0);
    *state = p;
    return p->server == NULL || p->client == NULL;
}

static int tear_down(void **state)
{
    struct pair *p = *state;
    h2_destroy(&p->client);
    h2_destroy(&p->server);
    arena_destroy(&p->arena);
    free(p);
    return 0;
}

/* Both ways until nothing moves; step: bytes a receive. */
static void shuttle(struct pair *p, size_t step)
{
    struct err err;
    bool moved = true;
    while (moved) {
        struct buf wire;
        buf_init(&wire);
        moved = h2_produce(p->client, &wire, 1 << 20);
        while (wire.len > 0) {
            assert_true(h2_receive(p->server, &wire, step, &err));
        }
        moved = h2_produce(p->server, &wire, 1 << 20) || moved;
        while (wire.len > 0) {
            assert_true(h2_receive(p->client, &wire, step, &err));
        }
        buf_fini(&wire);
    }
}

static struct head request(struct pair *p, const char *method)
{
    struct head h;
    head_init(&h, p->arena);
    h.method = slice_of(method);
    h.scheme = SLICE("http");
    h.authority = SLICE("a.example");
    h.path = SLICE("/p?q");
    return h;
}

static struct head response(struct pair *p, unsigned status)
{
    struct head h;
    head_init(&h, p->arena);
    h.status = status;
    return h;
}

static void send_text(struct h2_stream *st, const char *text, bool end)
{
    struct buf b;
    buf_init(&b);
    buf_append_str(&b, text);
    h2_send_data(st, &b, end);
}

static bool in_is(struct h2_stream *st, const char *text)
{
    bool same = slice_eq(buf_pullup(&st->in, st->in.len), slice_of(text));
    size_t n = st->in.len;
    buf_drain(&st->in, n);
    h2_taken(st, n);
    return same;
}

static void a_request_and_its_answer_cross_with_bodies_and_trailers(void **state)
{
    struct pair *p = *state;
    for (size_t step = 1; step < 2000; step = step * 7 + 1) {
        struct err err;
        unsigned events;
        bool end;
        struct head h = request(p, "POST");
        head_add(&h, SLICE("cookie"), SLICE("a=1"));
        head_add(&h, SLICE("cookie"), SLICE("b=2"));
        head_add(&h, SLICE("connection"), SLICE("close"));
        head_add(&h, SLICE("x-evil"), SLICE("a\r\nb"));
        h.content_length = 5;
        struct h2_stream *c = h2_open(p->client, &h, false, p->arena, p, &err);
        assert_non_null(c);
        shuttle(p, step);
        struct h2_stream *s = h2_next_event(p->server, &events);
        assert_non_null(s);
        assert_int_equal(events, H2_HEAD);
        struct head *got = h2_take_head(s, &end);
        assert_false(end);
        assert_null(h2_take_head(s, &end));
        assert_true(slice_eq(got->path, SLICE("/p?q")) && slice_eq(got->authority, SLICE("a.example")));
        assert_int_equal(got->content_length, 5);
        assert_int_equal(got->n, 1);
        assert_true(slice_eq(head_value_id(got, FIELD_COOKIE), SLICE("a=1; b=2")));
        send_text(c, "hello", true);
        shuttle(p, step);
        assert_ptr_equal(h2_next_event(p->server, &events), s);
        assert_int_equal(events, H2_DATA | H2_END);
        assert_true(in_is(s, "hello"));
        struct head early = response(p, 103), ok = response(p, 200), trailers = response(p, 0);
        head_add(&trailers, SLICE("grpc-status"), SLICE("0"));
        h2_send_head(s, &early, false);
        h2_send_head(s, &ok, false);
        send_text(s, "world", false);
        h2_send_trailers(s, &trailers);
        shuttle(p, step);
        assert_ptr_equal(h2_next_event(p->client, &events), c);
        assert_int_equal(events, H2_HEAD | H2_DATA | H2_END | H2_CLOSED);
        assert_int_equal(h2_take_head(c, &end)->status, 103);
        assert_int_equal(h2_take_head(c, &end)->status, 200);
        assert_true(in_is(c, "world"));
        assert_true(slice_eq(head_value_id(c->trailers, FIELD_GRPC_STATUS), SLICE("0")));
        assert_false(c->was_reset);
        assert_ptr_equal(h2_next_event(p->server, &events), s);
        assert_int_equal(events, H2_CLOSED);
        assert_false(s->was_reset);
        h2_release(&s);
        h2_release(&c);
        assert_int_equal(h2_open_streams(p->client) + h2_open_streams(p->server), 0);
        assert_true(h2_rest(p->server)); /* and the next round finds it as good as before */
    }
}

static struct h2_stream *accept_one(struct pair *p, struct h2_stream **c, const char *method, bool end)
{
    struct err err;
    unsigned events;
    struct head h = request(p, method);
    *c = h2_open(p->client, &h, end, p->arena, p, &err);
    shuttle(p, 1 << 20);
    struct h2_stream *s = h2_next_event(p->server, &events);
    assert_non_null(s);
    return s;
}

static void head_with_trailers_alone_needs_no_data_frame(void **state)
{
    struct pair *p = *state;
    unsigned events;
    struct h2_stream *c, *s = accept_one(p, &c, "GET", true);
    struct head ok = response(p, 200), trailers = response(p, 0);
    head_add(&trailers, SLICE("grpc-status"), SLICE("5"));
    h2_send_head(s, &ok, false);
    h2_send_trailers(s, &trailers);
    struct buf wire;
    buf_init(&wire);
    h2_produce(p->server, &wire, 1 << 20);
    struct slice bytes = buf_pullup(&wire, wire.len);
    for (size_t at = 0; at + 9 <= bytes.n;) {
        size_t len = (size_t)(unsigned char)bytes.p[at + 1] << 8 | (unsigned char)bytes.p[at + 2];
        assert_int_not_equal(bytes.p[at + 3], 0);
        at += 9 + len;
    }
    struct err err;
    assert_true(h2_receive(p->client, &wire, 1 << 20, &err));
    assert_ptr_equal(h2_next_event(p->client, &events), c);
    assert_int_equal(events, H2_HEAD | H2_END | H2_CLOSED);
    h2_release(&c);
    h2_release(&s);
}

static void one_unread_stream_does_not_hold_its_sibling(void **state)
{
    struct pair *p = *state;
    unsigned events;
    struct h2_stream *c1, *c2;
    struct h2_stream *s1 = accept_one(p, &c1, "POST", false), *s2 = accept_one(p, &c2, "POST", false);
    char block[8192];
    memset(block, 'x', sizeof block - 1);
    block[sizeof block - 1] = '\0';
    size_t taken = 0;
    for (int i = 0; i < 1000; i++) {
        if (h2_out_queued(c1) < c1->out_limit) {
            send_text(c1, block, false);
        }
        send_text(c2, block, false);
        shuttle(p, 1 << 20);
        while (h2_next_event(p->server, &events) != NULL) {
        }
        while (h2_next_event(p->client, &events) != NULL) {
        }
        taken += s2->in.len;
        size_t n = s2->in.len;
        buf_drain(&s2->in, n);
        h2_taken(s2, n);
    }
    assert_true(taken > 8000000);
    assert_true(s1->in.len <= 65535 && s1->in.len > 60000);
    h2_release(&s1);
    h2_release(&s2);
    h2_release(&c1);
    h2_release(&c2);
}

static size_t take_all(struct h2_stream *st)
{
    size_t n = st->in.len;
    buf_drain(&st->in, n);
    h2_taken(st, n);
    return n;
}

static void windows_shrink_while_the_inbox_budget_is_under_pressure(void **state)
{
    struct pair *p = *state;
    struct h2_config config = server_config;
    struct budget inbox;
    struct err err;
    budget_init(&inbox, 64 << 10);
    config.inbox = &inbox;
    h2_destroy(&p->server);
    p->server = h2_create(&config, &err);
    struct h2_stream *c1, *c2;
    struct h2_stream *s1 = accept_one(p, &c1, "POST", false);
    char block[8192];
    memset(block, 'x', sizeof block - 1);
    block[sizeof block - 1] = '\0';
    for (int i = 0; i < 10; i++) {
        send_text(c1, block, false);
    }
    shuttle(p, 1 << 10);
    assert_true(s1->in.len <= 65535 && s1->in.len > 48 << 10);
    assert_int_equal(budget_used(&inbox), s1->in.len);
    unsigned events;
    assert_ptr_equal(h2_next_event(p->server, &events), s1);
    struct h2_stream *s2 = accept_one(p, &c2, "POST", false);
    for (int i = 0; i < 10; i++) {
        send_text(c2, block, false);
    }
    shuttle(p, 1 << 10);
    assert_int_equal(s2->in.len, 16 << 10);
    buf_drain(&s2->in, 10000);
    h2_taken(s2, 10000); /* something still waits: no credit */
    shuttle(p, 1 << 10);
    assert_int_equal(s2->in.len, (16 << 10) - 10000);
    size_t got = 10000;
    for (int i = 0; i < 10; i++) {
        got += take_all(s2);
        shuttle(p, 1 << 10);
    }
    assert_int_equal(got, 10 * (sizeof block - 1)); /* a stalled stream does not keep its sibling waiting */
    h2_dropped(s1);
    assert_int_equal(budget_used(&inbox), 0);
    h2_release(&s1);
    h2_release(&s2);
    h2_release(&c1);
    h2_release(&c2);
    h2_destroy(&p->server);
    assert_int_equal(inbox.holders, 0);
    p->server = h2_create(&server_config, &err);
}

static void room_comes_back_when_the_outbox_drains(void **state)
{
    struct pair *p = *state;
    unsigned events;
    struct h2_stream *c, *s = accept_one(p, &c, "POST", false);
    char block[4096];
    memset(block, 'x', sizeof block - 1);
    block[sizeof block - 1] = '\0';
    for (int i = 0; i < 40; i++) {
        send_text(c, block, false);
    }
    shuttle(p, 1 << 20);
    assert_true(h2_out_queued(c) > c->out_limit);
    assert_null(h2_next_event(p->client, &events));
    while (h2_out_queued(c) > 0) {
        size_t n = s->in.len;
        buf_drain(&s->in, n);
        h2_taken(s, n);
        shuttle(p, 1 << 20);
    }
    assert_ptr_equal(h2_next_event(p->client, &events), c);
    assert_int_equal(events, H2_ROOM);
    h2_release(&c);
    h2_release(&s);
}

static void a_head_over_budget_is_an_event_to_answer(void **state)
{
    struct pair *p = *state;
    struct err err;
    unsigned events;
    bool end;
    struct head h = request(p, "GET");
    char big[6000];
    memset(big, 'a', sizeof big);
    head_add(&h, SLICE("x-big"), slice_make(big, sizeof big));
    struct h2_stream *c = h2_open(p->client, &h, true, p->arena, p, &err);
    shuttle(p, 1 << 20);
    struct h2_stream *s = h2_next_event(p->server, &events);
    assert_non_null(s);
    assert_int_equal(s->refuse_status, 431);
    assert_non_null(h2_take_head(s, &end));
    struct head no = response(p, 431);
    h2_send_head(s, &no, true);
    h2_release(&s);
    shuttle(p, 1 << 20);
    assert_ptr_equal(h2_next_event(p->client, &events), c);
    assert_int_equal(h2_take_head(c, &end)->status, 431);
    h2_release(&c);
    h = request(p, "GET");
    memset(big, '/', 300);
    h.path = slice_make(big, 300);
    c = h2_open(p->client, &h, true, p->arena, p, &err);
    shuttle(p, 1 << 20);
    s = h2_next_event(p->server, &events);
    assert_int_equal(s->refuse_status, 414);
    h2_release(&s);
    h2_release(&c);
}

static void extended_connect_needs_the_peers_leave(void **state)
{
    struct pair *p = *state;
    struct err err;
    unsigned events;
    bool end;
    shuttle(p, 1 << 20);
    assert_true(h2_got_settings(p->client));
    assert_true(h2_peer_allows_connect_protocol(p->client));
    struct head h = request(p, "GET");
    h.protocol = SLICE("websocket");
    struct h2_stream *c = h2_open(p->client, &h, false, p->arena, p, &err);
    shuttle(p, 1 << 20);
    struct h2_stream *s = h2_next_event(p->server, &events);
    struct head *got = h2_take_head(s, &end);
    assert_true(slice_eq(got->method, SLICE("CONNECT")) && slice_eq(got->protocol, SLICE("websocket")));
    assert_true(slice_eq(got->path, SLICE("/p?q")));
    h2_release(&s);
    h2_release(&c);
}

static void resets_reach_the_other_side_with_their_code(void **state)
{
    struct pair *p = *state;
    unsigned events;
    struct h2_stream *c, *s = accept_one(p, &c, "POST", false);
    h2_reset(s, 7);
    shuttle(p, 1 << 20);
    assert_ptr_equal(h2_next_event(p->client, &events), c);
    assert_int_equal(events, H2_CLOSED);
    assert_true(c->was_reset && c->refused && c->reset_code == 7);
    h2_release(&c);
    h2_release(&s);
    s = accept_one(p, &c, "POST", false);
    h2_release(&c); /* unfinished: CANCEL */
    shuttle(p, 1 << 20);
    assert_ptr_equal(h2_next_event(p->server, &events), s);
    assert_true(s->was_reset && !s->refused && s->reset_code == 8);
    h2_release(&s);
}

/* The server ends first, as a tunnel whose far end closed does; the client's own end is then an empty DATA frame. */
static void an_end_that_answers_an_end_keeps_the_connection(void **state)
{
    struct pair *p = *state;
    unsigned events;
    for (size_t step = 1; step < 100; step = step * 3 + 1) {
        struct h2_stream *c, *s = accept_one(p, &c, "POST", false);
        struct head ok = response(p, 200);
        h2_send_head(s, &ok, false);
        send_text(s, "", true);
        shuttle(p, step);
        assert_ptr_equal(h2_next_event(p->client, &events), c);
        assert_true(c->in_end);
        send_text(c, "", true);
        shuttle(p, step);
        assert_ptr_equal(h2_next_event(p->server, &events), s);
        assert_true(s->in_end && !s->was_reset);
        h2_release(&c);
        h2_release(&s);
        while (h2_next_event(p->client, &events) != NULL || h2_next_event(p->server, &events) != NULL) {
        }
    }
}

static void a_released_server_stream_still_sends_its_end(void **state)
{
    struct pair *p = *state;
    unsigned events;
    bool end;
    struct h2_stream *c, *s = accept_one(p, &c, "POST", false);
    struct head no = response(p, 413);
    h2_send_head(s, &no, false);
    send_text(s, "too large", true);
    h2_release(&s);
    shuttle(p, 1 << 20);
    assert_ptr_equal(h2_next_event(p->client, &events), c);
    assert_int_equal(h2_take_head(c, &end)->status, 413);
    assert_true(in_is(c, "too large"));
    assert_true(c->in_end && c->was_reset && c->reset_code == 0);
    h2_release(&c);
    assert_int_equal(h2_open_streams(p->client) + h2_open_streams(p->server), 0);
}

static void goaway_in_two_steps_lets_streams_finish(void **state)
{
    struct pair *p = *state;
    struct err err;
    unsigned events;
    struct h2_stream *c, *s = accept_one(p, &c, "GET", true);
    h2_goaway_start(p->server);
    shuttle(p, 1 << 20);
    assert_true(h2_going_away(p->client));
    assert_false(h2_can_open(p->client));
    struct head h = request(p, "GET");
    assert_null(h2_open(p->client, &h, true, p->arena, p, &err));
    assert_int_equal(err.retry, ERR_RETRY_ALWAYS);
    h2_goaway_finish(p->server);
    shuttle(p, 1 << 20);
    assert_false(h2_is_done(p->server));
    struct head ok = response(p, 200);
    h2_send_head(s, &ok, true);
    shuttle(p, 1 << 20);
    assert_ptr_equal(h2_next_event(p->client, &events), c);
    assert_false(c->was_reset);
    h2_release(&c);
    h2_release(&s);
    assert_true(h2_is_done(p->server));
    assert_true(h2_is_done(p->client));
}

/* Raw frames against the server. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static void frame(struct buf *b, unsigned type, unsigned flags, uint32_t id, struct slice payload)
{
    unsigned char h[9] = {(unsigned char)(payload.n >> 16),
                          (unsigned char)(payload.n >> 8),
                          (unsigned char)payload.n,
                          (unsigned char)type,
                          (unsigned char)flags,
                          (unsigned char)(id >> 24),
                          (unsigned char)(id >> 16),
                          (unsigned char)(id >> 8),
                          (unsigned char)id};
    buf_append(b, h, sizeof h);
    buf_append_slice(b, payload);
}

static void literal(struct buf *b, struct slice name, struct slice value)
{
    assert_true(name.n < 127);
    unsigned char c[2] = {0, (unsigned char)name.n};
    buf_append(b, c, 2);
    buf_append_slice(b, name);
    if (value.n < 127) {
        c[0] = (unsigned char)value.n;
        buf_append(b, c, 1);
    } else {
        unsigned char more[3] = {127, (unsigned char)(((value.n - 127) & 127) | 128),
                                 (unsigned char)((value.n - 127) >> 7)};
        buf_append(b, more, 3);
    }
    buf_append_slice(b, value);
}

struct raw {
    struct h2_session *s;
    struct buf wire;
};

static struct raw raw_start(void)
{
    struct err err;
    struct raw r = {.s = h2_create(&server_config, &err)};
    buf_init(&r.wire);
    buf_append(&r.wire, preface, sizeof preface - 1);
    frame(&r.wire, 4, 0, 0, SLICE_NONE);
    return r;
}

static bool raw_feed(struct raw *r)
{
    struct err err;
    bool ok = true;
    while (ok && r->wire.len > 0) {
        ok = h2_receive(r->s, &r->wire, 16 << 10, &err);
        struct buf out;
        buf_init(&out);
        h2_produce(r->s, &out, 1 << 20);
        buf_fini(&out);
    }
    buf_fini(&r->wire);
    return ok;
}

static void raw_request(struct buf *b, uint32_t id, unsigned flags)
{
    struct buf block;
    buf_init(&block);
    literal(&block, SLICE(":method"), SLICE("GET"));
    literal(&block, SLICE(":scheme"), SLICE("http"));
    literal(&block, SLICE(":path"), SLICE("/"));
    literal(&block, SLICE(":authority"), SLICE("a"));
    frame(b, 1, 4 | flags, id, buf_pullup(&block, block.len));
    buf_fini(&block);
}

struct pair_text {
    struct slice name, value;
};

static void heads_that_http1_could_not_say_are_reset_and_the_connection_lives(void **state)
{
    (void)state;
#define M                              \
    {                                  \
        SLICE(":method"), SLICE("GET") \
    }
#define S                               \
    {                                   \
        SLICE(":scheme"), SLICE("http") \
    }
#define P                          \
    {                              \
        SLICE(":path"), SLICE("/") \
    }
#define A                               \
    {                                   \
        SLICE(":authority"), SLICE("a") \
    }
    static const struct pair_text cases[][8] = {
        {{SLICE(":method"), SLICE("GET / HTTP/1.1\r\nX: y")}, S, P, A},
        {{SLICE(":method"), SLICE("G T")}, S, P, A},
        {M, S, {SLICE(":path"), SLICE("/ HTTP/1.1\r\nHost: b")}, A},
        {M, S, {SLICE(":path"), SLICE("a")}, A},
        {M, S, {SLICE(":path"), SLICE("/a b")}, A},
        {M, S, {SLICE(":path"), SLICE("/#x")}, A},
        {M, S, {SLICE(":path"), SLICE("*")}, A},
        {M, S, {SLICE(":path"), SLICE("")}, A},
        {M, S, {SLICE(":path"), SLICE("http://a/")}, A},
        {M, {SLICE(":scheme"), SLICE("ftp")}, P, A},
        {M, {SLICE(":scheme"), SLICE("http\r\n")}, P, A},
        {M, S, P, {SLICE(":authority"), SLICE("a b")}},
        {M, S, P, {SLICE(":authority"), SLICE("u@a")}},
        {M, S, P, {SLICE(":authority"), SLICE("a\r\nb: c")}},
        {M, S, P},
        {M, S, P, A, {SLICE("host"), SLICE("b")}},
        {M, S, P, {SLICE("host"), SLICE("a")}, {SLICE("host"), SLICE("a")}},
        {M, S, P, A, {SLICE("x"), SLICE("a\r\nb: c")}},
        {M, S, P, A, {SLICE("x"), SLICE("a\nb")}},
        {M, S, P, A, {SLICE("x"), SLICE("a\0b")}},
        {M, S, P, A, {SLICE("x"), SLICE("a\x01")}},
        {M, S, P, A, {SLICE("x"), SLICE("a\x7f")}},
        {M, S, P, A, {SLICE("x"), SLICE(" a")}},
        {M, S, P, A, {SLICE("x\r\ny"), SLICE("a")}},
        {M, S, P, A, {SLICE("x: y"), SLICE("a")}},
        {M, S, P, A, {SLICE("X"), SLICE("a")}},
        {M, S, P, A, {SLICE(""), SLICE("a")}},
        {M, S, P, A, {SLICE("transfer-encoding"), SLICE("chunked")}},
        {M, S, P, A, {SLICE("transfer_encoding"), SLICE("chunked")}},
        {M, S, P, A, {SLICE("content_length"), SLICE("5")}},
        {M, S, P, A, {SLICE("connection"), SLICE("close")}},
        {M, S, P, A, {SLICE("keep-alive"), SLICE("1")}},
        {M, S, P, A, {SLICE("proxy-connection"), SLICE("1")}},
        {M, S, P, A, {SLICE("upgrade"), SLICE("websocket")}},
        {M, S, P, A, {SLICE("te"), SLICE("gzip")}},
        {M, S, P, A, {SLICE("content-length"), SLICE("5")}},
        {M, S, P, A, {SLICE("content-length"), SLICE("+0")}},
        {M, S, P, A, {SLICE("content-length"), SLICE("0")}, {SLICE("content-length"), SLICE("0")}},
        {M, M, S, P, A},
        {M, S, P, A, {SLICE(":status"), SLICE("200")}},
        {M, S, P, A, {SLICE(":x"), SLICE("1")}},
        {M, S, P, {SLICE("x"), SLICE("1")}, A},
        {S, P, A},
        {M, P, A},
        {M, S, A},
        {{SLICE(":method"), SLICE("CONNECT")}, A},
        {{SLICE(":method"), SLICE("CONNECT")}, S, P, {SLICE(":authority"), SLICE("a:1")}},
        {M, S, P, A, {SLICE(":protocol"), SLICE("websocket")}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw r = raw_start();
        struct buf block;
        unsigned events;
        buf_init(&block);
        for (size_t k = 0; k < 8 && cases[i][k].name.p != NULL; k++) {
            literal(&block, cases[i][k].name, cases[i][k].value);
        }
        frame(&r.wire, 1, 5, 1, buf_pullup(&block, block.len));
        raw_request(&r.wire, 3, 1);
        buf_fini(&block);
        assert_true(raw_feed(&r));
        struct h2_stream *st = h2_next_event(r.s, &events);
        if (st == NULL || st->id != 3) {
            fail_msg("case %zu: %s", i, st == NULL ? "the good request was lost" : "the bad request was heard");
        }
        h2_destroy(&r.s);
    }
}

static void broken_connections_end_with_goaway(void **state)
{
    (void)state;
    struct raw r = raw_start();
    raw_request(&r.wire, 5, 1);
    raw_request(&r.wire, 3, 1); /* RFC 9113 5.1.1 */
    assert_false(raw_feed(&r));
    h2_destroy(&r.s);

    r = raw_start();
    raw_request(&r.wire, 1, 1);
    raw_request(&r.wire, 1, 1); /* 5.1: half closed by the peer */
    assert_false(raw_feed(&r));
    h2_destroy(&r.s);

    r = raw_start();
    raw_request(&r.wire, 1, 0);
    frame(&r.wire, 3, 0, 1, SLICE("\0\0\0\x08"));
    frame(&r.wire, 0, 1, 1, SLICE("x")); /* after its own RST_STREAM */
    assert_false(raw_feed(&r));
    h2_destroy(&r.s);

    r = raw_start();
    frame(&r.wire, 0, 0, 9, SLICE("x")); /* idle */
    assert_false(raw_feed(&r));
    struct err err;
    struct buf more;
    buf_init(&more);
    frame(&more, 6, 0, 0, SLICE("12345678"));
    assert_false(h2_receive(r.s, &more, 100, &err));
    buf_fini(&more);
    h2_destroy(&r.s);

    r = (struct raw){.s = h2_create(&server_config, &err)};
    buf_init(&r.wire);
    buf_append_str(&r.wire, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_false(raw_feed(&r));
    h2_destroy(&r.s);
}

static void frames_for_a_stream_we_reset_are_ignored(void **state)
{
    (void)state;
    struct raw r = raw_start();
    unsigned events;
    raw_request(&r.wire, 1, 0);
    assert_true(raw_feed(&r));
    struct h2_stream *st = h2_next_event(r.s, &events);
    h2_release(&st);
    frame(&r.wire, 0, 0, 1, SLICE("late"));
    raw_request(&r.wire, 3, 1);
    assert_true(raw_feed(&r));
    assert_int_equal(h2_next_event(r.s, &events)->id, 3);
    h2_destroy(&r.s);
}

struct flood {
    const char *name;
    unsigned type, flags;
    struct slice payload;
    bool on_stream;
};

static void floods_end_the_connection_early(void **state)
{
    (void)state;
    static const struct flood floods[] = {
        {"PING", 6, 0, {"12345678", 8}, false},
        {"SETTINGS", 4, 0, {"", 0}, false},
        {"PRIORITY", 2, 0, {"\0\0\0\0\x10", 5}, true},
        {"empty DATA", 0, 0, {"", 0}, true},
        {"padded DATA",
         0,
         8,
         {"\x05"
          "aabbb",
          6},
         true},
        {"WINDOW_UPDATE", 8, 0, {"\0\0\0\x01", 4}, false},
        {"unknown", 0x40, 0, {"x", 1}, false},
    };
    for (size_t i = 0; i < sizeof floods / sizeof floods[0]; i++) {
        struct raw r = raw_start();
        raw_request(&r.wire, 1, 0);
        assert_true(raw_feed(&r));
        int n = 0;
        bool ok = true;
        while (ok && n < 1000) {
            frame(&r.wire, floods[i].type, floods[i].flags, floods[i].on_stream ? 1 : 0, floods[i].payload);
            ok = raw_feed(&r);
            n++;
        }
        if (ok || n < 100) {
            fail_msg("%s: %d frames, %s", floods[i].name, n, ok ? "still open" : "closed too early");
        }
        h2_destroy(&r.s);
    }
}

static void reset_floods_end_the_connection_in_both_directions(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct raw r = raw_start();
        bool ok = true;
        uint32_t id = 1;
        unsigned events;
        while (ok && id < 2000) {
            raw_request(&r.wire, id, 0);
            if (kind == 0) {
                frame(&r.wire, 3, 0, id, SLICE("\0\0\0\x08"));
            } else {
                frame(&r.wire, 8, 0, id, SLICE("\0\0\0\0")); /* makes us reset it */
            }
            ok = raw_feed(&r);
            for (struct h2_stream *st; (st = h2_next_event(r.s, &events)) != NULL;) {
                h2_release(&st);
            }
            id += 2;
        }
        assert_false(ok);
        assert_true(id < 200);
        h2_destroy(&r.s);
    }
}

static void a_stream_beyond_the_limit_is_refused_and_the_connection_lives(void **state)
{
    (void)state;
    struct raw r = raw_start();
    frame(&r.wire, 4, 1, 0, SLICE_NONE); /* our SETTINGS are acknowledged */
    struct err err;
    struct buf out;
    buf_init(&out);
    h2_produce(r.s, &out, 1 << 20);
    struct slice settings = buf_pullup(&out, out.len);
    assert_true(slice_search(settings, SLICE("\0\x03\0\0\0\x64")) < settings.n); /* 100 is what the peer is told */
    buf_fini(&out);
    for (uint32_t id = 1; id < 260; id += 2) {
        raw_request(&r.wire, id, 1);
    }
    unsigned events, n = 0;
    while (r.wire.len > 0) {
        assert_true(h2_receive(r.s, &r.wire, SIZE_MAX, &err));
    }
    assert_true(h2_produce(r.s, &out, 1 << 20));
    struct slice resets = buf_pullup(&out, out.len);
    assert_true(slice_search(resets, SLICE("\0\0\x04\x03\0\0\0\0\xc9\0\0\0\x07")) < resets.n); /* 201: REFUSED_STREAM */
    buf_fini(&out);
    for (; h2_next_event(r.s, &events) != NULL; n++) {
    }
    assert_int_equal(n, 100);
    h2_destroy(&r.s);
}

static void a_step_ends_after_many_heads(void **state)
{
    (void)state;
    struct h2_config config = server_config;
    struct err err;
    config.max_resets = config.max_control_frames = 1000;
    struct raw r = raw_start();
    h2_destroy(&r.s);
    r.s = h2_create(&config, &err);
    for (uint32_t id = 1; id < 600; id += 2) {
        raw_request(&r.wire, id, 1);
        frame(&r.wire, 3, 0, id, SLICE("\0\0\0\x08"));
    }
    unsigned events, most = 0, all = 0, steps = 0;
    for (; r.wire.len > 0; steps++) {
        unsigned n = 0;
        assert_true(h2_receive(r.s, &r.wire, SIZE_MAX, &err));
        assert_true(h2_is_step_full(r.s) == (r.wire.len > 0));
        for (struct h2_stream *st; (st = h2_next_event(r.s, &events)) != NULL; n++) {
            h2_release(&st);
        }
        most = n > most ? n : most;
        all += n;
    }
    assert_true(all == 300 && most <= 128 && steps == 3);
    h2_destroy(&r.s);
}

static void time_forgives_what_is_no_flood(void **state)
{
    (void)state;
    struct raw r = raw_start();
    int64_t now = 1;
    for (int i = 0; i < 5000; i++) {
        h2_advance(r.s, now += 500000);
        frame(&r.wire, 6, 0, 0, SLICE("12345678"));
        assert_true(raw_feed(&r));
    }
    h2_destroy(&r.s);
}

static void a_header_bomb_costs_little_and_ends_the_connection(void **state)
{
    (void)state;
    struct raw r = raw_start();
    struct buf block;
    char big[3000];
    memset(big, 'a', sizeof big);
    buf_init(&block);
    literal(&block, SLICE(":method"), SLICE("GET"));
    literal(&block, SLICE(":scheme"), SLICE("http"));
    literal(&block, SLICE(":path"), SLICE("/"));
    literal(&block, SLICE(":authority"), SLICE("a"));
    unsigned char indexed = 0x40, name_len = 1;
    buf_append(&block, &indexed, 1);
    buf_append(&block, &name_len, 1);
    buf_append_str(&block, "x");
    unsigned char len[3] = {127, (unsigned char)(((sizeof big - 127) & 127) | 128),
                            (unsigned char)((sizeof big - 127) >> 7)};
    buf_append(&block, len, 3);
    buf_append(&block, big, sizeof big);
    for (int i = 0; i < 4000; i++) {
        unsigned char again = 0x80 | 62;
        buf_append(&block, &again, 1);
    }
    frame(&r.wire, 1, 5, 1, buf_pullup(&block, block.len));
    buf_fini(&block);
    assert_false(raw_feed(&r));
    h2_destroy(&r.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_and_its_answer_cross_with_bodies_and_trailers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(head_with_trailers_alone_needs_no_data_frame, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_unread_stream_does_not_hold_its_sibling, set_up, tear_down),
        cmocka_unit_test_setup_teardown(windows_shrink_while_the_inbox_budget_is_under_pressure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(room_comes_back_when_the_outbox_drains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_over_budget_is_an_event_to_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(extended_connect_needs_the_peers_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(resets_reach_the_other_side_with_their_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_end_that_answers_an_end_keeps_the_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_released_server_stream_still_sends_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goaway_in_two_steps_lets_streams_finish, set_up, tear_down),
        cmocka_unit_test(heads_that_http1_could_not_say_are_reset_and_the_connection_lives),
        cmocka_unit_test(broken_connections_end_with_goaway),
        cmocka_unit_test(frames_for_a_stream_we_reset_are_ignored),
        cmocka_unit_test(floods_end_the_connection_early),
        cmocka_unit_test(reset_floods_end_the_connection_in_both_directions),
        cmocka_unit_test(a_stream_beyond_the_limit_is_refused_and_the_connection_lives),
        cmocka_unit_test(a_step_ends_after_many_heads),
        cmocka_unit_test(time_forgives_what_is_no_flood),
        cmocka_unit_test(a_header_bomb_costs_little_and_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
