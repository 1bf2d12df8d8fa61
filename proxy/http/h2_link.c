#include "proxy/http/h2_link.h"

#include <string.h>

#include "base/mem.h"

enum {
    INPUT_A_STEP = 32 << 10,  /* then other connections get their share (DATAPLANE 4) */
    CONTROL_QUEUE_FACTOR = 4, /* unread control frames, in send queues: beyond that nothing more is read */
};

/* A peer that does not read its answers is not read either. Bodies alone never fill the queue that far, so two honest
 * peers with full queues still read each other. */
static bool is_clogged(const struct h2_link *link)
{
    return transport_queued(link->t) > CONTROL_QUEUE_FACTOR * link->t->out_high;
}

static bool may_receive(struct h2_link *link)
{
    if (h2_is_over_share(link->session)) {
        budget_wait(loop_inbox(link->loop), &link->inbox);
        return false;
    }
    return !link->later && !is_clogged(link);
}

static void resume(struct budget_waiter *waiter)
{
    struct h2_link *link = container_of(waiter, struct h2_link, inbox);
    loop_deliver(link->loop, &link->deliver);
}

static void deliver_events(struct h2_link *link)
{
    unsigned events;
    struct h2_stream *h;
    while (!link->over && (h = h2_next_event(link->session, &events)) != NULL) {
        if (h->user != NULL) {
            h2_half_events(h->user, events);
        } else if (link->role->on_request != NULL && (events & H2_HEAD) != 0) {
            struct h2_half *half = link->role->on_request(link, h);
            if (half != NULL && !half->released) {
                h2_half_events(half, events & ~(unsigned)H2_HEAD);
            }
        }
    }
    if (!link->over) {
        link->role->on_progress(link);
    }
}

static void tell_counts(struct h2_link *link)
{
    const uint32_t *now = h2_counts(link->session);
    if (link->role->on_count == NULL || memcmp(now, link->told, sizeof link->told) == 0) {
        return;
    }
    for (unsigned i = 0; i < H2_COUNTS; i++) {
        if (now[i] != link->told[i]) {
            link->role->on_count(link, (enum h2_count)i, now[i] - link->told[i]);
            link->told[i] = now[i];
        }
    }
}

static void receive(struct h2_link *link)
{
    struct err err;
    h2_advance(link->session, loop_now_us(link->loop));
    bool ok = h2_receive(link->session, &link->t->in, INPUT_A_STEP, &err);
    transport_taken(link->t);
    tell_counts(link);
    deliver_events(link);
    if (link->over) {
        return;
    }
    if (!ok) {
        h2_link_end(link, &err, TRANSPORT_FLUSH);
        return;
    }
    h2_link_flush(link);
}

static void end_of_input(struct h2_link *link)
{
    struct err err = {0};
    err_set(&err, ERR_RESET, "the peer closed the HTTP/2 connection");
    if (link->n == 0) {
        err_clear(&err);
    }
    h2_link_end(link, &err, TRANSPORT_FLUSH);
}

static void after_turn(void *arg)
{
    struct h2_link *link = arg;
    link->later = false;
    if (!link->over) {
        loop_deliver(link->loop, &link->deliver);
    }
    h2_link_unref(link);
}

/* A step full of heads may be one of resets: what those streams had is freed at the end of the turn, so a flood never
 * has more than a step's worth. */
static void read_on(struct h2_link *link)
{
    if (!h2_is_step_full(link->session)) {
        loop_deliver(link->loop, &link->deliver);
    } else if (!link->later) {
        link->later = true;
        link->refs++;
        loop_free_later(link->loop, after_turn, link);
    }
}

static void link_read(struct h2_link *link)
{
    if (link->over) {
        return;
    }
    if (link->t->in.len > 0 && may_receive(link)) {
        receive(link);
        if (!link->over && link->t->in.len > 0) {
            read_on(link);
        }
    } else {
        deliver_events(link);
    }
    if (!link->over && link->t->in_eof && link->t->in.len == 0) {
        end_of_input(link);
    } else if (!link->over && h2_is_done(link->session)) {
        struct err none = {.kind = ERR_NONE};
        h2_link_end(link, &none, TRANSPORT_FLUSH);
    }
}

static void run_deliver(struct loop_task *task)
{
    link_read(container_of(task, struct h2_link, deliver));
}

static void mark_sent_from(struct h2_link *link, uint64_t from)
{
    for (struct list *l; (l = list_pop(&link->unmarked)) != NULL;) {
        container_of(l, struct h2_half, link_unmarked)->mark = from;
    }
}

static void wait_for_deadline(struct h2_link *link)
{
    int64_t due = h2_deadline(link->session), now = loop_now_us(link->loop);
    if (due != 0 && !timer_is_set(&link->timer)) {
        timer_set_in(&link->timer, due > now ? (uint64_t)(due - now) / 1000 + 1 : 1);
    }
}

static void on_deadline(struct timer *timer)
{
    struct h2_link *link = container_of(timer, struct h2_link, timer);
    if (!link->over) {
        h2_advance(link->session, loop_now_us(link->loop));
        h2_link_flush(link);
    }
}

static void run_flush(struct loop_task *task)
{
    struct h2_link *link = container_of(task, struct h2_link, flush);
    if (link->over) {
        return;
    }
    size_t queued = transport_queued(link->t);
    size_t room = queued < link->t->out_high ? link->t->out_high - queued : 0;
    struct buf out;
    buf_init(&out);
    mark_sent_from(link, link->t->bytes_out + queued);
    if (h2_produce(link->session, &out, room)) {
        transport_write(link->t, &out);
    }
    if (h2_has_events(link->session) || h2_is_done(link->session)) {
        loop_deliver(link->loop, &link->deliver);
    }
    wait_for_deadline(link);
}

void h2_link_flush(struct h2_link *link)
{
    if (!link->over) {
        loop_flush(link->loop, &link->flush, link->t->level + 1);
    }
}

/* ---- the end ---- */

static void run_ended(struct loop_task *task)
{
    struct h2_link *link = container_of(task, struct h2_link, ended);
    if (!link->silent) {
        link->role->on_closed(link, err_kept(link->why));
    }
    h2_link_unref(link);
}

void h2_link_unref(struct h2_link *link)
{
    if (--link->refs == 0) {
        loop_free_later(link->loop, link->role->destroy, link);
    }
}

/* Not sent: safe to repeat. Sent and not a byte of answer: only on a kept connection, whose end may have crossed it. */
static enum err_retry retry_after(const struct h2_link *link, const struct h2_half *half)
{
    if (!half->s.sent) {
        return ERR_RETRY_ALWAYS;
    }
    return !half->got_head && link->answered ? ERR_RETRY_IF_IDEMPOTENT : ERR_RETRY_NEVER;
}

/* bytes_out: what the transport's kernel side took, all in all. */
static void detach_halves(struct h2_link *link, uint64_t bytes_out)
{
    for (struct list *l; (l = list_pop(&link->halves)) != NULL;) {
        struct h2_half *half = container_of(l, struct h2_half, link_all);
        struct err why = *err_kept(link->why);
        if (why.kind == ERR_NONE) {
            err_set(&why, ERR_RESET, "the HTTP/2 connection was closed");
        }
        why.side = half->server ? ERR_SIDE_DOWNSTREAM : ERR_SIDE_UPSTREAM;
        bool produced = half->h != NULL && list_is_empty(&half->link_unmarked);
        half->s.sent = half->s.sent || (produced && bytes_out > half->mark);
        why.retry = retry_after(link, half);
        list_remove(&half->link_unmarked);
        h2_release(&half->h);
        half->link = NULL;
        h2_half_over(half, &why);
    }
    link->n = 0;
}

static void end(struct h2_link *link, const struct err *why, uint64_t bytes_out)
{
    link->over = true;
    link->why = err_keep(why);
    detach_halves(link, bytes_out);
    loop_task_cancel(&link->deliver);
    loop_task_cancel(&link->flush);
    list_remove(&link->inbox.link);
    timer_cancel(&link->timer);
    loop_deliver(link->loop, &link->ended);
}

void h2_link_end(struct h2_link *link, const struct err *why, enum transport_close_mode mode)
{
    if (link->over) {
        return;
    }
    struct buf out;
    buf_init(&out);
    end(link, why, link->t->bytes_out);
    if (mode == TRANSPORT_FLUSH && h2_produce(link->session, &out, link->t->out_high)) {
        transport_write(link->t, &out);
    }
    transport_close(&link->t, mode);
}

void h2_link_abandon(struct h2_link *link, const struct err *why, enum transport_close_mode mode)
{
    link->silent = true;
    h2_link_end(link, why, mode);
    loop_task_cancel(&link->ended);
    h2_link_unref(link);
}

/* ---- the transport ---- */

static void on_open(void *ctx)
{
    (void)ctx;
}

static void on_readable(void *ctx)
{
    link_read(ctx);
}

static void on_writable(void *ctx)
{
    struct h2_link *link = ctx;
    h2_link_flush(link);
    if (!link->over && link->t->in.len > 0) {
        loop_deliver(link->loop, &link->deliver);
    }
}

static void on_closed(void *ctx, const struct err *why)
{
    struct h2_link *link = ctx;
    uint64_t bytes_out = link->t->bytes_out;
    struct err err = *why;
    link->t = NULL;
    end(link, &err, bytes_out);
}

static const struct transport_events transport_events = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_closed = on_closed,
};

void h2_link_init(struct h2_link *link, const struct h2_role *role, struct transport *t, struct h2_session *session,
                  uint32_t buffer_limit)
{
    link->role = role;
    link->session = session;
    link->t = t;
    link->loop = t->loop;
    link->refs = 1;
    link->out_limit = connection_limit(t, buffer_limit);
    list_init(&link->halves);
    list_init(&link->unmarked);
    list_init(&link->inbox.link);
    link->inbox.resume = resume;
    loop_task_init(&link->deliver, run_deliver);
    loop_task_init(&link->flush, run_flush);
    loop_task_init(&link->ended, run_ended);
    timer_init(&link->timer, link->loop, on_deadline);
    link->info = transport_info_ref(t->info);
    transport_own(t, &transport_events, link);
    h2_link_flush(link);
}

void h2_link_fini(struct h2_link *link)
{
    h2_destroy(&link->session);
    transport_info_unref(&link->info);
    mem_free(link->why);
}
