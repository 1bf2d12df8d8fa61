#include "proxy/codec/chars.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <string.h>

/* clang-format off */
const unsigned char chars_token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|', ['~'] = '~',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9',
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h',
    ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
    ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z',
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h',
    ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p',
    ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z',
};
/* clang-format on */

bool chars_is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!chars_is_token_byte(s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

bool chars_is_lower_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (chars_token_lower[c] != c || c == 0) {
            return false;
        }
    }
    return s.n > 0;
}

bool chars_lower_token(struct slice s, char *lower)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = chars_token_lower[(unsigned char)s.p[i]];
        if (c == 0) {
            return false;
        }
        lower[i] = (char)c;
    }
    return s.n > 0;
}

static bool is_value_byte(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

static size_t span_bytes(const char *p, size_t from, size_t n)
{
    for (size_t i = from; i < n; i++) {
        if (!is_value_byte((unsigned char)p[i])) {
            return i;
        }
    }
    return n;
}

/* Eight bytes at once: false only if none is a control byte or 0x7f (a tab, or a byte behind a hit, may say true too). */
static bool word_is_doubtful(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t x;
    memcpy(&x, p, sizeof x);
    uint64_t del = x ^ (ones * 0x7f);
    return ((((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & highs) != 0;
}

size_t chars_value_span(const char *p, size_t n)
{
    size_t i = 0;
#ifdef __SSE2__
    const __m128i lowest = _mm_set1_epi8(0x20 - 1), del = _mm_set1_epi8(0x7f), tab = _mm_set1_epi8('\t');
    for (; n - i >= 16; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        /* max(x, 0x1f) == 0x1f: a control byte; bytes from 0x80 on are larger, as unsigned. */
        __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(x, tab), _mm_cmpeq_epi8(_mm_max_epu8(x, lowest), lowest));
        int bad = _mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(x, del)));
        if (bad != 0) {
            return i + (size_t)__builtin_ctz((unsigned)bad);
        }
    }
#endif
    for (; n - i >= 8; i += 8) {
        if (word_is_doubtful(p + i)) {
            return span_bytes(p, i, n);
        }
    }
    /* The rest as one word that reaches back into what is known to be sound. */
    if (i > 0 && !word_is_doubtful(p + n - 8)) {
        return n;
    }
    return span_bytes(p, i, n);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool chars_is_value(struct slice s)
{
    return s.n == 0 || (!is_blank(s.p[0]) && !is_blank(s.p[s.n - 1]) && chars_value_span(s.p, s.n) == s.n);
}

bool chars_is_target(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '#') {
            return false;
        }
    }
    return s.n > 0;
}

bool chars_looks_like_framing(struct slice name)
{
    if (name.n < 13 || name.n > 32) {
        return false;
    }
    char letters[32];
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            letters[n++] = c;
        }
    }
    struct slice bare = slice_make(letters, n);
    return slice_eq(bare, SLICE("contentlength")) || slice_eq(bare, SLICE("transferencoding"));
}

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static bool is_ip6_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

static bool port_ok(struct slice port)
{
    uint64_t value;
    return port.n == 0 || (port.n <= 5 && slice_to_u64(port, &value) && value <= 65535);
}

bool authority_parse(struct slice text, struct authority *out)
{
    size_t n = 0;
    if (text.n > 2 && text.p[0] == '[') {
        n = 1;
        while (n < text.n && is_ip6_byte(text.p[n])) {
            n++;
        }
        if (n < 4 || n == text.n || text.p[n] != ']') {
            return false;
        }
        n++;
    } else {
        while (n < text.n && is_host_byte(text.p[n])) {
            n++;
        }
    }
    out->host = slice_sub(text, 0, n);
    out->port = SLICE_NONE;
    if (n < text.n) {
        if (text.p[n] != ':') {
            return false;
        }
        out->port = slice_from(text, n + 1);
    }
    return out->host.n > 0 && out->host.n <= 255 && port_ok(out->port);
}

bool authority_same(const struct authority *a, const struct authority *b, unsigned default_port)
{
    uint64_t pa = default_port, pb = default_port;
    slice_to_u64(a->port, &pa);
    slice_to_u64(b->port, &pb);
    return pa == pb && slice_eq_nocase(a->host, b->host);
}
