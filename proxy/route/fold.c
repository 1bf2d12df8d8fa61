#include "proxy/route/fold.h"

#include <string.h>

#include "base/arena.h"

uint64_t fold_hash(struct slice s)
{
    uint64_t hash = FOLD_START;
    for (size_t i = 0; i < s.n; i++) {
        hash = fold_byte(hash, (unsigned char)ascii_lower(s.p[i]));
    }
    return hash;
}

uint64_t plain_hash(struct slice s)
{
    uint64_t hash = FOLD_START;
    for (size_t i = 0; i < s.n; i++) {
        hash = fold_byte(hash, (unsigned char)s.p[i]);
    }
    return hash;
}

void hash_index_init(struct hash_index *index, size_t count, struct arena *arena)
{
    uint32_t slots = 2;
    while (slots < count * 2) {
        slots *= 2;
    }
    index->mask = slots - 1;
    index->slots = arena_zalloc(arena, slots * sizeof *index->slots);
}

/* FNV's low bits hang on the last bytes only; the high half is folded in. */
static uint32_t home_of(uint64_t hash)
{
    return (uint32_t)(hash ^ (hash >> 32));
}

void hash_index_add(struct hash_index *index, uint64_t hash, uint32_t position)
{
    uint32_t at = home_of(hash) & index->mask;
    while (index->slots[at].value != 0) {
        at = (at + 1) & index->mask;
    }
    index->slots[at] = (struct hash_slot){hash, position + 1};
}

bool hash_index_next(const struct hash_index *index, uint64_t hash, uint32_t *cursor, uint32_t *position)
{
    if (index->slots == NULL) {
        return false;
    }
    for (;;) {
        const struct hash_slot *slot = &index->slots[(home_of(hash) + *cursor) & index->mask];
        if (slot->value == 0) {
            return false;
        }
        (*cursor)++;
        if (slot->hash == hash) {
            *position = slot->value - 1;
            return true;
        }
    }
}
