/*
 * buf: bytes in a chain of reference-counted pooled chunks. Moving and sharing never copies. One thread.
 * A buf is a plain value in its owner's memory (buf_init / buf_fini). Chunks are immutable once shared;
 * only the unshared tail of the last chunk is ever written.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/slice.h"

struct chunk;
struct buf_seg;

struct buf {
    struct buf_seg *first, *last;
    size_t len;
};

void buf_init(struct buf *b);
void buf_fini(struct buf *b); /* frees all; the buf is empty and usable again */
static inline size_t buf_len(const struct buf *b)
{
    return b->len;
}
static inline bool buf_is_empty(const struct buf *b)
{
    return b->len == 0;
}

void buf_append(struct buf *b, const void *p, size_t n); /* copies */
void buf_append_slice(struct buf *b, struct slice s);
void buf_append_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_append_chunk(struct buf *b, struct chunk *c, size_t off, size_t n); /* shares: takes its own reference */

/* Room for at least n bytes in one piece at the end; *got says how much there is. Then commit what was written. */
void *buf_reserve(struct buf *b, size_t n, size_t *got);
void buf_commit(struct buf *b, size_t n);

void buf_move_all(struct buf *dst, struct buf *src);           /* src becomes empty */
size_t buf_move(struct buf *dst, struct buf *src, size_t max); /* moves the first max bytes at most; returns how many */
void buf_share(struct buf *dst, const struct buf *src);        /* appends the same chunks, no copy; src unchanged */
void buf_share_part(struct buf *dst, const struct buf *src, size_t off, size_t n); /* the same, for a part of src */
void buf_drain(struct buf *b, size_t n);                       /* drops the first n (n <= len) */

struct slice buf_front(const struct buf *b);            /* the first contiguous piece; empty when there is none */
struct slice buf_piece_at(const struct buf *b, size_t off); /* the contiguous rest of the piece that holds byte off */
struct slice buf_pullup(struct buf *b, size_t n);       /* makes the first n bytes contiguous (n <= len) */
size_t buf_copy_out(const struct buf *b, size_t off, void *dst, size_t n); /* returns bytes copied */
int buf_iovec(const struct buf *b, struct iovec *iov, int max);            /* number filled */
/* Copies what is left into right-sized chunks, so that no large read chunk stays pinned by a few bytes. */
void buf_compact(struct buf *b);
size_t buf_pinned(const struct buf *b); /* capacity of all chunks referred to, for budgets */

struct chunk *chunk_create(size_t cap); /* one reference, from the pool */
void chunk_unref(struct chunk *c);
void chunk_ref(struct chunk *c);
unsigned chunk_refs(const struct chunk *c);
size_t chunk_cap(const struct chunk *c);
void *chunk_data(struct chunk *c);
