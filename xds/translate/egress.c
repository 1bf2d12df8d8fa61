#include "xds/translate/egress.h"

#include <string.h>

#include "base/slice.h"

static const uint32_t default_ports[] = {443, 80};

size_t egress_ports(const Egret__Control__V1__Egress *entry, const uint32_t **ports)
{
    *ports = entry->n_ports == 0 ? default_ports : entry->ports;
    return entry->n_ports == 0 ? 2 : entry->n_ports;
}

static bool has_port(const Egret__Control__V1__Egress *entry, uint32_t port)
{
    const uint32_t *ports;
    size_t n = egress_ports(entry, &ports);
    for (size_t i = 0; i < n; i++) {
        if (ports[i] == port) {
            return true;
        }
    }
    return false;
}

/* How well a pattern fits: 0 not at all; an exact one best, then by the length of "*.suffix". */
static size_t fit(struct slice pattern, struct slice host)
{
    if (slice_eq_nocase(pattern, host)) {
        return SIZE_MAX;
    }
    if (!slice_starts_with(pattern, SLICE("*."))) {
        return 0;
    }
    struct slice suffix = slice_from(pattern, 1);
    return host.n > suffix.n && slice_ends_with_nocase(host, suffix) ? suffix.n : 0;
}

static const Egret__Control__V1__Gateway *find_gateway(const Egret__Control__V1__Config *config, const char *name)
{
    for (size_t i = 0; i < config->n_gateways; i++) {
        if (strcmp(config->gateways[i]->name, name) == 0) {
            return config->gateways[i];
        }
    }
    return NULL;
}

static const Egret__Control__V1__Pool *find_pool(const Egret__Control__V1__Config *config, const char *name)
{
    for (size_t i = 0; i < config->n_pools; i++) {
        if (strcmp(config->pools[i]->name, name) == 0) {
            return config->pools[i];
        }
    }
    return NULL;
}

struct egress_route egress_find(const Egret__Control__V1__Config *config, const char *host, uint32_t port)
{
    size_t best = 0;
    const Egret__Control__V1__Egress *chosen = NULL;
    for (size_t i = 0; i < config->n_egress; i++) {
        const Egret__Control__V1__Egress *e = config->egress[i];
        for (size_t k = 0; k < e->n_hosts; k++) {
            size_t now = fit(slice_of(e->hosts[k]), slice_of(host));
            if (now > best && has_port(e, port)) {
                best = now;
                chosen = e;
            }
        }
    }
    struct egress_route route = {NULL, NULL};
    if (chosen != NULL) {
        route.gateway = find_gateway(config, chosen->gateway);
        route.pool = find_pool(config, chosen->pool);
    }
    return route;
}

const char *egress_source(const Egret__Control__V1__Pool *pool, const char *host)
{
    const char *best = "";
    uint64_t best_hash = 0;
    for (size_t i = 0; i < pool->n_addresses; i++) {
        struct slice address = slice_of(pool->addresses[i]);
        uint64_t hash = slice_hash(slice_of(host), slice_hash(address, 0));
        if (best[0] == '\0' || hash > best_hash || (hash == best_hash && strcmp(pool->addresses[i], best) < 0)) {
            best = pool->addresses[i];
            best_hash = hash;
        }
    }
    return best;
}
