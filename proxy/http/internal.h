/* Shared by the files of proxy/http only: the two faces a connection has, whatever its protocol. */
#pragma once
#include <assert.h>

#include "base/budget.h"
#include "base/macros.h"
#include "proxy/http/client.h"
#include "proxy/http/server.h"

enum { STREAM_IN_LIMIT = 128 << 10 }; /* room of a stream that swallows, and of raw ones */

/* ---- a downstream connection once its protocol is known ---- */

struct server_side;
struct server_side_ops {
    void (*drain)(struct server_side *s);
    void (*abort)(struct server_side *s); /* streams hear on_closed; then it is gone */
    bool (*is_idle)(const struct server_side *s);
    const struct transport_info *(*info)(const struct server_side *s);
};
struct server_side { /* first member of struct h1_server and struct h2_server */
    const struct server_side_ops *ops;
};
/* Both call events with ctx as http_server.h says; the owner's on_closed is their last word. They own the transport. */
struct server_side *h1_server_create(struct transport *t, const struct http_server_config *config,
                                     const struct http_server_events *events, void *ctx);
struct server_side *h2_server_create(struct transport *t, const struct http_server_config *config,
                                     const struct http_server_events *events, void *ctx);

/* ---- an upstream connection ---- */

struct client_side;
struct client_side_ops {
    struct stream *(*open)(struct client_side *c, struct arena *arena, const struct stream_events *events, void *ctx);
    bool (*can_open)(const struct client_side *c);
    bool (*is_ending)(const struct client_side *s);
    unsigned (*streams)(const struct client_side *c);
    bool (*extended_connect)(const struct client_side *c);
    const struct transport_info *(*info)(const struct client_side *c);
    void (*close)(struct client_side *c);
    void (*drain)(struct client_side *c);
};
struct client_side { /* first member of struct h1_client and struct h2_client */
    const struct client_side_ops *ops;
    bool h2;
    uint64_t opened;
};
struct client_side *h1_client_create(struct transport *t, const struct http_client_config *config,
                                     const struct http_client_events *events, void *ctx);
struct client_side *h2_client_create(struct transport *t, const struct http_client_config *config,
                                     const struct http_client_events *events, void *ctx);

/* Applies per_connection_buffer_limit_bytes to the transport; what it allows one stream to keep unread or unsent. */
size_t connection_limit(struct transport *t, uint32_t buffer_limit);
/* Of that, what a stream may keep unread now: less while the loop's streams hold much. */
size_t inbox_limit(struct loop *loop, size_t limit);
/* A head is taken only when it is whole: reading goes on until it is, or is too long. */
void connection_hold_head(struct transport *t, size_t max_head_bytes);

/* Memory a stream lives in goes at the end of the turn: its owner may release it from within an event. */
void arena_free_later(struct loop *loop, struct arena *arena);
