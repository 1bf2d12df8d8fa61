/*
 * http_client: an upstream connection: an open transport + codec; opens streams. HTTP/1 carries one at a time. Owns the
 * transport. One loop.
 */
#pragma once
#include "proxy/codec/h1.h"
#include "proxy/codec/h2.h"
#include "proxy/http/stream.h"

struct http_client_config { /* outlives the connection */
    struct h1_limits h1;
    struct h2_config h2;
    uint32_t buffer_limit;
    uint32_t keepalive_interval_ms, keepalive_timeout_ms; /* h2 PING; 0: none */
};

struct http_client;

struct http_client_events {
    void (*on_capacity)(void *ctx); /* http_client_can_open may have changed (a stream ended, SETTINGS came) */
    void (*on_closed)(void *ctx, const struct err *why); /* last; streams have heard theirs before */
};

struct http_client *http_client_create(struct transport **t, bool h2, const struct http_client_config *config,
                                       const struct http_client_events *events, void *ctx);
/* `head` is not sent yet: the stream's owner calls stream_send_head. The arena is where response heads are decoded.
 * NULL when it cannot carry another (check http_client_can_open). */
struct stream *http_client_open(struct http_client *c, struct arena *arena, const struct stream_events *events,
                                void *ctx);
bool http_client_can_open(const struct http_client *c); /* also false when a pending read or end makes it doubtful */
bool http_client_is_ending(const struct http_client *c); /* what carries it goes: end it when no stream is open */
bool http_client_is_h2(const struct http_client *c);
unsigned http_client_streams(const struct http_client *c);
bool http_client_extended_connect(const struct http_client *c); /* the peer allows RFC 8441 */
uint64_t http_client_opened(const struct http_client *c);       /* streams so far */
const struct transport_info *http_client_info(const struct http_client *c);
void http_client_close(struct http_client **c); /* when idle; streams that are open are reset */
void http_client_drain(struct http_client *c);  /* no new streams; on_closed when the last has ended */
