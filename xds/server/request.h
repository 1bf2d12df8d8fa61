/* request: a DiscoveryRequest or DeltaDiscoveryRequest as it comes from the wire, checked and decoded. A plain value;
 * request_fini frees. */
#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "xds/session/session.h"

struct request_node {
    struct slice id, cluster, user_agent;
    bool egret; /* announces the client feature egret.apim.v1 */
};

struct request {
    bool delta;
    union { /* slices point into the message */
        struct session_request session;
        struct session_delta_request change;
    };
    struct slice type_url, reason; /* of either */
    bool refused;
    bool has_node;
    struct request_node node;
    struct arena *arena; /* holds all of it */
};

bool request_init(struct request *request, struct slice bytes, struct err *err);
bool request_init_delta(struct request *request, struct slice bytes, struct err *err);
void request_fini(struct request *request);
