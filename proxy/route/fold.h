/*
 * Case-folding hashes (ASCII, FNV-1a) and a small immutable hash index over them. The keys come from
 * configuration, never from a request, so a peer cannot choose collisions.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct arena;

#define FOLD_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t fold_byte(uint64_t hash, unsigned char c)
{
    return (hash ^ c) * UINT64_C(0x100000001b3);
}

uint64_t fold_hash(struct slice s);  /* upper and lower case alike */
uint64_t plain_hash(struct slice s); /* the same function, case kept */

/* From hash to the positions given at build time. Built once, then read by any thread. */
struct hash_index {
    uint32_t mask;
    struct hash_slot *slots;
};

struct hash_slot {
    uint64_t hash;
    uint32_t value; /* position + 1; 0: free */
};

/* Room for `count` entries, in the arena. */
void hash_index_init(struct hash_index *index, size_t count, struct arena *arena);
void hash_index_add(struct hash_index *index, uint64_t hash, uint32_t position);

/*
 * Walks the positions filed under `hash`: start with *cursor == 0. Other keys may have the same hash: the caller
 * compares. false when there is no more.
 */
bool hash_index_next(const struct hash_index *index, uint64_t hash, uint32_t *cursor, uint32_t *position);
