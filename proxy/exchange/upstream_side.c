/* The upstream half of a request: sending it on, the response, what a failure becomes. */
#include <errno.h>
#include <string.h>

#include "proxy/exchange/internal.h"

static bool is_idempotent(struct slice method)
{
    static const char *const safe[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"};
    for (size_t i = 0; i < ARRAY_LEN(safe); i++) {
        if (slice_eq(method, slice_of(safe[i]))) {
            return true;
        }
    }
    return false;
}

/* A kept connection that was closed under us says nothing about the endpoint, nor does a stream the peer never looked
 * at: once, on a fresh connection. */
static bool may_repeat(const struct request *r, const struct err *why, bool connected)
{
    if (r->stale_retry_done || r->body_taken || !connected || r->state > REQUEST_FORWARD) {
        return false;
    }
    return why->retry == ERR_RETRY_ALWAYS ||
           (why->retry == ERR_RETRY_IF_IDEMPOTENT && r->target.reused && is_idempotent(r->method));
}

static uint32_t failure_flags(const struct err *why, bool connected)
{
    switch (why->kind) {
    case ERR_NOT_FOUND:
        return FLAG_NO_CLUSTER;
    case ERR_RESOLVE:
        return FLAG_NO_HEALTHY_UPSTREAM;
    case ERR_OVERFLOW:
        return FLAG_UPSTREAM_OVERFLOW;
    case ERR_TIMEOUT:
        return connected ? FLAG_UPSTREAM_REQUEST_TIMEOUT : FLAG_UPSTREAM_CONNECTION_FAILURE;
    case ERR_PROTOCOL:
    case ERR_INPUT:
    case ERR_LIMIT:
        return connected ? FLAG_UPSTREAM_PROTOCOL_ERROR : FLAG_UPSTREAM_CONNECTION_FAILURE;
    case ERR_RESET:
        return connected ? FLAG_UPSTREAM_CONNECTION_TERMINATION : FLAG_UPSTREAM_CONNECTION_FAILURE;
    case ERR_NONE:
    case ERR_UNSUPPORTED:
    case ERR_DENIED:
    case ERR_IO:
    case ERR_TLS:
        break;
    }
    return connected ? FLAG_UPSTREAM_CONNECTION_TERMINATION : FLAG_UPSTREAM_CONNECTION_FAILURE;
}

/* ---- APIM's way of saying it ---- */

/* A socket's error is told as APIM tells it; any other cause (a certificate, a malformed answer) has only its own words. */
static struct slice failure_message(struct request *r, const struct err *why)
{
    return why->os_errno != 0 || why->text[0] == '\0'
               ? slice_of(arena_printf(r->host.arena, "LogError connecting to %s", r->target.host))
               : arena_slice(r->host.arena, slice_of(why->text));
}

static void blame_backend(struct request *r, const struct err *why, bool timed_out)
{
    r->host.error = (struct filter_error){
        .source = SLICE("request-forwarder"),
        .reason = timed_out ? SLICE("Timeout") : SLICE("BackendConnectionFailure"),
        .section = SLICE("backend"),
        .path = SLICE("forward-request\\forward-request"),
    };
    r->host.error.message = timed_out ? SLICE("The request to the backend timed out.") : failure_message(r, why);
    r->record.last_error.transport_code = why->os_errno;
}

static void fail_api(struct request *r, const struct err *why, bool timed_out)
{
    blame_backend(r, why, timed_out);
    apim_reply_internal(&r->host);
}

/* ---- Envoy's ---- */

static const char *reset_reason(const struct err *why, bool connected)
{
    switch (why->kind) {
    case ERR_OVERFLOW:
        return "overflow";
    case ERR_TIMEOUT:
        return "connection timeout";
    case ERR_PROTOCOL:
    case ERR_INPUT:
    case ERR_LIMIT:
        return "protocol error";
    case ERR_NONE:
    case ERR_UNSUPPORTED:
    case ERR_NOT_FOUND:
    case ERR_DENIED:
    case ERR_IO:
    case ERR_RESET:
    case ERR_TLS:
    case ERR_RESOLVE:
        break;
    }
    return connected ? "connection termination" : "remote connection failure";
}

/* Why a dial failed, for the one who asked us to tunnel (RFC 9209 2.3). */
static struct slice proxy_status(struct request *r, const struct err *why)
{
    const char *error = "proxy_internal_error";
    if (why->os_errno == ECONNREFUSED) {
        error = "connection_refused";
    } else if (why->kind == ERR_TIMEOUT || why->os_errno == ETIMEDOUT) {
        error = "connection_timeout";
    } else if (why->kind == ERR_RESOLVE) {
        error = "dns_error";
    } else if (why->os_errno == EHOSTUNREACH || why->os_errno == ENETUNREACH || why->os_errno == EADDRNOTAVAIL) {
        error = "destination_ip_unroutable";
    } else if (why->kind == ERR_IO || why->kind == ERR_RESET) {
        error = "connection_terminated";
    }
    return slice_of(arena_printf(r->host.arena, "egret; error=%s", error));
}

static void fail_plain(struct request *r, const struct err *why, bool connected)
{
    uint32_t flags = failure_flags(why, connected);
    struct field fields[2];
    struct local_reply reply = {
        .status = 503,
        .content_type = SLICE("text/plain"),
        .flags = flags,
        .details = SLICE("upstream_reset_before_response_started"),
    };
    const char *body = "no healthy upstream";
    if (flags & FLAG_UPSTREAM_REQUEST_TIMEOUT) {
        reply.status = 504;
        reply.details = retry_timed_out(r) ? SLICE("upstream_per_try_timeout") : SLICE("response_timeout");
        body = "upstream request timeout";
    } else if (flags & FLAG_UPSTREAM_PROTOCOL_ERROR) {
        reply.status = 502;
        body = "upstream connect error or disconnect/reset before headers. reset reason: protocol error";
    } else if (!(flags & FLAG_NO_HEALTHY_UPSTREAM)) {
        body = arena_printf(r->host.arena, "upstream connect error or disconnect/reset before headers. reset reason: %s",
                            reset_reason(why, connected));
    } else {
        reply.details = SLICE("no_healthy_upstream");
    }
    reply.body = slice_of(body);
    reply.fields = fields;
    if (r->connect) {
        fields[reply.n_fields++] = (struct field){.name = SLICE("proxy-status"), .value = proxy_status(r, why)};
    }
    if (why->kind == ERR_OVERFLOW && !r->hcm->suppress_envoy_headers) {
        fields[reply.n_fields++] = (struct field){.name = SLICE("x-envoy-overloaded"), .value = SLICE("true")};
    }
    reply_local(&r->host, &reply);
}

void request_upstream_failed(struct request *r, const struct err *why)
{
    bool connected = r->up != NULL;
    if (connected) {
        upstream_report(&r->target, why->kind == ERR_TIMEOUT ? UPSTREAM_TIMED_OUT : UPSTREAM_BROKEN);
    }
    stream_release(&r->up);
    upstream_cancel(&r->acquire);
    if (may_repeat(r, why, connected)) {
        r->stale_retry_done = true;
        request_acquire(r, true);
        return;
    }
    if (retry_after_failure(r, why, connected)) {
        return;
    }
    connected |= (r->record.flags & FLAG_UPSTREAM_REQUEST_TIMEOUT) != 0; /* 504, even while still dialling */
    r->record.upstream_failure = arena_slice(r->host.arena, slice_of(why->text));
    r->record.upstream_host = arena_slice(r->host.arena, slice_of(r->target.host));
    if (r->host.apim.match != NULL) {
        bool timed_out = why->kind == ERR_TIMEOUT && connected;
        r->record.flags |= failure_flags(why, connected);
        fail_api(r, why, timed_out);
        return;
    }
    fail_plain(r, why, connected);
}

/* ---- sending ---- */

static void open_tunnel(struct request *r)
{
    struct head head;
    head_init(&head, r->host.arena);
    head.status = 200;
    r->record.upstream_response_us = loop_now_us(r->owner->loop);
    headers_prepare_response(r, &head);
    r->record.status = 200;
    r->record.details = SLICE("via_upstream");
    r->record.response_start_us = loop_now_us(r->owner->loop);
    stream_send_head(r->down, &head, false);
    request_enter(r, REQUEST_TUNNEL);
    r->body_taken = true;
    stream_taken(r->down, 0);
    pump(r->down, r->up);
    pump(r->up, r->down);
}

static void send_slice(struct stream *to, struct slice body)
{
    struct buf bytes;
    if (body.n > 0) {
        buf_init(&bytes);
        buf_append_slice(&bytes, body);
        stream_send(to, &bytes, true);
    }
}

/*
 * A filter's body to the backend. What the client sends is read and dropped, and to its end: an answer in the middle of
 * an upload would cost the client its connection.
 */
void request_send_own_body(struct request *r)
{
    struct slice own = r->host.request_body;
    buf_drain(&r->down->in, buf_len(&r->down->in));
    if (!r->down->in_end || r->up == NULL || r->own_body_sent) {
        return;
    }
    r->own_body_sent = true;
    r->head->content_length = r->no_body || r->host.drops_request_body ? -1 : (int64_t)own.n;
    stream_send_head(r->up, r->head, own.n == 0);
    send_slice(r->up, own);
    r->request_done = true;
    r->record.request_end_us = loop_now_us(r->owner->loop);
}

void request_send_upstream(struct request *r)
{
    r->record.upstream_start_us = loop_now_us(r->owner->loop);
    r->record.reached_upstream = true;
    r->record.upstream_host = arena_slice(r->host.arena, slice_of(r->target.host));
    r->record.upstream_version = r->up->version;
    if (r->up->info != NULL) {
        addr_copy(&r->record.upstream_local, r->up->info->local);
    }
    if (r->connect) {
        open_tunnel(r);
        return;
    }
    if (r->forward != NULL && r->forward->auto_host_rewrite && r->target.hostname.n > 0) {
        r->head->authority = arena_slice(r->host.arena, r->target.hostname);
    }
    request_enter(r, REQUEST_FORWARD);
    if (r->host.replaces_request_body) {
        r->own_body_sent = false;
        stream_taken(r->down, 0);
        r->down->events->on_readable(r);
        return;
    }
    if (body_begin_request(r)) {
        return;
    }
    bool end = r->down->in_end && buf_is_empty(&r->down->in) && r->down->trailers == NULL;
    stream_send_head(r->up, r->head, end && buf_is_empty(&r->kept));
    replay_send(r, end);
    retry_watch(r);
    if (end) {
        r->request_done = true;
        r->record.request_end_us = loop_now_us(r->owner->loop);
        return;
    }
    stream_taken(r->down, 0); /* body is wanted from here on: an expected 100 Continue goes out */
    r->down->events->on_readable(r);
}

/* ---- the response ---- */

static void response_filters(struct request *r, struct head *head)
{
    r->host.response = head;
    for (size_t i = r->hcm->n_filters; i-- > 0;) {
        const struct filter_conf *f = &r->hcm->filters[i];
        const struct http_filter *filter = f->config;
        if (filter->on_response != NULL && !request_skips(r, f) && r->state == REQUEST_FORWARD) {
            filter->on_response(filter, &r->host);
        }
    }
}

static void interim(struct request *r, struct head *head)
{
    if (head->status == 100 && !r->hcm->proxy_100_continue) {
        return;
    }
    struct err err;
    if (head_strip_hop_by_hop(head, &err)) {
        stream_send_head(r->down, head, false);
    }
}

static bool opens_tunnel(const struct request *r, const struct head *head)
{
    bool is_connect = slice_eq(r->method, SLICE("CONNECT"));
    return head->status == 101 || (is_connect && head->status >= 200 && head->status <= 299);
}

/* The answer is complete: what is left of the request is not wanted any more. */
static void check_response_end(struct request *r)
{
    if (r->state == REQUEST_RESPONSE && r->down->out_end && !r->down->in_end) {
        stream_stop_reading(r->down);
    }
}

void request_pump_response(struct request *r)
{
    bool waits = r->late_head != NULL && r->state == REQUEST_FORWARD;
    if (r->up == NULL || (!waits && r->state < REQUEST_RESPONSE) || r->state > REQUEST_TUNNEL) {
        return;
    }
    if (!limits_response_body(r)) {
        return;
    }
    if (r->late_head != NULL) {
        body_pump_response(r);
    } else if (pump(r->up, r->down) > 0) {
        timers_touch(r);
    }
    if (r->up == NULL) {
        return; /* its body could not go on */
    }
    r->record.response_trailers = r->up->trailers;
    check_response_end(r);
    if (r->up_over && buf_is_empty(&r->up->in)) {
        stream_release(&r->up);
    }
}

/* A filter's body to the client; the backend's is not read. */
static void answer_own_body(struct request *r, struct head *head)
{
    struct slice own = r->host.response_body;
    bool none = own.n == 0 || slice_eq(r->method, SLICE("HEAD"));
    head->content_length = reply_length(head->status, own);
    request_enter(r, REQUEST_RESPONSE);
    timers_touch(r);
    stream_send_head(r->down, head, none);
    if (!none) {
        send_slice(r->down, own);
    }
    r->record.upstream_end_us = loop_now_us(r->owner->loop);
    stream_release(&r->up);
    check_response_end(r);
}

static void on_up_head(void *ctx, struct head *head)
{
    struct request *r = ctx;
    if (r->state != REQUEST_FORWARD) {
        return;
    }
    if (head->status < 200 && head->status != 101) {
        interim(r, head);
        return;
    }
    r->record.upstream_response_us = loop_now_us(r->owner->loop);
    r->record.upstream_status = head->status;
    upstream_report(&r->target, head->status < 500 ? UPSTREAM_ANSWERED : UPSTREAM_ANSWERED_5XX);
    if (retry_after_answer(r, head)) {
        return;
    }
    if (!headers_prepare_response(r, head)) {
        struct err err;
        err_set(&err, ERR_PROTOCOL, "the response's Connection field names a field it may not");
        request_upstream_failed(r, &err);
        return;
    }
    if (!limits_response_head(r, head)) {
        return;
    }
    if (replay_redirect(r, head)) {
        return;
    }
    response_filters(r, head);
    if (r->state != REQUEST_FORWARD) {
        return; /* a filter has answered instead */
    }
    r->record.status = head->status;
    r->record.response = head;
    r->record.details = SLICE("via_upstream");
    r->record.response_start_us = loop_now_us(r->owner->loop);
    bool end = r->up->in_end && buf_is_empty(&r->up->in) && r->up->trailers == NULL;
    if (r->host.apim.match != NULL) {
        timers_no_timeout(r); /* forward-request waits for the head only */
    }
    if (r->host.replaces_response_body) {
        answer_own_body(r, head);
        return;
    }
    if (!opens_tunnel(r, head) && body_begin_response(r, head)) {
        return;
    }
    request_enter(r, opens_tunnel(r, head) ? REQUEST_TUNNEL : REQUEST_RESPONSE);
    timers_touch(r);
    stream_send_head(r->down, head, end && r->state == REQUEST_RESPONSE);
    request_pump_response(r);
}

static void on_up_readable(void *ctx)
{
    request_pump_response(ctx);
}

static void on_up_writable(void *ctx)
{
    struct request *r = ctx;
    r->down->events->on_readable(r);
}

static void on_up_closed(void *ctx, const struct err *why)
{
    struct request *r = ctx;
    r->record.upstream_end_us = loop_now_us(r->owner->loop);
    if (r->state == REQUEST_FORWARD) {
        struct err err = *why;
        if (err.kind == ERR_NONE) {
            err_set(&err, ERR_RESET, "the upstream closed without an answer");
        }
        request_upstream_failed(r, &err);
        return;
    }
    if (why->kind == ERR_NONE || r->down->out_end) {
        r->up_over = true;
        request_pump_response(r);
        return;
    }
    r->record.flags |= FLAG_UPSTREAM_CONNECTION_TERMINATION;
    r->record.upstream_failure = arena_slice(r->host.arena, slice_of(why->text));
    r->record.details = SLICE("upstream_reset_after_response_started");
    if (r->host.apim.match != NULL) {
        blame_backend(r, why, false);
    }
    stream_release(&r->up);
    stream_reset(r->down, r->state == REQUEST_TUNNEL ? STREAM_CONNECT_ERROR : STREAM_INTERNAL_ERROR);
}

const struct stream_events request_up_events = {
    .on_head = on_up_head,
    .on_readable = on_up_readable,
    .on_writable = on_up_writable,
    .on_closed = on_up_closed,
};
