#include "proxy/net/wheel.h"

#include <assert.h>

#include "proxy/net/loop.h"

enum { TICK_SHIFT = 12, RING_SHIFT = 6 };

static unsigned ring_shift(unsigned ring)
{
    return TICK_SHIFT + RING_SHIFT * ring;
}

void wheel_init(struct wheel *w, int64_t now_us)
{
    for (unsigned ring = 0; ring < WHEEL_RINGS; ring++) {
        w->used[ring] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++) {
            list_init(&w->slots[ring][slot]);
        }
    }
    w->now_us = now_us;
}

static void hang(struct wheel *w, struct timer *timer, unsigned ring, int64_t at)
{
    unsigned slot = (unsigned)at & (WHEEL_SLOTS - 1);
    timer->slot_us = at << ring_shift(ring);
    list_push(&w->slots[ring][slot], &timer->link);
    w->used[ring] |= UINT64_C(1) << slot;
}

void wheel_add(struct wheel *w, struct timer *timer)
{
    int64_t tick = (timer->deadline_us + (1 << TICK_SHIFT) - 1) >> TICK_SHIFT; /* up: never early */
    int64_t now_tick = w->now_us >> TICK_SHIFT;
    if (tick <= now_tick) {
        tick = now_tick + 1;
    }
    for (unsigned ring = 0; ring < WHEEL_RINGS; ring++) {
        int64_t at = tick >> (RING_SHIFT * ring);
        if (at - (w->now_us >> ring_shift(ring)) < WHEEL_SLOTS) {
            hang(w, timer, ring, at);
            return;
        }
    }
    /* Farther than the wheel reaches: looks again when the last slot comes. */
    hang(w, timer, WHEEL_RINGS - 1, (w->now_us >> ring_shift(WHEEL_RINGS - 1)) + WHEEL_SLOTS - 1);
}

/* The first slot of a ring that holds a timer; forgets those that were emptied by cancelling. */
static int64_t ring_next(struct wheel *w, unsigned ring)
{
    int64_t here = w->now_us >> ring_shift(ring);
    unsigned turn = (unsigned)here & (WHEEL_SLOTS - 1);
    while (w->used[ring] != 0) {
        uint64_t bits = w->used[ring];
        uint64_t rotated = turn == 0 ? bits : bits >> turn | bits << (WHEEL_SLOTS - turn);
        unsigned ahead = (unsigned)__builtin_ctzll(rotated);
        unsigned slot = (turn + ahead) & (WHEEL_SLOTS - 1);
        if (!list_is_empty(&w->slots[ring][slot])) {
            return (here + ahead) << ring_shift(ring);
        }
        w->used[ring] &= ~(UINT64_C(1) << slot);
    }
    return INT64_MAX;
}

int64_t wheel_next(struct wheel *w)
{
    int64_t next = INT64_MAX;
    for (unsigned ring = 0; ring < WHEEL_RINGS; ring++) {
        int64_t at = ring_next(w, ring);
        if (at < next) {
            next = at;
        }
    }
    return next;
}

static void take_slot(struct wheel *w, unsigned ring, struct list *out)
{
    unsigned slot = (unsigned)(w->now_us >> ring_shift(ring)) & (WHEEL_SLOTS - 1);
    struct list *head = &w->slots[ring][slot];
    for (struct list *l; (l = list_pop(head)) != NULL;) {
        list_push(out, l);
    }
    w->used[ring] &= ~(UINT64_C(1) << slot);
}

void wheel_advance(struct wheel *w, int64_t now_us)
{
    for (int64_t next; (next = wheel_next(w)) <= now_us;) {
        if (next > w->now_us) {
            w->now_us = next;
        }
        struct list due;
        list_init(&due);
        for (unsigned ring = 0; ring < WHEEL_RINGS; ring++) {
            if (ring_next(w, ring) <= w->now_us) {
                take_slot(w, ring, &due);
            }
        }
        /* Timers may cancel or set one another while they fire, so one is taken at a time. */
        for (struct list *l; (l = list_pop(&due)) != NULL;) {
            struct timer *timer = container_of(l, struct timer, link);
            if (timer->deadline_us > now_us) {
                wheel_add(w, timer);
                continue;
            }
            timer->deadline_us = 0;
            timer->fire(timer);
        }
    }
    if (now_us > w->now_us) {
        w->now_us = now_us;
    }
}
