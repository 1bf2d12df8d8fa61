#include <string.h>

#include "base/mem.h"
#include "proto/pack.h"
#include "proto/registry.h"
#include "proxy/config/address.h"
#include "proxy/config/bootstrap_inside.h"
#include "proxy/config/cluster.h"
#include "proxy/config/listener.h"
#include "proxy/config/rules.h"

/* ---- what builders may look up ---- */

static const struct secret *find_secret(void *ctx, bool from_bootstrap, struct slice name)
{
    const struct config_bootstrap *b = ctx;
    return from_bootstrap ? map_get(b->secrets, name) : NULL;
}

static bool has_cluster(void *ctx, struct slice name)
{
    const struct config_bootstrap *b = ctx;
    return b->wants_cds || map_has(b->clusters, name);
}

struct build_env bootstrap_env(struct config_bootstrap *b)
{
    return (struct build_env){.extensions = b->extensions,
                              .support = b->support,
                              .limits = b->limits,
                              .yard = &b->yard,
                              .find_secret = find_secret,
                              .has_cluster = has_cluster,
                              .ctx = b,
                              .has_ads = b->has_ads,
                              .has_internal = b->has_internal,
                              .is_static = true};
}

/* ---- node ---- */

static char *flag_or(const char *flag, char *otherwise)
{
    return flag != NULL ? (char *)(uintptr_t)flag : otherwise;
}

static void read_node(struct config_bootstrap *b, const struct bootstrap_options *options)
{
    static char *const features[] = {"egret.apim.v1", "xds.config.resource-in-sotw"};
    pb_node node;
    envoy__config__core__v3__node__init(&node);
    Envoy__Config__Core__V3__Locality locality;
    envoy__config__core__v3__locality__init(&locality);
    if (b->message->node != NULL) {
        node = *b->message->node;
        locality = node.locality != NULL ? *node.locality : locality;
    }
    node.id = flag_or(options->node_id, node.id);
    node.cluster = flag_or(options->node_cluster, node.cluster);
    if (options->node_zone != NULL) {
        locality.zone = flag_or(options->node_zone, NULL);
        node.locality = &locality;
    }
    node.user_agent_name = "egret";
    node.user_agent_version_type_case = ENVOY__CONFIG__CORE__V3__NODE__USER_AGENT_VERSION_TYPE_USER_AGENT_VERSION;
    node.user_agent_version = EGRET_VERSION;
    char **all = arena_alloc(b->arena, (node.n_client_features + 2) * sizeof *all);
    for (size_t i = 0; i < node.n_client_features; i++) {
        all[i] = node.client_features[i];
    }
    all[node.n_client_features] = features[0];
    all[node.n_client_features + 1] = features[1];
    node.client_features = all;
    node.n_client_features += 2;
    b->node = (struct bootstrap_node){
        .id = arena_slice(b->arena, slice_of(node.id)),
        .cluster = arena_slice(b->arena, slice_of(node.cluster)),
        .zone = arena_slice(b->arena, slice_of(node.locality == NULL ? "" : node.locality->zone)),
        .packed = pack_message(&node.base, b->arena),
    };
}

/* ---- admin ---- */

static bool read_admin(struct reader *r, struct config_bootstrap *b)
{
    const Envoy__Config__Bootstrap__V3__Admin *admin = b->message->admin;
    if (admin == NULL) {
        return true;
    }
    size_t mark = read_push(r, "admin");
    if (admin->access_log_path[0] != '\0' && strcmp(admin->access_log_path, "/dev/null") != 0) {
        return read_fail(r, "access_log_path", ERR_UNSUPPORTED, "only /dev/null is supported by Egret");
    }
    b->has_admin = admin->address != NULL;
    if (b->has_admin && !address_read(r, "address", admin->address, &b->admin)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

/* ---- bootstrap extensions ---- */

enum { INBOX_BUDGET = 128 << 20 };

static void default_to(uint32_t *value, uint32_t otherwise)
{
    *value = *value == 0 ? otherwise : *value;
}

static void read_limits(struct config_bootstrap *b, const Egret__Config__V1__Limits *m)
{
    struct config_limits *l = &b->limits;
    if (m != NULL) {
        *l = (struct config_limits){.max_connections = m->max_connections,
                                    .lingering_close_ms = m->lingering_close_ms,
                                    .early_response_discard_bytes = m->early_response_discard_bytes,
                                    .max_uri_bytes = m->max_uri_bytes,
                                    .max_chunk_extension_bytes = m->max_chunk_extension_bytes,
                                    .requests_per_second = m->requests_per_second,
                                    .max_memory_bytes = m->max_memory_bytes,
                                    .max_request_body_bytes = m->max_request_body_bytes,
                                    .max_response_body_bytes = m->max_response_body_bytes,
                                    .inbox_budget_bytes = m->inbox_budget_bytes,
                                    .max_buffered_body_bytes = m->max_buffered_body_bytes};
    }
    default_to(&l->max_connections, 65536);
    default_to(&l->lingering_close_ms, 1000);
    default_to(&l->early_response_discard_bytes, 65536);
    default_to(&l->max_uri_bytes, 16384);
    default_to(&l->max_chunk_extension_bytes, 256);
    default_to(&l->max_buffered_body_bytes, 2 << 20);
    l->inbox_budget_bytes = l->inbox_budget_bytes == 0 ? INBOX_BUDGET : l->inbox_budget_bytes;
}

static bool read_bootstrap_extension(struct reader *r, struct config_bootstrap *b, const pb_extension *e)
{
    const pb_message *typed = NULL;
    if (!read_any(r, "typed_config", e->typed_config, &typed)) {
        return false;
    }
    if (pb_is(typed, &envoy__extensions__bootstrap__internal_listener__v3__internal_listener__descriptor)) {
        b->has_internal = true;
        return true;
    }
    if (pb_is(typed, &egret__config__v1__limits__descriptor)) {
        read_limits(b, (const void *)typed);
        return true;
    }
    return read_fail(r, "typed_config", ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret as a bootstrap extension",
                     typed->descriptor->name);
}

static bool read_extensions(struct reader *r, struct config_bootstrap *b)
{
    read_limits(b, NULL);
    for (size_t i = 0; i < b->message->n_bootstrap_extensions; i++) {
        size_t mark = read_push_at(r, "bootstrap_extensions", i);
        if (!read_bootstrap_extension(r, b, b->message->bootstrap_extensions[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    return true;
}

/* ---- dynamic resources ---- */

static bool read_ads_config(struct reader *r, struct config_bootstrap *b, const pb_api_source *ads)
{
    size_t mark = read_push(r, "ads_config");
    b->ads_delta = ads->api_type == ENVOY__CONFIG__CORE__V3__API_CONFIG_SOURCE__API_TYPE__DELTA_GRPC;
    if (!b->ads_delta && ads->api_type != ENVOY__CONFIG__CORE__V3__API_CONFIG_SOURCE__API_TYPE__GRPC) {
        return read_fail(r, "api_type", ERR_UNSUPPORTED, "only GRPC and DELTA_GRPC are supported by Egret");
    }
    if (ads->transport_api_version != ENVOY__CONFIG__CORE__V3__API_VERSION__V3) {
        return read_fail(r, "transport_api_version", ERR_INPUT, "must be V3");
    }
    if (ads->n_grpc_services != 1) {
        return read_fail(r, "grpc_services", ERR_INPUT, "exactly one is required");
    }
    const Envoy__Config__Core__V3__GrpcService *service = ads->grpc_services[0];
    if (service->target_specifier_case != ENVOY__CONFIG__CORE__V3__GRPC_SERVICE__TARGET_SPECIFIER_ENVOY_GRPC ||
        service->envoy_grpc->cluster_name[0] == '\0') {
        return read_required(r, "grpc_services[0].envoy_grpc.cluster_name");
    }
    b->ads_cluster = arena_slice(b->arena, slice_of(service->envoy_grpc->cluster_name));
    b->has_ads = true;
    read_pop(r, mark);
    return true;
}

static bool read_dynamic(struct reader *r, struct config_bootstrap *b, struct build_env *env)
{
    const Envoy__Config__Bootstrap__V3__Bootstrap__DynamicResources *d = b->message->dynamic_resources;
    if (d == NULL) {
        return true;
    }
    if (d->ads_config != NULL && (b->node.id.n == 0 || b->node.cluster.n == 0)) {
        return read_fail(r, "node", ERR_INPUT, "id and cluster are required with dynamic_resources");
    }
    size_t mark = read_push(r, "dynamic_resources");
    if (d->ads_config != NULL && !read_ads_config(r, b, d->ads_config)) {
        return false;
    }
    env->has_ads = b->has_ads;
    b->wants_lds = d->lds_config != NULL;
    b->wants_cds = d->cds_config != NULL;
    if ((b->wants_lds && !read_ads(r, "lds_config", d->lds_config)) ||
        (b->wants_cds && !read_ads(r, "cds_config", d->cds_config))) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

static bool check_ads_cluster(struct reader *r, const struct config_bootstrap *b, const struct cluster_conf *c)
{
    if (c->type == CLUSTER_EDS) {
        return read_fail(r, "type", ERR_INPUT, "the cluster that ADS goes through cannot be EDS itself");
    }
    return c->protocol == UPSTREAM_HTTP2 ||
           read_fail(r, NULL, ERR_INPUT, "ADS goes through cluster \"%.*s\": it needs http2_protocol_options",
                     SLICE_ARG(b->ads_cluster));
}

/* ---- static resources: everything is built once here, to be checked ---- */

static void drop_secret(void *object)
{
    struct secret *s = object;
    secret_unref(&s);
}

static bool read_secret(struct config_bootstrap *b, size_t i, struct err *err)
{
    const pb_secret *m = b->message->static_resources->secrets[i];
    struct build_env env = bootstrap_env(b);
    struct reader r;
    reader_init(&r, &env, err);
    read_push_at(&r, "static_resources.secrets", i);
    struct secret *s = map_has(b->secrets, slice_of(m->name)) ? NULL : secret_create(&r, m);
    if (s == NULL) {
        bool twice = map_has(b->secrets, slice_of(m->name)) && read_fail(&r, "name", ERR_INPUT, "stands twice");
        reader_abandon(&r);
        return twice;
    }
    reader_done(&r);
    map_put(b->secrets, s->name, s);
    struct slice id = s->name;
    if (slice_starts_with(id, SLICE("mac/")) && s->kind == SECRET_GENERIC) {
        b->mac_keys[b->n_mac_keys++] = (struct apim_mac_key){slice_from(id, 4), s->value};
    }
    return true;
}

static bool read_cluster(struct config_bootstrap *b, size_t i, struct err *err)
{
    const pb_cluster *m = b->message->static_resources->clusters[i];
    struct build_env env = bootstrap_env(b);
    struct reader r;
    reader_init(&r, &env, err);
    read_push_at(&r, "static_resources.clusters", i);
    struct cluster_conf *c = cluster_create(&r, m);
    bool ok = c != NULL;
    if (ok && map_has(b->clusters, c->name)) {
        ok = read_fail(&r, "name", ERR_INPUT, "stands twice");
    }
    if (ok && slice_eq(c->name, b->ads_cluster)) {
        ok = check_ads_cluster(&r, b, c);
    }
    if (ok) {
        map_put(b->clusters, c->name, b);
    }
    reader_abandon(&r); /* with the cluster: the store makes its own */
    return ok;
}

static bool check_listener(struct reader *r, const struct config_bootstrap *b, size_t i, const struct listener_conf *l)
{
    for (size_t k = 0; k < i; k++) {
        const pb_listener *other = b->message->static_resources->listeners[k];
        if (strcmp(other->name, b->message->static_resources->listeners[i]->name) == 0) {
            return read_fail(r, "name", ERR_INPUT, "stands twice");
        }
        struct addr addr = {.len = 0};
        struct reader probe = {.env = r->env, .arena = r->arena, .scratch = r->scratch};
        if (!l->internal && other->address != NULL && address_read(&probe, "address", other->address, &addr) &&
            addr_eq(&addr, &l->addr)) {
            return read_fail(r, "address", ERR_INPUT, "listeners[%zu] has the same", k);
        }
    }
    return true;
}

static bool read_listener(struct config_bootstrap *b, size_t i, struct err *err)
{
    const pb_listener *m = b->message->static_resources->listeners[i];
    struct build_env env = bootstrap_env(b);
    struct reader r;
    reader_init(&r, &env, err);
    read_push_at(&r, "static_resources.listeners", i);
    struct listener_conf *l = listener_create(&r, m);
    bool ok = l != NULL && check_listener(&r, b, i, l);
    reader_abandon(&r);
    return ok;
}

static bool read_static(struct config_bootstrap *b, struct err *err)
{
    const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *s = b->message->static_resources;
    b->mac_keys = arena_alloc(b->arena, ((s == NULL ? 0 : s->n_secrets) + 1) * sizeof *b->mac_keys);
    for (size_t i = 0; s != NULL && i < s->n_secrets; i++) {
        if (!read_secret(b, i, err)) {
            return false;
        }
    }
    for (size_t i = 0; s != NULL && i < s->n_clusters; i++) {
        if (!read_cluster(b, i, err)) {
            return false;
        }
    }
    for (size_t i = 0; s != NULL && i < s->n_listeners; i++) {
        if (!read_listener(b, i, err)) {
            return false;
        }
    }
    return b->ads_cluster.n == 0 || map_has(b->clusters, b->ads_cluster) ||
           err_set(err, ERR_INPUT, "dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name: no static cluster \"%.*s\"",
                   SLICE_ARG(b->ads_cluster));
}

static bool read_all(struct config_bootstrap *b, const struct bootstrap_options *options, struct err *err)
{
    struct build_env env = bootstrap_env(b);
    struct reader r;
    reader_init(&r, &env, err);
    read_node(b, options);
    bool ok = read_check(&r, &b->message->base) && read_extensions(&r, b) && read_admin(&r, b) &&
              read_dynamic(&r, b, &env);
    reader_abandon(&r);
    return ok && read_static(b, err);
}

struct config_bootstrap *bootstrap_load(const struct bootstrap_options *options, const struct extension_registry *r,
                                        struct err *err)
{
    struct config_bootstrap *b = mem_alloc(sizeof *b);
    b->arena = arena_create(0);
    b->support = rules_create();
    b->extensions = r;
    b->secrets = map_create(drop_secret);
    b->clusters = map_create(NULL);
    graveyard_init(&b->yard);
    if (!bootstrap_read(b, options, err)) {
        bootstrap_destroy(&b);
        return NULL;
    }
    if (!read_all(b, options, err)) {
        bootstrap_locate(b, err);
        bootstrap_destroy(&b);
        return NULL;
    }
    graveyard_dig(&b->yard, SIZE_MAX);
    return b;
}

void bootstrap_destroy(struct config_bootstrap **b)
{
    struct config_bootstrap *old = *b;
    *b = NULL;
    if (old == NULL) {
        return;
    }
    map_destroy(&old->secrets);
    map_destroy(&old->clusters);
    graveyard_dig(&old->yard, SIZE_MAX);
    support_destroy(&old->support);
    arena_destroy(&old->arena);
    mem_free(old);
}

const struct bootstrap_node *bootstrap_node(const struct config_bootstrap *b)
{
    return &b->node;
}

bool bootstrap_admin(const struct config_bootstrap *b, struct addr *out)
{
    *out = b->admin;
    return b->has_admin;
}

struct slice bootstrap_ads_cluster(const struct config_bootstrap *b)
{
    return b->ads_cluster;
}

bool bootstrap_ads_is_delta(const struct config_bootstrap *b)
{
    return b->ads_delta;
}

bool bootstrap_wants_lds(const struct config_bootstrap *b)
{
    return b->wants_lds;
}

bool bootstrap_wants_cds(const struct config_bootstrap *b)
{
    return b->wants_cds;
}

const struct config_limits *bootstrap_limits(const struct config_bootstrap *b)
{
    return &b->limits;
}
