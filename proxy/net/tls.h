/*
 * tls: TLS over any transport, and the contexts it needs (DATAPLANE 4 and 8).
 *
 * tls_context is immutable, reference-counted (atomic), shared by workers, built from files or inline PEM; the
 * SSL_CTX inside is made on first use. Trust stores are shared by content hash. Private keys never leave it.
 */
#pragma once
#include "proxy/net/transport.h"

struct tls_context;

struct tls_pem { /* PEM text, borrowed during the call; file names are for error texts */
    struct slice text;
    const char *name;
};

struct tls_san_match { /* one of: exact, prefix, suffix, contains */
    enum { TLS_SAN_ANY, TLS_SAN_DNS, TLS_SAN_URI, TLS_SAN_IP, TLS_SAN_EMAIL } type;
    enum { TLS_MATCH_EXACT, TLS_MATCH_PREFIX, TLS_MATCH_SUFFIX, TLS_MATCH_CONTAINS } how;
    struct slice value;
    bool ignore_case;
};

struct tls_pin { /* SHA-256 of the certificate, or of its SubjectPublicKeyInfo */
    bool spki;
    unsigned char sha256[32];
};

struct tls_config {
    bool server;
    struct tls_pem chain, key; /* empty text: none */
    struct tls_pem trusted_ca; /* empty: none, unless system_roots */
    bool system_roots;
    struct tls_pem crl; /* revocation lists for trusted_ca; empty: not checked; else each CA of a chain needs one */
    bool crl_leaf_only;
    const struct tls_pin *pins; /* the leaf must match one, besides everything else; n_pins 0: no such check */
    size_t n_pins;
    bool require_client_cert;         /* server */
    bool verify;                      /* client: verify the peer; off only where the operator said so */
    bool verify_name;                 /* client: the name that is asked for must match, besides the sans */
    const struct tls_san_match *sans; /* any of these must match; n_sans 0: client checks verify_name, server any */
    size_t n_sans;
    struct slice sni;         /* client: sent, and unless sans are given also the name verified */
    const struct slice *alpn; /* in order of preference */
    size_t n_alpn;
    int min_version, max_version;     /* 0x0303, 0x0304; 0: default (1.2 … 1.3) */
    struct slice ciphers;             /* OpenSSL list for TLS 1.2; empty: default */
    struct slice curves;              /* OpenSSL group list ("X25519:P-256"); empty: default */
    struct slice session_ticket_seed; /* server: ticket keys are derived from it per context; empty: random */
};

/* Once, before anything else of OpenSSL runs: its memory comes from the per-thread pools of base/mem.h from then on. */
void tls_use_pools(void);
struct tls_context *tls_context_create(const struct tls_config *config, struct err *err); /* checks everything now */
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context **c);
struct slice tls_context_hash(const struct tls_context *c); /* equal content, equal hash: part of a dial recipe */
/* For /certs: subject, SANs, expiry of the chain as JSON text in libc memory. */
char *tls_context_describe(const struct tls_context *c);

/* Wraps `lower` (takes it), whatever its state; on_open follows the handshake. There is no handshake deadline in here:
 * the owner has one for the whole dial. A peer that ends without close_notify gives in_eof with in_truncated. Our
 * transport_finish sends close_notify and finishes lower; until then the other direction stays open. Failures before
 * on_open are ERR_TLS (or lower's own), with retry ALWAYS on the client side. `sni` overrides the context's name for
 * this connection when not empty (auto_sni). */
struct transport *tls_transport_client(struct transport *lower, struct tls_context *context, struct slice sni);
struct transport *tls_transport_server(struct transport *lower, struct tls_context *context);

/* What a ClientHello asks for, from the first bytes of a connection, without consuming them. */
enum sniff_result { SNIFF_MORE, SNIFF_TLS, SNIFF_NOT_TLS, SNIFF_BAD };
struct sniff_hello {
    struct slice sni; /* lower case; points into `text` */
    struct slice alpn[8];
    unsigned n_alpn;
    char text[512];
};
enum sniff_result sniff_client_hello(const struct buf *in, struct sniff_hello *out);
