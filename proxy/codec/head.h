/*
 * head: a decoded message head, the same for HTTP/1 and HTTP/2, request and response; also trailers. All text lives in
 * its arena. Field names are lower case and interned: field.id is not 0 for the names in HEAD_FIELDS.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

/* clang-format off */
#define HEAD_FIELDS(X) \
    X(HOST, "host") X(CONNECTION, "connection") X(CONTENT_LENGTH, "content-length") \
    X(TRANSFER_ENCODING, "transfer-encoding") X(TE, "te") X(TRAILER, "trailer") X(UPGRADE, "upgrade") \
    X(KEEP_ALIVE, "keep-alive") X(PROXY_CONNECTION, "proxy-connection") X(PROXY_AUTHENTICATE, "proxy-authenticate") \
    X(PROXY_AUTHORIZATION, "proxy-authorization") X(EXPECT, "expect") X(HTTP2_SETTINGS, "http2-settings") \
    X(CONTENT_TYPE, "content-type") X(DATE, "date") X(SERVER, "server") X(USER_AGENT, "user-agent") \
    X(ACCEPT, "accept") X(ACCEPT_ENCODING, "accept-encoding") X(ACCEPT_LANGUAGE, "accept-language") \
    X(AUTHORIZATION, "authorization") X(CACHE_CONTROL, "cache-control") X(COOKIE, "cookie") \
    X(SET_COOKIE, "set-cookie") X(LOCATION, "location") X(ETAG, "etag") X(VARY, "vary") X(ORIGIN, "origin") \
    X(RANGE, "range") X(REFERER, "referer") X(RETRY_AFTER, "retry-after") X(WWW_AUTHENTICATE, "www-authenticate") \
    X(VIA, "via") X(LAST_MODIFIED, "last-modified") X(CONTENT_ENCODING, "content-encoding") \
    X(ACCEPT_RANGES, "accept-ranges") X(X_FORWARDED_FOR, "x-forwarded-for") X(X_FORWARDED_PROTO, "x-forwarded-proto") \
    X(X_FORWARDED_HOST, "x-forwarded-host") X(X_REQUEST_ID, "x-request-id") X(TRACEPARENT, "traceparent") \
    X(TRACESTATE, "tracestate") X(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time") \
    X(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, "x-envoy-expected-rq-timeout-ms") X(PROXY_STATUS, "proxy-status") \
    X(GRPC_STATUS, "grpc-status") X(GRPC_MESSAGE, "grpc-message") X(GRPC_TIMEOUT, "grpc-timeout") \
    X(SUBSCRIPTION_KEY, "ocp-apim-subscription-key") X(SEC_WEBSOCKET_KEY, "sec-websocket-key") \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept") X(SEC_WEBSOCKET_VERSION, "sec-websocket-version")
/* clang-format on */

enum head_field {
    FIELD_OTHER,
#define X(id, name) FIELD_##id,
    HEAD_FIELDS(X)
#undef X
    FIELD_COUNT
};

struct field {
    struct slice name;  /* lower case */
    struct slice value; /* no white space around it; no CR, LF, NUL */
    uint16_t id;        /* enum head_field */
    bool never_index;   /* HPACK: a secret */
    bool sound;         /* a codec has read it: name and value need not be looked at again when they are sent */
};

enum http_version { HTTP_1_0 = 10, HTTP_1_1 = 11, HTTP_2 = 20 };

struct head {
    struct arena *arena;
    enum http_version version;      /* it arrived with */
    struct slice method;            /* request; empty in a response */
    struct slice scheme;            /* "http", "https"; HTTP/1: filled by the connection */
    struct slice authority;         /* Host or :authority; not repeated among the fields */
    struct slice path;              /* with query; "*" for OPTIONS *; empty for CONNECT */
    struct slice protocol;          /* extended CONNECT, or the Upgrade token of an HTTP/1 upgrade request */
    unsigned status;                /* response; 0 in a request and in trailers */
    struct slice reason;            /* HTTP/1 only; empty: the standard phrase */
    int64_t content_length;         /* -1: not given */
    struct field *fields;
    unsigned n, cap;
};

void head_init(struct head *h, struct arena *arena);
/* Copies neither name nor value: both must live in the arena or longer. name must be lower case. */
void head_add(struct head *h, struct slice name, struct slice value);
void head_add_id(struct head *h, enum head_field id, struct slice value);
/* For codecs: name and value have been checked, id is the name's. */
void head_add_sound(struct head *h, enum head_field id, struct slice name, struct slice value);
void head_set(struct head *h, struct slice name, struct slice value); /* replaces all of that name */
void head_set_id(struct head *h, enum head_field id, struct slice value);
const struct field *head_find(const struct head *h, struct slice name); /* first; name lower case */
const struct field *head_find_id(const struct head *h, enum head_field id);
struct slice head_value_id(const struct head *h, enum head_field id); /* empty when absent */
/* All values of that name joined with "," (RFC 9110 5.3), in the arena when there are several. */
struct slice head_joined(const struct head *h, struct slice name, bool *present);
unsigned head_remove(struct head *h, struct slice name); /* how many were removed */
unsigned head_remove_id(struct head *h, enum head_field id);
struct head *head_copy(const struct head *h, struct arena *arena); /* deep; text too */

enum head_field head_intern(struct slice lower_name);
struct slice head_field_name(enum head_field id);
struct slice head_reason(unsigned status); /* standard phrase; empty when there is none */

/* Belongs to one HTTP/1 connection: Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade, HTTP2-Settings. */
bool head_is_connection_field(const struct field *f);
/* The one place where hop-by-hop fields go (RFC 9110 7.6.1): Connection and all it nominates, Keep-Alive, TE (but
 * "trailers", which is kept), Trailer is kept, Transfer-Encoding, Upgrade, Proxy-Connection, HTTP2-Settings,
 * proxy-authenticate/-authorization pass. Both directions. Never removes what an end-to-end meaning rests on
 * because Connection named it: a nominated framing or routing field makes this return false (400/502). */
bool head_strip_hop_by_hop(struct head *h, struct err *err);
/* May Connection name this field (any case)? The HTTP/1 reader asks, so that such a message ends its connection. */
bool head_check_nominated(struct slice token, struct err *err);
