#include "proxy/config/listener.h"

#include <string.h>

#include "proto/pack.h"
#include "proxy/config/address.h"

enum { FILTERS_TIMEOUT_MS = 15000, BUFFER = 1 << 20 };

/* ---- listener filters ---- */

static bool read_filter(struct reader *r, const pb_listener_filter *m, struct listener_conf *l, bool *http_inspector)
{
    const pb_message *typed = NULL;
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    if (!read_any(r, "typed_config", m->typed_config, &typed)) {
        return false;
    }
    bool *flag = NULL;
    if (pb_is(typed, &envoy__extensions__filters__listener__tls_inspector__v3__tls_inspector__descriptor)) {
        flag = &l->tls_inspector;
    } else if (pb_is(typed, &envoy__extensions__filters__listener__http_inspector__v3__http_inspector__descriptor)) {
        flag = http_inspector;
    } else if (pb_is(typed, &envoy__extensions__filters__listener__original_dst__v3__original_dst__descriptor)) {
        flag = &l->original_dst;
    } else {
        return read_fail(r, "typed_config", ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret as a listener filter",
                         typed->descriptor->name);
    }
    if (*flag) {
        return read_fail(r, NULL, ERR_INPUT, "stands twice");
    }
    *flag = true;
    return true;
}

/* What an HTTP inspector finds out a connection manager sees for itself. It matters only to chains that match it. */
static bool check_http_inspector(struct reader *r, const pb_chain_match *m)
{
    for (size_t i = 0; m != NULL && strcmp(m->transport_protocol, "tls") != 0 && i < m->n_application_protocols; i++) {
        const char *name = m->application_protocols[i];
        if (strcmp(name, "h2c") == 0 || strncmp(name, "http/1.", 7) == 0) {
            return read_fail(r, "filter_chain_match.application_protocols", ERR_UNSUPPORTED,
                             "matching what an HTTP inspector finds is not supported by Egret: \"%s\" is taken from ALPN, "
                             "with transport_protocol \"tls\"", name);
        }
    }
    return true;
}

static bool read_filters(struct reader *r, const pb_listener *m, struct listener_conf *l)
{
    bool http_inspector = false;
    for (size_t i = 0; i < m->n_listener_filters; i++) {
        size_t mark = read_push_at(r, "listener_filters", i);
        if (!read_filter(r, m->listener_filters[i], l, &http_inspector)) {
            return false;
        }
        read_pop(r, mark);
    }
    for (size_t i = 0; http_inspector && i < m->n_filter_chains; i++) {
        size_t mark = read_push_at(r, "filter_chains", i);
        if (!check_http_inspector(r, m->filter_chains[i]->filter_chain_match)) {
            return false;
        }
        read_pop(r, mark);
    }
    l->continue_on_filters_timeout = m->continue_on_listener_filters_timeout != 0;
    return read_ms(r, "listener_filters_timeout", m->listener_filters_timeout, (struct ms_rule){FILTERS_TIMEOUT_MS, 0},
                   &l->filters_timeout_ms);
}

/* ---- where it listens ---- */

static bool read_place(struct reader *r, const pb_listener *m, struct listener_conf *l)
{
    l->internal = m->listener_specifier_case == ENVOY__CONFIG__LISTENER__V3__LISTENER__LISTENER_SPECIFIER_INTERNAL_LISTENER;
    l->bind_to_port = !l->internal && read_bool(m->bind_to_port, true);
    if (l->internal) {
        if (m->address != NULL) {
            return read_fail(r, "address", ERR_INPUT, "excluded by internal_listener");
        }
        return r->env->has_internal ||
               read_fail(r, "internal_listener", ERR_INPUT,
                         "needs envoy.bootstrap.internal_listener among the bootstrap_extensions");
    }
    if (!l->bind_to_port) {
        return read_fail(r, "bind_to_port", ERR_UNSUPPORTED, "false is not supported by Egret");
    }
    if (m->address == NULL) {
        return read_required(r, "address");
    }
    bool dual = m->address->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS &&
                m->address->socket_address->ipv4_compat;
    l->ipv6_only = !dual;
    return address_read(r, "address", m->address, &l->addr);
}

static void read_switches(const pb_listener *m, struct listener_conf *l)
{
    l->backlog = (int)(read_u32(m->tcp_backlog_size, 0) & INT32_MAX);
    l->transparent = read_bool(m->transparent, false);
    l->freebind = read_bool(m->freebind, false);
    l->buffer_limit = read_u32(m->per_connection_buffer_limit_bytes, BUFFER);
}

/* ---- chains ---- */

static bool is_match_without_inspector(const struct listener_conf *l, const struct chain_conf *c)
{
    return !l->tls_inspector && (c->n_server_names > 0 || slice_eq(c->transport_protocol, SLICE("tls")));
}

static bool read_chains(struct reader *r, const pb_listener *m, struct listener_conf *l)
{
    if (m->n_filter_chains > LISTENER_MAX_CHAINS) {
        return read_fail(r, "filter_chains", ERR_LIMIT, "more than %d", LISTENER_MAX_CHAINS);
    }
    if (m->n_filter_chains == 0 && m->default_filter_chain == NULL) {
        return read_fail(r, "filter_chains", ERR_INPUT, "at least one filter chain is required");
    }
    struct chain_conf *chains = read_list(r, m->n_filter_chains, sizeof *chains);
    for (size_t i = 0; i < m->n_filter_chains; i++) {
        size_t mark = read_push_at(r, "filter_chains", i);
        if (!chain_read(r, m->filter_chains[i], &chains[i])) {
            return false;
        }
        if (is_match_without_inspector(l, &chains[i])) {
            l->tls_inspector = true; /* as Envoy, which adds it too */
        }
        read_pop(r, mark);
    }
    l->chains = chains;
    l->n_chains = m->n_filter_chains;
    if (!chains_check(r, chains, m->n_filter_chains)) {
        return false;
    }
    if (m->default_filter_chain != NULL) {
        struct chain_conf *last = read_list(r, 1, sizeof *last);
        size_t mark = read_push(r, "default_filter_chain");
        if (m->default_filter_chain->filter_chain_match != NULL) {
            return read_fail(r, "filter_chain_match", ERR_INPUT, "has no meaning here");
        }
        if (!chain_read(r, m->default_filter_chain, last)) {
            return false;
        }
        read_pop(r, mark);
        l->default_chain = last;
    }
    return true;
}

/* What would be said of its sessions there is nobody to carry out: it has none, only who dials through it. */
static bool check_internal_session(struct reader *r, const struct tcp_conf *tcp)
{
    const char *field = tcp->n_access_logs > 0          ? "access_log"
                        : tcp->max_connect_attempts > 1 ? "max_connect_attempts"
                        : tcp->max_duration_ms > 0      ? "max_downstream_connection_duration"
                        : tcp->has_idle_timeout         ? "idle_timeout"
                                                        : NULL;
    if (field == NULL) {
        return true;
    }
    size_t mark = read_push_at(r, "filter_chains", 0);
    read_push_at(r, "filters", 0);
    read_push(r, "typed_config");
    read_fail(r, field, ERR_UNSUPPORTED, "not supported by Egret in an internal listener");
    read_pop(r, mark);
    return false;
}

/* An internal listener is not a socket: it is compiled into the dial recipe of those who dial it (DATAPLANE 6), so it
 * can only say where to go on. */
static bool check_internal(struct reader *r, const pb_listener *m, const struct listener_conf *l)
{
    if (!l->internal) {
        return true;
    }
    const struct chain_conf *only = l->n_chains == 1 ? &l->chains[0] : NULL;
    if (only == NULL || l->default_chain != NULL || m->n_listener_filters > 0 || l->tls_inspector || only->kind != CHAIN_TCP || only->tls != NULL || only->tcp->n_weighted > 0) {
        return read_fail(r, "filter_chains", ERR_UNSUPPORTED,
                         "an internal listener has exactly one chain without conditions, holding one tcp_proxy to one "
                         "cluster");
    }
    return check_internal_session(r, only->tcp);
}

static bool read_listener(struct reader *r, const pb_listener *m, struct listener_conf *l)
{
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    l->name = read_text(r, m->name);
    l->stat_prefix = read_text(r, m->stat_prefix);
    read_switches(m, l);
    return read_place(r, m, l) && read_filters(r, m, l) && read_chains(r, m, l) && check_internal(r, m, l);
}

static uint64_t hash_chain(const struct chain_conf *c, uint64_t hash)
{
    return c != NULL && c->tls != NULL ? slice_hash(tls_context_hash(c->tls), hash) : hash;
}

struct listener_conf *listener_create(struct reader *r, const pb_listener *m)
{
    struct listener_conf *l = arena_zalloc(r->arena, sizeof *l);
    if (!read_listener(r, m, l)) {
        return NULL;
    }
    atomic_init(&l->refs, 1);
    l->arena = r->arena;
    l->grave.yard = r->env->yard;
    l->cleanups = r->cleanups;
    l->is_static = r->env->is_static;
    l->hash = slice_hash(pack_message(&m->base, r->scratch), 0);
    for (size_t i = 0; i < l->n_chains; i++) {
        l->hash = hash_chain(&l->chains[i], l->hash);
    }
    l->hash = hash_chain(l->default_chain, l->hash);
    return l;
}
