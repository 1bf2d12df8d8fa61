/*
 * grave: how a shared configuration object ends. Any thread may drop the last reference; the memory goes on the main
 * thread only, a slice at a time (DATAPLANE 7): the object is pushed on a lock-free list that store_reclaim drains.
 * An object without a graveyard (made by hand, in a test) is freed on the spot.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct grave {
    struct grave *next;
    struct graveyard *yard; /* NULL: freed on the spot */
    void (*free)(struct grave *grave);
};

struct graveyard {
    _Atomic(struct grave *) dead; /* pushed by any thread */
    struct grave *digging;        /* taken off that list, not freed yet: main thread */
};

void graveyard_init(struct graveyard *y);
/* Frees at most max objects; what they held may die in turn. true: some are left. Main thread. */
bool graveyard_dig(struct graveyard *y, size_t max);
/* Any thread. free receives the grave and owns what is around it. */
void grave_bury(struct grave *g, void (*free)(struct grave *grave));

/* What an object owns outside of its arena, last made first. The nodes live in that arena. */
struct cleanup {
    struct cleanup *next;
    void (*run)(void *object);
    void *object;
};
void cleanup_run(struct cleanup *list);
