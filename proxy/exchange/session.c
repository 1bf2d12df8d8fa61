/* A raw TCP session (tcp_proxy): no codec, the same pump; with tunneling_config, through a CONNECT stream. */
#include "base/mem.h"
#include "proxy/exchange/internal.h"

struct session {
    struct list link;
    struct exchanger *owner;
    struct connection *connection;
    struct listener_conf *listener; /* held: tcp_conf lives in it */
    const struct tcp_conf *conf;
    struct tcp_stats *stats;
    struct slice cluster;
    struct arena *arena;
    struct stream *down, *up;
    struct acquire *acquire;
    struct timer idle, duration;
    struct record record;
    unsigned attempts;
    bool established; /* up carries our bytes: connected, or its CONNECT was answered */
    bool up_over, down_over; /* closed in order; bytes of it may still wait for room on the other side */
};

static void session_free(void *p)
{
    struct session *s = p;
    arena_destroy(&s->arena);
    mem_free(s);
}

static void count(struct session *s, struct stat_handle *counter, uint64_t n)
{
    stat_add(counter, loop_index(s->owner->loop), n);
}

static void session_end(struct session *s)
{
    struct exchanger *e = s->owner;
    s->record.end_us = loop_now_us(e->loop);
    if (s->down != NULL) {
        s->record.bytes_received = s->down->bytes_in;
        s->record.bytes_sent = s->down->bytes_out;
    }
    count(s, s->stats->rx_bytes, s->record.bytes_received);
    count(s, s->stats->tx_bytes, s->record.bytes_sent);
    for (size_t i = 0; i < s->conf->n_access_logs; i++) {
        access_log_write(s->conf->access_logs[i], &s->record);
    }
    timer_cancel(&s->idle);
    timer_cancel(&s->duration);
    upstream_cancel(&s->acquire);
    stream_release(&s->up);
    stream_release(&s->down);
    list_remove(&s->link);
    listener_conf_unref(&s->listener);
    connection_done(s->connection);
    loop_free_later(e->loop, session_free, s);
    exchanger_closed(e);
}

void session_cut(struct list *link)
{
    session_end(container_of(link, struct session, link));
}

static void move(struct session *s, struct stream *from, struct stream *to)
{
    if (s->established && pump(from, to) > 0 && timer_is_set(&s->idle)) {
        timer_set_in(&s->idle, s->conf->idle_timeout_ms);
    }
}

static void check_end(struct session *s);

static void on_down_readable(void *ctx)
{
    struct session *s = ctx;
    move(s, s->down, s->up);
    if (s->up_over || s->down_over) {
        check_end(s);
    }
}

static void on_down_writable(void *ctx)
{
    struct session *s = ctx;
    move(s, s->up, s->down);
    if (s->up_over || s->down_over) {
        check_end(s);
    }
}

static void on_no_head(void *ctx, struct head *head)
{
    (void)ctx;
    (void)head;
}

/* One side is over for good: the session ends once all its bytes have gone to the other, on an error at once. */
static void check_end(struct session *s)
{
    bool up_done = s->up_over && buf_is_empty(&s->up->in);
    bool down_done = s->down_over && (s->up == NULL || buf_is_empty(&s->down->in));
    if (up_done || down_done) {
        session_end(s);
    }
}

static void side_closed(struct session *s, const struct err *why)
{
    if (why->kind != ERR_NONE) {
        s->record.termination = arena_slice(s->arena, slice_of(why->text));
        session_end(s);
        return;
    }
    move(s, s->down, s->up);
    move(s, s->up, s->down);
    check_end(s);
}

static void on_down_closed(void *ctx, const struct err *why)
{
    struct session *s = ctx;
    s->down_over = true;
    side_closed(s, why);
}

static void session_acquire(struct session *s);

static void not_connected(struct session *s, const struct err *why)
{
    stream_release(&s->up);
    bool unknown = why->kind == ERR_NOT_FOUND, full = why->kind == ERR_OVERFLOW;
    if (!unknown && !full && ++s->attempts < s->conf->max_connect_attempts) {
        session_acquire(s);
        return;
    }
    count(s, s->stats->no_route, unknown);
    s->record.flags |= unknown ? FLAG_NO_CLUSTER : full ? FLAG_UPSTREAM_OVERFLOW : FLAG_UPSTREAM_CONNECTION_FAILURE;
    s->record.upstream_failure = arena_slice(s->arena, slice_of(why->text));
    session_end(s);
}

static void on_up_closed(void *ctx, const struct err *why)
{
    struct session *s = ctx;
    if (!s->established) {
        not_connected(s, why);
        return;
    }
    s->up_over = true;
    side_closed(s, why);
}

static void established(struct session *s)
{
    s->established = true;
    s->record.reached_upstream = true;
    move(s, s->down, s->up);
    move(s, s->up, s->down);
}

/* The answer to our CONNECT. */
static void on_up_head(void *ctx, struct head *head)
{
    struct session *s = ctx;
    if (s->established || head->status < 200) {
        return;
    }
    if (head->status > 299) {
        struct err err;
        err_set(&err, ERR_PROTOCOL, "CONNECT %.*s answered %u", SLICE_ARG(s->conf->tunnel_hostname), head->status);
        not_connected(s, &err);
        return;
    }
    established(s);
}

static const struct stream_events down_events = {
    .on_head = on_no_head,
    .on_readable = on_down_readable,
    .on_writable = on_down_writable,
    .on_closed = on_down_closed,
};

static const struct stream_events up_events = {
    .on_head = on_up_head,
    .on_readable = on_down_writable, /* the same move, seen from the other side */
    .on_writable = on_down_readable,
    .on_closed = on_up_closed,
};

static void send_connect(struct session *s)
{
    struct head head;
    head_init(&head, s->arena);
    head.method = SLICE("CONNECT");
    head.authority = s->conf->tunnel_hostname;
    for (size_t i = 0; i < s->conf->n_tunnel_headers; i++) {
        head_add(&head, s->conf->tunnel_headers[i].name, s->conf->tunnel_headers[i].value);
    }
    stream_send_head(s->up, &head, false);
}

static void on_ready(void *ctx, struct stream *up, const struct upstream_target *target)
{
    struct session *s = ctx;
    s->acquire = NULL;
    s->up = up;
    s->record.upstream_host = arena_slice(s->arena, slice_of(target->host));
    s->record.upstream_start_us = loop_now_us(s->owner->loop);
    if (up->raw) {
        established(s);
    } else {
        send_connect(s);
    }
}

static void on_failed(void *ctx, const struct err *why, const struct upstream_target *target)
{
    struct session *s = ctx;
    (void)target;
    s->acquire = NULL;
    not_connected(s, why);
}

static const struct acquire_events acquire_events = {.on_ready = on_ready, .on_failed = on_failed};

static void session_acquire(struct session *s)
{
    struct acquire_request request = {
        .cluster = s->cluster,
        .arena = s->arena,
        .stream_events = &up_events,
        .stream_ctx = s,
        .raw = s->conf->tunnel_hostname.n == 0,
        .authority = s->conf->tunnel_hostname,
    };
    s->record.attempts++;
    s->acquire = upstream_acquire(s->owner->upstream, &request, &acquire_events, s);
}

static void on_idle(struct timer *timer)
{
    struct session *s = container_of(timer, struct session, idle);
    s->record.flags |= FLAG_STREAM_IDLE_TIMEOUT;
    count(s, s->stats->idle_timeout, 1);
    session_end(s);
}

static void on_duration(struct timer *timer)
{
    struct session *s = container_of(timer, struct session, duration);
    s->record.flags |= FLAG_DURATION_TIMEOUT;
    count(s, s->stats->max_duration, 1);
    session_end(s);
}

static struct slice choose_cluster(struct exchanger *e, const struct tcp_conf *conf)
{
    uint64_t total = 0;
    for (size_t i = 0; i < conf->n_weighted; i++) {
        total += conf->weighted[i].weight;
    }
    uint64_t point = total == 0 ? 0 : exchanger_random(e) % total;
    for (size_t i = 0; i < conf->n_weighted; i++) {
        if (point < conf->weighted[i].weight) {
            return conf->weighted[i].name;
        }
        point -= conf->weighted[i].weight;
    }
    return conf->cluster;
}

static void start_timers(struct session *s)
{
    timer_init(&s->idle, s->owner->loop, on_idle);
    timer_init(&s->duration, s->owner->loop, on_duration);
    if (s->conf->idle_timeout_ms != 0) {
        timer_set_in(&s->idle, s->conf->idle_timeout_ms);
    }
    if (s->conf->max_duration_ms != 0) {
        timer_set_in(&s->duration, s->conf->max_duration_ms);
    }
}

void session_create(struct exchanger *e, struct connection *c, const struct connection_view *view, struct transport **t)
{
    struct session *s = mem_alloc(sizeof *s);
    s->owner = e;
    s->connection = c;
    s->listener = listener_conf_ref(view->listener);
    s->conf = view->chain->tcp;
    s->stats = exchanger_tcp_stats(e, s->conf->stat_prefix);
    count(s, s->stats->cx_total, 1);
    s->cluster = choose_cluster(e, s->conf);
    s->arena = arena_create(0);
    s->down = raw_stream_create(t, s->arena, &down_events, s);
    s->record = (struct record){
        .start_wall_us = loop_wall_us(e->loop),
        .start_us = loop_now_us(e->loop),
        .downstream = s->down->info, /* outlives the transport */
        .listener = view->listener->name,
        .filter_chain = view->chain->name,
        .cluster = s->cluster,
    };
    addr_copy(&s->record.client, view->info->remote);
    start_timers(s);
    list_push(&e->sessions, &s->link);
    exchanger_opened(e);
    session_acquire(s);
}
