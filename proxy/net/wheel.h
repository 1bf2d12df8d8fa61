/*
 * wheel: the loop's timers, hashed by deadline on five rings of 64 slots. A slot of ring 0 is 4.096 ms wide, of each
 * further ring 64 times that; a timer that waits on an outer ring moves inwards when its slot comes. So a thousand
 * idle timeouts of an hour cost a wake-up every few minutes, not every tick. Owned by a loop.
 */
#pragma once
#include <stdint.h>

#include "base/list.h"

enum { WHEEL_RINGS = 5, WHEEL_SLOTS = 64 };

struct timer;

struct wheel {
    struct list slots[WHEEL_RINGS][WHEEL_SLOTS];
    uint64_t used[WHEEL_RINGS]; /* bit: the slot may hold timers */
    int64_t now_us;             /* every slot that starts at or before it has been handled */
};

void wheel_init(struct wheel *w, int64_t now_us);
void wheel_add(struct wheel *w, struct timer *timer); /* by timer->deadline_us; sets slot_us */
int64_t wheel_next(struct wheel *w);                  /* when wheel_advance has something to do; INT64_MAX: never */
void wheel_advance(struct wheel *w, int64_t now_us);  /* fires what is due */
