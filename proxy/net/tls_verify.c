/* Is this peer the one that was meant? Names are compared with their length; there is no fall-back to the subject. */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "proxy/net/tls_internal.h"

struct slice tls_san_text(const GENERAL_NAME *name, int type)
{
    if (name->type != type) {
        return SLICE_NONE;
    }
    const ASN1_STRING *text = name->d.ia5;
    struct slice s = slice_make(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    /* "good.example\0.evil.example": whoever reads it as a C string is fooled, so nobody gets to see it. */
    return s.n > 0 && memchr(s.p, '\0', s.n) != NULL ? SLICE_NONE : s;
}

static bool text_matches(const struct tls_san_match *m, struct slice text)
{
    struct slice part = text;
    switch (m->how) {
    case TLS_MATCH_EXACT:
        break;
    case TLS_MATCH_PREFIX:
        part = slice_sub(text, 0, m->value.n);
        break;
    case TLS_MATCH_SUFFIX:
        part = text.n < m->value.n ? text : slice_from(text, text.n - m->value.n);
        break;
    case TLS_MATCH_CONTAINS:
        for (size_t i = 0; i + m->value.n <= text.n; i++) {
            part = slice_sub(text, i, m->value.n);
            if (m->ignore_case ? slice_eq_nocase(part, m->value) : slice_eq(part, m->value)) {
                return true;
            }
        }
        return false;
    }
    return m->ignore_case ? slice_eq_nocase(part, m->value) : slice_eq(part, m->value);
}

/* RFC 6125 section 6.4: DNS names without regard to case; "*" stands for the whole left-most label only. */
static bool dns_matches(const struct tls_san_match *m, struct slice text)
{
    if (m->how != TLS_MATCH_EXACT) {
        return text_matches(m, text);
    }
    if (slice_eq_nocase(text, m->value)) {
        return true;
    }
    if (!slice_starts_with(text, SLICE("*.")) || slice_find(slice_from(text, 2), '.') == text.n - 2) {
        return false;
    }
    size_t label = slice_find(m->value, '.');
    return label > 0 && label < m->value.n && slice_eq_nocase(slice_from(text, 1), slice_from(m->value, label));
}

bool tls_san_ip(const GENERAL_NAME *name, struct addr *out)
{
    *out = (struct addr){.len = 0};
    if (name->type != GEN_IPADD) {
        return false;
    }
    struct slice bytes = slice_make(ASN1_STRING_get0_data(name->d.ip), (size_t)ASN1_STRING_length(name->d.ip));
    if (bytes.n == sizeof out->in4.sin_addr) {
        out->len = sizeof out->in4;
        out->in4.sin_family = AF_INET;
        memcpy(&out->in4.sin_addr, bytes.p, bytes.n);
    } else if (bytes.n == sizeof out->in6.sin6_addr) {
        out->len = sizeof out->in6;
        out->in6.sin6_family = AF_INET6;
        memcpy(&out->in6.sin6_addr, bytes.p, bytes.n);
    }
    return out->len != 0;
}

static bool ip_matches(const struct tls_san_match *m, const GENERAL_NAME *name)
{
    struct addr san, wanted;
    if (!tls_san_ip(name, &san)) {
        return false;
    }
    if (m->how == TLS_MATCH_EXACT && addr_parse(&wanted, m->value, 0, NULL)) {
        return addr_same_ip(&wanted, &san);
    }
    char text[ADDR_TEXT];
    return text_matches(m, slice_of(addr_ip_text(&san, text)));
}

static bool name_matches(const struct tls_san_match *m, const GENERAL_NAME *name)
{
    bool any = m->type == TLS_SAN_ANY;
    struct slice dns = tls_san_text(name, GEN_DNS);
    if (dns.n > 0 && (any || m->type == TLS_SAN_DNS)) {
        return dns_matches(m, dns);
    }
    struct slice uri = tls_san_text(name, GEN_URI);
    if (uri.n > 0 && (any || m->type == TLS_SAN_URI)) {
        return text_matches(m, uri);
    }
    struct slice email = tls_san_text(name, GEN_EMAIL);
    if (email.n > 0 && (any || m->type == TLS_SAN_EMAIL)) {
        return text_matches(m, email);
    }
    return (any || m->type == TLS_SAN_IP) && ip_matches(m, name);
}

static bool some_san_matches(const struct tls_context *c, const X509 *leaf)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool matched = false;
    for (int i = 0; !matched && i < sk_GENERAL_NAME_num(names); i++) {
        for (size_t k = 0; !matched && k < c->n_sans; k++) {
            matched = name_matches(&c->sans[k], sk_GENERAL_NAME_value(names, i));
        }
    }
    GENERAL_NAMES_free(names);
    return matched;
}

static bool some_pin_matches(const struct tls_context *c, const X509 *leaf)
{
    unsigned char cert[EVP_MAX_MD_SIZE], spki[EVP_MAX_MD_SIZE];
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
    bool digested = n > 0 && EVP_Digest(der, (size_t)n, spki, NULL, EVP_sha256(), NULL) == 1 &&
                    X509_digest(leaf, EVP_sha256(), cert, NULL) == 1;
    OPENSSL_free(der);
    bool matched = false;
    for (size_t i = 0; digested && !matched && i < c->n_pins; i++) {
        const unsigned char *have = c->pins[i].spki ? spki : cert;
        matched = memcmp(c->pins[i].sha256, have, sizeof c->pins[i].sha256) == 0;
    }
    return matched;
}

int tls_verify_chain(X509_STORE_CTX *store, void *arg)
{
    const struct tls_context *c = arg;
    if (X509_verify_cert(store) != 1) {
        return 0;
    }
    const X509 *leaf = X509_STORE_CTX_get0_cert(store);
    if (c->n_sans > 0 && !some_san_matches(c, leaf)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
        return 0;
    }
    if (c->n_pins > 0 && !some_pin_matches(c, leaf)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
        return 0;
    }
    return 1;
}
