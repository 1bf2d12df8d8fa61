/* What the tests of this room share: requests written as text, and the cmocka headers in their order. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/macros.h"
#include "base/slice.h"
#include "proxy/route/request.h"

/* ctx of a request: "name: value" lines, joined with commas when a name repeats; at most 512 bytes of value. */
struct fixture_headers {
    const char *lines;
    char joined[512];
};

static inline struct slice fixture_header(const void *ctx, struct slice name, bool *present)
{
    struct fixture_headers *h = (struct fixture_headers *)(uintptr_t)ctx;
    struct slice rest = slice_of(h->lines);
    size_t n = 0;
    *present = false;
    while (rest.n > 0) {
        struct slice value = slice_cut(&rest, '\n');
        struct slice key = slice_cut(&value, ':');
        if (slice_eq(key, name)) {
            value = slice_trim(value);
            n += (size_t)snprintf(h->joined + n, sizeof h->joined - n, "%s%.*s", *present ? "," : "", SLICE_ARG(value));
            *present = true;
        }
    }
    return slice_make(h->joined, n);
}

/* "GET http://host/path" with header lines (NULL: none). `headers` keeps what the request points to. */
static inline struct route_request fixture_request(const char *line, struct fixture_headers *headers, const char *lines)
{
    struct slice rest = slice_of(line);
    struct route_request req = {.header = fixture_header, .ctx = headers};
    headers->lines = lines == NULL ? "" : lines;
    req.method = slice_cut(&rest, ' ');
    size_t at = slice_search(rest, SLICE("://"));
    req.scheme = slice_sub(rest, 0, at);
    rest = slice_from(rest, at + 3);
    size_t slash = slice_find(rest, '/');
    req.authority = slice_sub(rest, 0, slash);
    req.path = slice_from(rest, slash);
    return req;
}

static inline void assert_slice(struct slice got, const char *want)
{
    if (!slice_eq(got, slice_of(want))) {
        fail_msg("got \"%.*s\", want \"%s\"", SLICE_ARG(got), want);
    }
}

static inline void assert_text_has(const struct err *err, const char *part)
{
    if (strstr(err->text, part) == NULL) {
        fail_msg("error \"%s\" does not say \"%s\"", err->text, part);
    }
}
