/* The downstream half of a request: its events, its timers, its end. */
#include <assert.h>
#include <string.h>

#include "proxy/exchange/internal.h"

static unsigned slot(const struct request *r)
{
    return loop_index(r->owner->loop);
}

static const bool allowed[REQUEST_ENDED + 1][REQUEST_ENDED + 1] = {
    [REQUEST_NEW] = {[REQUEST_ACQUIRE] = true, [REQUEST_REPLIED] = true, [REQUEST_ENDED] = true},
    [REQUEST_ACQUIRE] = {[REQUEST_FORWARD] = true, [REQUEST_TUNNEL] = true, [REQUEST_REPLIED] = true,
                         [REQUEST_ENDED] = true},
    [REQUEST_FORWARD] = {[REQUEST_ACQUIRE] = true, [REQUEST_RESPONSE] = true, [REQUEST_TUNNEL] = true,
                         [REQUEST_REPLIED] = true, [REQUEST_ENDED] = true},
    [REQUEST_RESPONSE] = {[REQUEST_ENDED] = true},
    [REQUEST_TUNNEL] = {[REQUEST_ENDED] = true},
    [REQUEST_REPLIED] = {[REQUEST_ENDED] = true},
};

/* What leads the request from one state to the next holds for each of them in one place. */
void request_enter(struct request *r, enum request_state next)
{
    assert(allowed[r->state][next]);
    r->state = next;
    switch (next) {
    case REQUEST_TUNNEL:
        /* A tunnel may live for days: it keeps its listener and cluster's connection, not the configuration. */
        timers_no_timeout(r);
        timer_cancel(&r->receiving);
        retry_end(r);
        replay_end(r);
        apim_end(&r->host);
        record_detach(r);
        held_release(r->owner, &r->held);
        break;
    case REQUEST_REPLIED:
        retry_end(r);
        replay_end(r);
        apim_end(&r->host); /* the client may take its time with the answer */
        timers_no_timeout(r);
        timer_cancel(&r->receiving);
        upstream_cancel(&r->acquire);
        stream_release(&r->up);
        break;
    case REQUEST_ENDED:
        retry_end(r);
        replay_end(r);
        apim_end(&r->host);
        timers_stop(r);
        upstream_cancel(&r->acquire);
        stream_release(&r->up);
        break;
    case REQUEST_RESPONSE:
        retry_end(r);
        replay_end(r); /* what goes from here on goes once */
        break;
    case REQUEST_NEW:
    case REQUEST_ACQUIRE:
    case REQUEST_FORWARD:
        break;
    }
}

/* The whole request has been passed on. */
static void request_complete(struct request *r)
{
    if (r->request_done) {
        return;
    }
    r->request_done = true;
    r->record.request_end_us = loop_now_us(r->owner->loop);
}

static void pump_request(struct request *r)
{
    if (r->up == NULL || r->state < REQUEST_FORWARD || r->state > REQUEST_TUNNEL) {
        return;
    }
    if (!limits_request_body(r)) {
        return;
    }
    if (r->host.replaces_request_body && r->state == REQUEST_FORWARD) {
        size_t n = buf_len(&r->down->in);
        request_send_own_body(r);
        stream_taken(r->down, n);
        return;
    }
    if (r->host.request_stages != NULL && r->state != REQUEST_TUNNEL) {
        body_pump_request(r);
    } else if (replay_pump(r) > 0) {
        timers_touch(r);
    }
    if (r->up != NULL && r->up->out_end) {
        request_complete(r);
    }
}

static void on_down_readable(void *ctx)
{
    timers_received(ctx);
    retry_watch(ctx);
    pump_request(ctx);
}

static void on_down_writable(void *ctx)
{
    request_pump_response(ctx);
}

static void request_finish(struct request *r)
{
    struct exchanger *e = r->owner;
    record_finish(r);
    stat_sub(r->stats->rq_active, slot(r), 1);
    held_release(e, &r->held);
    listener_conf_unref(&r->listener);
    stream_release(&r->down); /* r lives in its arena: nothing of r may be touched after this */
    exchanger_closed(e);
}

static void on_down_closed(void *ctx, const struct err *why)
{
    struct request *r = ctx;
    if (r->down->refused != 0) { /* its body was malformed: the codec has answered */
        r->record.status = r->down->refused;
        r->record.flags |= FLAG_DOWNSTREAM_PROTOCOL_ERROR;
        r->record.termination = arena_slice(r->host.arena, slice_of(why->text));
        r->record.details = SLICE("http1.codec_error");
    } else if (why->kind != ERR_NONE && why->side != ERR_SIDE_LOCAL) {
        r->record.flags |= FLAG_DOWNSTREAM_CONNECTION_TERMINATION;
        r->record.termination = arena_slice(r->host.arena, slice_of(why->text));
        stat_add(r->stats->rq_rx_reset, slot(r), 1);
        if (r->record.details.n == 0) {
            r->record.details = SLICE("downstream_remote_disconnect");
        }
    }
    request_enter(r, REQUEST_ENDED);
    request_finish(r);
}

static void on_down_head(void *ctx, struct head *head)
{
    struct request *r = ctx;
    if (r->state != REQUEST_NEW) {
        return;
    }
    r->head = r->host.request = head;
    r->method = head->method;
    record_begin(r);
    timers_head(r);
    if (limits_admit(r) && headers_prepare_request(r) && !request_is_misdirected(r)) {
        request_route(r);
    }
}

static const struct stream_events down_events = {
    .on_head = on_down_head,
    .on_readable = on_down_readable,
    .on_writable = on_down_writable,
    .on_closed = on_down_closed,
};

void request_create(struct exchanger *e, const struct connection_view *c, struct stream *s)
{
    struct request *r = arena_zalloc(s->arena, sizeof *r);
    r->owner = e;
    r->connection = c;
    r->hcm = c->chain->hcm;
    r->listener = listener_conf_ref(c->listener);
    r->stats = exchanger_hcm_stats(e, r->hcm->stat_prefix);
    r->down = s;
    r->held = held_acquire(e);
    r->host.arena = s->arena;
    r->host.snapshot = r->held->snapshot;
    r->host.mac = e->mac;
    r->host.max_body_held = e->limits->max_buffered_body_bytes;
    r->host.downstream = c->info;
    r->host.reply = reply_local;
    timers_init(r);
    s->events = &down_events;
    s->ctx = r;
    stat_add(r->stats->rq_total, slot(r), 1);
    stat_add(r->stats->rq_active, slot(r), 1);
    exchanger_opened(e);
}

/* ---- acquiring ---- */

static void on_ready(void *ctx, struct stream *s, const struct upstream_target *target)
{
    struct request *r = ctx;
    r->acquire = NULL;
    r->up = s;
    r->target = *target;
    r->record.attempts++;
    request_send_upstream(r);
}

static void on_failed(void *ctx, const struct err *why, const struct upstream_target *target)
{
    struct request *r = ctx;
    r->acquire = NULL;
    r->target = *target;
    request_upstream_failed(r, why);
}

static const struct acquire_events acquire_events = {.on_ready = on_ready, .on_failed = on_failed};

void request_acquire(struct request *r, bool fresh)
{
    struct acquire_request request = {
        .cluster = r->cluster,
        .arena = r->host.arena,
        .stream_events = &request_up_events,
        .stream_ctx = r,
        .raw = r->connect,
        .extended_connect = !r->connect && r->head->protocol.n > 0,
        .fresh = fresh,
        .authority = r->head->authority,
    };
    retry_aim(r, &request);
    if (r->state != REQUEST_ACQUIRE) {
        request_enter(r, REQUEST_ACQUIRE);
    }
    r->acquire = upstream_acquire(r->owner->upstream, &request, &acquire_events, r);
}
