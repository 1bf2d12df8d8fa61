#include "proxy/config/store_inside.h"

#include "proxy/config/cluster.h"
#include "proxy/config/endpoint.h"
#include "proxy/config/listener.h"
#include "proxy/config/routes.h"

#define ENVOY "type.googleapis.com/envoy."
#define APIM "type.googleapis.com/egret.apim.v1."

static bool build_cluster(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = cluster_create(r, (const void *)m);
    return *object != NULL;
}

static bool build_endpoints(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = endpoints_create(r, (const void *)m, false);
    return *object != NULL;
}

static bool build_secret(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = secret_create(r, (const void *)m);
    return *object != NULL;
}

static bool build_listener(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = listener_create(r, (const void *)m);
    return *object != NULL;
}

static bool build_routes(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = routes_create(r, (const void *)m, false);
    return *object != NULL;
}

static bool build_program(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = apim_program_create(r, (const void *)m);
    return *object != NULL;
}

static bool build_backend(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = apim_backend_create(r, (const void *)m);
    return *object != NULL;
}

static bool build_product(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = apim_product_create(r, (const void *)m);
    return *object != NULL;
}

static bool build_subscription(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    *object = apim_subscription_create(r, (const void *)m, s->bootstrap->mac_keys, s->bootstrap->n_mac_keys);
    return *object != NULL;
}

static bool build_api(struct config_store *s, struct reader *r, const pb_message *m, void **object)
{
    (void)s;
    *object = apim_api_read(r, (const void *)m);
    return *object != NULL;
}

#define UNREF(name, type, fn)                                                                                          \
    static void unref_##name(void *object)                                                                             \
    {                                                                                                                  \
        type *o = object;                                                                                              \
        fn(&o);                                                                                                        \
    }
UNREF(cluster, struct cluster_conf, cluster_conf_unref)
UNREF(endpoints, struct endpoint_set, endpoint_set_unref)
UNREF(secret, struct secret, secret_unref)
UNREF(listener, struct listener_conf, listener_conf_unref)
UNREF(routes, struct route_table, route_table_unref)
UNREF(object, struct apim_object, apim_object_unref)
UNREF(api, struct apim_api, apim_api_unref)

const struct resource_kind resource_kinds[TYPE_COUNT] = {
    [TYPE_CLUSTER] = {ENVOY "config.cluster.v3.Cluster", &envoy__config__cluster__v3__cluster__descriptor, true, true,
                      build_cluster, unref_cluster},
    [TYPE_ENDPOINTS] = {ENVOY "config.endpoint.v3.ClusterLoadAssignment",
                        &envoy__config__endpoint__v3__cluster_load_assignment__descriptor, false, false,
                        build_endpoints, unref_endpoints},
    [TYPE_SECRET] = {ENVOY "extensions.transport_sockets.tls.v3.Secret",
                     &envoy__extensions__transport_sockets__tls__v3__secret__descriptor, false, false, build_secret,
                     unref_secret},
    [TYPE_PROGRAM] = {APIM "PolicyProgram", &egret__apim__v1__policy_program__descriptor, true, true, build_program,
                      unref_object},
    [TYPE_BACKEND] = {APIM "Backend", &egret__apim__v1__backend__descriptor, true, true, build_backend, unref_object},
    [TYPE_PRODUCT] = {APIM "Product", &egret__apim__v1__product__descriptor, true, false, build_product,
                      unref_object},
    [TYPE_SUBSCRIPTION] = {APIM "Subscription", &egret__apim__v1__subscription__descriptor, true, false,
                           build_subscription, unref_object},
    [TYPE_API] = {APIM "Api", &egret__apim__v1__api__descriptor, true, false, build_api, unref_api},
    [TYPE_LISTENER] = {ENVOY "config.listener.v3.Listener", &envoy__config__listener__v3__listener__descriptor, true,
                       false, build_listener, unref_listener},
    [TYPE_ROUTES] = {ENVOY "config.route.v3.RouteConfiguration",
                     &envoy__config__route__v3__route_configuration__descriptor, false, false, build_routes,
                     unref_routes},
};

bool store_find_type(struct slice type_url, enum resource_type *out)
{
    for (int i = 0; i < TYPE_COUNT; i++) {
        if (slice_eq(slice_of(resource_kinds[i].url), type_url)) {
            *out = (enum resource_type)i;
            return true;
        }
    }
    return false;
}
