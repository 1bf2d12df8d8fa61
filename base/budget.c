#include "base/budget.h"

void budget_init(struct budget *b, uint64_t limit)
{
    b->limit = limit;
    b->holders = 0;
    atomic_init(&b->used, 0);
    atomic_init(&b->pressed, 0);
    atomic_init(&b->waits, 0);
    list_init(&b->waiting);
}

/* Only the owner's thread writes: no locked instruction is needed. */
static void store(_Atomic uint64_t *figure, uint64_t value)
{
    atomic_store_explicit(figure, value, memory_order_relaxed);
}

static void count(_Atomic uint64_t *figure)
{
    store(figure, atomic_load_explicit(figure, memory_order_relaxed) + 1);
}

enum budget_pressure budget_pressure(const struct budget *b)
{
    uint64_t used = budget_used(b), half = b->limit / 2;
    if (b->limit == 0 || used < half) {
        return BUDGET_FREE;
    }
    return used >= b->limit ? BUDGET_SPENT : used - half >= half / 2 ? BUDGET_TIGHT : BUDGET_HALF;
}

void budget_take(struct budget *b, uint64_t *held, uint64_t n)
{
    if (n == 0) {
        return;
    }
    bool was_free = budget_pressure(b) == BUDGET_FREE;
    b->holders += *held == 0;
    *held += n;
    store(&b->used, budget_used(b) + n);
    if (was_free && budget_pressure(b) != BUDGET_FREE) {
        count(&b->pressed);
    }
}

void budget_give(struct budget *b, uint64_t *held, uint64_t n)
{
    n = n < *held ? n : *held;
    if (n == 0) {
        return;
    }
    *held -= n;
    b->holders -= *held == 0;
    store(&b->used, budget_used(b) - n);
    if (!list_is_empty(&b->waiting) && budget_pressure(b) != BUDGET_SPENT) {
        for (struct list *l; (l = list_pop(&b->waiting)) != NULL;) {
            struct budget_waiter *waiter = container_of(l, struct budget_waiter, link);
            waiter->resume(waiter);
        }
    }
}

void budget_set(struct budget *b, uint64_t *held, uint64_t n)
{
    if (n > *held) {
        budget_take(b, held, n - *held);
    } else {
        budget_give(b, held, *held - n);
    }
}

bool budget_is_over_share(const struct budget *b, uint64_t held)
{
    return budget_pressure(b) == BUDGET_SPENT && held > b->limit / (b->holders > 0 ? b->holders : 1);
}

void budget_wait(struct budget *b, struct budget_waiter *waiter)
{
    if (list_is_empty(&waiter->link)) {
        list_push(&b->waiting, &waiter->link);
        count(&b->waits);
    }
}
