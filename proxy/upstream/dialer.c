/*
 * Builds one transport stack: TCP or a CONNECT stream through another cluster, then TLS. The cluster's connect timeout
 * covers the whole of it, handshakes included.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/upstream/internal.h"

struct dialer {
    struct loop *loop;
    struct host *host;
    const struct dialer_events *events;
    void *ctx;
    char sni[256];
    struct timer timer;
    struct transport *transport; /* the layer being opened */
    bool tls_done;               /* nothing is left to stack */
    struct acquire *tunnel;      /* towards the cluster that carries us */
    struct arena *arena;         /* of the CONNECT exchange; passes to the tunnel's transport */
    struct stream *connect;
    const struct tcp_conf *via;
    struct loop_task start;
};

static void dialer_free(void *p)
{
    struct dialer *d = p;
    arena_destroy(&d->arena);
    mem_free(d);
}

/* Ends the dialer: everything it holds goes, nobody hears of it again. */
static void dialer_end(struct dialer *d)
{
    timer_cancel(&d->timer);
    loop_task_cancel(&d->start);
    upstream_cancel(&d->tunnel);
    stream_release(&d->connect);
    transport_close(&d->transport, TRANSPORT_ABORT);
    loop_free_later(d->loop, dialer_free, d);
}

static void dialer_fail(struct dialer *d, const struct err *why)
{
    struct err err = *why;
    const struct dialer_events *events = d->events;
    void *ctx = d->ctx;
    err.side = ERR_SIDE_UPSTREAM;
    err.retry = ERR_RETRY_ALWAYS;
    dialer_end(d);
    events->on_failed(ctx, &err);
}

void dialer_cancel(struct dialer **d)
{
    if (*d != NULL) {
        dialer_end(*d);
        *d = NULL;
    }
}

static void dialer_done(struct dialer *d)
{
    struct transport *t = d->transport;
    const struct dialer_events *events = d->events;
    void *ctx = d->ctx;
    d->transport = NULL;
    dialer_end(d);
    events->on_done(ctx, &t);
}

static void on_layer_open(void *ctx);

static void on_layer_readable(void *ctx)
{
    (void)ctx; /* bytes wait in the transport until its next owner comes */
}

static void on_layer_writable(void *ctx)
{
    (void)ctx;
}

static void on_layer_closed(void *ctx, const struct err *why)
{
    struct dialer *d = ctx;
    struct err err = *why;
    d->transport = NULL;
    if (err.kind == ERR_NONE) {
        err_set(&err, ERR_RESET, "%s: closed during the handshake", d->host->text);
    } else {
        err_prefix(&err, "%s", d->host->text);
    }
    dialer_fail(d, &err);
}

static const struct transport_events layer_events = {
    .on_open = on_layer_open,
    .on_readable = on_layer_readable,
    .on_writable = on_layer_writable,
    .on_closed = on_layer_closed,
};

/* A layer is open: put TLS on it if that is still to come, else hand over. */
static void dialer_step(struct dialer *d)
{
    const struct cluster_conf *conf = d->host->cluster->conf;
    if (conf->tls == NULL || d->tls_done) {
        dialer_done(d);
        return;
    }
    d->tls_done = true;
    struct slice sni = d->sni[0] != '\0' ? slice_of(d->sni) : conf->sni;
    d->transport = tls_transport_client(d->transport, conf->tls, sni);
    transport_own(d->transport, &layer_events, d);
}

static void on_layer_open(void *ctx)
{
    dialer_step(ctx);
}

static void on_timeout(struct timer *timer)
{
    struct dialer *d = container_of(timer, struct dialer, timer);
    struct err err;
    err_set(&err, ERR_TIMEOUT, "%s: no connection within %u ms", d->host->text, d->host->cluster->conf->connect_timeout_ms);
    err.os_errno = ETIMEDOUT;
    dialer_fail(d, &err);
}

/* ---- through another cluster ---- */

/* What the gateway says about its dial (RFC 9209): `gw; error=connection_refused; details="…"`. */
static void explain_proxy_status(struct slice value, struct err *err)
{
    static const struct {
        const char *error;
        enum err_kind kind;
        int code;
    } table[] = {
        {"error=connection_refused", ERR_IO, ECONNREFUSED},
        {"error=connection_timeout", ERR_TIMEOUT, ETIMEDOUT},
        {"error=connection_terminated", ERR_IO, ECONNRESET},
        {"error=destination_ip_unroutable", ERR_IO, EHOSTUNREACH},
        {"error=destination_ip_prohibited", ERR_DENIED, EACCES},
        {"error=dns_error", ERR_RESOLVE, 0},
        {"error=dns_timeout", ERR_RESOLVE, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (slice_search(value, slice_of(table[i].error)) < value.n) {
            err->kind = table[i].kind;
            err->os_errno = table[i].code;
            return;
        }
    }
}

static void on_connect_head(void *ctx, struct head *head)
{
    struct dialer *d = ctx;
    if (head->status < 200) {
        return;
    }
    if (head->status > 299) {
        struct err err;
        struct slice status = head_value_id(head, FIELD_PROXY_STATUS);
        err_set(&err, ERR_PROTOCOL, "%s: CONNECT %.*s through %.*s answered %u%s%.*s", d->host->text,
                SLICE_ARG(d->via->tunnel_hostname), SLICE_ARG(d->via->cluster), head->status,
                status.n > 0 ? ", Proxy-Status " : "", SLICE_ARG(status));
        explain_proxy_status(status, &err);
        dialer_fail(d, &err);
        return;
    }
    d->transport = stream_transport_create(&d->connect, &d->arena);
    transport_own(d->transport, &layer_events, d);
    dialer_step(d);
}

static void on_connect_readable(void *ctx)
{
    (void)ctx;
}

static void on_connect_writable(void *ctx)
{
    (void)ctx;
}

static void on_connect_closed(void *ctx, const struct err *why)
{
    struct dialer *d = ctx;
    struct err err = *why;
    if (err.kind == ERR_NONE) {
        err_set(&err, ERR_RESET, "the tunnel was closed");
    }
    err_prefix(&err, "%s: through %.*s", d->host->text, SLICE_ARG(d->via->cluster));
    dialer_fail(d, &err);
}

static const struct stream_events connect_events = {
    .on_head = on_connect_head,
    .on_readable = on_connect_readable,
    .on_writable = on_connect_writable,
    .on_closed = on_connect_closed,
};

static void on_tunnel_ready(void *ctx, struct stream *s, const struct upstream_target *target)
{
    struct dialer *d = ctx;
    (void)target;
    d->tunnel = NULL;
    d->connect = s;
    if (s->raw) {
        d->transport = stream_transport_create(&d->connect, &d->arena);
        transport_own(d->transport, &layer_events, d);
        dialer_step(d);
        return;
    }
    struct head head;
    head_init(&head, d->arena);
    head.method = SLICE("CONNECT");
    head.authority = d->via->tunnel_hostname;
    for (size_t i = 0; i < d->via->n_tunnel_headers; i++) {
        head_add(&head, d->via->tunnel_headers[i].name, d->via->tunnel_headers[i].value);
    }
    stream_send_head(s, &head, false);
}

static void on_tunnel_failed(void *ctx, const struct err *why, const struct upstream_target *target)
{
    struct dialer *d = ctx;
    struct err err = *why;
    (void)target;
    d->tunnel = NULL;
    err_prefix(&err, "%s: through %.*s", d->host->text, SLICE_ARG(d->via->cluster));
    dialer_fail(d, &err);
}

static const struct acquire_events tunnel_events = {.on_ready = on_tunnel_ready, .on_failed = on_tunnel_failed};

static void dial_internal(struct dialer *d)
{
    struct upstream *u = d->host->cluster->up;
    d->via = internal_target(u->snapshot, d->host->endpoint.host);
    if (d->via == NULL) {
        struct err err;
        err_set(&err, ERR_NOT_FOUND, "%s: no internal listener of that name with a tcp_proxy", d->host->text);
        dialer_fail(d, &err);
        return;
    }
    d->arena = arena_create(0);
    /* `via` belongs to the snapshot, which may be replaced while we wait. */
    struct tcp_conf *copy = arena_alloc(d->arena, sizeof *copy);
    *copy = *d->via;
    copy->cluster = arena_slice(d->arena, copy->cluster);
    copy->tunnel_hostname = arena_slice(d->arena, copy->tunnel_hostname);
    struct header_add_conf *headers = arena_alloc(d->arena, (copy->n_tunnel_headers + 1) * sizeof *headers);
    for (size_t i = 0; i < copy->n_tunnel_headers; i++) {
        headers[i] = copy->tunnel_headers[i];
        headers[i].name = arena_slice(d->arena, headers[i].name);
        headers[i].value = arena_slice(d->arena, headers[i].value);
    }
    copy->tunnel_headers = headers;
    d->via = copy;
    struct acquire_request request = {
        .cluster = copy->cluster,
        .arena = d->arena,
        .stream_events = &connect_events,
        .stream_ctx = d,
        .raw = copy->tunnel_hostname.n == 0,
        .authority = copy->tunnel_hostname,
    };
    d->tunnel = upstream_acquire(u, &request, &tunnel_events, d);
}

static void dial_socket(struct dialer *d)
{
    struct dial_tcp how = d->host->cluster->conf->socket;
    how.remote = d->host->addr;
    how.connect_timeout_ms = d->host->cluster->conf->connect_timeout_ms;
    d->transport = socket_transport_dial(d->loop, &how);
    transport_own(d->transport, &layer_events, d);
}

static void run_start(struct loop_task *task)
{
    struct dialer *d = container_of(task, struct dialer, start);
    if (d->host->endpoint.kind == ENDPOINT_INTERNAL) {
        dial_internal(d);
    } else {
        dial_socket(d);
    }
}

struct dialer *dialer_start(struct host *h, struct slice sni, const struct dialer_events *events, void *ctx)
{
    struct dialer *d = mem_alloc(sizeof *d);
    d->loop = h->cluster->up->loop;
    d->host = h;
    d->events = events;
    d->ctx = ctx;
    if (sni.n < sizeof d->sni) {
        memcpy(d->sni, sni.n == 0 ? "" : sni.p, sni.n);
    }
    timer_init(&d->timer, d->loop, on_timeout);
    timer_set_in(&d->timer, h->cluster->conf->connect_timeout_ms);
    loop_task_init(&d->start, run_start);
    loop_deliver(d->loop, &d->start);
    return d;
}
