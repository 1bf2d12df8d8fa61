#include "base/crypto/crypto.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct slice data, const char *alphabet, bool pad, struct strbuf *out)
{
    for (size_t i = 0; i < data.n; i += 3) {
        size_t have = data.n - i < 3 ? data.n - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++) {
            group = group << 8 | (k < have ? (unsigned char)data.p[i + k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            if (k <= have) {
                strbuf_add_char(out, alphabet[group >> (18 - 6 * k) & 63]);
            } else if (pad) {
                strbuf_add_char(out, '=');
            }
        }
    }
}

static int digit_of(char c, bool is_url)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == (is_url ? '-' : '+')) {
        return 62;
    }
    return c == (is_url ? '_' : '/') ? 63 : -1;
}

static bool decode(struct slice text, bool is_url, struct strbuf *out)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=') {
        padding++;
    }
    bool padded = !is_url || padding > 0;
    if (padded && text.n % 4 != 0) {
        return false;
    }
    struct slice digits = slice_sub(text, 0, text.n - padding);
    if (digits.n % 4 == 1 || (padded && digits.n % 4 != 0 && digits.n % 4 + padding != 4) ||
        (padding > 0 && digits.n % 4 == 0)) {
        return false;
    }
    uint32_t bits = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digit_of(digits.p[i], is_url) < 0) {
            return false;
        }
    }
    unsigned spare = (unsigned)(digits.n * 6 % 8);
    if (spare > 0 && (digit_of(digits.p[digits.n - 1], is_url) & ((1 << spare) - 1)) != 0) {
        return false;
    }
    unsigned held = 0;
    for (size_t i = 0; i < digits.n; i++) {
        bits = (bits << 6 | (uint32_t)digit_of(digits.p[i], is_url)) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            strbuf_add_char(out, (char)(bits >> held & 0xff));
        }
    }
    return true;
}

void base64_encode(struct slice data, struct strbuf *out)
{
    encode(data, standard, true, out);
}

bool base64_decode(struct slice text, struct strbuf *out)
{
    return decode(text, false, out);
}

void base64url_encode(struct slice data, struct strbuf *out)
{
    encode(data, url, false, out);
}

bool base64url_decode(struct slice text, struct strbuf *out)
{
    return decode(text, true, out);
}

void hex_encode(struct slice data, struct strbuf *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < data.n; i++) {
        strbuf_add_char(out, digits[(unsigned char)data.p[i] >> 4]);
        strbuf_add_char(out, digits[data.p[i] & 15]);
    }
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(struct slice text, struct strbuf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.n % 2 != 0 || hex_digit(text.p[i]) < 0) {
            return false;
        }
    }
    for (size_t i = 0; i < text.n; i += 2) {
        strbuf_add_char(out, (char)(hex_digit(text.p[i]) << 4 | hex_digit(text.p[i + 1])));
    }
    return true;
}
