/*
 * log_ring: a bounded ring of bytes between many threads that add records and one that takes them. Adding copies,
 * never waits and takes no lock: a record that does not fit is refused. Records come out in the order in which their
 * room was claimed.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct log_ring;

struct log_record {
    void *owner; /* as given */
    struct slice bytes;
};

struct log_ring *log_ring_create(size_t bytes); /* rounded up to a power of two */
void log_ring_destroy(struct log_ring **r);
size_t log_ring_record_max(const struct log_ring *r); /* longest record it takes */

/* Any thread. False: no room, or too long. */
bool log_ring_add(struct log_ring *r, void *owner, struct slice bytes);
/* Where the next record will go: all that was added before this call stands before it. Sequentially consistent, as
 * adding is: a reader that says it sleeps and then sees no news cannot have missed any. */
uint64_t log_ring_tail(const struct log_ring *r);

/* The one reader: the next records, at most max, which stay valid until log_ring_drop gives their room back. */
size_t log_ring_peek(struct log_ring *r, struct log_record *out, size_t max);
void log_ring_drop(struct log_ring *r); /* what the last peek returned */
uint64_t log_ring_head(const struct log_ring *r);
