/*
 * index: an immutable set of objects found by a key, in shards that are shared between versions: a new version copies
 * only the shards that changed (DATAPLANE 7, persistent indexes). Made and freed on the main thread; any thread reads.
 * An object's key must not change while an index holds it; several objects may have one key.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct index_kind {
    struct slice (*key)(const void *object);
    void (*ref)(const void *object);   /* taken for each shard the object stands in; may be NULL, unref too */
    void (*unref)(const void *object);
};

struct index_change {
    const void *old; /* NULL: added */
    const void *now; /* NULL: removed */
};

struct index;

/* `old` may be NULL (empty); it is not changed. Without changes it is `old` itself, referenced once more. */
struct index *index_update(const struct index *old, const struct index_kind *kind, const struct index_change *changes,
                           size_t n);
void index_unref(struct index **index);
size_t index_count(const struct index *index); /* NULL is empty, here and below */
const void *index_at(const struct index *index, size_t i);
const void *index_find(const struct index *index, struct slice key);
/* Every object with that key: start with *cursor == 0; NULL at the end. */
const void *index_next(const struct index *index, struct slice key, uint32_t *cursor);
