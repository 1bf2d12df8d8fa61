#include "proxy/config/tls_inside.h"

#include <string.h>

enum { MAX_CIPHERS = 64 };

static void drop_context(void *object)
{
    struct tls_context *c = object;
    tls_context_unref(&c);
}

/* ---- parameters ---- */

static bool read_version(struct reader *r, const char *field, int version, int *out)
{
    switch (version) {
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__TLS_PARAMETERS__TLS_PROTOCOL__TLSv1_2:
        *out = 0x0303;
        return true;
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__TLS_PARAMETERS__TLS_PROTOCOL__TLSv1_3:
        *out = 0x0304;
        return true;
    case ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__TLS_PARAMETERS__TLS_PROTOCOL__TLS_AUTO:
        return true;
    default:
        return read_fail(r, field, ERR_UNSUPPORTED, "TLS before 1.2 is not supported by Egret");
    }
}

/* OpenSSL's names joined with ':'. BoringSSL's "[A|B]" groups of equal preference become a plain order. */
static bool read_joined(struct reader *r, const char *field, char *const *list, size_t n, struct slice *out)
{
    if (n > MAX_CIPHERS) {
        return read_fail(r, field, ERR_LIMIT, "more than %d", MAX_CIPHERS);
    }
    struct strbuf text;
    strbuf_init(&text);
    for (size_t i = 0; i < n; i++) {
        for (const char *p = list[i]; *p != '\0'; p++) {
            if (*p != '[' && *p != ']') {
                strbuf_add_char(&text, *p == '|' ? ':' : *p);
            }
        }
        strbuf_add_str(&text, i + 1 < n ? ":" : "");
    }
    *out = arena_slice(r->arena, strbuf_slice(&text));
    strbuf_fini(&text);
    return true;
}

static bool read_params(struct reader *r, const Envoy__Extensions__TransportSockets__Tls__V3__TlsParameters *p,
                        struct tls_config *c)
{
    if (p == NULL) {
        return true;
    }
    size_t mark = read_push(r, "tls_params");
    if (!read_version(r, "tls_minimum_protocol_version", (int)p->tls_minimum_protocol_version, &c->min_version) ||
        !read_version(r, "tls_maximum_protocol_version", (int)p->tls_maximum_protocol_version, &c->max_version) ||
        !read_joined(r, "cipher_suites", p->cipher_suites, p->n_cipher_suites, &c->ciphers) ||
        !read_joined(r, "ecdh_curves", p->ecdh_curves, p->n_ecdh_curves, &c->curves)) {
        return false;
    }
    if (c->min_version != 0 && c->max_version != 0 && c->min_version > c->max_version) {
        return read_fail(r, NULL, ERR_INPUT, "the minimum version is above the maximum");
    }
    read_pop(r, mark);
    return true;
}

static bool read_alpn(struct reader *r, const pb_tls_common *m, struct tls_material *t)
{
    if (m->n_alpn_protocols > MAX_ALPN) {
        return read_fail(r, "alpn_protocols", ERR_LIMIT, "more than %d", MAX_ALPN);
    }
    for (size_t i = 0; i < m->n_alpn_protocols; i++) {
        t->alpn[i] = read_text(r, m->alpn_protocols[i]);
        if (t->alpn[i].n == 0 || t->alpn[i].n > 255) {
            return read_fail(r, "alpn_protocols", ERR_INPUT, "[%zu] must have 1 to 255 bytes", i);
        }
    }
    t->config.alpn = t->alpn;
    t->config.n_alpn = m->n_alpn_protocols;
    return true;
}

/* ---- secrets ---- */

bool tls_find_secret(struct reader *r, const pb_sds *sds, enum secret_kind kind, const struct secret **out)
{
    if (sds->name[0] == '\0') {
        return read_required(r, "name");
    }
    bool is_static = sds->sds_config == NULL;
    struct slice name = slice_of(sds->name);
    if (!is_static && !read_ads(r, "sds_config", sds->sds_config)) {
        return false;
    }
    *out = r->env->find_secret(r->env->ctx, is_static, name);
    if (is_static && *out == NULL) {
        return read_fail(r, "name", ERR_INPUT, "no static secret \"%.200s\"", sds->name);
    }
    if (!is_static) {
        read_need(r, TYPE_SECRET, name);
        r->missing_secret = r->missing_secret || *out == NULL;
    }
    if (*out != NULL) {
        read_note_files(r, (*out)->files);
    }
    if (*out != NULL && (*out)->kind != kind) {
        return read_fail(r, "name", ERR_INPUT, "secret \"%.200s\" is not a %s", sds->name,
                         kind == SECRET_CERTIFICATE ? "tls_certificate" : "validation_context");
    }
    return true;
}

static bool read_certificate(struct reader *r, const pb_tls_common *m, struct tls_config *c)
{
    if (m->n_tls_certificates + m->n_tls_certificate_sds_secret_configs > 1) {
        return read_fail(r, m->n_tls_certificates > 0 ? "tls_certificates" : "tls_certificate_sds_secret_configs",
                         ERR_UNSUPPORTED, "more than one certificate is not supported by Egret");
    }
    struct secret_certificate own;
    const struct secret_certificate *cert = NULL;
    if (m->n_tls_certificates == 1) {
        size_t mark = read_push_at(r, "tls_certificates", 0);
        if (!secret_read_certificate(r, m->tls_certificates[0], &own)) {
            return false;
        }
        read_pop(r, mark);
        cert = &own;
    } else if (m->n_tls_certificate_sds_secret_configs == 1) {
        size_t mark = read_push_at(r, "tls_certificate_sds_secret_configs", 0);
        const struct secret *s = NULL;
        if (!tls_find_secret(r, m->tls_certificate_sds_secret_configs[0], SECRET_CERTIFICATE, &s)) {
            return false;
        }
        read_pop(r, mark);
        cert = s == NULL ? NULL : &s->certificate;
    }
    if (cert != NULL) {
        c->chain = (struct tls_pem){cert->chain.text, cert->chain.name};
        c->key = (struct tls_pem){cert->key.text, cert->key.name};
    }
    return true;
}

/* ---- all that both sides have ---- */

static bool read_common(struct reader *r, const pb_tls_common *m, struct tls_material *t)
{
    if (m == NULL) {
        return true;
    }
    size_t mark = read_push(r, "common_tls_context");
    if (!read_params(r, m->tls_params, &t->config) || !read_alpn(r, m, t) || !read_certificate(r, m, &t->config) ||
        !tls_validation_read(r, m, t)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

/* Nothing is made while a secret is missing; everything else has been checked by then. */
static bool make(struct reader *r, const struct tls_config *config, struct tls_context **out)
{
    *out = NULL;
    if (r->missing_secret) {
        return true;
    }
    *out = tls_context_create(config, r->err);
    if (*out == NULL) {
        return read_reason(r, "common_tls_context");
    }
    read_own(r, drop_context, *out);
    return true;
}

/* ---- the two sides ---- */

bool tls_server_read(struct reader *r, const pb_tls_downstream *m, struct tls_server_result *out)
{
    struct tls_material t = {.config = {.server = true, .verify = true}};
    if (!read_common(r, m->common_tls_context, &t)) {
        return false;
    }
    t.config.require_client_cert = out->require_client_cert = read_bool(m->require_client_certificate, false);
    bool has_trust = t.config.trusted_ca.text.n > 0 || t.config.system_roots;
    if (t.config.chain.text.n == 0 && !r->missing_secret) {
        return read_fail(r, "common_tls_context", ERR_INPUT, "a certificate is required");
    }
    if (t.accept_untrusted) {
        return read_fail(r, "common_tls_context", ERR_UNSUPPORTED,
                         "trust_chain_verification: ACCEPT_UNTRUSTED is not supported by Egret for clients' certificates");
    }
    if (!r->missing_secret && !has_trust && (t.config.n_sans > 0 || t.config.require_client_cert)) {
        return read_fail(r, "common_tls_context", ERR_INPUT,
                         "client certificates are wanted, but no trusted_ca says whose");
    }
    return make(r, &t.config, &out->context);
}

static bool check_client_trust(struct reader *r, const struct tls_material *t, bool auto_sni, bool auto_san)
{
    if (t->accept_untrusted) {
        return t->config.n_sans == 0 && !auto_san
                   ? true
                   : read_fail(r, "common_tls_context", ERR_INPUT, "names are matched, but no chain is verified");
    }
    /* Authorities vouch for many names: without one to hold them to, they prove too little. */
    bool has_name = t->config.n_sans > 0 || t->config.sni.n > 0 || auto_sni;
    return has_name || r->missing_secret
               ? true
               : read_fail(r, NULL, ERR_INPUT,
                           "sni, auto_sni or match_typed_subject_alt_names is required to verify the peer");
}

bool tls_client_read(struct reader *r, const pb_tls_upstream *m, const struct tls_client_wish *wish,
                     struct tls_client_result *out)
{
    struct tls_material t = {.config = {.server = false}};
    if (strlen(m->sni) > 255) {
        return read_fail(r, "sni", ERR_INPUT, "longer than 255 bytes");
    }
    if (!read_common(r, m->common_tls_context, &t)) {
        return false;
    }
    t.config.sni = out->sni = read_text(r, m->sni);
    t.config.verify_name = wish->verify_name;
    if (m->auto_sni_san_validation) { /* takes the place of every other name */
        t.config.n_sans = 0;
    }
    if (t.config.n_alpn == 0) {
        t.config.alpn = wish->default_alpn;
        t.config.n_alpn = wish->n_default_alpn;
    }
    t.config.verify = !t.accept_untrusted;
    if (t.config.trusted_ca.text.n == 0 && t.config.verify && !r->missing_secret) {
        t.config.system_roots = true;
    }
    return check_client_trust(r, &t, wish->auto_sni, m->auto_sni_san_validation || wish->verify_name) &&
           make(r, &t.config, &out->context);
}

/* ---- secrets as they arrive ---- */

bool tls_check_certificate(const struct secret_certificate *c, struct err *err)
{
    struct tls_config config = {.server = true, .chain = {c->chain.text, c->chain.name}, .key = {c->key.text, c->key.name}};
    struct tls_context *context = tls_context_create(&config, err);
    bool ok = context != NULL;
    tls_context_unref(&context);
    return ok;
}

bool tls_check_authorities(const struct secret_pem *ca, struct err *err)
{
    struct tls_config config = {.verify = true, .trusted_ca = {ca->text, ca->name}};
    struct tls_context *context = tls_context_create(&config, err);
    bool ok = context != NULL;
    tls_context_unref(&context);
    return ok;
}
