#include "xds/server/server.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/mem.h"
#include "xds/server/completions.h"
#include "xds/server/credentials.h"
#include "xds/server/gone.h"
#include "xds/server/stream.h"

enum { REQUEST_MAX = 32 * 1024 * 1024, FAREWELL_MS = 1500, CUT_MS = 1000 };

#define METHOD_SOTW "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
#define METHOD_DELTA "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

struct server {
    struct completions *completions;
    struct credentials *credentials;
    grpc_server *grpc;
    uint16_t port;
    char *trust_domain, *identifier;
    struct stream_host host;
    struct list streams;
    struct gone *gone;

    struct completion accepted, stopped;
    bool accepting, stopping, is_stopped;
    grpc_call *call; /* filled by gRPC for `accepted`, like the next two */
    grpc_call_details details;
    grpc_metadata_array metadata;
};

static void log_grpc(gpr_log_func_args *args)
{
    enum log_level level = args->severity == GPR_LOG_SEVERITY_ERROR  ? LOG_WARN
                           : args->severity == GPR_LOG_SEVERITY_INFO ? LOG_DEBUG
                                                                     : LOG_TRACE;
    LOG(level, "grpc", "%s", args->message);
}

static void accept_next(struct server *s)
{
    grpc_call_details_init(&s->details);
    grpc_metadata_array_init(&s->metadata);
    grpc_completion_queue *q = completions_queue(s->completions);
    grpc_call_error code = grpc_server_request_call(s->grpc, &s->call, &s->details, &s->metadata, q, q, &s->accepted);
    s->accepting = code == GRPC_CALL_OK;
    if (!s->accepting) {
        LOG(LOG_ERROR, "ads", "cannot accept calls: %s", grpc_call_error_to_string(code));
    }
}

static struct stream *start(struct server *s, struct slice method)
{
    bool delta = slice_eq(method, SLICE(METHOD_DELTA));
    if (delta || slice_eq(method, SLICE(METHOD_SOTW))) {
        return stream_start(&s->host, s->call, delta ? SESSION_DELTA : SESSION_SOTW);
    }
    return stream_refuse(&s->host, s->call, GRPC_STATUS_UNIMPLEMENTED,
                         "only AggregatedDiscoveryService is served here (StreamAggregatedResources, "
                         "DeltaAggregatedResources)");
}

static void on_accepted(void *owner, bool ok)
{
    struct server *s = owner;
    s->accepting = false;
    if (ok) {
        struct slice method = slice_make(GRPC_SLICE_START_PTR(s->details.method), GRPC_SLICE_LENGTH(s->details.method));
        struct stream *stream = start(s, method);
        list_push(&s->streams, stream_node(stream));
        if (s->stopping) {
            stream_end(stream, GRPC_STATUS_UNAVAILABLE, "the control server ends");
        }
    }
    grpc_call_details_destroy(&s->details);
    grpc_metadata_array_destroy(&s->metadata);
    if (ok && !s->stopping) {
        accept_next(s);
    }
}

static void on_stopped(void *owner, bool ok)
{
    struct server *s = owner;
    (void)ok;
    s->is_stopped = true;
}

static bool same_node(const struct stream *stream, const struct server_proxy *proxy)
{
    struct server_proxy other;
    return stream_proxy(stream, &other) && strcmp(other.node_id, proxy->node_id) == 0 &&
           strcmp(other.cluster, proxy->cluster) == 0;
}

static void on_admitted(void *ctx, const struct server_proxy *proxy)
{
    struct server *s = ctx;
    gone_remove(s->gone, proxy->cluster, proxy->node_id);
    LOG(LOG_INFO, "ads", "%s: node %s of %s connected", proxy->peer, proxy->node_id, proxy->cluster);
}

static void on_stream_gone(void *ctx, struct stream *stream)
{
    struct server *s = ctx;
    struct server_proxy proxy;
    list_remove(stream_node(stream));
    if (!stream_proxy(stream, &proxy)) {
        return;
    }
    for (struct list *i = s->streams.next; i != &s->streams; i = i->next) {
        if (same_node(stream_of(i), &proxy)) {
            return; /* a new stream of this node is there already */
        }
    }
    proxy.until_us = clock_wall_us();
    gone_add(s->gone, &proxy);
    LOG(LOG_INFO, "ads", "%s: node %s of %s left", proxy.peer, proxy.node_id, proxy.cluster);
}

static grpc_server *create_grpc(const struct server_params *params)
{
    int max = params->max_request_bytes == 0 ? REQUEST_MAX : (int)params->max_request_bytes;
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH}, .value.integer = max},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_MAX_SEND_MESSAGE_LENGTH}, .value.integer = -1},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_MAX_CONCURRENT_STREAMS}, .value.integer = 100},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_KEEPALIVE_TIME_MS}, .value.integer = 30000},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_KEEPALIVE_TIMEOUT_MS}, .value.integer = 10000},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS}, .value.integer = 1},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA}, .value.integer = 0},
        /* Clients may ping every second: a sidecar must notice a dead control server soon. */
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS},
         .value.integer = 1000},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS}, .value.integer = 10000},
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_ALLOW_REUSEPORT}, .value.integer = 0},
    };
    grpc_channel_args all = {.num_args = ARRAY_LEN(args), .args = args};
    return grpc_server_create(&all, NULL);
}

static bool bind_port(struct server *s, const struct server_params *params, struct err *err)
{
    bool v6 = strchr(params->address, ':') != NULL;
    char *target = mem_printf(v6 ? "[%s]:%u" : "%s:%u", params->address, (unsigned)params->port);
    grpc_server_credentials *tls = credentials_for_server(s->credentials);
    int port = grpc_server_add_http2_port(s->grpc, target, tls);
    grpc_server_credentials_release(tls);
    if (port <= 0) {
        err_set(err, ERR_IO, "ads: cannot listen on %s (address in use, or certificate and key do not fit)", target);
    }
    mem_free(target);
    s->port = (uint16_t)(port > 0 ? port : 0);
    return port > 0;
}

static void init_host(struct server *s, const struct server_params *params, const struct server_hooks *hooks)
{
    s->trust_domain = mem_str(params->trust_domain);
    s->identifier = mem_str(params->identifier);
    list_init(&s->streams);
    s->gone = gone_create();
    s->accepted = (struct completion){.fn = on_accepted, .owner = s};
    s->stopped = (struct completion){.fn = on_stopped, .owner = s};
    s->host = (struct stream_host){
        .trust_domain = s->trust_domain,
        .identifier = s->identifier,
        .hooks = *hooks,
        .on_admitted = on_admitted,
        .on_gone = on_stream_gone,
        .ctx = s,
    };
}

struct server *server_create(const struct server_params *params, const struct server_hooks *hooks, struct err *err)
{
    gpr_set_log_function(log_grpc);
    gpr_set_log_verbosity(log_level() <= LOG_DEBUG ? GPR_LOG_SEVERITY_INFO : GPR_LOG_SEVERITY_ERROR);
    grpc_init();
    struct server *s = mem_alloc(sizeof *s);
    init_host(s, params, hooks);
    struct credentials_files files = {params->certificate, params->private_key, params->client_ca};
    s->credentials = credentials_create(&files, err);
    s->completions = s->credentials == NULL ? NULL : completions_create(err);
    if (s->completions == NULL) {
        server_destroy(&s);
        return NULL;
    }
    s->grpc = create_grpc(params);
    grpc_server_register_completion_queue(s->grpc, completions_queue(s->completions), NULL);
    bool bound = bind_port(s, params, err);
    grpc_server_start(s->grpc); /* also before a shutdown: gRPC wants it so */
    if (!bound) {
        server_destroy(&s);
        return NULL;
    }
    accept_next(s);
    return s;
}

static bool is_quiet(const struct server *s)
{
    return s->is_stopped && !s->accepting && list_is_empty(&s->streams);
}

static void wait_until_quiet(struct server *s, int64_t limit_ms)
{
    int64_t until = clock_mono_us() + limit_ms * 1000;
    while (!is_quiet(s) && clock_mono_us() < until) {
        struct pollfd p = {.fd = server_fd(s), .events = POLLIN};
        poll(&p, 1, 20);
        server_run(s);
    }
}

static void stop(struct server *s)
{
    s->stopping = true;
    grpc_server_shutdown_and_notify(s->grpc, completions_queue(s->completions), &s->stopped);
    for (struct list *i = s->streams.next, *next; i != &s->streams; i = next) {
        next = i->next;
        stream_end(stream_of(i), GRPC_STATUS_UNAVAILABLE, "the control server ends");
    }
    wait_until_quiet(s, FAREWELL_MS);
    for (struct list *i = s->streams.next; i != &s->streams; i = i->next) {
        stream_cut(stream_of(i));
    }
    if (!is_quiet(s)) {
        grpc_server_cancel_all_calls(s->grpc);
        wait_until_quiet(s, CUT_MS);
    }
}

void server_destroy(struct server **server)
{
    struct server *s = *server;
    if (s == NULL) {
        return;
    }
    if (s->grpc != NULL) {
        stop(s);
        grpc_server_destroy(s->grpc);
    }
    completions_destroy(&s->completions);
    credentials_destroy(&s->credentials);
    gone_destroy(&s->gone);
    mem_free(s->trust_domain);
    mem_free(s->identifier);
    mem_free(s);
    *server = NULL;
    grpc_shutdown_blocking();
}

int server_fd(const struct server *server)
{
    return completions_fd(server->completions);
}

void server_run(struct server *server)
{
    completions_run(server->completions);
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

bool server_reload_certificates(struct server *server, struct err *err)
{
    return credentials_reload(server->credentials, err);
}

void server_publish(struct server *server, const char *cluster, struct resource_set *set)
{
    for (struct list *i = server->streams.next; i != &server->streams; i = i->next) {
        if (strcmp(stream_cluster(stream_of(i)), cluster) == 0) {
            stream_publish(stream_of(i), set);
        }
    }
}

void server_deny(struct server *server, const char *cluster, const char *reason)
{
    for (struct list *i = server->streams.next, *next; i != &server->streams; i = next) {
        next = i->next;
        if (strcmp(stream_cluster(stream_of(i)), cluster) == 0) {
            stream_end(stream_of(i), GRPC_STATUS_PERMISSION_DENIED, reason);
        }
    }
}

void server_each_proxy(const struct server *server, void (*fn)(void *ctx, const struct server_proxy *proxy), void *ctx)
{
    for (struct list *i = server->streams.next; i != &server->streams; i = i->next) {
        struct server_proxy proxy;
        if (stream_proxy(stream_of(i), &proxy)) {
            fn(ctx, &proxy);
        }
    }
    gone_each(server->gone, fn, ctx);
}
