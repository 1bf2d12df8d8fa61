/*
 * Bodies that go through stages (proxy/body) on their way. The head in front of one waits until the first of it comes
 * out, so that a body which cannot go on still has an answer, and one that is over by then has its length.
 */
#include "proxy/exchange/internal.h"

enum {
    PIECE = 1024,             /* into a stage at once: what comes out may be much more */
    BEFORE_HEAD = 64 * 1024,  /* made of a body before its head goes */
};

/* Moves body through the stages until `budget` is there, nothing is left or its end was. *taken: bytes it cost. The end
 * alone needs no budget: whoever sees that all has been taken may let go of `from`. */
static bool run(struct body_chain *chain, struct stream *from, size_t budget, struct buf *out, struct err *err,
                size_t *taken)
{
    while (!chain->over && (buf_len(out) < budget || (from->in_end && buf_is_empty(&from->in)))) {
        struct buf in;
        buf_init(&in);
        size_t n = buf_move(&in, &from->in, PIECE);
        bool end = from->in_end && buf_is_empty(&from->in);
        if (n == 0 && !end) {
            return true;
        }
        *taken += n;
        if (!body_chain_run(chain, &in, end, out, err)) {
            return false;
        }
    }
    return true;
}

static int64_t length_of(const struct body_chain *chain, const struct stream *from, const struct buf *out)
{
    return chain->over && from->trailers == NULL ? (int64_t)buf_len(out) : -1;
}

static void send_made(struct stream *to, struct buf *made, const struct body_chain *chain, const struct stream *from)
{
    bool end = chain->over && from->trailers == NULL;
    if (!to->out_end && (!buf_is_empty(made) || end)) {
        stream_send(to, made, end);
    }
    if (!to->out_end && chain->over && !end) {
        stream_send_trailers(to, from->trailers);
    }
    buf_fini(made);
}

/* ---- the request ---- */

void body_drop_request(struct request *r)
{
    body_chain_fini(r->host.request_stages);
    r->host.request_stages = NULL;
}

bool body_begin_request(struct request *r)
{
    struct body_chain *chain = r->host.request_stages;
    bool none = r->down->in_end && buf_is_empty(&r->down->in) && r->down->trailers == NULL;
    if (chain == NULL) {
        return false;
    }
    if (none && !chain->over && buf_is_empty(&r->kept) && !r->up_head_sent) {
        body_drop_request(r); /* there is no body */
        return false;
    }
    bool again = r->up_head_sent;
    if (again) {
        bool end = chain->over && r->down->trailers == NULL;
        stream_send_head(r->up, r->head, end && buf_is_empty(&r->kept));
        replay_send(r, end);
    }
    stream_taken(r->down, 0);
    r->down->events->on_readable(r);
    return true;
}

/* An answer that has begun cannot be taken back: its stream is cut. */
static void fail_request(struct request *r, const struct err *err)
{
    if (r->state < REQUEST_RESPONSE) {
        r->late_head = NULL;
        apim_fail_body(&r->host, r->host.request_stages, err, true);
        return;
    }
    r->record.details = SLICE("request_body_policy_failed");
    stream_release(&r->up);
    stream_reset(r->down, STREAM_INTERNAL_ERROR);
}

static bool pump_request_once(struct request *r)
{
    struct body_chain *chain = r->host.request_stages;
    struct buf made;
    struct err err;
    size_t taken = 0;
    buf_init(&made);
    size_t budget = r->up_head_sent ? stream_room(r->up) : BEFORE_HEAD;
    bool ok = run(chain, r->down, budget, &made, &err, &taken);
    if (taken > 0) {
        stream_taken(r->down, taken);
        timers_touch(r);
    }
    if (!ok) {
        buf_fini(&made);
        fail_request(r, &err);
        return false;
    }
    if (!r->up_head_sent && (!buf_is_empty(&made) || chain->over)) {
        r->head->content_length = length_of(chain, r->down, &made);
        r->up_head_sent = true;
        stream_send_head(r->up, r->head, r->head->content_length == 0);
    }
    replay_keep(r, &made, buf_len(&made));
    send_made(r->up, &made, chain, r->down);
    return taken > 0 && !chain->over;
}

void body_pump_request(struct request *r)
{
    while (pump_request_once(r)) {
    }
}

/* ---- the response ---- */

bool body_begin_response(struct request *r, struct head *head)
{
    if (r->host.response_stages == NULL) {
        return false;
    }
    if (slice_eq(r->method, SLICE("HEAD"))) { /* how long it would be is not known */
        body_chain_fini(r->host.response_stages);
        r->host.response_stages = NULL;
        head->content_length = -1;
        return false;
    }
    r->late_head = head;
    r->stale_retry_done = true; /* an answer has begun */
    request_pump_response(r);
    return true;
}

static void fail_response(struct request *r, const struct err *err)
{
    if (r->state < REQUEST_RESPONSE) {
        r->late_head = NULL;
        apim_fail_body(&r->host, r->host.response_stages, err, false);
        return;
    }
    r->record.details = SLICE("response_body_policy_failed");
    stream_release(&r->up);
    stream_reset(r->down, STREAM_INTERNAL_ERROR);
}

static bool pump_response_once(struct request *r)
{
    struct body_chain *chain = r->host.response_stages;
    struct buf made;
    struct err err;
    size_t taken = 0;
    buf_init(&made);
    size_t budget = r->state == REQUEST_RESPONSE ? stream_room(r->down) : BEFORE_HEAD;
    bool ok = run(chain, r->up, budget, &made, &err, &taken);
    if (taken > 0) {
        stream_taken(r->up, taken);
        timers_touch(r);
    }
    if (!ok) {
        buf_fini(&made);
        fail_response(r, &err);
        return false;
    }
    if (r->state == REQUEST_FORWARD && (!buf_is_empty(&made) || chain->over)) {
        r->late_head->content_length = length_of(chain, r->up, &made);
        request_enter(r, REQUEST_RESPONSE);
        r->record.response_start_us = loop_now_us(r->owner->loop);
        stream_send_head(r->down, r->late_head, r->late_head->content_length == 0);
    }
    send_made(r->down, &made, chain, r->up);
    return taken > 0 && !chain->over;
}

void body_pump_response(struct request *r)
{
    while (pump_response_once(r)) {
    }
}
