#include <assert.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/net/tls_internal.h"

bool tls_err(struct err *err, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    ERR_clear_error();
    return err_set(err, ERR_TLS, "%s: %s", what, reason != NULL ? reason : "unknown failure");
}

int tls_no_password(char *text, int size, int writing, void *arg)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

BIO *tls_pem_bio(const struct tls_pem *pem)
{
    assert(pem->text.n <= INT32_MAX);
    return BIO_new_mem_buf(pem->text.p, (int)pem->text.n);
}

static bool read_chain(struct tls_context *c, const struct tls_pem *pem, struct err *err)
{
    BIO *bio = tls_pem_bio(pem);
    c->leaf = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL);
    c->chain = sk_X509_new_null();
    for (X509 *x; c->leaf != NULL && (x = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL)) != NULL;) {
        sk_X509_push(c->chain, x);
    }
    BIO_free(bio);
    unsigned long last = ERR_peek_last_error();
    if (c->leaf == NULL || ERR_GET_REASON(last) != PEM_R_NO_START_LINE) {
        return tls_err(err, pem->name);
    }
    ERR_clear_error(); /* the end of the text is how the list of certificates ends */
    return true;
}

static bool read_key(struct tls_context *c, const struct tls_pem *pem, struct err *err)
{
    BIO *bio = tls_pem_bio(pem);
    c->key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_password, NULL);
    BIO_free(bio);
    if (c->key == NULL) {
        return tls_err(err, pem->name);
    }
    if (X509_check_private_key(c->leaf, c->key) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INPUT, "%s: is not the key of the certificate", pem->name);
    }
    return true;
}

static bool read_identity(struct tls_context *c, const struct tls_config *config, struct err *err)
{
    bool chain = config->chain.text.n > 0, key = config->key.text.n > 0;
    if (chain != key) {
        return err_set(err, ERR_INPUT, "a certificate chain and a private key belong together, only one is given");
    }
    if (!chain) {
        return !config->server || err_set(err, ERR_INPUT, "a server needs a certificate chain and a private key");
    }
    return read_chain(c, &config->chain, err) && read_key(c, &config->key, err);
}

static bool read_versions(struct tls_context *c, const struct tls_config *config, struct err *err)
{
    c->min_version = config->min_version != 0 ? config->min_version : TLS1_2_VERSION;
    c->max_version = config->max_version != 0 ? config->max_version : TLS1_3_VERSION;
    if (c->min_version < TLS1_2_VERSION || c->max_version > TLS1_3_VERSION) {
        return err_set(err, ERR_UNSUPPORTED, "only TLS 1.2 and 1.3 are spoken");
    }
    if (c->min_version > c->max_version) {
        return err_set(err, ERR_INPUT, "the lowest TLS version is above the highest");
    }
    return true;
}

static bool read_alpn(struct tls_context *c, const struct tls_config *config, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_alpn; i++) {
        n += config->alpn[i].n + 1;
        if (config->alpn[i].n == 0 || config->alpn[i].n > 255 || n > 1024) {
            return err_set(err, ERR_INPUT, "ALPN: a name has 1 to 255 bytes, all together at most 1024");
        }
    }
    c->alpn = mem_alloc(n);
    for (size_t i = 0; i < config->n_alpn; i++) {
        c->alpn[c->alpn_len] = (unsigned char)config->alpn[i].n;
        memcpy(c->alpn + c->alpn_len + 1, config->alpn[i].p, config->alpn[i].n);
        c->alpn_len += config->alpn[i].n + 1;
    }
    return true;
}

static struct slice own_copy(struct slice s)
{
    return slice_make(mem_str_slice(s), s.n);
}

static bool has_nul(struct slice s)
{
    return s.n > 0 && memchr(s.p, '\0', s.n) != NULL;
}

static void copy_peer_names(struct tls_context *c, const struct tls_config *config)
{
    c->sni = own_copy(config->sni);
    c->sans = mem_alloc(config->n_sans * sizeof *c->sans);
    for (; c->n_sans < config->n_sans; c->n_sans++) {
        c->sans[c->n_sans] = config->sans[c->n_sans];
        c->sans[c->n_sans].value = own_copy(config->sans[c->n_sans].value);
    }
    c->pins = mem_alloc(config->n_pins * sizeof *c->pins);
    for (; c->n_pins < config->n_pins; c->n_pins++) {
        c->pins[c->n_pins] = config->pins[c->n_pins];
    }
}

static bool read_peer_rules(struct tls_context *c, const struct tls_config *config, struct err *err)
{
    bool roots = config->trusted_ca.text.n > 0 || config->system_roots;
    c->require_client_cert = config->server && config->require_client_cert;
    c->verify = config->server ? roots : config->verify;
    c->verify_name = c->verify && config->verify_name;
    if ((c->verify || c->require_client_cert) && !roots) {
        return err_set(err, ERR_INPUT, "%s are verified, but no trusted CA is given",
                       config->server ? "client certificates" : "server certificates");
    }
    if (!c->verify && (config->n_sans > 0 || config->n_pins > 0 || config->crl.text.n > 0)) {
        return err_set(err, ERR_INPUT, "names, hashes or revocation are to be checked, but verification is off");
    }
    if (has_nul(config->sni) || config->sni.n > 255) {
        return err_set(err, ERR_INPUT, "sni: has a NUL in it or is longer than 255 bytes");
    }
    copy_peer_names(c, config);
    if (c->verify) {
        c->trust = tls_trust_acquire(config, err);
    }
    return !c->verify || c->trust != NULL;
}

static void add_bytes(EVP_MD_CTX *md, struct slice s)
{
    uint64_t n = s.n;
    EVP_DigestUpdate(md, &n, sizeof n);
    EVP_DigestUpdate(md, s.p, s.n);
}

static void digest_config(struct tls_context *c, const struct tls_config *config)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    const struct slice texts[] = {
        config->chain.text, config->key.text, config->trusted_ca.text, config->crl.text,
        config->sni,        config->ciphers,  config->curves,          config->session_ticket_seed};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        add_bytes(md, texts[i]);
    }
    const int numbers[] = {config->server,      config->system_roots, config->crl_leaf_only, c->require_client_cert,
                           c->verify,           c->min_version,       c->max_version,        (int)c->n_sans,
                           (int)config->n_alpn, (int)config->n_pins,   c->verify_name};
    EVP_DigestUpdate(md, numbers, sizeof numbers);
    for (size_t i = 0; i < c->n_sans; i++) {
        const int kind[] = {(int)c->sans[i].type, (int)c->sans[i].how, c->sans[i].ignore_case};
        EVP_DigestUpdate(md, kind, sizeof kind);
        add_bytes(md, c->sans[i].value);
    }
    for (size_t i = 0; i < c->n_pins; i++) {
        add_bytes(md, c->pins[i].spki ? SLICE("spki") : SLICE("cert"));
        EVP_DigestUpdate(md, c->pins[i].sha256, sizeof c->pins[i].sha256);
    }
    add_bytes(md, slice_make(c->alpn, c->alpn_len));
    EVP_DigestFinal_ex(md, c->digest, NULL);
    EVP_MD_CTX_free(md);
    for (size_t i = 0; i < sizeof c->digest; i++) {
        static const char hex[] = "0123456789abcdef";
        c->digest_text[2 * i] = hex[c->digest[i] >> 4];
        c->digest_text[2 * i + 1] = hex[c->digest[i] & 15];
    }
}

static bool context_read(struct tls_context *c, const struct tls_config *config, struct err *err)
{
    c->server = config->server;
    c->ciphers = config->ciphers.n > 0 ? mem_str_slice(config->ciphers) : NULL;
    c->curves = config->curves.n > 0 ? mem_str_slice(config->curves) : NULL;
    if (!read_identity(c, config, err) || !read_versions(c, config, err) || !read_alpn(c, config, err) ||
        !read_peer_rules(c, config, err) || !tls_context_judge(c, err)) {
        return false;
    }
    digest_config(c, config);
    return tls_ticket_secret(c, config->session_ticket_seed, err);
}

struct tls_context *tls_context_create(const struct tls_config *config, struct err *err)
{
    struct tls_context *c = mem_alloc(sizeof *c);
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    ERR_clear_error();
    if (!context_read(c, config, err)) {
        tls_context_unref(&c);
    }
    return c;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_context_unref(struct tls_context **pointer)
{
    struct tls_context *c = *pointer;
    *pointer = NULL;
    if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    SSL_CTX_free(c->ctx);
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    tls_trust_release(&c->trust);
    for (size_t i = 0; i < c->n_sans; i++) {
        mem_free((char *)c->sans[i].value.p);
    }
    mem_free(c->sans);
    mem_free(c->pins);
    mem_free((char *)c->sni.p);
    mem_free(c->alpn);
    mem_free(c->ciphers);
    mem_free(c->curves);
    mem_wipe(c->ticket_secret, sizeof c->ticket_secret);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

struct slice tls_context_hash(const struct tls_context *c)
{
    return slice_make(c->digest_text, sizeof c->digest_text - 1);
}
