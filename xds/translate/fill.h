/*
 * fill: JSON text from a template. In the template ' stands for ", and $s is replaced by the next argument as a JSON
 * string (const char *), $r by the next argument as it is (const char *, JSON already), $u by a number (unsigned). @/
 * stands for the prefix of type URLs.
 */
#pragma once
#include "base/arena.h"

char *fill(struct arena *arena, const char *template, ...);
/* The parts with commas between them, in brackets: "[a,b]". */
char *fill_list(struct arena *arena, const char *const *parts, size_t n);
/* The texts as JSON strings, in brackets. */
char *fill_strings(struct arena *arena, const char *const *texts, size_t n);
