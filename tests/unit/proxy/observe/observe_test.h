/* What the tests of this room share: a record of one ordinary request. */
#pragma once
#include <string.h>

#include "base/arena.h"
#include "proxy/observe/record.h"

struct sample {
    struct arena *arena;
    struct head request, response, trailers;
    struct addr local, remote;
    struct transport_tls tls;
    struct transport_info info;
    struct record record;
};

static inline void sample_init(struct sample *s)
{
    memset(s, 0, sizeof *s);
    s->arena = arena_create(0);
    head_init(&s->request, s->arena);
    s->request.method = SLICE("GET");
    s->request.scheme = SLICE("https");
    s->request.authority = SLICE("api.test:8443");
    s->request.path = SLICE("/shop/items?subscription-key=secret&q=1");
    head_add(&s->request, SLICE("user-agent"), SLICE("curl/8"));
    head_add(&s->request, SLICE("x-request-id"), SLICE("id-1"));
    head_add(&s->request, SLICE("ocp-apim-subscription-key"), SLICE("topsecret"));
    head_add(&s->request, SLICE("referer"), SLICE("https://x.test/?a=1&Subscription-Key=topsecret&b=2"));
    head_init(&s->response, s->arena);
    s->response.status = 200;
    s->response.content_length = 5;
    head_add(&s->response, SLICE("x-envoy-upstream-service-time"), SLICE("7"));
    head_add(&s->response, SLICE("content-type"), SLICE("text/plain"));
    head_init(&s->trailers, s->arena);
    head_add(&s->trailers, SLICE("grpc-status"), SLICE("14"));
    addr_parse(&s->local, SLICE("10.0.0.1"), 8443, NULL);
    addr_parse(&s->remote, SLICE("::1"), 40000, NULL);
    s->tls.version = SLICE("1.3");
    s->tls.sni = SLICE("api.test");
    s->info = (struct transport_info){.local = &s->local, .remote = &s->remote, .tls = &s->tls};
    struct record *r = &s->record;
    r->start_wall_us = 1767323045678901; /* 2026-01-02T03:04:05.678901Z */
    r->start_us = 1000000;
    r->request_end_us = 1002000;
    r->upstream_start_us = 1003000;
    r->upstream_response_us = 1010000;
    r->upstream_end_us = 1015500;
    r->response_start_us = 1010500;
    r->end_us = 1016999;
    r->downstream = &s->info;
    r->request = &s->request;
    r->original_path = SLICE("/shop/items?subscription-key=***&q=1");
    r->version = HTTP_2;
    r->bytes_received = 3;
    r->bytes_sent = 5;
    r->status = 200;
    r->response = &s->response;
    r->response_trailers = &s->trailers;
    r->details = SLICE("via_upstream");
    r->request_id = SLICE("id-1");
    r->route = SLICE("items");
    r->cluster = SLICE("shop");
    r->upstream_host = SLICE("192.168.1.232:3001");
    addr_parse(&r->upstream_local, SLICE("10.0.0.9"), 51000, NULL);
    r->reached_upstream = true;
    r->upstream_status = 200;
    r->upstream_version = HTTP_1_1;
    r->attempts = 1;
}

static inline void sample_fini(struct sample *s)
{
    arena_destroy(&s->arena);
}
