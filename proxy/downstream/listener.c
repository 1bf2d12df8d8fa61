/* Listeners of one worker: which there are, what each accepts, and how a changed one gives way. */
#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/downstream/internal.h"

static void fill_http(struct http_server_config *out, const struct downstream *d, const struct listener_conf *l,
                      const struct hcm_conf *h)
{
    *out = (struct http_server_config){
        .codec = (enum http_codec)h->codec,
        .h1 = h->h1,
        .h2 = h->h2,
        .idle_timeout_ms = h->idle_timeout_ms,
        .request_headers_timeout_ms = h->request_headers_timeout_ms,
        .max_requests = h->max_requests,
        .buffer_limit = l->buffer_limit,
        .lingering_ms = h->delayed_close_ms,
        .discard_bytes = d->options.limits->early_response_discard_bytes,
    };
}

const struct http_server_config *listener_http(const struct listener *l, const struct chain_conf *chain)
{
    return chain == l->conf->default_chain ? &l->http[l->conf->n_chains] : &l->http[chain - l->conf->chains];
}

static void on_accept(void *ctx, int fd, const struct addr *peer)
{
    connection_accept(ctx, fd, peer);
}

static void on_accept_error(void *ctx, const struct err *why)
{
    const struct listener *l = ctx;
    LOG(LOG_WARN, "connection", "listener %.*s: accept: %s", SLICE_ARG(l->conf->name), why->text);
}

static const struct acceptor_events acceptor_events = {.on_accept = on_accept, .on_error = on_accept_error};

static void open_stats(struct listener *l)
{
    struct stats *stats = l->owner->options.stats;
    char text[ADDR_TEXT];
    char *name = mem_str(addr_text(&l->conf->addr, text));
    for (char *p = name; *p != '\0'; p++) {
        *p = *p == ':' || *p == '.' || *p == '/' ? '_' : *p;
    }
    struct slice tag = slice_of(name);
#define X(field, what) l->stats.field = stat_counter(stats, "listener.{envoy_listener_address}." what, &tag);
    LISTENER_COUNTERS(X)
#undef X
    l->stats.cx_active = stat_gauge(stats, "listener.{envoy_listener_address}.downstream_cx_active", &tag);
    mem_free(name);
}

static void close_stats(struct listener *l)
{
#define X(field, name) stat_release(&l->stats.field);
    LISTENER_COUNTERS(X)
#undef X
    stat_release(&l->stats.cx_active);
}

struct listener *listener_start(struct downstream *d, const struct listener_conf *conf, int fd)
{
    struct listener *l = mem_alloc(sizeof *l);
    l->owner = d;
    l->conf = listener_conf_ref(conf);
    l->fd = fd;
    list_init(&l->connections);
    l->http = mem_alloc((conf->n_chains + 1) * sizeof *l->http);
    for (size_t i = 0; i < conf->n_chains; i++) {
        if (conf->chains[i].kind == CHAIN_HTTP) {
            fill_http(&l->http[i], d, conf, conf->chains[i].hcm);
        }
    }
    if (conf->default_chain != NULL && conf->default_chain->kind == CHAIN_HTTP) {
        fill_http(&l->http[conf->n_chains], d, conf, conf->default_chain->hcm);
    }
    open_stats(l);
    if (fd >= 0 && !d->stopped) {
        l->acceptor = acceptor_create(d->loop, fd, &acceptor_events, l);
    }
    list_push(&d->listeners, &l->link);
    return l;
}

static void listener_free(void *p)
{
    struct listener *l = p;
    close_stats(l);
    listener_conf_unref(&l->conf);
    mem_free(l->http);
    mem_free(l);
}

void listener_check_done(struct listener *l)
{
    if (l->draining && list_is_empty(&l->connections)) {
        list_remove(&l->link);
        loop_free_later(l->owner->loop, listener_free, l);
    }
}

void listener_drain(struct listener *l)
{
    acceptor_destroy(&l->acceptor);
    list_remove(&l->link);
    list_push(&l->owner->draining, &l->link);
    l->draining = true;
    for (struct list *c = l->connections.next, *next; c != &l->connections; c = next) {
        next = c->next;
        connection_drain(c);
    }
    listener_check_done(l);
}

static struct listener *find(struct downstream *d, struct slice name)
{
    for (struct list *i = d->listeners.next; i != &d->listeners; i = i->next) {
        struct listener *l = container_of(i, struct listener, link);
        if (slice_eq(l->conf->name, name)) {
            return l;
        }
    }
    return NULL;
}

void downstream_update(struct downstream *d, struct snapshot *snapshot, const int *fds)
{
    for (struct list *i = d->listeners.next, *next; i != &d->listeners; i = next) {
        next = i->next;
        struct listener *l = container_of(i, struct listener, link);
        const struct listener_conf *now = snapshot_listener(snapshot, l->conf->name);
        if (now == NULL || now->hash != l->conf->hash) {
            listener_drain(l);
        }
    }
    for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
        const struct listener_conf *conf = snapshot_listener_at(snapshot, i);
        struct listener *l = find(d, conf->name);
        if (l != NULL && l->fd < 0 && fds[i] >= 0 && !d->stopped) {
            l->fd = fds[i];
            l->acceptor = acceptor_create(d->loop, fds[i], &acceptor_events, l);
        }
        if (l == NULL && !conf->internal) {
            listener_start(d, conf, fds[i]);
        }
    }
}

struct downstream *downstream_create(struct loop *loop, const struct downstream_options *options)
{
    struct downstream *d = mem_alloc(sizeof *d);
    d->loop = loop;
    d->options = *options;
    list_init(&d->listeners);
    list_init(&d->draining);
#define X(which, name) d->http2[which] = stat_counter(options->stats, "http2." name, NULL);
    HTTP2_COUNTERS(X)
#undef X
    return d;
}

void downstream_stop_accepting(struct downstream *d)
{
    d->stopped = true;
    for (struct list *i = d->listeners.next; i != &d->listeners; i = i->next) {
        acceptor_destroy(&container_of(i, struct listener, link)->acceptor);
    }
}

void downstream_drain(struct downstream *d)
{
    downstream_stop_accepting(d);
    for (struct list *i = d->listeners.next, *next; i != &d->listeners; i = next) {
        next = i->next;
        listener_drain(container_of(i, struct listener, link));
    }
}

void downstream_abort(struct downstream *d)
{
    downstream_drain(d); /* every listener is in `draining` now, and goes with its last connection */
    for (struct list *i = d->draining.next, *next; i != &d->draining; i = next) {
        next = i->next;
        struct listener *l = container_of(i, struct listener, link);
        for (struct list *c = l->connections.next, *after; c != &l->connections; c = after) {
            after = c->next;
            connection_abort(c);
        }
    }
}

void downstream_destroy(struct downstream **d)
{
    if (*d != NULL) {
        assert((*d)->connections == 0);
        downstream_abort(*d); /* listeners without connections */
        for (unsigned i = 0; i < H2_COUNTS; i++) {
            stat_release(&(*d)->http2[i]);
        }
        mem_free(*d);
        *d = NULL;
    }
}

unsigned downstream_connections(const struct downstream *d)
{
    return d->connections;
}
