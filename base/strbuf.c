#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void strbuf_init(struct strbuf *s)
{
    *s = (struct strbuf){NULL, 0, 0};
}

void strbuf_fini(struct strbuf *s)
{
    mem_free(s->p);
    strbuf_init(s);
}

void strbuf_clear(struct strbuf *s)
{
    s->n = 0;
    if (s->p != NULL) {
        s->p[0] = '\0';
    }
}

static void reserve(struct strbuf *s, size_t more)
{
    if (s->cap - s->n > more) {
        return;
    }
    size_t cap = s->cap == 0 ? 64 : s->cap * 2;
    while (cap - s->n <= more) {
        cap *= 2;
    }
    s->p = mem_resize(s->p, cap);
    s->cap = cap;
}

void strbuf_add(struct strbuf *s, struct slice text)
{
    reserve(s, text.n);
    if (text.n > 0) {
        memcpy(s->p + s->n, text.p, text.n);
    }
    s->n += text.n;
    s->p[s->n] = '\0';
}

void strbuf_add_str(struct strbuf *s, const char *text)
{
    strbuf_add(s, slice_of(text));
}

void strbuf_add_char(struct strbuf *s, char c)
{
    strbuf_add(s, slice_make(&c, 1));
}

void strbuf_printf(struct strbuf *s, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    reserve(s, (size_t)n);
    vsnprintf(s->p + s->n, (size_t)n + 1, fmt, again);
    va_end(again);
    s->n += (size_t)n;
}

void strbuf_add_json(struct strbuf *s, struct slice text)
{
    strbuf_add_char(s, '"');
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        switch (c) {
        case '"':
            strbuf_add_str(s, "\\\"");
            break;
        case '\\':
            strbuf_add_str(s, "\\\\");
            break;
        case '\n':
            strbuf_add_str(s, "\\n");
            break;
        case '\r':
            strbuf_add_str(s, "\\r");
            break;
        case '\t':
            strbuf_add_str(s, "\\t");
            break;
        default:
            if (c < 0x20 || c == 0x7f) {
                strbuf_printf(s, "\\u%04x", c);
            } else {
                strbuf_add_char(s, (char)c);
            }
        }
    }
    strbuf_add_char(s, '"');
}

struct slice strbuf_slice(const struct strbuf *s)
{
    return (struct slice){s->p, s->n};
}

const char *strbuf_cstr(const struct strbuf *s)
{
    return s->p == NULL ? "" : s->p;
}

char *strbuf_take(struct strbuf *s)
{
    char *p = s->p == NULL ? mem_str("") : s->p;
    strbuf_init(s);
    return p;
}
