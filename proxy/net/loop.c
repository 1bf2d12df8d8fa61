#include "proxy/net/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/net/loop_internal.h"
#include "proxy/net/postbox.h"
#include "proxy/net/wheel.h"

enum {
    LEVELS = 32,
    ROUNDS_A_TURN = 16,
    DELIVERIES_A_ROUND = 4096,
    READ_CHUNK = (128 << 10) - 64, /* with its header it fills a pool class */
    READ_ROOM_MIN = 32 << 10,
};

struct garbage {
    void (*free_fn)(void *obj);
    void *obj;
};

struct signal_watch {
    struct list link;
    struct event *event;
    void (*fn)(void *ctx, int signo);
    void *ctx;
};

struct loop {
    struct event_base *base;
    unsigned index;
    bool stop;
    int64_t now_us, wall_us; /* 0: not read in this turn yet */

    struct list deliver;
    struct list flush[LEVELS];
    uint32_t flush_levels; /* bit: the list may hold tasks */
    struct budget inbox;
    struct wheel wheel;
    struct event tick; /* bounds the sleep to the wheel's next slot */
    int64_t tick_at_us;
    struct garbage *garbage;
    size_t n_garbage, cap_garbage;

    struct postbox postbox;
    struct hangup_set hangups;
    struct list signals, closers;
    struct chunk *read_chunk;
    size_t read_end;
    unsigned char *scratch;
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop *loop = arg;
    loop->tick_at_us = INT64_MAX; /* the wheel itself is looked at in every turn */
}

void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    postbox_send(&loop->postbox, fn, arg);
}

struct budget *loop_inbox(struct loop *loop)
{
    return &loop->inbox;
}

struct hangup_set *loop_hangups(struct loop *loop)
{
    return &loop->hangups;
}

struct loop *loop_create(unsigned index, struct err *err)
{
    struct loop *loop = mem_alloc(sizeof *loop);
    loop->index = index;
    loop->postbox.fd = loop->hangups.epoll_fd = -1;
    loop->tick_at_us = INT64_MAX;
    list_init(&loop->deliver);
    list_init(&loop->signals);
    list_init(&loop->closers);
    for (unsigned i = 0; i < LEVELS; i++) {
        list_init(&loop->flush[i]);
    }
    budget_init(&loop->inbox, 0);
    wheel_init(&loop->wheel, clock_mono_us());
    struct event_config *config = event_config_new();
    /* Only this thread touches the base; others come in by the eventfd. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop->base == NULL) {
        err_set(err, ERR_IO, "event loop: no event base");
        loop_destroy(&loop);
        return NULL;
    }
    event_assign(&loop->tick, loop->base, -1, 0, on_tick, loop);
    if (!postbox_init(&loop->postbox, loop->base, err) || !hangup_set_init(&loop->hangups, loop->base, err)) {
        loop_destroy(&loop);
    }
    return loop;
}

static void free_garbage(struct loop *loop)
{
    while (loop->n_garbage > 0) {
        struct garbage g = loop->garbage[--loop->n_garbage]; /* freeing may add more */
        g.free_fn(g.obj);
    }
}

void loop_destroy(struct loop **pointer)
{
    struct loop *loop = *pointer;
    if (loop == NULL) {
        return;
    }
    *pointer = NULL;
    for (struct list *l; (l = list_pop(&loop->closers)) != NULL;) {
        struct loop_closer *closer = container_of(l, struct loop_closer, link);
        closer->close(closer);
    }
    free_garbage(loop);
    for (struct list *l; (l = list_pop(&loop->signals)) != NULL;) {
        struct signal_watch *watch = container_of(l, struct signal_watch, link);
        event_free(watch->event);
        mem_free(watch);
    }
    if (loop->base != NULL) {
        postbox_fini(&loop->postbox);
        hangup_set_fini(&loop->hangups);
        event_base_free(loop->base);
    }
    if (loop->read_chunk != NULL) {
        chunk_unref(loop->read_chunk);
    }
    mem_free(loop->garbage);
    mem_free(loop->scratch);
    mem_free(loop);
}

/* Every deliver task, also those that are added meanwhile; the bound keeps a task that re-queues itself from starving
 * the flushes. */
static void run_deliveries(struct loop *loop)
{
    for (unsigned i = 0; i < DELIVERIES_A_ROUND; i++) {
        struct list *l = list_pop(&loop->deliver);
        if (l == NULL) {
            return;
        }
        struct loop_task *task = container_of(l, struct loop_task, link);
        task->run(task);
    }
}

/* From the innermost transport down to the sockets. What a flush makes dirty further out is flushed in this pass. */
static void run_flushes(struct loop *loop)
{
    for (unsigned level = LEVELS; level-- > 0;) {
        if ((loop->flush_levels & (UINT32_C(1) << level)) == 0) {
            continue;
        }
        loop->flush_levels &= ~(UINT32_C(1) << level);
        struct list batch; /* a task that queues itself again waits for the next round */
        list_init(&batch);
        list_insert_before(loop->flush[level].next, &batch);
        list_remove(&loop->flush[level]);
        for (struct list *l; (l = list_pop(&batch)) != NULL;) {
            struct loop_task *task = container_of(l, struct loop_task, link);
            task->run(task);
        }
    }
}

static bool tasks_waiting(const struct loop *loop)
{
    return loop->flush_levels != 0 || !list_is_empty(&loop->deliver);
}

static void run_tasks(struct loop *loop)
{
    for (unsigned round = 0; round < ROUNDS_A_TURN && tasks_waiting(loop); round++) {
        run_deliveries(loop);
        run_flushes(loop);
    }
}

static void arm_tick(struct loop *loop)
{
    int64_t next = wheel_next(&loop->wheel);
    if (next >= loop->tick_at_us) {
        return; /* it wakes us soon enough; too soon costs one empty turn, re-arming costs one in every turn */
    }
    int64_t in_us = next - loop_now_us(loop);
    if (in_us < 0) {
        in_us = 0;
    }
    struct timeval tv = {.tv_sec = in_us / 1000000, .tv_usec = in_us % 1000000};
    event_add(&loop->tick, &tv);
    loop->tick_at_us = next;
}

void loop_turn(struct loop *loop, bool wait)
{
    bool sleep = wait && !tasks_waiting(loop) && loop->n_garbage == 0;
    if (sleep) {
        arm_tick(loop);
    }
    loop->now_us = loop->wall_us = 0; /* read again by the first who asks after the sleep */
    event_base_loop(loop->base, EVLOOP_ONCE | (sleep ? 0 : EVLOOP_NONBLOCK));
    wheel_advance(&loop->wheel, loop_now_us(loop));
    run_tasks(loop);
    free_garbage(loop);
}

void loop_run(struct loop *loop)
{
    loop->stop = false;
    while (!loop->stop) {
        loop_turn(loop, true);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stop = true;
}

unsigned loop_index(const struct loop *loop)
{
    return loop->index;
}

int64_t loop_now_us(const struct loop *loop)
{
    struct loop *l = (struct loop *)loop; /* the cache is not part of what a caller sees change */
    if (l->now_us == 0) {
        l->now_us = clock_mono_us();
    }
    return l->now_us;
}

int64_t loop_wall_us(const struct loop *loop)
{
    struct loop *l = (struct loop *)loop;
    if (l->wall_us == 0) {
        l->wall_us = clock_wall_us();
    }
    return l->wall_us;
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
    list_init(&task->link);
    task->run = run;
}

/* Memory that is only zeroed is a task that is not queued. */
static bool is_queued(const struct loop_task *task)
{
    return task->link.next != NULL && !list_is_empty(&task->link);
}

void loop_deliver(struct loop *loop, struct loop_task *task)
{
    if (!is_queued(task)) {
        list_push(&loop->deliver, &task->link);
    }
}

void loop_flush(struct loop *loop, struct loop_task *task, unsigned level)
{
    assert(level < LEVELS);
    if (!is_queued(task)) {
        list_push(&loop->flush[level], &task->link);
        loop->flush_levels |= UINT32_C(1) << level;
    }
}

void loop_task_cancel(struct loop_task *task)
{
    if (is_queued(task)) {
        list_remove(&task->link);
    }
}

void loop_free_later(struct loop *loop, void (*free_fn)(void *obj), void *obj)
{
    if (loop->n_garbage == loop->cap_garbage) {
        loop->cap_garbage = loop->cap_garbage == 0 ? 64 : loop->cap_garbage * 2;
        loop->garbage = mem_resize(loop->garbage, loop->cap_garbage * sizeof *loop->garbage);
    }
    loop->garbage[loop->n_garbage++] = (struct garbage){free_fn, obj};
}

void timer_init(struct timer *timer, struct loop *loop, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.loop = loop, .fire = fire};
    list_init(&timer->link);
}

void timer_set_in(struct timer *timer, uint64_t delay_ms)
{
    int64_t delay_us = delay_ms > INT64_MAX / 4000 ? INT64_MAX / 4 : (int64_t)delay_ms * 1000;
    timer->deadline_us = loop_now_us(timer->loop) + delay_us;
    if (!list_is_empty(&timer->link)) {
        if (timer->slot_us <= timer->deadline_us) {
            return; /* moved later: found again when its slot comes */
        }
        list_remove(&timer->link);
    }
    wheel_add(&timer->loop->wheel, timer);
}

void timer_cancel(struct timer *timer)
{
    if (timer->deadline_us != 0) {
        timer->deadline_us = 0;
        list_remove(&timer->link);
    }
}

bool timer_is_set(const struct timer *timer)
{
    return timer->deadline_us != 0;
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    (void)what;
    struct signal_watch *watch = arg;
    watch->fn(watch->ctx, (int)signo);
}

void loop_on_signal(struct loop *loop, int signo, void (*fn)(void *ctx, int signo), void *ctx)
{
    struct signal_watch *watch = mem_alloc(sizeof *watch);
    watch->fn = fn;
    watch->ctx = ctx;
    watch->event = evsignal_new(loop->base, signo, on_signal, watch);
    event_add(watch->event, NULL);
    list_push(&loop->signals, &watch->link);
}

struct chunk *loop_read_space(struct loop *loop, size_t *off, size_t *room)
{
    struct chunk *c = loop->read_chunk;
    if (c != NULL && chunk_refs(c) == 1) {
        loop->read_end = 0;
    } else if (c != NULL && chunk_cap(c) - loop->read_end < READ_ROOM_MIN) {
        chunk_unref(c);
        c = NULL;
    }
    if (c == NULL) {
        c = loop->read_chunk = chunk_create(READ_CHUNK);
        loop->read_end = 0;
        /* Marks all of it as used, so that nobody who shares a piece appends in place behind it: that is ours. */
        struct buf whole;
        buf_init(&whole);
        buf_append_chunk(&whole, c, 0, chunk_cap(c));
        buf_fini(&whole);
    }
    *off = loop->read_end;
    *room = chunk_cap(c) - loop->read_end;
    return c;
}

void loop_read_done(struct loop *loop, size_t end)
{
    size_t aligned = (end + 63) & ~(size_t)63;
    loop->read_end = aligned < chunk_cap(loop->read_chunk) ? aligned : chunk_cap(loop->read_chunk);
}

unsigned char *loop_scratch(struct loop *loop)
{
    if (loop->scratch == NULL) {
        loop->scratch = mem_alloc(LOOP_SCRATCH);
    }
    return loop->scratch;
}

void loop_adopt(struct loop *loop, struct loop_closer *closer)
{
    list_push(&loop->closers, &closer->link);
}
