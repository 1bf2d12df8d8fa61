/* mask: the last guard before text from outside reaches a log. Pure. */
#pragma once
#include <stddef.h>

#include "base/slice.h"

/* The text with the value of every "subscription-key=" (any case; a URL in a Referer, say) replaced by "***": the text
 * itself when there is none, else in scratch, cut there if it does not fit. */
struct slice mask_keys(struct slice text, char *scratch, size_t cap);
