/*
 * line: one log record while it is rendered, on the caller's stack; only a long one moves to pooled memory, so that
 * the request path needs no malloc. One thread.
 */
#pragma once
#include <stdint.h>

#include "base/slice.h"

enum { LINE_INLINE = 2048 };

struct line {
    char *p; /* own, or from the pool */
    size_t n, cap;
    char own[LINE_INLINE];
};

void line_init(struct line *l);
void line_fini(struct line *l);
struct slice line_slice(const struct line *l);
void line_add(struct line *l, struct slice text);
void line_add_char(struct line *l, char c);
void line_add_i64(struct line *l, int64_t value);
void line_add_json(struct line *l, struct slice text);    /* with quotes; what is not UTF-8 becomes U+FFFD */
void line_add_escaped(struct line *l, struct slice text); /* the same without the quotes */
