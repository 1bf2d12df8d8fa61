/*
 * url_template: an APIM operation's URL template, parsed once and immutable ("/orders/{id}/lines?view={v}").
 * It lives in the arena it was parsed into.
 *
 * Rules (refs of the service where they are documented, else decided here):
 * - Segments stand between slashes; a leading slash may be missing; one trailing slash only makes a difference
 *   between two templates of which one has it.
 * - A segment is literal text, "{name}", a mix of both ("v{major}.{minor}", no two parameters side by side), or,
 *   as the last one, a catch-all "*" or "{*name}", which fits any number of segments, none included.
 * - "{name}" fits one segment, or its part of one, of at least one byte.
 * - Literal text is compared without regard to case, after percent-decoding; "%2F" stays inside its segment.
 * - "?a={b}&c=d&e": every named parameter must be there, in any order; names and literal values are compared
 *   without regard to case after decoding; "e" and "e=" ask for an empty value; others in the request do not matter.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct arena;
struct err;

enum template_segment_kind { TEMPLATE_LITERAL, TEMPLATE_MIXED, TEMPLATE_PARAM, TEMPLATE_REST };

/* MIXED: literal, name, literal, name, …, literal (literals at the ends may be empty). PARAM, REST: one name. */
struct template_segment {
    enum template_segment_kind kind;
    uint32_t name_count;
    union {
        struct { /* LITERAL */
            struct slice text; /* decoded */
            uint64_t hash;     /* fold_hash of text */
        };
        struct { /* the others */
            const struct slice *names; /* without braces and star; "*" for a bare star */
            const struct slice *parts; /* MIXED: 2 * name_count + 1 of them, decoded */
            uint32_t literal_bytes;    /* MIXED: how many bytes of it are fixed */
        };
    };
};

struct template_query {
    struct slice name;  /* decoded */
    struct slice value; /* literal, decoded; p == NULL: a parameter */
    struct slice param; /* name of that parameter */
};

struct url_template {
    struct slice text; /* as written */
    const struct template_segment *segments;
    uint32_t segment_count;
    bool slash;          /* one stands at the end of the path */
    uint32_t name_count; /* all parameters, of path and query */
    const struct template_query *query;
    uint32_t query_count;
};

enum { TEMPLATE_MAX = 1000 }; /* bytes of text */

/* NULL and err: too long, braces that do not pair, an empty or repeated name, a catch-all that is not last, … */
struct url_template *url_template_parse(struct slice text, struct arena *arena, struct err *err);
/*
 * Fits one decoded segment into a MIXED one; values (name_count of them, may be NULL) become slices of `segment`.
 * Every parameter takes as little as it can, the last one what is left.
 */
bool template_mixed_match(const struct template_segment *t, struct slice segment, struct slice *values);
/* The same path and query whatever the parameters are called: such templates cannot be told apart. */
bool url_template_same(const struct url_template *a, const struct url_template *b);
