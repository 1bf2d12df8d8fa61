/* A context's certificates as JSON, for people. */
#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "proxy/net/tls_internal.h"

static void add_subject(struct strbuf *out, const X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509_NAME_print_ex(bio, X509_get_subject_name(x), 0, XN_FLAG_RFC2253);
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    strbuf_add_json(out, slice_make(text, n > 0 ? (size_t)n : 0));
    BIO_free(bio);
}

static void add_serial(struct strbuf *out, const X509 *x)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    char *hex = number == NULL ? NULL : BN_bn2hex(number);
    strbuf_add_json(out, slice_of(hex));
    OPENSSL_free(hex);
    BN_free(number);
}

static void add_time(struct strbuf *out, const ASN1_TIME *time)
{
    struct tm tm;
    char text[32] = "";
    if (ASN1_TIME_to_tm(time, &tm) == 1) {
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    strbuf_add_json(out, slice_of(text));
}

static void add_san(struct strbuf *out, const char *kind, struct slice text, bool *first)
{
    strbuf_printf(out, "%s{\"%s\":", *first ? "" : ",", kind);
    strbuf_add_json(out, text);
    strbuf_add_char(out, '}');
    *first = false;
}

static void add_sans(struct strbuf *out, const X509 *x)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool first = true;
    struct addr ip;
    char text[ADDR_TEXT];
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        struct slice dns = tls_san_text(name, GEN_DNS), uri = tls_san_text(name, GEN_URI);
        if (dns.n > 0) {
            add_san(out, "dns", dns, &first);
        } else if (uri.n > 0) {
            add_san(out, "uri", uri, &first);
        } else if (tls_san_ip(name, &ip)) {
            add_san(out, "ip_address", slice_of(addr_ip_text(&ip, text)), &first);
        }
    }
    GENERAL_NAMES_free(names);
}

static void add_cert(struct strbuf *out, const X509 *x)
{
    strbuf_add_str(out, "{\"subject\":");
    add_subject(out, x);
    strbuf_add_str(out, ",\"serial_number\":");
    add_serial(out, x);
    strbuf_add_str(out, ",\"subject_alt_names\":[");
    add_sans(out, x);
    strbuf_add_str(out, "],\"valid_from\":");
    add_time(out, X509_get0_notBefore(x));
    strbuf_add_str(out, ",\"expiration_time\":");
    add_time(out, X509_get0_notAfter(x));
    strbuf_add_char(out, '}');
}

char *tls_context_describe(const struct tls_context *c)
{
    struct strbuf out;
    strbuf_init(&out);
    strbuf_add_char(&out, '[');
    if (c->leaf != NULL) {
        add_cert(&out, c->leaf);
    }
    for (int i = 0; i < sk_X509_num(c->chain); i++) {
        strbuf_add_char(&out, ',');
        add_cert(&out, sk_X509_value(c->chain, i));
    }
    strbuf_add_char(&out, ']');
    return strbuf_take(&out);
}
