#include "proxy/route/canon.h"

#include <string.h>

#include "proxy/route/fold.h"

void canon_init(struct canon *c)
{
    c->n = 0;
    c->segments = 0;
    c->hash = FOLD_START;
}

static int hex_value(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at s[*i], an escape decoded; steps over it. */
static unsigned char next_byte(struct slice s, size_t *i, bool *escaped)
{
    char c = s.p[*i];
    *escaped = false;
    if (c == '%' && *i + 2 < s.n) {
        int high = hex_value(s.p[*i + 1]), low = hex_value(s.p[*i + 2]);
        if (high >= 0 && low >= 0) {
            *i += 3;
            *escaped = true;
            return (unsigned char)(high * 16 + low);
        }
    }
    *i += 1;
    return (unsigned char)c;
}

static void put(struct canon *c, unsigned char byte)
{
    c->p[c->n++] = (char)byte;
    c->hash = fold_byte(c->hash, byte);
}

bool canon_add(struct canon *c, struct slice segment)
{
    size_t n = c->n;
    uint64_t hash = c->hash;
    if (n == CANON_MAX) {
        return false;
    }
    if (c->segments > 0) {
        put(c, '/');
    }
    for (size_t i = 0; i < segment.n;) {
        if (c->n + 3 > CANON_MAX) {
            c->n = n;
            c->hash = hash;
            return false;
        }
        bool escaped;
        unsigned char byte = next_byte(segment, &i, &escaped);
        if (byte == '/' || byte == '%') {
            put(c, '%');
            put(c, '2');
            put(c, byte == '/' ? 'f' : '5');
        } else {
            put(c, (unsigned char)ascii_lower((char)byte));
        }
    }
    c->segments++;
    return true;
}

static bool is_dots(struct slice segment)
{
    size_t i = 0;
    unsigned dots = 0;
    bool escaped;
    while (i < segment.n && dots < 3) {
        if (next_byte(segment, &i, &escaped) != '.') {
            return false;
        }
        dots++;
    }
    return i == segment.n && (dots == 1 || dots == 2);
}

bool canon_is_hostile(struct slice path)
{
    for (size_t i = 0; i < path.n; i++) {
        struct slice rest = slice_from(path, i + 1);
        if (path.p[i] == '/' && rest.n > 0 && (rest.p[0] == '.' || rest.p[0] == '%') &&
            is_dots(slice_sub(rest, 0, slice_find(rest, '/')))) {
            return true;
        }
        if (path.p[i] == '%' && slice_starts_with(rest, SLICE("00"))) {
            return true;
        }
    }
    return false;
}
