/* HTTP protocol options of both sides: limits of the codecs, timeouts of connections; the defaults stand here
 * (docs/differences.md says where they are not Envoy's). */
#pragma once
#include "proxy/codec/h1.h"
#include "proxy/codec/h2.h"
#include "proxy/config/read.h"

struct protocol { /* what common_, http_ and http2_protocol_options decide together */
    struct h1_limits h1;
    struct h2_config h2;
    uint32_t idle_timeout_ms, max_connection_duration_ms, max_stream_duration_ms;
    uint32_t max_requests;
    uint32_t keepalive_interval_ms, keepalive_timeout_ms;
};

void protocol_init(struct protocol *p, const struct config_limits *limits, bool server);
/* max_request_headers_kb and max_response_headers_kb. */
bool protocol_head_kb(struct reader *r, const char *field, const pb_u32 *kb, struct protocol *p);
bool protocol_common(struct reader *r, const char *field, const pb_http_options *o, struct protocol *p);
bool protocol_http1(struct reader *r, const char *field, const pb_http1_options *o, struct protocol *p);
bool protocol_http2(struct reader *r, const char *field, const pb_http2_options *o, struct protocol *p);
