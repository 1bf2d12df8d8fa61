/*
 * props: an artifact's properties with the overrides of its environment laid over them: maps are merged deeply,
 * everything else replaces. A view, not a copy, so every value still knows its own file and line. A plain value.
 */
#pragma once
#include "base/doc/doc.h"

struct props {
    const struct doc *base, *over; /* maps or NULL */
};

/* The value that counts; NULL when absent or null. A map may be merged: look into it with props_child. */
const struct doc *props_get(struct props p, const char *key);
const struct doc *props_find(struct props p, struct slice key);
struct props props_child(struct props p, const char *key);
/* Members of the merged map: i from 0 until NULL. What is null in the overrides is skipped. */
const struct doc *props_at(struct props p, size_t *i);
/* Text of a string or number; empty when absent or something else. */
struct slice props_text(struct props p, const char *key);
bool props_bool(struct props p, const char *key, bool fallback);
