#include "proxy/observe/log_ring.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/*
 * Memory is cut in units of 16 bytes. A record is a header unit and its bytes; `size` is written last, so that the
 * reader stops at a record whose writer is still copying. Claimed room holds zeros until then: the reader wipes what
 * it gives back. A record never wraps: what is left at the end is claimed with it and filled by a header without owner.
 */
enum { UNIT = 16 };

struct header {
    _Atomic uint32_t size; /* whole record in bytes, header included; 0: not there yet */
    uint32_t length;       /* of the payload */
    void *owner;           /* NULL: filler */
};
_Static_assert(sizeof(struct header) == UNIT, "a header is one unit");

struct log_ring {
    char *memory;
    size_t bytes;
    _Alignas(64) _Atomic uint64_t tail; /* claimed so far, ever growing */
    _Alignas(64) _Atomic uint64_t head; /* given back so far */
    _Alignas(64) uint64_t peeked;       /* the reader's: end of what the last peek returned */
};

struct log_ring *log_ring_create(size_t bytes)
{
    size_t size = 4096;
    while (size < bytes) {
        size *= 2;
    }
    struct log_ring *r = aligned_alloc(64, sizeof *r);
    assert(r != NULL);
    memset(r, 0, sizeof *r);
    r->memory = mem_alloc(size);
    r->bytes = size;
    return r;
}

void log_ring_destroy(struct log_ring **ring)
{
    struct log_ring *r = *ring;
    *ring = NULL;
    if (r != NULL) {
        mem_free(r->memory);
        free(r);
    }
}

size_t log_ring_record_max(const struct log_ring *r)
{
    return r->bytes / 4;
}

static struct header *header_at(const struct log_ring *r, uint64_t at)
{
    return (struct header *)(void *)(r->memory + (at & (r->bytes - 1)));
}

static void publish(struct header *h, void *owner, size_t length, size_t size)
{
    h->owner = owner;
    h->length = (uint32_t)length;
    atomic_store_explicit(&h->size, (uint32_t)size, memory_order_release);
}

bool log_ring_add(struct log_ring *r, void *owner, struct slice bytes)
{
    assert(owner != NULL);
    if (bytes.n > log_ring_record_max(r)) {
        return false;
    }
    size_t size = (UNIT + bytes.n + UNIT - 1) / UNIT * UNIT, filler;
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    do {
        size_t to_end = r->bytes - (size_t)(tail & (r->bytes - 1));
        filler = to_end < size ? to_end : 0;
        uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
        /* Signed: the head may have passed a tail that is out of date, and then the exchange fails. */
        if ((int64_t)(tail + filler + size - head) > (int64_t)r->bytes) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&r->tail, &tail, tail + filler + size, memory_order_seq_cst,
                                                    memory_order_relaxed));
    if (filler > 0) {
        publish(header_at(r, tail), NULL, 0, filler);
    }
    struct header *h = header_at(r, tail + filler);
    if (bytes.n > 0) {
        memcpy(h + 1, bytes.p, bytes.n);
    }
    publish(h, owner, bytes.n, size);
    return true;
}

uint64_t log_ring_tail(const struct log_ring *r)
{
    return atomic_load(&r->tail);
}

uint64_t log_ring_head(const struct log_ring *r)
{
    return atomic_load_explicit(&r->head, memory_order_relaxed);
}

size_t log_ring_peek(struct log_ring *r, struct log_record *out, size_t max)
{
    uint64_t at = log_ring_head(r), tail = log_ring_tail(r);
    size_t n = 0;
    while (at < tail && n < max) {
        struct header *h = header_at(r, at);
        uint32_t size = atomic_load_explicit(&h->size, memory_order_acquire);
        if (size == 0) {
            break;
        }
        if (h->owner != NULL) {
            out[n++] = (struct log_record){h->owner, slice_make(h + 1, h->length)};
        }
        at += size;
    }
    r->peeked = at;
    return n;
}

void log_ring_drop(struct log_ring *r)
{
    for (uint64_t at = log_ring_head(r); at < r->peeked;) {
        struct header *h = header_at(r, at);
        uint32_t size = atomic_load_explicit(&h->size, memory_order_relaxed);
        memset((void *)h, 0, size);
        at += size;
    }
    atomic_store_explicit(&r->head, r->peeked, memory_order_release);
}
