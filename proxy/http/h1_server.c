/*
 * HTTP/1 downstream, the connection: heads in, refusals out, one stream at a time, keep-alive. The next request of a
 * pipeline is read only after the stream before it was released.
 */
#include "proxy/http/h1_server.h"

#include "base/mem.h"

enum { ARENA_FIRST = 8 << 10, DISCARD_BYTES = 64 << 10, DISCARD_MS = 1000 };

static void enter(struct h1_server *c, enum h1_server_state next)
{
    uint32_t wait_ms = 0;
    assert(c->state != H1S_ENDED);
    if (c->state == H1S_DISCARD) {
        mem_free(c->discard);
    }
    c->state = next;
    switch (next) {
    case H1S_IDLE:
        wait_ms = c->config->idle_timeout_ms;
        break;
    case H1S_HEAD:
        wait_ms = c->config->request_headers_timeout_ms;
        break;
    case H1S_DISCARD:
        wait_ms = c->config->lingering_ms == 0 ? DISCARD_MS : c->config->lingering_ms;
        break;
    case H1S_STREAM:
        return; /* the idle timer may fire meanwhile, to no effect: cheaper than taking it off for every request */
    case H1S_ENDED:
    default:
        break;
    }
    if (wait_ms == 0) {
        timer_cancel(&c->timer);
    } else {
        timer_set_in(&c->timer, wait_ms);
    }
}

/* ---- the end ---- */

static void server_free(void *obj)
{
    struct h1_server *c = obj;
    arena_destroy(&c->arena);
    transport_info_unref(&c->info);
    mem_free(c);
}

void h1_server_unref(struct h1_server *c)
{
    if (--c->refs == 0) {
        loop_free_later(c->loop, server_free, c);
    }
}

static void run_ended(struct loop_task *task)
{
    struct h1_server *c = container_of(task, struct h1_server, turn);
    if (!c->silent) {
        c->events->on_closed(c->ctx);
    }
    h1_server_unref(c);
}

void h1_server_end(struct h1_server *c, enum transport_close_mode mode)
{
    if (c->state == H1S_ENDED) {
        return;
    }
    if (c->request != NULL) {
        struct err why = {0};
        err_set(&why, ERR_RESET, "the client's connection was closed");
        why.side = ERR_SIDE_DOWNSTREAM;
        h1_request_over(c->request, &why);
        c->request->c = NULL;
        c->request = NULL;
    }
    enter(c, H1S_ENDED);
    loop_task_cancel(&c->turn);
    transport_close(&c->t, mode);
    c->turn.run = run_ended;
    loop_deliver(c->loop, &c->turn);
}

/* ---- heads ---- */

void h1_server_refuse(struct h1_server *c, unsigned status, const struct err *why)
{
    struct head head;
    struct buf out;
    struct slice text = head_reason(status);
    struct arena *arena = arena_create(0);
    head_init(&head, arena);
    buf_init(&out);
    head.status = status;
    head.content_length = (int64_t)text.n;
    head_add_id(&head, FIELD_CONTENT_TYPE, SLICE("text/plain"));
    h1_write_response(&out, &head, H1_LENGTH, H1_CLOSE);
    buf_append_slice(&out, text);
    transport_write(c->t, &out);
    arena_destroy(&arena);
    c->events->on_refused(c->ctx, status, why);
    h1_server_end(c, TRANSPORT_FLUSH);
}

static void open_stream(struct h1_server *c, const struct h1_message *message)
{
    struct head *head = c->head;
    struct h1_request *q = h1_request_create(c, message);
    head->scheme = c->info->tls != NULL ? SLICE("https") : SLICE("http");
    if (message->expect_continue) {
        head_remove_id(head, FIELD_EXPECT);
    }
    c->requests++;
    c->request = q;
    c->arena = NULL;
    c->head = NULL;
    enter(c, H1S_STREAM);
    if (c->t->in.len > 0 || c->t->in_eof) {
        loop_deliver(c->loop, &c->turn);
    }
    c->events->on_stream(c->ctx, &q->s);
    q->s.events->on_head(q->s.ctx, head);
}

static void read_head(struct h1_server *c)
{
    struct h1_message message;
    struct err err;
    if (c->t->in.len == 0) {
        if (c->t->in_eof) {
            h1_server_end(c, TRANSPORT_FLUSH);
        }
        return;
    }
    if (c->arena == NULL) {
        c->arena = arena_create(ARENA_FIRST);
        c->head = arena_alloc(c->arena, sizeof *c->head);
        head_init(c->head, c->arena);
        h1_parser_init(&c->parser);
    }
    enum h1_result r = h1_read_request(&c->parser, &c->t->in, &c->config->h1, c->head, &message, &err);
    if (r != H1_BAD) {
        transport_taken(c->t);
    }
    if (r == H1_DONE) {
        open_stream(c, &message);
    } else if (r == H1_BAD) {
        err.side = ERR_SIDE_DOWNSTREAM;
        h1_server_refuse(c, message.refuse_status, &err);
    } else if (c->t->in_eof) {
        h1_server_end(c, TRANSPORT_FLUSH);
    } else if (c->state == H1S_IDLE) {
        enter(c, H1S_HEAD);
    }
}

/* ---- between two streams ---- */

static void next_request(struct h1_server *c)
{
    enter(c, H1S_IDLE);
    if (c->t->in.len > 0 || c->t->in_eof) {
        loop_deliver(c->loop, &c->turn);
    }
}

/* An early answer: what is left of the request is dropped. Within the limits the connection lives on. */
static void discard(struct h1_server *c)
{
    struct buf junk;
    struct head trailers;
    struct err err;
    struct arena *arena = arena_create(0);
    buf_init(&junk);
    head_init(&trailers, arena);
    enum h1_result r = h1_body_read(c->discard, &c->t->in, &junk, c->discard_left, &trailers, &err);
    c->discard_left -= junk.len;
    buf_fini(&junk);
    arena_destroy(&arena);
    transport_taken(c->t);
    if (r == H1_DONE) {
        next_request(c);
    } else if (r == H1_BAD || c->discard_left == 0 || c->t->in_eof) {
        h1_server_end(c, TRANSPORT_FLUSH);
    }
}

size_t h1_server_discard_limit(const struct h1_server *c)
{
    return c->config->discard_bytes == 0 ? DISCARD_BYTES : c->config->discard_bytes;
}

void h1_server_released(struct h1_server *c, struct h1_request *q)
{
    bool in_order = q->over && q->why == NULL;
    c->request = NULL;
    if (!in_order) {
        h1_server_end(c, TRANSPORT_ABORT);
    } else if (q->s.raw || !q->keep_alive || c->t == NULL) {
        h1_server_end(c, TRANSPORT_FLUSH);
    } else if (q->in_done) {
        next_request(c);
    } else {
        size_t limit = h1_server_discard_limit(c);
        c->discard = mem_alloc(sizeof *c->discard);
        *c->discard = q->body;
        c->discard_left = q->discarded < limit ? limit - q->discarded : 0;
        enter(c, H1S_DISCARD);
        loop_deliver(c->loop, &c->turn);
    }
}

/* ---- the turn ---- */

static void server_turn(struct h1_server *c)
{
    switch (c->state) {
    case H1S_IDLE:
    case H1S_HEAD:
        read_head(c);
        break;
    case H1S_STREAM:
        h1_request_read(c->request);
        break;
    case H1S_DISCARD:
        discard(c);
        break;
    case H1S_ENDED:
    default:
        break;
    }
}

static void run_turn(struct loop_task *task)
{
    server_turn(container_of(task, struct h1_server, turn));
}

static void on_open(void *ctx)
{
    (void)ctx;
}

static void on_readable(void *ctx)
{
    server_turn(ctx);
}

static void on_writable(void *ctx)
{
    struct h1_server *c = ctx;
    if (c->request != NULL && !c->request->over) {
        c->request->s.events->on_writable(c->request->s.ctx);
    }
}

static void on_closed(void *ctx, const struct err *why)
{
    struct h1_server *c = ctx;
    c->t = NULL;
    struct h1_request *q = c->request;
    c->request = NULL;
    if (q != NULL) {
        h1_request_gone(q, why);
    }
    h1_server_end(c, TRANSPORT_ABORT);
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
    if (c->state == H1S_HEAD) {
        struct err err = {0};
        err_set(&err, ERR_TIMEOUT, "the request head took longer than %u ms", c->config->request_headers_timeout_ms);
        err.side = ERR_SIDE_DOWNSTREAM;
        h1_server_refuse(c, 408, &err);
    } else if (c->state != H1S_STREAM) {
        h1_server_end(c, TRANSPORT_FLUSH);
    }
}

/* ---- the face ---- */

static struct h1_server *of_side(const struct server_side *s)
{
    return (struct h1_server *)(uintptr_t)s;
}

/* An idle connection stays: a client about to use it must not lose its request. Its next answer says close. */
static void drain(struct server_side *s)
{
    of_side(s)->draining = true;
}

static void abort_server(struct server_side *s)
{
    struct h1_server *c = of_side(s);
    c->silent = true;
    h1_server_end(c, TRANSPORT_ABORT);
    loop_task_cancel(&c->turn);
    h1_server_unref(c);
}

static bool is_idle(const struct server_side *s)
{
    return of_side(s)->request == NULL;
}

static const struct transport_info *info(const struct server_side *s)
{
    return of_side(s)->info;
}

static const struct server_side_ops server_ops = {
    .drain = drain,
    .abort = abort_server,
    .is_idle = is_idle,
    .info = info,
};

struct server_side *h1_server_create(struct transport *t, const struct http_server_config *config,
                                     const struct http_server_events *events, void *ctx)
{
    struct h1_server *c = mem_alloc(sizeof *c);
    c->side.ops = &server_ops;
    c->refs = 1;
    c->t = t;
    c->loop = t->loop;
    c->config = config;
    c->events = events;
    c->ctx = ctx;
    c->in_limit = connection_limit(t, config->buffer_limit);
    connection_hold_head(t, config->h1.max_head_bytes);
    c->info = transport_info_ref(t->info);
    timer_init(&c->timer, c->loop, on_timer);
    loop_task_init(&c->turn, run_turn);
    enter(c, H1S_IDLE);
    transport_own(t, &transport_events, c);
    return &c->side;
}
