/* HTTP/1 downstream, the stream: one request and its answer, or the tunnel it became. */
#include "proxy/http/h1_server.h"
#include "proxy/http/ws.h"

static struct h1_request *of(struct stream *s)
{
    return container_of(s, struct h1_request, s);
}

static void say_closed(struct loop_task *task)
{
    struct h1_request *q = container_of(task, struct h1_request, closed);
    q->s.events->on_closed(q->s.ctx, err_kept(q->why));
}

void h1_request_over(struct h1_request *q, const struct err *why)
{
    if (!q->over && !q->released) {
        q->over = true;
        q->why = why->kind == ERR_NONE ? NULL : arena_alloc(q->s.arena, sizeof *why);
        if (q->why != NULL) {
            *q->why = *why;
        }
        loop_deliver(q->s.loop, &q->closed);
    }
}

static void over_because(struct h1_request *q, enum err_kind kind, enum err_side side, const char *text)
{
    struct err why = {0};
    err_set(&why, kind, "%s", text);
    why.side = side;
    h1_request_over(q, &why);
}

/* A request is over with its answer, a tunnel when both directions have ended. */
static void check_over(struct h1_request *q)
{
    static const struct err none = {.kind = ERR_NONE};
    const struct stream *s = &q->s;
    if (q->out.broken) {
        over_because(q, ERR_PROTOCOL, ERR_SIDE_LOCAL, "the answer's body differs from its declared length");
    } else if (s->out_end && (!s->raw || (s->in_end && s->in.len == 0))) {
        h1_request_over(q, &none);
    }
}

static bool may_write(const struct h1_request *q)
{
    return q->c != NULL && q->c->t != NULL && !q->over && !q->s.out_end;
}

/* ---- the answer ---- */

/* Early bytes behind a CONNECT or upgrade head are the tunnel's: it exists from now on (RFC 9110 7.8, 9.3.6). */
static void become_raw(struct h1_request *q, const struct head *head, struct buf *out)
{
    struct head h = *head;
    h.content_length = -1;
    if (h.status == 101) {
        char accept[WS_ACCEPT_LEN];
        if (h.protocol.n == 0) {
            h.protocol = q->protocol;
        }
        if (q->key.n > 0 && head_find_id(&h, FIELD_SEC_WEBSOCKET_ACCEPT) == NULL) {
            ws_accept(q->key, accept); /* the upstream spoke HTTP/2, which has none */
            h.arena = q->s.arena;
            h.cap = h.n;
            head_add_id(&h, FIELD_SEC_WEBSOCKET_ACCEPT, arena_slice(q->s.arena, slice_make(accept, sizeof accept)));
        }
    }
    h1_write_response(out, &h, H1_NO_BODY, h.status == 101 ? H1_UPGRADE : H1_KEEP_ALIVE);
    q->s.raw = true;
    q->in_done = false;
    q->out = (struct h1_out){.framing = H1_UNTIL_CLOSE};
    loop_deliver(q->s.loop, &q->c->turn);
}

/* A refused CONNECT or upgrade: what came behind it may have been meant for the tunnel. */
static void refuse_tunnel(struct h1_request *q)
{
    q->keep_alive = q->keep_alive && !q->connect && q->c->t->in.len == 0;
    q->in_done = true;
    q->s.in_end = true;
    loop_deliver(q->s.loop, &q->c->turn);
}

static bool connection_lives_on(const struct h1_request *q)
{
    const struct h1_server *c = q->c;
    bool full = c->config->max_requests != 0 && c->requests >= c->config->max_requests;
    /* whether a client that was waiting for 100 Continue still sends its body cannot be known */
    return q->keep_alive && !c->draining && !full && !q->continue_due && q->out.framing != H1_UNTIL_CLOSE;
}

static void send_final(struct h1_request *q, const struct head *head, bool end, struct buf *out)
{
    struct head h = *head;
    if (q->connect || q->upgrade) {
        refuse_tunnel(q);
    }
    enum h1_framing framing = h1_choose_framing(&h, true, q->method, q->http_10, !end);
    if (end && framing == H1_LENGTH) {
        h.content_length = 0;
    }
    h1_out_start(&q->out, framing, &h);
    q->keep_alive = connection_lives_on(q);
    q->continue_due = false;
    h1_write_response(out, &h, framing, !q->keep_alive ? H1_CLOSE : q->http_10 ? H1_KEEP_ALIVE_10 : H1_KEEP_ALIVE);
    if (end) {
        h1_out_end(&q->out, out, NULL);
    }
    q->s.out_end = end;
}

static void send_head(struct stream *s, const struct head *head, bool end)
{
    struct h1_request *q = of(s);
    struct buf out;
    bool tunnel = (q->upgrade && head->status == 101) || (q->connect && head->status >= 200 && head->status < 300);
    if (!may_write(q) || q->head_sent) {
        return;
    }
    buf_init(&out);
    if (tunnel) {
        q->head_sent = true;
        become_raw(q, head, &out);
    } else if (head->status >= 200) {
        q->head_sent = true;
        send_final(q, head, end, &out);
    } else if (head->status != 101 && !q->http_10) {
        q->continue_due = q->continue_due && head->status != 100;
        h1_write_response(&out, head, H1_NO_BODY, H1_KEEP_ALIVE);
    }
    transport_write(q->c->t, &out);
    check_over(q);
    if (tunnel && end) {
        stream_send(s, &out, true);
    }
}

static void send_end(struct h1_request *q, struct buf *out, const struct head *trailers)
{
    q->s.out_end = true;
    if (!q->s.raw) {
        h1_out_end(&q->out, out, trailers);
    }
}

static void send_bytes(struct stream *s, struct buf *bytes, bool end)
{
    struct h1_request *q = of(s);
    struct buf out;
    if (!may_write(q) || !q->head_sent) {
        buf_fini(bytes);
        s->out_end = s->out_end || end;
        return;
    }
    buf_init(&out);
    s->bytes_out += bytes->len;
    h1_out_body(&q->out, &out, bytes);
    if (end) {
        send_end(q, &out, NULL);
    }
    transport_write(q->c->t, &out);
    if (end && s->raw) {
        transport_finish(q->c->t);
    }
    check_over(q);
}

static void send_trailers(struct stream *s, const struct head *trailers)
{
    struct h1_request *q = of(s);
    struct buf out;
    buf_init(&out);
    if (may_write(q) && q->head_sent) {
        send_end(q, &out, trailers);
        transport_write(q->c->t, &out);
        if (s->raw) {
            transport_finish(q->c->t);
        }
    }
    s->out_end = true;
    check_over(q);
}

static size_t room(const struct stream *s)
{
    const struct h1_request *q = container_of(s, struct h1_request, s);
    if (q->c == NULL || q->c->t == NULL || q->over) {
        return STREAM_IN_LIMIT; /* swallowed: on_closed is on its way */
    }
    size_t queued = transport_queued(q->c->t), high = q->c->t->out_high;
    return queued < high ? high - queued : 0;
}

/* ---- the request ---- */

static void taken(struct stream *s, size_t n)
{
    struct h1_request *q = of(s);
    (void)n;
    budget_set(loop_inbox(s->loop), &q->held, s->in.len);
    if (q->c != NULL && q->c->t != NULL && !q->over) {
        if (q->continue_due) {
            struct buf out;
            q->continue_due = false;
            buf_init(&out);
            buf_append_str(&out, "HTTP/1.1 100 Continue\r\n\r\n");
            transport_write(q->c->t, &out);
        }
        if (q->c->t->in.len > 0 || (q->c->t->in_eof && !s->in_end)) {
            loop_deliver(s->loop, &q->c->turn);
        }
    }
    check_over(q);
}

static void stop_reading(struct stream *s)
{
    struct h1_request *q = of(s);
    q->discarding = true;
    q->discarded += s->in.len;
    buf_fini(&s->in);
    budget_set(loop_inbox(s->loop), &q->held, 0);
    if (q->c != NULL) {
        loop_deliver(s->loop, &q->c->turn);
    }
    check_over(q);
}

static void reset(struct stream *s, enum stream_reset kind)
{
    struct h1_request *q = of(s);
    (void)kind; /* HTTP/1 can only cut */
    if (!q->over) {
        over_because(q, ERR_RESET, ERR_SIDE_LOCAL, "reset by us");
        if (q->c != NULL) {
            h1_server_end(q->c, TRANSPORT_ABORT);
        }
    }
}

static void release(struct stream *s)
{
    struct h1_request *q = of(s);
    q->released = true;
    loop_task_cancel(&q->closed);
    buf_fini(&s->in);
    budget_set(loop_inbox(s->loop), &q->held, 0);
    if (q->c != NULL) {
        h1_server_released(q->c, q);
    }
    h1_server_unref(q->home);
    arena_free_later(s->loop, s->arena);
}

static const struct stream_ops request_ops = {
    .send_head = send_head,
    .send = send_bytes,
    .send_trailers = send_trailers,
    .room = room,
    .taken = taken,
    .stop_reading = stop_reading,
    .reset = reset,
    .release = release,
};

struct h1_request *h1_request_create(struct h1_server *c, const struct h1_message *message)
{
    const struct head *head = c->head;
    struct h1_request *q = arena_zalloc(c->arena, sizeof *q);
    q->c = q->home = c;
    c->refs++;
    q->method = head->method;
    q->protocol = head->protocol;
    q->http_10 = head->version == HTTP_1_0;
    q->keep_alive = message->keep_alive;
    q->continue_due = message->expect_continue;
    q->connect = slice_eq(head->method, SLICE("CONNECT"));
    q->upgrade = message->upgrade;
    q->key = q->upgrade ? head_value_id(head, FIELD_SEC_WEBSOCKET_KEY) : SLICE_NONE;
    bool has_body = message->framing == H1_CHUNKED || (message->framing == H1_LENGTH && message->length > 0);
    q->in_done = !has_body && !q->connect && !q->upgrade;
    q->s = (struct stream){
        .ops = &request_ops,
        .loop = c->loop,
        .arena = c->arena,
        .in_end = q->in_done,
        .level = c->t->level,
        .sent = true,
        .version = head->version,
        .info = c->info,
        .head_bytes_in = message->head_bytes,
    };
    q->told_end = q->in_done;
    buf_init(&q->s.in);
    head_init(&q->trailers, c->arena);
    loop_task_init(&q->closed, say_closed);
    h1_body_init(&q->body, message, &c->config->h1);
    return q;
}

/* ---- reading, from the connection's turn ---- */

void h1_request_gone(struct h1_request *q, const struct err *why)
{
    struct stream *s = &q->s;
    q->c = NULL;
    if (why->kind != ERR_NONE) {
        struct err err = *why;
        err.side = ERR_SIDE_DOWNSTREAM;
        h1_request_over(q, &err);
    } else if (s->raw && s->out_end) {
        s->in_end = true;
        if (!q->told_end && !q->over) {
            q->told_end = true;
            s->events->on_readable(s->ctx);
        }
        check_over(q);
    } else {
        over_because(q, ERR_RESET, ERR_SIDE_DOWNSTREAM, "the client closed the connection");
    }
}

/* The message is broken within its body: answered with 400 when nothing has been said yet, else cut. */
static void body_is_bad(struct h1_request *q, struct err *err)
{
    struct h1_server *c = q->c;
    err->side = ERR_SIDE_DOWNSTREAM;
    h1_request_over(q, err);
    if (q->head_sent) {
        h1_server_end(c, TRANSPORT_ABORT);
    } else {
        q->s.refused = 400;
        h1_server_refuse(c, 400, NULL);
    }
}

/* false: the stream has ended. */
static bool read_message(struct h1_request *q, size_t max)
{
    struct stream *s = &q->s;
    struct err err = {0};
    switch (h1_body_read(&q->body, &q->c->t->in, &s->in, max, &q->trailers, &err)) {
    case H1_DONE:
        q->in_done = s->in_end = true;
        s->trailers = q->trailers.n > 0 ? &q->trailers : NULL;
        return true;
    case H1_BAD:
        body_is_bad(q, &err);
        return false;
    case H1_MORE:
    default:
        return true;
    }
}

static bool read_end(struct h1_request *q)
{
    struct stream *s = &q->s;
    bool stuck = !s->raw && h1_body_in_trailers(&q->body);
    if (s->in_end || !q->c->t->in_eof || (q->c->t->in.len > 0 && !stuck)) {
        return true;
    }
    if (s->raw) {
        s->in_end = true;
        return true;
    }
    over_because(q, ERR_RESET, ERR_SIDE_DOWNSTREAM, "the client ended the connection within its request");
    /* answers to the requests before it may still be on their way; one that has begun must be seen to break */
    h1_server_end(q->c, q->head_sent ? TRANSPORT_ABORT : TRANSPORT_FLUSH);
    return false;
}

static bool drop_message(struct h1_request *q)
{
    size_t limit = h1_server_discard_limit(q->c);
    size_t max = q->discarded < limit ? limit - q->discarded : 0;
    bool alive = max == 0 || read_message(q, max);
    q->discarded += q->s.in.len;
    buf_fini(&q->s.in);
    return alive;
}

void h1_request_read(struct h1_request *q)
{
    struct stream *s = &q->s;
    struct transport *t = q->c->t;
    bool waits = (q->connect || q->upgrade) && !s->raw && !q->head_sent;
    if (q->over || waits) {
        return;
    }
    size_t had = s->in.len;
    bool ended_before = q->told_end;
    size_t limit = inbox_limit(s->loop, q->c->in_limit);
    if (!s->in_end && had < limit) {
        bool alive = true;
        if (s->raw) {
            buf_move(&s->in, &t->in, limit - had);
        } else if (q->discarding) {
            alive = drop_message(q);
        } else {
            alive = read_message(q, limit - had);
        }
        if (!alive || !read_end(q)) {
            return;
        }
        transport_taken(t);
        s->bytes_in += s->in.len > had ? s->in.len - had : 0;
        q->continue_due = q->continue_due && s->in.len == 0 && !s->in_end;
    }
    q->told_end = s->in_end;
    if (!q->discarding && (s->in.len > had || s->in_end != ended_before)) {
        s->events->on_readable(s->ctx);
        budget_set(loop_inbox(s->loop), &q->held, s->in.len);
        check_over(q);
    }
}
