/* The index over a long list of routes (compiled.h). */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "proxy/route/compiled.h"

enum bucket { BUCKET_EXACT, BUCKET_PREFIX, BUCKET_OTHER };

static enum bucket bucket_of(const struct route_entry *e)
{
    if (e->conf->ignore_case) {
        return BUCKET_OTHER;
    }
    switch (e->conf->path_kind) {
    case ROUTE_PATH_EXACT:
        return BUCKET_EXACT;
    case ROUTE_PATH_PREFIX:
    case ROUTE_PATH_SEPARATED_PREFIX:
        return BUCKET_PREFIX;
    case ROUTE_PATH_REGEX:
    case ROUTE_PATH_CONNECT:
        break;
    }
    return BUCKET_OTHER;
}

/* What the sort orders by: bucket, text, position. */
struct item {
    enum bucket bucket;
    struct slice text;
    uint32_t position;
};

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->bucket != y->bucket) {
        return x->bucket < y->bucket ? -1 : 1;
    }
    int order = x->bucket == BUCKET_OTHER ? 0 : slice_cmp(x->text, y->text);
    if (order != 0) {
        return order;
    }
    return x->position < y->position ? -1 : x->position > y->position;
}

static bool same_group(const struct item *a, const struct item *b)
{
    return a->bucket == b->bucket && slice_eq(a->text, b->text);
}

/* Items of the first two buckets become groups; returns how many items those are. */
static uint32_t build_groups(struct route_index *ix, const struct item *items, uint32_t count,
                             const uint32_t *positions, struct arena *arena)
{
    struct route_group *groups = arena_alloc(arena, count * sizeof *groups);
    uint32_t group_count = 0, i = 0;
    hash_index_init(&ix->exact, count, arena);
    hash_index_init(&ix->prefix, count, arena);
    while (i < count && items[i].bucket != BUCKET_OTHER) {
        uint32_t n = 1;
        while (i + n < count && same_group(&items[i], &items[i + n])) {
            n++;
        }
        groups[group_count] = (struct route_group){items[i].text, positions + i, n};
        struct hash_index *to = items[i].bucket == BUCKET_EXACT ? &ix->exact : &ix->prefix;
        hash_index_add(to, plain_hash(items[i].text), group_count++);
        i += n;
    }
    ix->groups = groups;
    return i;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void build_lengths(struct route_index *ix, const struct item *items, uint32_t count, struct arena *arena)
{
    uint32_t *lengths = arena_alloc(arena, count * sizeof *lengths);
    uint32_t all = 0, kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].bucket == BUCKET_PREFIX) {
            lengths[all++] = (uint32_t)items[i].text.n;
        }
    }
    qsort(lengths, all, sizeof *lengths, compare_u32);
    for (uint32_t i = 0; i < all; i++) {
        if (kept == 0 || lengths[kept - 1] != lengths[i]) {
            lengths[kept++] = lengths[i];
        }
    }
    ix->lengths = lengths;
    ix->length_count = kept;
}

const struct route_index *route_index_build(const struct route_entry *entries, uint32_t count, struct arena *arena)
{
    struct item *items = mem_alloc(count * sizeof *items);
    for (uint32_t i = 0; i < count; i++) {
        items[i] = (struct item){bucket_of(&entries[i]), entries[i].conf->path, i};
    }
    qsort(items, count, sizeof *items, compare_items);
    uint32_t *positions = arena_alloc(arena, count * sizeof *positions);
    for (uint32_t i = 0; i < count; i++) {
        positions[i] = items[i].position;
    }
    struct route_index *ix = arena_zalloc(arena, sizeof *ix);
    uint32_t indexed = build_groups(ix, items, count, positions, arena);
    build_lengths(ix, items, count, arena);
    ix->others = positions + indexed;
    ix->other_count = count - indexed;
    mem_free(items);
    return ix;
}
