#include "proxy/route/path.h"

#include <string.h>

#include "base/arena.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that s[i..] escapes as %XX, or -1. */
static int escaped_byte(struct slice s, size_t i)
{
    if (s.n < 3 || i > s.n - 3 || s.p[i] != '%') {
        return -1;
    }
    int high = hex_value(s.p[i + 1]), low = hex_value(s.p[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_unreserved(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* %2F and %5C become the bytes they stand for. Returns the new length; in place. */
static size_t unescape_slashes(char *p, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        int c = escaped_byte(slice_make(p, n), i);
        if (c == '/' || c == '\\') {
            p[out++] = (char)c;
            i += 2;
        } else {
            p[out++] = p[i];
        }
    }
    return out;
}

static bool has_escaped_slash(struct slice path)
{
    for (size_t i = 0; i + 2 < path.n; i++) {
        int c = escaped_byte(path, i);
        if (c == '/' || c == '\\') {
            return true;
        }
    }
    return false;
}

/* Does what was written so far end in the beginning of an escape, which a decoded byte could complete? */
static bool ends_in_partial_escape(const char *p, size_t n)
{
    if (n >= 1 && p[n - 1] == '%') {
        return true;
    }
    return n >= 2 && p[n - 2] == '%' && hex_value(p[n - 1]) >= 0;
}

/*
 * Unreserved characters are decoded (RFC 3986 6.2.2.2), backslashes turned round. An escape that would complete
 * another one ("%2%65") stays, so that nobody behind us decodes twice. false: a zero byte.
 */
static bool decode_unreserved(char *p, size_t *n)
{
    struct slice in = slice_make(p, *n);
    size_t out = 0, kept_until = 0; /* p[..kept_until) are whole escapes or plain bytes */
    for (size_t i = 0; i < in.n; i++) {
        int c = escaped_byte(in, i);
        if (c == 0) {
            return false;
        }
        if (c < 0) {
            p[out++] = p[i] == '\\' ? '/' : p[i];
            continue;
        }
        bool partial = ends_in_partial_escape(p + kept_until, out - kept_until);
        if (is_unreserved(c) && !partial) {
            p[out++] = (char)c;
        } else {
            memmove(p + out, p + i, 3);
            out += 3;
            kept_until = out;
        }
        i += 2;
    }
    *n = out;
    return true;
}

/* RFC 3986 5.2.4, in place; p starts with '/'. */
static size_t remove_dot_segments(char *p, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        struct slice rest = slice_make(p + i + 1, n - i - 1);
        struct slice segment = slice_sub(rest, 0, slice_find(rest, '/'));
        size_t next = i + 1 + segment.n;
        bool dot = slice_eq(segment, SLICE(".")), up = slice_eq(segment, SLICE(".."));
        if (up) {
            while (out > 0 && p[--out] != '/') {
            }
        }
        if (dot || up) {
            if (next == n) {
                p[out++] = '/';
            }
        } else {
            memmove(p + out, p + i, segment.n + 1);
            out += segment.n + 1;
        }
        i = next;
    }
    if (out == 0) {
        p[out++] = '/';
    }
    return out;
}

static size_t merge_slashes(char *p, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '/' || out == 0 || p[out - 1] != '/') {
            p[out++] = p[i];
        }
    }
    return out;
}

/* Could any of the steps change this path? Most requests leave here. */
static bool is_plain(struct slice path, const struct path_options *o)
{
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        char before = i == 0 ? '\0' : path.p[i - 1];
        if (c == '%' || c == '\\' || (before == '/' && ((c == '/' && o->merge_slashes) || c == '.'))) {
            return false;
        }
    }
    return true;
}

static enum path_verdict rewrite(struct slice target, struct slice path, const struct path_options *o,
                                 struct arena *arena, struct slice *out)
{
    char *p = arena_str(arena, target);
    size_t n = path.n;
    bool unescaped = false;
    if (o->escaped_slashes != PATH_SLASHES_KEEP && has_escaped_slash(path)) {
        if (o->escaped_slashes == PATH_SLASHES_REJECT) {
            return PATH_REJECTED;
        }
        n = unescape_slashes(p, n);
        unescaped = true;
    }
    if (o->normalize) {
        if (!decode_unreserved(p, &n)) {
            return PATH_REJECTED;
        }
        n = remove_dot_segments(p, n);
    }
    if (o->merge_slashes) {
        n = merge_slashes(p, n);
    }
    struct slice query = slice_from(target, path.n); /* with its '?' */
    if (query.n > 0) {
        memcpy(p + n, query.p, query.n);
    }
    *out = slice_make(p, n + query.n);
    if (unescaped && o->escaped_slashes == PATH_SLASHES_UNESCAPE_REDIRECT) {
        return PATH_REDIRECT;
    }
    if (slice_eq(*out, target)) {
        *out = target;
        return PATH_SAME;
    }
    return PATH_CHANGED;
}

enum path_verdict path_normalize(struct slice target, const struct path_options *o, struct arena *arena,
                                 struct slice *out)
{
    *out = target;
    if (slice_eq(target, SLICE("*"))) {
        return PATH_SAME;
    }
    if (target.n == 0 || target.p[0] != '/' || slice_find(target, '#') < target.n) {
        return PATH_REJECTED;
    }
    struct slice query;
    struct slice path = path_split(target, &query);
    if (is_plain(path, o)) {
        return PATH_SAME;
    }
    return rewrite(target, path, o, arena, out);
}

struct slice path_split(struct slice target, struct slice *query)
{
    *query = target;
    return slice_cut(query, '?');
}

static struct slice decode(struct slice s, bool plus, struct arena *arena)
{
    if (slice_find(s, '%') == s.n && (!plus || slice_find(s, '+') == s.n)) {
        return s;
    }
    char *p = arena_alloc(arena, s.n + 1);
    size_t out = 0;
    for (size_t i = 0; i < s.n; i++) {
        int c = escaped_byte(s, i);
        if (c >= 0) {
            p[out++] = (char)c;
            i += 2;
        } else {
            p[out++] = plus && s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    p[out] = '\0';
    return slice_make(p, out);
}

struct slice path_decode(struct slice s, struct arena *arena)
{
    return decode(s, false, arena);
}

struct slice query_decode(struct slice s, struct arena *arena)
{
    return decode(s, true, arena);
}

bool query_next(struct slice *rest, struct slice *name, struct slice *value)
{
    while (rest->n > 0) {
        struct slice part = slice_cut(rest, '&');
        if (part.n > 0) {
            *value = part;
            *name = slice_cut(value, '=');
            return true;
        }
    }
    return false;
}

struct slice query_get(struct slice query, struct slice name, bool *found)
{
    struct slice n, v;
    while (query_next(&query, &n, &v)) {
        if (slice_eq(n, name)) {
            *found = true;
            return v;
        }
    }
    *found = false;
    return SLICE_NONE;
}
