/*
 * regex: a regular expression of RE2's dialect, run by PCRE2 under limits. What RE2 would refuse (back references,
 * look-around, atomic groups, possessive repeats, recursion, callouts, conditionals, verbs, …) or would read in
 * another way is refused here. Immutable; lives in the arena it was compiled into.
 */
#pragma once
#include "base/slice.h"

struct arena;
struct err;
struct regex;

enum regex_result { REGEX_NO, REGEX_YES, REGEX_LIMIT /* too much work or memory, or no UTF-8: no statement */ };

enum regex_use { REGEX_WHOLE, REGEX_ANYWHERE };

/* What one match, or several after each other, may reuse. Zero it and set the arena. */
struct regex_scratch {
    struct arena *arena;
    void *match_data;
};

struct regex *regex_compile(struct slice pattern, enum regex_use use, struct arena *arena, struct err *err);
enum regex_result regex_match(const struct regex *re, struct slice subject, struct regex_scratch *scratch);
/*
 * All matches replaced, one after the other; in the substitution \0 … \9 stand for groups, \\ for a backslash.
 * *out lies in the scratch's arena and has at most 64 KB, else REGEX_LIMIT. REGEX_NO: *out is the subject.
 */
enum regex_result regex_replace(const struct regex *re, struct slice substitution, struct slice subject,
                                struct regex_scratch *scratch, struct slice *out);
/* A substitution may name only groups that are there, and nothing else behind a backslash. */
bool regex_check_substitution(const struct regex *re, struct slice substitution, struct err *err);
/* Is the pattern within RE2's syntax (and read the same way by PCRE2)? */
bool regex_dialect_check(struct slice pattern, struct err *err);
