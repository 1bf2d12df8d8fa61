/* Which filter chain a connection gets: Envoy's criteria one after the other, each narrowing to the most specific
 * value that fits; what was decided is never taken back. */
#include <string.h>

#include "proxy/config/snapshot.h"

enum { WORDS = LISTENER_MAX_CHAINS / 64 };

struct live { /* the chains still in question, as bits */
    uint64_t bits[WORDS];
    size_t n; /* chains of the listener */
};

/* How well a chain fits one criterion: 0 not at all, 1 it does not care, more: the more specific, the higher. */
typedef unsigned (*fit_fn)(const struct chain_conf *chain, const struct chain_query *q);

static bool is_live(const struct live *live, size_t i)
{
    return (live->bits[i / 64] >> (i % 64) & 1) != 0;
}

/* Keeps the best; false when none is left. */
static bool narrow(struct live *live, const struct listener_conf *l, const struct chain_query *q, fit_fn fit)
{
    unsigned best = 0;
    for (size_t i = 0; i < live->n; i++) {
        unsigned f = is_live(live, i) ? fit(&l->chains[i], q) : 0;
        best = f > best ? f : best;
    }
    for (size_t i = 0; i < live->n && best > 0; i++) {
        if (is_live(live, i) && fit(&l->chains[i], q) != best) {
            live->bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
        }
    }
    return best > 0;
}

static unsigned fit_port(const struct chain_conf *c, const struct chain_query *q)
{
    if (c->destination_port == 0) {
        return 1;
    }
    return q->local != NULL && addr_port(q->local) == c->destination_port ? 2 : 0;
}

static const uint8_t *ip_bytes(const struct addr *a, unsigned *bits)
{
    if (a->len > 0 && a->sa.sa_family == AF_INET) {
        *bits = 32;
        return (const uint8_t *)&a->in4.sin_addr;
    }
    if (a->len > 0 && a->sa.sa_family == AF_INET6) {
        if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
            *bits = 32;
            return a->in6.sin6_addr.s6_addr + 12;
        }
        *bits = 128;
        return a->in6.sin6_addr.s6_addr;
    }
    *bits = 0;
    return NULL;
}

static bool cidr_holds(const struct cidr *range, const struct addr *a)
{
    unsigned range_bits = 0, bits = 0;
    const uint8_t *net = ip_bytes(&range->addr, &range_bits);
    const uint8_t *ip = ip_bytes(a, &bits);
    if (net == NULL || ip == NULL || range_bits != bits) {
        return false;
    }
    unsigned whole = range->prefix_len / 8, rest = range->prefix_len % 8;
    if (memcmp(net, ip, whole) != 0) {
        return false;
    }
    return rest == 0 || (net[whole] ^ ip[whole]) >> (8 - rest) == 0;
}

static unsigned fit_ranges(const struct cidr *ranges, size_t n, const struct addr *a)
{
    if (n == 0) {
        return 1;
    }
    unsigned best = 0;
    for (size_t i = 0; i < n && a != NULL; i++) {
        if (cidr_holds(&ranges[i], a) && ranges[i].prefix_len + 1 > best) {
            best = ranges[i].prefix_len + 1; /* a /0 is as good as no range */
        }
    }
    return best;
}

static unsigned fit_destination(const struct chain_conf *c, const struct chain_query *q)
{
    return fit_ranges(c->destinations, c->n_destinations, q->local);
}

static unsigned fit_server_name(const struct chain_conf *c, const struct chain_query *q)
{
    unsigned best = c->n_server_names == 0 ? 1 : 0;
    for (size_t i = 0; i < c->n_server_names; i++) {
        struct slice name = c->server_names[i];
        bool wild = name.n > 2 && name.p[0] == '*';
        unsigned f = 0;
        if (wild && q->sni.n > name.n - 1 && slice_ends_with_nocase(q->sni, slice_from(name, 1))) {
            f = 1 + (unsigned)name.n;
        } else if (!wild && q->sni.n > 0 && slice_eq_nocase(q->sni, name)) {
            f = 100000;
        }
        best = f > best ? f : best;
    }
    return best;
}

static unsigned fit_transport(const struct chain_conf *c, const struct chain_query *q)
{
    if (c->transport_protocol.n == 0) {
        return 1;
    }
    struct slice have = q->transport_protocol.n > 0 ? q->transport_protocol : SLICE("raw_buffer");
    return slice_eq(c->transport_protocol, have) ? 2 : 0;
}

/* The connection's protocols in its order: the first that any chain names decides. */
static unsigned fit_alpn(const struct chain_conf *c, const struct chain_query *q)
{
    if (c->n_alpns == 0) {
        return 1;
    }
    for (size_t i = 0; i < q->n_alpns; i++) {
        for (size_t k = 0; k < c->n_alpns; k++) {
            if (slice_eq(c->alpns[k], q->alpns[i])) {
                return 1 + (unsigned)(q->n_alpns - i);
            }
        }
    }
    return 0;
}

static unsigned fit_direct_source(const struct chain_conf *c, const struct chain_query *q)
{
    return fit_ranges(c->direct_sources, c->n_direct_sources, q->direct_remote != NULL ? q->direct_remote : q->remote);
}

static bool is_loopback(const struct addr *a)
{
    unsigned bits = 0;
    const uint8_t *ip = ip_bytes(a, &bits);
    return ip != NULL && (bits == 32 ? ip[0] == 127 : IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr));
}

static unsigned fit_source_type(const struct chain_conf *c, const struct chain_query *q)
{
    if (c->source_type == CHAIN_SOURCE_ANY) {
        return 1;
    }
    bool local = q->remote != NULL && (q->remote->len == 0 || q->remote->sa.sa_family == AF_UNIX ||
                                       is_loopback(q->remote) ||
                                       (q->local != NULL && addr_same_ip(q->local, q->remote)));
    return local == (c->source_type == CHAIN_SOURCE_LOCAL) ? 2 : 0;
}

static unsigned fit_source(const struct chain_conf *c, const struct chain_query *q)
{
    return fit_ranges(c->sources, c->n_sources, q->remote);
}

static unsigned fit_source_port(const struct chain_conf *c, const struct chain_query *q)
{
    for (size_t i = 0; i < c->n_source_ports && q->remote != NULL; i++) {
        if (c->source_ports[i] == addr_port(q->remote)) {
            return 2;
        }
    }
    return c->n_source_ports == 0 ? 1 : 0;
}

const struct chain_conf *listener_choose_chain(const struct listener_conf *l, const struct chain_query *query)
{
    static const fit_fn order[] = {fit_port,          fit_destination, fit_server_name, fit_transport,   fit_alpn,
                                   fit_direct_source, fit_source_type, fit_source,      fit_source_port};
    struct live live = {.n = l->n_chains};
    memset(live.bits, 0xff, sizeof live.bits);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (!narrow(&live, l, query, order[i])) {
            return l->default_chain;
        }
    }
    for (size_t i = 0; i < l->n_chains; i++) {
        if (is_live(&live, i)) {
            return &l->chains[i];
        }
    }
    return l->default_chain;
}
