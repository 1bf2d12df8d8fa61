#include "proxy/codec/h2_impl.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum { SEND_HEAD_MAX = 1 << 20 };

int h2_fail(struct h2_session *s, uint32_t code, const char *why)
{
    s->fail_code = code;
    s->fail = why;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void set_options(nghttp2_option *o, const struct h2_config *config)
{
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_outbound_ack(o, config->max_control_frames);
    /* Its own limit knows no answered streams: a busy connection would run into it. The guard counts instead. */
    nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
    nghttp2_option_set_max_send_header_block_length(o, SEND_HEAD_MAX);
    nghttp2_option_set_peer_max_concurrent_streams(o, 100);
}

static bool submit_settings(struct h2_session *s)
{
    const struct h2_config *c = &s->config;
    s->window = h2_window_now(s);
    nghttp2_settings_entry entries[6] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, s->window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)c->max_head_bytes},
    };
    size_t n = 2;
    if (c->server) {
        entries[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                                 c->max_concurrent_streams + H2_STREAM_SLACK};
        if (c->connect_protocol) {
            entries[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
        }
    } else {
        entries[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
        entries[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0};
    }
    return nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, entries, n) == 0 &&
           nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)c->connection_window) == 0;
}

static bool start_session(struct h2_session *s)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    bool ok = nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0;
    if (ok) {
        h2_set_receive_callbacks(callbacks);
        h2_set_send_callbacks(callbacks);
        set_options(option, &s->config);
        nghttp2_mem memory = h2_memory(s);
        s->starting = true;
        ok = (s->config.server ? nghttp2_session_server_new3(&s->ng, callbacks, s, option, &memory)
                               : nghttp2_session_client_new3(&s->ng, callbacks, s, option, &memory)) == 0;
        s->starting = false;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return ok && submit_settings(s);
}

struct h2_session *h2_create(const struct h2_config *config, struct err *err)
{
    struct h2_session *s = mem_alloc(sizeof *s);
    s->config = *config;
    list_init(&s->streams);
    list_init(&s->events);
    list_init(&s->lingering);
    buf_init(&s->control);
    h2_guard_init(&s->guard, config);
    if (!start_session(s)) {
        err_set(err, ERR_INPUT, "HTTP/2 settings are out of range");
        h2_destroy(&s);
        return NULL;
    }
    return s;
}

void h2_destroy(struct h2_session **sp)
{
    struct h2_session *s = *sp;
    *sp = NULL;
    if (s == NULL) {
        return;
    }
    nghttp2_session_del(s->ng);
    while (!list_is_empty(&s->streams)) {
        h2_stream_free(container_of(s->streams.next, struct h2_stream_impl, all));
    }
    buf_fini(&s->control);
    mem_free(s);
}

/* nghttp2 ends the connection for one stream too many; the standard lets us refuse the stream (RFC 9113 5.1.2). So it is
 * told of a limit that nobody reaches, the peer of ours: s->config.max_concurrent_streams is kept by h2_recv. */
static void tell_true_limit(const struct h2_session *s, uint8_t *frame, size_t n)
{
    uint32_t limit = s->config.max_concurrent_streams;
    for (size_t at = 9; at + 6 <= n; at += 6) {
        if (frame[at] == 0 && frame[at + 1] == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS) {
            const uint8_t bytes[4] = {(uint8_t)(limit >> 24), (uint8_t)(limit >> 16), (uint8_t)(limit >> 8), (uint8_t)limit};
            memcpy(frame + at + 2, bytes, sizeof bytes);
        }
    }
}

static void append_control(struct h2_session *s, struct buf *out, const uint8_t *p, size_t n)
{
    uint8_t first[9 + 6 * 6];
    if (s->config.server && !s->told_settings && n >= 9 && n <= sizeof first && p[3] == NGHTTP2_SETTINGS) {
        s->told_settings = true;
        memcpy(first, p, n);
        tell_true_limit(s, first, n);
        p = first;
    }
    buf_append(out, p, n); /* p dies with the next call */
}

static void pump_out(struct h2_session *s, struct buf *out, size_t max)
{
    const uint8_t *p;
    ssize_t n;
    s->output = out;
    s->produced = 0;
    s->produce_max = max;
    while ((n = nghttp2_session_mem_send(s->ng, &p)) > 0) {
        append_control(s, out, p, (size_t)n);
        s->produced += (size_t)n;
    }
    s->over = s->over || n < 0;
    s->output = NULL;
}

void h2_produce_control(struct h2_session *s)
{
    pump_out(s, &s->control, 0);
}

bool h2_produce(struct h2_session *s, struct buf *out, size_t max)
{
    size_t before = out->len;
    buf_move_all(out, &s->control);
    pump_out(s, out, max);
    return out->len > before;
}

static bool end_connection(struct h2_session *s, uint32_t code, const struct err *why, struct err *err)
{
    s->over = true;
    nghttp2_session_terminate_session(s->ng, code);
    pump_out(s, &s->control, 0);
    if (err != NULL) {
        *err = *why;
    }
    return false;
}

/* One step: up to the end of the piece, or behind the header of a DATA frame. */
static bool feed_some(struct h2_session *s, struct slice *piece, struct err *err)
{
    struct err why;
    size_t n = 0;
    int32_t data_stream = 0;
    if (!h2_guard_scan(&s->guard, *piece, &n, &data_stream, &why)) {
        err_prefix(&why, "HTTP/2");
        s->counts[s->guard.flood]++;
        return end_connection(s, NGHTTP2_ENHANCE_YOUR_CALM, &why, err);
    }
    s->data_begun = 0;
    ssize_t rv = nghttp2_session_mem_recv(s->ng, (const uint8_t *)piece->p, n);
    if (s->fail_code != 0 || (rv >= 0 && data_stream != 0 && h2_check_data(s, data_stream) != 0)) {
        err_set(&why, s->fail_code == NGHTTP2_ENHANCE_YOUR_CALM ? ERR_LIMIT : ERR_PROTOCOL, "HTTP/2: %s", s->fail);
        return end_connection(s, s->fail_code, &why, err);
    }
    if (rv < 0) {
        err_set(&why, ERR_PROTOCOL, "HTTP/2: %s", nghttp2_strerror((int)rv));
        bool flood = rv == NGHTTP2_ERR_FLOODED;
        s->counts[H2_COUNT_CONTROL_FLOOD] += flood;
        return end_connection(s, flood ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR, &why, err);
    }
    *piece = slice_from(*piece, n);
    return true;
}

bool h2_is_step_full(const struct h2_session *s)
{
    return s->guard.heads >= H2_HEADS_A_STEP;
}

static bool feed(struct h2_session *s, struct slice *piece, struct err *err)
{
    while (piece->n > 0 && !h2_is_step_full(s)) {
        if (!feed_some(s, piece, err)) {
            return false;
        }
    }
    /* nghttp2 may have decided by itself to end the connection (it then ignores input, and is never fed again). Control
     * frames go out at once, so that this shows. */
    pump_out(s, &s->control, 0);
    if (nghttp2_session_want_read(s->ng) == 0 && !s->goaway_received && !s->goaway_sent) {
        s->over = true;
        return err_set(err, ERR_PROTOCOL, "HTTP/2: the peer broke the protocol");
    }
    return true;
}

bool h2_receive(struct h2_session *s, struct buf *in, size_t max, struct err *err)
{
    bool ok = !s->over || err_set(err, ERR_PROTOCOL, "HTTP/2: the connection has ended");
    s->guard.heads = 0;
    while (ok && in->len > 0 && max > 0 && !h2_is_step_full(s)) {
        s->input = in;
        s->piece = slice_sub(buf_front(in), 0, max);
        struct slice rest = s->piece;
        ok = feed(s, &rest, err);
        size_t n = s->piece.n - (ok ? rest.n : 0);
        max -= n;
        buf_drain(in, n);
        s->piece = SLICE_NONE;
        s->input = NULL;
    }
    if (ok) {
        h2_adapt_window(s);
    }
    return ok;
}

struct h2_stream *h2_next_event(struct h2_session *s, unsigned *events)
{
    struct list *l = list_pop(&s->events);
    if (l == NULL) {
        return NULL;
    }
    struct h2_stream_impl *st = container_of(l, struct h2_stream_impl, pub.link);
    *events = st->events;
    st->events = 0;
    return &st->pub;
}

const uint32_t *h2_counts(const struct h2_session *s)
{
    return s->counts;
}

bool h2_has_events(const struct h2_session *s)
{
    return !list_is_empty(&s->events);
}

struct head *h2_take_head(struct h2_stream *pub, bool *end)
{
    struct h2_stream_impl *st = h2_impl(pub);
    struct h2_head_node *node = st->heads;
    if (node == NULL) {
        return NULL;
    }
    st->heads = node->next;
    if (st->heads == NULL) {
        st->heads_tail = &st->heads;
    }
    *end = node->end;
    return node->head;
}

struct arena *h2_take_arena(struct h2_stream *pub)
{
    /* Trailers are still decoded into it: the session keeps the pointer but no longer owns it. */
    h2_impl(pub)->arena_taken = true;
    return pub->arena;
}

bool h2_is_done(const struct h2_session *s)
{
    return s->control.len == 0 && nghttp2_session_want_write(s->ng) == 0 &&
           (s->over || nghttp2_session_want_read(s->ng) == 0);
}

unsigned h2_open_room(const struct h2_session *s)
{
    if (s->config.server || h2_going_away(s) || s->over || nghttp2_session_check_request_allowed(s->ng) == 0) {
        return 0;
    }
    uint32_t max = nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return s->open < max ? max - s->open : 0;
}

bool h2_can_open(const struct h2_session *s)
{
    return h2_open_room(s) > 0;
}

bool h2_peer_allows_connect_protocol(const struct h2_session *s)
{
    return nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool h2_got_settings(const struct h2_session *s)
{
    return s->got_settings;
}

unsigned h2_open_streams(const struct h2_session *s)
{
    return s->open;
}

bool h2_going_away(const struct h2_session *s)
{
    return s->goaway_received || s->goaway_sent || s->over;
}

void h2_goaway_start(struct h2_session *s)
{
    if (s->config.server && !s->over) {
        nghttp2_submit_shutdown_notice(s->ng);
    }
}

void h2_goaway_finish(struct h2_session *s)
{
    if (!s->goaway_sent && !s->over) {
        s->goaway_sent = true;
        nghttp2_submit_goaway(s->ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(s->ng),
                              NGHTTP2_NO_ERROR, NULL, 0);
    }
}

void h2_goaway_now(struct h2_session *s, uint32_t code)
{
    if (!s->over) {
        s->over = s->goaway_sent = true;
        nghttp2_session_terminate_session(s->ng, code);
    }
}

void h2_ping(struct h2_session *s)
{
    if (!s->over) {
        s->ping_pending = true;
        nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, NULL);
    }
}

bool h2_ping_answered(const struct h2_session *s)
{
    return !s->ping_pending;
}
