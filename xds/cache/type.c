#include "xds/cache/type.h"

#include "base/macros.h"

static const struct {
    const char *name, *url;
    bool full_set, legacy_wildcard, egret;
} types[XDS_TYPES] = {
    [XDS_CLUSTER] = {"CDS", "type.googleapis.com/envoy.config.cluster.v3.Cluster", true, true, false},
    [XDS_ENDPOINT] = {"EDS", "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", false, false, false},
    [XDS_LISTENER] = {"LDS", "type.googleapis.com/envoy.config.listener.v3.Listener", true, true, false},
    [XDS_ROUTE] = {"RDS", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", false, false, false},
    [XDS_SECRET] = {"SDS", "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", false, false, false},
    [XDS_BACKEND] = {"Backend", "type.googleapis.com/egret.apim.v1.Backend", true, false, true},
    [XDS_PROGRAM] = {"PolicyProgram", "type.googleapis.com/egret.apim.v1.PolicyProgram", true, false, true},
    [XDS_PRODUCT] = {"Product", "type.googleapis.com/egret.apim.v1.Product", true, false, true},
    [XDS_API] = {"Api", "type.googleapis.com/egret.apim.v1.Api", true, false, true},
    [XDS_SUBSCRIPTION] = {"Subscription", "type.googleapis.com/egret.apim.v1.Subscription", true, false, true},
};

const char *xds_type_url(enum xds_type type)
{
    return types[type].url;
}

const char *xds_type_name(enum xds_type type)
{
    return types[type].name;
}

bool xds_type_find(struct slice url, enum xds_type *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        if (slice_eq(url, slice_of(types[i].url))) {
            *out = (enum xds_type)i;
            return true;
        }
    }
    return false;
}

bool xds_type_is_egret(enum xds_type type)
{
    return types[type].egret;
}

bool xds_type_is_full_set(enum xds_type type)
{
    return types[type].full_set;
}

bool xds_type_has_legacy_wildcard(enum xds_type type)
{
    return types[type].legacy_wildcard;
}
