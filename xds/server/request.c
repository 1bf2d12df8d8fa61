#include "xds/server/request.h"

#include "base/mem.h"
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"
#include "proto/guard.h"

enum { REQUEST_MAX = 4 * 1024 * 1024, FIELDS_MAX = 400 * 1000, MEMORY_MAX = 64 * 1024 * 1024, DEPTH_MAX = 32 };

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

bool request_init(struct request *request, struct slice bytes, struct err *err)
{
    *request = (struct request){.arena = arena_create(0)};
    struct guard g = {
        .max_bytes = REQUEST_MAX,
        .max_fields = FIELDS_MAX,
        .max_memory = MEMORY_MAX,
        .max_depth = DEPTH_MAX,
        .allow_unbuilt = true,
    };
    const Envoy__Service__Discovery__V3__DiscoveryRequest *m =
        guard_unpack(&g, &envoy__service__discovery__v3__discovery_request__descriptor, bytes, request->arena, err);
    if (m == NULL) {
        request_fini(request);
        return err_prefix(err, "DiscoveryRequest");
    }
    struct slice *names = arena_zalloc(request->arena, (m->n_resource_names + 1) * sizeof names[0]);
    for (size_t i = 0; i < m->n_resource_names; i++) {
        names[i] = slice_of(m->resource_names[i]);
    }
    request->session = (struct session_request){
        .type_url = slice_of(m->type_url),
        .version = slice_of(m->version_info),
        .nonce = slice_of(m->response_nonce),
        .names = names,
        .name_count = m->n_resource_names,
        .refused = m->error_detail != NULL,
        .reason = m->error_detail == NULL ? SLICE_NONE : slice_of(m->error_detail->message),
    };
    take_node(request, m->node);
    return true;
}

void request_fini(struct request *request)
{
    arena_destroy(&request->arena);
}
