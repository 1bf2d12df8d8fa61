/*
 * crypto: digests, keyed digests, sealing, randomness and the encodings that go with them. All use of libcrypto
 * that is not TLS's own. A context belongs to one thread; the plain functions are for any.
 * A failure of libcrypto itself (no memory, no algorithm) ends the process, as running out of memory does.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"

enum { SHA256_BYTES = 32, HMAC_BYTES = 32, AEAD_KEY_BYTES = 32, AEAD_OVERHEAD = 12 + 16 };

void sha256(struct slice data, uint8_t out[SHA256_BYTES]);

/* In pieces. */
struct sha256_state;
struct sha256_state *sha256_create(void);
void sha256_destroy(struct sha256_state **s);
void sha256_add(struct sha256_state *s, struct slice data);
void sha256_end(struct sha256_state *s, uint8_t out[SHA256_BYTES]); /* ready for the next message */

/* HMAC-SHA-256 under one key, set up once and used for many messages (0.16 us instead of 0.93 us each). */
struct hmac;
struct hmac *hmac_create(struct slice key);
void hmac_destroy(struct hmac **h); /* wipes the key */
void hmac_sign(struct hmac *h, struct slice data, uint8_t out[HMAC_BYTES]);

/*
 * AES-256-GCM. Sealed: a random nonce of 12 bytes, the ciphertext, a tag of 16. `bound` is authenticated with it
 * and not contained in it. One key may seal 2^32 messages.
 */
void aead_seal(const uint8_t key[AEAD_KEY_BYTES], struct slice plain, struct slice bound, struct strbuf *out);
/* False, with nothing added to out, when key, bound or any byte of sealed is not what it was. */
bool aead_open(const uint8_t key[AEAD_KEY_BYTES], struct slice sealed, struct slice bound, struct strbuf *out,
               struct err *err);

/* Time depends on the lengths alone. */
bool crypto_equal(struct slice a, struct slice b);
void crypto_random(void *out, size_t n);

/* RFC 4648. Decoding is strict: no white space, the right padding, no stray bits; url: section 5, padding optional. */
void base64_encode(struct slice data, struct strbuf *out);
bool base64_decode(struct slice text, struct strbuf *out);
void base64url_encode(struct slice data, struct strbuf *out); /* without padding */
bool base64url_decode(struct slice text, struct strbuf *out);

void hex_encode(struct slice data, struct strbuf *out); /* lower case */
bool hex_decode(struct slice text, struct strbuf *out);
