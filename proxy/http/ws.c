#include "proxy/http/ws.h"

#include <assert.h>
#include <string.h>
#include <sys/random.h>

static void base64(const unsigned char *p, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[v & 63] : '=';
    }
}

void ws_key_random(char key[WS_KEY_LEN])
{
    unsigned char bytes[16];
    ssize_t n = getrandom(bytes, sizeof bytes, 0);
    assert(n == sizeof bytes);
    (void)n;
    base64(bytes, sizeof bytes, key);
}

/* SHA-1 (FIPS 180-4 6.1), for the handshake only: it protects nothing here. */
static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static void mix(uint32_t h[5], const unsigned char block[64])
{
    uint32_t w[80], v[5];
    for (unsigned t = 0; t < 16; t++) {
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 |
               block[4 * t + 3];
    }
    for (unsigned t = 16; t < 80; t++) {
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
    memcpy(v, h, sizeof v);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20) {
            f = (v[1] & v[2]) | (~v[1] & v[3]);
            k = 0x5a827999;
        } else if (t < 40 || t >= 60) {
            f = v[1] ^ v[2] ^ v[3];
            k = t < 40 ? 0x6ed9eba1 : 0xca62c1d6;
        } else {
            f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
            k = 0x8f1bbcdc;
        }
        uint32_t next = rotate(v[0], 5) + f + v[4] + k + w[t];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotate(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (unsigned i = 0; i < 5; i++) {
        h[i] += v[i];
    }
}

void ws_accept(struct slice key, char accept[WS_ACCEPT_LEN])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[192] = {0};
    size_t key_len = key.n < 64 ? key.n : 64; /* a sound key has 24 */
    size_t n = key_len + sizeof guid - 1;
    if (key_len > 0) {
        memcpy(text, key.p, key_len);
    }
    memcpy(text + key_len, guid, sizeof guid - 1);
    text[n] = 0x80;
    size_t blocks = (n + 9 + 63) / 64;
    text[blocks * 64 - 2] = (unsigned char)(n * 8 >> 8);
    text[blocks * 64 - 1] = (unsigned char)(n * 8);
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (size_t i = 0; i < blocks; i++) {
        mix(h, text + i * 64);
    }
    unsigned char digest[20];
    for (unsigned i = 0; i < 20; i++) {
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
    base64(digest, sizeof digest, accept);
}
