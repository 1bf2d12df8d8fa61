#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/list.h"
#include "base/mem.h"
#include "proxy/net/tls_internal.h"

struct tls_trust {
    struct list link;
    unsigned refs; /* under table_lock */
    unsigned char digest[32];
    X509_STORE *store;
};

/* The one process-wide table: a CA bundle costs 0.8 MB and 18 ms, and every worker's contexts want the same. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list table = {&table, &table};

enum { ROOTS_MAX = 16 << 20 };

X509_STORE *tls_trust_store(const struct tls_trust *trust)
{
    return trust->store;
}

/* The system's roots as one PEM text, read anew each time: an update of the bundle is a new content. */
static bool read_system_roots(char **text, size_t *n, struct err *err)
{
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/cert.pem"};
    const char *named = getenv("SSL_CERT_FILE");
    if (named != NULL && named[0] != '\0') {
        return file_read(named, ROOTS_MAX, text, n, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (file_read(places[i], ROOTS_MAX, text, n, NULL)) {
            return true;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "system roots: no certificate bundle on this system (set SSL_CERT_FILE)");
}

static void digest_part(EVP_MD_CTX *md, struct slice part)
{
    uint64_t n = part.n;
    EVP_DigestUpdate(md, &n, sizeof n);
    EVP_DigestUpdate(md, part.p, part.n);
}

static void digest_of(const struct tls_config *config, struct slice roots, unsigned char *out)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    digest_part(md, roots);
    digest_part(md, config->trusted_ca.text);
    digest_part(md, config->crl.text);
    digest_part(md, config->crl_leaf_only ? SLICE("leaf") : SLICE("all"));
    EVP_DigestFinal_ex(md, out, NULL);
    EVP_MD_CTX_free(md);
}

/* Every certificate (or revocation list) of a PEM text; at least one. */
static bool add_pem(X509_STORE *store, const struct tls_pem *pem, bool crls, struct err *err)
{
    BIO *bio = tls_pem_bio(pem);
    STACK_OF(X509_INFO) *items = PEM_X509_INFO_read_bio(bio, NULL, tls_no_password, NULL);
    BIO_free(bio);
    int added = 0;
    for (int i = 0; i < sk_X509_INFO_num(items); i++) {
        X509_INFO *item = sk_X509_INFO_value(items, i);
        if (crls && item->crl != NULL) {
            added += X509_STORE_add_crl(store, item->crl);
        } else if (!crls && item->x509 != NULL) {
            added += X509_STORE_add_cert(store, item->x509);
        }
    }
    bool read = items != NULL;
    sk_X509_INFO_pop_free(items, X509_INFO_free);
    if (!read) {
        return tls_err(err, pem->name);
    }
    ERR_clear_error();
    if (added == 0) {
        return err_set(err, ERR_INPUT, "%s: no %s in it", pem->name, crls ? "revocation list" : "certificate");
    }
    return true;
}

static bool fill_store(X509_STORE *store, const struct tls_config *config, struct slice roots, struct err *err)
{
    struct tls_pem system = {roots, "system roots"};
    if (roots.n > 0 && !add_pem(store, &system, false, err)) {
        return false;
    }
    if (config->trusted_ca.text.n > 0 && !add_pem(store, &config->trusted_ca, false, err)) {
        return false;
    }
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN; /* what is listed as trusted need not be self-signed */
    if (config->crl.text.n > 0) {
        if (!add_pem(store, &config->crl, true, err)) {
            return false;
        }
        flags |= X509_V_FLAG_CRL_CHECK | (config->crl_leaf_only ? 0 : X509_V_FLAG_CRL_CHECK_ALL);
    }
    X509_STORE_set_flags(store, flags);
    return true;
}

static struct tls_trust *find(const unsigned char *digest)
{
    for (struct list *l = table.next; l != &table; l = l->next) {
        struct tls_trust *trust = container_of(l, struct tls_trust, link);
        if (memcmp(trust->digest, digest, sizeof trust->digest) == 0) {
            return trust;
        }
    }
    return NULL;
}

static struct tls_trust *find_or_make(const struct tls_config *config, struct slice roots, struct err *err)
{
    unsigned char digest[32];
    digest_of(config, roots, digest);
    struct tls_trust *trust = find(digest);
    if (trust != NULL) {
        trust->refs++;
        return trust;
    }
    X509_STORE *store = X509_STORE_new();
    if (!fill_store(store, config, roots, err)) {
        X509_STORE_free(store);
        return NULL;
    }
    trust = mem_alloc(sizeof *trust);
    trust->refs = 1;
    trust->store = store;
    memcpy(trust->digest, digest, sizeof digest);
    list_push(&table, &trust->link);
    return trust;
}

struct tls_trust *tls_trust_acquire(const struct tls_config *config, struct err *err)
{
    char *roots = NULL;
    size_t n = 0;
    if (config->system_roots && !read_system_roots(&roots, &n, err)) {
        return NULL;
    }
    pthread_mutex_lock(&table_lock);
    struct tls_trust *trust = find_or_make(config, slice_make(roots, n), err);
    pthread_mutex_unlock(&table_lock);
    mem_free(roots);
    return trust;
}

void tls_trust_release(struct tls_trust **pointer)
{
    struct tls_trust *trust = *pointer;
    *pointer = NULL;
    if (trust == NULL) {
        return;
    }
    pthread_mutex_lock(&table_lock);
    bool last = --trust->refs == 0;
    if (last) {
        list_remove(&trust->link);
    }
    pthread_mutex_unlock(&table_lock);
    if (last) {
        X509_STORE_free(trust->store);
        mem_free(trust);
    }
}
