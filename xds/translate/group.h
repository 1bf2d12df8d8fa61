/* group: what the files of this room share while they make one group's resources. */
#pragma once
#include "base/arena.h"
#include "base/map.h"
#include "xds/translate/translate.h"

struct group {
    const struct translate_input *in;
    const char *cluster;
    const struct translate_sink *sink;
    struct arena *arena;
    struct map *done; /* "<type url> <name>" → NULL: added already */
    struct err *err;
    bool failed;
};

#define TYPE_URL(name) "type.googleapis.com/" name
#define TYPE_LISTENER TYPE_URL("envoy.config.listener.v3.Listener")
#define TYPE_CLUSTER TYPE_URL("envoy.config.cluster.v3.Cluster")
#define TYPE_ROUTES TYPE_URL("envoy.config.route.v3.RouteConfiguration")
#define TYPE_SECRET TYPE_URL("envoy.extensions.transport_sockets.tls.v3.Secret")

/* true the first time only. */
bool group_begins(struct group *g, const char *type_url, const char *name);
/* The message that this JSON text says. The first trouble stops all that follows. */
void group_add_json(struct group *g, const char *type_url, const char *name, const char *json);
void group_add_message(struct group *g, const char *type_url, const char *name, const ProtobufCMessage *message);

/* true: it is there already, made from the same before. Else it is to be added next. */
bool group_reuse(struct group *g, const char *type_url, const char *name, uint64_t source);
bool group_reuse_all(struct group *g, const char *type_url, uint64_t source);
uint64_t source_of(const struct catalog_object *o, uint64_t with); /* never 0 */

/*
 * A cluster's member that keeps idle connections alive under the timers of address translators on the way (240 s and
 * more), and finds dead ones.
 */
extern const char JSON_KEEPALIVE[];

/* JSON texts for the parts that listeners and clusters share. */
const char *json_address(struct arena *a, const char *host, uint32_t port);
const char *json_endpoint(struct arena *a, const char *name, const char *address); /* a load_assignment */
bool is_ip_literal(const char *host);
/* "host:port", an IPv6 address in brackets. */
const char *host_port(struct arena *a, const char *host, uint32_t port);
struct json_certificate {
    const char *chain, *key; /* file paths */
};
const char *json_certificate(struct arena *a, struct json_certificate certificate);

/* The group's resources, by kind. */
void sidecar_listeners(struct group *g);
void sidecar_routes(struct group *g);
/* The cluster that reaches this backend in this way; made, with its tunnel, when it was not. NULL: there is no such way. */
const char *backend_cluster(struct group *g, const struct catalog_backend *backend, struct translate_way way);
void apim_resources(struct group *g);
void gateway_resources(struct group *g, const Egret__Control__V1__Gateway *gateway);
void gateway_each_target(const struct translate_input *in, const Egret__Control__V1__Gateway *gateway,
                         struct arena *arena, void (*fn)(void *ctx, const struct translate_egress_row *row), void *ctx);
const struct catalog_gateway *group_gateway(const struct group *g); /* NULL: the folder has none */
