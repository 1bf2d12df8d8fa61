#include <string.h>

#include "base/mem.h"
#include "proxy/net/transport.h"

/* One end. It dies with its owner's close or with on_closed; the other end then has peer == NULL. */
struct memory_transport {
    struct transport t;
    struct memory_transport *peer;
    struct buf out;
    struct loop_task deliver, flush;
    bool arrived; /* `in` grew or ended since on_readable was called */
    bool reset;   /* the peer went away before both directions had ended */
    bool finishing, finished;
    bool was_full;
};

static void end_free(void *obj)
{
    struct memory_transport *m = obj;
    transport_info_unref(&m->t.info);
    mem_free(m);
}

static void end_detach(struct memory_transport *m)
{
    loop_task_cancel(&m->deliver);
    loop_task_cancel(&m->flush);
    buf_fini(&m->out);
    if (m->peer != NULL) {
        m->peer->peer = NULL;
        m->peer = NULL;
    }
    loop_free_later(m->t.loop, end_free, m);
}

static bool is_over(const struct memory_transport *m)
{
    return m->reset || (m->t.in_eof && m->t.in.len == 0 && m->finished);
}

static void end_deliver(struct loop_task *task)
{
    struct memory_transport *m = container_of(task, struct memory_transport, deliver);
    if (m->t.events == NULL) {
        return; /* transport_own comes back to it */
    }
    bool readable = m->arrived;
    m->arrived = false;
    if (readable) {
        loop_deliver(m->t.loop, &m->deliver); /* cancelled if the owner closes; looks for the rest afterwards */
        m->t.events->on_readable(m->t.ctx);
        return;
    }
    if (m->was_full && m->out.len < m->t.out_high / 2) {
        m->was_full = false;
        loop_deliver(m->t.loop, &m->deliver);
        m->t.events->on_writable(m->t.ctx);
        return;
    }
    if (is_over(m)) {
        struct err why;
        err_clear(&why);
        if (m->reset) {
            err_set(&why, ERR_RESET, "connection reset by peer");
            why.retry = m->t.bytes_out == 0 ? ERR_RETRY_ALWAYS : ERR_RETRY_IF_IDEMPOTENT;
        }
        end_detach(m);
        transport_end(&m->t, &why);
    }
}

/* All: the peer's limit is not asked, because we are going away. */
static void hand_over(struct memory_transport *m, bool all)
{
    struct memory_transport *peer = m->peer;
    if (peer == NULL) {
        m->reset = m->reset || m->out.len > 0;
        buf_fini(&m->out);
    } else if (m->out.len > 0) {
        size_t room = peer->t.in.len < peer->t.in_limit ? peer->t.in_limit - peer->t.in.len : 0;
        size_t n = buf_move(&peer->t.in, &m->out, all ? m->out.len : room);
        peer->t.bytes_in += n;
        m->t.bytes_out += n;
        peer->arrived = peer->arrived || n > 0;
    }
    if (m->finishing && !m->finished && m->out.len == 0) {
        m->finished = true;
        if (peer != NULL) {
            peer->t.in_eof = true;
            peer->arrived = true;
        }
    }
    if (peer != NULL && (peer->arrived || is_over(peer))) {
        loop_deliver(peer->t.loop, &peer->deliver);
    }
}

static void end_flush(struct loop_task *task)
{
    struct memory_transport *m = container_of(task, struct memory_transport, flush);
    hand_over(m, false);
    if (is_over(m) || (m->was_full && m->out.len < m->t.out_high / 2)) {
        loop_deliver(m->t.loop, &m->deliver);
    }
}

static void memory_taken(struct transport *t)
{
    struct memory_transport *m = container_of(t, struct memory_transport, t);
    if (m->peer != NULL && m->peer->out.len > 0) {
        loop_flush(t->loop, &m->peer->flush, 0);
    }
    if (is_over(m) || (m->was_full && m->out.len < t->out_high / 2)) {
        loop_deliver(t->loop, &m->deliver);
    }
}

static void memory_write(struct transport *t, struct buf *bytes)
{
    struct memory_transport *m = container_of(t, struct memory_transport, t);
    if (m->finishing) {
        buf_fini(bytes);
        return;
    }
    buf_move_all(&m->out, bytes);
    m->was_full = m->was_full || m->out.len >= t->out_high;
    loop_flush(t->loop, &m->flush, 0);
}

static size_t memory_queued(const struct transport *t)
{
    return container_of(t, struct memory_transport, t)->out.len;
}

static void memory_finish(struct transport *t)
{
    struct memory_transport *m = container_of(t, struct memory_transport, t);
    m->finishing = true;
    loop_flush(t->loop, &m->flush, 0);
}

static void memory_close(struct transport *t, enum transport_close_mode mode)
{
    struct memory_transport *m = container_of(t, struct memory_transport, t);
    struct memory_transport *peer = m->peer;
    if (peer != NULL && mode == TRANSPORT_FLUSH) {
        m->finishing = true;
        hand_over(m, true);
    } else if (peer != NULL) {
        peer->reset = true;
        loop_deliver(t->loop, &peer->deliver);
    }
    end_detach(m);
    transport_fini(t);
}

static int memory_raw_fd(const struct transport *t)
{
    (void)t;
    return -1;
}

static const struct transport_ops memory_ops = {
    .taken = memory_taken,
    .write = memory_write,
    .queued = memory_queued,
    .finish = memory_finish,
    .close = memory_close,
    .raw_fd = memory_raw_fd,
};

static struct memory_transport *end_create(struct loop *loop)
{
    struct memory_transport *m = mem_alloc(sizeof *m);
    transport_init(&m->t, &memory_ops, loop, 0);
    m->t.info = transport_info_create(NULL, NULL);
    m->t.open = true;
    buf_init(&m->out);
    loop_task_init(&m->deliver, end_deliver);
    loop_task_init(&m->flush, end_flush);
    return m;
}

void memory_transport_pair(struct loop *loop, struct transport **a, struct transport **b)
{
    struct memory_transport *first = end_create(loop), *second = end_create(loop);
    first->peer = second;
    second->peer = first;
    *a = &first->t;
    *b = &second->t;
}
