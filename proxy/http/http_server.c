/* Chooses the protocol of a downstream connection: as configured, by ALPN, or by the first bytes. */
#include <string.h>

#include "base/mem.h"
#include "proxy/http/internal.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { PREFACE_LEN = sizeof preface - 1, PREFACE_ENOUGH = 4 };

struct http_server {
    const struct http_server_config *config;
    const struct http_server_events *events;
    void *ctx;
    struct loop *loop;
    struct transport *transport; /* while sniffing */
    struct timer timer;          /* while sniffing */
    bool begun;                  /* a byte has come: the clock of a head runs */
    struct server_side *side;
    bool draining;
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

static void server_start(struct http_server *c, bool h2)
{
    struct transport *t = c->transport;
    timer_cancel(&c->timer);
    c->transport = NULL;
    c->side = h2 ? h2_server_create(t, c->config, &side_events, c) : h1_server_create(t, c->config, &side_events, c);
    if (c->draining) {
        c->side->ops->drain(c->side);
    }
}

/* ---- sniffing ---- */

static void nothing(void *ctx)
{
    (void)ctx;
}

/* What configuration and ALPN say; false: only the first bytes can tell. */
static bool choose(struct http_server *c)
{
    struct slice alpn = c->transport->info.alpn;
    enum http_codec codec = c->config->codec;
    bool h1 = codec == HTTP_CODEC_1 || (codec == HTTP_CODEC_AUTO && slice_eq(alpn, SLICE("http/1.1")));
    bool h2 = codec == HTTP_CODEC_2 || (codec == HTTP_CODEC_AUTO && slice_eq(alpn, SLICE("h2")));
    if (h1 || h2) {
        server_start(c, h2);
    }
    return h1 || h2;
}

static void on_open(void *ctx)
{
    choose(ctx); /* the handshake has settled the protocol */
}

static void on_readable(void *ctx)
{
    struct http_server *c = ctx;
    char first[PREFACE_ENOUGH];
    size_t n = buf_copy_out(&c->transport->in, 0, first, sizeof first);
    if (memcmp(first, preface, n) != 0 || c->transport->in_eof) {
        server_start(c, false);
    } else if (n == sizeof first) {
        server_start(c, true);
    } else if (!c->begun && c->config->request_headers_timeout_ms != 0) {
        c->begun = true;
        timer_set_in(&c->timer, c->config->request_headers_timeout_ms);
    }
}

static void on_closed(void *ctx, const struct err *why)
{
    struct http_server *c = ctx;
    (void)why;
    c->transport = NULL;
    timer_cancel(&c->timer);
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
    struct http_server *c = container_of(timer, struct http_server, timer);
    transport_close(&c->transport, TRANSPORT_ABORT);
    on_side_closed(c);
}

/* ---- */

struct http_server *http_server_create(struct transport **t, const struct http_server_config *config,
                                       const struct http_server_events *events, void *ctx)
{
    struct http_server *c = mem_alloc(sizeof *c);
    c->config = config;
    c->events = events;
    c->ctx = ctx;
    c->transport = *t;
    if (config->lingering_ms != 0) {
        c->transport->linger_ms = config->lingering_ms;
    }
    c->loop = c->transport->loop;
    *t = NULL;
    timer_init(&c->timer, c->loop, on_sniff_timeout);
    if (!c->transport->open || !choose(c)) {
        if (config->idle_timeout_ms != 0) {
            timer_set_in(&c->timer, config->idle_timeout_ms);
        }
        transport_own(c->transport, &sniff_events, c);
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
    timer_cancel(&old->timer);
    transport_close(&old->transport, TRANSPORT_ABORT);
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
    return c->side == NULL ? &c->transport->info : c->side->ops->info(c->side);
}
