#include "proxy/observe/line.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void line_init(struct line *l)
{
    l->p = l->own;
    l->n = 0;
    l->cap = LINE_INLINE;
}

void line_fini(struct line *l)
{
    if (l->p != l->own) {
        pool_free(l->p, l->cap);
    }
    line_init(l);
}

struct slice line_slice(const struct line *l)
{
    return slice_make(l->p, l->n);
}

static void grow(struct line *l, size_t more)
{
    size_t cap = 0;
    char *p = pool_alloc(l->n + more > l->cap * 2 ? l->n + more : l->cap * 2, &cap);
    memcpy(p, l->p, l->n);
    if (l->p != l->own) {
        pool_free(l->p, l->cap);
    }
    l->p = p;
    l->cap = cap;
}

void line_add(struct line *l, struct slice text)
{
    if (text.n == 0) {
        return;
    }
    if (l->cap - l->n < text.n) {
        grow(l, text.n);
    }
    memcpy(l->p + l->n, text.p, text.n);
    l->n += text.n;
}

void line_add_char(struct line *l, char c)
{
    line_add(l, slice_make(&c, 1));
}

void line_add_i64(struct line *l, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    line_add(l, slice_make(text, (size_t)n));
}

/* Length of the UTF-8 sequence that starts here (RFC 3629 section 4), 0 when there is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || left < n) {
        return 0;
    }
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

static void add_control(struct line *l, unsigned char c)
{
    static const char shorts[] = "\bb\ff\nn\rr\tt";
    for (const char *s = shorts; *s != '\0'; s += 2) {
        if (*s == (char)c) {
            char text[2] = {'\\', s[1]};
            line_add(l, slice_make(text, 2));
            return;
        }
    }
    char text[8];
    int n = snprintf(text, sizeof text, "\\u%04x", c);
    line_add(l, slice_make(text, (size_t)n));
}

/* Bytes that JSON (RFC 8259 section 7) takes as they are go in one piece. */
void line_add_escaped(struct line *l, struct slice text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    size_t plain = 0;
    for (size_t i = 0; i < text.n;) {
        size_t wide = p[i] < 0x80 ? 0 : utf8_length(p + i, text.n - i);
        if (wide > 0 || (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')) {
            i += wide > 0 ? wide : 1;
            continue;
        }
        line_add(l, slice_sub(text, plain, i - plain));
        if (p[i] >= 0x80) {
            line_add(l, SLICE("\xef\xbf\xbd"));
        } else if (p[i] == '"' || p[i] == '\\') {
            line_add_char(l, '\\');
            line_add_char(l, (char)p[i]);
        } else {
            add_control(l, p[i]);
        }
        plain = ++i;
    }
    line_add(l, slice_from(text, plain));
}

void line_add_json(struct line *l, struct slice text)
{
    line_add_char(l, '"');
    line_add_escaped(l, text);
    line_add_char(l, '"');
}
