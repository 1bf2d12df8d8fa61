#include "base/crypto/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum { NONCE_BYTES = 12, TAG_BYTES = 16 };

struct sha256_state {
    EVP_MD_CTX *ctx;
};

struct hmac {
    EVP_MAC_CTX *ctx;
};

static void must(bool ok, const char *what)
{
    if (!ok) {
        LOG(LOG_CRITICAL, "crypto", "libcrypto failed: %s", what);
        abort();
    }
}

static const unsigned char *bytes_of(struct slice s)
{
    return (const unsigned char *)(s.n == 0 ? "" : s.p);
}

void sha256(struct slice data, uint8_t out[SHA256_BYTES])
{
    must(EVP_Digest(bytes_of(data), data.n, out, NULL, EVP_sha256(), NULL) == 1, "SHA-256");
}

struct sha256_state *sha256_create(void)
{
    struct sha256_state *s = mem_alloc(sizeof *s);
    s->ctx = EVP_MD_CTX_new();
    must(s->ctx != NULL && EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) == 1, "SHA-256");
    return s;
}

void sha256_destroy(struct sha256_state **s)
{
    if (*s != NULL) {
        EVP_MD_CTX_free((*s)->ctx);
        mem_free(*s);
        *s = NULL;
    }
}

void sha256_add(struct sha256_state *s, struct slice data)
{
    must(EVP_DigestUpdate(s->ctx, bytes_of(data), data.n) == 1, "SHA-256");
}

void sha256_end(struct sha256_state *s, uint8_t out[SHA256_BYTES])
{
    must(EVP_DigestFinal_ex(s->ctx, out, NULL) == 1, "SHA-256");
    must(EVP_DigestInit_ex(s->ctx, NULL, NULL) == 1, "SHA-256");
}

struct hmac *hmac_create(struct slice key)
{
    struct hmac *h = mem_alloc(sizeof *h);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    must(mac != NULL, "HMAC");
    h->ctx = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    must(h->ctx != NULL && EVP_MAC_init(h->ctx, bytes_of(key), key.n, params) == 1, "HMAC");
    return h;
}

void hmac_destroy(struct hmac **h)
{
    if (*h != NULL) {
        EVP_MAC_CTX_free((*h)->ctx); /* libcrypto cleanses the key */
        mem_free(*h);
        *h = NULL;
    }
}

void hmac_sign(struct hmac *h, struct slice data, uint8_t out[HMAC_BYTES])
{
    size_t n = 0;
    must(EVP_MAC_init(h->ctx, NULL, 0, NULL) == 1, "HMAC"); /* the same key again */
    must(EVP_MAC_update(h->ctx, bytes_of(data), data.n) == 1, "HMAC");
    must(EVP_MAC_final(h->ctx, out, &n, HMAC_BYTES) == 1 && n == HMAC_BYTES, "HMAC");
}

/* EVP takes int lengths; larger messages go in pieces. */
static void update(EVP_CIPHER_CTX *ctx, bool seal, unsigned char *out, struct slice in)
{
    while (in.n > 0) {
        struct slice piece = slice_sub(in, 0, 1 << 30);
        int n = 0;
        must((seal ? EVP_EncryptUpdate : EVP_DecryptUpdate)(ctx, out, &n, bytes_of(piece), (int)piece.n) == 1,
             "AES-GCM");
        out = out == NULL ? NULL : out + n;
        in = slice_from(in, piece.n);
    }
}

static EVP_CIPHER_CTX *aead_start(bool seal, const uint8_t *key, const unsigned char *nonce, struct slice bound)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    must(ctx != NULL, "AES-GCM");
    must(EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, seal, NULL) == 1, "AES-GCM");
    update(ctx, seal, NULL, bound);
    return ctx;
}

void aead_seal(const uint8_t key[AEAD_KEY_BYTES], struct slice plain, struct slice bound, struct strbuf *out)
{
    unsigned char nonce[NONCE_BYTES], tag[TAG_BYTES];
    crypto_random(nonce, sizeof nonce);
    unsigned char *cipher = mem_alloc(plain.n + 1);
    int n = 0;
    EVP_CIPHER_CTX *ctx = aead_start(true, key, nonce, bound);
    update(ctx, true, cipher, plain);
    must(EVP_EncryptFinal_ex(ctx, cipher + plain.n, &n) == 1 && n == 0, "AES-GCM");
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1, "AES-GCM");
    EVP_CIPHER_CTX_free(ctx);
    strbuf_add(out, slice_make(nonce, sizeof nonce));
    strbuf_add(out, slice_make(cipher, plain.n));
    strbuf_add(out, slice_make(tag, sizeof tag));
    mem_free(cipher);
}

bool aead_open(const uint8_t key[AEAD_KEY_BYTES], struct slice sealed, struct slice bound, struct strbuf *out,
               struct err *err)
{
    if (sealed.n < AEAD_OVERHEAD) {
        return err_set(err, ERR_INPUT, "sealed data is too short");
    }
    struct slice body = slice_sub(sealed, NONCE_BYTES, sealed.n - AEAD_OVERHEAD);
    unsigned char tag[TAG_BYTES];
    memcpy(tag, sealed.p + sealed.n - TAG_BYTES, TAG_BYTES);
    unsigned char *plain = mem_alloc(body.n + 1);
    int n = 0;
    EVP_CIPHER_CTX *ctx = aead_start(false, key, bytes_of(sealed), bound);
    update(ctx, false, plain, body);
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1, "AES-GCM");
    bool ok = EVP_DecryptFinal_ex(ctx, plain + body.n, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (ok) {
        strbuf_add(out, slice_make(plain, body.n));
    }
    mem_wipe(plain, body.n);
    mem_free(plain);
    return ok || err_set(err, ERR_DENIED, "sealed data was changed, or sealed under another key");
}

bool crypto_equal(struct slice a, struct slice b)
{
    return a.n == b.n && CRYPTO_memcmp(bytes_of(a), bytes_of(b), a.n) == 0;
}

void crypto_random(void *out, size_t n)
{
    unsigned char *p = out;
    for (size_t left = n; left > 0;) {
        int piece = left > 1 << 20 ? 1 << 20 : (int)left;
        must(RAND_bytes(p, piece) == 1, "randomness");
        p += piece;
        left -= (size_t)piece;
    }
}
