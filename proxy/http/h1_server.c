/*
 * HTTP/1 downstream: one message pair at a time. The next request of a pipeline is read only after the stream before it
 * was released.
 */
#include <stdio.h>

#include "base/mem.h"
#include "proxy/http/internal.h"

enum server_state {
    SERVER_IDLE,   /* between requests; part of a head may have come */
    SERVER_STREAM, /* a stream is open */
    SERVER_CLOSED,
};

struct h1_server;

struct h1_stream {
    struct stream s;
    struct h1_server *conn; /* NULL once the connection is gone */
    struct h1_message message;
    struct h1_body body;
    struct slice method;
    enum h1_framing out_framing;
    bool in_done;       /* the request is complete */
    bool head_sent;     /* the final one */
    bool continue_due;  /* the peer waits for 100 Continue */
    bool discarding;    /* the rest of the request is read and dropped */
    bool keep_alive;
    bool over;          /* on_closed is due or has been said */
    bool http10;
    size_t discarded;
    struct err why;
    struct loop_task closed; /* says on_closed in the next delivery */
};

struct h1_server {
    struct server_side side; /* first */
    enum server_state state;
    struct transport *t;
    struct loop *loop;
    const struct http_server_config *config;
    const struct http_server_events *events;
    void *ctx;
    struct h1_parser parser;
    struct arena *arena; /* of the head being read */
    struct h1_stream *stream;
    struct timer timer; /* idle, head, lingering: whichever state is on */
    struct loop_task next; /* looks for a pipelined request */
    struct transport_info info; /* valid after the transport has gone */
    char *info_text;
    unsigned requests;
    bool draining, head_started;
};

static void server_try_head(struct h1_server *c);

/* ---- the end of a connection ---- */

static void server_free(void *p)
{
    struct h1_server *c = p;
    arena_destroy(&c->arena);
    mem_free(c->info_text);
    mem_free(c);
}

static void stream_over(struct h1_stream *st, const struct err *why);

/* The connection ends now; what was queued still leaves with mode FLUSH. Said to the owner last. */
static void server_end(struct h1_server *c, enum transport_close_mode mode, bool tell)
{
    if (c->state == SERVER_CLOSED) {
        return;
    }
    c->state = SERVER_CLOSED;
    timer_cancel(&c->timer);
    loop_task_cancel(&c->next);
    transport_close(&c->t, mode);
    loop_free_later(c->loop, server_free, c);
    if (tell) {
        c->events->on_closed(c->ctx);
    }
}

/* ---- stream: from the owner ---- */

static struct h1_stream *of(struct stream *s)
{
    return container_of(s, struct h1_stream, s);
}

static void write_out(struct h1_stream *st, struct buf *out)
{
    if (st->conn != NULL && st->conn->t != NULL && !st->over) {
        transport_write(st->conn->t, out);
    }
    buf_fini(out);
}

static void say_closed(struct loop_task *task)
{
    struct h1_stream *st = container_of(task, struct h1_stream, closed);
    st->s.events->on_closed(st->s.ctx, &st->why);
}

/* Both directions are over, or the stream died: on_closed comes in this turn. */
static void stream_over(struct h1_stream *st, const struct err *why)
{
    if (!st->over) {
        st->over = true;
        st->why = *why;
        loop_deliver(st->s.loop, &st->closed);
    }
}

static void check_over(struct h1_stream *st)
{
    static const struct err none = {.kind = ERR_NONE};
    if (st->s.out_end && st->in_done && !st->discarding) {
        stream_over(st, &none);
    }
    if (st->s.out_end && st->discarding) {
        stream_over(st, &none); /* the discard goes on without the owner */
    }
}

static bool is_tunnel(const struct h1_stream *st, const struct head *head)
{
    return head->status == 101 || (slice_eq(st->method, SLICE("CONNECT")) && head->status >= 200 && head->status <= 299);
}

static void send_head(struct stream *s, const struct head *head, bool end)
{
    struct h1_stream *st = of(s);
    struct buf out;
    buf_init(&out);
    if (is_tunnel(st, head)) {
        s->raw = st->head_sent = true;
        st->keep_alive = false;
        st->in_done = false;
        st->message.framing = H1_UNTIL_CLOSE;
        h1_body_init(&st->body, &st->message, &st->conn->config->h1);
        st->out_framing = H1_UNTIL_CLOSE;
        h1_write_response(&out, head, H1_NO_BODY, head->status == 101 ? H1_UPGRADE : H1_KEEP_ALIVE);
        write_out(st, &out);
        if (st->conn != NULL) {
            loop_deliver(s->loop, &st->conn->next); /* bytes that came early are the tunnel's */
        }
        return;
    }
    if (head->status < 200) {
        st->continue_due = st->continue_due && head->status != 100;
        h1_write_response(&out, head, H1_NO_BODY, H1_KEEP_ALIVE);
        write_out(st, &out);
        return;
    }
    st->head_sent = true;
    st->continue_due = false;
    st->out_framing = h1_choose_framing(head, true, st->method, st->http10, !end);
    st->keep_alive = st->keep_alive && st->out_framing != H1_UNTIL_CLOSE && st->conn != NULL && !st->conn->draining;
    enum h1_connection connection = !st->keep_alive ? H1_CLOSE : st->http10 ? H1_KEEP_ALIVE_10 : H1_KEEP_ALIVE;
    h1_write_response(&out, head, st->out_framing, connection);
    if (end) {
        h1_write_end(&out, st->out_framing, NULL);
        s->out_end = true;
    }
    write_out(st, &out);
    check_over(st);
}

static void send_bytes(struct stream *s, struct buf *bytes, bool end)
{
    struct h1_stream *st = of(s);
    struct buf out;
    buf_init(&out);
    s->bytes_out += buf_len(bytes);
    h1_write_body(&out, st->out_framing, bytes);
    if (end && !s->raw) {
        h1_write_end(&out, st->out_framing, NULL);
    }
    write_out(st, &out);
    if (end && !s->out_end) {
        s->out_end = true;
        if (s->raw && st->conn != NULL && st->conn->t != NULL) {
            transport_finish(st->conn->t);
        }
        check_over(st);
    }
}

static void send_trailers(struct stream *s, const struct head *trailers)
{
    struct h1_stream *st = of(s);
    struct buf out;
    buf_init(&out);
    h1_write_end(&out, st->out_framing, trailers);
    write_out(st, &out);
    s->out_end = true;
    check_over(st);
}

static size_t room(const struct stream *s)
{
    const struct h1_stream *st = container_of(s, struct h1_stream, s);
    if (st->conn == NULL || st->conn->t == NULL) {
        return STREAM_IN_LIMIT; /* swallowed: on_closed is on its way */
    }
    size_t queued = transport_queued(st->conn->t);
    size_t limit = st->conn->t->out_high > STREAM_IN_LIMIT ? st->conn->t->out_high : STREAM_IN_LIMIT;
    return queued >= limit ? 0 : limit - queued;
}

static void taken(struct stream *s, size_t n)
{
    struct h1_stream *st = of(s);
    (void)n;
    if (st->conn == NULL || st->conn->t == NULL) {
        return;
    }
    if (st->continue_due) {
        struct buf out;
        st->continue_due = false;
        buf_init(&out);
        buf_append_str(&out, "HTTP/1.1 100 Continue\r\n\r\n");
        write_out(st, &out);
    }
    if (!buf_is_empty(&st->conn->t->in) || st->conn->t->in_eof) {
        loop_deliver(s->loop, &st->conn->next);
    }
}

static void linger_on(struct h1_server *c)
{
    timer_set_in(&c->timer, c->config->lingering_ms == 0 ? 1000 : c->config->lingering_ms);
}

static void stop_reading(struct stream *s)
{
    struct h1_stream *st = of(s);
    if (st->in_done || st->discarding || st->conn == NULL) {
        return;
    }
    st->discarding = true;
    st->discarded += buf_len(&s->in);
    buf_fini(&s->in);
    if (st->continue_due || s->raw) {
        st->keep_alive = false; /* the peer may or may not send what it announced */
    }
    linger_on(st->conn);
    loop_deliver(s->loop, &st->conn->next);
    check_over(st);
}

static void reset(struct stream *s, enum stream_reset kind)
{
    struct h1_stream *st = of(s);
    struct err why;
    (void)kind;
    if (st->over) {
        return;
    }
    err_set(&why, ERR_RESET, "reset by us");
    why.side = ERR_SIDE_LOCAL;
    stream_over(st, &why);
    if (st->conn != NULL) {
        transport_close(&st->conn->t, TRANSPORT_ABORT);
    }
}

static void release(struct stream *s)
{
    struct h1_stream *st = of(s);
    struct h1_server *c = st->conn;
    bool ended = st->over && st->why.kind == ERR_NONE;
    loop_task_cancel(&st->closed);
    buf_fini(&s->in);
    if (c != NULL && ended && st->discarding) {
        st->over = true; /* the connection keeps it until the discard is over */
        st->s.events = NULL;
        return;
    }
    if (c != NULL) {
        c->stream = NULL;
        c->requests++;
        if (!ended || c->t == NULL) {
            server_end(c, TRANSPORT_ABORT, true);
        } else if (!st->keep_alive || (c->config->max_requests != 0 && c->requests >= c->config->max_requests)) {
            server_end(c, TRANSPORT_FLUSH, true);
        } else {
            c->state = SERVER_IDLE;
            loop_deliver(c->loop, &c->next);
        }
    }
    arena_free_later(s->loop, s->arena);
}

static const struct stream_ops stream_ops = {
    .send_head = send_head,
    .send = send_bytes,
    .send_trailers = send_trailers,
    .room = room,
    .taken = taken,
    .stop_reading = stop_reading,
    .reset = reset,
    .release = release,
};

/* ---- reading ---- */

static void refuse(struct h1_server *c, unsigned status, const struct err *why)
{
    struct head head;
    struct buf out;
    struct slice body = head_reason(status);
    buf_init(&out);
    arena_reset(c->arena);
    head_init(&head, c->arena);
    head.status = status;
    head.content_length = (int64_t)body.n;
    head_add_id(&head, FIELD_CONTENT_TYPE, SLICE("text/plain"));
    h1_write_response(&out, &head, H1_LENGTH, H1_CLOSE);
    buf_append_slice(&out, body);
    transport_write(c->t, &out);
    buf_fini(&out);
    c->events->on_refused(c->ctx, status, why);
    server_end(c, TRANSPORT_FLUSH, true);
}

static void open_stream(struct h1_server *c, struct head *head, const struct h1_message *message)
{
    struct h1_stream *st = arena_zalloc(c->arena, sizeof *st);
    timer_cancel(&c->timer);
    st->s = (struct stream){
        .ops = &stream_ops,
        .loop = c->loop,
        .arena = c->arena,
        .level = c->t->level,
        .version = head->version,
        .info = &c->info,
        .head_bytes_in = message->head_bytes,
    };
    buf_init(&st->s.in);
    loop_task_init(&st->closed, say_closed);
    st->conn = c;
    st->message = *message;
    st->method = head->method;
    st->keep_alive = message->keep_alive;
    st->continue_due = message->expect_continue;
    st->http10 = head->version == HTTP_1_0;
    head->scheme = c->info.tls ? SLICE("https") : SLICE("http");
    if (message->expect_continue) {
        head_remove_id(head, FIELD_EXPECT);
    }
    h1_body_init(&st->body, message, &c->config->h1);
    st->in_done = st->s.in_end = message->framing == H1_NO_BODY && !slice_eq(head->method, SLICE("CONNECT"));
    c->stream = st;
    c->arena = NULL;
    c->state = SERVER_STREAM;
    if (!st->in_done && !buf_is_empty(&c->t->in)) {
        loop_deliver(c->loop, &c->next);
    }
    c->events->on_stream(c->ctx, &st->s);
    st->s.events->on_head(st->s.ctx, head);
}

static void stream_failed(struct h1_server *c, const struct err *why)
{
    struct h1_stream *st = c->stream;
    if (st->s.events == NULL) { /* released: only the discard was left */
        c->stream = NULL;
        arena_free_later(c->loop, st->s.arena);
        server_end(c, TRANSPORT_FLUSH, true);
        return;
    }
    stream_over(st, why);
}

/* The discard after an early answer: within its limits the connection can live on, beyond them it ends. */
static void discard(struct h1_server *c)
{
    struct h1_stream *st = c->stream;
    struct buf junk;
    struct head trailers;
    struct err err;
    buf_init(&junk);
    head_init(&trailers, st->s.arena);
    size_t limit = c->config->discard_bytes == 0 ? 64 << 10 : c->config->discard_bytes;
    enum h1_result result = h1_body_read(&st->body, &c->t->in, &junk, limit + 1, &trailers, &err);
    st->discarded += buf_len(&junk);
    buf_fini(&junk);
    transport_taken(c->t);
    bool released = st->s.events == NULL;
    if (result == H1_BAD || st->discarded > limit || (result == H1_MORE && c->t->in_eof)) {
        st->keep_alive = false;
    } else if (result == H1_MORE) {
        return;
    }
    st->in_done = true;
    st->discarding = false;
    timer_cancel(&c->timer);
    if (!released) {
        check_over(st);
        return;
    }
    st->s.events = NULL;
    c->stream = NULL;
    arena_free_later(c->loop, st->s.arena);
    c->requests++;
    if (st->keep_alive) {
        c->state = SERVER_IDLE;
        server_try_head(c);
    } else {
        server_end(c, TRANSPORT_FLUSH, true);
    }
}

static void read_body(struct h1_server *c)
{
    struct h1_stream *st = c->stream;
    struct err err;
    if (st->in_done || st->over || (slice_eq(st->method, SLICE("CONNECT")) && !st->s.raw)) {
        return;
    }
    size_t had = buf_len(&st->s.in);
    if (had < STREAM_IN_LIMIT) {
        struct head *trailers = arena_alloc(st->s.arena, sizeof *trailers);
        head_init(trailers, st->s.arena);
        switch (h1_body_read(&st->body, &c->t->in, &st->s.in, STREAM_IN_LIMIT - had, trailers, &err)) {
        case H1_MORE:
            break;
        case H1_DONE:
            st->in_done = st->s.in_end = true;
            st->s.trailers = trailers->n > 0 ? trailers : NULL;
            break;
        case H1_BAD:
            err.side = ERR_SIDE_DOWNSTREAM;
            stream_failed(c, &err);
            return;
        }
        transport_taken(c->t);
    }
    st->s.bytes_in += buf_len(&st->s.in) - had;
    st->continue_due = st->continue_due && buf_len(&st->s.in) == 0;
    if (!st->in_done && c->t->in_eof && buf_is_empty(&c->t->in)) {
        if (st->s.raw) {
            st->in_done = st->s.in_end = true;
        } else {
            err_set(&err, ERR_RESET, "the client ended the connection within its request");
            err.side = ERR_SIDE_DOWNSTREAM;
            stream_failed(c, &err);
            return;
        }
    }
    if (buf_len(&st->s.in) > had || st->s.in_end) {
        if (st->in_done) {
            check_over(st);
        }
        st->s.events->on_readable(st->s.ctx);
    }
}

static void server_try_head(struct h1_server *c)
{
    if (c->arena == NULL) {
        c->arena = arena_create(8192);
        h1_parser_init(&c->parser);
        c->head_started = false;
    }
    struct head *head = arena_alloc(c->arena, sizeof *head);
    struct h1_message message = {.framing = H1_NO_BODY};
    struct err err;
    head_init(head, c->arena);
    if (!buf_is_empty(&c->t->in)) {
        switch (h1_read_request(&c->parser, &c->t->in, &c->config->h1, head, &message, &err)) {
        case H1_DONE:
            transport_taken(c->t);
            open_stream(c, head, &message);
            return;
        case H1_BAD:
            refuse(c, message.refuse_status == 0 ? 400 : message.refuse_status, &err);
            return;
        case H1_MORE:
            break;
        }
    }
    if (c->t->in_eof) {
        server_end(c, TRANSPORT_FLUSH, true);
        return;
    }
    bool started = !buf_is_empty(&c->t->in);
    uint32_t limit = started ? c->config->request_headers_timeout_ms : c->config->idle_timeout_ms;
    if ((started && !c->head_started) || !started) {
        timer_cancel(&c->timer);
        if (limit != 0) {
            timer_set_in(&c->timer, limit);
        }
    }
    c->head_started = started;
    transport_taken(c->t);
}

static void server_read(struct h1_server *c)
{
    if (c->state == SERVER_CLOSED || c->t == NULL) {
        return;
    }
    if (c->state == SERVER_IDLE) {
        server_try_head(c);
    } else if (c->stream->discarding) {
        discard(c);
    } else {
        read_body(c);
    }
}

static void run_next(struct loop_task *task)
{
    server_read(container_of(task, struct h1_server, next));
}

/* ---- the transport ---- */

static void on_open(void *ctx)
{
    (void)ctx;
}

static void on_readable(void *ctx)
{
    server_read(ctx);
}

static void on_writable(void *ctx)
{
    struct h1_server *c = ctx;
    if (c->state == SERVER_STREAM && !c->stream->over && c->stream->s.events != NULL) {
        c->stream->s.events->on_writable(c->stream->s.ctx);
    }
}

static void on_closed(void *ctx, const struct err *why)
{
    struct h1_server *c = ctx;
    struct h1_stream *st = c->stream;
    c->t = NULL;
    if (st == NULL || st->s.events == NULL) {
        if (st != NULL) {
            c->stream = NULL;
            arena_free_later(c->loop, st->s.arena);
        }
        server_end(c, TRANSPORT_ABORT, true);
        return;
    }
    struct err err = *why;
    if (err.kind == ERR_NONE && !(st->s.raw && st->s.out_end && st->in_done)) {
        err_set(&err, ERR_RESET, "the client closed the connection");
    }
    err.side = ERR_SIDE_DOWNSTREAM;
    stream_over(st, &err); /* release ends the connection */
}

static const struct transport_events transport_events = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

static void on_timer(struct timer *timer)
{
    struct h1_server *c = container_of(timer, struct h1_server, timer);
    struct err err;
    if (c->state == SERVER_IDLE && c->head_started) {
        err_set(&err, ERR_TIMEOUT, "the request head took too long");
        refuse(c, 408, &err);
        return;
    }
    if (c->state == SERVER_IDLE) {
        server_end(c, TRANSPORT_FLUSH, true);
        return;
    }
    if (c->stream != NULL && c->stream->discarding) {
        struct h1_stream *st = c->stream;
        st->keep_alive = false;
        st->in_done = true;
        st->discarding = false;
        if (st->s.events == NULL) {
            c->stream = NULL;
            arena_free_later(c->loop, st->s.arena);
            server_end(c, TRANSPORT_FLUSH, true);
        } else {
            check_over(st);
        }
    }
}

/* ---- */

static void drain(struct server_side *s)
{
    /* An idle connection stays: a client that is about to use it must not lose its request. Its next answer closes it. */
    container_of(s, struct h1_server, side)->draining = true;
}

static void abort_server(struct server_side *s)
{
    struct h1_server *c = container_of(s, struct h1_server, side);
    struct h1_stream *st = c->stream;
    c->stream = NULL;
    if (st != NULL) {
        struct err err;
        bool released = st->s.events == NULL;
        err_set(&err, ERR_RESET, "the listener was closed");
        err.side = ERR_SIDE_LOCAL;
        st->conn = NULL;
        if (released) {
            arena_free_later(c->loop, st->s.arena);
        } else if (!st->over) {
            st->over = true;
            st->why = err;
            st->s.events->on_closed(st->s.ctx, &err);
        }
    }
    server_end(c, TRANSPORT_ABORT, false);
}

static bool is_idle(const struct server_side *s)
{
    return ((const struct h1_server *)(const void *)s)->stream == NULL;
}

static const struct transport_info *info(const struct server_side *s)
{
    return &((const struct h1_server *)(const void *)s)->info;
}

static const struct server_side_ops server_ops = {.drain = drain, .abort = abort_server, .is_idle = is_idle, .info = info};

struct server_side *h1_server_create(struct transport *t, const struct http_server_config *config,
                                     const struct http_server_events *events, void *ctx)
{
    struct h1_server *c = mem_alloc(sizeof *c);
    c->side.ops = &server_ops;
    c->t = t;
    c->loop = t->loop;
    c->config = config;
    c->events = events;
    c->ctx = ctx;
    c->info_text = transport_info_copy(&c->info, &t->info);
    timer_init(&c->timer, c->loop, on_timer);
    loop_task_init(&c->next, run_next);
    if (config->idle_timeout_ms != 0) {
        timer_set_in(&c->timer, config->idle_timeout_ms);
    }
    transport_own(t, &transport_events, c);
    return &c->side;
}
