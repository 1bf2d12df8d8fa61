/* Answers made here: Envoy's words, trailers-only for gRPC, or what a filter asks for. */
#include "proxy/exchange/internal.h"

/* Envoy's mapping of an HTTP status to a gRPC one. */
static unsigned grpc_status(unsigned http)
{
    switch (http) {
    case 400:
        return 13;
    case 401:
        return 16;
    case 403:
        return 7;
    case 404:
        return 12;
    case 429:
    case 502:
    case 503:
    case 504:
        return 14;
    default:
        return 2;
    }
}

/* Lives as long as the request: the access log reads it. */
static struct head *new_head(struct request *r, unsigned status)
{
    struct head *head = arena_alloc(r->host.arena, sizeof *head);
    head_init(head, r->host.arena);
    head->status = status;
    r->record.response = head;
    return head;
}

static void send_grpc(struct request *r, const struct local_reply *reply)
{
    struct head *head = new_head(r, 200);
    head_add_id(head, FIELD_CONTENT_TYPE, SLICE("application/grpc"));
    head_add_id(head, FIELD_GRPC_STATUS, slice_of(arena_printf(r->host.arena, "%u", grpc_status(reply->status))));
    if (reply->body.n > 0) {
        head_add_id(head, FIELD_GRPC_MESSAGE, arena_slice(r->host.arena, reply->body));
    }
    headers_prepare_response(r, head);
    stream_send_head(r->down, head, true);
}

/* 304's would be the length of what the cache has, which is not known here. */
int64_t reply_length(unsigned status, struct slice body)
{
    return status == 204 || status == 304 ? -1 : (int64_t)body.n;
}

static void send_http(struct request *r, const struct local_reply *reply)
{
    struct head *head = new_head(r, reply->status);
    bool no_body = slice_eq(r->method, SLICE("HEAD")) || reply->body.n == 0;
    head->reason = reply->reason;
    head->content_length = reply_length(reply->status, reply->body);
    if (reply->content_type.n > 0) {
        head_add_id(head, FIELD_CONTENT_TYPE, reply->content_type);
    }
    for (size_t i = 0; i < reply->n_fields; i++) {
        head_add(head, reply->fields[i].name, reply->fields[i].value);
    }
    headers_prepare_response(r, head);
    stream_send_head(r->down, head, no_body);
    if (!no_body) {
        struct buf body;
        buf_init(&body);
        buf_append_slice(&body, reply->body);
        stream_send(r->down, &body, true);
        r->record.bytes_sent = reply->body.n;
    }
}

static struct request *request_of(struct filter_host *host)
{
    return container_of(host, struct request, host);
}

void reply_local(struct filter_host *host, const struct local_reply *reply)
{
    struct request *r = request_of(host);
    int64_t now = loop_now_us(r->owner->loop);
    request_enter(r, REQUEST_REPLIED);
    r->record.status = reply->status;
    r->record.flags |= reply->flags;
    r->record.details = reply->details;
    r->record.response_start_us = now;
    if (r->grpc && r->host.apim.match == NULL) {
        send_grpc(r, reply);
    } else {
        send_http(r, reply);
    }
    if (!r->down->in_end) {
        stream_stop_reading(r->down);
    }
}

void reply_plain(struct request *r, unsigned status, const char *body, uint32_t flags, const char *details)
{
    struct local_reply reply = {
        .status = status,
        .body = slice_of(body),
        .content_type = body[0] == '\0' ? SLICE_NONE : SLICE("text/plain"),
        .flags = flags,
        .details = slice_of(details),
    };
    reply_local(&r->host, &reply);
}
