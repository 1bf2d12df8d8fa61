// rooms: proxy/config proxy/net proxy/route proxy/codec proto base/crypto base/doc base/stat base
/*
 * Configuration as an outsider may write it. The first byte chooses: a bootstrap as YAML, or resources of one type over
 * ADS (each with two bytes of length before it), applied to a store that waits for them, dumped, and applied again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proxy/config/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_RESOURCES = 16 };

static const char BASE[] =
    "{ node: { id: n, cluster: c }, dynamic_resources: { ads_config: { api_type: GRPC, transport_api_version: V3, "
    "grpc_services: [ { envoy_grpc: { cluster_name: x } } ] }, lds_config: { ads: {}, resource_api_version: V3 }, "
    "cds_config: { ads: {}, resource_api_version: V3 } }, bootstrap_extensions: [ { name: i, typed_config: { \"@type\": "
    "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener } } ], static_resources: { "
    "secrets: [ { name: mac/k, generic_secret: { secret: { inline_string: k } } } ], clusters: [ { name: x, "
    "http2_protocol_options: {}, load_assignment: { cluster_name: x } } ] } }";

static struct config_bootstrap *load(const char *yaml, const struct extension_registry *r)
{
    struct err err;
    struct bootstrap_options o = {.yaml = yaml};
    return bootstrap_load(&o, r, &err);
}

static void try_bootstrap(const uint8_t *data, size_t size, const struct extension_registry *r)
{
    char *yaml = mem_str_slice(slice_make(data, size));
    struct config_bootstrap *b = load(yaml, r);
    mem_free(yaml);
    if (b == NULL) {
        return;
    }
    struct err err;
    struct config_store *s = store_create(b, r, &err);
    if (s != NULL) {
        struct strbuf json;
        strbuf_init(&json);
        store_dump(s, &json);
        strbuf_fini(&json);
    }
    store_destroy(&s);
    bootstrap_destroy(&b);
}

static size_t cut(const uint8_t *data, size_t size, struct slice url, struct store_resource *list)
{
    size_t n = 0;
    while (size >= 2 && n < MAX_RESOURCES) {
        size_t len = (size_t)data[0] << 8 | data[1];
        len = len > size - 2 ? size - 2 : len;
        list[n++] = (struct store_resource){.type_url = url, .bytes = slice_make(data + 2, len)};
        data += 2 + len;
        size -= 2 + len;
    }
    return n;
}

static void try_update(unsigned type, const uint8_t *data, size_t size, const struct extension_registry *r)
{
    struct err err;
    struct config_bootstrap *b = load(BASE, r);
    struct config_store *s = store_create(b, r, &err);
    const struct slice *urls;
    size_t types = store_types(s, &urls);
    struct store_resource list[MAX_RESOURCES];
    struct store_update u = {.type_url = urls[type % types], .version = SLICE("1"), .resources = list};
    u.n = cut(data, size, u.type_url, list);
    bool changed = false;
    store_apply(s, &u, &changed, &err);
    struct strbuf text;
    strbuf_init(&text);
    store_dump(s, &text);
    store_is_ready(s, &text);
    strbuf_fini(&text);
    store_apply(s, &u, &changed, &err);
    u.n = 0;
    store_apply(s, &u, &changed, &err);
    store_destroy(&s);
    bootstrap_destroy(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct extension_registry *r = extension_registry_create();
    if (data[0] < 16) {
        try_update(data[0], data + 1, size - 1, r);
    } else {
        try_bootstrap(data, size, r);
    }
    extension_registry_destroy(&r);
    return 0;
}
