/* HTTP/2 downstream: hands requests out, ends idle connections, drains in two steps of GOAWAY (RFC 9113 6.8). */
#include <stdio.h>

#include "base/mem.h"
#include "proxy/http/h2_link.h"

enum { REST_MS = 200 };        /* without a stream */
enum { DRAIN_STEP_MS = 1000 }; /* between the steps, unless the peer answers our PING sooner */

struct h2_server {
    struct server_side side; /* first */
    struct h2_link link;
    const struct http_server_config *config;
    const struct http_server_events *events;
    void *ctx;
    struct timer timer; /* idle, or the drain's second step */
    unsigned requests;
    bool rested; /* the timer is the idle timeout's */
    enum { SERVING, DRAINING, LAST_STREAMS } state;
};

static struct h2_server *of_link(struct h2_link *link)
{
    return container_of(link, struct h2_server, link);
}

static void wait_idle(struct h2_server *c)
{
    uint32_t limit = c->config->idle_timeout_ms;
    if (c->state == SERVING && c->link.n == 0) {
        c->rested = limit != 0 && limit <= REST_MS;
        timer_cancel(&c->timer);
        timer_set_in(&c->timer, c->rested ? limit : REST_MS);
    }
}

static void rest(struct h2_server *c)
{
    c->rested = true;
    h2_rest(c->link.session);
    if (c->config->idle_timeout_ms != 0) {
        timer_set_in(&c->timer, c->config->idle_timeout_ms - REST_MS);
    }
}

static void start_drain(struct h2_server *c)
{
    if (c->state != SERVING || c->link.over) {
        return;
    }
    c->state = DRAINING;
    h2_goaway_start(c->link.session);
    h2_ping(c->link.session);
    timer_cancel(&c->timer);
    timer_set_in(&c->timer, DRAIN_STEP_MS);
    h2_link_flush(&c->link);
}

static void finish_drain(struct h2_server *c)
{
    if (c->state == DRAINING && !c->link.over) {
        c->state = LAST_STREAMS;
        timer_cancel(&c->timer);
        h2_goaway_finish(c->link.session);
        h2_link_flush(&c->link);
    }
}

static void on_timer(struct timer *timer)
{
    struct h2_server *c = container_of(timer, struct h2_server, timer);
    if (c->state == DRAINING) {
        finish_drain(c);
    } else if (c->state == SERVING && c->link.n == 0 && !c->link.over && !c->rested) {
        rest(c);
    } else if (c->state == SERVING && c->link.n == 0 && !c->link.over) {
        struct err none = {.kind = ERR_NONE};
        h2_goaway_now(c->link.session, 0);
        h2_link_end(&c->link, &none, TRANSPORT_FLUSH);
    }
}

/* ---- requests ---- */

/* A head beyond its limits is answered on its stream; the connection and its other streams live on (DATAPLANE 9). */
static void refuse(struct h2_server *c, struct h2_stream *h)
{
    struct head head;
    struct buf body;
    struct err why = {0};
    unsigned status = h->refuse_status;
    struct slice text = head_reason(status);
    struct arena *arena = arena_create(0);
    head_init(&head, arena);
    head.status = status;
    head.content_length = (int64_t)text.n;
    head_add_id(&head, FIELD_CONTENT_TYPE, SLICE("text/plain"));
    buf_init(&body);
    buf_append_slice(&body, text);
    h2_send_head(h, &head, false);
    h2_send_data(h, &body, true);
    h2_release(&h);
    arena_destroy(&arena);
    err_set(&why, ERR_LIMIT, "request head larger than its limit");
    c->events->on_refused(c->ctx, status, &why);
}

static void prepare(struct h2_half *half, struct head *head)
{
    half->connect = slice_eq(head->method, SLICE("CONNECT")) && head->protocol.n == 0;
    if (head->protocol.n > 0) {
        half->upgrade = true;
        half->protocol = head->protocol;
        head->method = SLICE("GET"); /* to the owner an upgrade, as in HTTP/1 */
    }
    const struct field *expect = head_find_id(head, FIELD_EXPECT);
    if (expect != NULL) {
        half->continue_due = slice_eq_nocase(expect->value, SLICE("100-continue")) && !half->s.in_end;
        head_remove_id(head, FIELD_EXPECT);
    }
}

static struct h2_half *on_request(struct h2_link *link, struct h2_stream *h)
{
    struct h2_server *c = of_link(link);
    bool end = false;
    c->requests++;
    if (h->refuse_status != 0) {
        refuse(c, h);
        return NULL;
    }
    struct head *head = h2_take_head(h, &end);
    struct h2_half *half = h2_half_create(link, h2_take_arena(h));
    half->server = true;
    half->h = h;
    half->s.in_end = end;
    half->s.head_bytes_in = h->head_bytes;
    half->s.sent = true;
    h->user = half;
    prepare(half, head);
    if (c->state == SERVING) {
        timer_cancel(&c->timer);
    }
    c->events->on_stream(c->ctx, &half->s);
    half->s.events->on_head(half->s.ctx, head);
    if (c->config->max_requests != 0 && c->requests >= c->config->max_requests) {
        start_drain(c);
    }
    return half;
}

static void on_progress(struct h2_link *link)
{
    struct h2_server *c = of_link(link);
    if (c->state == DRAINING && h2_ping_answered(link->session)) {
        finish_drain(c);
    }
    if (!timer_is_set(&c->timer)) {
        wait_idle(c);
    }
}

/* ---- the end ---- */

static void server_destroy(void *link)
{
    struct h2_server *c = of_link(link);
    h2_link_fini(&c->link);
    mem_free(c);
}

static void on_closed(struct h2_link *link, const struct err *why)
{
    struct h2_server *c = of_link(link);
    (void)why;
    timer_cancel(&c->timer);
    c->events->on_closed(c->ctx);
}

static void on_count(struct h2_link *link, enum h2_count what, uint32_t n)
{
    struct h2_server *c = of_link(link);
    c->events->on_count(c->ctx, what, n);
}

static const struct h2_role server_role = {
    .on_request = on_request,
    .on_progress = on_progress,
    .on_count = on_count,
    .on_closed = on_closed,
    .destroy = server_destroy,
};

/* ---- the face ---- */

static struct h2_server *of_side(const struct server_side *s)
{
    return (struct h2_server *)(uintptr_t)s;
}

static void drain(struct server_side *s)
{
    start_drain(of_side(s));
}

static void abort_server(struct server_side *s)
{
    struct h2_server *c = of_side(s);
    struct err why = {0};
    err_set(&why, ERR_RESET, "the connection was closed by us");
    timer_cancel(&c->timer);
    h2_link_abandon(&c->link, &why, TRANSPORT_ABORT);
}

static bool is_idle(const struct server_side *s)
{
    return of_side(s)->link.n == 0;
}

static const struct transport_info *info(const struct server_side *s)
{
    return of_side(s)->link.info;
}

static const struct server_side_ops server_ops = {
    .drain = drain,
    .abort = abort_server,
    .is_idle = is_idle,
    .info = info,
};

struct server_side *h2_server_create(struct transport *t, const struct http_server_config *config,
                                     const struct http_server_events *events, void *ctx)
{
    struct h2_server *c = mem_alloc(sizeof *c);
    struct h2_config h2 = config->h2;
    struct err err = {0};
    h2.server = true;
    h2.inbox = loop_inbox(t->loop);
    c->side.ops = &server_ops;
    c->config = config;
    c->events = events;
    c->ctx = ctx;
    timer_init(&c->timer, t->loop, on_timer);
    struct h2_session *session = h2_create(&h2, &err);
    assert(session != NULL); /* the settings were checked with the configuration */
    h2_link_init(&c->link, &server_role, t, session, config->buffer_limit);
    wait_idle(c);
    return &c->side;
}
