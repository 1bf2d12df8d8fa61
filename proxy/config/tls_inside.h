/* What the two files that build TLS contexts share. */
#pragma once
#include "proxy/config/tls.h"

enum { MAX_ALPN = 16, MAX_SANS = 64, MAX_PINS = 32 };

struct tls_material { /* what a context is made of, while it is put together */
    struct tls_config config;
    struct tls_san_match sans[MAX_SANS];
    struct tls_pin pins[MAX_PINS];
    struct slice alpn[MAX_ALPN];
    bool has_validation;
    bool accept_untrusted;
};

/* *out stays NULL while a dynamic secret is not there; one that the bootstrap must hold is an error. */
bool tls_find_secret(struct reader *r, const pb_sds *sds, enum secret_kind kind, const struct secret **out);
/* The validation context, whichever of its three forms it has. */
bool tls_validation_read(struct reader *r, const pb_tls_common *m, struct tls_material *t);
