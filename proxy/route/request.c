#include "proxy/route/request.h"

static const struct slice none = SLICE_NONE;

struct slice route_request_header(const struct route_request *req, struct slice name, bool *present)
{
    const struct slice *pseudo = &none;
    if (slice_eq(name, SLICE(":method"))) {
        pseudo = &req->method;
    } else if (slice_eq(name, SLICE(":path"))) {
        pseudo = &req->path;
    } else if (slice_eq(name, SLICE(":authority")) || slice_eq(name, SLICE("host"))) {
        pseudo = &req->authority;
    } else if (slice_eq(name, SLICE(":scheme"))) {
        pseudo = &req->scheme;
    } else if (req->header != NULL) {
        return req->header(req->ctx, name, present);
    }
    *present = pseudo->n > 0;
    return *pseudo;
}

/* Where the colon before the port stands, or the length. A bare IPv6 address has several and no port. */
static size_t port_colon(struct slice authority)
{
    size_t from = 0;
    if (authority.n > 0 && authority.p[0] == '[') {
        from = slice_find(authority, ']');
    }
    struct slice tail = slice_from(authority, from);
    size_t colon = slice_find(tail, ':');
    struct slice port = slice_from(tail, colon + 1);
    if (colon == tail.n || slice_find(port, ':') < port.n) {
        return authority.n;
    }
    return from + colon;
}

struct slice route_host_of(struct slice authority)
{
    return slice_sub(authority, 0, port_colon(authority));
}

struct slice route_port_of(struct slice authority)
{
    return slice_from(authority, port_colon(authority) + 1);
}
