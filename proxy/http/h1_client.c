/* HTTP/1 upstream, the connection: one call at a time, kept when request and answer both ended as they should. */
#include "proxy/http/h1_client.h"

#include "base/mem.h"

static void client_free(void *obj)
{
    struct h1_client *c = obj;
    transport_info_unref(&c->info);
    mem_free(c->why);
    mem_free(c);
}

void h1_client_unref(struct h1_client *c)
{
    if (--c->refs == 0) {
        loop_free_later(c->loop, client_free, c);
    }
}

static void run_over(struct loop_task *task)
{
    struct h1_client *c = container_of(task, struct h1_client, over);
    if (!c->silent) {
        c->events->on_closed(c->ctx, err_kept(c->why));
    }
    h1_client_unref(c);
}

static void detach_call(struct h1_client *c, const struct err *why)
{
    struct h1_call *call = c->call;
    c->call = NULL;
    if (call != NULL) {
        h1_call_gone(call, why, c->t == NULL ? 0 : c->t->bytes_out);
    }
}

void h1_client_end(struct h1_client *c, const struct err *why, enum transport_close_mode mode)
{
    if (c->ended) {
        return;
    }
    c->ended = true;
    c->why = err_keep(why);
    detach_call(c, why);
    loop_task_cancel(&c->turn);
    transport_close(&c->t, mode);
    loop_deliver(c->loop, &c->over);
}

static bool is_reusable(const struct h1_client *c, const struct h1_call *call)
{
    return call->over && call->why == NULL && !call->s.raw && call->message.keep_alive && call->s.out_end &&
           !call->out.broken && !c->draining && c->t != NULL && c->t->in.len == 0 && !c->t->in_eof;
}

void h1_client_released(struct h1_client *c, const struct h1_call *call)
{
    struct err none = {.kind = ERR_NONE};
    bool in_order = call->over && call->why == NULL;
    c->call = NULL;
    c->answered += in_order;
    if (!call->head_sent && c->t != NULL && c->t->in.len == 0 && !c->t->in_eof && !c->draining) {
        loop_deliver(c->loop, &c->turn); /* nothing was sent: as good as before */
    } else if (is_reusable(c, call)) {
        loop_deliver(c->loop, &c->turn);
    } else {
        h1_client_end(c, &none, in_order ? TRANSPORT_FLUSH : TRANSPORT_ABORT);
    }
}

/* No call: nothing may come. What does makes the connection useless; it may be a late answer to nobody. */
static void read_idle(struct h1_client *c)
{
    struct err why = {0};
    if (c->t->in.len > 0) {
        err_set(&why, ERR_PROTOCOL, "the upstream sent bytes nobody asked for");
        h1_client_end(c, &why, TRANSPORT_ABORT);
    } else if (c->t->in_eof || c->draining) {
        h1_client_end(c, &why, TRANSPORT_FLUSH);
    }
}

static void run_turn(struct loop_task *task)
{
    struct h1_client *c = container_of(task, struct h1_client, turn);
    if (c->call != NULL) {
        h1_call_read(c->call);
        return;
    }
    read_idle(c);
    if (!c->ended && c->call == NULL) {
        c->events->on_capacity(c->ctx);
    }
}

/* ---- the transport ---- */

static void on_open(void *ctx)
{
    (void)ctx;
}

static void on_readable(void *ctx)
{
    struct h1_client *c = ctx;
    if (c->call != NULL) {
        h1_call_read(c->call);
    } else {
        read_idle(c);
    }
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
    uint64_t bytes_out = c->t->bytes_out;
    c->t = NULL;
    c->call = NULL;
    if (call != NULL) {
        h1_call_gone(call, why, bytes_out);
    }
    h1_client_end(c, why, TRANSPORT_ABORT);
}

static const struct transport_events transport_events = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

/* ---- the face ---- */

static struct h1_client *of_side(const struct client_side *s)
{
    return (struct h1_client *)(uintptr_t)s;
}

static struct stream *open_call(struct client_side *s, struct arena *arena, const struct stream_events *events,
                                void *ctx)
{
    struct h1_client *c = of_side(s);
    struct h1_call *call = h1_call_create(c, arena);
    call->s.events = events;
    call->s.ctx = ctx;
    c->call = call;
    return &call->s;
}

static bool can_open(const struct client_side *s)
{
    const struct h1_client *c = of_side(s);
    return c->call == NULL && !c->ended && !c->draining && c->t != NULL && c->t->in.len == 0 && !c->t->in_eof;
}

static bool is_ending(const struct client_side *s)
{
    const struct h1_client *c = of_side(s);
    return c->t != NULL && transport_is_ending(c->t);
}

static unsigned streams(const struct client_side *s)
{
    return of_side(s)->call != NULL;
}

static bool extended_connect(const struct client_side *s)
{
    (void)s;
    return true; /* an Upgrade serves the same end */
}

static const struct transport_info *info(const struct client_side *s)
{
    return of_side(s)->info;
}

static void close_client(struct client_side *s)
{
    struct h1_client *c = of_side(s);
    struct err why = {0};
    bool idle = c->call == NULL;
    if (!idle) {
        err_set(&why, ERR_RESET, "the connection was closed by us");
    }
    c->silent = true;
    h1_client_end(c, &why, idle ? TRANSPORT_FLUSH : TRANSPORT_ABORT);
    loop_task_cancel(&c->over);
    h1_client_unref(c);
}

static void drain(struct client_side *s)
{
    struct h1_client *c = of_side(s);
    c->draining = true;
    if (c->call == NULL && !c->ended) {
        loop_deliver(c->loop, &c->turn);
    }
}

static const struct client_side_ops client_ops = {
    .open = open_call,
    .can_open = can_open,
    .is_ending = is_ending,
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
    c->refs = 1;
    c->t = t;
    c->loop = t->loop;
    c->config = config;
    c->events = events;
    c->ctx = ctx;
    c->in_limit = connection_limit(t, config->buffer_limit);
    connection_hold_head(t, config->h1.max_head_bytes);
    c->info = transport_info_ref(t->info);
    loop_task_init(&c->turn, run_turn);
    loop_task_init(&c->over, run_over);
    transport_own(t, &transport_events, c);
    return &c->side;
}
