#include "proxy/config/tls.h"

#include <string.h>

enum { MAX_ALPN = 16, MAX_SANS = 64, MAX_CIPHERS = 64 };

struct tls_material { /* what a context is made of, while it is put together */
    struct tls_config config;
    struct tls_san_match sans[MAX_SANS];
    struct slice alpn[MAX_ALPN];
    bool has_validation;
    bool accept_untrusted;
};

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
static bool read_ciphers(struct reader *r, char *const *list, size_t n, struct slice *out)
{
    if (n > MAX_CIPHERS) {
        return read_fail(r, "cipher_suites", ERR_LIMIT, "more than %d", MAX_CIPHERS);
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
        !read_ciphers(r, p->cipher_suites, p->n_cipher_suites, &c->ciphers)) {
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

/* *out stays NULL while a dynamic secret is not there; one that the bootstrap must hold is an error. */
static bool find_secret(struct reader *r, const pb_sds *sds, enum secret_kind kind, const struct secret **out)
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
        if (!find_secret(r, m->tls_certificate_sds_secret_configs[0], SECRET_CERTIFICATE, &s)) {
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

/* ---- whom to trust ---- */

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
    return read_sans(r, m, t);
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
    if (!find_secret(r, sds, SECRET_VALIDATION, &s)) {
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

static bool read_validation(struct reader *r, const pb_tls_common *m, struct tls_material *t)
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

static bool read_common(struct reader *r, const pb_tls_common *m, struct tls_material *t)
{
    if (m == NULL) {
        return true;
    }
    size_t mark = read_push(r, "common_tls_context");
    if (!read_params(r, m->tls_params, &t->config) || !read_alpn(r, m, t) || !read_certificate(r, m, &t->config) ||
        !read_validation(r, m, t)) {
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

static bool check_client_trust(struct reader *r, const struct tls_material *t, bool auto_san)
{
    if (t->accept_untrusted) {
        return t->config.n_sans == 0 && !auto_san
                   ? true
                   : read_fail(r, "common_tls_context", ERR_INPUT, "names are matched, but no chain is verified");
    }
    /* The system's authorities vouch for anybody's name: without a name to hold them to, they prove nothing. */
    bool has_name = t->config.n_sans > 0 || t->config.sni.n > 0 || auto_san;
    return has_name || t->config.trusted_ca.text.n > 0 || r->missing_secret
               ? true
               : read_fail(r, NULL, ERR_INPUT,
                           "sni, match_typed_subject_alt_names or trusted_ca is required to verify the peer");
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
    out->auto_san_validation = m->auto_sni_san_validation != 0;
    if (t.config.n_alpn == 0) {
        t.config.alpn = wish->default_alpn;
        t.config.n_alpn = wish->n_default_alpn;
    }
    t.config.verify = !t.accept_untrusted;
    if (t.config.trusted_ca.text.n == 0 && t.config.verify && !r->missing_secret) {
        t.config.system_roots = true;
    }
    return check_client_trust(r, &t, out->auto_san_validation || wish->auto_sni) && make(r, &t.config, &out->context);
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
