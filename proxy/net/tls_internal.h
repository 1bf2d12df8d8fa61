/* tls: what the context, the verifier, the trust stores and the transport share. Not for other rooms. */
#pragma once
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

#include "proxy/net/tls.h"

/* A set of trusted certificates; equal PEM texts are one object in the whole process. Any thread. */
struct tls_trust;
struct tls_trust *tls_trust_acquire(const struct tls_config *config, struct err *err);
void tls_trust_release(struct tls_trust **trust);
X509_STORE *tls_trust_store(const struct tls_trust *trust);

struct tls_context {
    atomic_uint refs;
    bool server, verify, verify_name, require_client_cert;
    X509 *leaf; /* NULL: no certificate of our own */
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    struct tls_trust *trust;
    struct tls_san_match *sans; /* values are ours */
    size_t n_sans;
    struct tls_pin *pins;
    size_t n_pins;
    struct slice sni;    /* ours */
    unsigned char *alpn; /* each name with its length before it, as on the wire */
    size_t alpn_len;
    int min_version, max_version;
    char *ciphers, *curves; /* NULL: default */
    unsigned char digest[32];
    char digest_text[65];
    unsigned char ticket_secret[32]; /* what the keys of each period are derived from (tls_ticket.c) */
    pthread_mutex_t lock; /* guards the first making of ctx */
    SSL_CTX *ctx;
};

/* Differs from context to context, so a session of one name cannot be resumed under another whose certificate or client
 * policy differs; with a common seed every worker and replica derives the same. */
bool tls_ticket_secret(struct tls_context *c, struct slice seed, struct err *err);
bool tls_ticket_set_up(struct tls_context *c, SSL_CTX *ctx);

SSL_CTX *tls_context_ssl(struct tls_context *c, struct err *err);     /* borrowed */
bool tls_context_judge(const struct tls_context *c, struct err *err); /* certificate, ciphers, curves are usable */

/* SSL_CTX_set_cert_verify_callback: chain, then names and pins of the context (arg). */
int tls_verify_chain(X509_STORE_CTX *store, void *arg);
/* Text of a SAN if it is of this GEN_ type and has no NUL in it; else empty. */
struct slice tls_san_text(const GENERAL_NAME *name, int type);
bool tls_san_ip(const GENERAL_NAME *name, struct addr *out); /* false: not an address */

/* "what: first reason in OpenSSL's queue"; empties the queue. */
bool tls_err(struct err *err, const char *what);
int tls_no_password(char *text, int size, int writing, void *arg); /* an encrypted key is an error, not a prompt */
BIO *tls_pem_bio(const struct tls_pem *pem);
const BIO_METHOD *tls_bio_method(void);
