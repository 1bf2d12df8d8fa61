/*
 * apim_counters: how often something was used in the window that runs now (rate-limit, quota), and how many are at
 * something at this moment (limit-concurrency). One table for the whole
 * process, handed from one apim_set to the next, so that a changed configuration forgets nothing. Any worker may count:
 * no locks, one atomic word a counter. References are counted on the main thread only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct apim_counters;

struct apim_counters *apim_counters_create(void);
struct apim_counters *apim_counters_ref(struct apim_counters *c);
void apim_counters_unref(struct apim_counters **c);

struct apim_use {
    uint64_t key;      /* what is counted; equal keys share a counter */
    uint32_t calls;    /* allowed in one window */
    uint32_t period_s; /* a window begins with its first use; 0: it never ends */
    uint64_t now_s;    /* of a clock that does not jump */
};
struct apim_used {
    uint32_t left;    /* calls after this one; 0 when refused */
    uint32_t again_s; /* refused: the window ends then; 0: never */
};
/* Counts one use. false: it was one too many, and does not count. */
bool apim_counters_use(struct apim_counters *c, const struct apim_use *use, struct apim_used *out);

/* Goes in unless `most` are in already. Whoever went in leaves once, with the same table. */
bool apim_counters_enter(struct apim_counters *c, uint64_t key, uint32_t most);
void apim_counters_leave(struct apim_counters *c, uint64_t key);
