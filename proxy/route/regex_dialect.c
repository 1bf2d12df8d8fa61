/* What RE2 and PCRE2 read in the same way; everything else is refused with its place in the pattern. */
#include "proxy/route/regex.h"

#include <ctype.h>
#include <string.h>

#include "base/err.h"
#include "base/macros.h"

enum { REPEAT_MAX = 1000 }; /* RE2's own bound for {n,m} */

struct scan {
    struct slice pattern;
    size_t i;
    bool quantified; /* the last item was a repeat */
    struct err *err;
};

static bool refuse(const struct scan *s, const char *what)
{
    struct slice shown = slice_sub(s->pattern, 0, 200);
    return err_set(s->err, ERR_UNSUPPORTED, "regex \"%.*s\": %s at %zu is not RE2 syntax", SLICE_ARG(shown), what,
                   s->i);
}

static char at(const struct scan *s, size_t ahead)
{
    return s->i + ahead < s->pattern.n ? s->pattern.p[s->i + ahead] : '\0';
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* \xHH or \x{H…}; s->i stands on the x. */
static bool scan_hex(struct scan *s)
{
    if (at(s, 1) == '{') {
        size_t n = 2;
        while (isxdigit((unsigned char)at(s, n))) {
            n++;
        }
        if (n == 2 || at(s, n) != '}') {
            return refuse(s, "\\x{");
        }
        s->i += n + 1;
        return true;
    }
    if (!isxdigit((unsigned char)at(s, 1)) || !isxdigit((unsigned char)at(s, 2))) {
        return refuse(s, "\\x");
    }
    s->i += 3;
    return true;
}

static bool scan_property(struct scan *s)
{
    if (at(s, 1) != '{') {
        s->i += 2;
        return true;
    }
    size_t n = 2;
    while (isalpha((unsigned char)at(s, n)) || is_one_of(at(s, n), "_^")) {
        n++;
    }
    if (at(s, n) != '}') {
        return refuse(s, "\\p{");
    }
    s->i += n + 1;
    return true;
}

static bool scan_quoted(struct scan *s)
{
    struct slice rest = slice_from(s->pattern, s->i + 1);
    size_t end = slice_search(rest, SLICE("\\E"));
    if (end == rest.n) {
        return refuse(s, "\\Q without \\E");
    }
    s->i += 1 + end + 2;
    return true;
}

/* s->i stands on the backslash. */
static bool scan_escape(struct scan *s, bool in_class)
{
    char c = at(s, 1);
    s->i++;
    if (c == 'x') {
        return scan_hex(s);
    }
    if (c == 'p' || c == 'P') {
        return scan_property(s);
    }
    if (c == 'Q' && !in_class) {
        return scan_quoted(s);
    }
    if (is_one_of(c, "dDsSwWafnrt0") || (is_one_of(c, "bBAz") && !in_class) || ispunct((unsigned char)c)) {
        s->i++;
        return true;
    }
    s->i--;
    return refuse(s, isdigit((unsigned char)c) ? "a back reference" : "this escape");
}

static bool scan_posix_class(struct scan *s)
{
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph",
                                        "lower", "print", "punct", "space", "upper", "word",  "xdigit"};
    struct slice rest = slice_from(s->pattern, s->i + 2);
    size_t end = slice_search(rest, SLICE(":]"));
    struct slice name = slice_sub(rest, 0, end);
    if (name.n > 0 && name.p[0] == '^') {
        name = slice_from(name, 1);
    }
    for (size_t i = 0; end < rest.n && i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, slice_of(names[i]))) {
            s->i += 2 + end + 2;
            return true;
        }
    }
    return refuse(s, "this character class");
}

static bool scan_class(struct scan *s)
{
    s->i++;
    if (at(s, 0) == '^') {
        s->i++;
    }
    for (bool first = true; s->i < s->pattern.n; first = false) {
        char c = at(s, 0);
        if (c == ']' && !first) {
            s->i++;
            return true;
        }
        if (c == '\\') {
            if (!scan_escape(s, true)) {
                return false;
            }
        } else if (c == '[' && at(s, 1) == ':') {
            if (!scan_posix_class(s)) {
                return false;
            }
        } else if (c == '[' && is_one_of(at(s, 1), ".=")) {
            return refuse(s, "a collating element");
        } else {
            s->i++;
        }
    }
    return refuse(s, "a class without its end");
}

/* "(", "(?:", "(?P<n>", "(?<n>", "(?imsU-imsU)" and "(?imsU-imsU:". */
static bool scan_group(struct scan *s)
{
    if (at(s, 1) == '*') {
        return refuse(s, "a verb");
    }
    if (at(s, 1) != '?') {
        s->i++;
        return true;
    }
    size_t name = at(s, 2) == 'P' && at(s, 3) == '<' ? 4 : at(s, 2) == '<' ? 3 : 0;
    if (name != 0) {
        size_t n = name;
        while (isalnum((unsigned char)at(s, n)) || at(s, n) == '_') {
            n++;
        }
        if (n == name || at(s, n) != '>') {
            return refuse(s, "look-behind or a group's name");
        }
        s->i += n + 1;
        return true;
    }
    size_t n = 2;
    bool minus = false;
    for (; is_one_of(at(s, n), "imsU-"); n++) {
        if (at(s, n) == '-' && minus) {
            return refuse(s, "this group");
        }
        minus |= at(s, n) == '-';
    }
    if ((n == 2 && at(s, n) == ')') || at(s, n - 1) == '-' || !is_one_of(at(s, n), "):")) {
        return refuse(s, "look-around, an atomic group, a condition, recursion or this flag");
    }
    s->i += n + 1;
    return true;
}

/* Length of "{n}", "{n,}" or "{n,m}" at s->i, 0 when the brace is a literal, SIZE_MAX when a number is too big. */
static size_t counted_repeat(const struct scan *s)
{
    size_t n = 1;
    unsigned number[2] = {0, 0}, which = 0;
    bool digits = false;
    for (;; n++) {
        char c = at(s, n);
        if (isdigit((unsigned char)c)) {
            digits = true;
            number[which] = number[which] > REPEAT_MAX ? number[which] : number[which] * 10 + (unsigned)(c - '0');
        } else if (c == ',' && which == 0 && digits) {
            which = 1;
        } else if (c == '}' && digits) {
            return number[0] > REPEAT_MAX || number[1] > REPEAT_MAX ? SIZE_MAX : n + 1;
        } else {
            return 0;
        }
    }
}

/* A repeat and its lazy mark. Two in a row are possessive for PCRE2 and an error for RE2. */
static bool scan_repeat(struct scan *s, size_t length)
{
    if (length == SIZE_MAX) {
        return refuse(s, "a repeat above 1000");
    }
    if (s->quantified) {
        return refuse(s, "a possessive or doubled repeat");
    }
    s->i += length;
    if (at(s, 0) == '?') {
        s->i++;
    }
    s->quantified = true;
    return true;
}

static bool scan_item(struct scan *s)
{
    char c = at(s, 0);
    size_t repeat = is_one_of(c, "*+?") ? 1 : c == '{' ? counted_repeat(s) : 0;
    if (repeat != 0) {
        return scan_repeat(s, repeat);
    }
    s->quantified = false;
    switch (c) {
    case '\\':
        return scan_escape(s, false);
    case '[':
        return scan_class(s);
    case '(':
        return scan_group(s);
    default:
        s->i++;
        return true;
    }
}

bool regex_dialect_check(struct slice pattern, struct err *err)
{
    if (pattern.n == 0 || memchr(pattern.p, '\0', pattern.n) != NULL) {
        return err_set(err, ERR_INPUT, "regex: empty, or with a zero byte");
    }
    struct scan s = {.pattern = pattern, .err = err};
    while (s.i < pattern.n) {
        if (!scan_item(&s)) {
            return false;
        }
    }
    return true;
}
