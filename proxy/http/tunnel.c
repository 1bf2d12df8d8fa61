/* A stream of bytes (CONNECT, or any raw one) seen as a transport: TLS and HTTP stack on it as on a socket. */
#include "base/mem.h"
#include "proxy/http/internal.h"

struct tunnel {
    struct transport t; /* first */
    struct stream *stream;
    struct arena *arena; /* the stream was opened with; may be NULL */
    struct buf out;
    struct loop_task flush;
    struct loop_task deliver;
    bool finishing, finished;
    bool was_full;
    bool lingering; /* closed by its owner: the rest is still to be sent */
    bool dead;
    bool over; /* the stream ended in order; what it left is still being read */
    struct timer linger;
};

enum { LINGER_MS = 5000 };

static struct tunnel *of(const struct transport *t)
{
    return (struct tunnel *)(uintptr_t)t;
}

static void tunnel_free(void *p)
{
    struct tunnel *u = p;
    arena_destroy(&u->arena);
    transport_info_unref(&u->t.info);
    mem_free(u);
}

/* Its last act; with `why`, the owner hears on_closed. */
static void tunnel_end(struct tunnel *u, const struct err *why)
{
    if (u->dead) {
        return;
    }
    u->dead = true;
    loop_task_cancel(&u->flush);
    loop_task_cancel(&u->deliver);
    timer_cancel(&u->linger);
    stream_release(&u->stream);
    buf_fini(&u->out);
    loop_free_later(u->t.loop, tunnel_free, u);
    if (why != NULL && !u->lingering) {
        transport_end(&u->t, why);
    } else {
        transport_fini(&u->t);
    }
}

/* ---- as a transport ---- */

static void push(struct tunnel *u)
{
    size_t room = stream_room(u->stream);
    if (!buf_is_empty(&u->out) && room > 0) {
        struct buf part;
        buf_init(&part);
        u->t.bytes_out += buf_move(&part, &u->out, room);
        stream_send(u->stream, &part, false);
    }
    if (u->finishing && !u->finished && buf_is_empty(&u->out)) {
        struct buf none;
        buf_init(&none);
        u->finished = true;
        stream_send(u->stream, &none, true);
    }
}

static void run_flush(struct loop_task *task)
{
    struct tunnel *u = container_of(task, struct tunnel, flush);
    push(u);
    if (u->was_full && buf_len(&u->out) < u->t.out_high / 2 && !u->lingering) {
        loop_deliver(u->t.loop, &u->deliver);
    }
}

static void tunnel_write(struct transport *t, struct buf *bytes)
{
    struct tunnel *u = of(t);
    if (u->finishing) {
        buf_fini(bytes);
        return;
    }
    buf_move_all(&u->out, bytes);
    u->was_full = u->was_full || buf_len(&u->out) >= t->out_high;
    loop_flush(t->loop, &u->flush, t->level);
}

static size_t tunnel_queued(const struct transport *t)
{
    return buf_len(&of(t)->out);
}

static void tunnel_taken(struct transport *t)
{
    struct tunnel *u = of(t);
    if (!u->dead && (u->over || !buf_is_empty(&u->stream->in) || (u->stream->in_end && !t->in_eof))) {
        loop_deliver(t->loop, &u->deliver);
    }
}

static void tunnel_finish(struct transport *t)
{
    struct tunnel *u = of(t);
    u->finishing = true;
    loop_flush(t->loop, &u->flush, t->level);
}

static void tunnel_close(struct transport *t, enum transport_close_mode mode)
{
    struct tunnel *u = of(t);
    if (mode == TRANSPORT_ABORT) {
        stream_reset(u->stream, STREAM_CONNECT_ERROR);
        tunnel_end(u, NULL);
        return;
    }
    u->lingering = true;
    t->events = NULL;
    buf_fini(&t->in); /* nobody will read it */
    if (u->over) {
        tunnel_end(u, NULL);
        return;
    }
    timer_set_in(&u->linger, LINGER_MS);
    tunnel_finish(t);
}

static int tunnel_raw_fd(const struct transport *t)
{
    (void)t;
    return -1;
}

static bool tunnel_is_ending(const struct transport *t)
{
    const struct tunnel *u = of(t);
    return u->stream != NULL && u->stream->ending;
}

static const struct transport_ops tunnel_ops = {
    .taken = tunnel_taken,
    .write = tunnel_write,
    .queued = tunnel_queued,
    .finish = tunnel_finish,
    .close = tunnel_close,
    .raw_fd = tunnel_raw_fd,
    .ending = tunnel_is_ending,
};

/* ---- as the stream's owner ---- */

static void pull(struct tunnel *u)
{
    if (u->dead) {
        return;
    }
    if (u->lingering) {
        size_t n = buf_len(&u->stream->in);
        buf_fini(&u->stream->in);
        stream_taken(u->stream, n);
        return;
    }
    size_t had = buf_len(&u->t.in);
    size_t n = 0;
    if (had < u->t.in_limit) {
        n = buf_move(&u->t.in, &u->stream->in, u->t.in_limit - had);
        u->t.bytes_in += n;
        stream_taken(u->stream, n);
    }
    bool ended = u->stream->in_end && buf_is_empty(&u->stream->in) && !u->t.in_eof;
    u->t.in_eof = u->t.in_eof || ended;
    if ((n > 0 || ended) && u->t.events != NULL) {
        u->t.events->on_readable(u->t.ctx);
    }
}

/* Ended in order and read to the last byte: only then does the owner hear of it. */
static void check_over(struct tunnel *u)
{
    static const struct err none = {.kind = ERR_NONE};
    if (u->over && !u->dead && buf_is_empty(&u->stream->in) && buf_is_empty(&u->t.in)) {
        tunnel_end(u, &none);
    }
}

static void run_deliver(struct loop_task *task)
{
    struct tunnel *u = container_of(task, struct tunnel, deliver);
    if (u->was_full && buf_len(&u->out) < u->t.out_high / 2 && u->t.events != NULL) {
        u->was_full = false;
        u->t.events->on_writable(u->t.ctx);
    }
    pull(u);
    check_over(u);
}

static void on_head(void *ctx, struct head *head)
{
    (void)ctx;
    (void)head;
}

static void on_readable(void *ctx)
{
    pull(ctx);
}

static void on_writable(void *ctx)
{
    struct tunnel *u = ctx;
    loop_flush(u->t.loop, &u->flush, u->t.level);
}

static void on_closed(void *ctx, const struct err *why)
{
    struct tunnel *u = ctx;
    if (why->kind != ERR_NONE) {
        tunnel_end(u, why);
        return;
    }
    u->over = true;
    pull(u); /* bytes that came with the end */
    check_over(u);
}

static const struct stream_events stream_events = {
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

static void on_linger(struct timer *timer)
{
    struct tunnel *u = container_of(timer, struct tunnel, linger);
    stream_reset(u->stream, STREAM_CONNECT_ERROR);
    tunnel_end(u, NULL);
}

struct transport *stream_transport_create(struct stream **s, struct arena **arena)
{
    struct tunnel *u = mem_alloc(sizeof *u);
    transport_init(&u->t, &tunnel_ops, (*s)->loop, (*s)->level + 1);
    u->stream = *s;
    *s = NULL;
    if (arena != NULL) {
        u->arena = *arena;
        *arena = NULL;
    }
    u->t.open = true;
    const struct transport_info *info = u->stream->info;
    u->t.info = info == NULL ? transport_info_create(NULL, NULL) : transport_info_create(info->local, info->remote);
    buf_init(&u->out);
    loop_task_init(&u->flush, run_flush);
    loop_task_init(&u->deliver, run_deliver);
    timer_init(&u->linger, u->t.loop, on_linger);
    u->stream->events = &stream_events;
    u->stream->ctx = u;
    loop_deliver(u->t.loop, &u->deliver);
    return &u->t;
}
