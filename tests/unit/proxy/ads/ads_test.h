/* What the tests of this room share: responses to feed in, requests to look at. */
#pragma once
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"
#include "proto/guard.h"
#include "proto/pack.h"

#define CDS "type.googleapis.com/envoy.config.cluster.v3.Cluster"
#define EDS "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
#define LDS "type.googleapis.com/envoy.config.listener.v3.Listener"
#define API "type.googleapis.com/egret.apim.v1.Api"

/* A response with n resources of type `inner`, each of one byte. */
struct wire {
    const char *type, *version, *nonce;
    const char *inner; /* NULL: the type itself */
    unsigned n;
};

static inline struct slice wire_pack(struct arena *arena, struct wire w)
{
    Envoy__Service__Discovery__V3__DiscoveryResponse m = ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_RESPONSE__INIT;
    m.type_url = (char *)(uintptr_t)w.type;
    m.version_info = (char *)(uintptr_t)w.version;
    m.nonce = (char *)(uintptr_t)w.nonce;
    m.resources = arena_zalloc(arena, (w.n + 1) * sizeof(void *));
    for (; m.n_resources < w.n; m.n_resources++) {
        Google__Protobuf__Any *any = arena_alloc(arena, sizeof *any);
        google__protobuf__any__init(any);
        any->type_url = (char *)(uintptr_t)(w.inner != NULL ? w.inner : w.type);
        any->value.data = (uint8_t *)(uintptr_t) "\n";
        any->value.len = 1;
        m.resources[m.n_resources] = any;
    }
    return pack_message(&m.base, arena);
}

/* "Cluster v=1 n=a node [x,y] error 13: text": what a request says, in one line. */
static inline const char *request_text(struct slice bytes, char *out, size_t cap)
{
    struct arena *arena = arena_create(0);
    struct err err;
    const Envoy__Service__Discovery__V3__DiscoveryRequest *m =
        guard_unpack(NULL, &envoy__service__discovery__v3__discovery_request__descriptor, bytes, arena, &err);
    struct strbuf text;
    strbuf_init(&text);
    if (m == NULL) {
        strbuf_printf(&text, "unreadable: %s", err.text);
    } else {
        const char *dot = strrchr(m->type_url, '.');
        strbuf_printf(&text, "%s v=%s n=%s%s [", dot == NULL ? m->type_url : dot + 1, m->version_info,
                      m->response_nonce, m->node == NULL ? "" : " node");
        for (size_t i = 0; i < m->n_resource_names; i++) {
            strbuf_printf(&text, "%s%s", i > 0 ? "," : "", m->resource_names[i]);
        }
        strbuf_add_char(&text, ']');
        if (m->error_detail != NULL) {
            strbuf_printf(&text, " error %d: %s", m->error_detail->code, m->error_detail->message);
        }
    }
    snprintf(out, cap, "%s", strbuf_cstr(&text));
    strbuf_fini(&text);
    arena_destroy(&arena);
    return out;
}

/* A Node with the id "n", packed. */
#define NODE SLICE("\n\001n")
