/*
 * arena: memory that is freed all at once, from pooled blocks (no libc malloc in steady state). One thread.
 * What it gives is aligned to 16 bytes and lives until arena_reset or arena_destroy.
 */
#pragma once
#include <stddef.h>

#include "base/slice.h"

struct arena;

struct arena *arena_create(size_t first_block); /* 0: a default of 4 KB */
struct arena *arena_create_exact(size_t first_block); /* not rounded up to a pool's class: for what stays for long */
void arena_destroy(struct arena **arena);
void arena_reset(struct arena *arena); /* keeps the first block */
void *arena_alloc(struct arena *arena, size_t n);  /* not zeroed */
void *arena_zalloc(struct arena *arena, size_t n); /* zeroed */
struct slice arena_slice(struct arena *arena, struct slice s); /* copy; a NUL stands behind it */
char *arena_str(struct arena *arena, struct slice s);          /* copy, NUL-terminated */
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct slice arena_u64(struct arena *arena, uint64_t value);     /* in decimal */
size_t arena_bytes(const struct arena *arena); /* blocks held, for budgets */
size_t arena_used(const struct arena *arena);  /* of those: a first block of this size would have held all of it */
