/*
 * Memory outside the request path. Running out ends the process here, so callers never check (STYLE 8).
 * pool_* are per-thread free lists by size class for what the request path needs; a block may be freed by
 * another thread (it then joins that thread's list). Under ASan the pools pass straight through to malloc.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

void *mem_alloc(size_t n);            /* zeroed */
void *mem_resize(void *p, size_t n);  /* realloc; new bytes are not zeroed */
void mem_free(void *p);               /* NULL is fine */
char *mem_str(const char *s);         /* copy; NULL gives NULL */
char *mem_str_slice(struct slice s);  /* copy with a NUL behind */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void mem_wipe(void *p, size_t n);     /* overwrites, not optimised away */

/* At least n bytes, not zeroed; *cap is what was really given and what pool_free wants back. */
void *pool_alloc(size_t n, size_t *cap);
void pool_free(void *p, size_t cap);
/* The same for libraries that free without saying how much. exact: not rounded up to a class, for what lives as long as
 * a connection. A block of either kind goes back by pool_give. */
void *pool_take(size_t n);
void *pool_take_exact(size_t n);
size_t pool_size(void *p); /* how much may be used of it */
void pool_give(void *p);   /* NULL is fine */
/* One zeroed page, for something that is often empty. page_rest: if nothing but zeroes is in it, the system gets the
 * memory back until it is written again (false: something is). Another thread may give it back. */
enum { PAGE_BYTES = 4096 };
void *page_take(void);
bool page_rest(void *page);
void page_give(void *page);
void pool_trim(void); /* gives this thread's free lists back to libc: at thread end */
