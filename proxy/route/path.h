/*
 * Request targets: normalisation as Envoy's connection manager does it, percent-decoding, query parameters.
 * Pure functions over slices; what must be written goes to the caller's arena and is never longer than the input.
 */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

struct arena;

enum path_slashes {
    PATH_SLASHES_KEEP,
    PATH_SLASHES_REJECT,
    PATH_SLASHES_UNESCAPE_REDIRECT, /* 307 to the unescaped path */
    PATH_SLASHES_UNESCAPE,
};

struct path_options {
    bool normalize; /* normalize_path: RFC 3986 6.2.2.2 and 6.2.2.3, backslash is a slash */
    bool merge_slashes;
    enum path_slashes escaped_slashes; /* %2F and %5C */
};

enum path_verdict {
    PATH_SAME,     /* *out is the input */
    PATH_CHANGED,  /* *out is what must be matched and forwarded */
    PATH_REDIRECT, /* answer 307 with *out as Location */
    PATH_REJECTED, /* answer 400 */
};

/*
 * `path` is a request target with its query. Rejected: one that is neither "*" nor starts with '/', one with a
 * '#', an escaped slash when told so, and with normalize a %00. The query is never changed.
 */
enum path_verdict path_normalize(struct slice path, const struct path_options *options, struct arena *arena,
                                 struct slice *out);

/* Splits at the first '?': returns the path, *query is what follows (p == NULL when there is no '?'). */
struct slice path_split(struct slice target, struct slice *query);
/* Decodes %XX; an incomplete or wrong escape stays as it is. The input itself when there is nothing to decode. */
struct slice path_decode(struct slice s, struct arena *arena);
/* As path_decode, and '+' is a blank. */
struct slice query_decode(struct slice s, struct arena *arena);
/*
 * One step over a query string: takes the first parameter off *rest. Raw name and value; a parameter without
 * '=' has value.p == NULL. Empty parts ("&&") are skipped. false at the end.
 */
bool query_next(struct slice *rest, struct slice *name, struct slice *value);
/* The first parameter of that raw name; *found says whether there is one. */
struct slice query_get(struct slice query, struct slice name, bool *found);
