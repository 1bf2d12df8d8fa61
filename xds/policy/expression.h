/*
 * expression: C# expressions in a policy document. The dialect that people keep in git ("rawxml") writes them as they
 * are, with quotes, '<' and '&' inside attributes and text, so they are taken out before an XML reader sees the rest.
 * Pure; private to xds/policy.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "xds/policy/policy.h"

struct expressions {
    struct arena *arena; /* takes the list and the texts */
    struct policy_expression *items;
    size_t n, cap;
};

/*
 * Writes the document to `out` with "@(#N)" in the place of expression N (0 is the first). Lines stay what they are,
 * and so do columns unless an expression is shorter than its mark. An expression is the whole of an attribute's value
 * or the whole text of an element; what cannot be told is left as it stands.
 */
void expressions_lift(struct expressions *e, struct slice document, struct strbuf *out);

/*
 * `text` begins with "@(" or "@{": how many bytes the expression has, 0 when it does not end. Strings ("", @"", $""
 * and both), characters, comments and brackets are C#'s; XML's own escapes count as what they stand for.
 */
size_t expression_length(struct slice text);

bool expression_begins(struct slice text); /* after white space */
