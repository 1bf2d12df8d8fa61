/* The SSL_CTX of a context, made on first use, and what the whole process sets up once. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/net/tls_internal.h"

enum { EXACT_BELOW = 8 << 10 }; /* from there on: buffers of records, which come and go with them */

static bool apply(const struct tls_context *c, SSL *ssl, struct err *err)
{
    if (c->leaf != NULL && SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) != 1) {
        return tls_err(err, "certificate");
    }
    if (c->ciphers != NULL && SSL_set_cipher_list(ssl, c->ciphers) != 1) {
        return tls_err(err, "cipher_suites");
    }
    if (c->curves != NULL && SSL_set1_groups_list(ssl, c->curves) != 1) {
        return tls_err(err, "ecdh_curves");
    }
    return true;
}

/* How strong a certificate is and how ciphers and curves are called is OpenSSL's to judge. One SSL_CTX of the process
 * serves for that, because one for each of thousands of contexts costs 0.7 ms and 20 KB, and most are never used. */
bool tls_context_judge(const struct tls_context *c, struct err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static SSL_CTX *court;
    pthread_mutex_lock(&lock);
    if (court == NULL) {
        court = SSL_CTX_new(TLS_method());
    }
    SSL *ssl = court == NULL ? NULL : SSL_new(court);
    bool usable = ssl != NULL ? apply(c, ssl, err) : tls_err(err, "OpenSSL");
    SSL_free(ssl);
    pthread_mutex_unlock(&lock);
    return usable;
}

/* Our preference decides (RFC 7301 section 3.2). Without a common name we go on without ALPN, as Envoy does: the
 * listener then looks at the bytes. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *arg)
{
    (void)ssl;
    const struct tls_context *c = arg;
    int found = SSL_select_next_proto((unsigned char **)out, out_len, c->alpn, (unsigned)c->alpn_len, in, in_len);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static bool set_up_server(struct tls_context *c, SSL_CTX *ctx)
{
    if (c->alpn_len > 0) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, c);
    }
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_num_tickets(ctx, 1);
    return SSL_CTX_set_session_id_context(ctx, c->digest, sizeof c->digest) == 1 &&
           tls_ticket_set_up(c, ctx);
}

static bool set_up(struct tls_context *c, SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_min_proto_version(ctx, c->min_version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, c->max_version) != 1) {
        return false;
    }
    int mode = c->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
    if (c->require_client_cert) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ctx, mode, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, tls_verify_chain, c);
    if (c->leaf != NULL && SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1) != 1) {
        return false;
    }
    if (c->ciphers != NULL && SSL_CTX_set_cipher_list(ctx, c->ciphers) != 1) {
        return false;
    }
    if (c->curves != NULL && SSL_CTX_set1_groups_list(ctx, c->curves) != 1) {
        return false;
    }
    if (c->trust != NULL) {
        SSL_CTX_set1_cert_store(ctx, tls_trust_store(c->trust));
    }
    if (c->server) {
        return set_up_server(c, ctx);
    }
    return c->alpn_len == 0 || SSL_CTX_set_alpn_protos(ctx, c->alpn, (unsigned)c->alpn_len) == 0;
}

static SSL_CTX *make(struct tls_context *c, struct err *err)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(c->server ? TLS_server_method() : TLS_client_method());
    if (ctx == NULL || !set_up(c, ctx)) {
        tls_err(err, "TLS context");
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

SSL_CTX *tls_context_ssl(struct tls_context *c, struct err *err)
{
    pthread_mutex_lock(&c->lock);
    if (c->ctx == NULL) {
        c->ctx = make(c, err);
    }
    SSL_CTX *ctx = c->ctx;
    pthread_mutex_unlock(&c->lock);
    return ctx;
}

/* Long-lived objects of some KB cost what they need and no class more. */
static void *ssl_alloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return n == 0 ? NULL : n < EXACT_BELOW ? pool_take_exact(n) : pool_take(n);
}

static void ssl_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    pool_give(p);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
    if (p == NULL) {
        return ssl_alloc(n, file, line);
    }
    if (n == 0) {
        pool_give(p);
        return NULL;
    }
    size_t old = pool_size(p);
    if (n <= old) {
        return p;
    }
    void *fresh = ssl_alloc(n, file, line);
    memcpy(fresh, p, old);
    pool_give(p);
    return fresh;
}

void tls_use_pools(void)
{
    CRYPTO_set_mem_functions(ssl_alloc, ssl_realloc, ssl_free);
}
