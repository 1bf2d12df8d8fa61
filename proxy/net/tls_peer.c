/* Who is at the other end: the name a client asks for, and what the handshake told about the peer. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/mem.h"
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
    s->t.info.sni = slice_of(s->name);
    bool is_ip = addr_is_ip_literal(name);
    if (s->context->verify && s->context->n_sans == 0) {
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

void tls_peer_place(struct tls_transport *s)
{
    s->t.info.local = s->lower->info.local;
    s->t.info.remote = s->lower->info.remote;
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

static char *first_san(const X509 *x, int type)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    char *found = NULL;
    for (int i = 0; found == NULL && i < sk_GENERAL_NAME_num(names); i++) {
        struct slice text = tls_san_text(sk_GENERAL_NAME_value(names, i), type);
        found = text.n > 0 ? mem_str_slice(text) : NULL;
    }
    GENERAL_NAMES_free(names);
    return found;
}

static void read_cert(struct tls_transport *s)
{
    const X509 *x = SSL_get0_peer_certificate(s->ssl);
    if (x == NULL) {
        return;
    }
    s->t.info.peer_cert = s->context->verify && SSL_get_verify_result(s->ssl) == X509_V_OK;
    s->peer.subject = subject_of(x);
    s->peer.uri_san = first_san(x, GEN_URI);
    s->peer.dns_san = first_san(x, GEN_DNS);
    s->t.info.peer_subject = slice_of(s->peer.subject);
    s->t.info.peer_uri_san = slice_of(s->peer.uri_san);
    s->t.info.peer_dns_san = slice_of(s->peer.dns_san);
}

void tls_peer_read(struct tls_transport *s)
{
    struct transport_info *info = &s->t.info;
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    SSL_get0_alpn_selected(s->ssl, &alpn, &alpn_len);
    info->alpn = slice_make(alpn, alpn_len); /* lives as long as the SSL */
    info->tls_version = SSL_version(s->ssl) == TLS1_3_VERSION ? SLICE("1.3") : SLICE("1.2");
    info->cipher = slice_of(SSL_get_cipher_name(s->ssl));
    info->resumed = SSL_session_reused(s->ssl) == 1;
    if (s->server) {
        s->peer.sni = mem_str(SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name));
        info->sni = slice_of(s->peer.sni);
    }
    read_cert(s);
}

void tls_peer_fini(struct tls_peer *peer)
{
    mem_free(peer->subject);
    mem_free(peer->uri_san);
    mem_free(peer->dns_san);
    mem_free(peer->sni);
}
