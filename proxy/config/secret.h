/*
 * secret: one SDS secret or static secret, checked and read into memory: immutable, reference-counted, wiped when it
 * goes. Its bytes never reach a log, a dump or an error text.
 */
#pragma once
#include "base/arena.h"
#include "proxy/config/grave.h"
#include "proxy/config/pb.h"

struct reader;

enum secret_kind { SECRET_GENERIC, SECRET_CERTIFICATE, SECRET_VALIDATION };

struct secret_pem {
    struct slice text;
    const char *name; /* of the file, or "<inline>" */
};

struct secret_certificate {
    struct secret_pem chain, key;
};

struct secret {
    atomic_uint refs;
    struct arena *arena;
    struct grave grave;
    struct slice name;
    enum secret_kind kind;
    struct slice value; /* GENERIC */
    struct secret_certificate certificate;
    pb_validation *validation; /* VALIDATION: the unpacked message, trusted_ca still a reference */
    struct secret_pem ca;      /* its trusted_ca, read */
    struct cleanup *cleanups;
    const struct file_use *files; /* it was read from */
};

struct secret *secret_ref(const struct secret *s);
void secret_unref(struct secret **s);

/* Checks and reads one Secret; one reference, its own arena (r->arena goes over to it). NULL with the reader's error. */
struct secret *secret_create(struct reader *r, const pb_secret *message);
/* The two parts that TLS contexts also carry inline. */
bool secret_read_certificate(struct reader *r, const pb_tls_certificate *m, struct secret_certificate *out);
bool secret_read_authorities(struct reader *r, const pb_validation *m, struct secret_pem *out);
