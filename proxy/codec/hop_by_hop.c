/* What belongs to one connection only and is never forwarded (RFC 9110 7.6.1). */
#include <string.h>

#include "proxy/codec/chars.h"
#include "proxy/codec/head.h"

/* Fields with an end-to-end meaning: naming one in Connection asks us to hide it from the next hop, which is an attack
 * on whoever relies on it (RFC 9110 7.6.1 forbids senders to do so). */
static bool may_be_nominated(struct slice name) /* lower case */
{
    static const enum head_field never[] = {
        FIELD_HOST,
        FIELD_CONTENT_LENGTH,
        FIELD_TRANSFER_ENCODING,
        FIELD_COOKIE,
        FIELD_SET_COOKIE,
        FIELD_AUTHORIZATION,
        FIELD_CONTENT_TYPE,
        FIELD_CONTENT_ENCODING,
        FIELD_CACHE_CONTROL,
        FIELD_EXPECT,
        FIELD_DATE,
        FIELD_LOCATION,
        FIELD_VIA,
        FIELD_SUBSCRIPTION_KEY,
        FIELD_X_REQUEST_ID,
        FIELD_TRACEPARENT,
        FIELD_TRACESTATE,
        FIELD_GRPC_STATUS,
        FIELD_GRPC_TIMEOUT,
        FIELD_WWW_AUTHENTICATE,
    };
    enum head_field id = head_intern(name);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (id == never[i]) {
            return false;
        }
    }
    return !slice_starts_with(name, SLICE("x-forwarded-")) && !slice_starts_with(name, SLICE("x-envoy-"));
}

bool head_check_nominated(struct slice token, struct err *err)
{
    char lower[128];
    if (token.n > sizeof lower || !chars_lower_token(token, lower)) {
        return err_set(err, ERR_PROTOCOL, "connection: not a list of field names");
    }
    struct slice name = slice_make(lower, token.n);
    return may_be_nominated(name) ||
           err_set(err, ERR_PROTOCOL, "connection: names an end-to-end field (%.*s)", SLICE_ARG(name));
}

static bool remove_nominated(struct head *h, struct slice list, struct err *err)
{
    char lower[128];
    while (list.p != NULL) {
        struct slice token = slice_trim(slice_cut(&list, ','));
        if (token.n == 0 || slice_eq_nocase(token, SLICE("keep-alive")) || slice_eq_nocase(token, SLICE("upgrade"))) {
            continue; /* nothing, or a field that goes anyway */
        }
        if (!head_check_nominated(token, err)) {
            return false;
        }
        chars_lower_token(token, lower);
        struct slice name = slice_make(lower, token.n);
        if (!slice_eq(name, SLICE("te")) && !slice_eq(name, SLICE("trailer"))) {
            head_remove(h, name);
        }
    }
    return true;
}

bool head_is_connection_field(const struct field *f)
{
    static const uint64_t ids = UINT64_C(1) << FIELD_CONNECTION | UINT64_C(1) << FIELD_KEEP_ALIVE |
                                UINT64_C(1) << FIELD_TRANSFER_ENCODING | UINT64_C(1) << FIELD_UPGRADE |
                                UINT64_C(1) << FIELD_PROXY_CONNECTION | UINT64_C(1) << FIELD_HTTP2_SETTINGS;
    _Static_assert(FIELD_COUNT <= 64, "one bit a field");
    return (ids >> f->id & 1) != 0;
}

/* TE passes only as "trailers": the one member that has a meaning behind us. */
static bool te_has_trailers(struct slice list)
{
    while (list.p != NULL) {
        if (slice_eq_nocase(slice_trim(slice_cut(&list, ',')), SLICE("trailers"))) {
            return true;
        }
    }
    return false;
}

/* Most heads have none: one pass says so. */
static bool has_any(const struct head *h)
{
    for (unsigned i = 0; i < h->n; i++) {
        if (h->fields[i].id == FIELD_TE || head_is_connection_field(&h->fields[i])) {
            return true;
        }
    }
    return false;
}

bool head_strip_hop_by_hop(struct head *h, struct err *err)
{
    if (!has_any(h)) {
        return true;
    }
    const struct field *te = head_find_id(h, FIELD_TE);
    if (te != NULL) {
        bool present;
        bool trailers = te_has_trailers(head_joined(h, SLICE("te"), &present));
        head_remove_id(h, FIELD_TE);
        if (trailers) {
            head_add_id(h, FIELD_TE, SLICE("trailers"));
        }
    }
    bool connection = head_find_id(h, FIELD_CONNECTION) != NULL;
    struct slice list = connection ? head_joined(h, SLICE("connection"), NULL) : SLICE_NONE;
    if (connection && list.n > 0 && !remove_nominated(h, list, err)) {
        return false;
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < h->n; i++) {
        if (!head_is_connection_field(&h->fields[i])) {
            h->fields[kept++] = h->fields[i];
        }
    }
    h->n = kept;
    return true;
}
