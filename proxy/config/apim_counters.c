#include "proxy/config/apim_counters.h"

#include <stdatomic.h>

#include "base/mem.h"

/*
 * Open addressing in memory that costs nothing before it is touched. A slot is taken for good: what has no counter any
 * more is forgotten with the process. When the places for a key are all taken it shares the last one, which limits
 * sooner, never later.
 */
enum { SLOTS = 1 << 18, PROBES = 64 };

struct slot {
    _Atomic uint64_t key;   /* 0: free */
    _Atomic uint64_t state; /* start of the window in seconds << 32 | calls in it */
};

struct apim_counters {
    unsigned refs;
    _Atomic(struct slot *) slots; /* NULL until the first use */
};

struct apim_counters *apim_counters_create(void)
{
    struct apim_counters *c = mem_alloc(sizeof *c);
    c->refs = 1;
    atomic_init(&c->slots, NULL);
    return c;
}

struct apim_counters *apim_counters_ref(struct apim_counters *c)
{
    c->refs++;
    return c;
}

void apim_counters_unref(struct apim_counters **c)
{
    struct apim_counters *old = *c;
    *c = NULL;
    if (old != NULL && --old->refs == 0) {
        mem_free(atomic_load(&old->slots));
        mem_free(old);
    }
}

/* The table, made by whoever counts first. */
static struct slot *slots_of(struct apim_counters *c)
{
    struct slot *slots = atomic_load_explicit(&c->slots, memory_order_acquire);
    if (slots != NULL) {
        return slots;
    }
    struct slot *fresh = mem_alloc(SLOTS * sizeof *fresh); /* zeroed */
    if (atomic_compare_exchange_strong(&c->slots, &slots, fresh)) {
        return fresh;
    }
    mem_free(fresh);
    return slots;
}

static struct slot *find(struct apim_counters *c, uint64_t key)
{
    struct slot *slots = slots_of(c), *s = NULL;
    key = key == 0 ? 1 : key;
    for (size_t i = 0; i < PROBES; i++) {
        uint64_t there = 0;
        s = &slots[(key + i) & (SLOTS - 1)];
        if (atomic_load_explicit(&s->key, memory_order_relaxed) == key ||
            atomic_compare_exchange_strong(&s->key, &there, key) || there == key) {
            return s;
        }
    }
    return s;
}

bool apim_counters_use(struct apim_counters *c, const struct apim_use *use, struct apim_used *out)
{
    struct slot *s = find(c, use->key);
    uint64_t now = use->now_s & UINT32_MAX, state = atomic_load(&s->state), next;
    do {
        uint64_t start = state >> 32;
        uint32_t count = (uint32_t)state;
        if (count == 0 || (use->period_s != 0 && now - start >= use->period_s)) {
            start = now;
            count = 0;
        }
        if (count >= use->calls) {
            *out = (struct apim_used){0, use->period_s == 0 ? 0 : (uint32_t)(start + use->period_s - now)};
            return false;
        }
        next = start << 32 | (count + 1);
        *out = (struct apim_used){use->calls - count - 1, 0};
    } while (!atomic_compare_exchange_weak(&s->state, &state, next));
    return true;
}
