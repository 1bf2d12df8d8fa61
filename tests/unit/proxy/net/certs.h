/* Certificates made during a test, as PEM texts. */
#pragma once
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct test_cert {
    X509 *x;
    EVP_PKEY *key;
    char *chain_pem, *key_pem;
};

struct test_cert_wish {
    const char *name;           /* common name */
    const char *san;            /* OpenSSL's subjectAltName syntax, or NULL */
    const char *eku;            /* NULL: none */
    const struct test_cert *ca; /* NULL: self-signed */
    bool is_ca;
    long from_s, to_s;       /* from now; both 0: an hour around now */
    const char *raw_dns_san; /* with raw_n bytes: a DNS name as it is, NULs and all */
    int raw_n;
};

static inline char *pem_text(BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    char *text = calloc(1, (size_t)n + 1);
    memcpy(text, p, (size_t)n);
    BIO_free(bio);
    return text;
}

static inline void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

static inline void add_raw_dns(X509 *x, const char *name, int n)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, name, n);
    GENERAL_NAME_set0_value(one, GEN_DNS, text);
    sk_GENERAL_NAME_push(names, one);
    X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0);
    GENERAL_NAMES_free(names);
}

static inline struct test_cert cert_make(struct test_cert_wish wish)
{
    static long serial = 1000;
    struct test_cert c = {.x = X509_new(), .key = EVP_EC_gen("P-256")};
    X509_set_version(c.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
    bool dated = wish.from_s != 0 || wish.to_s != 0;
    X509_gmtime_adj(X509_getm_notBefore(c.x), dated ? wish.from_s : -3600);
    X509_gmtime_adj(X509_getm_notAfter(c.x), dated ? wish.to_s : 3600);
    X509_NAME *name = X509_get_subject_name(c.x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)wish.name, -1, -1, 0);
    X509_set_issuer_name(c.x, wish.ca != NULL ? X509_get_subject_name(wish.ca->x) : name);
    X509_set_pubkey(c.x, c.key);
    X509 *issuer = wish.ca != NULL ? wish.ca->x : c.x;
    add_extension(c.x, issuer, NID_basic_constraints, wish.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (wish.san != NULL) {
        add_extension(c.x, issuer, NID_subject_alt_name, wish.san);
    }
    if (wish.raw_dns_san != NULL) {
        add_raw_dns(c.x, wish.raw_dns_san, wish.raw_n);
    }
    if (wish.eku != NULL) {
        add_extension(c.x, issuer, NID_ext_key_usage, wish.eku);
    }
    assert_true(X509_sign(c.x, wish.ca != NULL ? wish.ca->key : c.key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, c.x);
    c.chain_pem = pem_text(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, c.key, NULL, NULL, 0, NULL, NULL);
    c.key_pem = pem_text(bio);
    return c;
}

static inline void cert_free(struct test_cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
    free(c->chain_pem);
    free(c->key_pem);
}
