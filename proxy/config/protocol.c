#include "proxy/config/protocol.h"

enum {
    HEAD_BYTES = 60 << 10,
    RESPONSE_HEAD_BYTES = 80 << 10,
    MAX_FIELDS = 100,
    TRAILER_BYTES = 16 << 10,
    STREAMS = 100,                /* Envoy: 1024 */
    STREAM_WINDOW = 1 << 20,      /* Envoy: 16 MiB */
    CONNECTION_WINDOW = 4 << 20,  /* Envoy: 24 MiB */
    CONTROL_FRAMES = 1000,
    RESETS = 500, /* answered streams make up for as many */
    HOUR_MS = 3600 * 1000,
};

void protocol_init(struct protocol *p, const struct config_limits *limits, bool server)
{
    size_t head = server ? HEAD_BYTES : RESPONSE_HEAD_BYTES;
    *p = (struct protocol){
        .h1 = {.max_head_bytes = head,
               .max_uri_bytes = limits->max_uri_bytes,
               .max_fields = MAX_FIELDS,
               .max_trailer_bytes = TRAILER_BYTES,
               .max_chunk_line_bytes = limits->max_chunk_extension_bytes},
        .h2 = {.server = server,
               .max_concurrent_streams = STREAMS,
               .stream_window = STREAM_WINDOW,
               .connection_window = CONNECTION_WINDOW,
               .max_head_bytes = head,
               .max_fields = MAX_FIELDS,
               .max_uri_bytes = limits->max_uri_bytes,
               .max_control_frames = CONTROL_FRAMES,
               .max_resets = RESETS},
        .idle_timeout_ms = HOUR_MS,
    };
}

bool protocol_head_kb(struct reader *r, const char *field, const pb_u32 *kb, struct protocol *p)
{
    if (kb == NULL) {
        return true;
    }
    if (kb->value == 0 || kb->value > 8192) {
        return read_fail(r, field, ERR_INPUT, "must be from 1 to 8192");
    }
    p->h1.max_head_bytes = p->h2.max_head_bytes = (size_t)kb->value << 10;
    return true;
}

bool protocol_common(struct reader *r, const char *field, const pb_http_options *o, struct protocol *p)
{
    if (o == NULL) {
        return true;
    }
    size_t mark = read_push(r, field);
    if (!read_ms(r, "idle_timeout", o->idle_timeout, (struct ms_rule){HOUR_MS, 0}, &p->idle_timeout_ms) ||
        !read_ms(r, "max_connection_duration", o->max_connection_duration, (struct ms_rule){0, 0},
                 &p->max_connection_duration_ms) ||
        !read_ms(r, "max_stream_duration", o->max_stream_duration, (struct ms_rule){0, 0},
                 &p->max_stream_duration_ms)) {
        return false;
    }
    if (o->max_headers_count != NULL && (o->max_headers_count->value == 0 || o->max_headers_count->value > 65535)) {
        return read_fail(r, "max_headers_count", ERR_INPUT, "must be from 1 to 65535");
    }
    if (p->h2.server && o->max_response_headers_kb != NULL) {
        return read_fail(r, "max_response_headers_kb", ERR_UNSUPPORTED, "is for clusters");
    }
    if (!p->h2.server && o->max_stream_duration != NULL) {
        return read_fail(r, "max_stream_duration", ERR_UNSUPPORTED, "not supported by Egret for clusters");
    }
    p->h1.max_fields = p->h2.max_fields = read_u32(o->max_headers_count, p->h1.max_fields);
    p->max_requests = read_u32(o->max_requests_per_connection, p->max_requests);
    if (!protocol_head_kb(r, "max_response_headers_kb", o->max_response_headers_kb, p)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

bool protocol_http1(struct reader *r, const char *field, const pb_http1_options *o, struct protocol *p)
{
    if (o == NULL) {
        return true;
    }
    size_t mark = read_push(r, field);
    if (!read_bool(o->allow_absolute_url, true)) {
        return read_fail(r, "allow_absolute_url", ERR_UNSUPPORTED, "false is not supported by Egret");
    }
    p->h1.accept_http_10 = o->accept_http_10 != 0;
    read_pop(r, mark);
    return true;
}

static bool read_window(struct reader *r, const char *field, const pb_u32 *value, uint32_t *out)
{
    *out = read_u32(value, *out);
    return (*out >= 65535 && *out <= INT32_MAX) || read_fail(r, field, ERR_INPUT, "must be from 65535 to 2147483647");
}

static bool read_keepalive(struct reader *r, const Envoy__Config__Core__V3__KeepaliveSettings *k, struct protocol *p)
{
    if (k == NULL) {
        return true;
    }
    size_t mark = read_push(r, "connection_keepalive");
    if (k->timeout == NULL) {
        return read_required(r, "timeout");
    }
    if (!read_ms(r, "interval", k->interval, (struct ms_rule){0, 1}, &p->keepalive_interval_ms) ||
        !read_ms(r, "timeout", k->timeout, (struct ms_rule){0, 1}, &p->keepalive_timeout_ms)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

bool protocol_http2(struct reader *r, const char *field, const pb_http2_options *o, struct protocol *p)
{
    if (o == NULL) {
        return true;
    }
    size_t mark = read_push(r, field);
    struct h2_config *h2 = &p->h2;
    h2->max_concurrent_streams = read_u32(o->max_concurrent_streams, h2->max_concurrent_streams);
    if (h2->max_concurrent_streams == 0 || h2->max_concurrent_streams > INT32_MAX) {
        return read_fail(r, "max_concurrent_streams", ERR_INPUT, "must be from 1 to 2147483647");
    }
    h2->max_control_frames = read_u32(o->max_outbound_control_frames, h2->max_control_frames);
    if (h2->max_control_frames == 0) {
        return read_fail(r, "max_outbound_control_frames", ERR_INPUT, "must be at least 1");
    }
    h2->connect_protocol = o->allow_connect != 0;
    if (!read_window(r, "initial_stream_window_size", o->initial_stream_window_size, &h2->stream_window) ||
        !read_window(r, "initial_connection_window_size", o->initial_connection_window_size, &h2->connection_window) ||
        !read_keepalive(r, o->connection_keepalive, p)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}
