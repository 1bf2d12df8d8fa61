#include "xds/server/request.h"

#include "base/mem.h"
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"
#include "proto/guard.h"

enum { DEPTH_MAX = 32 };

static const struct guard sotw_limits = {
    .max_bytes = 4 << 20,
    .max_fields = 400 * 1000,
    .max_memory = 64 << 20,
    .max_depth = DEPTH_MAX,
    .allow_unbuilt = true,
};

/* A client that comes back with a large catalogue names all it holds: 100 bytes for each of some 100,000. */
static const struct guard delta_limits = {
    .max_bytes = 32 << 20,
    .max_fields = 2 * 1000 * 1000,
    .max_memory = 256 << 20,
    .max_depth = DEPTH_MAX,
    .allow_unbuilt = true,
};

static bool announces_egret(const Envoy__Config__Core__V3__Node *node)
{
    for (size_t i = 0; i < node->n_client_features; i++) {
        if (slice_eq(slice_of(node->client_features[i]), SLICE("egret.apim.v1"))) {
            return true;
        }
    }
    return false;
}

static void take_node(struct request *r, const Envoy__Config__Core__V3__Node *node)
{
    r->has_node = node != NULL;
    if (node != NULL) {
        r->node = (struct request_node){
            .id = slice_of(node->id),
            .cluster = slice_of(node->cluster),
            .user_agent = slice_of(node->user_agent_name),
            .egret = announces_egret(node),
        };
    }
}

static const void *decode(struct request *r, const struct guard *limits, const ProtobufCMessageDescriptor *type,
                          struct slice bytes, struct err *err)
{
    *r = (struct request){.arena = arena_create(0)};
    const void *m = guard_unpack(limits, type, bytes, r->arena, err);
    if (m == NULL) {
        request_fini(r);
        err_prefix(err, "%s", type->short_name);
    }
    return m;
}

static const struct slice *take_names(struct request *r, char *const *list, size_t n)
{
    struct slice *names = arena_zalloc(r->arena, (n + 1) * sizeof names[0]);
    for (size_t i = 0; i < n; i++) {
        names[i] = slice_of(list[i]);
    }
    return names;
}

static void take_reason(struct request *r, const Google__Rpc__Status *detail)
{
    r->refused = detail != NULL;
    r->reason = detail == NULL ? SLICE_NONE : slice_of(detail->message);
}

bool request_init(struct request *request, struct slice bytes, struct err *err)
{
    const Envoy__Service__Discovery__V3__DiscoveryRequest *m =
        decode(request, &sotw_limits, &envoy__service__discovery__v3__discovery_request__descriptor, bytes, err);
    if (m == NULL) {
        return false;
    }
    request->type_url = slice_of(m->type_url);
    take_reason(request, m->error_detail);
    request->session = (struct session_request){
        .type_url = request->type_url,
        .version = slice_of(m->version_info),
        .nonce = slice_of(m->response_nonce),
        .names = take_names(request, m->resource_names, m->n_resource_names),
        .name_count = m->n_resource_names,
        .refused = request->refused,
        .reason = request->reason,
    };
    take_node(request, m->node);
    return true;
}

bool request_init_delta(struct request *request, struct slice bytes, struct err *err)
{
    const Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *m =
        decode(request, &delta_limits, &envoy__service__discovery__v3__delta_discovery_request__descriptor, bytes, err);
    if (m == NULL) {
        return false;
    }
    size_t n = m->n_initial_resource_versions;
    struct session_held *held = arena_zalloc(request->arena, (n + 1) * sizeof held[0]);
    for (size_t i = 0; i < n; i++) {
        held[i] = (struct session_held){slice_of(m->initial_resource_versions[i]->key),
                                        slice_of(m->initial_resource_versions[i]->value)};
    }
    request->delta = true;
    request->type_url = slice_of(m->type_url);
    take_reason(request, m->error_detail);
    request->change = (struct session_delta_request){
        .type_url = request->type_url,
        .nonce = slice_of(m->response_nonce),
        .subscribe = take_names(request, m->resource_names_subscribe, m->n_resource_names_subscribe),
        .subscribe_count = m->n_resource_names_subscribe,
        .unsubscribe = take_names(request, m->resource_names_unsubscribe, m->n_resource_names_unsubscribe),
        .unsubscribe_count = m->n_resource_names_unsubscribe,
        .held = held,
        .held_count = n,
        .refused = request->refused,
        .reason = request->reason,
    };
    take_node(request, m->node);
    return true;
}

void request_fini(struct request *request)
{
    arena_destroy(&request->arena);
}
