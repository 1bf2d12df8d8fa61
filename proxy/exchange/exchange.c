#include "proxy/exchange/exchange.h"

#include "base/crypto/crypto.h"
#include "base/mem.h"
#include "proxy/exchange/internal.h"

/* ---- snapshots ---- */

static void held_free(void *p)
{
    mem_free(p);
}

static void held_drop(struct exchanger *e, struct held *h)
{
    list_remove(&h->link);
    snapshot_unref(&h->snapshot);
    loop_free_later(e->loop, held_free, h);
}

struct held *held_acquire(struct exchanger *e)
{
    e->current->users++;
    return e->current;
}

void held_release(struct exchanger *e, struct held **h)
{
    struct held *old = *h;
    *h = NULL;
    if (old != NULL && --old->users == 0 && old != e->current) {
        held_drop(e, old);
    }
}

void exchanger_update(struct exchanger *e, struct snapshot *snapshot)
{
    struct held *before = e->current;
    struct held *h = mem_alloc(sizeof *h);
    list_init(&h->link);
    h->snapshot = snapshot_ref(snapshot);
    e->current = h;
    if (before == NULL) {
        return;
    }
    if (before->users == 0) {
        held_drop(e, before);
    } else {
        list_push(&e->old, &before->link);
    }
}

/* ---- counters ---- */

struct hcm_stats *exchanger_hcm_stats(struct exchanger *e, struct slice prefix)
{
    struct hcm_stats *s = e->hcm_last; /* a worker rarely has more than one prefix */
    if (s != NULL && slice_eq(slice_of(s->prefix), prefix)) {
        return s;
    }
    s = map_get(e->hcm_stats, prefix);
    if (s != NULL) {
        e->hcm_last = s;
        return s;
    }
    s = mem_alloc(sizeof *s);
    s->prefix = mem_str_slice(prefix);
#define X(field, name) s->field = stat_counter(e->stats, "http.{envoy_http_conn_manager_prefix}." name, &prefix);
    HCM_COUNTERS(X)
#undef X
    s->rq_active = stat_gauge(e->stats, "http.{envoy_http_conn_manager_prefix}.downstream_rq_active", &prefix);
    s->rq_time = stat_histogram(e->stats, "http.{envoy_http_conn_manager_prefix}.downstream_rq_time", &prefix);
    map_put(e->hcm_stats, prefix, s);
    e->hcm_last = s;
    return s;
}

static void hcm_stats_free(void *p)
{
    struct hcm_stats *s = p;
#define X(field, name) stat_release(&s->field);
    HCM_COUNTERS(X)
#undef X
    stat_release(&s->rq_active);
    stat_release(&s->rq_time);
    mem_free(s->prefix);
    mem_free(s);
}

uint64_t exchanger_random(struct exchanger *e)
{
    uint64_t a = e->random[0], b = e->random[1];
    e->random[0] = b;
    a ^= a << 23;
    e->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return e->random[1] + b;
}

void exchanger_opened(struct exchanger *e)
{
    e->active++;
}

void exchanger_closed(struct exchanger *e)
{
    if (--e->active == 0 && e->on_idle != NULL) {
        e->on_idle(e->ctx);
    }
}

/* ---- */

struct exchanger *exchanger_create(const struct exchanger_options *options)
{
    struct exchanger *e = mem_alloc(sizeof *e);
    e->loop = options->loop;
    e->upstream = options->upstream;
    e->stats = options->stats;
    e->limits = options->limits;
    e->overload = options->overload;
    e->on_idle = options->on_idle;
    e->ctx = options->ctx;
    list_init(&e->old);
    list_init(&e->sessions);
    e->hcm_stats = map_create(hcm_stats_free);
    e->tcp_stats = map_create(tcp_stats_free);
    e->mac = apim_mac_create();
    crypto_random(e->random, sizeof e->random);
    e->random[0] |= 1;
    return e;
}

void exchanger_destroy(struct exchanger **e)
{
    if (*e == NULL) {
        return;
    }
    struct exchanger *x = *e;
    x->on_idle = NULL;
    while (!list_is_empty(&x->sessions)) {
        session_cut(x->sessions.next);
    }
    while (!list_is_empty(&x->old)) {
        held_drop(x, container_of(x->old.next, struct held, link));
    }
    if (x->current != NULL) {
        held_drop(x, x->current);
    }
    map_destroy(&x->hcm_stats);
    map_destroy(&x->tcp_stats);
    apim_mac_destroy(&x->mac);
    mem_free(x);
    *e = NULL;
}

unsigned exchanger_active(const struct exchanger *e)
{
    return e->active;
}

static void on_stream(void *ctx, const struct connection_view *c, struct stream *s)
{
    request_create(ctx, c, s);
}

static void on_raw(void *ctx, struct connection *c, const struct connection_view *view, struct transport **t)
{
    session_create(ctx, c, view, t);
}

/* A head that never became a request still leaves a line in the access log. */
static void on_refused(void *ctx, const struct connection_view *c, unsigned status, const struct err *why)
{
    struct exchanger *e = ctx;
    const struct hcm_conf *hcm = c->chain->hcm;
    int64_t now = loop_now_us(e->loop);
    struct record record = {
        .start_wall_us = loop_wall_us(e->loop),
        .start_us = now,
        .end_us = now,
        .downstream = c->info,
        .status = status,
        .flags = FLAG_DOWNSTREAM_PROTOCOL_ERROR,
        .details = SLICE("http1.codec_error"),
        .termination = slice_of(why->text),
        .listener = c->listener->name,
        .filter_chain = c->chain->name,
    };
    addr_copy(&record.client, c->info->remote);
    struct hcm_stats *stats = exchanger_hcm_stats(e, hcm->stat_prefix);
    stat_add(stats->rq_total, loop_index(e->loop), 1);
    stat_add(status < 500 ? stats->rq_4xx : stats->rq_5xx, loop_index(e->loop), 1);
    for (size_t i = 0; i < hcm->n_access_logs; i++) {
        access_log_write(hcm->access_logs[i], &record);
    }
}

const struct downstream_events exchange_downstream_events = {
    .on_stream = on_stream,
    .on_raw = on_raw,
    .on_refused = on_refused,
};
