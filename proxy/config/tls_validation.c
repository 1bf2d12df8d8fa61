/* Whom a TLS context trusts: authorities, names, pins, revocations. */
#include <string.h>

#include "base/crypto/crypto.h"
#include "proxy/config/tls_inside.h"

enum { MAX_CRL = 16 << 20 };

static bool read_san_text(struct reader *r, const pb_string_match *m, struct tls_san_match *out)
{
    out->ignore_case = m->ignore_case != 0;
    switch ((int)m->match_pattern_case) {
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT:
        out->how = TLS_MATCH_EXACT;
        out->value = read_text(r, m->exact);
        return true;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX:
        out->how = TLS_MATCH_PREFIX;
        out->value = read_text(r, m->prefix);
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SUFFIX:
        out->how = TLS_MATCH_SUFFIX;
        out->value = read_text(r, m->suffix);
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_CONTAINS:
        out->how = TLS_MATCH_CONTAINS;
        out->value = read_text(r, m->contains);
        break;
    case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX:
        return read_fail(r, "safe_regex", ERR_UNSUPPORTED, "not supported by Egret for certificate names");
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of exact, prefix, suffix, contains is required");
    }
    return out->value.n > 0 || read_fail(r, NULL, ERR_INPUT, "an empty pattern matches everything");
}

static bool read_san_type(struct reader *r, int type, struct tls_san_match *out)
{
    switch (type) {
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__EMAIL:
        out->type = TLS_SAN_EMAIL;
        return true;
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__DNS:
        out->type = TLS_SAN_DNS;
        return true;
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__URI:
        out->type = TLS_SAN_URI;
        return true;
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__IP_ADDRESS:
        out->type = TLS_SAN_IP;
        return true;
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SUBJECT_ALT_NAME_MATCHER__SAN_TYPE__OTHER_NAME:
        return read_fail(r, "san_type", ERR_UNSUPPORTED, "OTHER_NAME is not supported by Egret");
    default:
        return read_fail(r, "san_type", ERR_INPUT, "is required");
    }
}

static bool read_san(struct reader *r, const pb_san_match *m, struct tls_san_match *out)
{
    if (!read_san_type(r, (int)m->san_type, out)) {
        return false;
    }
    if (m->matcher == NULL) {
        return read_required(r, "matcher");
    }
    size_t mark = read_push(r, "matcher");
    if (!read_san_text(r, m->matcher, out)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

static bool read_sans(struct reader *r, const pb_validation *m, struct tls_material *t)
{
    if (t->config.n_sans + m->n_match_typed_subject_alt_names + m->n_match_subject_alt_names > MAX_SANS) {
        return read_fail(r, "match_typed_subject_alt_names", ERR_LIMIT, "more than %d", MAX_SANS);
    }
    for (size_t i = 0; i < m->n_match_typed_subject_alt_names; i++) {
        size_t mark = read_push_at(r, "match_typed_subject_alt_names", i);
        if (!read_san(r, m->match_typed_subject_alt_names[i], &t->sans[t->config.n_sans++])) {
            return false;
        }
        read_pop(r, mark);
    }
    for (size_t i = 0; i < m->n_match_subject_alt_names; i++) {
        size_t mark = read_push_at(r, "match_subject_alt_names", i);
        struct tls_san_match *san = &t->sans[t->config.n_sans++];
        san->type = TLS_SAN_ANY;
        if (!read_san_text(r, m->match_subject_alt_names[i], san)) {
            return false;
        }
        read_pop(r, mark);
    }
    t->config.sans = t->sans;
    return true;
}

/* ---- pins ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 64 hexadecimal digits, with or without a colon between the bytes. */
static bool read_hash(const char *text, unsigned char out[32])
{
    bool colons = strlen(text) == 95;
    for (size_t i = 0; i < 32; i++) {
        const char *p = text + i * (colons ? 3 : 2);
        int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);
        if (low < 0 || (colons && i < 31 && p[2] != ':')) {
            return false;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return strlen(text) == (colons ? 95 : 64);
}

static bool read_spki(const char *text, unsigned char out[32])
{
    struct strbuf bytes;
    strbuf_init(&bytes);
    bool ok = base64_decode(slice_of(text), &bytes) && bytes.n == 32;
    if (ok) {
        memcpy(out, bytes.p, 32);
    }
    strbuf_fini(&bytes);
    return ok;
}

static bool read_pins(struct reader *r, const pb_validation *m, struct tls_material *t)
{
    if (t->config.n_pins + m->n_verify_certificate_hash + m->n_verify_certificate_spki > MAX_PINS) {
        return read_fail(r, "verify_certificate_hash", ERR_LIMIT, "more than %d", MAX_PINS);
    }
    for (size_t i = 0; i < m->n_verify_certificate_hash; i++) {
        struct tls_pin *pin = &t->pins[t->config.n_pins++];
        pin->spki = false;
        if (!read_hash(m->verify_certificate_hash[i], pin->sha256)) {
            return read_fail(r, "verify_certificate_hash", ERR_INPUT, "[%zu] is not a SHA-256 in hexadecimal", i);
        }
    }
    for (size_t i = 0; i < m->n_verify_certificate_spki; i++) {
        struct tls_pin *pin = &t->pins[t->config.n_pins++];
        pin->spki = true;
        if (!read_spki(m->verify_certificate_spki[i], pin->sha256)) {
            return read_fail(r, "verify_certificate_spki", ERR_INPUT, "[%zu] is not a SHA-256 in base64", i);
        }
    }
    t->config.pins = t->pins;
    return true;
}

static bool read_crl(struct reader *r, const pb_validation *m, struct tls_material *t)
{
    struct secret_pem crl;
    if (m->crl == NULL) {
        return true;
    }
    if (!read_data(r, "crl", m->crl, (struct data_rule){true, false, MAX_CRL}, &crl)) {
        return false;
    }
    t->config.crl = (struct tls_pem){crl.text, crl.name};
    t->config.crl_leaf_only = m->only_verify_leaf_cert_crl != 0;
    return true;
}

/* Called once for each of the two halves of a combined context: lists add up, switches are or-ed. */
static bool add_validation(struct reader *r, const pb_validation *m, const struct secret_pem *ca,
                           struct tls_material *t)
{
    t->has_validation = true;
    if (ca->text.n > 0) {
        t->config.trusted_ca = (struct tls_pem){ca->text, ca->name};
    }
    t->config.system_roots = t->config.system_roots || m->system_root_certs != NULL;
    t->accept_untrusted =
        t->accept_untrusted ||
        m->trust_chain_verification ==
            ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__CERTIFICATE_VALIDATION_CONTEXT__TRUST_CHAIN_VERIFICATION__ACCEPT_UNTRUSTED;
    if (ca->text.n > 0 && m->system_root_certs != NULL) {
        return read_fail(r, "system_root_certs", ERR_INPUT, "excludes trusted_ca");
    }
    return read_pins(r, m, t) && read_crl(r, m, t) && read_sans(r, m, t);
}

static bool add_inline(struct reader *r, const char *field, const pb_validation *m, struct tls_material *t)
{
    struct secret_pem ca;
    size_t mark = read_push(r, field);
    if (!secret_read_authorities(r, m, &ca) || !add_validation(r, m, &ca, t)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

static bool add_secret(struct reader *r, const pb_sds *sds, struct tls_material *t)
{
    const struct secret *s = NULL;
    size_t mark = read_push(r, "validation_context_sds_secret_config");
    t->has_validation = true;
    if (!tls_find_secret(r, sds, SECRET_VALIDATION, &s)) {
        return false;
    }
    if (s != NULL && !add_validation(r, s->validation, &s->ca, t)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

static bool add_combined(struct reader *r,
                         const Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext__CombinedCertificateValidationContext *m,
                         struct tls_material *t)
{
    size_t mark = read_push(r, "combined_validation_context");
    if (m->default_validation_context == NULL) {
        return read_required(r, "default_validation_context");
    }
    if (m->validation_context_sds_secret_config == NULL) {
        return read_required(r, "validation_context_sds_secret_config");
    }
    if (!add_inline(r, "default_validation_context", m->default_validation_context, t) ||
        !add_secret(r, m->validation_context_sds_secret_config, t)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

bool tls_validation_read(struct reader *r, const pb_tls_common *m, struct tls_material *t)
{
    switch ((int)m->validation_context_type_case) {
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_VALIDATION_CONTEXT:
        return add_inline(r, "validation_context", m->validation_context, t);
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_VALIDATION_CONTEXT_SDS_SECRET_CONFIG:
        return add_secret(r, m->validation_context_sds_secret_config, t);
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__COMMON_TLS_CONTEXT__VALIDATION_CONTEXT_TYPE_COMBINED_VALIDATION_CONTEXT:
        return add_combined(r, m->combined_validation_context, t);
    default:
        return true;
    }
}
