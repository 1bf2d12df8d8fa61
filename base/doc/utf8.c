#include "base/doc/utf8.h"

static size_t announced(unsigned char first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0;
    }
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t utf8_length(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t n = announced(p[0]);
    if (n <= 1 || (size_t)(end - at) < n) {
        return n == 1 ? 1 : 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool wrong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
                 (p[0] == 0xf4 && p[1] > 0x8f);
    return wrong ? 0 : n;
}

bool utf8_is_valid(struct slice s)
{
    const char *end = s.p + s.n;
    for (const char *p = s.p; p < end;) {
        size_t n = utf8_length(p, end);
        if (n == 0) {
            return false;
        }
        p += n;
    }
    return true;
}
