/* Interned field names and status phrases. */
#include <string.h>

#include "base/macros.h"
#include "proxy/codec/head.h"

static const struct slice names[FIELD_COUNT] = {[FIELD_OTHER] = {"", 0},
#define X(id, name) [FIELD_##id] = {name, sizeof(name) - 1},
                                                HEAD_FIELDS(X)
#undef X
};

/* The known names of each length, so that a look-up compares with a handful; 0 ends a row. A test holds it against
 * HEAD_FIELDS. */
/* clang-format off */
static const unsigned char by_length[][6] = {
    [2] = {FIELD_TE},
    [3] = {FIELD_VIA},
    [4] = {FIELD_HOST, FIELD_DATE, FIELD_ETAG, FIELD_VARY},
    [5] = {FIELD_RANGE},
    [6] = {FIELD_EXPECT, FIELD_SERVER, FIELD_ACCEPT, FIELD_COOKIE, FIELD_ORIGIN},
    [7] = {FIELD_TRAILER, FIELD_UPGRADE, FIELD_REFERER},
    [8] = {FIELD_LOCATION},
    [10] = {FIELD_CONNECTION, FIELD_KEEP_ALIVE, FIELD_USER_AGENT, FIELD_SET_COOKIE, FIELD_TRACESTATE},
    [11] = {FIELD_RETRY_AFTER, FIELD_TRACEPARENT, FIELD_GRPC_STATUS},
    [12] = {FIELD_CONTENT_TYPE, FIELD_X_REQUEST_ID, FIELD_PROXY_STATUS, FIELD_GRPC_MESSAGE, FIELD_GRPC_TIMEOUT},
    [13] = {FIELD_AUTHORIZATION, FIELD_CACHE_CONTROL, FIELD_LAST_MODIFIED, FIELD_ACCEPT_RANGES},
    [14] = {FIELD_CONTENT_LENGTH, FIELD_HTTP2_SETTINGS},
    [15] = {FIELD_ACCEPT_ENCODING, FIELD_ACCEPT_LANGUAGE, FIELD_X_FORWARDED_FOR},
    [16] = {FIELD_PROXY_CONNECTION, FIELD_WWW_AUTHENTICATE, FIELD_CONTENT_ENCODING, FIELD_X_FORWARDED_HOST},
    [17] = {FIELD_TRANSFER_ENCODING, FIELD_X_FORWARDED_PROTO, FIELD_SEC_WEBSOCKET_KEY},
    [18] = {FIELD_PROXY_AUTHENTICATE},
    [19] = {FIELD_PROXY_AUTHORIZATION},
    [20] = {FIELD_SEC_WEBSOCKET_ACCEPT},
    [21] = {FIELD_SEC_WEBSOCKET_VERSION},
    [25] = {FIELD_SUBSCRIPTION_KEY},
    [29] = {FIELD_X_ENVOY_UPSTREAM_SERVICE_TIME},
    [30] = {FIELD_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS},
};
/* clang-format on */

enum head_field head_intern(struct slice name)
{
    if (name.n >= ARRAY_LEN(by_length)) {
        return FIELD_OTHER;
    }
    for (const unsigned char *id = by_length[name.n]; *id != 0; id++) {
        if (memcmp(names[*id].p, name.p, name.n) == 0) {
            return (enum head_field) * id;
        }
    }
    return FIELD_OTHER;
}

struct slice head_field_name(enum head_field id)
{
    return names[id];
}

struct slice head_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {404, "Not Found"},
        {304, "Not Modified"},
        {201, "Created"},
        {204, "No Content"},
        {302, "Found"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {100, "Continue"},
        {101, "Switching Protocols"},
        {102, "Processing"},
        {103, "Early Hints"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {207, "Multi-Status"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {303, "See Other"},
        {305, "Use Proxy"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {402, "Payment Required"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Payload Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Entity"},
        {423, "Locked"},
        {424, "Failed Dependency"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {501, "Not Implemented"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {508, "Loop Detected"},
        {511, "Network Authentication Required"},
    };
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++) {
        if (phrases[i].status == status) {
            return slice_of(phrases[i].phrase);
        }
    }
    return SLICE_NONE;
}
