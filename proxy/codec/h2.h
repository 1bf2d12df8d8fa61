/*
 * h2: one HTTP/2 connection as bytes (RFC 9113), on nghttp2 (the only room that sees it), client or server side, pure:
 * bytes in, events out; calls in, bytes out. Nothing here calls its owner: what happened waits in the event list.
 *
 * Flow control (DATAPLANE 3): connection credit goes back on receipt, stream credit when the owner took the bytes
 * (h2_taken). Budgets on decoded header bytes and counts are charged before anything is copied.
 */
#pragma once
#include "base/budget.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "proxy/codec/head.h"

struct h2_config {
    bool server;
    uint32_t max_concurrent_streams; /* what we let the peer open */
    uint32_t stream_window, connection_window;
    size_t max_head_bytes; /* decoded, trailers and cookies included */
    unsigned max_fields;
    size_t max_uri_bytes;
    bool connect_protocol; /* offer RFC 8441 */
    uint32_t max_control_frames; /* floods: PING, SETTINGS, resets, empty DATA, PRIORITY, WINDOW_UPDATE, unknown … */
    uint32_t max_resets;
    struct budget *inbox; /* of all sessions of the thread; NULL: none. Windows shrink as it fills */
};

enum h2_event {
    H2_HEAD = 1,     /* a head is waiting: h2_take_head (repeat: 1xx, then the final one) */
    H2_DATA = 2,     /* bytes were added to s->in */
    H2_END = 4,      /* the peer finished (s->in_end; s->trailers when it sent any) */
    H2_ROOM = 8,     /* the outbox fell below half of its limit after having been full */
    H2_CLOSED = 16,  /* nothing more will happen: s->reset_code when s->was_reset; last event */
};

/* What a peer did, for counters: totals since the session began. */
enum h2_count {
    H2_COUNT_RX_RESET,
    H2_COUNT_TX_RESET,
    H2_COUNT_MESSAGING_ERROR, /* malformed messages */
    H2_COUNT_HEADER_OVERFLOW, /* heads beyond their limits */
    H2_COUNT_CONTROL_FLOOD,   /* the connection ended for one of these: PING, SETTINGS, unknown … */
    H2_COUNT_EMPTY_FLOOD,
    H2_COUNT_PRIORITY_FLOOD,
    H2_COUNT_WINDOW_UPDATE_FLOOD,
    H2_COUNT_RESET_FLOOD,
    H2_COUNTS,
};

struct h2_session;

struct h2_stream { /* memory of the session; the owner reads it, and takes from in */
    struct list link;
    struct h2_session *session;
    void *user; /* the owner's */
    int32_t id;
    struct arena *arena; /* server: made for the stream, passes to the owner with h2_take_arena; client: the owner's */
    struct buf in;
    bool in_end;
    struct head *trailers;
    bool was_reset, refused; /* refused: REFUSED_STREAM or above GOAWAY's last id: the peer did nothing */
    uint32_t reset_code;
    unsigned refuse_status; /* server, with H2_HEAD: the head broke a limit and is incomplete: answer 431 or 414 */
    size_t head_bytes;      /* of the last head, decoded */
    size_t out_limit;       /* of the outbox, as last asked for with h2_room; 64 KB before */
};

struct h2_session *h2_create(const struct h2_config *config, struct err *err);
void h2_destroy(struct h2_session **s);

/* Feeds at most max bytes off the front of in, fewer when many heads are among them. false: the connection is over (GOAWAY is in the output: produce it, then
 * close); err says why. */
bool h2_receive(struct h2_session *s, struct buf *in, size_t max, struct err *err);
/* The last h2_receive stopped early, because many heads came: call it again once memory of a turn was freed. */
bool h2_is_step_full(const struct h2_session *s);
/* The codec has no clock: tell it the time now and then (before h2_receive), so that what counts against floods decays. */
void h2_advance(struct h2_session *s, int64_t now_us);
/* The budget is spent and this session has more than its share of it: feed it later (budget_wait). */
bool h2_is_over_share(const struct h2_session *s);
const uint32_t *h2_counts(const struct h2_session *s); /* H2_COUNTS of them */
/* No stream has been there for a while: gives back memory that only streams need. false: there was none to give. */
bool h2_rest(struct h2_session *s);
/* When h2_advance has something to do of its own accord (then h2_produce); 0: nothing. */
int64_t h2_deadline(const struct h2_session *s);
/* The next stream to which something happened, with its events; NULL when none is left. */
struct h2_stream *h2_next_event(struct h2_session *s, unsigned *events);
bool h2_has_events(const struct h2_session *s);
struct head *h2_take_head(struct h2_stream *st, bool *end);
struct arena *h2_take_arena(struct h2_stream *st); /* the caller destroys it */
/* Appends what the connection wants to send; at most about max bytes of bodies, control frames and heads always; false
 * when nothing was there. */
bool h2_produce(struct h2_session *s, struct buf *out, size_t max);
bool h2_is_done(const struct h2_session *s); /* neither wants to read nor to write: close the transport */

/* Client: opens a stream. NULL with err (retry ALWAYS) when the peer's limit or GOAWAY forbids it. */
struct h2_stream *h2_open(struct h2_session *s, const struct head *head, bool end, struct arena *arena, void *user,
                          struct err *err);
bool h2_can_open(const struct h2_session *s);
unsigned h2_open_room(const struct h2_session *s); /* how many more */
bool h2_peer_allows_connect_protocol(const struct h2_session *s);
bool h2_got_settings(const struct h2_session *s);
unsigned h2_open_streams(const struct h2_session *s);
bool h2_going_away(const struct h2_session *s); /* GOAWAY was received or sent */

void h2_send_head(struct h2_stream *st, const struct head *head, bool end); /* 1xx or final; heads are copied at once */
void h2_send_data(struct h2_stream *st, struct buf *bytes, bool end);       /* moves; any amount */
void h2_send_trailers(struct h2_stream *st, const struct head *trailers);   /* ends the stream */
size_t h2_out_queued(const struct h2_stream *st);
/* Bytes the outbox takes below limit. 0 promises H2_ROOM once it has fallen below half of that. */
size_t h2_room(struct h2_stream *st, size_t limit);
void h2_taken(struct h2_stream *st, size_t n); /* n bytes left st->in: credit for the peer */
void h2_dropped(struct h2_stream *st);         /* all that came so far was thrown away: no credit */
void h2_reset(struct h2_stream *st, uint32_t code); /* RFC 9113 7 code; H2_CLOSED follows unless released */
/* The owner is done with the stream: no further event. A server stream whose end was given to us is still sent in full;
 * what the peer goes on sending is dropped up to 64 KB or 1 s, then it is told to stop (NO_ERROR; at once while nobody
 * called h2_advance). Anything else that is open is reset (CANCEL). */
void h2_release(struct h2_stream **st);

void h2_goaway_start(struct h2_session *s);  /* first step: last id 2^31-1 */
void h2_goaway_finish(struct h2_session *s); /* second step: the true last id; new streams are refused */
void h2_goaway_now(struct h2_session *s, uint32_t code);
void h2_ping(struct h2_session *s);
bool h2_ping_answered(const struct h2_session *s); /* since the last h2_ping */
