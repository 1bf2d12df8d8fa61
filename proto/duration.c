#include "proto/duration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t max_seconds = 315576000000;

static bool parse_fraction(struct slice digits, int32_t *nanos)
{
    if (digits.n == 0 || digits.n > 9) {
        return false;
    }
    uint64_t value = 0;
    if (!slice_to_u64(digits, &value)) {
        return false;
    }
    for (size_t i = digits.n; i < 9; i++) {
        value *= 10;
    }
    *nanos = (int32_t)value;
    return true;
}

bool duration_parse(struct slice text, int64_t *seconds, int32_t *nanos)
{
    bool negative = slice_starts_with(text, SLICE("-"));
    text = slice_from(text, negative ? 1 : 0);
    if (!slice_ends_with(text, SLICE("s"))) {
        return false;
    }
    text.n--;
    uint64_t whole = 0;
    struct slice fraction = text, units = slice_cut(&fraction, '.');
    *nanos = 0;
    if (!slice_to_u64(units, &whole) || whole > (uint64_t)max_seconds ||
        (fraction.p != NULL && !parse_fraction(fraction, nanos))) {
        return false;
    }
    *seconds = negative ? -(int64_t)whole : (int64_t)whole;
    *nanos = negative ? -*nanos : *nanos;
    return true;
}

bool duration_is_valid(const Google__Protobuf__Duration *d)
{
    return d->seconds >= -max_seconds && d->seconds <= max_seconds && d->nanos > -1000000000 && d->nanos < 1000000000 &&
           !(d->seconds > 0 && d->nanos < 0) && !(d->seconds < 0 && d->nanos > 0);
}

int64_t duration_ms(const Google__Protobuf__Duration *d, int64_t fallback)
{
    if (d == NULL) {
        return fallback;
    }
    if (d->seconds > max_seconds || d->seconds < -max_seconds) {
        return (d->seconds > 0 ? max_seconds : -max_seconds) * 1000;
    }
    return d->seconds * 1000 + (d->nanos > 0 ? (d->nanos + 999999) / 1000000 : d->nanos / 1000000);
}

void duration_format(int64_t seconds, int32_t nanos, char out[32])
{
    const char *sign = seconds < 0 || nanos < 0 ? "-" : "";
    uint64_t whole = seconds < 0 ? 0 - (uint64_t)seconds : (uint64_t)seconds;
    int n = snprintf(out, 32, "%s%llu", sign, (unsigned long long)whole);
    int64_t rest = llabs((long long)nanos);
    if (rest != 0) {
        n += snprintf(out + n, (size_t)(32 - n), ".%09lld", (long long)(rest % 1000000000));
        while (out[n - 1] == '0') {
            out[--n] = '\0';
        }
    }
    snprintf(out + n, (size_t)(32 - n), "s");
}
