/* A transport seen as a stream without a head: TCP sessions and what ends a CONNECT. */
#include "base/mem.h"
#include "proxy/http/internal.h"

struct raw_stream {
    struct stream s;
    struct transport *t;
    struct transport_info *info;
    struct loop_task read;
    bool dead;
    void (*gone)(void *ctx); /* NULL: nobody wants to know */
    void *gone_ctx;
};

static struct raw_stream *of(struct stream *s)
{
    return container_of(s, struct raw_stream, s);
}

static void no_head(struct stream *s, const struct head *head, bool end)
{
    (void)head;
    if (end) {
        struct buf none;
        buf_init(&none);
        stream_send(s, &none, true);
    }
}

static void send_bytes(struct stream *s, struct buf *bytes, bool end)
{
    struct raw_stream *r = of(s);
    if (r->t == NULL || s->out_end) {
        buf_fini(bytes);
        s->out_end = s->out_end || end;
        return;
    }
    s->bytes_out += buf_len(bytes);
    if (!buf_is_empty(bytes)) {
        transport_write(r->t, bytes);
    }
    if (end) {
        s->out_end = true;
        transport_finish(r->t);
    }
}

static void no_trailers(struct stream *s, const struct head *trailers)
{
    no_head(s, trailers, true);
}

static size_t room(const struct stream *s)
{
    const struct raw_stream *r = container_of(s, struct raw_stream, s);
    if (r->t == NULL) {
        return STREAM_IN_LIMIT;
    }
    size_t queued = transport_queued(r->t);
    return queued >= STREAM_IN_LIMIT ? 0 : STREAM_IN_LIMIT - queued;
}

static void taken(struct stream *s, size_t n)
{
    struct raw_stream *r = of(s);
    (void)n;
    if (r->t != NULL && (!buf_is_empty(&r->t->in) || (r->t->in_eof && !s->in_end))) {
        loop_deliver(s->loop, &r->read);
    }
}

static void end_with(struct raw_stream *r, enum transport_close_mode mode)
{
    transport_close(&r->t, mode);
}

static void stop_reading(struct stream *s)
{
    buf_fini(&s->in); /* what still comes goes when the owner releases */
}

static void say_reset(struct loop_task *task)
{
    struct raw_stream *r = container_of(task, struct raw_stream, read);
    struct err err;
    err_set(&err, ERR_RESET, "reset by us");
    err.side = ERR_SIDE_LOCAL;
    r->s.events->on_closed(r->s.ctx, &err);
}

static void reset(struct stream *s, enum stream_reset kind)
{
    struct raw_stream *r = of(s);
    (void)kind;
    if (!r->dead) {
        r->dead = true;
        end_with(r, TRANSPORT_ABORT);
        loop_task_cancel(&r->read);
        r->read.run = say_reset;
        loop_deliver(s->loop, &r->read);
    }
}

static void raw_free(void *p)
{
    struct raw_stream *r = p;
    transport_info_unref(&r->info);
    mem_free(r);
}

static void release(struct stream *s)
{
    struct raw_stream *r = of(s);
    loop_task_cancel(&r->read);
    buf_fini(&s->in);
    end_with(r, s->out_end || s->in_end ? TRANSPORT_FLUSH : TRANSPORT_ABORT);
    loop_free_later(s->loop, raw_free, r);
    if (r->gone != NULL) {
        r->gone(r->gone_ctx);
    }
}

static const struct stream_ops ops = {
    .send_head = no_head,
    .send = send_bytes,
    .send_trailers = no_trailers,
    .room = room,
    .taken = taken,
    .stop_reading = stop_reading,
    .reset = reset,
    .release = release,
};

static void raw_read(struct raw_stream *r)
{
    struct stream *s = &r->s;
    size_t had = buf_len(&s->in);
    if (r->t == NULL || r->dead) {
        return;
    }
    if (had < STREAM_IN_LIMIT) {
        s->bytes_in += buf_move(&s->in, &r->t->in, STREAM_IN_LIMIT - had);
        transport_taken(r->t);
    }
    bool ended = r->t->in_eof && buf_is_empty(&r->t->in) && !s->in_end;
    s->in_end = s->in_end || ended;
    if (buf_len(&s->in) > had || ended) {
        s->events->on_readable(s->ctx);
    }
}

static void run_read(struct loop_task *task)
{
    raw_read(container_of(task, struct raw_stream, read));
}

static void on_open(void *ctx)
{
    (void)ctx;
}

static void on_readable(void *ctx)
{
    raw_read(ctx);
}

static void on_writable(void *ctx)
{
    struct raw_stream *r = ctx;
    r->s.events->on_writable(r->s.ctx);
}

static void on_closed(void *ctx, const struct err *why)
{
    struct raw_stream *r = ctx;
    r->t = NULL;
    r->dead = true;
    r->s.in_end = true;
    r->s.events->on_closed(r->s.ctx, why);
}

static const struct transport_events events_of_transport = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

void raw_stream_at_release(struct stream *s, void (*gone)(void *ctx), void *ctx)
{
    struct raw_stream *r = of(s);
    r->gone = gone;
    r->gone_ctx = ctx;
}

struct stream *raw_stream_create(struct transport **t, struct arena *arena, const struct stream_events *events,
                                 void *ctx)
{
    struct raw_stream *r = mem_alloc(sizeof *r);
    r->t = *t;
    *t = NULL;
    r->info = transport_info_ref(r->t->info);
    r->s = (struct stream){
        .ops = &ops,
        .events = events,
        .ctx = ctx,
        .loop = r->t->loop,
        .arena = arena,
        .raw = true,
        .level = r->t->level,
        .info = r->info,
    };
    buf_init(&r->s.in);
    loop_task_init(&r->read, run_read);
    transport_own(r->t, &events_of_transport, r);
    return &r->s;
}
