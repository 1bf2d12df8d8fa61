/*
 * Session ticket keys (RFC 5077). Each context has a secret of its own; the keys of a period are derived from it and change
 * twice a day by themselves, alike in every worker and replica that was given the same seed. A ticket of the period before
 * is still taken and renewed; an older one, or another context's, costs the client a full handshake.
 */
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "proxy/net/tls_internal.h"

enum { PERIOD_S = 12 * 3600, NAME_BYTES = 16, TAG_BYTES = 8 };

struct ticket_keys {
    unsigned char tag[32], cipher[32], mac[32]; /* of the tag the first TAG_BYTES stand in the name */
};

static bool derive_one(const struct tls_context *c, uint64_t period, unsigned char what, unsigned char out[32])
{
    unsigned char label[16] = "egret-t";
    unsigned n = 0;
    memcpy(label + 7, &period, sizeof period);
    label[15] = what;
    return HMAC(EVP_sha256(), c->ticket_secret, sizeof c->ticket_secret, label, sizeof label, out, &n) != NULL;
}

static bool derive(const struct tls_context *c, uint64_t period, struct ticket_keys *k)
{
    return derive_one(c, period, 't', k->tag) && derive_one(c, period, 'c', k->cipher) && derive_one(c, period, 'm', k->mac);
}

static bool set_mac(EVP_MAC_CTX *mac, struct ticket_keys *k)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal(const struct tls_context *c, uint64_t now, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac)
{
    struct ticket_keys k;
    bool ok = derive(c, now, &k) && RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 &&
              EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.cipher, iv) == 1 && set_mac(mac, &k);
    memcpy(name, &now, sizeof now);
    memcpy(name + sizeof now, k.tag, TAG_BYTES);
    mem_wipe(&k, sizeof k);
    return ok ? 1 : -1;
}

static int open_sealed(const struct tls_context *c, uint64_t now, const unsigned char *name, unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_keys k;
    uint64_t period;
    memcpy(&period, name, sizeof period);
    if ((period != now && period + 1 != now) || !derive(c, period, &k)) {
        return 0;
    }
    bool ours = CRYPTO_memcmp(name + sizeof period, k.tag, TAG_BYTES) == 0;
    bool ok = ours && set_mac(mac, &k) && EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.cipher, iv) == 1;
    mem_wipe(&k, sizeof k);
    return !ours ? 0 : !ok ? -1 : period == now ? 1 : 2; /* 2: taken, and a new one is issued */
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
    const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    uint64_t now = (uint64_t)time(NULL) / PERIOD_S;
    return sealing ? seal(c, now, name, iv, cipher, mac) : open_sealed(c, now, name, iv, cipher, mac);
}

bool tls_ticket_secret(struct tls_context *c, struct slice seed, struct err *err)
{
    static const unsigned char label[] = "egret session ticket secret";
    unsigned char text[sizeof label + sizeof c->digest];
    unsigned n = 0;
    if (seed.n == 0) {
        return RAND_bytes(c->ticket_secret, sizeof c->ticket_secret) == 1 || tls_err(err, "random ticket secret");
    }
    memcpy(text, label, sizeof label);
    memcpy(text + sizeof label, c->digest, sizeof c->digest);
    return HMAC(EVP_sha256(), seed.p, (int)seed.n, text, sizeof text, c->ticket_secret, &n) != NULL ||
           tls_err(err, "ticket secret");
}

bool tls_ticket_set_up(struct tls_context *c, SSL_CTX *ctx)
{
    return SSL_CTX_set_app_data(ctx, c) == 1 && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}
