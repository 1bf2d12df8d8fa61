/* Heads, bodies and resets we send. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/codec/chars.h"
#include "proxy/codec/h2_impl.h"

struct fields { /* an nghttp2 header list, on the stack while it is short */
    nghttp2_nv few[64], *list;
    size_t n, cap, pool_cap;
    uint8_t lent; /* flags: nghttp2 need not copy the texts */
    char length[24];
};

static void fields_init(struct fields *f, unsigned n)
{
    f->lent = NGHTTP2_NV_FLAG_NONE;
    f->list = f->few;
    f->n = f->pool_cap = 0;
    if (n + 8 > sizeof f->few / sizeof f->few[0]) {
        f->list = pool_alloc((n + 8) * sizeof *f->list, &f->pool_cap);
    }
}

static void fields_fini(struct fields *f)
{
    if (f->list != f->few) {
        pool_free(f->list, f->pool_cap);
    }
}

static void put(struct fields *f, struct slice name, struct slice value, bool never_index)
{
    f->list[f->n++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.p,
        .value = (uint8_t *)(uintptr_t)(value.n > 0 ? value.p : ""),
        .namelen = name.n,
        .valuelen = value.n,
        .flags = f->lent | (never_index ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE),
    };
}

static bool is_secret(const struct field *field)
{
    return field->never_index || field->id == FIELD_AUTHORIZATION || field->id == FIELD_PROXY_AUTHORIZATION ||
           field->id == FIELD_SUBSCRIPTION_KEY;
}

/* Fields HTTP/2 says otherwise or not at all (RFC 9113 8.2.2); and whatever a filter wrote, only sound text leaves. */
static bool may_send(const struct field *field)
{
    if (head_is_connection_field(field) || field->id == FIELD_HOST || field->id == FIELD_CONTENT_LENGTH) {
        return false;
    }
    if (field->id == FIELD_TE && !slice_eq_nocase(field->value, SLICE("trailers"))) {
        return false;
    }
    if (field->sound) {
        return true;
    }
    bool named = field->id != FIELD_OTHER || chars_is_lower_token(field->name); /* an interned name is sound */
    return named && chars_is_value(field->value);
}

static void put_fields(struct fields *f, const struct head *head)
{
    for (unsigned i = 0; i < head->n; i++) {
        const struct field *field = &head->fields[i];
        if (may_send(field)) {
            put(f, field->name, field->value, is_secret(field));
        }
    }
    if (head->content_length >= 0) {
        char *end = f->length + sizeof f->length, *p = end;
        uint64_t left = (uint64_t)head->content_length;
        do {
            *--p = (char)('0' + left % 10);
            left /= 10;
        } while (left > 0);
        put(f, SLICE("content-length"), slice_make(p, (size_t)(end - p)), false);
    }
}

static void put_request(struct fields *f, const struct head *head)
{
    bool extended = head->protocol.n > 0;
    bool connect = extended || slice_eq(head->method, SLICE("CONNECT"));
    put(f, SLICE(":method"), connect ? SLICE("CONNECT") : head->method, false);
    if (extended) {
        put(f, SLICE(":protocol"), head->protocol, false);
    }
    put(f, SLICE(":authority"), head->authority, false);
    if (!connect || extended) {
        put(f, SLICE(":scheme"), head->scheme.n > 0 ? head->scheme : SLICE("http"), false);
        put(f, SLICE(":path"), head->path.n > 0 ? head->path : SLICE("/"), false);
    }
    put_fields(f, head);
}

static void put_status(struct fields *f, const struct head *head, char digits[3])
{
    digits[0] = (char)('0' + head->status / 100 % 10);
    digits[1] = (char)('0' + head->status / 10 % 10);
    digits[2] = (char)('0' + head->status % 10);
    put(f, SLICE(":status"), slice_make(digits, 3), false);
}

static void submit_trailers(struct h2_session *s, struct h2_stream_impl *st)
{
    struct fields f;
    fields_init(&f, st->trailers_out->n);
    for (unsigned i = 0; i < st->trailers_out->n; i++) {
        const struct field *field = &st->trailers_out->fields[i];
        if (may_send(field)) {
            put(&f, field->name, field->value, is_secret(field));
        }
    }
    nghttp2_submit_trailer(s->ng, st->pub.id, f.list, f.n);
    fields_fini(&f);
    st->trailers_out = NULL;
}

static ssize_t read_data(nghttp2_session *ng, int32_t id, uint8_t *place, size_t max, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    (void)ng, (void)id, (void)place;
    struct h2_session *s = user;
    struct h2_stream_impl *st = source->ptr;
    if (s->produced >= s->produce_max) {
        return NGHTTP2_ERR_PAUSE; /* control frames still pass */
    }
    if (st->out.len == 0 && !st->out_end) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = st->out.len < max ? st->out.len : max;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == st->out.len && st->out_end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (st->trailers_out != NULL) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(s, st);
        }
    }
    return (ssize_t)n;
}

static int send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *header, size_t n,
                     nghttp2_data_source *source, void *user)
{
    (void)ng, (void)frame;
    struct h2_session *s = user;
    struct h2_stream_impl *st = source->ptr;
    buf_append(s->output, header, 9);
    buf_move(s->output, &st->out, n);
    s->produced += n + 9;
    h2_guard_useful(&s->guard, n, true);
    if (st->was_full && st->out.len < st->pub.out_limit / 2) {
        st->was_full = false;
        h2_stream_event(st, H2_ROOM);
    }
    return 0;
}

static bool is_peers_fault(uint32_t code)
{
    return code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL && code != NGHTTP2_CONNECT_ERROR;
}

static void count_reset(struct h2_session *s, int32_t id, uint32_t code)
{
    struct h2_stream_impl *st = nghttp2_session_get_stream_user_data(s->ng, id);
    if (st != NULL && (code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_FRAME_SIZE_ERROR)) {
        st->faulty = true;
    }
    s->counts[H2_COUNT_TX_RESET]++;
    s->counts[H2_COUNT_MESSAGING_ERROR] += code == NGHTTP2_PROTOCOL_ERROR;
    if (is_peers_fault(code) && !h2_guard_fault(&s->guard, false)) {
        s->counts[H2_COUNT_RESET_FLOOD]++;
        nghttp2_session_terminate_session(s->ng, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct h2_session *s = user;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        count_reset(s, frame->hd.stream_id, frame->rst_stream.error_code);
        return 0;
    }
    bool message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!message || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    struct h2_stream_impl *st = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);
    if (st != NULL) {
        st->out_end_sent = true;
        if (st->released && !st->pub.in_end) {
            h2_stream_linger(st);
        }
    }
    return 0;
}

/* A request that never left: the peer said GOAWAY, or we cancelled it. nghttp2 opened no stream, so it closes none. */
static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int code, void *user)
{
    (void)ng, (void)code;
    struct h2_session *s = user;
    if (s->config.server || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    for (struct list *l = s->streams.next; l != &s->streams; l = l->next) {
        struct h2_stream_impl *st = container_of(l, struct h2_stream_impl, all);
        if (st->pub.id == frame->hd.stream_id && !st->closed) {
            h2_stream_closed(st, NGHTTP2_REFUSED_STREAM, true);
            break;
        }
    }
    return 0;
}

void h2_set_send_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
}

struct h2_stream *h2_open(struct h2_session *s, const struct head *head, bool end, struct arena *arena, void *user,
                          struct err *err)
{
    if (!h2_can_open(s)) {
        err_set(err, ERR_LIMIT, "the peer accepts no further stream");
        err->retry = ERR_RETRY_ALWAYS;
        return NULL;
    }
    struct h2_stream_impl *st = h2_stream_create(s, 0, arena);
    st->pub.user = user;
    st->visible = true;
    st->out_end = end;
    st->data_attached = !end;
    struct fields f;
    fields_init(&f, head->n);
    put_request(&f, head);
    nghttp2_data_provider source = {.source.ptr = st, .read_callback = read_data};
    int32_t id = nghttp2_submit_request(s->ng, NULL, f.list, f.n, end ? NULL : &source, st);
    fields_fini(&f);
    if (id < 0) {
        err_set(err, ERR_PROTOCOL, "%s", nghttp2_strerror(id));
        err->retry = ERR_RETRY_ALWAYS;
        h2_stream_free(st);
        return NULL;
    }
    st->pub.id = id;
    return &st->pub;
}

/* An answer's head is packed at once: its texts then need not be copied to live until the end of the turn. */
void h2_send_head(struct h2_stream *pub, const struct head *head, bool end)
{
    struct h2_stream_impl *st = h2_impl(pub);
    if (st->closed || st->out_end) {
        return;
    }
    st->out_end = end;
    struct fields f;
    char status[3];
    fields_init(&f, head->n);
    f.lent = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    put_status(&f, head, status);
    put_fields(&f, head);
    nghttp2_submit_headers(pub->session->ng, end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, pub->id, NULL, f.list,
                           f.n, NULL);
    h2_produce_control(pub->session);
    fields_fini(&f);
}

/* The data source is attached when there is data: a head followed by trailers alone then needs no empty DATA. */
static void wake(struct h2_stream_impl *st)
{
    nghttp2_session *ng = st->pub.session->ng;
    if (!st->data_attached) {
        st->data_attached = true;
        nghttp2_data_provider source = {.source.ptr = st, .read_callback = read_data};
        nghttp2_submit_data(ng, NGHTTP2_FLAG_END_STREAM, st->pub.id, &source);
    } else if (st->deferred) {
        st->deferred = false;
        nghttp2_session_resume_data(ng, st->pub.id);
    }
}

void h2_send_data(struct h2_stream *pub, struct buf *bytes, bool end)
{
    struct h2_stream_impl *st = h2_impl(pub);
    if (st->closed || st->out_end) {
        buf_fini(bytes);
        return;
    }
    buf_move_all(&st->out, bytes);
    st->out_end = end;
    st->was_full = st->was_full || st->out.len >= pub->out_limit;
    if (st->out.len > 0 || end) {
        wake(st);
    }
}

void h2_send_trailers(struct h2_stream *pub, const struct head *trailers)
{
    struct h2_stream_impl *st = h2_impl(pub);
    if (st->closed || st->out_end) {
        return;
    }
    if (trailers == NULL || trailers->n == 0) {
        struct buf none;
        buf_init(&none);
        h2_send_data(pub, &none, true);
        return;
    }
    st->out_end = true;
    st->trailer_arena = arena_create(0);
    st->trailers_out = head_copy(trailers, st->trailer_arena);
    bool nothing_before = st->out.len == 0 && (st->deferred || (!st->data_attached && pub->session->config.server));
    if (nothing_before) {
        submit_trailers(pub->session, st);
    } else {
        wake(st);
    }
}

size_t h2_out_queued(const struct h2_stream *pub)
{
    return ((const struct h2_stream_impl *)(const void *)pub)->out.len;
}

size_t h2_room(struct h2_stream *pub, size_t limit)
{
    struct h2_stream_impl *st = h2_impl(pub);
    pub->out_limit = limit;
    st->was_full = st->was_full || st->out.len >= limit;
    return st->out.len < limit ? limit - st->out.len : 0;
}

void h2_reset(struct h2_stream *pub, uint32_t code)
{
    struct h2_stream_impl *st = h2_impl(pub);
    if (!st->closed) {
        buf_fini(&st->out);
        nghttp2_submit_rst_stream(pub->session->ng, NGHTTP2_FLAG_NONE, pub->id, code);
    }
}

void h2_release(struct h2_stream **pub)
{
    struct h2_stream_impl *st = *pub == NULL ? NULL : h2_impl(*pub);
    *pub = NULL;
    if (st == NULL) {
        return;
    }
    st->released = true;
    st->pub.user = NULL;
    buf_fini(&st->pub.in);
    h2_unhold(st, st->held);
    if (st->closed) {
        h2_stream_free(st);
        return;
    }
    bool server = st->pub.session->config.server;
    if (!st->out_end || !server) {
        h2_reset(&st->pub, NGHTTP2_CANCEL);
    } else if (st->out_end_sent && !st->pub.in_end) {
        h2_stream_linger(st);
    }
}
