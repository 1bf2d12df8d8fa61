#include "proxy/observe/mask.h"

#include <string.h>

/* Where the value behind the next such name begins; text.n: nowhere. */
static size_t find_value(struct slice text, size_t from)
{
    struct slice name = SLICE("subscription-key=");
    for (const char *eq; from < text.n && (eq = memchr(text.p + from, '=', text.n - from)) != NULL;) {
        size_t end = (size_t)(eq - text.p) + 1;
        if (end >= name.n && slice_eq_nocase(slice_sub(text, end - name.n, name.n), name)) {
            return end;
        }
        from = end;
    }
    return text.n;
}

static size_t value_end(struct slice text, size_t at)
{
    while (at < text.n && strchr("&#; \t\"',<>", text.p[at]) == NULL) {
        at++;
    }
    return at;
}

static size_t put(char *scratch, size_t n, size_t cap, struct slice piece)
{
    size_t take = piece.n < cap - n ? piece.n : cap - n;
    memcpy(scratch + n, piece.p, take);
    return n + take;
}

struct slice mask_keys(struct slice text, char *scratch, size_t cap)
{
    size_t value = find_value(text, 0);
    if (value == text.n) {
        return text;
    }
    size_t n = 0, copied = 0;
    while (value < text.n) {
        n = put(scratch, n, cap, slice_sub(text, copied, value - copied));
        n = put(scratch, n, cap, SLICE("***"));
        copied = value_end(text, value);
        value = find_value(text, copied);
    }
    n = put(scratch, n, cap, slice_from(text, copied));
    return slice_make(scratch, n);
}
