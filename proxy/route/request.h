/*
 * route_request: what a matcher may see of a request, as borrowed slices and one callback. This room knows no
 * codec; whoever asks fills it on the stack. Everything must live until the match result is no longer used.
 */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

struct route_request {
    struct slice scheme; /* "http" or "https" ("ws", "wss" count as those) */
    struct slice method;
    struct slice authority; /* host[:port] as sent */
    struct slice path;      /* with query; empty for CONNECT */
    /* Value of the header `name_lower`, several ones joined with ","; *present says whether there was any. */
    struct slice (*header)(const void *ctx, struct slice name_lower, bool *present);
    /* The value of the index-th line of that name; *present: there is such a line. NULL: `header` says it all. */
    struct slice (*header_line)(const void *ctx, struct slice name_lower, size_t index, bool *present);
    const void *ctx;
    bool internal; /* the caller is on this side of the trust boundary: VHOST_TLS_EXTERNAL_ONLY lets it pass */
};

/* Value of a header or pseudo header (":method", ":path", ":authority", ":scheme"; "host" is ":authority"). */
struct slice route_request_header(const struct route_request *req, struct slice name_lower, bool *present);
/* The authority without its port; brackets of an IPv6 literal stay. */
struct slice route_host_of(struct slice authority);
/* The port part of an authority without the colon, empty when there is none. */
struct slice route_port_of(struct slice authority);
