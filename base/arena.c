#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK_DEFAULT = 4096, BLOCK_MAX = 64 << 10, ALIGN = 16 };

struct block {
    struct block *next;
    size_t cap; /* of the whole pool block, header included */
    size_t used;
    bool exact; /* not of a pool */
};

struct arena {
    struct block *first; /* holds this struct too */
    struct block *now;
    size_t own; /* bytes of `first` that hold this struct */
    size_t bytes;
};

static size_t align_up(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static struct block *block_create(size_t n)
{
    size_t cap = 0;
    struct block *b = pool_alloc(n, &cap);
    *b = (struct block){.cap = cap, .used = align_up(sizeof *b)};
    return b;
}

static struct arena *arena_in(struct block *b)
{
    struct arena *a = (void *)((char *)b + b->used);
    b->used += align_up(sizeof *a);
    *a = (struct arena){.first = b, .now = b, .own = b->used, .bytes = b->cap};
    return a;
}

static size_t first_size(size_t wanted)
{
    size_t need = align_up(sizeof(struct block)) + align_up(sizeof(struct arena));
    size_t size = wanted == 0 ? BLOCK_DEFAULT : wanted;
    return size < need ? need : size;
}

struct arena *arena_create(size_t first_block)
{
    return arena_in(block_create(first_size(first_block)));
}

struct arena *arena_create_exact(size_t first_block)
{
    size_t size = first_size(first_block);
    struct block *b = mem_alloc(size);
    *b = (struct block){.cap = size, .used = align_up(sizeof *b), .exact = true};
    return arena_in(b);
}

static void free_blocks(struct block *b)
{
    while (b != NULL) {
        struct block *next = b->next;
        if (b->exact) {
            mem_free(b);
        } else {
            pool_free(b, b->cap);
        }
        b = next;
    }
}

void arena_destroy(struct arena **arena)
{
    if (*arena == NULL) {
        return;
    }
    struct block *first = (*arena)->first;
    *arena = NULL;
    free_blocks(first);
}

void arena_reset(struct arena *a)
{
    free_blocks(a->first->next);
    a->first->next = NULL;
    a->first->used = a->own;
    a->now = a->first;
    a->bytes = a->first->cap;
}

static void grow(struct arena *a, size_t n)
{
    size_t need = align_up(sizeof(struct block)) + n;
    size_t size = a->now->cap * 2 > BLOCK_MAX ? BLOCK_MAX : a->now->cap * 2;
    struct block *b = block_create(size < need ? need : size);
    a->now->next = b;
    a->now = b;
    a->bytes += b->cap;
}

void *arena_alloc(struct arena *a, size_t n)
{
    n = align_up(n == 0 ? 1 : n);
    if (a->now->cap - a->now->used < n) {
        grow(a, n);
    }
    void *p = (char *)a->now + a->now->used;
    a->now->used += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

char *arena_str(struct arena *a, struct slice s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return p;
}

struct slice arena_slice(struct arena *a, struct slice s)
{
    return (struct slice){arena_str(a, s), s.n};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}

struct slice arena_u64(struct arena *a, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return arena_slice(a, slice_make(digits + at, sizeof digits - at));
}

size_t arena_used(const struct arena *a)
{
    size_t used = 0;
    for (const struct block *b = a->first; b != NULL; b = b->next) {
        used += b->used;
    }
    return used;
}

size_t arena_bytes(const struct arena *a)
{
    return a->bytes;
}
