#include "proxy/config/cluster.h"

#include <string.h>

#include "proto/pack.h"
#include "proxy/config/address.h"
#include "proxy/config/endpoint.h"
#include "proxy/config/protocol.h"
#include "proxy/config/tls.h"

enum { CONNECT_MS = 5000, DNS_REFRESH_MS = 5000, BUFFER = 1 << 20 };
static const char PROTOCOL_OPTIONS[] = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/* ---- where its endpoints come from ---- */

static bool read_eds(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    if (m->load_assignment != NULL) {
        return read_fail(r, "load_assignment", ERR_INPUT, "excluded by type EDS");
    }
    if (m->eds_cluster_config == NULL) {
        return read_required(r, "eds_cluster_config");
    }
    size_t mark = read_push(r, "eds_cluster_config");
    if (!read_ads(r, "eds_config", m->eds_cluster_config->eds_config)) {
        return false;
    }
    read_pop(r, mark);
    const char *service = m->eds_cluster_config->service_name;
    c->eds_name = service[0] != '\0' ? read_text(r, service) : c->name;
    read_need(r, TYPE_ENDPOINTS, c->eds_name);
    return true;
}

static void drop_endpoints(void *object)
{
    struct endpoint_set *e = object;
    endpoint_set_unref(&e);
}

/* An internal address among others would make the dial recipe depend on the balancer's choice; Envoy allows it, and so
 * do we: each endpoint has its own recipe. */
static bool read_inline(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    if (m->eds_cluster_config != NULL) {
        return read_fail(r, "eds_cluster_config", ERR_INPUT, "needs type EDS");
    }
    if (m->load_assignment == NULL) {
        return read_required(r, "load_assignment");
    }
    size_t mark = read_push(r, "load_assignment");
    c->inline_endpoints = endpoints_create(r, m->load_assignment, c->type != CLUSTER_STATIC);
    if (c->inline_endpoints == NULL) {
        return false;
    }
    read_own(r, drop_endpoints, c->inline_endpoints);
    if (c->type == CLUSTER_LOGICAL_DNS && c->inline_endpoints->n != 1) {
        return read_fail(r, "endpoints", ERR_INPUT, "LOGICAL_DNS has exactly one endpoint");
    }
    read_pop(r, mark);
    return true;
}

static bool read_type(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    int type = m->cluster_discovery_type_case == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE
                   ? (int)m->type
                   : ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STATIC;
    switch (type) {
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STATIC:
        c->type = CLUSTER_STATIC;
        break;
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STRICT_DNS:
        c->type = CLUSTER_STRICT_DNS;
        break;
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS:
        c->type = CLUSTER_LOGICAL_DNS;
        break;
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS:
        c->type = CLUSTER_EDS;
        return read_eds(r, m, c);
    default:
        return read_fail(r, "type", ERR_UNSUPPORTED, "ORIGINAL_DST is not supported by Egret");
    }
    return read_inline(r, m, c);
}

static bool read_dns(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    static const enum resolve_family families[] = {RESOLVE_AUTO, RESOLVE_V4_ONLY, RESOLVE_V6_ONLY,
                                                   RESOLVE_V4_PREFERRED, RESOLVE_ALL};
    c->dns_family = families[m->dns_lookup_family];
    c->respect_dns_ttl = m->respect_dns_ttl != 0;
    return read_ms(r, "dns_refresh_rate", m->dns_refresh_rate, (struct ms_rule){DNS_REFRESH_MS, 2},
                   &c->dns_refresh_ms);
}

/* ---- balancing and limits ---- */

static bool read_new_policy(struct reader *r, const Envoy__Config__Cluster__V3__LoadBalancingPolicy *p,
                            struct cluster_conf *c)
{
    size_t mark = read_push(r, "load_balancing_policy");
    if (p->n_policies != 1 || p->policies[0]->typed_extension_config == NULL ||
        p->policies[0]->typed_extension_config->typed_config == NULL) {
        return read_fail(r, "policies", ERR_UNSUPPORTED, "exactly one policy is supported by Egret");
    }
    const pb_any *any = p->policies[0]->typed_extension_config->typed_config;
    struct slice type = any_type_name(any);
    if (any->value.len > 0) {
        return read_fail(r, "policies[0].typed_extension_config.typed_config", ERR_UNSUPPORTED,
                         "settings of a policy are not supported by Egret");
    }
    if (slice_eq(type, SLICE("envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin"))) {
        c->lb = LB_ROUND_ROBIN;
    } else if (slice_eq(type, SLICE("envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest"))) {
        c->lb = LB_LEAST_REQUEST;
    } else if (slice_eq(type, SLICE("envoy.extensions.load_balancing_policies.random.v3.Random"))) {
        c->lb = LB_RANDOM;
    } else {
        return read_fail(r, "policies[0].typed_extension_config.typed_config", ERR_UNSUPPORTED,
                         "type \"%.200s\" is not supported by Egret", any->type_url);
    }
    read_pop(r, mark);
    return true;
}

static bool read_balancing(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    if (m->load_balancing_policy != NULL) {
        return read_new_policy(r, m->load_balancing_policy, c);
    }
    switch ((int)m->lb_policy) {
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__ROUND_ROBIN:
        c->lb = LB_ROUND_ROBIN;
        return true;
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LEAST_REQUEST:
        c->lb = LB_LEAST_REQUEST;
        return true;
    case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__RANDOM:
        c->lb = LB_RANDOM;
        return true;
    default:
        return read_fail(r, "lb_policy", ERR_UNSUPPORTED, "not supported by Egret");
    }
}

static bool read_breakers(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    for (unsigned i = 0; i < 2; i++) {
        c->breakers[i] = (struct breaker_conf){1024, 1024, 1024, 3};
    }
    bool seen[2] = {false, false};
    for (size_t i = 0; m->circuit_breakers != NULL && i < m->circuit_breakers->n_thresholds; i++) {
        const pb_thresholds *t = m->circuit_breakers->thresholds[i];
        unsigned priority = t->priority == ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__HIGH;
        if (seen[priority]) {
            size_t mark = read_push(r, "circuit_breakers");
            read_push_at(r, "thresholds", i);
            read_fail(r, "priority", ERR_INPUT, "given twice");
            read_pop(r, mark);
            return false;
        }
        seen[priority] = true;
        struct breaker_conf *b = &c->breakers[priority];
        *b = (struct breaker_conf){read_u32(t->max_connections, b->max_connections),
                                   read_u32(t->max_pending_requests, b->max_pending),
                                   read_u32(t->max_requests, b->max_requests), read_u32(t->max_retries, b->max_retries)};
    }
    return true;
}

/* ---- HTTP ---- */

static bool read_explicit(struct reader *r, const Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions__ExplicitHttpConfig *e,
                          struct protocol *p, struct cluster_conf *c)
{
    switch ((int)e->protocol_config_case) {
    case ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP_PROTOCOL_OPTIONS:
        c->protocol = UPSTREAM_HTTP1;
        return protocol_http1(r, "http_protocol_options", e->http_protocol_options, p);
    case ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__EXPLICIT_HTTP_CONFIG__PROTOCOL_CONFIG_HTTP2_PROTOCOL_OPTIONS:
        c->protocol = UPSTREAM_HTTP2;
        return protocol_http2(r, "http2_protocol_options", e->http2_protocol_options, p);
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of http_protocol_options, http2_protocol_options is required");
    }
}

static bool read_choice(struct reader *r, const pb_protocol_options *o, struct protocol *p, struct cluster_conf *c)
{
    size_t mark = r->path_n;
    bool ok = false;
    switch ((int)o->upstream_protocol_options_case) {
    case ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_EXPLICIT_HTTP_CONFIG:
        read_push(r, "explicit_http_config");
        ok = read_explicit(r, o->explicit_http_config, p, c);
        break;
    case ENVOY__EXTENSIONS__UPSTREAMS__HTTP__V3__HTTP_PROTOCOL_OPTIONS__UPSTREAM_PROTOCOL_OPTIONS_AUTO_CONFIG:
        read_push(r, "auto_config");
        c->protocol = UPSTREAM_AUTO;
        ok = protocol_http1(r, "http_protocol_options", o->auto_config->http_protocol_options, p) &&
             protocol_http2(r, "http2_protocol_options", o->auto_config->http2_protocol_options, p);
        break;
    default:
        ok = read_fail(r, NULL, ERR_INPUT,
                       "one of explicit_http_config, auto_config is required");
    }
    if (ok) {
        read_pop(r, mark);
    }
    return ok;
}

/* What the cluster says of TLS, before its context is read. */
static bool read_upstream_options(struct reader *r, const pb_upstream_options *o, struct cluster_conf *c)
{
    c->auto_sni = o != NULL && o->auto_sni;
    c->auto_san_validation = o != NULL && o->auto_san_validation;
    return o == NULL || o->auto_sni || !o->auto_san_validation ||
           read_fail(r, "upstream_http_protocol_options.auto_san_validation", ERR_UNSUPPORTED,
                     "needs auto_sni: it is the name that is asked for which is validated");
}

static bool read_typed_options(struct reader *r, const pb_any *any, struct protocol *p, struct cluster_conf *c)
{
    size_t mark = read_push_key(r, "typed_extension_protocol_options", PROTOCOL_OPTIONS);
    const pb_message *m = NULL;
    if (!slice_eq(any_type_name(any), slice_of(PROTOCOL_OPTIONS))) {
        return read_fail(r, NULL, ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret", any->type_url);
    }
    if (!read_message(r, &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor,
                      slice_make(any->value.data, any->value.len), &m)) {
        return false;
    }
    const pb_protocol_options *o = (const void *)m;
    if (!read_upstream_options(r, o->upstream_http_protocol_options, c) ||
        !protocol_common(r, "common_http_protocol_options", o->common_http_protocol_options, p) ||
        !read_choice(r, o, p, c)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

/* The deprecated fields on the cluster itself, which control planes still send. */
static bool read_old_options(struct reader *r, const pb_cluster *m, struct protocol *p, struct cluster_conf *c)
{
    c->protocol = m->http2_protocol_options != NULL ? UPSTREAM_HTTP2 : UPSTREAM_HTTP1;
    p->max_requests = read_u32(m->max_requests_per_connection, 0);
    return read_upstream_options(r, m->upstream_http_protocol_options, c) &&
           protocol_common(r, "common_http_protocol_options", m->common_http_protocol_options, p) &&
           protocol_http1(r, "http_protocol_options", m->http_protocol_options, p) &&
           protocol_http2(r, "http2_protocol_options", m->http2_protocol_options, p);
}

static bool read_http(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    struct protocol p;
    protocol_init(&p, &r->env->limits, false);
    if (!read_old_options(r, m, &p, c)) {
        return false;
    }
    for (size_t i = 0; i < m->n_typed_extension_protocol_options; i++) {
        const char *key = m->typed_extension_protocol_options[i]->key;
        const pb_any *any = m->typed_extension_protocol_options[i]->value;
        if (strcmp(key, PROTOCOL_OPTIONS) != 0) {
            size_t mark = read_push_key(r, "typed_extension_protocol_options", key);
            read_fail(r, NULL, ERR_UNSUPPORTED, "not supported by Egret");
            read_pop(r, mark);
            return false;
        }
        if (any == NULL || !read_typed_options(r, any, &p, c)) {
            return any != NULL ? false : read_required(r, "typed_extension_protocol_options");
        }
    }
    c->h1 = p.h1;
    c->h2 = p.h2;
    c->idle_timeout_ms = p.idle_timeout_ms;
    c->max_requests = p.max_requests;
    c->max_connection_duration_ms = p.max_connection_duration_ms;
    c->keepalive_interval_ms = p.keepalive_interval_ms;
    c->keepalive_timeout_ms = p.keepalive_timeout_ms;
    return true;
}

/* ---- the connection ---- */

static bool read_tls(struct reader *r, const pb_tls_upstream *m, struct cluster_conf *c)
{
    static const struct slice alpn[] = {{"h2", 2}, {"http/1.1", 8}};
    struct tls_client_wish wish = {.default_alpn = alpn, .auto_sni = c->auto_sni, .verify_name = c->auto_san_validation};
    wish.n_default_alpn = c->protocol == UPSTREAM_HTTP1 ? 0 : c->protocol == UPSTREAM_HTTP2 ? 1 : 2;
    struct tls_client_result result = {0};
    if (!tls_client_read(r, m, &wish, &result)) {
        return false;
    }
    c->tls = result.context;
    c->sni = result.sni;
    return true;
}

static bool read_socket(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    if (m->transport_socket == NULL) {
        return true;
    }
    const pb_message *typed = NULL;
    size_t mark = read_push(r, "transport_socket");
    if (m->transport_socket->name[0] == '\0') {
        return read_required(r, "name");
    }
    if (!read_any(r, "typed_config", m->transport_socket->typed_config, &typed)) {
        return false;
    }
    read_push(r, "typed_config");
    if (pb_is(typed, &envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__descriptor)) {
        if (!read_tls(r, (const void *)typed, c)) {
            return false;
        }
    } else if (!pb_is(typed, &envoy__extensions__transport_sockets__raw_buffer__v3__raw_buffer__descriptor)) {
        return read_fail(r, NULL, ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret for a cluster",
                         typed->descriptor->name);
    }
    read_pop(r, mark);
    return true;
}

static bool read_connection(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    if (!read_ms(r, "connect_timeout", m->connect_timeout, (struct ms_rule){CONNECT_MS, 1}, &c->connect_timeout_ms) ||
        !bind_read(r, "upstream_bind_config", m->upstream_bind_config, &c->socket)) {
        return false;
    }
    c->buffer_limit = read_u32(m->per_connection_buffer_limit_bytes, BUFFER);
    c->socket.connect_timeout_ms = c->connect_timeout_ms;
    if (m->upstream_connection_options != NULL) {
        keepalive_read(m->upstream_connection_options->tcp_keepalive, &c->socket);
    }
    return true;
}

static bool read_cluster(struct reader *r, const pb_cluster *m, struct cluster_conf *c)
{
    return read_type(r, m, c) && read_dns(r, m, c) && read_balancing(r, m, c) && read_breakers(r, m, c) &&
           read_connection(r, m, c) && read_http(r, m, c) && read_socket(r, m, c);
}

struct cluster_conf *cluster_create(struct reader *r, const pb_cluster *m)
{
    struct cluster_conf *c = arena_zalloc(r->arena, sizeof *c);
    if (m->name[0] == '\0') {
        read_required(r, "name");
        return NULL;
    }
    c->name = read_text(r, m->name);
    c->alt_stat_name = read_text(r, m->alt_stat_name);
    if (!read_cluster(r, m, c)) {
        return NULL;
    }
    atomic_init(&c->refs, 1);
    c->arena = r->arena;
    c->grave.yard = r->env->yard;
    c->cleanups = r->cleanups;
    c->is_static = r->env->is_static;
    c->hash = slice_hash(pack_message(&m->base, r->scratch), 0);
    if (c->tls != NULL) {
        c->hash = slice_hash(tls_context_hash(c->tls), c->hash);
    }
    return c;
}
