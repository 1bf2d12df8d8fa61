/*
 * template: what an operation's URL template may look like, and when two of them cannot be told apart. The rules are
 * the proxy's (proxy/route/template.h): a template that it would refuse must be closed here, with its place.
 */
#pragma once
#include "base/arena.h"
#include "base/slice.h"

/* NULL: it can be served; else why not. */
const char *template_check(const char *text);
/* Equal for the templates that fit the same requests: without names of parameters, in lower case, decoded. */
char *template_key(struct arena *arena, const char *text);
/* "/a%2Db/C" → "/a-b/c": for comparing paths of APIs; '/' and '%' inside a segment stay escaped. */
char *template_path_key(struct arena *arena, struct slice path);
