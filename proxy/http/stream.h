/*
 * stream: one side of an exchange, whatever carries it: an HTTP/1 message pair, an HTTP/2 stream, or a raw transport
 * (DATAPLANE 2). Its owner hears on_head (repeats for 1xx), on_readable, on_writable and, last and exactly once,
 * on_closed. Calls never fail and never call back. A message without a body has in_end set before its on_head is
 * called.
 *
 * Reading: body bytes wait in s->in; the owner moves them out and says stream_taken. in_end: the peer finished, after
 * what is in `in`; then s->trailers may be set. Writing: stream_send while stream_room > 0 (more is accepted, but is
 * the owner's memory); on_writable follows once room comes back.
 *
 * stream_taken(s, 0) says that body is wanted now: that is when an expected 100 Continue goes out. The Expect field
 * itself is never seen by the owner. stream_room is 0 until a client stream's head was sent, and until a tunnel or
 * upgrade was agreed to; on_writable then follows that on_head.
 *
 * Upgrades look the same in both protocols: a request with method GET and head.protocol, answered by 101 (HTTP/2 says
 * extended CONNECT and 200; a WebSocket's key and its answer are made up or dropped where the protocols differ). in_end
 * is not set while a CONNECT or upgrade is undecided. After a 101, or a 2xx to CONNECT, was passed in either direction
 * the stream carries raw bytes: in_end is the peer's half-close, stream_send(…, true) ours.
 *
 * End: on_closed with ERR_NONE comes on the server side as soon as the answer's end was given (what the peer still
 * sends is dropped within the lingering limits), on the client side when the answer has been taken whole (an unfinished
 * request is cut by release), for raw bytes when both directions are over and taken. With an error it comes at once;
 * what waits in `in` may still be taken. After it the owner calls stream_release (which it may also do earlier: then
 * on_closed never comes). stream_release frees, and unless the stream had ended, resets. `sent` is final when on_closed
 * comes.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "proxy/codec/head.h"
#include "proxy/net/transport.h"

struct stream;

enum stream_reset {
    STREAM_CANCEL,         /* h2 CANCEL; h1: the connection is closed */
    STREAM_PROTOCOL_ERROR, /* the message was malformed */
    STREAM_INTERNAL_ERROR,
    STREAM_REFUSED,       /* nothing was done: safe to repeat */
    STREAM_CONNECT_ERROR, /* a tunnel's far end broke */
    STREAM_NO_ERROR,      /* answer complete, rest of the request not wanted */
};

struct stream_events {
    void (*on_head)(void *ctx, struct head *head); /* head lives in the stream's arena */
    void (*on_readable)(void *ctx);                /* s->in grew, or in_end was set */
    void (*on_writable)(void *ctx);
    /* err.kind ERR_NONE: both directions ended in order. err.retry says whether the request may be sent again. */
    void (*on_closed)(void *ctx, const struct err *why);
};

struct stream_ops {
    void (*send_head)(struct stream *s, const struct head *head, bool end);
    void (*send)(struct stream *s, struct buf *bytes, bool end);
    void (*send_trailers)(struct stream *s, const struct head *trailers);
    size_t (*room)(const struct stream *s);
    void (*taken)(struct stream *s, size_t n);
    void (*stop_reading)(struct stream *s);
    void (*reset)(struct stream *s, enum stream_reset kind);
    void (*release)(struct stream *s);
};

struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *ctx;
    struct loop *loop;
    struct arena *arena; /* server side: the stream's, freed by release; client side: the opener's */
    struct buf in;
    bool in_end;
    struct head *trailers;
    bool out_end;   /* we have sent the end */
    unsigned level; /* flush level of what carries it: a tunnel on it is one above */
    bool raw;       /* no heads: bytes only */
    bool ending;    /* its connection takes no new stream and goes with the last one */
    bool sent;      /* first byte was accepted by the kernel */
    enum http_version version;
    unsigned refused; /* server side, with on_closed: the codec has answered with this status, the body was malformed */
    const struct transport_info *info; /* of the connection; valid until release */
    uint64_t bytes_in, bytes_out;      /* on the body level */
    uint64_t head_bytes_in;
};

static inline void stream_send_head(struct stream *s, const struct head *head, bool end)
{
    s->ops->send_head(s, head, end);
}
static inline void stream_send(struct stream *s, struct buf *bytes, bool end)
{
    s->ops->send(s, bytes, end);
}
static inline void stream_send_trailers(struct stream *s, const struct head *trailers)
{
    s->ops->send_trailers(s, trailers);
}
static inline size_t stream_room(const struct stream *s)
{
    return s->ops->room(s);
}
static inline void stream_taken(struct stream *s, size_t n)
{
    s->ops->taken(s, n);
}
/* The rest of the peer's body is not wanted: h2 RST_STREAM(NO_ERROR) once our side ended; h1: discarded within the
 * lingering limits, connection not used again. */
static inline void stream_stop_reading(struct stream *s)
{
    s->ops->stop_reading(s);
}
static inline void stream_reset(struct stream *s, enum stream_reset kind)
{
    s->ops->reset(s, kind);
}
static inline void stream_release(struct stream **s)
{
    if (*s != 0) {
        struct stream *old = *s;
        *s = 0;
        old->ops->release(old);
    }
}

/* A transport seen as a stream without a head; takes the transport, which must be open. */
struct stream *raw_stream_create(struct transport **t, struct arena *arena, const struct stream_events *events,
                                 void *ctx);
/* Books are closed: gone(ctx) is called once, from within stream_release. */
void raw_stream_at_release(struct stream *s, void (*gone)(void *ctx), void *ctx);
/* A raw (or CONNECT-established) stream seen as a transport, to stack TLS or HTTP on it. Takes the stream and, unless
 * NULL, the arena it was opened with: both end with the transport. The transport is open at once (no on_open). */
struct transport *stream_transport_create(struct stream **s, struct arena **arena);
