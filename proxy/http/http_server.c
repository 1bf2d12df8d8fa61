/* Chooses the protocol of a downstream connection: as configured, by ALPN, or by the first bytes. */
#include <string.h>

#include "base/mem.h"
#include "proxy/http/internal.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE_LEN = sizeof preface - 1, PREFACE_ENOUGH = 4 };

struct http_server {
    const struct http_server_events *events;
    void *ctx;
    struct loop *loop;
    struct sniffing *sniffing; /* NULL: the protocol is known */
    struct server_side *side;
    bool draining;
};

struct sniffing {
    struct http_server *c;
    const struct http_server_config *config;
    struct transport *transport;
    struct timer timer;
    bool begun; /* a byte has come: the clock of a head runs */
};

static void server_free(void *p)
{
    mem_free(p);
}

static void arena_free(void *p)
{
    struct arena *arena = p;
    arena_destroy(&arena);
}

void arena_free_later(struct loop *loop, struct arena *arena)
{
    loop_free_later(loop, arena_free, arena);
}

static void on_stream(void *ctx, struct stream *s)
{
    struct http_server *c = ctx;
    c->events->on_stream(c->ctx, s);
}

static void on_refused(void *ctx, unsigned status, const struct err *why)
{
    struct http_server *c = ctx;
    c->events->on_refused(c->ctx, status, why);
}

static void on_count(void *ctx, enum h2_count what, uint32_t n)
{
    struct http_server *c = ctx;
    if (c->events->on_count != NULL) {
        c->events->on_count(c->ctx, what, n);
    }
}

static void on_side_closed(void *ctx)
{
    struct http_server *c = ctx;
    loop_free_later(c->loop, server_free, c);
    c->events->on_closed(c->ctx);
}

static const struct http_server_events side_events = {
    .on_stream = on_stream,
    .on_refused = on_refused,
    .on_count = on_count,
    .on_closed = on_side_closed,
};

static void sniffing_free(void *p)
{
    mem_free(p);
}

/* Returns the transport, which may have gone. */
static struct transport *end_sniffing(struct http_server *c)
{
    struct transport *t = c->sniffing->transport;
    timer_cancel(&c->sniffing->timer);
    loop_free_later(c->loop, sniffing_free, c->sniffing);
    c->sniffing = NULL;
    return t;
}

static void server_start(struct http_server *c, const struct http_server_config *config, struct transport *t, bool h2)
{
    c->side = h2 ? h2_server_create(t, config, &side_events, c) : h1_server_create(t, config, &side_events, c);
    if (c->draining) {
        c->side->ops->drain(c->side);
    }
}

/* ---- sniffing ---- */

static void nothing(void *ctx)
{
    (void)ctx;
}

enum choice { CHOICE_NONE, CHOICE_1, CHOICE_2 };

/* What configuration and ALPN say; none: only the first bytes can tell. */
static enum choice choose(const struct http_server_config *config, const struct transport *t)
{
    struct slice alpn = transport_info_tls(t->info)->alpn;
    enum http_codec codec = config->codec;
    if (codec == HTTP_CODEC_1 || (codec == HTTP_CODEC_AUTO && slice_eq(alpn, SLICE("http/1.1")))) {
        return CHOICE_1;
    }
    return codec == HTTP_CODEC_2 || (codec == HTTP_CODEC_AUTO && slice_eq(alpn, SLICE("h2"))) ? CHOICE_2 : CHOICE_NONE;
}

static void on_open(void *ctx)
{
    struct sniffing *s = ctx;
    struct http_server *c = s->c;
    enum choice choice = choose(s->config, s->transport); /* the handshake has settled the protocol */
    if (choice != CHOICE_NONE) {
        server_start(c, s->config, end_sniffing(c), choice == CHOICE_2);
    }
}

static void on_readable(void *ctx)
{
    struct sniffing *s = ctx;
    struct http_server *c = s->c;
    char first[PREFACE_ENOUGH];
    size_t n = buf_copy_out(&s->transport->in, 0, first, sizeof first);
    if (memcmp(first, preface, n) != 0 || s->transport->in_eof) {
        server_start(c, s->config, end_sniffing(c), false);
    } else if (n == sizeof first) {
        server_start(c, s->config, end_sniffing(c), true);
    } else if (!s->begun && s->config->request_headers_timeout_ms != 0) {
        s->begun = true;
        timer_set_in(&s->timer, s->config->request_headers_timeout_ms);
    }
}

static void on_closed(void *ctx, const struct err *why)
{
    struct sniffing *s = ctx;
    struct http_server *c = s->c;
    (void)why;
    end_sniffing(c);
    on_side_closed(c);
}

static const struct transport_events sniff_events = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_writable = nothing,
    .on_closed = on_closed,
};

static void on_sniff_timeout(struct timer *timer)
{
    struct http_server *c = container_of(timer, struct sniffing, timer)->c;
    struct transport *t = end_sniffing(c);
    transport_close(&t, TRANSPORT_ABORT);
    on_side_closed(c);
}

static void sniff(struct http_server *c, const struct http_server_config *config, struct transport *t)
{
    struct sniffing *s = mem_alloc(sizeof *s);
    s->c = c;
    s->config = config;
    s->transport = t;
    c->sniffing = s;
    timer_init(&s->timer, c->loop, on_sniff_timeout);
    if (s->config->idle_timeout_ms != 0) {
        timer_set_in(&s->timer, s->config->idle_timeout_ms);
    }
    transport_own(t, &sniff_events, s);
}

/* ---- */

struct http_server *http_server_create(struct transport **t, const struct http_server_config *config,
                                       const struct http_server_events *events, void *ctx)
{
    struct http_server *c = mem_alloc(sizeof *c);
    struct transport *mine = *t;
    *t = NULL;
    if (config->lingering_ms != 0) {
        mine->linger_ms = config->lingering_ms;
    }
    c->events = events;
    c->ctx = ctx;
    c->loop = mine->loop;
    enum choice choice = mine->open ? choose(config, mine) : CHOICE_NONE;
    if (choice == CHOICE_NONE) {
        sniff(c, config, mine);
    } else {
        server_start(c, config, mine, choice == CHOICE_2);
    }
    return c;
}

void http_server_drain(struct http_server *c)
{
    c->draining = true;
    if (c->side != NULL) {
        c->side->ops->drain(c->side);
    }
}

void http_server_abort(struct http_server **c)
{
    struct http_server *old = *c;
    if (old == NULL) {
        return;
    }
    *c = NULL;
    if (old->sniffing != NULL) {
        struct transport *t = end_sniffing(old);
        transport_close(&t, TRANSPORT_ABORT);
    }
    if (old->side != NULL) {
        old->side->ops->abort(old->side);
    }
    loop_free_later(old->loop, server_free, old);
}

bool http_server_is_idle(const struct http_server *c)
{
    return c->side == NULL || c->side->ops->is_idle(c->side);
}

const struct transport_info *http_server_info(const struct http_server *c)
{
    return c->side == NULL ? c->sniffing->transport->info : c->side->ops->info(c->side);
}
