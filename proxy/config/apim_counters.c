#include "proxy/config/apim_counters.h"

#include <stdatomic.h>

#include "base/mem.h"

/*
 * Open addressing in memory that costs nothing before it is touched. A slot is taken for good: what has no counter any
 * more is forgotten with the process. When the places for a key are all taken it shares the last one, which limits
 * sooner, never later.
 */
enum { SLOTS = 1 << 18, ENTER_SLOTS = 1 << 12, PROBES = 64 };

struct slot {
    _Atomic uint64_t key;   /* 0: free */
    _Atomic uint64_t state; /* start of the window in seconds << 32 | calls in it */
};

struct apim_counters {
    unsigned refs;
    _Atomic(struct slot *) slots;   /* NULL until the first use */
    _Atomic(struct slot *) entered; /* likewise; state is how many are in. Keys are literals of policies: few */
};

struct apim_counters *apim_counters_create(void)
{
    struct apim_counters *c = mem_alloc(sizeof *c);
    c->refs = 1;
    atomic_init(&c->slots, NULL);
    atomic_init(&c->entered, NULL);
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
        mem_free(atomic_load(&old->entered));
        mem_free(old);
    }
}

/* The table, made by whoever counts first. */
static struct slot *slots_of(_Atomic(struct slot *) *table, size_t n)
{
    struct slot *slots = atomic_load_explicit(table, memory_order_acquire);
    if (slots != NULL) {
        return slots;
    }
    struct slot *fresh = mem_alloc(n * sizeof *fresh); /* zeroed */
    if (atomic_compare_exchange_strong(table, &slots, fresh)) {
        return fresh;
    }
    mem_free(fresh);
    return slots;
}

static struct slot *find(struct slot *slots, size_t n, uint64_t key)
{
    struct slot *s = NULL;
    key = key == 0 ? 1 : key;
    for (size_t i = 0; i < PROBES; i++) {
        uint64_t there = 0;
        s = &slots[(key + i) & (n - 1)];
        if (atomic_load_explicit(&s->key, memory_order_relaxed) == key ||
            atomic_compare_exchange_strong(&s->key, &there, key) || there == key) {
            return s;
        }
    }
    return s;
}

bool apim_counters_use(struct apim_counters *c, const struct apim_use *use, struct apim_used *out)
{
    struct slot *s = find(slots_of(&c->slots, SLOTS), SLOTS, use->key);
    uint64_t now = use->now_s & UINT32_MAX, state = atomic_load(&s->state), next;
    do {
        uint64_t start = state >> 32;
        uint32_t count = (uint32_t)state;
        /* another worker's clock may be a turn ahead of ours: its window is not over because it begins after our now */
        if (count == 0 || (use->period_s != 0 && now >= start && now - start >= use->period_s)) {
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

bool apim_counters_enter(struct apim_counters *c, uint64_t key, uint32_t most)
{
    struct slot *s = find(slots_of(&c->entered, ENTER_SLOTS), ENTER_SLOTS, key);
    uint64_t in = atomic_load(&s->state);
    do {
        if (in >= most) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&s->state, &in, in + 1));
    return true;
}

void apim_counters_leave(struct apim_counters *c, uint64_t key)
{
    atomic_fetch_sub(&find(slots_of(&c->entered, ENTER_SLOTS), ENTER_SLOTS, key)->state, 1);
}
