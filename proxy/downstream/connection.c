/*
 * One accepted connection on its way to HTTP or to a raw session: sniff what it asks for, choose the filter chain, put TLS
 * on, hand over.
 */
#include <unistd.h>

#include "base/mem.h"
#include "proxy/downstream/internal.h"

enum { HANDSHAKE_TIMEOUT_MS = 15000 };

enum connection_state { CONNECTION_SNIFF, CONNECTION_TLS, CONNECTION_HTTP, CONNECTION_RAW };

struct connection {
    struct list link;
    struct listener *listener;
    enum connection_state state;
    struct transport *transport; /* until it is handed over */
    struct http_server *http;
    struct timer timer; /* of sniffing, of the handshake, then max_connection_duration */
    struct addr *original; /* the address the client meant; NULL: the one it reached */
    char *sni;             /* behind view.sni */
    int64_t bucket_us, budget_us; /* requests_per_second */
    struct connection_view view;
};

static unsigned slot(const struct connection *c)
{
    return loop_index(c->listener->owner->loop);
}

static void connection_free(void *p)
{
    struct connection *c = p;
    listener_conf_unref(&c->view.listener);
    mem_free(c->sni);
    mem_free(c->original);
    if (c->state == CONNECTION_RAW) { /* its own reference: a session outlives its transport */
        struct transport_info *info = (struct transport_info *)(uintptr_t)c->view.info;
        transport_info_unref(&info);
    }
    mem_free(c);
}

/* Out of all books; whatever it still holds is cut. */
static void connection_end(struct connection *c)
{
    struct listener *l = c->listener;
    struct downstream *d = l->owner;
    timer_cancel(&c->timer);
    transport_close(&c->transport, TRANSPORT_ABORT);
    list_remove(&c->link);
    stat_sub(l->stats.cx_active, slot(c), 1);
    stat_add(l->stats.cx_destroy, slot(c), 1);
    d->connections--;
    atomic_fetch_sub_explicit(d->options.connections, 1, memory_order_relaxed);
    loop_free_later(d->loop, connection_free, c);
    listener_check_done(l);
}

void connection_done(struct connection *c)
{
    connection_end(c);
}

/* ---- HTTP ---- */

/* A token bucket that holds one second's worth. */
static bool take_token(struct connection *c, uint32_t per_second)
{
    if (per_second == 0) {
        return true;
    }
    int64_t now = loop_now_us(c->listener->owner->loop), full = 1000000;
    int64_t since = c->bucket_us == 0 ? full : now - c->bucket_us;
    c->bucket_us = now;
    c->budget_us += since > full ? full : since; /* time saved up: a request costs 1 s / per_second of it */
    c->budget_us = c->budget_us > full ? full : c->budget_us;
    int64_t cost = full / per_second;
    if (c->budget_us < cost) {
        return false;
    }
    c->budget_us -= cost;
    return true;
}

static void on_stream(void *ctx, struct stream *s)
{
    struct connection *c = ctx;
    struct downstream *d = c->listener->owner;
    c->view.info = http_server_info(c->http);
    c->view.too_fast = !take_token(c, d->options.limits->requests_per_second);
    d->options.events->on_stream(d->options.ctx, &c->view, s);
}

static void on_refused(void *ctx, unsigned status, const struct err *why)
{
    struct connection *c = ctx;
    struct downstream *d = c->listener->owner;
    stat_add(c->listener->stats.refused, slot(c), 1);
    c->view.info = http_server_info(c->http);
    if (why != NULL) {
        d->options.events->on_refused(d->options.ctx, &c->view, status, why);
    }
}

static void on_count(void *ctx, enum h2_count what, uint32_t n)
{
    struct connection *c = ctx;
    stat_add(c->listener->owner->http2[what], slot(c), n);
}

static void on_http_closed(void *ctx)
{
    struct connection *c = ctx;
    c->http = NULL;
    connection_end(c);
}

static const struct http_server_events http_events = {
    .on_stream = on_stream,
    .on_refused = on_refused,
    .on_count = on_count,
    .on_closed = on_http_closed,
};

/* The transport is open: the chain's protocol takes over. */
static void connection_start(struct connection *c)
{
    struct downstream *d = c->listener->owner;
    const struct chain_conf *chain = c->view.chain;
    timer_cancel(&c->timer);
    switch (chain->kind) {
    case CHAIN_EMPTY:
        connection_end(c);
        return;
    case CHAIN_HTTP:
        c->state = CONNECTION_HTTP;
        c->http = http_server_create(&c->transport, listener_http(c->listener, chain), &http_events, c);
        if (c->listener->draining) { /* it was accepted before, its handshake ended after */
            http_server_drain(c->http);
        }
        if (chain->hcm->max_connection_duration_ms != 0) {
            timer_set_in(&c->timer, chain->hcm->max_connection_duration_ms);
        }
        return;
    case CHAIN_TCP:
        c->state = CONNECTION_RAW;
        c->view.info = transport_info_ref(c->transport->info);
        struct transport *t = c->transport;
        c->transport = NULL;
        d->options.events->on_raw(d->options.ctx, c, &c->view, &t);
        return;
    }
}

/* ---- TLS ---- */

static void on_tls_open(void *ctx)
{
    struct connection *c = ctx;
    stat_add(c->listener->stats.handshake, slot(c), 1);
    connection_start(c);
}

static void on_quiet(void *ctx)
{
    (void)ctx;
}

static void on_early_close(void *ctx, const struct err *why)
{
    struct connection *c = ctx;
    c->transport = NULL;
    if (c->state == CONNECTION_TLS && why->kind == ERR_TLS) {
        stat_add(c->listener->stats.tls_error, slot(c), 1);
    }
    connection_end(c);
}

static const struct transport_events tls_events = {
    .on_open = on_tls_open,
    .on_readable = on_quiet,
    .on_writable = on_quiet,
    .on_closed = on_early_close,
};

static void connection_choose(struct connection *c, const struct sniff_hello *hello)
{
    struct listener *l = c->listener;
    struct chain_query query = {
        .local = c->original != NULL ? c->original : c->transport->info->local,
        .remote = c->transport->info->remote,
        .transport_protocol = hello != NULL ? SLICE("tls") : SLICE("raw_buffer"),
    };
    if (hello != NULL) {
        query.sni = hello->sni;
        query.alpns = hello->alpn;
        query.n_alpns = hello->n_alpn;
        c->sni = hello->sni.n == 0 ? NULL : mem_str_slice(hello->sni);
        c->view.sni = slice_make(c->sni, hello->sni.n);
    }
    c->view.chain = listener_choose_chain(l->conf, &query);
    if (c->view.chain == NULL) {
        stat_add(l->stats.no_chain, slot(c), 1);
        connection_end(c);
        return;
    }
    if (c->view.chain->tls == NULL) {
        connection_start(c);
        return;
    }
    c->state = CONNECTION_TLS;
    uint32_t limit = c->view.chain->tls_connect_timeout_ms;
    timer_set_in(&c->timer, limit == 0 ? HANDSHAKE_TIMEOUT_MS : limit);
    c->transport = tls_transport_server(c->transport, c->view.chain->tls);
    transport_own(c->transport, &tls_events, c);
}

/* ---- sniffing ---- */

static void on_sniff_readable(void *ctx)
{
    struct connection *c = ctx;
    struct sniff_hello hello;
    switch (sniff_client_hello(&c->transport->in, &hello)) {
    case SNIFF_MORE:
        if (!c->transport->in_eof) {
            return;
        }
        break;
    case SNIFF_TLS:
        connection_choose(c, &hello);
        return;
    case SNIFF_NOT_TLS:
    case SNIFF_BAD:
        break;
    }
    connection_choose(c, NULL);
}

static const struct transport_events sniff_events = {
    .on_open = on_quiet,
    .on_readable = on_sniff_readable,
    .on_writable = on_quiet,
    .on_closed = on_early_close,
};

static void on_timeout(struct timer *timer)
{
    struct connection *c = container_of(timer, struct connection, timer);
    if (c->state == CONNECTION_HTTP) {
        http_server_drain(c->http); /* old enough: what is open still ends in order */
        return;
    }
    stat_add(c->listener->stats.filters_timeout, slot(c), 1);
    if (c->state == CONNECTION_SNIFF && c->listener->conf->continue_on_filters_timeout) {
        connection_choose(c, NULL);
        return;
    }
    connection_end(c);
}

/* ---- */

static bool over_limit(struct listener *l)
{
    struct downstream *d = l->owner;
    if (d->options.overload != NULL && atomic_load_explicit(d->options.overload, memory_order_relaxed) >= OVERLOAD_CLOSE_CONNECTIONS) {
        stat_add(l->stats.cx_overload, loop_index(d->loop), 1);
        return true;
    }
    unsigned before = atomic_fetch_add_explicit(d->options.connections, 1, memory_order_relaxed);
    if (before < d->options.limits->max_connections) {
        return false;
    }
    atomic_fetch_sub_explicit(d->options.connections, 1, memory_order_relaxed);
    stat_add(l->stats.cx_overflow, loop_index(d->loop), 1);
    return true;
}

void connection_accept(struct listener *l, int fd, const struct addr *peer)
{
    struct downstream *d = l->owner;
    if (over_limit(l)) {
        close(fd);
        return;
    }
    struct connection *c = mem_alloc(sizeof *c);
    c->listener = l;
    c->view.listener = listener_conf_ref(l->conf);
    list_push(&l->connections, &c->link);
    d->connections++;
    stat_add(l->stats.cx_total, slot(c), 1);
    stat_add(l->stats.cx_active, slot(c), 1);
    timer_init(&c->timer, d->loop, on_timeout);
    struct addr original;
    if (l->conf->original_dst && listen_original_dst(fd, &original)) {
        c->original = mem_alloc(sizeof original);
        addr_copy(c->original, &original);
    }
    c->transport = socket_transport_create(d->loop, fd, peer);
    if (l->conf->tls_inspector) {
        transport_own(c->transport, &sniff_events, c);
        uint32_t limit = l->conf->filters_timeout_ms;
        if (limit != 0) {
            timer_set_in(&c->timer, limit);
        }
        return;
    }
    transport_own(c->transport, &sniff_events, c);
    connection_choose(c, NULL);
}

void connection_drain(struct list *link)
{
    struct connection *c = container_of(link, struct connection, link);
    if (c->http != NULL) {
        http_server_drain(c->http);
    }
}

void connection_abort(struct list *link)
{
    struct connection *c = container_of(link, struct connection, link);
    if (c->http != NULL) {
        http_server_abort(&c->http);
        connection_end(c);
    } else if (c->state != CONNECTION_RAW) {
        connection_end(c);
    }
}
