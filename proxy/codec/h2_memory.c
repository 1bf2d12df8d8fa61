/*
 * The memory nghttp2 works with. Each session wants a buffer of 16 KB for the frame it is about to send, for life; but
 * between two calls of h2_produce nothing is in it, because all that was begun has been copied out. So the sessions of
 * a thread share one. And each has a table of its streams, one page, which is empty while there are none: h2_rest.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/codec/h2_impl.h"

enum { FRAME_BUFFER_MIN = 16 << 10 }; /* in making a session nothing else is that large */

struct h2_frame_buffer {
    size_t users; /* sessions */
    size_t cap;
    max_align_t bytes[];
};

static _Thread_local struct h2_frame_buffer *shared;

static void *frame_buffer_ref(struct h2_session *s, size_t n)
{
    if (shared == NULL) {
        shared = pool_take(sizeof *shared + n);
        shared->users = 0;
        shared->cap = n;
    }
    assert(s->frame_buffer == NULL && n == shared->cap);
    s->frame_buffer = shared;
    shared->users++;
    return shared->bytes;
}

/* The last sessions of a loop may go in another thread than theirs, which has ended. */
static void frame_buffer_unref(struct h2_session *s)
{
    struct h2_frame_buffer *b = s->frame_buffer;
    s->frame_buffer = NULL;
    if (--b->users == 0) {
        shared = shared == b ? NULL : shared;
        pool_give(b);
    }
}

static void *mem_malloc(size_t n, void *user)
{
    struct h2_session *s = user;
    if (!s->starting) {
        return pool_take(n);
    }
    return n >= FRAME_BUFFER_MIN ? frame_buffer_ref(s, n) : pool_take_exact(n);
}

static void mem_release(void *p, void *user)
{
    struct h2_session *s = user;
    if (p != NULL && p == s->table) {
        s->table = NULL;
        page_give(p);
        return;
    }
    if (p != NULL && s->frame_buffer != NULL && p == s->frame_buffer->bytes) {
        frame_buffer_unref(s);
    } else {
        pool_give(p);
    }
}

static void *mem_calloc(size_t count, size_t size, void *user)
{
    struct h2_session *s = user;
    if (s->starting && s->table == NULL && count * size == PAGE_BYTES) {
        s->table = page_take();
        return s->table;
    }
    return memset(mem_malloc(count * size, user), 0, count * size);
}

bool h2_rest(struct h2_session *s)
{
    return s->table != NULL && page_rest(s->table);
}

/* Never asked of the frame buffer: it would grow only for frames larger than we ever send. */
static void *mem_realloc(void *p, size_t n, void *user)
{
    const struct h2_session *s = user;
    if (p == NULL) {
        return mem_malloc(n, user);
    }
    assert(s->frame_buffer == NULL || p != s->frame_buffer->bytes);
    size_t old = p == s->table ? PAGE_BYTES : pool_size(p);
    if (n <= old) {
        return p;
    }
    void *more = pool_take(n);
    memcpy(more, p, old);
    mem_release(p, user);
    return more;
}

nghttp2_mem h2_memory(struct h2_session *s)
{
    return (nghttp2_mem){s, mem_malloc, mem_release, mem_calloc, mem_realloc};
}
