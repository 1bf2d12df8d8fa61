/*
 * Limits that hold whatever the route: memory of the process, requests a second of a connection, sizes of bodies. Each has
 * a name in egret.limits, a counter, and an answer of its own.
 */
#include "proxy/exchange/internal.h"

static void hit(struct request *r, struct stat_handle *counter)
{
    stat_add(counter, loop_index(r->owner->loop), 1);
}

static bool over(uint64_t limit, uint64_t bytes)
{
    return limit != 0 && bytes > limit;
}

bool limits_admit(struct request *r)
{
    const struct exchanger *e = r->owner;
    if (e->overload != NULL && atomic_load_explicit(e->overload, memory_order_relaxed) >= OVERLOAD_SHED_REQUESTS) {
        hit(r, r->stats->rq_overload);
        reply_plain(r, 503, "envoy overloaded", FLAG_OVERLOAD, "overload");
        return false;
    }
    if (r->connection->too_fast) {
        hit(r, r->stats->rq_too_fast);
        reply_plain(r, 429, "local_rate_limited", 0, "requests_per_second");
        return false;
    }
    if (r->head->content_length > 0 && over(e->limits->max_request_body_bytes, (uint64_t)r->head->content_length)) {
        hit(r, r->stats->rq_too_large);
        reply_plain(r, 413, "Payload Too Large", 0, "request_payload_too_large");
        return false;
    }
    return true;
}

bool limits_request_body(struct request *r)
{
    if (r->state == REQUEST_TUNNEL || !over(r->owner->limits->max_request_body_bytes, r->down->bytes_in)) {
        return true;
    }
    hit(r, r->stats->rq_too_large);
    if (r->state < REQUEST_RESPONSE) {
        reply_plain(r, 413, "Payload Too Large", 0, "request_payload_too_large");
    } else {
        r->record.details = SLICE("request_payload_too_large");
        stream_reset(r->down, STREAM_CANCEL);
    }
    return false;
}

static void too_large(struct request *r)
{
    struct err err;
    hit(r, r->stats->rs_too_large);
    err_set(&err, ERR_LIMIT, "the response is larger than max_response_body_bytes");
    r->stale_retry_done = true;
    retry_end(r);
    request_upstream_failed(r, &err);
}

bool limits_response_head(struct request *r, const struct head *head)
{
    bool has_body = !slice_eq(r->method, SLICE("HEAD")) && head->content_length > 0;
    if (!has_body || !over(r->owner->limits->max_response_body_bytes, (uint64_t)head->content_length)) {
        return true;
    }
    too_large(r);
    return false;
}

bool limits_response_body(struct request *r)
{
    if (r->state != REQUEST_RESPONSE || !over(r->owner->limits->max_response_body_bytes, r->up->bytes_in)) {
        return true;
    }
    hit(r, r->stats->rs_too_large);
    r->record.details = SLICE("response_payload_too_large");
    stream_release(&r->up);
    stream_reset(r->down, STREAM_INTERNAL_ERROR);
    return false;
}
