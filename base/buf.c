#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { CHUNK_MIN = 512 - 32, CHUNK_STEP = 16 << 10 };

struct chunk {
    unsigned refs;
    size_t pool_cap;
    size_t cap;
    size_t used; /* bytes handed out from the start; a writer may extend a segment only up from here */
    unsigned char data[];
};

struct buf_seg {
    struct buf_seg *next;
    struct chunk *chunk;
    size_t off, len;
};

struct chunk *chunk_create(size_t cap)
{
    size_t pool_cap = 0;
    struct chunk *c = pool_alloc(sizeof *c + cap, &pool_cap);
    *c = (struct chunk){.refs = 1, .pool_cap = pool_cap, .cap = pool_cap - sizeof *c};
    return c;
}

void chunk_ref(struct chunk *c)
{
    c->refs++;
}

void chunk_unref(struct chunk *c)
{
    assert(c->refs > 0);
    if (--c->refs == 0) {
        pool_free(c, c->pool_cap);
    }
}

unsigned chunk_refs(const struct chunk *c)
{
    return c->refs;
}

size_t chunk_cap(const struct chunk *c)
{
    return c->cap;
}

void *chunk_data(struct chunk *c)
{
    return c->data;
}

static struct buf_seg *seg_create(struct chunk *c, size_t off, size_t len)
{
    size_t cap = 0;
    struct buf_seg *s = pool_alloc(sizeof *s, &cap);
    *s = (struct buf_seg){.chunk = c, .off = off, .len = len};
    return s;
}

static void seg_destroy(struct buf_seg *s)
{
    chunk_unref(s->chunk);
    pool_free(s, sizeof *s);
}

void buf_init(struct buf *b)
{
    *b = (struct buf){NULL, NULL, 0};
}

void buf_fini(struct buf *b)
{
    while (b->first != NULL) {
        struct buf_seg *s = b->first;
        b->first = s->next;
        seg_destroy(s);
    }
    buf_init(b);
}

static void link_last(struct buf *b, struct buf_seg *s)
{
    s->next = NULL;
    if (b->last == NULL) {
        b->first = s;
    } else {
        b->last->next = s;
    }
    b->last = s;
}

/* Bytes that can still be written behind the last segment: only if nobody has used the chunk past its end. */
static size_t tail_room(const struct buf *b)
{
    const struct buf_seg *s = b->last;
    if (s == NULL || s->off + s->len != s->chunk->used) {
        return 0;
    }
    return s->chunk->cap - s->chunk->used;
}

void *buf_reserve(struct buf *b, size_t n, size_t *got)
{
    if (tail_room(b) < n || b->last == NULL) {
        size_t want = n < CHUNK_MIN ? CHUNK_MIN : n;
        if (b->len >= CHUNK_STEP / 2 && want < CHUNK_STEP - 64) {
            want = CHUNK_STEP - 64;
        }
        link_last(b, seg_create(chunk_create(want), 0, 0));
    }
    *got = tail_room(b);
    return b->last->chunk->data + b->last->chunk->used;
}

void buf_commit(struct buf *b, size_t n)
{
    assert(n <= tail_room(b));
    b->last->len += n;
    b->last->chunk->used += n;
    b->len += n;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    const char *from = p;
    size_t room = tail_room(b);
    if (room > 0 && n > 0) {
        size_t part = n < room ? n : room;
        memcpy(b->last->chunk->data + b->last->chunk->used, from, part);
        buf_commit(b, part);
        from += part;
        n -= part;
    }
    if (n > 0) {
        size_t got = 0;
        memcpy(buf_reserve(b, n, &got), from, n);
        buf_commit(b, n);
    }
}

void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.p, s.n);
}

void buf_append_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    size_t got = 0;
    char *p = buf_reserve(b, (size_t)n + 1, &got);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    buf_commit(b, (size_t)n);
}

void buf_append_chunk(struct buf *b, struct chunk *c, size_t off, size_t n)
{
    assert(off + n <= c->cap);
    if (n == 0) {
        return;
    }
    if (off + n > c->used) {
        c->used = off + n;
    }
    chunk_ref(c);
    link_last(b, seg_create(c, off, n));
    b->len += n;
}

void buf_move_all(struct buf *dst, struct buf *src)
{
    if (src->first == NULL) {
        return;
    }
    if (dst->last == NULL) {
        *dst = *src;
    } else {
        dst->last->next = src->first;
        dst->last = src->last;
        dst->len += src->len;
    }
    buf_init(src);
}

size_t buf_move(struct buf *dst, struct buf *src, size_t max)
{
    if (max >= src->len) {
        size_t n = src->len;
        buf_move_all(dst, src);
        return n;
    }
    size_t left = max;
    while (left > 0) {
        struct buf_seg *s = src->first;
        if (s->len > left) {
            buf_append_chunk(dst, s->chunk, s->off, left);
            s->off += left;
            s->len -= left;
            src->len -= left;
            break;
        }
        src->first = s->next;
        src->len -= s->len;
        left -= s->len;
        dst->len += s->len;
        link_last(dst, s);
    }
    return max;
}

void buf_share(struct buf *dst, const struct buf *src)
{
    for (const struct buf_seg *s = src->first; s != NULL; s = s->next) {
        buf_append_chunk(dst, s->chunk, s->off, s->len);
    }
}

void buf_share_part(struct buf *dst, const struct buf *src, size_t off, size_t n)
{
    for (const struct buf_seg *s = src->first; s != NULL && n > 0; s = s->next) {
        if (off >= s->len) {
            off -= s->len;
            continue;
        }
        size_t part = s->len - off < n ? s->len - off : n;
        buf_append_chunk(dst, s->chunk, s->off + off, part);
        n -= part;
        off = 0;
    }
}

void buf_drain(struct buf *b, size_t n)
{
    assert(n <= b->len);
    b->len -= n;
    while (n > 0 || (b->first != NULL && b->first->len == 0)) {
        struct buf_seg *s = b->first;
        if (s->len > n) {
            s->off += n;
            s->len -= n;
            return;
        }
        n -= s->len;
        b->first = s->next;
        if (b->first == NULL) {
            b->last = NULL;
        }
        seg_destroy(s);
    }
}

struct slice buf_front(const struct buf *b)
{
    const struct buf_seg *s = b->first;
    while (s != NULL && s->len == 0) {
        s = s->next;
    }
    if (s == NULL) {
        return SLICE_NONE;
    }
    return slice_make(s->chunk->data + s->off, s->len);
}

struct slice buf_piece_at(const struct buf *b, size_t off)
{
    for (const struct buf_seg *s = b->first; s != NULL; s = s->next) {
        if (off < s->len) {
            return slice_make(s->chunk->data + s->off + off, s->len - off);
        }
        off -= s->len;
    }
    return SLICE_NONE;
}

struct slice buf_pullup(struct buf *b, size_t n)
{
    assert(n <= b->len);
    struct slice front = buf_front(b);
    if (front.n >= n) {
        return slice_sub(front, 0, n);
    }
    struct buf head;
    buf_init(&head);
    size_t got = 0;
    char *p = buf_reserve(&head, n, &got);
    buf_copy_out(b, 0, p, n);
    buf_commit(&head, n);
    buf_drain(b, n);
    buf_move_all(&head, b);
    *b = head;
    return slice_make(p, n);
}

size_t buf_copy_out(const struct buf *b, size_t off, void *dst, size_t n)
{
    char *to = dst;
    size_t done = 0;
    for (const struct buf_seg *s = b->first; s != NULL && done < n; s = s->next) {
        if (off >= s->len) {
            off -= s->len;
            continue;
        }
        size_t part = s->len - off;
        if (part > n - done) {
            part = n - done;
        }
        memcpy(to + done, s->chunk->data + s->off + off, part);
        done += part;
        off = 0;
    }
    return done;
}

int buf_iovec(const struct buf *b, struct iovec *iov, int max)
{
    int n = 0;
    for (const struct buf_seg *s = b->first; s != NULL && n < max; s = s->next) {
        if (s->len > 0) {
            iov[n++] = (struct iovec){s->chunk->data + s->off, s->len};
        }
    }
    return n;
}

void buf_compact(struct buf *b)
{
    if (b->len == 0) {
        buf_fini(b);
        return;
    }
    struct buf fresh;
    buf_init(&fresh);
    size_t got = 0;
    char *p = buf_reserve(&fresh, b->len, &got);
    size_t n = buf_copy_out(b, 0, p, b->len);
    buf_commit(&fresh, n);
    buf_fini(b);
    *b = fresh;
}

size_t buf_pinned(const struct buf *b)
{
    size_t n = 0;
    for (const struct buf_seg *s = b->first; s != NULL; s = s->next) {
        n += s->chunk->cap;
    }
    return n;
}
