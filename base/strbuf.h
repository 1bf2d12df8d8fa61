/* strbuf: a growable text, always NUL-terminated, in libc memory. For everything off the request path. */
#pragma once
#include "base/slice.h"

struct strbuf {
    char *p; /* NULL until something was added */
    size_t n, cap;
};

void strbuf_init(struct strbuf *s);
void strbuf_fini(struct strbuf *s);
void strbuf_clear(struct strbuf *s);
void strbuf_add(struct strbuf *s, struct slice text);
void strbuf_add_str(struct strbuf *s, const char *text);
void strbuf_add_char(struct strbuf *s, char c);
void strbuf_printf(struct strbuf *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_add_json(struct strbuf *s, struct slice text); /* with quotes and escapes */
struct slice strbuf_slice(const struct strbuf *s);
const char *strbuf_cstr(const struct strbuf *s); /* "" when empty */
char *strbuf_take(struct strbuf *s);             /* the caller frees with mem_free; s is empty again */
