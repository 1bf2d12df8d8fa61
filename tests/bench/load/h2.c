/* HTTP/2 on nghttp2. After GOAWAY no stream is opened here; streams the peer gave up count as failed. */
#include <string.h>

#include "base/mem.h"
#include "run.h"

enum { STREAMS_MAX = 100 };

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *ctx)
{
    (void)flags;
    (void)ctx;
    struct request *r = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    uint64_t status;
    if (r != NULL && slice_eq(slice_make(name, name_length), SLICE(":status")) &&
        slice_to_u64(slice_make(value, value_length), &status)) {
        r->status = (int)status;
    }
    return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream_id, const uint8_t *p, size_t n, void *ctx)
{
    (void)flags;
    (void)ctx;
    struct request *r = nghttp2_session_get_stream_user_data(h2, stream_id);
    if (r != NULL && r->body.n < RESPONSE_BODY_KEPT) {
        strbuf_add(&r->body, slice_make(p, n));
    }
    return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t stream_id, uint32_t code, void *ctx)
{
    struct conn *c = ctx;
    struct request *r = nghttp2_session_get_stream_user_data(h2, stream_id);
    if (r == NULL) {
        return 0;
    }
    nghttp2_session_set_stream_user_data(h2, stream_id, NULL);
    if (code == NGHTTP2_NO_ERROR && r->status >= 200) {
        conn_answered(c, r);
        return 0;
    }
    list_remove(&r->link);
    c->in_flight--;
    run_failed(c->run, r, nghttp2_http2_strerror(code));
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
    (void)h2;
    struct conn *c = ctx;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        conn_drain(c);
    }
    return 0;
}

static void collect(struct conn *c)
{
    const uint8_t *p;
    for (ssize_t n; c->h2 != NULL && (n = nghttp2_session_mem_send(c->h2, &p)) > 0;) {
        conn_write(c, p, (size_t)n);
    }
}

static void open_session(struct conn *c)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_client_new(&c->h2, callbacks, c);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, settings, 1);
    collect(c);
}

static nghttp2_nv pair(const char *name, struct slice value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.p, strlen(name), value.n,
                        NGHTTP2_NV_FLAG_NONE};
}

static ssize_t give_body(nghttp2_session *h2, int32_t stream_id, uint8_t *out, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *ctx)
{
    (void)h2;
    (void)stream_id;
    (void)ctx;
    struct slice *left = source->ptr;
    size_t n = left->n < room ? left->n : room;
    memcpy(out, left->p, n);
    *left = slice_from(*left, n);
    *flags = left->n == 0 ? NGHTTP2_DATA_FLAG_EOF : 0;
    return (ssize_t)n;
}

static void send_request(struct conn *c, struct request *r)
{
    const struct options *o = c->run->options;
    nghttp2_nv head[4 + OPTIONS_HEADERS_MAX];
    char names[OPTIONS_HEADERS_MAX][128];
    size_t n = 0;
    head[n++] = pair(":method", slice_of(o->method));
    head[n++] = pair(":scheme", slice_of(o->tls ? "https" : "http"));
    head[n++] = pair(":authority", slice_of(o->authority));
    head[n++] = pair(":path", slice_of(o->path));
    for (size_t i = 0; i < o->header_count; i++) {
        struct slice value = slice_of(o->headers[i]), name = slice_cut(&value, ':');
        size_t k = 0;
        for (; k < name.n && k + 1 < sizeof names[i]; k++) {
            names[i][k] = ascii_lower(name.p[k]);
        }
        names[i][k] = '\0';
        head[n++] = pair(names[i], slice_trim(value));
    }
    r->body_left = slice_of(o->data);
    nghttp2_data_provider provider = {.source.ptr = &r->body_left, .read_callback = give_body};
    r->stream_id = nghttp2_submit_request(c->h2, NULL, head, n, o->data == NULL ? NULL : &provider, r);
    collect(c);
    if (r->stream_id < 0) {
        list_remove(&r->link);
        c->in_flight--;
        run_failed(c->run, r, nghttp2_strerror(r->stream_id));
    }
}

static bool receive(struct conn *c, const char *p, size_t n, const char **reason)
{
    ssize_t taken = nghttp2_session_mem_recv(c->h2, (const uint8_t *)p, n);
    if (taken < 0) {
        *reason = nghttp2_strerror((int)taken);
        return false;
    }
    if (c->state == CONN_OPEN) {
        collect(c);
        conn_flush(c);
    }
    return true;
}

static void peer_closed(struct conn *c)
{
    (void)c;
}

static void abandon(struct conn *c, struct request *r)
{
    if (c->state != CONN_OPEN) {
        conn_close(c, "timeout");
        return;
    }
    list_remove(&r->link);
    c->in_flight--;
    nghttp2_session_set_stream_user_data(c->h2, r->stream_id, NULL);
    nghttp2_submit_rst_stream(c->h2, NGHTTP2_FLAG_NONE, r->stream_id, NGHTTP2_CANCEL);
    collect(c);
    conn_flush(c);
    run_failed(c->run, r, "timeout");
}

static size_t capacity(const struct conn *c)
{
    if (c->run->options->fresh) {
        return 1;
    }
    uint32_t theirs = c->h2 == NULL
                          ? STREAMS_MAX
                          : nghttp2_session_get_remote_settings(c->h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return theirs < STREAMS_MAX ? theirs : STREAMS_MAX;
}

static void fini(struct conn *c)
{
    nghttp2_session_del(c->h2);
    c->h2 = NULL;
}

const struct protocol protocol_h2 = {.open = open_session,
                                     .send = send_request,
                                     .receive = receive,
                                     .peer_closed = peer_closed,
                                     .abandon = abandon,
                                     .capacity = capacity,
                                     .fini = fini};
