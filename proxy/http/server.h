/*
 * http_server: a downstream connection: transport + codec = streams. The codec is HTTP/1 or HTTP/2 by ALPN, by preface
 * (AUTO), or as configured. Owns the transport. One loop.
 */
#pragma once
#include "base/stat/stat.h"
#include "proxy/http/stream.h"
#include "proxy/codec/h1.h"
#include "proxy/codec/h2.h"

enum http_codec { HTTP_CODEC_AUTO, HTTP_CODEC_1, HTTP_CODEC_2 };

struct http_server_config { /* immutable, outlives the connection (part of the snapshot or copied by the caller) */
    enum http_codec codec;
    struct h1_limits h1;
    struct h2_config h2;
    uint32_t idle_timeout_ms;            /* no stream; 0: none */
    uint32_t request_headers_timeout_ms; /* first byte to end of head */
    uint32_t max_requests;               /* a connection; 0: no limit */
    uint32_t buffer_limit;               /* per_connection_buffer_limit_bytes */
    uint32_t lingering_ms; /* how long what still comes of a refused or unread request is read and dropped */
    uint32_t discard_bytes;
    bool merge_connect; /* CONNECT allowed (else 403-ish refusals are the exchange's) */
};

struct http_server;

struct http_server_events {
    /* A request head is complete: give the stream its events and ctx before returning, then on_head follows at once. */
    void (*on_stream)(void *ctx, struct stream *s);
    /* The codec refused a message: for counters and the access log; the answer has been queued. why->text says why; NULL:
     * it was the body of a stream that was handed out, and which hears of it (stream.refused). */
    void (*on_refused)(void *ctx, unsigned status, const struct err *why);
    /* HTTP/2: n more of what is counted. May be NULL. */
    void (*on_count)(void *ctx, enum h2_count what, uint32_t n);
    void (*on_closed)(void *ctx); /* the connection is gone, all its streams have heard on_closed; last */
};

struct http_server *http_server_create(struct transport **t, const struct http_server_config *config,
                                       const struct http_server_events *events, void *ctx);
/* Lets streams finish, opens no new ones: h1 Connection: close, h2 two-step GOAWAY; on_closed follows. */
void http_server_drain(struct http_server *c);
void http_server_abort(struct http_server **c); /* now; streams hear on_closed, the owner hears nothing */
bool http_server_is_idle(const struct http_server *c);
const struct transport_info *http_server_info(const struct http_server *c);
