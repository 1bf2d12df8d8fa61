/* One HTTP/2 stream as a struct stream. */
#include "base/mem.h"
#include "proxy/http/h2_link.h"

enum {                           /* what a peer that does not read its answers can make us keep */
       LINK_OUT_LIMIT = 1 << 20, /* of all streams of a connection */
       OUT_LIMIT_MIN = 8 << 10,  /* of one stream, however many there are */
};

static struct h2_half *of(struct stream *s)
{
    return container_of(s, struct h2_half, s);
}

static void say_closed(struct loop_task *task)
{
    struct h2_half *half = container_of(task, struct h2_half, closed);
    half->s.events->on_closed(half->s.ctx, err_kept(half->why));
}

void h2_half_over(struct h2_half *half, const struct err *why)
{
    if (!half->over && !half->released) {
        half->over = true;
        half->why = err_keep(why);
        loop_deliver(half->s.loop, &half->closed);
    }
}

/* In order: a server stream is over with its answer, a client stream when the answer has been taken, a tunnel when both
 * directions have ended. */
static void check_over(struct h2_half *half)
{
    static const struct err none = {.kind = ERR_NONE};
    const struct stream *s = &half->s;
    bool in_over = s->in_end && s->in.len == 0;
    bool over = s->raw ? in_over && s->out_end : half->server ? s->out_end : in_over && half->head_sent;
    if (over) {
        if (half->link != NULL) {
            half->link->answered = true;
        }
        h2_half_over(half, &none);
    }
}

/* ---- calls of the owner ---- */

static bool is_tunnel(const struct h2_half *half, unsigned status)
{
    return status == 101 || (half->connect && status >= 200 && status < 300);
}

/* To HTTP/2 an accepted upgrade is a 200, and a 2xx that refuses one would be taken for acceptance (RFC 8441 5). */
static void send_response(struct h2_half *half, const struct head *head, bool end)
{
    struct stream *s = &half->s;
    struct head h = *head;
    if (half->upgrade && h.status == 101) {
        s->raw = true;
        h.status = 200;
        h.content_length = -1;
    } else if (h.status == 101) {
        return; /* has no meaning here */
    } else if (half->upgrade && h.status >= 200 && h.status < 300) {
        h.status = 502;
    }
    s->raw = s->raw || is_tunnel(half, h.status);
    half->head_sent = half->head_sent || h.status >= 200;
    half->continue_due = false;
    s->out_end = end;
    h2_send_head(half->h, &h, end);
}

static void open_request(struct h2_half *half, const struct head *head, bool end)
{
    struct stream *s = &half->s;
    struct h2_link *link = half->link;
    struct err err = {0};
    half->connect = slice_eq(head->method, SLICE("CONNECT")) && head->protocol.n == 0;
    half->upgrade = head->protocol.n > 0;
    half->protocol = head->protocol;
    s->out_end = end && !half->upgrade;
    if (half->upgrade && !h2_peer_allows_connect_protocol(link->session)) {
        err_set(&err, ERR_UNSUPPORTED, "the upstream does not take upgrades over HTTP/2");
        err.side = ERR_SIDE_UPSTREAM;
        h2_half_over(half, &err);
        return;
    }
    struct head h = *head;
    if (half->upgrade) { /* the key and its answer are HTTP/1's (RFC 8441 5) */
        h.fields = arena_alloc(s->arena, (head->n + 1) * sizeof *h.fields);
        h.n = 0;
        for (unsigned i = 0; i < head->n; i++) {
            if (head->fields[i].id != FIELD_SEC_WEBSOCKET_KEY) {
                h.fields[h.n++] = head->fields[i];
            }
        }
    }
    half->h = h2_open(link->session, &h, s->out_end, s->arena, half, &err);
    if (half->h == NULL) {
        err.side = ERR_SIDE_UPSTREAM;
        h2_half_over(half, &err);
        return;
    }
    list_push(&link->unmarked, &half->link_unmarked);
}

static void send_head(struct stream *s, const struct head *head, bool end)
{
    struct h2_half *half = of(s);
    if (half->link == NULL || half->over || s->out_end) {
        return;
    }
    if (!half->server) {
        half->head_sent = true;
        open_request(half, head, end);
    } else if (half->h != NULL) {
        send_response(half, head, end);
    }
    h2_link_flush(half->link);
    check_over(half);
}

static bool may_send(const struct h2_half *half)
{
    return half->link != NULL && half->h != NULL && !half->over && !half->s.out_end;
}

static void send_bytes(struct stream *s, struct buf *bytes, bool end)
{
    struct h2_half *half = of(s);
    if (!may_send(half)) {
        buf_fini(bytes);
        s->out_end = s->out_end || end;
        return;
    }
    s->bytes_out += bytes->len;
    s->out_end = end;
    h2_send_data(half->h, bytes, end);
    h2_link_flush(half->link);
    check_over(half);
}

static void send_trailers(struct stream *s, const struct head *trailers)
{
    struct h2_half *half = of(s);
    if (may_send(half)) {
        h2_send_trailers(half->h, s->raw ? NULL : trailers);
        h2_link_flush(half->link);
    }
    s->out_end = true;
    check_over(half);
}

/* Before the far end has agreed, nothing belongs to it. */
static bool is_pending_tunnel(const struct h2_half *half)
{
    return !half->server && (half->connect || half->upgrade) && !half->s.raw && !half->got_final;
}

static size_t room(const struct stream *s)
{
    const struct h2_half *half = container_of(s, struct h2_half, s);
    if (half->link == NULL || half->over) {
        return STREAM_IN_LIMIT; /* swallowed: on_closed is on its way */
    }
    if (half->h == NULL || is_pending_tunnel(half)) {
        return 0;
    }
    size_t share = LINK_OUT_LIMIT / half->link->n;
    size_t limit = share < half->link->out_limit ? share : half->link->out_limit;
    return h2_room(half->h, limit > OUT_LIMIT_MIN ? limit : OUT_LIMIT_MIN);
}

static void send_continue(struct h2_half *half)
{
    struct head head;
    half->continue_due = false;
    head_init(&head, half->s.arena);
    head.status = 100;
    h2_send_head(half->h, &head, false);
}

static void taken(struct stream *s, size_t n)
{
    struct h2_half *half = of(s);
    if (half->link != NULL && half->h != NULL) {
        if (half->continue_due) {
            send_continue(half);
        }
        h2_taken(half->h, n);
        h2_link_flush(half->link);
    }
    check_over(half);
}

/* No credit is given back any more; the peer is told to stop once our side has ended, by release. */
static void stop_reading(struct stream *s)
{
    struct h2_half *half = of(s);
    half->discarding = true;
    half->continue_due = false;
    buf_fini(&s->in);
    if (half->h != NULL) {
        h2_dropped(half->h);
    }
    check_over(half);
}

static uint32_t reset_code(enum stream_reset kind)
{
    switch (kind) {
    case STREAM_NO_ERROR:
        return 0;
    case STREAM_PROTOCOL_ERROR:
        return 1;
    case STREAM_INTERNAL_ERROR:
        return 2;
    case STREAM_REFUSED:
        return 7;
    case STREAM_CONNECT_ERROR:
        return 10;
    case STREAM_CANCEL:
    default:
        return 8;
    }
}

static void reset(struct stream *s, enum stream_reset kind)
{
    struct h2_half *half = of(s);
    struct err why = {0};
    if (half->over) {
        return;
    }
    if (half->link != NULL && half->h != NULL) {
        h2_reset(half->h, reset_code(kind));
        h2_link_flush(half->link);
    }
    err_set(&why, ERR_RESET, "reset by us");
    why.side = ERR_SIDE_LOCAL;
    h2_half_over(half, &why);
}

static void half_free(void *obj)
{
    struct h2_half *half = obj;
    mem_free(half->why);
    pool_free(half, half->cap);
}

static void release(struct stream *s)
{
    struct h2_half *half = of(s);
    struct h2_link *link = half->link;
    half->released = true;
    loop_task_cancel(&half->closed);
    buf_fini(&s->in);
    list_remove(&half->link_all);
    list_remove(&half->link_unmarked);
    if (link != NULL) {
        link->n--;
        h2_release(&half->h);
        h2_link_flush(link);
        loop_deliver(link->loop, &link->deliver); /* the connection may have been waiting for its last stream */
    }
    if (half->server) {
        arena_free_later(s->loop, s->arena);
    }
    h2_link_unref(half->home);
    loop_free_later(s->loop, half_free, half);
}

const struct stream_ops h2_half_ops = {
    .send_head = send_head,
    .send = send_bytes,
    .send_trailers = send_trailers,
    .room = room,
    .taken = taken,
    .stop_reading = stop_reading,
    .reset = reset,
    .release = release,
};

struct h2_half *h2_half_create(struct h2_link *link, struct arena *arena)
{
    size_t cap = 0;
    struct h2_half *half = pool_alloc(sizeof *half, &cap);
    *half = (struct h2_half){.cap = cap, .link = link, .home = link};
    link->refs++;
    half->s = (struct stream){
        .ops = &h2_half_ops,
        .loop = link->loop,
        .arena = arena,
        .level = link->t->level + 1,
        .version = HTTP_2,
        .info = link->info,
    };
    buf_init(&half->s.in);
    loop_task_init(&half->closed, say_closed);
    list_init(&half->link_unmarked);
    list_push(&link->halves, &half->link_all);
    link->n++;
    return half;
}

/* ---- events of the session ---- */

/* A 2xx to an extended CONNECT is to the owner what 101 is in HTTP/1. */
static void settle_response(struct h2_half *half, struct head *head)
{
    half->got_head = true;
    if (half->upgrade && head->status >= 200 && head->status < 300) {
        head->status = 101;
        head->reason = SLICE_NONE;
        head->protocol = half->protocol;
        head->content_length = -1;
    }
    half->got_final = half->got_final || head->status >= 200 || head->status == 101;
    half->s.raw = half->s.raw || is_tunnel(half, head->status);
}

static void tell_heads(struct h2_half *half)
{
    bool end;
    struct head *head;
    while (!half->over && !half->released && half->h != NULL && (head = h2_take_head(half->h, &end)) != NULL) {
        settle_response(half, head);
        half->s.head_bytes_in += half->h->head_bytes;
        half->s.sent = true;
        half->s.in_end = end;
        half->s.events->on_head(half->s.ctx, head);
        if (half->s.raw && !half->released && !half->over) {
            half->s.events->on_writable(half->s.ctx); /* there was no room until now */
        }
    }
}

static void take_body(struct h2_half *half)
{
    struct stream *s = &half->s;
    if (half->discarding) {
        buf_fini(&half->h->in);
        h2_dropped(half->h);
        return;
    }
    half->continue_due = half->continue_due && half->h->in.len == 0;
    s->bytes_in += half->h->in.len;
    buf_move_all(&s->in, &half->h->in);
}

/* What the peer's reset, or the end of a stream it did not finish, means for the owner. */
static void tell_closed(struct h2_half *half)
{
    struct err why = {0};
    uint32_t code = half->h->reset_code;
    if (!half->h->was_reset || (!half->server && half->s.in_end && !half->s.raw)) {
        check_over(half); /* in order; what is in `in` may still have to be taken */
        return;
    }
    err_set(&why, code == 1 ? ERR_PROTOCOL : ERR_RESET, "the HTTP/2 stream was reset (code %u)", code);
    why.side = half->server ? ERR_SIDE_DOWNSTREAM : ERR_SIDE_UPSTREAM;
    half->s.sent = half->s.sent || list_is_empty(&half->link_unmarked);
    why.retry = half->h->refused ? ERR_RETRY_ALWAYS : ERR_RETRY_NEVER;
    h2_half_over(half, &why);
}

void h2_half_events(struct h2_half *half, unsigned events)
{
    struct stream *s = &half->s;
    if ((events & H2_HEAD) != 0) {
        tell_heads(half);
    }
    bool alive = !half->released && half->h != NULL;
    if (alive && (events & (H2_DATA | H2_END)) != 0) {
        bool ended_before = s->in_end;
        size_t had = s->in.len;
        take_body(half);
        s->in_end = half->h->in_end;
        s->trailers = half->h->trailers;
        bool news = s->in.len > had || s->in_end != ended_before;
        if (news && !half->over && !half->discarding) {
            s->events->on_readable(s->ctx);
        }
        if (!half->released) {
            check_over(half);
        }
    }
    if ((events & H2_ROOM) != 0 && !half->released && !half->over) {
        s->events->on_writable(s->ctx);
    }
    if ((events & H2_CLOSED) != 0 && !half->released && half->h != NULL) {
        tell_closed(half);
        half->continue_due = false;
    }
}
