/* h2_impl: what the files of h2 share. Nobody else includes it. */
#pragma once
#include <nghttp2/nghttp2.h>

#include "proxy/codec/h2.h"

enum {
    H2_OUT_LIMIT = 64 << 10,
    H2_SHARE_FROM = 1024,      /* smaller pieces of DATA are copied: sharing would pin a read chunk for little */
    H2_INTERIM_MAX = 64,       /* 1xx heads on one stream */
    H2_IDS_KNOWN = 1024,       /* latest peer streams whose fate we remember; a power of two */
    H2_HARD_BUDGET_FACTOR = 4, /* decoded head bytes beyond this many limits end the connection */
    H2_LINGER_BYTES = 64 << 10, /* of an upload that was answered early: read and dropped, then the peer is told */
    H2_LINGER_US = 1000000,
    H2_STREAM_SLACK = 256, /* beyond the limit: refused by us, one by one. More than a step's heads */
    H2_HEADS_A_STEP = 128, /* more than honest peers have open: what resets leave is let go of before more comes */
};

/*
 * Counts frames that do no work, before nghttp2 sees them, on the frame headers alone. Each bucket fills by one a
 * frame, is emptied by useful traffic and by time, and overflows at its limit.
 */
struct h2_guard {
    uint32_t frame_limit, reset_limit;
    uint32_t noise;   /* PING, SETTINGS, PRIORITY, empty or padded DATA, empty CONTINUATION, unknown … */
    uint32_t updates; /* WINDOW_UPDATE; DATA we send earns them */
    uint32_t resets;  /* streams that ended by RST_STREAM, sent for the peer's fault or received */
    int64_t decayed_us;
    size_t preface_left, payload_left;
    size_t block_bytes;  /* encoded, of the latest header block */
    enum h2_count flood; /* why the last answer was no */
    unsigned heads; /* HEADERS frames of this step */
    unsigned char header[9];
    unsigned header_n;
};
void h2_guard_init(struct h2_guard *g, const struct h2_config *config);
/* Counts what begins in bytes; stops behind the header of a DATA frame, whose stream it then names, and of the
 * last HEADERS frame of a step: *n bytes were seen.
 */
bool h2_guard_scan(struct h2_guard *g, struct slice bytes, size_t *n, int32_t *data_stream, struct err *err);
bool h2_guard_reset(struct h2_guard *g); /* one more reset; false: too many */
/* The same for one we had to send: the head that caused it is paid for too. overflow: a head beyond its limits. */
bool h2_guard_fault(struct h2_guard *g, bool overflow);
/* A header block is complete. HPACK never makes it longer than its text; what does is noise. */
void h2_guard_block(struct h2_guard *g, size_t decoded);
void h2_guard_answered(struct h2_guard *g); /* a stream ended in order: work was done */
void h2_guard_useful(struct h2_guard *g, size_t data_bytes, bool sent);
void h2_guard_advance(struct h2_guard *g, int64_t now_us);

struct h2_head_node {
    struct h2_head_node *next;
    struct head *head;
    bool end;
};

/* A head under construction. */
struct h2_builder {
    struct head *head;
    struct slice host;
    unsigned hosts, cookies;
    bool malformed, over_budget;
};
void h2_builder_start(struct h2_builder *b, struct arena *arena);
void h2_builder_add(struct h2_builder *b, struct slice name, struct slice value, bool never_index);
/* Is it a head that would also be sound in HTTP/1? */
bool h2_builder_finish_request(struct h2_builder *b);
bool h2_builder_finish_response(struct h2_builder *b);
bool h2_builder_finish_trailers(struct h2_builder *b);

struct h2_stream_impl {
    struct h2_stream pub;
    struct list all;
    size_t cap; /* of this block, for the pool */
    unsigned events;
    struct h2_builder builder;
    struct h2_head_node *heads, **heads_tail;
    unsigned interim;
    bool final_head; /* the request's or the final response's head has arrived */
    bool visible;    /* the owner knows the stream */
    bool released, closed;
    bool faulty; /* the peer's message is malformed: PROTOCOL_ERROR, even if the stream ends before the reset is out */
    struct list linger; /* released, answered in full, the peer is still sending: oldest first */
    int64_t linger_until_us;
    size_t lingered;
    uint64_t held, owed; /* bytes the owner has not taken; credit withheld until there are none */
    bool arena_taken; /* by the owner, who outlives it until h2_release */
    struct buf out;
    bool out_end;      /* the owner gave the end */
    bool out_end_sent; /* END_STREAM was produced */
    bool data_attached, deferred, was_full;
    struct arena *trailer_arena;
    struct head *trailers_out;
};

struct h2_session {
    nghttp2_session *ng;
    struct h2_config config;
    struct h2_guard guard;
    struct list streams, events, lingering;
    int64_t now_us; /* 0: nobody told */
    unsigned open;
    uint64_t held; /* of the inbox budget */
    uint32_t window;       /* of new streams, as last announced */
    int64_t window_set_us;
    const struct buf *input; /* while receiving: DATA is shared from its front piece */
    struct slice piece;
    struct buf *output; /* while producing */
    size_t produced, produce_max;
    struct buf control; /* produced on receipt, waits for h2_produce */
    struct h2_stream_impl *heading; /* whose header block is coming; NULL: of nobody who wants it */
    size_t block_bytes; /* decoded so far, of the header block being received */
    unsigned block_fields;
    int32_t last_peer_id;
    int32_t data_begun; /* of this step: nghttp2 knew the stream of the DATA frame; the frame itself may have ended it */
    uint32_t counts[H2_COUNTS];
    uint64_t ids_opened[H2_IDS_KNOWN / 64], ids_ended[H2_IDS_KNOWN / 64];
    bool told_settings; /* the first ones are produced */
    bool starting; /* nghttp2 is making ng */
    struct h2_frame_buffer *frame_buffer; /* lent to ng */
    void *table; /* of ng's streams: a page; NULL: it grew, or is not of that size */
    bool got_settings, goaway_sent, goaway_received, over, ping_pending;
    uint32_t fail_code; /* not 0: a callback ended the connection */
    const char *fail;   /* why */
};

static inline struct h2_stream_impl *h2_impl(struct h2_stream *st)
{
    return (struct h2_stream_impl *)(void *)st;
}

struct h2_stream_impl *h2_stream_create(struct h2_session *s, int32_t id, struct arena *arena);
void h2_stream_free(struct h2_stream_impl *st);
void h2_stream_event(struct h2_stream_impl *st, unsigned events);
void h2_stream_closed(struct h2_stream_impl *st, uint32_t code, bool refused);
/* The answer is out, the owner gone, the upload goes on: it is dropped for a while before NO_ERROR stops it. */
void h2_stream_linger(struct h2_stream_impl *st);
void h2_stream_dropped(struct h2_stream_impl *st, size_t n);
/* h2_window.c: the inbox budget. */
void h2_hold(struct h2_stream_impl *st, size_t n);
void h2_unhold(struct h2_stream_impl *st, uint64_t n);
uint32_t h2_window_now(const struct h2_session *s);
void h2_adapt_window(struct h2_session *s); /* announces another one; not from a callback */
/* nghttp2 says nothing of DATA it ignores: was it for a stream the peer itself had ended? 0, or as h2_fail. */
int h2_check_data(struct h2_session *s, int32_t id);
/* Ends the connection from inside a callback; returns what the callback returns. */
int h2_fail(struct h2_session *s, uint32_t code, const char *why);

/* Packs all that is queued but DATA, for h2_produce. Not from a callback. */
void h2_produce_control(struct h2_session *s);

void h2_set_receive_callbacks(nghttp2_session_callbacks *callbacks);
void h2_set_send_callbacks(nghttp2_session_callbacks *callbacks);
/* nghttp2's memory, from the pools; while s->starting its frame buffer is lent. */
nghttp2_mem h2_memory(struct h2_session *s);
