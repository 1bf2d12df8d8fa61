/*
 * budget: bytes that one thread's objects hold for others, against a limit, in two steps of pressure. At the limit a
 * holder may wait until bytes were given back. One thread takes, gives and waits; any thread may read the figures.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum budget_pressure { BUDGET_FREE, BUDGET_HALF, BUDGET_TIGHT, BUDGET_SPENT }; /* below and from 1/2, 3/4, all */

struct budget_waiter { /* of who wants to hold more; unlinked when it is called, which must not give or take */
    struct list link;
    void (*resume)(struct budget_waiter *waiter);
};

struct budget {
    uint64_t limit;   /* 0: none */
    uint64_t holders; /* that hold anything */
    _Atomic uint64_t used;
    _Atomic uint64_t pressed, waits; /* how often half was passed, and how often somebody had to wait */
    struct list waiting;
};

void budget_init(struct budget *b, uint64_t limit);
/* *held: what the holder has of it. */
void budget_take(struct budget *b, uint64_t *held, uint64_t n);
void budget_give(struct budget *b, uint64_t *held, uint64_t n); /* n > *held: all */
void budget_set(struct budget *b, uint64_t *held, uint64_t n);  /* takes or gives what differs */
enum budget_pressure budget_pressure(const struct budget *b);
/* The limit is reached, and held is more than an equal share of it. */
bool budget_is_over_share(const struct budget *b, uint64_t held);
void budget_wait(struct budget *b, struct budget_waiter *waiter); /* no-op while it waits */

static inline uint64_t budget_used(const struct budget *b)
{
    return atomic_load_explicit(&b->used, memory_order_relaxed);
}
