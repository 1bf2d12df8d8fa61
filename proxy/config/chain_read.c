#include "proxy/config/address.h"
#include "proxy/config/listener.h"
#include "proxy/config/tls.h"

/* ---- the match ---- */

static bool read_server_names(struct reader *r, const pb_chain_match *m, struct chain_conf *c)
{
    struct slice *names = read_list(r, m->n_server_names, sizeof *names);
    for (size_t i = 0; i < m->n_server_names; i++) {
        struct slice name = slice_of(m->server_names[i]);
        char *lower = arena_str(r->arena, name);
        for (size_t k = 0; k < name.n; k++) {
            lower[k] = ascii_lower(name.p[k]);
        }
        names[i] = slice_make(lower, name.n);
        bool wild = slice_starts_with(name, SLICE("*."));
        if (name.n == 0 || slice_find(slice_from(name, wild ? 1 : 0), '*') != name.n - (wild ? 1 : 0)) {
            return read_fail(r, "server_names", ERR_INPUT,
                             "\"%.*s\": only a whole leading label may be \"*\"", SLICE_ARG(slice_sub(name, 0, 100)));
        }
    }
    c->server_names = names;
    c->n_server_names = m->n_server_names;
    return true;
}

static void read_alpns(struct reader *r, const pb_chain_match *m, struct chain_conf *c)
{
    struct slice *alpns = read_list(r, m->n_application_protocols, sizeof *alpns);
    for (size_t i = 0; i < m->n_application_protocols; i++) {
        alpns[i] = read_text(r, m->application_protocols[i]);
    }
    c->alpns = alpns;
    c->n_alpns = m->n_application_protocols;
}

static bool read_ports(struct reader *r, const pb_chain_match *m, struct chain_conf *c)
{
    uint16_t *ports = read_list(r, m->n_source_ports, sizeof *ports);
    for (size_t i = 0; i < m->n_source_ports; i++) {
        if (m->source_ports[i] == 0 || m->source_ports[i] > 65535) {
            return read_fail(r, "source_ports", ERR_INPUT, "must be from 1 to 65535");
        }
        ports[i] = (uint16_t)m->source_ports[i];
    }
    c->source_ports = ports;
    c->n_source_ports = m->n_source_ports;
    if (m->destination_port != NULL && (m->destination_port->value == 0 || m->destination_port->value > 65535)) {
        return read_fail(r, "destination_port", ERR_INPUT, "must be from 1 to 65535");
    }
    c->destination_port = (uint16_t)read_u32(m->destination_port, 0);
    return true;
}

static bool read_match(struct reader *r, const pb_chain_match *m, struct chain_conf *c)
{
    static const enum chain_source types[] = {CHAIN_SOURCE_ANY, CHAIN_SOURCE_LOCAL, CHAIN_SOURCE_EXTERNAL};
    if (m == NULL) {
        return true;
    }
    size_t mark = read_push(r, "filter_chain_match");
    c->transport_protocol = read_text(r, m->transport_protocol);
    if (c->transport_protocol.n > 0 && !slice_eq(c->transport_protocol, SLICE("tls")) &&
        !slice_eq(c->transport_protocol, SLICE("raw_buffer"))) {
        return read_fail(r, "transport_protocol", ERR_UNSUPPORTED, "only \"tls\" and \"raw_buffer\" are supported by Egret");
    }
    c->source_type = types[m->source_type];
    read_alpns(r, m, c);
    c->n_destinations = m->n_prefix_ranges;
    c->n_sources = m->n_source_prefix_ranges;
    c->n_direct_sources = m->n_direct_source_prefix_ranges;
    if (!read_ports(r, m, c) || !read_server_names(r, m, c) ||
        !cidrs_read(r, "prefix_ranges", m->prefix_ranges, m->n_prefix_ranges, &c->destinations) ||
        !cidrs_read(r, "source_prefix_ranges", m->source_prefix_ranges, m->n_source_prefix_ranges, &c->sources) ||
        !cidrs_read(r, "direct_source_prefix_ranges", m->direct_source_prefix_ranges, m->n_direct_source_prefix_ranges,
                    &c->direct_sources)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

/* ---- do two chains claim one connection? ---- */

static bool texts_meet(const struct slice *a, size_t na, const struct slice *b, size_t nb)
{
    if (na == 0 || nb == 0) {
        return na == nb;
    }
    for (size_t i = 0; i < na; i++) {
        for (size_t k = 0; k < nb; k++) {
            if (slice_eq(a[i], b[k])) {
                return true;
            }
        }
    }
    return false;
}

static bool ranges_meet(const struct cidr *a, size_t na, const struct cidr *b, size_t nb)
{
    if (na == 0 || nb == 0) {
        return na == nb;
    }
    for (size_t i = 0; i < na; i++) {
        for (size_t k = 0; k < nb; k++) {
            if (a[i].prefix_len == b[k].prefix_len && addr_same_ip(&a[i].addr, &b[k].addr)) {
                return true;
            }
        }
    }
    return false;
}

static bool ports_meet(const struct chain_conf *a, const struct chain_conf *b)
{
    if (a->n_source_ports == 0 || b->n_source_ports == 0) {
        return a->n_source_ports == b->n_source_ports;
    }
    for (size_t i = 0; i < a->n_source_ports; i++) {
        for (size_t k = 0; k < b->n_source_ports; k++) {
            if (a->source_ports[i] == b->source_ports[k]) {
                return true;
            }
        }
    }
    return false;
}

static bool chains_meet(const struct chain_conf *a, const struct chain_conf *b)
{
    return a->destination_port == b->destination_port && a->source_type == b->source_type &&
           slice_eq(a->transport_protocol, b->transport_protocol) &&
           texts_meet(a->server_names, a->n_server_names, b->server_names, b->n_server_names) &&
           texts_meet(a->alpns, a->n_alpns, b->alpns, b->n_alpns) &&
           ranges_meet(a->destinations, a->n_destinations, b->destinations, b->n_destinations) &&
           ranges_meet(a->sources, a->n_sources, b->sources, b->n_sources) &&
           ranges_meet(a->direct_sources, a->n_direct_sources, b->direct_sources, b->n_direct_sources) &&
           ports_meet(a, b);
}

bool chains_check(struct reader *r, const struct chain_conf *chains, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++) {
            if (chains_meet(&chains[i], &chains[k])) {
                size_t mark = read_push_at(r, "filter_chains", k);
                read_fail(r, "filter_chain_match", ERR_INPUT, "matches the same connections as filter_chains[%zu]", i);
                read_pop(r, mark);
                return false;
            }
        }
    }
    return true;
}

/* ---- the transport socket ---- */

static bool read_socket(struct reader *r, const pb_socket *m, struct chain_conf *c)
{
    if (m == NULL) {
        return true;
    }
    size_t mark = read_push(r, "transport_socket");
    const pb_message *typed = NULL;
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    if (!read_any(r, "typed_config", m->typed_config, &typed)) {
        return false;
    }
    read_push(r, "typed_config");
    if (pb_is(typed, &envoy__extensions__transport_sockets__tls__v3__downstream_tls_context__descriptor)) {
        struct tls_server_result result = {0};
        if (!tls_server_read(r, (const void *)typed, &result)) {
            return false;
        }
        c->tls = result.context;
        c->require_client_cert = result.require_client_cert;
    } else if (!pb_is(typed, &envoy__extensions__transport_sockets__raw_buffer__v3__raw_buffer__descriptor)) {
        return read_fail(r, NULL, ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret for a listener",
                         typed->descriptor->name);
    }
    read_pop(r, mark);
    return true;
}

/* ---- network filters ---- */

static bool read_filter(struct reader *r, const Envoy__Config__Listener__V3__Filter *m, struct chain_conf *c)
{
    const pb_message *typed = NULL;
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    if (!read_any(r, "typed_config", m->typed_config, &typed)) {
        return false;
    }
    read_push(r, "typed_config");
    if (pb_is(typed, &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor)) {
        struct hcm_conf *hcm = arena_zalloc(r->arena, sizeof *hcm);
        c->kind = CHAIN_HTTP;
        c->hcm = hcm;
        return hcm_read(r, (const void *)typed, hcm);
    }
    if (pb_is(typed, &envoy__extensions__filters__network__tcp_proxy__v3__tcp_proxy__descriptor)) {
        struct tcp_conf *tcp = arena_zalloc(r->arena, sizeof *tcp);
        c->kind = CHAIN_TCP;
        c->tcp = tcp;
        return tcp_read(r, (const void *)typed, tcp);
    }
    return read_fail(r, NULL, ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret as a network filter",
                     typed->descriptor->name);
}

bool chain_read(struct reader *r, const pb_chain *m, struct chain_conf *c)
{
    c->name = read_text(r, m->name);
    if (!read_match(r, m->filter_chain_match, c) || !read_socket(r, m->transport_socket, c) ||
        !read_ms(r, "transport_socket_connect_timeout", m->transport_socket_connect_timeout, (struct ms_rule){0, 0},
                 &c->tls_connect_timeout_ms)) {
        return false;
    }
    if (m->n_filters > 1) {
        return read_fail(r, "filters", ERR_UNSUPPORTED, "more than one network filter is not supported by Egret");
    }
    c->kind = CHAIN_EMPTY; /* connections are accepted and closed */
    for (size_t i = 0; i < m->n_filters; i++) {
        size_t mark = read_push_at(r, "filters", i);
        if (!read_filter(r, m->filters[i], c)) {
            return false;
        }
        read_pop(r, mark);
    }
    return true;
}
