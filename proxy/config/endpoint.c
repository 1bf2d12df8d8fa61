#include "proxy/config/endpoint.h"

#include "proto/pack.h"
#include "proxy/config/address.h"

enum { MAX_PRIORITY = 128, MAX_WEIGHT = 1 << 24 };

static bool read_socket(struct reader *r, const pb_socket_address *a, bool dns, struct endpoint_conf *out)
{
    struct slice host = slice_of(a->address);
    if (!dns || addr_is_ip_literal(host)) {
        out->kind = ENDPOINT_ADDR;
        return socket_address_read(r, "socket_address", a, &out->addr) && (out->port = addr_port(&out->addr), true);
    }
    size_t mark = read_push(r, "socket_address");
    if (host.n == 0 || host.n > 253) {
        return read_fail(r, "address", ERR_INPUT, "not an address or host name");
    }
    if (a->port_specifier_case != ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE) {
        return read_required(r, "port_value");
    }
    if (a->port_value > 65535) {
        return read_fail(r, "port_value", ERR_INPUT, "must be at most 65535");
    }
    if (a->protocol != ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PROTOCOL__TCP) {
        return read_fail(r, "protocol", ERR_UNSUPPORTED, "only TCP is supported by Egret");
    }
    out->kind = ENDPOINT_NAME;
    out->host = read_text(r, a->address);
    out->port = (uint16_t)a->port_value;
    read_pop(r, mark);
    return true;
}

static bool read_internal(struct reader *r, const Envoy__Config__Core__V3__EnvoyInternalAddress *a,
                          struct endpoint_conf *out)
{
    if (!r->env->has_internal) {
        return read_fail(r, "envoy_internal_address", ERR_INPUT,
                         "needs envoy.bootstrap.internal_listener among the bootstrap_extensions");
    }
    if (a->address_name_specifier_case !=
            ENVOY__CONFIG__CORE__V3__ENVOY_INTERNAL_ADDRESS__ADDRESS_NAME_SPECIFIER_SERVER_LISTENER_NAME ||
        a->server_listener_name[0] == '\0') {
        return read_required(r, "envoy_internal_address.server_listener_name");
    }
    out->kind = ENDPOINT_INTERNAL;
    out->host = read_text(r, a->server_listener_name);
    return true;
}

static bool read_address(struct reader *r, const pb_address *a, bool dns, struct endpoint_conf *out)
{
    if (a == NULL) {
        return read_required(r, "address");
    }
    size_t mark = read_push(r, "address");
    bool ok = false;
    if (a->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS) {
        ok = read_socket(r, a->socket_address, dns, out);
    } else if (a->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_ENVOY_INTERNAL_ADDRESS) {
        ok = read_internal(r, a->envoy_internal_address, out);
    } else if (a->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE) {
        out->kind = ENDPOINT_ADDR;
        ok = addr_pipe(&out->addr, slice_of(a->pipe->path), r->err) || read_reason(r, "pipe.path");
    } else {
        ok = read_fail(r, NULL, ERR_INPUT, "one of socket_address, pipe, envoy_internal_address is required");
    }
    if (ok) {
        read_pop(r, mark);
    }
    return ok;
}

static bool is_healthy(Envoy__Config__Core__V3__HealthStatus status)
{
    return status == ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__UNKNOWN ||
           status == ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__HEALTHY ||
           status == ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DEGRADED;
}

static bool read_endpoint(struct reader *r, const pb_endpoint *e, bool dns, struct endpoint_conf *out)
{
    out->weight = read_u32(e->load_balancing_weight, 1);
    if (out->weight == 0 || out->weight > MAX_WEIGHT) {
        return read_fail(r, "load_balancing_weight", ERR_INPUT, "must be from 1 to %d", MAX_WEIGHT);
    }
    out->healthy = is_healthy(e->health_status);
    if (e->host_identifier_case != ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT) {
        return read_required(r, "endpoint");
    }
    size_t mark = read_push(r, "endpoint");
    if (!read_address(r, e->endpoint->address, dns, out)) {
        return false;
    }
    out->hostname = read_text(r, e->endpoint->hostname);
    if (out->hostname.n == 0 && out->kind == ENDPOINT_NAME) {
        out->hostname = out->host; /* what auto_host_rewrite sends for a DNS cluster */
    }
    read_pop(r, mark);
    return true;
}

static bool read_locality(struct reader *r, const pb_locality *l, bool dns, struct endpoint_conf *out)
{
    if (l->priority > MAX_PRIORITY) {
        return read_fail(r, "priority", ERR_INPUT, "must be at most %d", MAX_PRIORITY);
    }
    if (l->load_balancing_weight != NULL && l->load_balancing_weight->value == 0) {
        return read_fail(r, "load_balancing_weight", ERR_INPUT, "must be at least 1");
    }
    for (size_t i = 0; i < l->n_lb_endpoints; i++) {
        size_t mark = read_push_at(r, "lb_endpoints", i);
        out[i].priority = l->priority;
        if (!read_endpoint(r, l->lb_endpoints[i], dns, &out[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    return true;
}

static void sort_by_priority(struct endpoint_conf *list, size_t n)
{
    for (size_t i = 1; i < n; i++) { /* stable; lists mostly come sorted */
        struct endpoint_conf e = list[i];
        size_t k = i;
        for (; k > 0 && list[k - 1].priority > e.priority; k--) {
            list[k] = list[k - 1];
        }
        list[k] = e;
    }
}

static bool read_policy(struct reader *r, const Envoy__Config__Endpoint__V3__ClusterLoadAssignment__Policy *p)
{
    uint32_t factor = p == NULL ? 140 : read_u32(p->overprovisioning_factor, 140);
    return factor == 140 || read_fail(r, "policy.overprovisioning_factor", ERR_UNSUPPORTED,
                                      "only 140, the default, is supported by Egret");
}

static struct endpoint_set *read_set(struct reader *r, const pb_assignment *a, bool dns)
{
    if (a->cluster_name[0] == '\0') {
        read_required(r, "cluster_name");
        return NULL;
    }
    struct endpoint_set *set = arena_zalloc(r->arena, sizeof *set);
    for (size_t i = 0; i < a->n_endpoints; i++) {
        set->n += a->endpoints[i]->n_lb_endpoints;
    }
    struct endpoint_conf *list = read_list(r, set->n, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < a->n_endpoints; i++) {
        size_t mark = read_push_at(r, "endpoints", i);
        struct endpoint_conf *own = set->n > 0 ? list + n : NULL; /* no list at all when no locality has endpoints */
        if (!read_locality(r, a->endpoints[i], dns, own)) {
            return NULL;
        }
        n += a->endpoints[i]->n_lb_endpoints;
        read_pop(r, mark);
    }
    if (!read_policy(r, a->policy)) {
        return NULL;
    }
    sort_by_priority(list, n);
    atomic_init(&set->refs, 1);
    set->grave.yard = r->env->yard;
    set->name = read_text(r, a->cluster_name);
    set->endpoints = list;
    set->hash = slice_hash(pack_message(&a->base, r->scratch), 0);
    return set;
}

struct endpoint_set *endpoints_create(struct reader *r, const pb_assignment *a, bool dns)
{
    struct arena *around = r->arena;
    r->arena = arena_create(512);
    struct endpoint_set *set = read_set(r, a, dns);
    if (set != NULL) {
        set->arena = r->arena;
    } else {
        arena_destroy(&r->arena);
    }
    r->arena = around;
    return set;
}
