/* backoff: how long to wait before the next attempt: up to a bound that doubles, at random below it, so that the
 * clients of a restarted server do not all come at once. A plain value; pure. */
#pragma once
#include <stdint.h>

struct backoff {
    uint32_t base_ms, cap_ms;
    unsigned attempts;
};

enum { BACKOFF_LEAST_MS = 20 };

static inline uint32_t backoff_next_ms(struct backoff *b, uint32_t random)
{
    uint64_t bound = (uint64_t)b->base_ms << (b->attempts < 16 ? b->attempts : 16);
    b->attempts++;
    uint32_t below = bound < b->cap_ms ? (uint32_t)bound : b->cap_ms;
    uint32_t wait = random % below;
    return wait < BACKOFF_LEAST_MS ? BACKOFF_LEAST_MS : wait;
}

static inline void backoff_reset(struct backoff *b)
{
    b->attempts = 0;
}
