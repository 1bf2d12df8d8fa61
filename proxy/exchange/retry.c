/*
 * Repetitions that a route's retry_policy asks for, as long as nothing of an answer has gone to the client. What was
 * already passed on of the request's body is kept for them, up to the listener's buffer limit: beyond it the request
 * cannot be repeated any more. The route's timeout goes on over all of them. (The one repetition after a kept connection
 * was found closed is not one of these: it needs no policy.)
 */
#include "proxy/exchange/internal.h"

enum { MAX_TRIED = 8 };

struct retry {
    struct request *owner;
    const struct retry_conf *conf;
    struct upstream_retry *slot; /* one of the cluster's max_retries, while a repetition is under way */
    uint32_t left;
    uint64_t interval_ms;
    struct timer back_off, per_try;
    bool timed_out; /* the last try */
    uint64_t tried[MAX_TRIED]; /* hashes of endpoints' names */
    unsigned n_tried;
};

static void on_back_off(struct timer *timer)
{
    struct retry *t = container_of(timer, struct retry, back_off);
    request_acquire(t->owner, false);
}

static void on_per_try(struct timer *timer)
{
    struct retry *t = container_of(timer, struct retry, per_try);
    struct request *r = t->owner;
    struct err err;
    t->timed_out = true;
    upstream_count(r->owner->upstream, r->cluster, UPSTREAM_COUNT_PER_TRY_TIMEOUT);
    err_set(&err, ERR_TIMEOUT, "no answer within per_try_timeout");
    request_upstream_failed(r, &err);
}

void retry_begin(struct request *r)
{
    const struct retry_conf *conf = route_retry(&r->route);
    if (conf == NULL || (conf->on == 0 && conf->per_try_timeout_ms == 0)) {
        return;
    }
    struct retry *t = arena_zalloc(r->host.arena, sizeof *t);
    t->owner = r;
    t->conf = conf;
    t->left = conf->num_retries;
    if (conf->num_retries > 0) {
        replay_begin(r, r->listener->buffer_limit);
    }
    t->interval_ms = conf->base_interval_ms;
    timer_init(&t->back_off, r->owner->loop, on_back_off);
    timer_init(&t->per_try, r->owner->loop, on_per_try);
    r->retry = t;
}

void retry_lost_body(struct request *r)
{
    if (r->retry != NULL) {
        upstream_count(r->owner->upstream, r->cluster, UPSTREAM_COUNT_RETRY_ABANDONED);
    }
}

/* ---- is it to be repeated? ---- */

static bool has_status_code(const struct retry_conf *c, unsigned status)
{
    for (size_t i = 0; i < c->status_code_count; i++) {
        if (c->status_codes[i] == status) {
            return true;
        }
    }
    return false;
}

static bool has_grpc_status(unsigned on, struct slice status)
{
    static const struct {
        const char *status;
        enum retry_on on;
    } table[] = {{"1", RETRY_ON_GRPC_CANCELLED},
                 {"4", RETRY_ON_GRPC_DEADLINE_EXCEEDED},
                 {"8", RETRY_ON_GRPC_RESOURCE_EXHAUSTED},
                 {"13", RETRY_ON_GRPC_INTERNAL},
                 {"14", RETRY_ON_GRPC_UNAVAILABLE}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if ((on & table[i].on) != 0 && slice_eq(status, slice_of(table[i].status))) {
            return true;
        }
    }
    return false;
}

static bool is_wanted_after(const struct retry_conf *c, const struct head *answer)
{
    unsigned status = answer->status;
    if (head_find(answer, SLICE("x-envoy-ratelimited")) != NULL) {
        return (c->on & RETRY_ON_RATE_LIMITED) != 0;
    }
    return ((c->on & RETRY_ON_5XX) != 0 && status >= 500) ||
           ((c->on & RETRY_ON_GATEWAY_ERROR) != 0 && status >= 502 && status <= 504) ||
           ((c->on & RETRY_ON_RETRIABLE_4XX) != 0 && status == 409) ||
           ((c->on & RETRY_ON_STATUS_CODES) != 0 && has_status_code(c, status)) ||
           has_grpc_status(c->on, head_value_id(answer, FIELD_GRPC_STATUS));
}

static bool is_wanted_without_answer(const struct request *r, const struct err *why, bool connected)
{
    unsigned on = r->retry->conf->on;
    if (why->kind == ERR_OVERFLOW || why->kind == ERR_NOT_FOUND || why->kind == ERR_RESOLVE || why->kind == ERR_LIMIT) {
        return false; /* the next one would find the same */
    }
    return (on & (RETRY_ON_RESET | RETRY_ON_5XX | RETRY_ON_GATEWAY_ERROR)) != 0 ||
           ((on & RETRY_ON_CONNECT_FAILURE) != 0 && !connected) ||
           ((on & RETRY_ON_RESET_BEFORE_REQUEST) != 0 && !connected) ||
           ((on & RETRY_ON_REFUSED_STREAM) != 0 && connected && why->retry == ERR_RETRY_ALWAYS);
}

/* ---- repeating ---- */

static void remember_host(struct retry *t)
{
    if (t->conf->avoid_previous_hosts && t->n_tried < MAX_TRIED) {
        t->tried[t->n_tried++] = slice_hash(slice_of(t->owner->target.host), 0);
    }
}

static void settle(struct retry *t, bool success)
{
    timer_cancel(&t->per_try);
    upstream_retry_end(&t->slot, success);
}

static bool repeat(struct request *r)
{
    struct retry *t = r->retry;
    struct upstream *u = r->owner->upstream;
    settle(t, false);
    if (t->left == 0) {
        upstream_count(u, r->cluster, UPSTREAM_COUNT_RETRY_LIMIT);
        r->record.flags |= FLAG_RETRY_LIMIT;
        return false;
    }
    t->left--;
    if (r->body_taken) {
        return false;
    }
    t->slot = upstream_retry_begin(u, r->cluster);
    if (t->slot == NULL) {
        r->record.flags |= FLAG_UPSTREAM_OVERFLOW;
        return false;
    }
    remember_host(t);
    t->timed_out = false;
    stream_release(&r->up);
    r->request_done = r->up_over = false;
    if (r->state != REQUEST_ACQUIRE) {
        request_enter(r, REQUEST_ACQUIRE);
    }
    timer_set_in(&t->back_off, exchanger_random(r->owner) % t->interval_ms);
    t->interval_ms = t->interval_ms * 2 < t->conf->max_interval_ms ? t->interval_ms * 2 : t->conf->max_interval_ms;
    return true;
}

bool retry_after_answer(struct request *r, const struct head *answer)
{
    if (r->retry == NULL) {
        return false;
    }
    if (is_wanted_after(r->retry->conf, answer)) {
        return repeat(r);
    }
    settle(r->retry, true);
    return false;
}

bool retry_after_failure(struct request *r, const struct err *why, bool connected)
{
    return r->retry != NULL && is_wanted_without_answer(r, why, connected) && repeat(r);
}

/* ---- one try ---- */

void retry_aim(const struct request *r, struct acquire_request *request)
{
    if (r->retry != NULL && r->retry->n_tried > 0) {
        request->avoid = r->retry->tried;
        request->n_avoid = r->retry->n_tried;
        request->avoid_attempts = r->retry->conf->host_selection_attempts;
    }
}

void retry_watch(struct request *r)
{
    struct retry *t = r->retry;
    if (t != NULL && t->conf->per_try_timeout_ms != 0 && r->state == REQUEST_FORWARD && r->down->in_end &&
        !timer_is_set(&t->per_try)) {
        timer_set_in(&t->per_try, t->conf->per_try_timeout_ms);
    }
}

bool retry_timed_out(const struct request *r)
{
    return r->retry != NULL && r->retry->timed_out;
}

void retry_end(struct request *r)
{
    struct retry *t = r->retry;
    if (t != NULL) {
        timer_cancel(&t->back_off);
        settle(t, false);
        r->retry = NULL;
    }
}
