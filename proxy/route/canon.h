/*
 * Canonical path text, for keys: percent-decoded, ASCII lower case, segments joined by '/'. A slash or a percent
 * sign inside a segment is written "%2f" and "%25", so two different lists of segments never look the same.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { CANON_MAX = 1024 };

struct canon {
    char p[CANON_MAX];
    size_t n;
    uint32_t segments;
    uint64_t hash; /* of p[..n) */
};

void canon_init(struct canon *c);
/* Adds '/' unless it is the first segment, then the segment. false: no room; c is then as before. */
bool canon_add(struct canon *c, struct slice raw_segment);
/* A segment that is, decoded, "." or "..", or a %00 anywhere: what no key and no template may meet. */
bool canon_is_hostile(struct slice path);
