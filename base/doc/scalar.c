/* Which plain scalars mean what: YAML 1.2, section 10.3.2 (core schema). */
#include "base/doc/node.h"

static size_t digits(struct slice s, size_t i)
{
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
        i++;
    }
    return i;
}

static bool is_based(struct slice s)
{
    if (s.n < 3 || s.p[0] != '0' || (s.p[1] != 'x' && s.p[1] != 'o')) {
        return false;
    }
    for (size_t i = 2; i < s.n; i++) {
        char c = s.p[i];
        bool octal = c >= '0' && c <= '7';
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!(s.p[1] == 'o' ? octal : hex)) {
            return false;
        }
    }
    return true;
}

static bool is_one_of(struct slice s, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (slice_eq(s, slice_of(*names))) {
            return true;
        }
    }
    return false;
}

static bool is_not_finite(struct slice s)
{
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan[] = {".nan", ".NaN", ".NAN", NULL};
    bool sign = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
    return is_one_of(slice_from(s, sign ? 1 : 0), inf) || is_one_of(s, nan);
}

bool scalar_is_number(struct slice s)
{
    if (is_based(s) || is_not_finite(s)) {
        return true;
    }
    size_t start = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
    size_t i = digits(s, start);
    size_t whole = i - start, fraction = 0;
    if (i < s.n && s.p[i] == '.') {
        size_t dot = i;
        i = digits(s, i + 1);
        fraction = i - dot - 1;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        i += i < s.n && (s.p[i] == '-' || s.p[i] == '+') ? 1 : 0;
        size_t end = digits(s, i);
        if (end == i) {
            return false;
        }
        i = end;
    }
    return i == s.n;
}

enum doc_kind scalar_kind(struct slice s)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    if (is_one_of(s, nulls)) {
        return DOC_NULL;
    }
    if (is_one_of(s, bools)) {
        return DOC_BOOL;
    }
    return scalar_is_number(s) ? DOC_NUMBER : DOC_STRING;
}
