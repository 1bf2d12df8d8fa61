#include "proxy/config/secret.h"

#include "base/macros.h"
#include "proto/pack.h"
#include "proto/guard.h"
#include "proxy/config/read.h"
#include "proxy/config/tls.h"

enum { MAX_SECRET = 1 << 20, MAX_BUNDLE = 8 << 20 };

static bool read_generic(struct reader *r, const pb_secret *m, struct secret *s)
{
    struct secret_pem value;
    size_t mark = read_push(r, "generic_secret");
    if (!read_data(r, "secret", m->generic_secret->secret, (struct data_rule){true, true, MAX_SECRET}, &value)) {
        return false;
    }
    read_pop(r, mark);
    s->kind = SECRET_GENERIC;
    s->value = value.text; /* the file's exact bytes: the control server takes them so, too */
    return s->value.n > 0 || read_fail(r, "generic_secret.secret", ERR_INPUT, "is empty");
}

bool secret_read_certificate(struct reader *r, const pb_tls_certificate *m, struct secret_certificate *out)
{
    return read_data(r, "certificate_chain", m->certificate_chain, (struct data_rule){true, false, MAX_SECRET},
                     &out->chain) &&
           read_data(r, "private_key", m->private_key, (struct data_rule){true, true, MAX_SECRET}, &out->key);
}

bool secret_read_authorities(struct reader *r, const pb_validation *m, struct secret_pem *out)
{
    return read_data(r, "trusted_ca", m->trusted_ca, (struct data_rule){false, false, MAX_BUNDLE}, out);
}

static bool read_certificate(struct reader *r, const pb_secret *m, struct secret *s)
{
    size_t mark = read_push(r, "tls_certificate");
    s->kind = SECRET_CERTIFICATE;
    if (!secret_read_certificate(r, m->tls_certificate, &s->certificate)) {
        return false;
    }
    if (!tls_check_certificate(&s->certificate, r->err)) {
        return read_reason(r, NULL);
    }
    read_pop(r, mark);
    return true;
}

/* The message itself is kept: it is merged with the context's own one when that is built. */
static bool read_validation(struct reader *r, const pb_secret *m, struct secret *s)
{
    size_t mark = read_push(r, "validation_context");
    s->kind = SECRET_VALIDATION;
    if (!secret_read_authorities(r, m->validation_context, &s->ca)) {
        return false;
    }
    if (s->ca.text.n > 0 && !tls_check_authorities(&s->ca, r->err)) {
        return read_reason(r, NULL);
    }
    s->validation = guard_unpack(NULL, m->validation_context->base.descriptor,
                                 pack_message(&m->validation_context->base, r->scratch), r->arena, r->err);
    if (s->validation == NULL) {
        return read_reason(r, NULL);
    }
    read_pop(r, mark);
    return true;
}

static bool read_content(struct reader *r, const pb_secret *m, struct secret *s)
{
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    switch ((int)m->type_case) {
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_GENERIC_SECRET:
        return read_generic(r, m, s);
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_TLS_CERTIFICATE:
        return read_certificate(r, m, s);
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_VALIDATION_CONTEXT:
        return read_validation(r, m, s);
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_SESSION_TICKET_KEYS:
    default:
        return read_fail(r, NULL, ERR_INPUT,
                         "one of tls_certificate, validation_context, generic_secret is required");
    }
}

struct secret *secret_create(struct reader *r, const pb_secret *message)
{
    struct secret *s = arena_zalloc(r->arena, sizeof *s);
    if (!read_content(r, message, s)) {
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->grave.yard = r->env->yard;
    s->arena = r->arena;
    s->cleanups = r->cleanups;
    s->files = r->files;
    s->name = read_text(r, message->name);
    return s;
}
