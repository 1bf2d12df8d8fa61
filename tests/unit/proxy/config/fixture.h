/* Shared by the tests of this room: a registry with stand-ins for other rooms' extensions, bootstraps from text. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "proxy/config/store.h"

static void *fixture_build(const void *message, struct arena *arena, struct err *err)
{
    (void)message;
    (void)err;
    return arena_zalloc(arena, 8);
}

static int fixture_destroyed;
static void fixture_destroy(void *object)
{
    (void)object;
    fixture_destroyed++;
}

static const struct extension_type fixture_apim_filter = {EXTENSION_HTTP_FILTER, "egret.apim.v1.ApimFilter", fixture_build,
                                                          fixture_destroy};
static const struct extension_type fixture_apim_table = {EXTENSION_PER_ROUTE, "egret.apim.v1.ApiTable", fixture_build, NULL};
static const struct extension_type fixture_log = {
    EXTENSION_ACCESS_LOG, "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", fixture_build, fixture_destroy};

static inline struct extension_registry *fixture_registry(void)
{
    struct extension_registry *r = extension_registry_create();
    extension_register(r, &fixture_apim_filter);
    extension_register(r, &fixture_apim_table);
    extension_register(r, &fixture_log);
    return r;
}

/* A file in the build's working directory, which the caller unlinks. */
static inline char *fixture_file(const char *suffix, const char *text)
{
    char *path = mem_printf("/tmp/egret-config-%d-%s", (int)getpid(), suffix);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    return path;
}

static inline struct config_bootstrap *fixture_load(const struct extension_registry *r, const char *yaml, struct err *err)
{
    struct bootstrap_options o = {.yaml = yaml};
    err_clear(err);
    return bootstrap_load(&o, r, err);
}

#include "base/doc/doc.h"
#include "proto/pack.h"
#include "proto/registry.h"
#include "proto/walk.h"

#define URL "type.googleapis.com/"
#define URL_LDS URL "envoy.config.listener.v3.Listener"
#define URL_CDS URL "envoy.config.cluster.v3.Cluster"
#define URL_RDS URL "envoy.config.route.v3.RouteConfiguration"
#define URL_EDS URL "envoy.config.endpoint.v3.ClusterLoadAssignment"
#define URL_SDS URL "envoy.extensions.transport_sockets.tls.v3.Secret"
#define URL_API URL "egret.apim.v1.Api"
#define URL_SUB URL "egret.apim.v1.Subscription"
#define URL_PRODUCT URL "egret.apim.v1.Product"
#define URL_BACKEND URL "egret.apim.v1.Backend"
#define URL_PROGRAM URL "egret.apim.v1.PolicyProgram"

/* One resource written as YAML, as it would come over ADS. */
static inline struct store_resource fixture_resource(struct arena *arena, const char *url, const char *yaml)
{
    struct err err;
    err_clear(&err);
    struct doc_source source = {"resource", slice_of(yaml), DOC_YAML};
    const struct doc *d = doc_parse(arena, source, NULL, &err);
    struct walk w = {.arena = arena};
    ProtobufCMessage *m = d == NULL ? NULL : walk_message(&w, d, registry_find(slice_of(url)), &err);
    if (m == NULL) {
        fail_msg("%s", err.text);
    }
    return (struct store_resource){.type_url = slice_of(url), .bytes = pack_message(m, arena)};
}

struct fixture {
    struct extension_registry *registry;
    struct config_bootstrap *bootstrap;
    struct config_store *store;
    struct err err; /* of the last apply */
    bool changed;
};

static const char FIXTURE_ADS[] =
    "node: { id: n1, cluster: c1 }\n"
    "dynamic_resources:\n"
    "  ads_config:\n"
    "    api_type: GRPC\n"
    "    transport_api_version: V3\n"
    "    grpc_services: [ { envoy_grpc: { cluster_name: xds } } ]\n"
    "  lds_config: { ads: {}, resource_api_version: V3 }\n"
    "  cds_config: { ads: {}, resource_api_version: V3 }\n"
    "bootstrap_extensions:\n"
    "- name: envoy.bootstrap.internal_listener\n"
    "  typed_config: { \"@type\": type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener }\n"
    "static_resources:\n"
    "  secrets:\n"
    "  - { name: mac/k1, generic_secret: { secret: { inline_string: first-mac-key-0123456789abcdef } } }\n"
    "  - { name: mac/k2, generic_secret: { secret: { inline_string: second-mac-key-0123456789abcde } } }\n"
    "  clusters:\n"
    "  - name: xds\n"
    "    type: STATIC\n"
    "    http2_protocol_options: {}\n"
    "    load_assignment:\n"
    "      cluster_name: xds\n"
    "      endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 18000 } } } } ] } ]\n";

static inline void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->registry = fixture_registry();
    f->bootstrap = fixture_load(f->registry, FIXTURE_ADS, &f->err);
    assert_string_equal(f->err.text, "");
    f->store = store_create(f->bootstrap, f->registry, &f->err);
    assert_non_null(f->store);
}

static inline void fixture_close(struct fixture *f)
{
    store_destroy(&f->store);
    bootstrap_destroy(&f->bootstrap);
    extension_registry_destroy(&f->registry);
}

/* Applies one update of a type; yamls ends with NULL. */
static inline bool fixture_apply(struct fixture *f, const char *url, const char *version, const char *const *yamls)
{
    struct arena *arena = arena_create(0);
    struct store_resource list[64];
    size_t n = 0;
    for (; yamls[n] != NULL; n++) {
        list[n] = fixture_resource(arena, url, yamls[n]);
    }
    struct store_update u = {.type_url = slice_of(url), .version = slice_of(version), .resources = list, .n = n};
    err_clear(&f->err);
    bool ok = store_apply(f->store, &u, &f->changed, &f->err);
    arena_destroy(&arena);
    store_reclaim(f->store);
    return ok;
}

#define APPLY(f, url, version, ...) fixture_apply((f), (url), (version), (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static inline struct snapshot *fixture_now(struct fixture *f)
{
    return store_snapshot(f->store);
}
