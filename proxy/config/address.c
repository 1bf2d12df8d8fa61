#include "proxy/config/address.h"

#include <sys/socket.h>

bool socket_address_read(struct reader *r, const char *field, const pb_socket_address *a, struct addr *out)
{
    size_t mark = read_push(r, field);
    if (a->protocol != ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PROTOCOL__TCP) {
        return read_fail(r, "protocol", ERR_UNSUPPORTED, "only TCP is supported by Egret");
    }
    if (a->address[0] == '\0') {
        return read_required(r, "address");
    }
    if (a->port_specifier_case != ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE) {
        return read_required(r, "port_value");
    }
    if (a->port_value > 65535) {
        return read_fail(r, "port_value", ERR_INPUT, "must be at most 65535");
    }
    if (!addr_parse(out, slice_of(a->address), (uint16_t)a->port_value, r->err)) {
        return read_reason(r, "address");
    }
    read_pop(r, mark);
    return true;
}

bool address_read(struct reader *r, const char *field, const pb_address *a, struct addr *out)
{
    if (a == NULL) {
        return read_required(r, field);
    }
    size_t mark = read_push(r, field);
    bool ok = false;
    switch ((int)a->address_case) {
    case ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS:
        ok = socket_address_read(r, "socket_address", a->socket_address, out);
        break;
    case ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE:
        ok = a->pipe->path[0] == '\0' ? read_required(r, "pipe.path")
                                      : addr_pipe(out, slice_of(a->pipe->path), r->err) || read_reason(r, "pipe.path");
        break;
    case ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_ENVOY_INTERNAL_ADDRESS:
        return read_fail(r, "envoy_internal_address", ERR_INPUT, "has no meaning here");
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of socket_address, pipe is required");
    }
    if (ok) {
        read_pop(r, mark);
    }
    return ok;
}

/* Clears what is behind the prefix, as the contract of struct cidr says. */
static void mask(uint8_t *ip, unsigned bytes, unsigned prefix)
{
    for (unsigned i = prefix / 8; i < bytes; i++) {
        unsigned keep = i == prefix / 8 ? prefix % 8 : 0;
        ip[i] = (uint8_t)(ip[i] & (0xff00U >> keep));
    }
}

static bool cidr_read(struct reader *r, const pb_cidr *range, struct cidr *out)
{
    if (!addr_parse(&out->addr, slice_of(range->address_prefix), 0, r->err)) {
        return read_reason(r, "address_prefix");
    }
    bool v4 = out->addr.sa.sa_family == AF_INET;
    out->prefix_len = read_u32(range->prefix_len, 0);
    if (out->prefix_len > (v4 ? 32U : 128U)) {
        return read_fail(r, "prefix_len", ERR_INPUT, "must be at most %u", v4 ? 32U : 128U);
    }
    mask(v4 ? (uint8_t *)&out->addr.in4.sin_addr : out->addr.in6.sin6_addr.s6_addr, v4 ? 4 : 16, out->prefix_len);
    return true;
}

bool cidrs_read(struct reader *r, const char *field, pb_cidr *const *list, size_t n, const struct cidr **out)
{
    struct cidr *ranges = read_list(r, n, sizeof *ranges);
    for (size_t i = 0; i < n; i++) {
        size_t mark = read_push_at(r, field, i);
        if (!cidr_read(r, list[i], &ranges[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    *out = ranges;
    return true;
}

/* SO_MARK is the one option that is built. */
static bool socket_options_read(struct reader *r, const pb_bind *bind, struct dial_tcp *out)
{
    for (size_t i = 0; i < bind->n_socket_options; i++) {
        const Envoy__Config__Core__V3__SocketOption *o = bind->socket_options[i];
        size_t mark = read_push_at(r, "socket_options", i);
        if (o->level != SOL_SOCKET || o->name != SO_MARK ||
            o->value_case != ENVOY__CONFIG__CORE__V3__SOCKET_OPTION__VALUE_INT_VALUE) {
            return read_fail(r, NULL, ERR_UNSUPPORTED,
                             "only SO_MARK (level %d, name %d, int_value) is supported by Egret", SOL_SOCKET, SO_MARK);
        }
        if (o->int_value < 0 || o->int_value > UINT32_MAX) {
            return read_fail(r, "int_value", ERR_INPUT, "not a mark of 32 bits");
        }
        out->mark = (uint32_t)o->int_value;
        read_pop(r, mark);
    }
    return true;
}

bool bind_read(struct reader *r, const char *field, const pb_bind *bind, struct dial_tcp *out)
{
    if (bind == NULL) {
        return true;
    }
    size_t mark = read_push(r, field);
    if (bind->source_address != NULL && !socket_address_read(r, "source_address", bind->source_address, &out->source)) {
        return false;
    }
    out->freebind = read_bool(bind->freebind, false);
    if (!socket_options_read(r, bind, out)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

void keepalive_read(const pb_keepalive *k, struct dial_tcp *out)
{
    if (k != NULL) {
        out->keepalive = true;
        out->keepalive_probes = read_u32(k->keepalive_probes, 0);
        out->keepalive_time_s = read_u32(k->keepalive_time, 0);
        out->keepalive_interval_s = read_u32(k->keepalive_interval, 0);
    }
}
