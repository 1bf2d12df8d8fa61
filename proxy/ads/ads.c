#include "proxy/ads/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/mem.h"

enum { BASE_MS = 500, CAP_MS = 30000, MOVED_MS = 50, MESSAGE_MAX = 64 << 20 };

static void start(struct ads *a);

/* ---- the end of a stream, however it came about ---- */

static void free_arena(void *arena)
{
    struct arena *old = arena;
    arena_destroy(&old);
}

/* The arena may still be in use further up the stack. */
static void drop_stream(struct ads *a)
{
    upstream_cancel(&a->acquire);
    stream_release(&a->stream);
    if (a->arena != NULL) {
        loop_free_later(a->config.loop, free_arena, a->arena);
        a->arena = NULL;
    }
    loop_task_cancel(&a->resume);
    grpc_reader_fini(&a->reader);
    ads_session_close(a->session);
    stat_set(a->connected, loop_index(a->config.loop), 0);
}

/* Every failure is kept for the status; the log has it once, until the server was heard again or it is another. */
static void fail(struct ads *a, const char *text, bool denied)
{
    uint32_t random;
    crypto_random(&random, sizeof random);
    bool was_heard = a->heard;
    drop_stream(a);
    uint32_t wait_ms = backoff_next_ms(&a->backoff, random);
    if (was_heard || a->last_error == NULL || strcmp(a->last_error, text) != 0) {
        LOG(denied ? LOG_ERROR : LOG_WARN, "ads", "cluster %.*s: %s; trying again in %u ms",
            SLICE_ARG(a->config.cluster), text, wait_ms);
    }
    char *copy = mem_str(text);
    mem_free(a->last_error);
    a->last_error = copy;
    a->last_error_us = loop_wall_us(a->config.loop);
    a->heard = false;
    a->state = ADS_WAITING;
    timer_set_in(&a->timer, wait_ms);
}

static void fail_status(struct ads *a, const struct grpc_status *status)
{
    char text[640];
    bool denied = status->code == GRPC_PERMISSION_DENIED || status->code == GRPC_UNAUTHENTICATED;
    struct slice id = slice_sub(a->config.node->id, 0, 100), cluster = slice_sub(a->config.node->cluster, 0, 100);
    if (denied) {
        snprintf(text, sizeof text, "the control server refuses this node (id \"%.*s\", cluster \"%.*s\"): %s: %s",
                 SLICE_ARG(id), SLICE_ARG(cluster), grpc_code_name(status->code), status->message);
    } else {
        snprintf(text, sizeof text, "stream ended with gRPC status %s (%u): %s", grpc_code_name(status->code),
                 status->code, status->message[0] == '\0' ? "no message" : status->message);
    }
    fail(a, text, denied);
}

/* ---- sending ---- */

static void send_message(struct ads *a, struct slice bytes)
{
    struct buf message, out;
    buf_init(&message);
    buf_init(&out);
    buf_append_slice(&message, bytes);
    grpc_write(&out, &message);
    stream_send(a->stream, &out, false);
    buf_fini(&out);
}

static void send_due(struct ads *a)
{
    struct strbuf request;
    strbuf_init(&request);
    while (a->stream != NULL && ads_session_next(a->session, &request)) {
        send_message(a, strbuf_slice(&request));
    }
    strbuf_fini(&request);
}

static void send_head(struct ads *a)
{
    struct head head;
    bool tls = a->stream->info != NULL && a->stream->info->tls != NULL;
    head_init(&head, a->arena);
    head.method = SLICE("POST");
    head.scheme = tls ? SLICE("https") : SLICE("http");
    head.authority = a->config.cluster;
    head.path = a->config.delta
                    ? SLICE("/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources")
                    : SLICE("/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources");
    head_add_id(&head, FIELD_TE, SLICE("trailers"));
    head_add_id(&head, FIELD_CONTENT_TYPE, SLICE("application/grpc"));
    head_add_id(&head, FIELD_USER_AGENT, SLICE("egret/" EGRET_VERSION));
    stream_send_head(a->stream, &head, false);
}

/* ---- receiving ---- */

/* The next whole message; false without err->kind: not there yet. Not called while a response is being applied: what
 * then arrives stays in the stream, whose flow control holds the server back. */
static bool next_message(struct ads *a, struct buf *message, struct err *err)
{
    struct buf *in = &a->stream->in;
    size_t before = buf_len(in);
    enum grpc_result result = grpc_read(&a->reader, in, message, err);
    stream_taken(a->stream, before - buf_len(in));
    return result == GRPC_MESSAGE;
}

static void note_heard(struct ads *a)
{
    if (a->heard) {
        return;
    }
    a->heard = true;
    a->connected_since_us = loop_wall_us(a->config.loop);
    mem_free(a->last_error);
    a->last_error = NULL;
    backoff_reset(&a->backoff);
    stat_set(a->connected, loop_index(a->config.loop), 1);
    LOG(LOG_INFO, "ads", "cluster %.*s: connected", SLICE_ARG(a->config.cluster));
}

static void on_closed(void *ctx, const struct err *why)
{
    struct ads *a = ctx;
    struct grpc_status status = grpc_status_read(a->stream->trailers);
    if (!status.given) {
        status = a->status;
    }
    if (status.given) {
        fail_status(a, &status);
        return;
    }
    fail(a, why->kind == ERR_NONE ? "stream ended without a gRPC status" : why->text, false);
}

/* The server ends the call with its trailers; our half of the stream is then of no use. */
static void check_end(struct ads *a)
{
    struct err none = {.kind = ERR_NONE};
    if (a->stream != NULL && a->stream->in_end && a->stream->in.len == 0 && !a->applying) {
        on_closed(a, &none);
    }
}

static void read_messages(struct ads *a)
{
    struct err err = {.kind = ERR_NONE};
    struct buf message;
    buf_init(&message);
    while (a->stream != NULL && !a->applying && next_message(a, &message, &err)) {
        bool usable = ads_take_message(a, buf_pullup(&message, buf_len(&message)), &err);
        buf_fini(&message);
        if (!usable || a->stream == NULL) {
            break;
        }
        note_heard(a);
        send_due(a);
    }
    if (a->stream != NULL && err.kind != ERR_NONE) {
        fail(a, err.text, false);
    }
    check_end(a);
}

static void resume(struct loop_task *task)
{
    struct ads *a = container_of(task, struct ads, resume);
    if (a->stream != NULL) {
        read_messages(a);
    }
}

static void on_head(void *ctx, struct head *head)
{
    struct ads *a = ctx;
    struct err err;
    if (head->status >= 100 && head->status < 200) {
        return;
    }
    if (!grpc_check_head(head, &err)) {
        fail(a, err.text, head->status == 401 || head->status == 403);
        return;
    }
    a->status = grpc_status_read(head);
    check_end(a);
}

static void on_readable(void *ctx)
{
    struct ads *a = ctx;
    if (!a->applying) {
        read_messages(a);
    }
}

static void on_writable(void *ctx)
{
    (void)ctx;
}

static const struct stream_events stream_events = {on_head, on_readable, on_writable, on_closed};

/* ---- opening ---- */

/* Delta: with what is held, so that only the difference comes. */
static void send_first(struct ads *a)
{
    struct arena *arena = arena_create(0);
    for (size_t i = 0; a->config.delta && i < ads_session_types(a->session); i++) {
        const struct store_version *held = NULL;
        size_t n = store_versions(a->config.store, ads_session_type_url(a->session, i), arena, &held);
        ads_session_set_held(a->session, i, held, n);
    }
    send_due(a);
    for (size_t i = 0; a->config.delta && i < ads_session_types(a->session); i++) {
        ads_session_set_held(a->session, i, NULL, 0);
    }
    arena_destroy(&arena);
}

static void on_ready(void *ctx, struct stream *s, const struct upstream_target *target)
{
    struct ads *a = ctx;
    a->acquire = NULL;
    a->stream = s;
    a->state = ADS_STREAMING;
    a->streams++;
    grpc_reader_init(&a->reader, MESSAGE_MAX);
    LOG(LOG_DEBUG, "ads", "cluster %.*s: stream to %s", SLICE_ARG(a->config.cluster), target->host);
    send_head(a);
    ads_session_open(a->session);
    send_first(a);
}

static void on_failed(void *ctx, const struct err *why, const struct upstream_target *target)
{
    struct ads *a = ctx;
    (void)target;
    a->acquire = NULL;
    fail(a, why->text, false);
}

static const struct acquire_events acquire_events = {on_ready, on_failed};

static void start(struct ads *a)
{
    a->state = ADS_ACQUIRING;
    a->status = (struct grpc_status){.given = false};
    a->arena = arena_create(0);
    ads_refresh_names(a);
    struct acquire_request request = {
        .cluster = a->config.cluster,
        .arena = a->arena,
        .stream_events = &stream_events,
        .stream_ctx = a,
        .authority = a->config.cluster,
    };
    a->acquire = upstream_acquire(a->config.upstream, &request, &acquire_events, a);
}

static void on_timer(struct timer *timer)
{
    struct ads *a = container_of(timer, struct ads, timer);
    if (a->events->on_attempt != NULL) {
        a->events->on_attempt(a->ctx);
    }
    start(a);
}

/* Not all clients at the same moment, but soon. The first attempt of all waits for the first address by itself. */
void ads_addresses_changed(struct ads *a)
{
    uint32_t random;
    if (a->state == ADS_STREAMING || a->last_error == NULL) {
        return;
    }
    crypto_random(&random, sizeof random);
    drop_stream(a);
    a->state = ADS_WAITING;
    backoff_reset(&a->backoff);
    timer_set_in(&a->timer, random % MOVED_MS);
}

struct ads *ads_create(const struct ads_config *config, const struct ads_events *events, void *ctx)
{
    struct ads *a = mem_alloc(sizeof *a);
    a->config = *config;
    a->events = events;
    a->ctx = ctx;
    grpc_reader_init(&a->reader, MESSAGE_MAX);
    a->backoff = (struct backoff){.base_ms = BASE_MS, .cap_ms = CAP_MS};
    a->session = ads_session_create(config->node->packed, config->delta);
    a->apply_us = stat_counter(config->stats, "config.apply_us", NULL);
    a->connected = stat_gauge(config->stats, "control_plane.connected_state", NULL);
    timer_init(&a->timer, config->loop, on_timer);
    loop_task_init(&a->resume, resume);
    ads_types_init(a);
    a->state = ADS_WAITING;
    timer_set_in(&a->timer, 0);
    return a;
}

void ads_destroy(struct ads **ads)
{
    struct ads *a = *ads;
    *ads = NULL;
    if (a == NULL) {
        return;
    }
    timer_cancel(&a->timer);
    drop_stream(a);
    arena_destroy(&a->message);
    ads_types_fini(a);
    ads_session_destroy(&a->session);
    stat_release(&a->connected);
    stat_release(&a->apply_us);
    mem_free(a->reason);
    mem_free(a->last_error);
    mem_free(a->control_plane);
    mem_free(a);
}

size_t ads_take_bytes(struct ads *a)
{
    size_t n = a->bytes;
    a->bytes = 0;
    return n;
}

bool ads_is_connected(const struct ads *a)
{
    return a->state == ADS_STREAMING && a->heard;
}

/* Called from publish, the message is still being read and the reader goes on by itself; the task finds nothing new. */
void ads_applied(struct ads *a, uint64_t generation)
{
    if (!a->applying || generation < a->generation) {
        return;
    }
    ads_finish_message(a);
    send_due(a);
    if (a->stream != NULL) {
        loop_deliver(a->config.loop, &a->resume);
    }
}
