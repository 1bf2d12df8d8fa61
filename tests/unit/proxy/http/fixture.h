/* fixture: a loop, scripted peers over memory transports, and owners that write down what their streams tell them. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "proxy/http/client.h"
#include "proxy/http/server.h"

#define MAYBE __attribute__((unused))

/* ---- the loop ---- */

static struct loop *the_loop;

static MAYBE void stop_loop(struct timer *timer)
{
    loop_stop(timer->loop);
}

/* Lets everything happen that is going to happen within so many milliseconds. */
static MAYBE void settle_ms(unsigned ms)
{
    struct timer timer;
    timer_init(&timer, the_loop, stop_loop);
    timer_set_in(&timer, ms);
    loop_run(the_loop);
}

static MAYBE void settle(void)
{
    settle_ms(8);
}

static MAYBE int loop_set_up(void **state)
{
    struct err err;
    (void)state;
    the_loop = loop_create(1, &err);
    return the_loop == NULL;
}

static MAYBE int loop_tear_down(void **state)
{
    (void)state;
    settle();
    loop_destroy(&the_loop);
    return 0;
}

/* ---- a peer that says and hears bytes ---- */

struct peer {
    struct transport *t;
    struct strbuf heard;
    bool eof, closed, deaf; /* deaf: takes nothing */
    struct err why;
};

static MAYBE void peer_nothing(void *ctx)
{
    (void)ctx;
}

static MAYBE void peer_readable(void *ctx)
{
    struct peer *p = ctx;
    if (p->deaf) {
        return;
    }
    while (p->t->in.len > 0) {
        struct slice piece = buf_front(&p->t->in);
        strbuf_add(&p->heard, piece);
        buf_drain(&p->t->in, piece.n);
    }
    p->eof = p->t->in_eof;
    transport_taken(p->t);
}

static MAYBE void peer_closed(void *ctx, const struct err *why)
{
    struct peer *p = ctx;
    p->t = NULL;
    p->closed = true;
    p->why = *why;
}

static const struct transport_events peer_events = {peer_nothing, peer_readable, peer_nothing, peer_closed};

static MAYBE void peer_start(struct peer *p, struct transport *t)
{
    *p = (struct peer){.t = t};
    strbuf_init(&p->heard);
    transport_own(t, &peer_events, p);
}

static MAYBE void peer_end(struct peer *p)
{
    transport_close(&p->t, TRANSPORT_ABORT);
    strbuf_fini(&p->heard);
    settle();
}

static MAYBE void say_bytes(struct peer *p, const void *bytes, size_t n)
{
    struct buf b;
    buf_init(&b);
    buf_append(&b, bytes, n);
    transport_write(p->t, &b);
    settle();
}

static MAYBE void say(struct peer *p, const char *text)
{
    say_bytes(p, text, strlen(text));
}

static MAYBE void heard_is(struct peer *p, const char *text)
{
    assert_string_equal(strbuf_cstr(&p->heard), text);
    strbuf_clear(&p->heard);
}

/* ---- the owner of a stream ---- */

enum { HEADS_MAX = 4 };

struct owner {
    struct stream *s;
    struct arena *arena; /* client side */
    struct head heads[HEADS_MAX];
    unsigned n_heads;
    bool in_end_at_head;
    struct strbuf body;
    bool hold;                /* takes nothing */
    bool ended, closed, keep; /* keep: does not release on on_closed */
    bool wants_body;          /* says taken(0) at once */
    unsigned readable, writable;
    char trailers[256];
    struct err why;
    struct owner *pump_to; /* passes bytes on */
    size_t taken;
};

static MAYBE void owner_pull(struct owner *o)
{
    while (o->s != NULL && o->s->in.len > 0) {
        struct slice piece = buf_front(&o->s->in);
        size_t n = piece.n;
        if (o->body.n < (1 << 20)) {
            strbuf_add(&o->body, piece);
        }
        buf_drain(&o->s->in, n);
        o->taken += n;
        stream_taken(o->s, n);
    }
}

static MAYBE void owner_head(void *ctx, struct head *head)
{
    struct owner *o = ctx;
    assert_true(o->n_heads < HEADS_MAX);
    assert_false(o->closed);
    o->in_end_at_head = o->s->in_end;
    o->ended = o->s->in_end;
    o->heads[o->n_heads++] = *head;
    if (o->wants_body) {
        stream_taken(o->s, 0);
    }
}

static MAYBE void owner_readable(void *ctx)
{
    struct owner *o = ctx;
    assert_false(o->closed);
    o->readable++;
    if (!o->hold) {
        owner_pull(o);
    }
    if (o->s != NULL && o->s->in_end && o->s->in.len == 0) {
        o->ended = true;
        if (o->s->trailers != NULL) {
            snprintf(o->trailers, sizeof o->trailers, "%.*s=%.*s", SLICE_ARG(o->s->trailers->fields[0].name),
                     SLICE_ARG(o->s->trailers->fields[0].value));
        }
    }
}

static MAYBE void owner_writable(void *ctx)
{
    struct owner *o = ctx;
    o->writable++;
}

static MAYBE void owner_closed(void *ctx, const struct err *why)
{
    struct owner *o = ctx;
    assert_false(o->closed);
    o->closed = true;
    o->why = *why;
    if (!o->keep) {
        stream_release(&o->s);
    }
}

static const struct stream_events owner_events = {owner_head, owner_readable, owner_writable, owner_closed};

static MAYBE void owner_fini(struct owner *o)
{
    stream_release(&o->s);
    strbuf_fini(&o->body);
    settle();
    arena_destroy(&o->arena);
}

static MAYBE void respond_head(struct owner *o, unsigned status, int64_t length, bool end)
{
    struct head h;
    struct arena *arena = arena_create(0);
    head_init(&h, arena);
    h.status = status;
    h.content_length = length;
    stream_send_head(o->s, &h, end);
    arena_destroy(&arena);
}

static MAYBE void send_text(struct owner *o, const char *text, bool end)
{
    struct buf b;
    buf_init(&b);
    buf_append_str(&b, text);
    stream_send(o->s, &b, end);
}

static MAYBE void respond(struct owner *o, unsigned status, const char *text)
{
    respond_head(o, status, (int64_t)strlen(text), text[0] == '\0');
    if (text[0] != '\0' && o->s != NULL) {
        send_text(o, text, true);
    }
}

/* ---- a server over one end of a memory pair ---- */

enum { STREAMS_MAX = 8 };

struct served {
    struct http_server *server;
    struct http_server_config config;
    struct owner streams[STREAMS_MAX];
    unsigned n, refused, closed;
    struct err why;
    bool hold, keep, wants_body; /* for new streams */
};

static MAYBE void served_stream(void *ctx, struct stream *s)
{
    struct served *v = ctx;
    assert_true(v->n < STREAMS_MAX);
    struct owner *o = &v->streams[v->n++];
    *o = (struct owner){.s = s, .hold = v->hold, .keep = v->keep, .wants_body = v->wants_body};
    s->events = &owner_events;
    s->ctx = o;
}

static MAYBE void served_refused(void *ctx, unsigned status, const struct err *why)
{
    struct served *v = ctx;
    v->refused = status;
    if (why != NULL) { /* else a stream's body, and the stream hears of it */
        v->why = *why;
    }
}

static MAYBE void served_closed(void *ctx)
{
    struct served *v = ctx;
    assert_int_equal(v->closed++, 0);
    v->server = NULL;
}

static const struct http_server_events served_events = {.on_stream = served_stream, .on_refused = served_refused, .on_closed = served_closed};

static const struct h1_limits test_h1 = {
    .max_head_bytes = 8192,
    .max_uri_bytes = 1024,
    .max_fields = 50,
    .max_trailer_bytes = 1024,
    .max_chunk_line_bytes = 128,
    .accept_http_10 = true,
};

static const struct h2_config test_h2 = {
    .max_concurrent_streams = 100,
    .stream_window = 65535,
    .connection_window = 1 << 20,
    .max_head_bytes = 8192,
    .max_fields = 50,
    .max_uri_bytes = 1024,
    .connect_protocol = true,
    .max_control_frames = 1000,
    .max_resets = 100,
};

static MAYBE void serve(struct served *v, struct transport *t, enum http_codec codec)
{
    struct http_server_config config = {
        .codec = codec,
        .h1 = test_h1,
        .h2 = test_h2,
        .lingering_ms = 50,
        .discard_bytes = 1000,
    };
    *v = (struct served){.config = config};
    v->server = http_server_create(&t, &v->config, &served_events, v);
}

static MAYBE void served_fini(struct served *v)
{
    for (unsigned i = 0; i < v->n; i++) {
        owner_fini(&v->streams[i]);
    }
    http_server_abort(&v->server);
    settle();
}

/* ---- a client over one end of a memory pair ---- */

struct calling {
    struct http_client *client;
    struct http_client_config config;
    unsigned capacity, closed;
    struct err why;
};

static MAYBE void calling_capacity(void *ctx)
{
    ((struct calling *)ctx)->capacity++;
}

static MAYBE void calling_closed(void *ctx, const struct err *why)
{
    struct calling *k = ctx;
    assert_int_equal(k->closed++, 0);
    k->why = *why;
    k->client = NULL;
}

static const struct http_client_events calling_events = {calling_capacity, calling_closed};

static MAYBE void call_over(struct calling *k, struct transport *t, bool h2)
{
    *k = (struct calling){.config = {.h1 = test_h1, .h2 = test_h2}};
    k->client = http_client_create(&t, h2, &k->config, &calling_events, k);
}

static MAYBE void calling_fini(struct calling *k)
{
    http_client_close(&k->client);
    settle();
}

static MAYBE void open_call(struct calling *k, struct owner *o)
{
    *o = (struct owner){.arena = arena_create(0)};
    o->s = http_client_open(k->client, o->arena, &owner_events, o);
    assert_non_null(o->s);
}

static MAYBE struct head request_head(struct owner *o, const char *method, const char *path)
{
    struct head h;
    head_init(&h, o->arena);
    h.method = slice_of(method);
    h.scheme = SLICE("http");
    h.authority = SLICE("up.example");
    h.path = slice_of(path);
    return h;
}

static MAYBE void call(struct calling *k, struct owner *o, const char *method, const char *path, bool end)
{
    open_call(k, o);
    struct head h = request_head(o, method, path);
    stream_send_head(o->s, &h, end);
}

static MAYBE bool body_is(struct owner *o, const char *text)
{
    bool same = strcmp(strbuf_cstr(&o->body), text) == 0;
    if (!same) {
        print_message("body is: %s\n", strbuf_cstr(&o->body));
    }
    strbuf_clear(&o->body);
    return same;
}
