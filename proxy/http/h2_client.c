/* HTTP/2 upstream: many streams, as many as the peer allows; PINGs while streams are open, if configured. */
#include "base/mem.h"
#include "proxy/http/h2_link.h"

struct h2_client {
    struct client_side side; /* first */
    struct h2_link link;
    const struct http_client_config *config;
    const struct http_client_events *events;
    void *ctx;
    struct timer timer; /* keepalive: next PING, or its answer is due */
    bool ping_due;      /* a PING is out */
    bool draining;
    bool going; /* the streams were told that the peer goes */
};

static struct h2_client *of_link(struct h2_link *link)
{
    return container_of(link, struct h2_client, link);
}

static struct h2_client *of_side(const struct client_side *s)
{
    return (struct h2_client *)(uintptr_t)s;
}

/* ---- keepalive ---- */

static void arm_keepalive(struct h2_client *c)
{
    if (c->config->keepalive_interval_ms != 0 && !timer_is_set(&c->timer) && !c->link.over) {
        timer_set_in(&c->timer, c->config->keepalive_interval_ms);
    }
}

static void on_timer(struct timer *timer)
{
    struct h2_client *c = container_of(timer, struct h2_client, timer);
    if (c->link.over) {
        return;
    }
    if (c->ping_due) {
        struct err err = {0};
        err_set(&err, ERR_RESET, "the upstream did not answer a PING");
        h2_link_end(&c->link, &err, TRANSPORT_ABORT);
        return;
    }
    c->ping_due = true;
    h2_ping(c->link.session);
    h2_link_flush(&c->link);
    timer_set_in(&c->timer, c->config->keepalive_timeout_ms == 0 ? 20000 : c->config->keepalive_timeout_ms);
}

/* ---- of the link ---- */

static void end_when_empty(struct h2_client *c)
{
    if (c->link.n == 0 && !c->link.over && (c->draining || h2_going_away(c->link.session))) {
        struct err none = {.kind = ERR_NONE};
        h2_goaway_now(c->link.session, 0);
        h2_link_end(&c->link, &none, TRANSPORT_FLUSH);
    }
}

/* A tunnel on one of them is not to be used for another exchange. */
static void tell_going(struct h2_client *c)
{
    if (c->going || !h2_going_away(c->link.session)) {
        return;
    }
    c->going = true;
    for (struct list *l = c->link.halves.next; l != &c->link.halves; l = l->next) {
        container_of(l, struct h2_half, link_all)->s.ending = true;
    }
}

static void on_progress(struct h2_link *link)
{
    struct h2_client *c = of_link(link);
    tell_going(c);
    if (c->ping_due && h2_ping_answered(link->session)) {
        c->ping_due = false;
        timer_cancel(&c->timer);
        arm_keepalive(c);
    }
    end_when_empty(c);
    if (!link->over) {
        c->events->on_capacity(c->ctx);
    }
}

static void client_destroy(void *link)
{
    struct h2_client *c = of_link(link);
    h2_link_fini(&c->link);
    mem_free(c);
}

static void on_closed(struct h2_link *link, const struct err *why)
{
    struct h2_client *c = of_link(link);
    timer_cancel(&c->timer);
    c->events->on_closed(c->ctx, why);
}

static const struct h2_role client_role = {
    .on_progress = on_progress,
    .on_closed = on_closed,
    .destroy = client_destroy,
};

/* ---- the face ---- */

/* Streams whose head was not sent yet count, too. */
static bool can_open(const struct client_side *s)
{
    const struct h2_client *c = of_side(s);
    if (c->draining || c->link.over || c->link.t == NULL || c->link.t->in_eof) {
        return false;
    }
    unsigned unopened = c->link.n > h2_open_streams(c->link.session) ? c->link.n - h2_open_streams(c->link.session) : 0;
    return h2_open_room(c->link.session) > unopened;
}

static struct stream *open_stream(struct client_side *s, struct arena *arena, const struct stream_events *events,
                                  void *ctx)
{
    struct h2_half *half = h2_half_create(&of_side(s)->link, arena);
    half->s.events = events;
    half->s.ctx = ctx;
    return &half->s;
}

static bool is_ending(const struct client_side *s)
{
    const struct h2_client *c = of_side(s);
    return c->link.t != NULL && transport_is_ending(c->link.t);
}

static unsigned streams(const struct client_side *s)
{
    return of_side(s)->link.n;
}

static bool extended_connect(const struct client_side *s)
{
    return h2_peer_allows_connect_protocol(of_side(s)->link.session);
}

static const struct transport_info *info(const struct client_side *s)
{
    return of_side(s)->link.info;
}

static void close_client(struct client_side *s)
{
    struct h2_client *c = of_side(s);
    struct err why = {0};
    err_set(&why, ERR_RESET, "the connection was closed by us");
    if (!c->link.over) {
        h2_goaway_now(c->link.session, 0);
    }
    timer_cancel(&c->timer);
    h2_link_abandon(&c->link, &why, TRANSPORT_FLUSH);
}

static void drain(struct client_side *s)
{
    struct h2_client *c = of_side(s);
    c->draining = true;
    loop_deliver(c->link.loop, &c->link.deliver);
}

static const struct client_side_ops client_ops = {
    .open = open_stream,
    .can_open = can_open,
    .is_ending = is_ending,
    .streams = streams,
    .extended_connect = extended_connect,
    .info = info,
    .close = close_client,
    .drain = drain,
};

struct client_side *h2_client_create(struct transport *t, const struct http_client_config *config,
                                     const struct http_client_events *events, void *ctx)
{
    struct h2_client *c = mem_alloc(sizeof *c);
    struct h2_config h2 = config->h2;
    struct err err = {0};
    h2.server = false;
    h2.inbox = loop_inbox(t->loop);
    c->side.ops = &client_ops;
    c->config = config;
    c->events = events;
    c->ctx = ctx;
    timer_init(&c->timer, t->loop, on_timer);
    struct h2_session *session = h2_create(&h2, &err);
    assert(session != NULL); /* the settings were checked with the configuration */
    h2_link_init(&c->link, &client_role, t, session, config->buffer_limit);
    arm_keepalive(c);
    return &c->side;
}
