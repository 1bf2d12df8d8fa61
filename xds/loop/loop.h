/*
 * loop: the control server's event loop (libevent behind it). One thread runs it and owns everything made from
 * it; only loop_post and loop_stop may be called from other threads.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct loop_timer;
struct loop_fd;
struct loop_signal;

struct loop *loop_create(struct err *err);
void loop_destroy(struct loop **loop); /* after everything made from it; posted calls that did not run are dropped */
void loop_run(struct loop *loop);      /* returns after loop_stop */
void loop_stop(struct loop *loop);     /* any thread */
/* Runs fn(ctx) in the loop's thread, in the order of posting. Any thread. */
void loop_post(struct loop *loop, void (*fn)(void *ctx), void *ctx);

struct loop_timer *loop_timer_create(struct loop *loop, void (*fn)(void *ctx), void *ctx);
void loop_timer_destroy(struct loop_timer **timer);
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms); /* once; starting again moves it */
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);

/* Calls fn while fd is readable. The fd stays the caller's. */
struct loop_fd *loop_fd_create(struct loop *loop, int fd, void (*fn)(void *ctx), void *ctx);
void loop_fd_destroy(struct loop_fd **watch);

struct loop_signal *loop_signal_create(struct loop *loop, int number, void (*fn)(void *ctx), void *ctx);
void loop_signal_destroy(struct loop_signal **signal);

/* For this room's other files: the libevent base underneath. */
struct event_base *loop_event_base(struct loop *loop);
