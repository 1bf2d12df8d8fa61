/* The life of one HTTP/2 stream; the time its upload is still read after an early answer. */
#include "base/mem.h"
#include "proxy/codec/h2_impl.h"

struct h2_stream_impl *h2_stream_create(struct h2_session *s, int32_t id, struct arena *arena)
{
    size_t cap = 0;
    struct h2_stream_impl *st = pool_alloc(sizeof *st, &cap);
    *st = (struct h2_stream_impl){.cap = cap};
    st->pub.session = s;
    st->pub.id = id;
    st->pub.arena = arena;
    st->pub.out_limit = H2_OUT_LIMIT;
    buf_init(&st->pub.in);
    buf_init(&st->out);
    list_init(&st->pub.link);
    list_init(&st->linger);
    st->heads_tail = &st->heads;
    list_push(&s->streams, &st->all);
    s->open++;
    return st;
}

void h2_stream_free(struct h2_stream_impl *st)
{
    struct h2_session *s = st->pub.session;
    s->heading = s->heading == st ? NULL : s->heading;
    list_remove(&st->pub.link);
    list_remove(&st->linger);
    list_remove(&st->all);
    h2_unhold(st, st->held);
    if (!st->closed) {
        s->open--;
    }
    buf_fini(&st->pub.in);
    buf_fini(&st->out);
    if (s->config.server && !st->arena_taken) {
        arena_destroy(&st->pub.arena);
    }
    arena_destroy(&st->trailer_arena);
    pool_free(st, st->cap);
}

void h2_stream_event(struct h2_stream_impl *st, unsigned events)
{
    if (st->released || !st->visible) {
        return;
    }
    if (st->events == 0) {
        list_push(&st->pub.session->events, &st->pub.link);
    }
    st->events |= events;
}

void h2_stream_closed(struct h2_stream_impl *st, uint32_t code, bool refused)
{
    st->closed = true;
    code = st->faulty ? NGHTTP2_PROTOCOL_ERROR : code;
    st->pub.session->open--;
    st->pub.was_reset = code != NGHTTP2_NO_ERROR || !st->pub.in_end || !st->out_end_sent;
    st->pub.reset_code = code;
    st->pub.refused = refused;
    buf_fini(&st->out);
    if (st->released || !st->visible) {
        h2_stream_free(st);
        return;
    }
    h2_stream_event(st, H2_CLOSED);
}

static void stop_lingering(struct h2_stream_impl *st)
{
    list_remove(&st->linger);
    nghttp2_submit_rst_stream(st->pub.session->ng, NGHTTP2_FLAG_NONE, st->pub.id, NGHTTP2_NO_ERROR);
}

void h2_stream_linger(struct h2_stream_impl *st)
{
    struct h2_session *s = st->pub.session;
    if (s->now_us == 0) {
        stop_lingering(st);
        return;
    }
    st->linger_until_us = s->now_us + H2_LINGER_US;
    list_push(&s->lingering, &st->linger);
}

void h2_stream_dropped(struct h2_stream_impl *st, size_t n)
{
    st->lingered += n;
    if (st->lingered > H2_LINGER_BYTES && !list_is_empty(&st->linger)) {
        stop_lingering(st);
    }
}

void h2_advance(struct h2_session *s, int64_t now_us)
{
    h2_guard_advance(&s->guard, now_us);
    s->now_us = now_us;
    for (int64_t due; (due = h2_deadline(s)) != 0 && due <= now_us;) {
        stop_lingering(container_of(s->lingering.next, struct h2_stream_impl, linger));
    }
}

int64_t h2_deadline(const struct h2_session *s)
{
    return list_is_empty(&s->lingering)
               ? 0
               : container_of(s->lingering.next, struct h2_stream_impl, linger)->linger_until_us;
}
