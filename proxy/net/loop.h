/*
 * loop: one event loop per worker thread, and the turn (DATAPLANE 1).
 *
 * A turn: events of descriptors, timers and posted messages are delivered; then tasks run until none is left:
 * first every deliver task (tells an owner what happened), then flush tasks, highest level first (innermost
 * transport before the one that carries it); a flush may cause deliveries and the other way round. After a bounded
 * number of rounds the loop makes one non-blocking turn. Last, what was given to loop_free_later is freed.
 *
 * Up-calls (on_readable, on_closed, …) start only from a turn; down-calls (write, reset, close) never call up: they
 * queue a task. All functions but loop_post belong to the loop's own thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct budget;
struct loop;
struct event_base;

struct loop *loop_create(unsigned index, struct err *err); /* index: worker number, 0 = the main thread */
void loop_destroy(struct loop **loop);
void loop_run(struct loop *loop);  /* until loop_stop */
void loop_stop(struct loop *loop); /* from the loop's thread; ends after this turn */
struct budget *loop_inbox(struct loop *loop); /* what streams of this loop hold of bodies; no limit until somebody sets one */
unsigned loop_index(const struct loop *loop);
int64_t loop_now_us(const struct loop *loop); /* monotonic, read once a turn */
int64_t loop_wall_us(const struct loop *loop);
struct event_base *loop_base(struct loop *loop); /* for files inside net only */
/* One turn. wait: sleeps until something happens; false: only what is ready now. For tests and start-up. */
void loop_turn(struct loop *loop, bool wait);

/* Any thread: fn(arg) will run in the loop's thread. Order from one sender is kept. What is still queued when the loop
 * is destroyed is dropped. */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);

struct loop_task {
    struct list link;
    void (*run)(struct loop_task *task);
};
void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task));
void loop_deliver(struct loop *loop, struct loop_task *task);               /* no-op while queued */
void loop_flush(struct loop *loop, struct loop_task *task, unsigned level); /* no-op while queued; level < 32 */
void loop_task_cancel(struct loop_task *task);

void loop_free_later(struct loop *loop, void (*free_fn)(void *obj), void *obj);

/* Timers: deadlines on a wheel, resolution 4 ms; moving a deadline later costs a store. */
struct timer {
    struct list link;
    int64_t deadline_us; /* 0: not set */
    int64_t slot_us;     /* where it hangs on the wheel */
    struct loop *loop;
    void (*fire)(struct timer *timer);
};
void timer_init(struct timer *timer, struct loop *loop, void (*fire)(struct timer *timer));
void timer_set_in(struct timer *timer, uint64_t delay_ms); /* from now; replaces an earlier deadline */
void timer_cancel(struct timer *timer);
bool timer_is_set(const struct timer *timer);

void loop_on_signal(struct loop *loop, int signo, void (*fn)(void *ctx, int signo), void *ctx);
