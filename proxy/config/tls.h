/* TLS contexts of both sides, from files, inline PEM or secrets. */
#pragma once
#include "proxy/config/read.h"
#include "proxy/net/tls.h"

struct tls_server_result {
    struct tls_context *context; /* owned by the reader's object; NULL: a secret is missing yet (r->missing_secret) */
    bool require_client_cert;
};

struct tls_client_wish { /* what the cluster says */
    const struct slice *default_alpn; /* when the context names none */
    size_t n_default_alpn;
    bool auto_sni;
    bool verify_name; /* auto_san_validation */
};

struct tls_client_result {
    struct tls_context *context;
    struct slice sni;
};

bool tls_server_read(struct reader *r, const pb_tls_downstream *m, struct tls_server_result *out);
bool tls_client_read(struct reader *r, const pb_tls_upstream *m, const struct tls_client_wish *wish,
                     struct tls_client_result *out);
/* Does a certificate and its key, or a bundle of authorities, hold what it should? For a secret as it arrives. */
bool tls_check_certificate(const struct secret_certificate *c, struct err *err);
bool tls_check_authorities(const struct secret_pem *ca, struct err *err);
