/* Who is at the other end: the name a client asks for, and what the handshake told about the peer. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "proxy/net/tls_transport.h"

static bool verify_name(struct tls_transport *s, bool is_ip)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(s->ssl);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return is_ip ? X509_VERIFY_PARAM_set1_ip_asc(rules, s->name) == 1
                 : X509_VERIFY_PARAM_set1_host(rules, s->name, 0) == 1;
}

void tls_peer_name(struct tls_transport *s, struct slice name)
{
    if (name.n > 1 && name.p[name.n - 1] == '.') {
        name.n--; /* RFC 6066 section 3: without a trailing dot */
    }
    if (name.n > 2 && name.p[0] == '[') {
        name = slice_sub(name, 1, name.n - 2);
    }
    if (name.n > 255 || (name.n > 0 && memchr(name.p, '\0', name.n) != NULL)) {
        tls_fail(s, "the server name is not a host name");
        return;
    }
    s->name = name.n > 0 ? mem_str_slice(name) : NULL;
    bool is_ip = addr_is_ip_literal(name);
    if (s->context->verify && (s->context->n_sans == 0 || s->context->verify_name)) {
        if (name.n == 0) {
            tls_fail(s, "there is neither a server name nor a list of names to verify the peer by");
            return;
        }
        if (!verify_name(s, is_ip)) {
            ERR_clear_error();
            tls_fail(s, "the server name cannot be verified");
            return;
        }
    }
    if (name.n > 0 && !is_ip && SSL_set_tlsext_host_name(s->ssl, s->name) != 1) {
        ERR_clear_error();
        tls_fail(s, "the server name is not a host name");
    }
}

static char *subject_of(const X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509_NAME_print_ex(bio, X509_get_subject_name(x), 0, XN_FLAG_RFC2253);
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    char *subject = mem_str_slice(slice_make(text, n > 0 ? (size_t)n : 0));
    BIO_free(bio);
    return subject;
}

/* With '\n' between; a name with a control byte in it is nobody's business. */
static char *all_sans(const X509 *x, int type)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    struct strbuf all;
    strbuf_init(&all);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        struct slice text = tls_san_text(sk_GENERAL_NAME_value(names, i), type);
        bool plain = text.n > 0;
        for (size_t k = 0; k < text.n; k++) {
            plain = plain && (unsigned char)text.p[k] > 0x20 && text.p[k] != 0x7f;
        }
        if (plain) {
            strbuf_add_str(&all, all.n > 0 ? "\n" : "");
            strbuf_add(&all, text);
        }
    }
    GENERAL_NAMES_free(names);
    return strbuf_take(&all);
}

static struct slice first_of(struct slice lines)
{
    return slice_sub(lines, 0, slice_find(lines, '\n'));
}

enum { SHA256_BYTES = 32, SHA256_TEXT = 2 * SHA256_BYTES + 1 };

static struct slice digest_of(const X509 *x, char text[SHA256_TEXT])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (X509_digest(x, EVP_sha256(), digest, NULL) != 1) {
        return SLICE_NONE;
    }
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    return slice_of(text);
}

/* The texts but the digest's are the caller's to free. */
static void read_cert(struct tls_transport *s, struct transport_tls *tls, char digest[SHA256_TEXT])
{
    const X509 *x = SSL_get0_peer_certificate(s->ssl);
    if (x == NULL) {
        return;
    }
    tls->peer_cert = s->context->verify && SSL_get_verify_result(s->ssl) == X509_V_OK;
    tls->peer_subject = slice_of(subject_of(x));
    tls->peer_uri_sans = slice_of(all_sans(x, GEN_URI));
    tls->peer_dns_sans = slice_of(all_sans(x, GEN_DNS));
    tls->peer_uri_san = first_of(tls->peer_uri_sans);
    tls->peer_dns_san = first_of(tls->peer_dns_sans);
    tls->peer_sha256 = digest_of(x, digest);
    if (s->server) {
        tls->local_uri_sans = slice_of(all_sans(s->context->leaf, GEN_URI));
    }
}

static void free_text(struct slice text)
{
    mem_free((void *)(uintptr_t)text.p);
}

void tls_peer_read(struct tls_transport *s)
{
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    char digest[SHA256_TEXT];
    SSL_get0_alpn_selected(s->ssl, &alpn, &alpn_len);
    struct transport_tls tls = {
        .alpn = slice_make(alpn, alpn_len),
        .version = SSL_version(s->ssl) == TLS1_3_VERSION ? SLICE("1.3") : SLICE("1.2"),
        .cipher = slice_of(SSL_get_cipher_name(s->ssl)),
        .resumed = SSL_session_reused(s->ssl) == 1,
        .sni = slice_of(s->server ? SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name) : s->name),
    };
    read_cert(s, &tls, digest);
    transport_info_set_tls(s->t.info, &tls);
    free_text(tls.peer_subject);
    free_text(tls.peer_uri_sans);
    free_text(tls.peer_dns_sans);
    free_text(tls.local_uri_sans);
}
