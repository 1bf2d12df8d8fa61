/*
 * The clocks of one request: silence (idle), receiving it (request_timeout), answering it (the route's timeout, from the
 * end of the request on) and all of it (max_stream_duration).
 */
#include "proxy/exchange/internal.h"

static void count_timeout(struct request *r, uint32_t flag, const char *details)
{
    r->record.flags |= flag;
    r->record.details = slice_of(details);
    stat_add(r->stats->rq_timeout, loop_index(r->owner->loop), 1);
}

/* Before the answer has begun it can still be said who was waited for; afterwards the stream can only be cut. */
static void give_up(struct request *r, const char *body, uint32_t flag, const char *details)
{
    count_timeout(r, flag, details);
    if (r->state < REQUEST_RESPONSE) {
        reply_plain(r, r->down->in_end ? 504 : 408, body, flag, details);
    } else {
        stream_reset(r->down, STREAM_CANCEL);
    }
}

static void on_idle(struct timer *timer)
{
    give_up(container_of(timer, struct request, idle), "stream timeout", FLAG_STREAM_IDLE_TIMEOUT,
            "stream_idle_timeout");
}

static void on_receiving(struct timer *timer)
{
    give_up(container_of(timer, struct request, receiving), "request timeout", 0, "request_overall_timeout");
}

static void on_duration(struct timer *timer)
{
    give_up(container_of(timer, struct request, duration), "downstream duration timeout", 0, "max_duration_timeout");
}

static void on_timeout(struct timer *timer)
{
    struct request *r = container_of(timer, struct request, timeout);
    struct err err;
    count_timeout(r, FLAG_UPSTREAM_REQUEST_TIMEOUT, "response_timeout");
    if (r->state >= REQUEST_RESPONSE) {
        stream_reset(r->down, STREAM_CANCEL);
        return;
    }
    retry_end(r); /* it is the time of all tries together */
    err_set(&err, ERR_TIMEOUT, "no answer within the route's timeout");
    r->stale_retry_done = true;
    request_upstream_failed(r, &err);
}

static void set(struct timer *timer, uint64_t ms)
{
    timer_cancel(timer);
    if (ms != 0) {
        timer_set_in(timer, ms);
    }
}

void timers_init(struct request *r)
{
    timer_init(&r->idle, r->owner->loop, on_idle);
    timer_init(&r->receiving, r->owner->loop, on_receiving);
    timer_init(&r->timeout, r->owner->loop, on_timeout);
    timer_init(&r->duration, r->owner->loop, on_duration);
}

void timers_head(struct request *r)
{
    r->idle_ms = r->hcm->stream_idle_timeout_ms;
    set(&r->idle, r->idle_ms);
    set(&r->duration, r->hcm->max_stream_duration_ms);
    set(&r->receiving, r->down->in_end ? 0 : r->hcm->request_timeout_ms);
}

void timers_route(struct request *r, uint64_t timeout_ms)
{
    if (r->forward != NULL && r->forward->has_idle_timeout) {
        r->idle_ms = r->forward->idle_timeout_ms;
        set(&r->idle, r->idle_ms);
    }
    if (r->forward != NULL && r->forward->has_max_stream_duration) {
        set(&r->duration, r->forward->max_stream_duration_ms);
    }
    r->timeout_ms = timeout_ms;
    timers_received(r);
}

void timers_received(struct request *r)
{
    if (r->down->in_end) {
        timer_cancel(&r->receiving);
        if (r->timeout_ms != 0) {
            timer_set_in(&r->timeout, r->timeout_ms);
            r->timeout_ms = 0; /* once */
        }
    }
}

void timers_no_timeout(struct request *r)
{
    r->timeout_ms = 0;
    timer_cancel(&r->timeout);
}

void timers_touch(struct request *r)
{
    if (timer_is_set(&r->idle)) {
        timer_set_in(&r->idle, r->idle_ms);
    }
}

void timers_stop(struct request *r)
{
    timers_no_timeout(r);
    timer_cancel(&r->receiving);
    timer_cancel(&r->idle);
    timer_cancel(&r->duration);
}
