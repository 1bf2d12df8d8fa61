/* What nghttp2 tells about frames from the peer. Everything here only notes: the owner hears through h2_next_event. */
#include <string.h>

#include "proxy/codec/h2_impl.h"

static struct h2_stream_impl *stream_of(struct h2_session *s, int32_t id)
{
    return nghttp2_session_get_stream_user_data(s->ng, id);
}

/* The latest peer streams as two rings of bits: was the id used, did the peer end it? */
static unsigned ring_index(int32_t id)
{
    return ((uint32_t)id >> 1) % H2_IDS_KNOWN;
}

static void bit_set(uint64_t *bits, unsigned i)
{
    bits[i / 64] |= (uint64_t)1 << i % 64;
}

static void bit_clear(uint64_t *bits, unsigned i)
{
    bits[i / 64] &= ~((uint64_t)1 << i % 64);
}

static bool bit_get(const uint64_t *bits, unsigned i)
{
    return (bits[i / 64] >> i % 64 & 1) != 0;
}

static void note_new_id(struct h2_session *s, int32_t id)
{
    int32_t skipped = (id - s->last_peer_id) / 2;
    if (skipped >= H2_IDS_KNOWN) {
        memset(s->ids_opened, 0, sizeof s->ids_opened);
        memset(s->ids_ended, 0, sizeof s->ids_ended);
    } else {
        for (int32_t i = s->last_peer_id + 2; i < id; i += 2) {
            bit_clear(s->ids_opened, ring_index(i));
            bit_clear(s->ids_ended, ring_index(i));
        }
    }
    s->last_peer_id = id;
    bit_set(s->ids_opened, ring_index(id));
    bit_clear(s->ids_ended, ring_index(id));
}

/* HEADERS or DATA for a stream the peer opened before. nghttp2 keeps no closed streams, so it cannot tell an id that
 * was skipped (RFC 9113 5.1.1: never usable) from one the peer ended (5.1: STREAM_CLOSED) from one we reset (ignored).
 */
static int check_old_stream(struct h2_session *s, int32_t id)
{
    bool gone = nghttp2_session_find_stream(s->ng, id) == NULL;
    if ((s->last_peer_id - id) / 2 >= H2_IDS_KNOWN) {
        return gone ? h2_fail(s, NGHTTP2_STREAM_CLOSED, "frame on a stream that ended long ago") : 0;
    }
    unsigned i = ring_index(id);
    if (!bit_get(s->ids_opened, i)) {
        return h2_fail(s, NGHTTP2_PROTOCOL_ERROR, "stream id lower than an earlier one");
    }
    if (bit_get(s->ids_ended, i)) {
        return h2_fail(s, NGHTTP2_STREAM_CLOSED, "frame on a stream the peer had ended");
    }
    return 0;
}

int h2_check_data(struct h2_session *s, int32_t id)
{
    bool old = s->config.server && id != s->data_begun && id % 2 == 1 && id <= s->last_peer_id;
    return old && nghttp2_session_find_stream(s->ng, id) == NULL ? check_old_stream(s, id) : 0;
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
    (void)ng;
    struct h2_session *s = user;
    if (!s->config.server || hd->stream_id % 2 == 0) {
        return 0;
    }
    bool message = hd->type == NGHTTP2_HEADERS || hd->type == NGHTTP2_DATA;
    s->data_begun = hd->type == NGHTTP2_DATA ? hd->stream_id : s->data_begun;
    if (hd->type == NGHTTP2_HEADERS && hd->stream_id > s->last_peer_id) {
        note_new_id(s, hd->stream_id);
    } else if (message && hd->stream_id <= s->last_peer_id) {
        int rv = check_old_stream(s, hd->stream_id);
        if (rv != 0) {
            return rv;
        }
    }
    bool ends = (message && (hd->flags & NGHTTP2_FLAG_END_STREAM) != 0) || hd->type == NGHTTP2_RST_STREAM;
    if (ends && hd->stream_id <= s->last_peer_id && s->last_peer_id - hd->stream_id < 2 * H2_IDS_KNOWN) {
        bit_set(s->ids_ended, ring_index(hd->stream_id));
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    s->block_bytes = 0;
    s->block_fields = 0;
    s->heading = NULL;
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    struct h2_stream_impl *st = stream_of(s, frame->hd.stream_id);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && s->open >= s->config.max_concurrent_streams) {
        return nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM) == 0
                   ? 0
                   : h2_fail(s, NGHTTP2_INTERNAL_ERROR, "stream limit");
    }
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        st = h2_stream_create(s, frame->hd.stream_id, arena_create(0));
        nghttp2_session_set_stream_user_data(ng, frame->hd.stream_id, st);
    }
    if (st != NULL && !st->released) {
        h2_builder_start(&st->builder, st->pub.arena);
        s->heading = st;
    }
    return 0;
}

/* Charged before anything is copied; a decoded size says more than the compressed one (RFC 9113 10.5.1). */
static int charge(struct h2_session *s, struct h2_stream_impl *st, size_t n)
{
    s->block_bytes += n;
    s->block_fields++;
    if (s->block_bytes / H2_HARD_BUDGET_FACTOR > s->config.max_head_bytes ||
        s->block_fields / H2_HARD_BUDGET_FACTOR > s->config.max_fields) {
        return h2_fail(s, NGHTTP2_ENHANCE_YOUR_CALM, "head far larger than its limit");
    }
    if (st != NULL && (s->block_bytes > s->config.max_head_bytes || s->block_fields > s->config.max_fields)) {
        st->builder.over_budget = true;
    }
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                     uint8_t flags, void *user)
{
    (void)ng, (void)frame;
    struct h2_session *s = user;
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    struct h2_stream_impl *st = s->heading != NULL && !s->heading->released ? s->heading : NULL;
    int rv = charge(s, st, n.len + v.len + 32);
    if (rv != 0 || st == NULL) {
        return rv;
    }
    h2_builder_add(&st->builder, slice_make(n.base, n.len), slice_make(v.base, v.len),
                   (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0);
    return 0;
}

static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                             uint8_t flags, void *user)
{
    (void)ng, (void)frame, (void)name, (void)value, (void)flags, (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* 0 would drop the field silently */
}

static void refuse_malformed(struct h2_session *s, struct h2_stream_impl *st)
{
    st->faulty = true;
    nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, st->pub.id, NGHTTP2_PROTOCOL_ERROR);
    if (!st->visible) {
        st->released = true; /* nobody will ever hear of it */
    }
}

static void push_head(struct h2_stream_impl *st, bool end)
{
    struct h2_head_node *node = arena_alloc(st->pub.arena, sizeof *node);
    *node = (struct h2_head_node){.head = st->builder.head, .end = end};
    *st->heads_tail = node;
    st->heads_tail = &node->next;
    st->visible = true;
    h2_stream_event(st, H2_HEAD);
}

static int take_request(struct h2_session *s, struct h2_stream_impl *st, bool end)
{
    struct head *h = st->builder.head;
    bool long_path = h->path.n > s->config.max_uri_bytes;
    if (st->builder.over_budget || long_path) {
        st->pub.refuse_status = st->builder.over_budget ? 431 : 414;
        s->counts[H2_COUNT_HEADER_OVERFLOW]++;
        if (!h2_guard_fault(&s->guard, true)) {
            s->counts[H2_COUNT_RESET_FLOOD]++;
            return h2_fail(s, NGHTTP2_ENHANCE_YOUR_CALM, "flood of heads beyond their limits");
        }
    } else if (!h2_builder_finish_request(&st->builder)) {
        refuse_malformed(s, st);
        return 0;
    }
    st->final_head = true;
    push_head(st, end);
    return 0;
}

static void take_response(struct h2_session *s, struct h2_stream_impl *st, bool end)
{
    bool sound = !st->builder.over_budget && h2_builder_finish_response(&st->builder);
    bool interim = sound && st->builder.head->status < 200;
    if (!sound || (interim && (end || ++st->interim > H2_INTERIM_MAX))) {
        refuse_malformed(s, st);
        return;
    }
    st->final_head = !interim;
    push_head(st, end);
}

static int take_headers(struct h2_session *s, struct h2_stream_impl *st, const nghttp2_frame *frame)
{
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    st->pub.head_bytes = s->block_bytes;
    if (!st->final_head) {
        if (s->config.server) {
            return take_request(s, st, end);
        }
        take_response(s, st, end);
    } else if (st->builder.over_budget || !h2_builder_finish_trailers(&st->builder)) {
        refuse_malformed(s, st);
    } else if (st->builder.head->n > 0) {
        st->pub.trailers = st->builder.head;
    }
    return 0;
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    (void)ng;
    struct h2_session *s = user;
    bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    if (frame->hd.type == NGHTTP2_SETTINGS) {
        s->got_settings |= !ack;
    } else if (frame->hd.type == NGHTTP2_PING) {
        s->ping_pending = s->ping_pending && !ack;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        s->goaway_received = true;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        h2_guard_block(&s->guard, s->block_bytes);
    }
    struct h2_stream_impl *st = stream_of(s, frame->hd.stream_id);
    if (st == NULL || st->released) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        int rv = take_headers(s, st, frame);
        if (rv != 0) {
            return rv;
        }
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !st->faulty) {
        st->pub.in_end = true;
        h2_stream_event(st, H2_END);
    }
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *user)
{
    (void)flags;
    struct h2_session *s = user;
    int rv = nghttp2_session_consume_connection(ng, n);
    if (rv != 0) {
        return h2_fail(s, NGHTTP2_INTERNAL_ERROR, "flow control");
    }
    struct h2_stream_impl *st = stream_of(s, id);
    if (st == NULL || st->released) {
        if (st != NULL) {
            h2_stream_dropped(st, n);
        }
        return 0;
    }
    const char *p = (const char *)data;
    if (n >= H2_SHARE_FROM && p >= s->piece.p && p + n <= s->piece.p + s->piece.n) {
        buf_share_part(&st->pub.in, s->input, (size_t)(p - s->piece.p), n);
    } else {
        buf_append(&st->pub.in, data, n);
    }
    h2_hold(st, n);
    h2_stream_event(st, H2_DATA);
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
    (void)ng;
    struct h2_session *s = user;
    struct h2_stream_impl *st = stream_of(s, id);
    bool answered = st != NULL && (s->config.server ? st->out_end_sent : st->pub.in_end);
    if (code == NGHTTP2_NO_ERROR && answered) {
        h2_guard_answered(&s->guard);
    }
    if (st != NULL) {
        h2_stream_closed(st, code, code == NGHTTP2_REFUSED_STREAM);
    }
    return 0;
}

/* RST_STREAM from the peer counts; so does one the peer made us send, which is on_frame_send's to see. */
static int count_reset(struct h2_session *s, const nghttp2_frame *frame)
{
    if (frame->hd.type != NGHTTP2_RST_STREAM) {
        return 0;
    }
    s->counts[H2_COUNT_RX_RESET]++;
    if (!h2_guard_reset(&s->guard)) {
        s->counts[H2_COUNT_RESET_FLOOD]++;
        return h2_fail(s, NGHTTP2_ENHANCE_YOUR_CALM, "flood of stream resets");
    }
    return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    int rv = count_reset(user, frame);
    return rv != 0 ? rv : on_frame_recv(ng, frame, user);
}

void h2_set_receive_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
