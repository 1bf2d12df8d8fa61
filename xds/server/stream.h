/*
 * stream: one StreamAggregatedResources or DeltaAggregatedResources call. It holds the call, its session and its node, and frees itself when gRPC
 * has no operation of it under way. Owned by the server; the server's thread.
 */
#pragma once
#include <grpc/grpc.h>

#include "base/list.h"
#include "xds/server/server.h"

struct stream;

/* The server's list of streams; the stream keeps the node. */
struct list *stream_node(struct stream *stream);
struct stream *stream_of(struct list *node);

/* What a stream asks of its server. */
struct stream_host {
    const char *trust_domain, *identifier;
    struct server_hooks hooks;
    void (*on_admitted)(void *ctx, const struct server_proxy *proxy);
    void (*on_gone)(void *ctx, struct stream *stream); /* the last call; the stream is freed after it */
    void *ctx;
};

/* Takes the call over. */
struct stream *stream_start(const struct stream_host *host, grpc_call *call, enum session_kind kind);
/* Answers the call with this status and nothing else; takes it over as well. */
struct stream *stream_refuse(const struct stream_host *host, grpc_call *call, grpc_status_code code, const char *text);
void stream_end(struct stream *stream, grpc_status_code code, const char *text); /* once; later calls do nothing */
void stream_cut(struct stream *stream); /* without waiting for what is being written */
void stream_publish(struct stream *stream, struct resource_set *set);
const char *stream_cluster(const struct stream *stream); /* "" before the first request */
/* false before the first request was admitted. */
bool stream_proxy(const struct stream *stream, struct server_proxy *out);
