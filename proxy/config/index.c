#include "proxy/config/index.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { SHARDS = 64 };

struct shard {
    unsigned refs;
    uint32_t n, mask; /* mask + 1 slots */
    const void **objects;
    uint32_t *slots; /* position + 1; 0: free */
};

struct index {
    unsigned refs; /* counted on the main thread only */
    const struct index_kind *kind;
    size_t before[SHARDS + 1]; /* objects in the shards before this one */
    struct shard *shards[SHARDS];
};

static uint64_t hash_of(const struct index_kind *kind, const void *object)
{
    return slice_hash(kind->key(object), 0);
}

static unsigned shard_of(uint64_t hash)
{
    return (unsigned)(hash >> 58);
}

static void shard_unref(const struct index_kind *kind, struct shard *s)
{
    if (s == NULL || --s->refs > 0) {
        return;
    }
    for (uint32_t i = 0; i < s->n && kind->unref != NULL; i++) {
        kind->unref(s->objects[i]);
    }
    mem_free(s->objects);
    mem_free(s->slots);
    mem_free(s);
}

static void shard_file(struct shard *s, uint64_t hash, uint32_t position)
{
    uint32_t at = (uint32_t)hash & s->mask;
    while (s->slots[at] != 0) {
        at = (at + 1) & s->mask;
    }
    s->slots[at] = position + 1;
}

static struct shard *shard_create(const struct index_kind *kind, const void **objects, uint32_t n)
{
    struct shard *s = mem_alloc(sizeof *s);
    uint32_t slots = 4;
    while (slots < n * 2) {
        slots *= 2;
    }
    *s = (struct shard){.refs = 1, .n = n, .mask = slots - 1, .objects = objects};
    s->slots = mem_alloc(slots * sizeof *s->slots);
    for (uint32_t i = 0; i < n; i++) {
        if (kind->ref != NULL) {
            kind->ref(objects[i]);
        }
        shard_file(s, hash_of(kind, objects[i]), i);
    }
    return s;
}

/* The position of exactly this object. */
static uint32_t shard_locate(const struct shard *s, uint64_t hash, const void *object)
{
    uint32_t at = (uint32_t)hash & s->mask;
    while (s->slots[at] != 0 && s->objects[s->slots[at] - 1] != object) {
        at = (at + 1) & s->mask;
    }
    assert(s->slots[at] != 0); /* what is removed was there */
    return s->slots[at] - 1;
}

struct edit {
    const void **gone, **come; /* of one shard */
    uint32_t n_gone, n_come;
};

static struct shard *shard_edit(const struct index_kind *kind, const struct shard *old, const struct edit *edit)
{
    uint32_t had = old == NULL ? 0 : old->n;
    assert(edit->n_gone <= had);
    uint32_t n = had - edit->n_gone + edit->n_come;
    if (n == 0) {
        return NULL;
    }
    const void **objects = mem_alloc((size_t)(had + edit->n_come + 1) * sizeof *objects);
    if (had > 0) {
        memcpy(objects, old->objects, had * sizeof *objects);
    }
    for (uint32_t i = 0; i < edit->n_gone; i++) {
        objects[shard_locate(old, hash_of(kind, edit->gone[i]), edit->gone[i])] = NULL;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < had; i++) {
        if (objects[i] != NULL) {
            objects[kept++] = objects[i];
        }
    }
    for (uint32_t i = 0; i < edit->n_come; i++) {
        objects[kept++] = edit->come[i];
    }
    assert(kept == n);
    return shard_create(kind, objects, n);
}

/* Splits the changes by shard: edits[] point into *store. */
static void split(const struct index_kind *kind, const struct index_change *changes, size_t n, struct edit *edits,
                  const void ***store)
{
    memset(edits, 0, SHARDS * sizeof *edits);
    for (size_t i = 0; i < n; i++) {
        edits[changes[i].old == NULL ? 0 : shard_of(hash_of(kind, changes[i].old))].n_gone += changes[i].old != NULL;
        edits[changes[i].now == NULL ? 0 : shard_of(hash_of(kind, changes[i].now))].n_come += changes[i].now != NULL;
    }
    const void **p = *store = mem_alloc((n * 2 + 1) * sizeof *p);
    for (unsigned s = 0; s < SHARDS; s++) {
        edits[s].gone = p;
        edits[s].come = p += edits[s].n_gone;
        p += edits[s].n_come;
        edits[s].n_gone = edits[s].n_come = 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (changes[i].old != NULL) {
            struct edit *e = &edits[shard_of(hash_of(kind, changes[i].old))];
            e->gone[e->n_gone++] = changes[i].old;
        }
        if (changes[i].now != NULL) {
            struct edit *e = &edits[shard_of(hash_of(kind, changes[i].now))];
            e->come[e->n_come++] = changes[i].now;
        }
    }
}

struct index *index_update(const struct index *old, const struct index_kind *kind, const struct index_change *changes,
                           size_t n)
{
    if (old != NULL && n == 0) {
        struct index *same = (struct index *)(uintptr_t)old;
        same->refs++;
        return same;
    }
    struct index *ix = mem_alloc(sizeof *ix);
    *ix = (struct index){.refs = 1, .kind = kind};
    struct edit edits[SHARDS];
    const void **store = NULL;
    split(kind, changes, n, edits, &store);
    for (unsigned s = 0; s < SHARDS; s++) {
        struct shard *was = old == NULL ? NULL : old->shards[s];
        if (edits[s].n_gone > 0 || edits[s].n_come > 0) {
            ix->shards[s] = shard_edit(kind, was, &edits[s]);
        } else if (was != NULL) {
            was->refs++;
            ix->shards[s] = was;
        }
        ix->before[s + 1] = ix->before[s] + (ix->shards[s] == NULL ? 0 : ix->shards[s]->n);
    }
    mem_free(store);
    return ix;
}

void index_unref(struct index **index)
{
    struct index *ix = *index;
    *index = NULL;
    if (ix == NULL || --ix->refs > 0) {
        return;
    }
    for (unsigned s = 0; s < SHARDS; s++) {
        shard_unref(ix->kind, ix->shards[s]);
    }
    mem_free(ix);
}

size_t index_count(const struct index *ix)
{
    return ix == NULL ? 0 : ix->before[SHARDS];
}

const void *index_at(const struct index *ix, size_t i)
{
    assert(i < index_count(ix));
    unsigned s = 0;
    while (ix->before[s + 1] <= i) {
        s++;
    }
    return ix->shards[s]->objects[i - ix->before[s]];
}

const void *index_next(const struct index *ix, struct slice key, uint32_t *cursor)
{
    if (ix == NULL) {
        return NULL;
    }
    uint64_t hash = slice_hash(key, 0);
    const struct shard *s = ix->shards[shard_of(hash)];
    if (s == NULL) {
        return NULL;
    }
    for (;;) {
        uint32_t slot = s->slots[((uint32_t)hash + *cursor) & s->mask];
        if (slot == 0 || *cursor > s->mask) {
            return NULL;
        }
        (*cursor)++;
        if (slice_eq(ix->kind->key(s->objects[slot - 1]), key)) {
            return s->objects[slot - 1];
        }
    }
}

const void *index_find(const struct index *ix, struct slice key)
{
    uint32_t cursor = 0;
    return index_next(ix, key, &cursor);
}
