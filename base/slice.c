#include "base/slice.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct slice slice_of(const char *cstr)
{
    return (struct slice){cstr, cstr == NULL ? 0 : strlen(cstr)};
}

struct slice slice_make(const void *p, size_t n)
{
    return (struct slice){p, n};
}

bool slice_is_empty(struct slice s)
{
    return s.n == 0;
}

char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    return a.n == b.n && slice_starts_with_nocase(a, b);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (order != 0) {
        return order;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool slice_starts_with_nocase(struct slice s, struct slice prefix)
{
    if (s.n < prefix.n) {
        return false;
    }
    for (size_t i = 0; i < prefix.n; i++) {
        if (ascii_lower(s.p[i]) != ascii_lower(prefix.p[i])) {
            return false;
        }
    }
    return true;
}

bool slice_ends_with(struct slice s, struct slice suffix)
{
    return s.n >= suffix.n && slice_eq(slice_from(s, s.n - suffix.n), suffix);
}

bool slice_ends_with_nocase(struct slice s, struct slice suffix)
{
    return s.n >= suffix.n && slice_eq_nocase(slice_from(s, s.n - suffix.n), suffix);
}

struct slice slice_from(struct slice s, size_t start)
{
    if (start >= s.n) {
        return (struct slice){s.p == NULL ? NULL : s.p + s.n, 0};
    }
    return (struct slice){s.p + start, s.n - start};
}

struct slice slice_sub(struct slice s, size_t start, size_t len)
{
    struct slice r = slice_from(s, start);
    if (r.n > len) {
        r.n = len;
    }
    return r;
}

struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

size_t slice_find(struct slice s, char c)
{
    const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);
    return at == NULL ? s.n : (size_t)(at - s.p);
}

size_t slice_search(struct slice s, struct slice needle)
{
    if (needle.n == 0) {
        return 0;
    }
    const char *at = s.n == 0 ? NULL : memmem(s.p, s.n, needle.p, needle.n);
    return at == NULL ? s.n : (size_t)(at - s.p);
}

struct slice slice_cut(struct slice *rest, char c)
{
    size_t i = slice_find(*rest, c);
    struct slice first = {rest->p, i};
    if (i == rest->n) {
        *rest = SLICE_NONE;
    } else {
        *rest = (struct slice){rest->p + i + 1, rest->n - i - 1};
    }
    return first;
}

bool slice_to_u64(struct slice s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.n == 0) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

uint64_t slice_hash(struct slice s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s.n == 0 ? "" : s.p, s.n, seed);
}
