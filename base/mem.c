#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(size_t n)
{
    fprintf(stderr, "out of memory: %zu bytes\n", n);
    abort();
}

void *mem_alloc(size_t n)
{
    void *p = calloc(1, n == 0 ? 1 : n);
    if (p == NULL) {
        out_of_memory(n);
    }
    return p;
}

void *mem_resize(void *p, size_t n)
{
    void *q = realloc(p, n == 0 ? 1 : n);
    if (q == NULL) {
        out_of_memory(n);
    }
    return q;
}

void mem_free(void *p)
{
    free(p);
}

char *mem_str(const char *s)
{
    return s == NULL ? NULL : mem_str_slice(slice_of(s));
}

char *mem_str_slice(struct slice s)
{
    char *p = mem_alloc(s.n + 1);
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    return p;
}

char *mem_printf(const char *fmt, ...)
{
    va_list args;
    char *p = NULL;
    va_start(args, fmt);
    int n = vasprintf(&p, fmt, args);
    va_end(args);
    if (n < 0) {
        out_of_memory(0);
    }
    return p;
}

void mem_wipe(void *p, size_t n)
{
    if (n > 0) {
        explicit_bzero(p, n);
    }
}

/* Size classes: every 16 bytes up to 1 KB, then four to each doubling up to 256 KB: what lives as long as a connection
 * shall not be rounded up by much. Each list keeps at most LIST_BYTES. A class is a multiple of 16, as malloc's blocks
 * (less 8) are: malloc_usable_size tells one from the next. */
enum { STEP = 16, SMALL_MAX = 1024, SMALL_COUNT = SMALL_MAX / STEP, SMALL_SHIFT = 10, STEP_SHIFT = 2, DOUBLINGS = 8 };
enum { CLASS_COUNT = SMALL_COUNT + (DOUBLINGS << STEP_SHIFT), LIST_BYTES = 2 << 20, EXACT_MAX = 64 << 10 };

struct free_block {
    struct free_block *next;
};

struct free_list {
    struct free_block *head;
    size_t bytes;
};

static _Thread_local struct free_list free_lists[CLASS_COUNT];

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool pools_on = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
static const bool pools_on = false;
#else
static const bool pools_on = true;
#endif
#else
static const bool pools_on = true;
#endif

static unsigned class_of(size_t n)
{
    if (n <= SMALL_MAX) {
        return n <= STEP ? 0 : (unsigned)((n - 1) / STEP);
    }
    unsigned shift = 63 - (unsigned)__builtin_clzll(n - 1);
    unsigned step = (unsigned)((n - 1) >> (shift - STEP_SHIFT)) & ((1U << STEP_SHIFT) - 1);
    return SMALL_COUNT + ((shift - SMALL_SHIFT) << STEP_SHIFT) + step;
}

static size_t class_size(unsigned c)
{
    if (c < SMALL_COUNT) {
        return ((size_t)c + 1) * STEP;
    }
    c -= SMALL_COUNT;
    unsigned shift = SMALL_SHIFT + (c >> STEP_SHIFT), step = c & ((1U << STEP_SHIFT) - 1);
    return ((size_t)1 << shift) + ((size_t)(step + 1) << (shift - STEP_SHIFT));
}

static void *from_libc(size_t n)
{
    void *p = malloc(n);
    if (p == NULL) {
        out_of_memory(n);
    }
    return p;
}

static void *list_take(unsigned c)
{
    struct free_list *list = &free_lists[c];
    if (!pools_on || list->head == NULL) {
        return NULL;
    }
    struct free_block *b = list->head;
    list->head = b->next;
    list->bytes -= class_size(c);
    return b;
}

static bool list_put(unsigned c, void *p)
{
    struct free_list *list = &free_lists[c];
    if (!pools_on || list->bytes + class_size(c) > LIST_BYTES) {
        return false;
    }
    struct free_block *b = p;
    b->next = list->head;
    list->head = b;
    list->bytes += class_size(c);
    return true;
}

void *pool_alloc(size_t n, size_t *cap)
{
    unsigned c = class_of(n);
    if (c >= CLASS_COUNT) {
        *cap = n;
        return from_libc(n);
    }
    *cap = class_size(c);
    void *p = list_take(c);
    return p != NULL ? p : from_libc(*cap);
}

void pool_free(void *p, size_t cap)
{
    if (p == NULL) {
        return;
    }
    unsigned c = class_of(cap); /* the caller may only know what it asked for */
    if (c >= CLASS_COUNT || !list_put(c, p)) {
        free(p);
    }
}

void *pool_take(size_t n)
{
    size_t cap;
    return pool_alloc(n, &cap);
}

/* The class a block of that many usable bytes was made for; CLASS_COUNT: none, it was exact. */
static unsigned class_behind(size_t usable)
{
    if (usable < STEP) {
        return CLASS_COUNT;
    }
    unsigned c = class_of(usable & ~(size_t)(STEP - 1));
    return c < CLASS_COUNT && usable - class_size(c) < STEP ? c : CLASS_COUNT;
}

void *pool_take_exact(size_t n)
{
    if (n <= SMALL_MAX || n > EXACT_MAX) {
        return pool_take(n); /* as good as exact */
    }
    void *p = from_libc(n);
    if (class_behind(malloc_usable_size(p)) < CLASS_COUNT) { /* it would be kept for somebody who asks for a class */
        free(p);
        p = from_libc(n + STEP);
    }
    return p;
}

size_t pool_size(void *p)
{
    return malloc_usable_size(p);
}

void pool_give(void *p)
{
    if (p == NULL) {
        return;
    }
    unsigned c = class_behind(malloc_usable_size(p));
    if (c >= CLASS_COUNT || !list_put(c, p)) {
        free(p);
    }
}

void pool_trim(void)
{
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        while (free_lists[c].head != NULL) {
            struct free_block *b = free_lists[c].head;
            free_lists[c].head = b->next;
            free(b);
        }
        free_lists[c].bytes = 0;
    }
}
