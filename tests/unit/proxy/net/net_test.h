/* What the tests of net share: a loop that gives up after five seconds, and an owner that records what it hears. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/net/transport.h"

struct owner {
    struct transport *t;
    struct buf got;
    bool opened, eof, closed;
    unsigned n_opened, n_readable, n_writable, n_closed;
    struct err why;
    bool keep;                         /* leaves the bytes in t->in */
    void (*then)(struct owner *owner); /* after each on_readable */
    void (*when_writable)(struct owner *owner);
    void *arg;
};

static inline void owner_on_open(void *ctx)
{
    struct owner *o = ctx;
    o->opened = true;
    o->n_opened++;
}

static inline void owner_on_readable(void *ctx)
{
    struct owner *o = ctx;
    o->n_readable++;
    o->eof = o->t->in_eof;
    if (!o->keep) {
        buf_move_all(&o->got, &o->t->in);
        transport_taken(o->t);
    }
    if (o->then != NULL) {
        o->then(o);
    }
}

static inline void owner_on_writable(void *ctx)
{
    struct owner *o = ctx;
    o->n_writable++;
    if (o->when_writable != NULL) {
        o->when_writable(o);
    }
}

static inline void owner_on_closed(void *ctx, const struct err *why)
{
    struct owner *o = ctx;
    o->closed = true;
    o->n_closed++;
    o->why = *why;
    o->t = NULL;
}

static const struct transport_events owner_events = {owner_on_open, owner_on_readable, owner_on_writable,
                                                     owner_on_closed};

static inline void owner_init(struct owner *o, struct transport *t)
{
    memset(o, 0, sizeof *o);
    buf_init(&o->got);
    o->t = t;
    if (t != NULL) {
        transport_own(t, &owner_events, o);
    }
}

static inline void owner_fini(struct owner *o)
{
    transport_close(&o->t, TRANSPORT_ABORT);
    buf_fini(&o->got);
}

static inline void owner_say(struct owner *o, const void *p, size_t n)
{
    struct buf b;
    buf_init(&b);
    buf_append(&b, p, n);
    transport_write(o->t, &b);
}

static inline void owner_say_str(struct owner *o, const char *text)
{
    owner_say(o, text, strlen(text));
}

static inline bool owner_has(struct owner *o, const char *text)
{
    size_t n = strlen(text);
    return o->got.len == n && (n == 0 || memcmp(buf_pullup(&o->got, n).p, text, n) == 0);
}

/* Turns the loop until the condition holds; fails the test after five seconds. */
#define RUN_UNTIL(loop, condition)                               \
    do {                                                         \
        int64_t give_up = clock_mono_us() + 5000000;             \
        while (!(condition)) {                                   \
            loop_turn((loop), false);                            \
            if (!(condition)) {                                  \
                usleep(200);                                     \
            }                                                    \
            if (clock_mono_us() > give_up) {                     \
                fail_msg("gave up waiting for: %s", #condition); \
            }                                                    \
        }                                                        \
    } while (0)

static inline void run_for_ms(struct loop *loop, unsigned ms)
{
    int64_t end = clock_mono_us() + (int64_t)ms * 1000;
    while (clock_mono_us() < end) {
        loop_turn(loop, false);
        usleep(500);
    }
}

static inline int given_loop(void **state)
{
    struct err err;
    struct loop *loop = loop_create(0, &err);
    *state = loop;
    return loop == NULL;
}

static inline int drop_loop(void **state)
{
    struct loop *loop = *state;
    loop_destroy(&loop);
    return 0;
}
