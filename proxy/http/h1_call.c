/* HTTP/1 upstream, the stream: one request we send and its answer, or the tunnel it became. */
#include <string.h>

#include "base/mem.h"
#include "proxy/http/h1_client.h"
#include "proxy/http/ws.h"

enum { INTERIM_MAX = 64 };

static struct h1_call *of(struct stream *s)
{
    return container_of(s, struct h1_call, s);
}

static void say_closed(struct loop_task *task)
{
    struct h1_call *call = container_of(task, struct h1_call, closed);
    call->s.events->on_closed(call->s.ctx, err_kept(call->why));
}

static void call_over(struct h1_call *call, const struct err *why)
{
    if (!call->over && !call->released) {
        call->over = true;
        call->why = err_keep(why);
        loop_deliver(call->s.loop, &call->closed);
    }
}

/* A call is over when its answer has been taken, whatever became of the request; a tunnel when both directions ended.
 */
static void check_over(struct h1_call *call)
{
    static const struct err none = {.kind = ERR_NONE};
    const struct stream *s = &call->s;
    if (s->in_end && s->in.len == 0 && call->got_head && (!s->raw || s->out_end)) {
        call_over(call, &none);
    }
}

/* Not a byte left us: safe to repeat. All of it left a kept connection and not a byte came back: its end may have
 * crossed the request (RFC 9112 9.3.1). */
static void fail(struct h1_call *call, const struct err *why, uint64_t bytes_out)
{
    struct err err = *why;
    bool kept = call->c != NULL && call->c->answered > 0;
    call->s.sent = call->s.sent || (call->head_sent && bytes_out > call->mark);
    err.side = ERR_SIDE_UPSTREAM;
    err.retry = !call->s.sent ? ERR_RETRY_ALWAYS : kept && !call->got_bytes ? ERR_RETRY_IF_IDEMPOTENT : ERR_RETRY_NEVER;
    call_over(call, &err);
}

static void fail_here(struct h1_call *call, enum err_kind kind, const char *text)
{
    struct err why = {0};
    struct h1_client *c = call->c;
    err_set(&why, kind, "%s", text);
    fail(call, &why, c->t->bytes_out);
    h1_client_end(c, &why, TRANSPORT_ABORT);
}

void h1_call_gone(struct h1_call *call, const struct err *why, uint64_t bytes_out)
{
    struct stream *s = &call->s;
    struct err err = *why;
    bool in_order = err.kind == ERR_NONE && s->raw && s->out_end;
    if (in_order) {
        s->in_end = true;
        if (!call->told_end && !call->over && !call->released) {
            call->told_end = true;
            s->events->on_readable(s->ctx);
        }
        check_over(call);
    } else if (!(s->in_end && call->got_head && !s->raw)) { /* else the answer is complete and waits to be taken */
        if (err.kind == ERR_NONE) {
            err_set(&err, ERR_RESET, "the upstream closed the connection");
        }
        fail(call, &err, bytes_out);
    }
    call->c = NULL;
}

/* ---- the request ---- */

static bool may_write(const struct h1_call *call)
{
    return call->c != NULL && call->c->t != NULL && !call->over && !call->s.out_end;
}

/* A WebSocket that came over HTTP/2 has no key: HTTP/1 needs one, and its answer is ours to check. */
static void add_key(struct h1_call *call, struct head *h)
{
    char key[WS_KEY_LEN];
    bool websocket = call->upgrade && slice_eq_nocase(h->protocol, SLICE("websocket"));
    if (!websocket || head_find_id(h, FIELD_SEC_WEBSOCKET_KEY) != NULL) {
        return;
    }
    ws_key_random(key);
    ws_accept(slice_make(key, sizeof key), call->accept);
    call->own_key = true;
    h->arena = call->s.arena;
    h->cap = h->n;
    head_add_id(h, FIELD_SEC_WEBSOCKET_KEY, arena_slice(h->arena, slice_make(key, sizeof key)));
}

static void send_head(struct stream *s, const struct head *head, bool end)
{
    struct h1_call *call = of(s);
    struct head h = *head;
    struct buf out;
    if (!may_write(call) || call->head_sent) {
        return;
    }
    call->head_sent = true;
    call->connect = slice_eq(h.method, SLICE("CONNECT"));
    call->upgrade = !call->connect && h.protocol.n > 0;
    call->method = arena_slice(s->arena, h.method);
    bool tunnel = call->connect || call->upgrade;
    enum h1_framing framing = tunnel ? H1_NO_BODY : h1_choose_framing(&h, false, SLICE_NONE, false, !end);
    if (end && framing == H1_LENGTH) {
        h.content_length = 0;
    }
    add_key(call, &h);
    h1_out_start(&call->out, framing, &h);
    buf_init(&out);
    h1_write_request(&out, &h, framing, call->upgrade ? H1_UPGRADE : H1_KEEP_ALIVE);
    if (end && !tunnel) {
        h1_out_end(&call->out, &out, NULL);
        s->out_end = true;
    }
    call->mark = call->c->t->bytes_out + transport_queued(call->c->t);
    transport_write(call->c->t, &out);
}

static void send_some(struct h1_call *call, struct buf *bytes, bool end, const struct head *trailers)
{
    struct stream *s = &call->s;
    struct buf out;
    buf_init(&out);
    s->bytes_out += bytes->len;
    if (bytes->len > 0) {
        h1_out_body(&call->out, &out, bytes);
    }
    if (end) {
        s->out_end = true;
        h1_out_end(&call->out, &out, s->raw ? NULL : trailers);
    }
    transport_write(call->c->t, &out);
    if (end && s->raw) {
        transport_finish(call->c->t);
    }
    if (call->out.broken) {
        fail_here(call, ERR_PROTOCOL, "the request's body differs from its declared length");
    }
    check_over(call);
}

static void send_bytes(struct stream *s, struct buf *bytes, bool end)
{
    struct h1_call *call = of(s);
    if (!may_write(call) || !call->head_sent) {
        buf_fini(bytes);
        s->out_end = s->out_end || end;
        return;
    }
    send_some(call, bytes, end, NULL);
}

static void send_trailers(struct stream *s, const struct head *trailers)
{
    struct buf none;
    buf_init(&none);
    if (may_write(of(s)) && of(s)->head_sent) {
        send_some(of(s), &none, true, trailers);
    }
    s->out_end = true;
}

/* Before the far end has agreed to a tunnel, nothing belongs to it. */
static bool is_pending_tunnel(const struct h1_call *call)
{
    return (call->connect || call->upgrade) && !call->got_head;
}

static size_t room(const struct stream *s)
{
    const struct h1_call *call = container_of(s, struct h1_call, s);
    if (call->c == NULL || call->c->t == NULL || call->over) {
        return STREAM_IN_LIMIT; /* swallowed: on_closed is on its way */
    }
    if (!call->head_sent || is_pending_tunnel(call)) {
        return 0;
    }
    size_t queued = transport_queued(call->c->t), high = call->c->t->out_high;
    return queued < high ? high - queued : 0;
}

/* ---- the answer, as the owner takes it ---- */

static void taken(struct stream *s, size_t n)
{
    struct h1_call *call = of(s);
    (void)n;
    budget_set(loop_inbox(s->loop), &call->held, s->in.len);
    if (call->c != NULL && call->c->t != NULL && !call->over &&
        (call->c->t->in.len > 0 || (call->c->t->in_eof && !s->in_end))) {
        loop_deliver(s->loop, &call->c->turn);
    }
    check_over(call);
}

static void cut(struct h1_call *call, const char *text)
{
    struct err why = {0};
    struct h1_client *c = call->c;
    err_set(&why, ERR_RESET, "%s", text);
    why.side = ERR_SIDE_LOCAL;
    call_over(call, &why);
    if (c != NULL) {
        h1_client_end(c, &why, TRANSPORT_ABORT);
    }
}

static void stop_reading(struct stream *s)
{
    if (!of(s)->over && !s->in_end) {
        cut(of(s), "the rest of the answer is not wanted");
    }
}

static void reset(struct stream *s, enum stream_reset kind)
{
    (void)kind; /* HTTP/1 can only cut */
    if (!of(s)->over) {
        cut(of(s), "reset by us");
    }
}

static void call_free(void *obj)
{
    struct h1_call *call = obj;
    mem_free(call->why);
    pool_free(call, call->cap);
}

static void release(struct stream *s)
{
    struct h1_call *call = of(s);
    call->released = true;
    loop_task_cancel(&call->closed);
    buf_fini(&s->in);
    budget_set(loop_inbox(s->loop), &call->held, 0);
    if (call->c != NULL) {
        h1_client_released(call->c, call);
        call->c = NULL;
    }
    h1_client_unref(call->home);
    loop_free_later(s->loop, call_free, call);
}

static const struct stream_ops call_ops = {
    .send_head = send_head,
    .send = send_bytes,
    .send_trailers = send_trailers,
    .room = room,
    .taken = taken,
    .stop_reading = stop_reading,
    .reset = reset,
    .release = release,
};

struct h1_call *h1_call_create(struct h1_client *c, struct arena *arena)
{
    size_t cap = 0;
    struct h1_call *call = pool_alloc(sizeof *call, &cap);
    *call = (struct h1_call){.cap = cap, .c = c, .home = c};
    c->refs++;
    call->s = (struct stream){
        .ops = &call_ops,
        .loop = c->loop,
        .arena = arena,
        .level = c->t->level,
        .version = HTTP_1_1,
        .info = c->info,
    };
    buf_init(&call->s.in);
    head_init(&call->trailers, arena);
    h1_parser_init(&call->parser);
    loop_task_init(&call->closed, say_closed);
    return call;
}

/* ---- reading, from the connection's turn ---- */

static bool accept_is_sound(const struct h1_call *call, struct head *head)
{
    if (!call->own_key) {
        return true;
    }
    struct slice accept = head_value_id(head, FIELD_SEC_WEBSOCKET_ACCEPT);
    bool sound = slice_eq(accept, slice_make(call->accept, sizeof call->accept));
    head_remove_id(head, FIELD_SEC_WEBSOCKET_ACCEPT);
    return sound;
}

/* NULL: it may follow this request. */
static const char *objection(struct h1_call *call, struct head *head)
{
    if (head->status == 101 && !call->upgrade) {
        return "the upstream switched protocols unasked";
    }
    if (head->status == 101 && !accept_is_sound(call, head)) {
        return "the upstream's WebSocket answer is wrong";
    }
    if (head->status < 200 && ++call->interim > INTERIM_MAX) {
        return "too many interim answers";
    }
    return NULL;
}

static void settle_final(struct h1_call *call, const struct head *head)
{
    struct stream *s = &call->s;
    call->got_head = true;
    s->raw = head->status == 101 || (call->connect && head->status < 300);
    h1_body_init(&call->body, &call->message, &call->c->config->h1);
    if (s->raw) {
        call->out = (struct h1_out){.framing = H1_UNTIL_CLOSE};
    } else {
        bool empty =
            call->message.framing == H1_NO_BODY || (call->message.framing == H1_LENGTH && call->message.length == 0);
        s->in_end = call->told_end = empty;
    }
}

/* true: a head was delivered and the call lives. */
static bool read_head(struct h1_call *call)
{
    struct stream *s = &call->s;
    struct h1_client *c = call->c;
    struct err err = {0};
    if (c->t->in.len == 0) {
        return false;
    }
    call->got_bytes = s->sent = true;
    if (call->head == NULL) {
        call->head = arena_alloc(s->arena, sizeof *call->head);
        head_init(call->head, s->arena);
    }
    enum h1_result r =
        h1_read_response(&call->parser, &c->t->in, &c->config->h1, call->method, call->head, &call->message, &err);
    if (r == H1_MORE) {
        return false;
    }
    struct head *head = call->head;
    const char *why = r == H1_BAD ? err.text : objection(call, head);
    if (why != NULL) {
        fail_here(call, ERR_PROTOCOL, why);
        return false;
    }
    call->head = NULL;
    s->head_bytes_in += call->message.head_bytes;
    if (head->status >= 200 || head->status == 101) {
        settle_final(call, head);
    }
    s->events->on_head(s->ctx, head);
    if (s->raw && !call->released && !call->over) {
        s->events->on_writable(s->ctx); /* there was no room until now */
    }
    return !call->released && !call->over && call->c != NULL;
}

/* false: the call has failed. */
static bool read_body(struct h1_call *call, size_t max)
{
    struct stream *s = &call->s;
    struct transport *t = call->c->t;
    struct err err = {0};
    if (s->raw) {
        buf_move(&s->in, &t->in, max);
        return true;
    }
    switch (h1_body_read(&call->body, &t->in, &s->in, max, &call->trailers, &err)) {
    case H1_DONE:
        s->in_end = true;
        s->trailers = call->trailers.n > 0 ? &call->trailers : NULL;
        return true;
    case H1_BAD:
        fail_here(call, ERR_PROTOCOL, err.text);
        return false;
    case H1_MORE:
    default:
        return true;
    }
}

/* FIN: the end of a tunnel's direction or of a body that lasts until then; anything else is cut short (RFC 9112 8). */
static bool read_end(struct h1_call *call)
{
    struct stream *s = &call->s;
    struct transport *t = call->c->t;
    bool stuck = !call->got_head || (!s->raw && h1_body_in_trailers(&call->body));
    if (!t->in_eof || (t->in.len > 0 && !stuck) || s->in_end) {
        return true;
    }
    if (s->raw || (call->got_head && h1_body_eof(&call->body) && !t->in_truncated)) {
        s->in_end = true;
        return true;
    }
    fail_here(call, ERR_RESET,
              call->got_head ? "the upstream closed within its answer" : "the upstream closed the connection");
    return false;
}

static void read_answer(struct h1_call *call)
{
    struct stream *s = &call->s;
    size_t had = s->in.len, limit = inbox_limit(s->loop, call->c->in_limit);
    if (!s->in_end && had < limit && !read_body(call, limit - had)) {
        return;
    }
    if (!read_end(call)) {
        return;
    }
    transport_taken(call->c->t);
    s->bytes_in += s->in.len - had;
    bool end_is_news = s->in_end && !call->told_end;
    call->told_end = s->in_end;
    if (s->in.len > had || end_is_news) {
        s->events->on_readable(s->ctx);
        budget_set(loop_inbox(s->loop), &call->held, s->in.len);
    }
    check_over(call);
}

void h1_call_read(struct h1_call *call)
{
    struct transport *t = call->c->t;
    if (call->over) {
        return;
    }
    if (!call->head_sent) { /* not begun: whatever comes, the connection is of no use */
        if (t->in.len > 0 || t->in_eof) {
            fail_here(call, ERR_RESET, "the upstream closed the idle connection");
        }
        return;
    }
    while (!call->got_head) {
        if (!read_head(call)) {
            break;
        }
    }
    if (call->released || call->over || call->c == NULL) {
        return;
    }
    if (call->got_head) {
        read_answer(call);
    } else if (read_end(call)) {
        transport_taken(t);
    }
}
