/*
 * slice: a borrowed run of bytes, never owned, not NUL-terminated. A plain value, passed by value.
 * The empty slice may have p == NULL.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s) (int)(s).n, (s).n ? (s).p : ""

struct slice slice_of(const char *cstr); /* NULL gives the empty slice */
struct slice slice_make(const void *p, size_t n);
bool slice_is_empty(struct slice s);
bool slice_eq(struct slice a, struct slice b);
bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII only */
int slice_cmp(struct slice a, struct slice b);        /* memcmp order, shorter first */
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_starts_with_nocase(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);
bool slice_ends_with_nocase(struct slice s, struct slice suffix);
struct slice slice_from(struct slice s, size_t start);            /* s[start..], clamped */
struct slice slice_sub(struct slice s, size_t start, size_t len); /* clamped */
struct slice slice_trim(struct slice s);                          /* SP and HTAB, both ends */
/* Index of byte c, or s.n. */
size_t slice_find(struct slice s, char c);
/* Index of the first occurrence of needle, or s.n when there is none. */
size_t slice_search(struct slice s, struct slice needle);
/* Cuts *rest at the first c: returns what stands before, leaves what stands after; at the end rest->p == NULL. */
struct slice slice_cut(struct slice *rest, char c);
/* Whole slice as an unsigned decimal number: digits only, no sign, no overflow; else false. */
bool slice_to_u64(struct slice s, uint64_t *out);
uint64_t slice_hash(struct slice s, uint64_t seed); /* XXH3 */
char ascii_lower(char c);
