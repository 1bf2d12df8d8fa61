/*
 * transport: a byte pipe with readiness (DESIGN 3). A socket, TLS over a transport and a CONNECT stream have this
 * same face and stack in any order. One owner, one loop.
 *
 * Ownership: whoever holds the pointer ends it with transport_close, or hears on_closed; exactly one of the two
 * happens, after either the pointer is dead (memory goes at the end of the turn) and no event follows.
 *
 * A transport that is born connected (accepted socket, memory pair) has `open` set from the start and sends no on_open;
 * every other kind sends on_open once. A new owner therefore looks at t->open first.
 *
 * Reading: received bytes wait in t->in. The owner takes what it wants from there (buf_move, buf_drain) and then
 * calls transport_taken; while more than in_limit bytes wait, the transport stops reading. on_readable is called
 * when bytes arrived or the peer half-closed (t->in_eof, no more bytes will come; in_truncated: without the protocol's
 * own end, so what has no length of its own is incomplete).
 *
 * Writing: transport_write takes all bytes and never fails; they leave at the end of the turn. The owner asks
 * transport_queued before producing more; after it has been at or above out_high, on_writable comes once it has
 * fallen below half of that.
 */
#pragma once
#include "base/buf.h"
#include "base/macros.h"
#include "proxy/net/addr.h"
#include "proxy/net/loop.h"

struct transport;

struct transport_events {
    void (*on_open)(void *ctx); /* connected, handshake done; before it nothing but on_closed can come */
    void (*on_readable)(void *ctx);
    void (*on_writable)(void *ctx);
    void (*on_closed)(void *ctx, const struct err *why); /* both directions are over; ERR_NONE: orderly */
};

enum transport_close_mode {
    TRANSPORT_FLUSH, /* what is queued is sent first, then an orderly end; discards input for a bounded time */
    TRANSPORT_ABORT, /* now; TCP: reset if anything is unsent or unread */
};

struct transport_tls { /* slices are empty where nothing is known */
    struct slice version; /* "1.2", "1.3" */
    struct slice cipher;
    struct slice alpn;
    struct slice sni;          /* what the client asked for */
    struct slice peer_uri_san; /* first URI SAN */
    struct slice peer_dns_san; /* first DNS SAN */
    struct slice peer_subject; /* RFC 2253 */
    struct slice peer_uri_sans, peer_dns_sans, local_uri_sans; /* all, '\n' between; ours: with a peer_cert */
    struct slice peer_sha256;  /* of its certificate, in hexadecimal */
    bool peer_cert;            /* presented and verified */
    bool resumed;
};

/* What is known about the peer: one object for all that is stacked on a connection, and for what outlives it. */
struct transport_info {
    unsigned refs;
    const struct addr *local, *remote; /* never NULL; read through the pointer or with addr_copy only */
    const struct transport_tls *tls;   /* NULL: in clear, or not agreed yet */
    struct addr *late_local;
};
/* One reference. NULL: not known (yet). */
struct transport_info *transport_info_create(const struct addr *local, const struct addr *remote);
void transport_info_set_local(struct transport_info *info, const struct addr *local);
/* Copies the texts but version and cipher, which are static. */
void transport_info_set_tls(struct transport_info *info, const struct transport_tls *tls);
struct transport_info *transport_info_ref(const struct transport_info *info);
void transport_info_unref(struct transport_info **info);
const struct transport_tls *transport_info_tls(const struct transport_info *info); /* never NULL; an empty one */

struct transport_ops {
    void (*taken)(struct transport *t);
    void (*write)(struct transport *t, struct buf *bytes);
    size_t (*queued)(const struct transport *t);
    void (*finish)(struct transport *t);
    void (*close)(struct transport *t, enum transport_close_mode mode);
    int (*raw_fd)(const struct transport *t); /* for splice; -1 when bytes must pass through us */
    bool (*ending)(const struct transport *t); /* NULL: never */
};

/* Embedded as the first member of each kind. Set up by the kind's own create function. */
struct transport {
    const struct transport_ops *ops;
    struct loop *loop;
    const struct transport_events *events;
    void *ctx;
    struct buf in;
    bool in_eof;
    bool in_truncated; /* with in_eof: TLS ended without close_notify */
    bool open;         /* connected, handshake done */
    unsigned level;    /* flush level: one above the transport that carries it; a socket is 0 */
    size_t in_limit, out_high;
    uint32_t linger_ms; /* how long TRANSPORT_FLUSH reads and drops what still comes, once all is sent */
    uint64_t bytes_in, bytes_out;
    struct transport_info *info; /* set by the kind, unreferenced by it when its memory goes */
    struct loop_task notify; /* transport_own's; see transport_init */
};

enum { TRANSPORT_IN_LIMIT = 64 << 10, TRANSPORT_OUT_HIGH = 64 << 10, TRANSPORT_LINGER_MS = 1000 };

/* For kinds, not owners. Init sets every field (default limits, nothing open). A kind that dies first calls
 * transport_end, its last up-call; a kind that was closed calls transport_fini. Both may be called from a turn or from
 * close; both free t->in and end every notification; memory is freed with loop_free_later. */
void transport_init(struct transport *t, const struct transport_ops *ops, struct loop *loop, unsigned level);
void transport_fini(struct transport *t);
void transport_end(struct transport *t, const struct err *why); /* fini, then on_closed */

/* Gives the transport (and whatever waits in it) to another owner: sniffing → TLS → HTTP. No event is lost: if bytes
 * or an end are waiting, on_readable is delivered to the new owner in this turn. */
void transport_own(struct transport *t, const struct transport_events *events, void *ctx);

static inline void transport_taken(struct transport *t)
{
    t->ops->taken(t);
}
/* Moves all of bytes. Ignored after transport_finish. */
static inline void transport_write(struct transport *t, struct buf *bytes)
{
    t->ops->write(t, bytes);
}
static inline size_t transport_queued(const struct transport *t)
{
    return t->ops->queued(t);
}
/* Half-close: FIN, close_notify or END_STREAM after what is queued. Reading goes on. */
static inline void transport_finish(struct transport *t)
{
    t->ops->finish(t);
}
/* What carries it is about to go and takes nothing new: keep it for what is under way, begin nothing on it. */
static inline bool transport_is_ending(const struct transport *t)
{
    return t->ops->ending != 0 && t->ops->ending(t);
}
static inline void transport_close(struct transport **t, enum transport_close_mode mode)
{
    if (*t != 0) {
        struct transport *old = *t;
        *t = 0;
        old->ops->close(old, mode);
    }
}

/* A connected or accepted, non-blocking socket. Takes the descriptor. */
struct transport *socket_transport_create(struct loop *loop, int fd, const struct addr *remote);

/* Starts a connection. on_open or on_closed(ERR_IO with os_errno, or ERR_TIMEOUT) follows. */
struct dial_tcp {
    struct addr remote;
    struct addr source; /* len 0: any; port 0: any (IP_BIND_ADDRESS_NO_PORT) */
    bool freebind;
    uint32_t mark; /* SO_MARK, 0: none */
    uint32_t connect_timeout_ms;
    bool keepalive;
    uint32_t keepalive_time_s, keepalive_interval_s, keepalive_probes; /* 0: the system's */
};
struct transport *socket_transport_dial(struct loop *loop, const struct dial_tcp *how);

/* A raw pair over two ends of nothing but memory, for tests: what is written on one arrives on the other. */
void memory_transport_pair(struct loop *loop, struct transport **a, struct transport **b);
