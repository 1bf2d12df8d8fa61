/* HTTP/1 upstream: one stream at a time, the connection kept when both messages ended as they should. */
#include "base/mem.h"
#include "proxy/http/internal.h"

struct h1_client;

struct h1_call {
    struct stream s;
    struct h1_client *conn; /* NULL once the connection is gone */
    struct h1_parser parser;
    struct h1_body body;
    struct h1_message message;
    enum h1_framing out_framing;
    struct slice method;
    uint64_t sent_mark; /* the transport's bytes_out when it was opened */
    bool head_sent, head_done, in_done;
    bool got_bytes; /* of the response */
    bool over;
    struct err why;
    struct loop_task closed;
};

struct h1_client {
    struct client_side side; /* first */
    struct transport *t;
    struct loop *loop;
    const struct http_client_config *config;
    const struct http_client_events *events;
    void *ctx;
    struct h1_call *call;
    struct loop_task read;
    struct transport_info info;
    char *info_text;
    bool draining, spent, ended;
};

static void client_free(void *p)
{
    struct h1_client *c = p;
    mem_free(c->info_text);
    mem_free(c);
}

static void client_end(struct h1_client *c, enum transport_close_mode mode, const struct err *tell)
{
    if (c->ended) {
        return;
    }
    c->ended = true;
    loop_task_cancel(&c->read);
    transport_close(&c->t, mode);
    loop_free_later(c->loop, client_free, c);
    if (tell != NULL) {
        c->events->on_closed(c->ctx, tell);
    }
}

/* ---- stream: from the owner ---- */

static struct h1_call *of(struct stream *s)
{
    return container_of(s, struct h1_call, s);
}

static void say_closed(struct loop_task *task)
{
    struct h1_call *call = container_of(task, struct h1_call, closed);
    call->s.events->on_closed(call->s.ctx, &call->why);
}

static void call_over(struct h1_call *call, const struct err *why)
{
    if (!call->over) {
        call->over = true;
        call->why = *why;
        loop_deliver(call->s.loop, &call->closed);
    }
}

static void check_over(struct h1_call *call)
{
    static const struct err none = {.kind = ERR_NONE};
    if (call->s.out_end && call->in_done) {
        call_over(call, &none);
    }
}

/* The connection broke under the call: whether it may be repeated depends on what has left and what has come. */
static void call_failed(struct h1_call *call, const struct err *why)
{
    struct err err = *why;
    bool sent = call->head_sent && call->conn != NULL && call->conn->t != NULL
                    ? call->conn->t->bytes_out > call->sent_mark
                    : call->s.sent;
    err.side = ERR_SIDE_UPSTREAM;
    if (err.kind == ERR_NONE) {
        err_set(&err, ERR_RESET, "the upstream closed the connection");
    }
    err.retry = !call->head_sent || !sent ? ERR_RETRY_ALWAYS : call->got_bytes ? ERR_RETRY_NEVER : ERR_RETRY_IF_IDEMPOTENT;
    call_over(call, &err);
}

static void write_out(struct h1_call *call, struct buf *out)
{
    if (call->conn != NULL && call->conn->t != NULL && !call->over) {
        transport_write(call->conn->t, out);
    }
    buf_fini(out);
}

static void send_head(struct stream *s, const struct head *head, bool end)
{
    struct h1_call *call = of(s);
    struct buf out;
    buf_init(&out);
    bool is_connect = slice_eq(head->method, SLICE("CONNECT"));
    bool upgrade = !is_connect && head->protocol.n > 0;
    call->method = head->method;
    call->head_sent = true;
    call->out_framing = is_connect || upgrade ? H1_NO_BODY : h1_choose_framing(head, false, SLICE_NONE, false, !end);
    h1_write_request(&out, head, call->out_framing, upgrade ? H1_UPGRADE : H1_KEEP_ALIVE);
    if (end) {
        h1_write_end(&out, call->out_framing, NULL);
        s->out_end = true;
    }
    write_out(call, &out);
    check_over(call);
}

static void send_bytes(struct stream *s, struct buf *bytes, bool end)
{
    struct h1_call *call = of(s);
    struct buf out;
    buf_init(&out);
    s->bytes_out += buf_len(bytes);
    if (s->raw) {
        buf_move_all(&out, bytes);
    } else {
        h1_write_body(&out, call->out_framing, bytes);
        if (end) {
            h1_write_end(&out, call->out_framing, NULL);
        }
    }
    write_out(call, &out);
    if (end && !s->out_end) {
        s->out_end = true;
        if (s->raw && call->conn != NULL && call->conn->t != NULL) {
            transport_finish(call->conn->t);
        }
        check_over(call);
    }
}

static void send_trailers(struct stream *s, const struct head *trailers)
{
    struct h1_call *call = of(s);
    struct buf out;
    buf_init(&out);
    h1_write_end(&out, call->out_framing, trailers);
    write_out(call, &out);
    s->out_end = true;
    check_over(call);
}

static size_t room(const struct stream *s)
{
    const struct h1_call *call = container_of(s, struct h1_call, s);
    if (call->conn == NULL || call->conn->t == NULL) {
        return STREAM_IN_LIMIT;
    }
    size_t queued = transport_queued(call->conn->t);
    size_t limit = call->conn->t->out_high > STREAM_IN_LIMIT ? call->conn->t->out_high : STREAM_IN_LIMIT;
    return queued >= limit ? 0 : limit - queued;
}

static void taken(struct stream *s, size_t n)
{
    struct h1_call *call = of(s);
    (void)n;
    if (call->conn != NULL && call->conn->t != NULL && (!buf_is_empty(&call->conn->t->in) || call->conn->t->in_eof)) {
        loop_deliver(s->loop, &call->conn->read);
    }
}

static void abandon(struct h1_call *call)
{
    if (call->conn != NULL) {
        transport_close(&call->conn->t, TRANSPORT_ABORT);
    }
}

static void stop_reading(struct stream *s)
{
    struct h1_call *call = of(s);
    struct err err;
    if (!call->in_done && !call->over) {
        err_set(&err, ERR_RESET, "the rest of the response is not wanted");
        err.side = ERR_SIDE_LOCAL;
        call_over(call, &err);
        abandon(call);
    }
}

static void reset(struct stream *s, enum stream_reset kind)
{
    struct h1_call *call = of(s);
    struct err err;
    (void)kind;
    if (!call->over) {
        err_set(&err, ERR_RESET, "reset by us");
        err.side = ERR_SIDE_LOCAL;
        call_over(call, &err);
        abandon(call);
    }
}

static void release(struct stream *s)
{
    struct h1_call *call = of(s);
    struct h1_client *c = call->conn;
    bool clean = call->over && call->why.kind == ERR_NONE && !s->raw && call->message.keep_alive;
    bool flush = s->out_end && (s->raw || call->in_done);
    loop_task_cancel(&call->closed);
    buf_fini(&s->in);
    call->over = true;
    if (c == NULL) {
        return;
    }
    c->call = NULL;
    call->conn = NULL;
    if (!clean || c->draining || c->t == NULL) {
        c->spent = true;
        if (c->t != NULL) {
            transport_close(&c->t, flush ? TRANSPORT_FLUSH : TRANSPORT_ABORT);
        }
    }
    loop_deliver(c->loop, &c->read); /* says on_capacity or on_closed from the turn */
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

static void become_raw(struct h1_call *call, struct h1_client *c)
{
    call->s.raw = true;
    call->message.framing = H1_UNTIL_CLOSE;
    call->message.keep_alive = false;
    h1_body_init(&call->body, &call->message, &c->config->h1);
}

/* false: no further progress now. */
static bool read_head(struct h1_client *c, struct h1_call *call)
{
    struct head *head = arena_alloc(call->s.arena, sizeof *head);
    struct err err;
    head_init(head, call->s.arena);
    call->got_bytes = call->got_bytes || !buf_is_empty(&c->t->in);
    switch (h1_read_response(&call->parser, &c->t->in, &c->config->h1, call->method, head, &call->message, &err)) {
    case H1_MORE:
        return false;
    case H1_BAD:
        err.kind = ERR_PROTOCOL;
        call_failed(call, &err);
        abandon(call);
        return false;
    case H1_DONE:
        break;
    }
    h1_parser_init(&call->parser);
    bool tunnel = head->status == 101 || (slice_eq(call->method, SLICE("CONNECT")) && head->status >= 200 && head->status <= 299);
    if (head->status >= 200 || head->status == 101) {
        call->head_done = true;
        h1_body_init(&call->body, &call->message, &c->config->h1);
        if (tunnel) {
            become_raw(call, c);
        } else if (call->message.framing == H1_NO_BODY) {
            call->in_done = call->s.in_end = true;
        }
    }
    call->s.events->on_head(call->s.ctx, head);
    return c->call == call && !call->over;
}

static void end_of_input(struct h1_client *c, struct h1_call *call)
{
    struct err err;
    if (call->s.raw || (call->head_done && h1_body_eof(&call->body) && !c->t->in_truncated)) {
        call->in_done = call->s.in_end = true;
        call->message.keep_alive = false;
        return;
    }
    err_set(&err, ERR_RESET, call->head_done ? "the upstream closed within its response" : "the upstream closed the connection");
    call_failed(call, &err);
    abandon(call);
}

static void read_body(struct h1_client *c, struct h1_call *call)
{
    size_t had = buf_len(&call->s.in);
    if (!call->in_done && had < STREAM_IN_LIMIT && !buf_is_empty(&c->t->in)) {
        struct head *trailers = arena_alloc(call->s.arena, sizeof *trailers);
        struct err err;
        head_init(trailers, call->s.arena);
        switch (h1_body_read(&call->body, &c->t->in, &call->s.in, STREAM_IN_LIMIT - had, trailers, &err)) {
        case H1_MORE:
            break;
        case H1_DONE:
            call->in_done = call->s.in_end = true;
            call->s.trailers = trailers->n > 0 ? trailers : NULL;
            break;
        case H1_BAD:
            err.kind = ERR_PROTOCOL;
            call_failed(call, &err);
            abandon(call);
            return;
        }
    }
    if (!call->in_done && c->t->in_eof && buf_is_empty(&c->t->in)) {
        end_of_input(c, call);
    }
    if (c->t != NULL) {
        transport_taken(c->t);
    }
    call->s.bytes_in += buf_len(&call->s.in) - had;
    if (call->in_done) {
        check_over(call);
    }
    if (!(call->over && call->why.kind != ERR_NONE) && (buf_len(&call->s.in) > had || call->s.in_end)) {
        call->s.events->on_readable(call->s.ctx);
    }
}

/* No stream: nothing may come. What does makes the connection useless. */
static void read_idle(struct h1_client *c)
{
    struct err err;
    if (c->spent || c->t == NULL) {
        err_set(&err, ERR_RESET, "not kept");
        client_end(c, TRANSPORT_FLUSH, &err);
        return;
    }
    if (!buf_is_empty(&c->t->in) || c->t->in_eof) {
        err_set(&err, c->t->in_eof ? ERR_RESET : ERR_PROTOCOL, "the upstream %s", c->t->in_eof ? "closed the idle connection" : "sent bytes nobody asked for");
        client_end(c, TRANSPORT_ABORT, &err);
        return;
    }
    c->events->on_capacity(c->ctx);
}

static void client_read(struct h1_client *c)
{
    struct h1_call *call = c->call;
    if (c->ended) {
        return;
    }
    if (call == NULL) {
        read_idle(c);
        return;
    }
    if (c->t == NULL || call->over) {
        return;
    }
    if (!call->head_sent) { /* not begun: an end now means it was an idle close */
        if (c->t->in_eof || !buf_is_empty(&c->t->in)) {
            struct err err;
            err_set(&err, ERR_RESET, "the upstream closed the idle connection");
            call_failed(call, &err);
            abandon(call);
        }
        return;
    }
    while (!call->head_done && !buf_is_empty(&c->t->in)) {
        if (!read_head(c, call)) {
            break;
        }
    }
    if (c->call != call || call->over || c->t == NULL) {
        if (c->call == call && c->t != NULL) {
            transport_taken(c->t);
        }
        if (c->call == call && call->over && call->why.kind == ERR_NONE && !buf_is_empty(&call->s.in)) {
            call->s.events->on_readable(call->s.ctx);
        }
        return;
    }
    if (call->head_done) {
        read_body(c, call);
    } else if (c->t->in_eof) {
        end_of_input(c, call);
    } else {
        transport_taken(c->t);
    }
}

static void run_read(struct loop_task *task)
{
    client_read(container_of(task, struct h1_client, read));
}

static void on_open(void *ctx)
{
    (void)ctx;
}

static void on_readable(void *ctx)
{
    client_read(ctx);
}

static void on_writable(void *ctx)
{
    struct h1_client *c = ctx;
    if (c->call != NULL && !c->call->over) {
        c->call->s.events->on_writable(c->call->s.ctx);
    }
}

static void on_closed(void *ctx, const struct err *why)
{
    struct h1_client *c = ctx;
    struct h1_call *call = c->call;
    if (call == NULL) {
        c->t = NULL;
        client_end(c, TRANSPORT_ABORT, why);
        return;
    }
    call->s.sent = c->t->bytes_out > call->sent_mark;
    c->t = NULL;
    c->spent = true;
    if (why->kind == ERR_NONE && call->in_done && call->s.out_end) {
        check_over(call);
    } else if (!call->over) {
        call_failed(call, why);
    }
}

static const struct transport_events transport_events = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

/* ---- the connection's face ---- */

static struct h1_client *client_of(const struct client_side *s)
{
    return (struct h1_client *)(uintptr_t)s;
}

static struct stream *open_call(struct client_side *s, struct arena *arena, const struct stream_events *events, void *ctx)
{
    struct h1_client *c = client_of(s);
    struct h1_call *call = arena_zalloc(arena, sizeof *call);
    call->s = (struct stream){
        .ops = &stream_ops,
        .events = events,
        .ctx = ctx,
        .loop = c->loop,
        .arena = arena,
        .level = c->t->level,
        .version = HTTP_1_1,
        .info = &c->info,
    };
    buf_init(&call->s.in);
    h1_parser_init(&call->parser);
    loop_task_init(&call->closed, say_closed);
    call->conn = c;
    call->sent_mark = c->t->bytes_out;
    c->call = call;
    return &call->s;
}

static bool can_open(const struct client_side *s)
{
    const struct h1_client *c = client_of(s);
    return c->call == NULL && !c->spent && !c->draining && !c->ended && c->t != NULL && !c->t->in_eof && buf_is_empty(&c->t->in);
}

static unsigned streams(const struct client_side *s)
{
    return client_of(s)->call != NULL;
}

static bool extended_connect(const struct client_side *s)
{
    (void)s;
    return true; /* an Upgrade serves the same end */
}

static const struct transport_info *info(const struct client_side *s)
{
    return &client_of(s)->info;
}

static void close_client(struct client_side *s)
{
    struct h1_client *c = client_of(s);
    struct h1_call *call = c->call;
    c->call = NULL;
    if (call != NULL) {
        struct err err;
        err_set(&err, ERR_RESET, "the connection was closed by us");
        call_failed(call, &err);
        call->conn = NULL;
    }
    client_end(c, TRANSPORT_FLUSH, NULL);
}

static void drain(struct client_side *s)
{
    struct h1_client *c = client_of(s);
    c->draining = true;
    if (c->call == NULL) {
        c->spent = true;
        loop_deliver(c->loop, &c->read);
    }
}

static const struct client_side_ops client_ops = {
    .open = open_call,
    .can_open = can_open,
    .streams = streams,
    .extended_connect = extended_connect,
    .info = info,
    .close = close_client,
    .drain = drain,
};

struct client_side *h1_client_create(struct transport *t, const struct http_client_config *config,
                                     const struct http_client_events *events, void *ctx)
{
    struct h1_client *c = mem_alloc(sizeof *c);
    c->side.ops = &client_ops;
    c->t = t;
    c->loop = t->loop;
    c->config = config;
    c->events = events;
    c->ctx = ctx;
    c->info_text = transport_info_copy(&c->info, &t->info);
    loop_task_init(&c->read, run_read);
    transport_own(t, &transport_events, c);
    return &c->side;
}
