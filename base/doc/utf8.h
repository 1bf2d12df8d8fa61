/* UTF-8 as RFC 3629 has it: shortest form, no surrogates, nothing above 10FFFF. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

size_t utf8_length(const char *at, const char *end); /* of the sequence at `at` (at < end); 0: there is none */
bool utf8_is_valid(struct slice s);
