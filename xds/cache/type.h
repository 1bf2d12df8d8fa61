/*
 * type: the resource types this server knows, in the order in which a changed set is sent: what is referred to
 * stands before what refers to it (make before break). Constant data, any thread.
 */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

enum xds_type {
    XDS_CLUSTER,
    XDS_ENDPOINT,
    XDS_LISTENER,
    XDS_ROUTE,
    XDS_SECRET,
    XDS_BACKEND, /* from here on Egret's own, for nodes that announce them */
    XDS_PROGRAM,
    XDS_PRODUCT,
    XDS_API,
    XDS_SUBSCRIPTION,
};
#define XDS_TYPES 10

/* Listeners of this name have no address: clusters point to them (envoy_internal_address). */
#define XDS_TUNNEL_PREFIX "tunnel/"

const char *xds_type_url(enum xds_type type);
const char *xds_type_name(enum xds_type type); /* for people: "CDS", "Api" */
bool xds_type_find(struct slice url, enum xds_type *out);
bool xds_type_is_egret(enum xds_type type);
/* State of the world is the full set: what a response leaves out is deleted. */
bool xds_type_is_full_set(enum xds_type type);
/* An empty list of names in the first request means everything (LDS and CDS only). */
bool xds_type_has_legacy_wildcard(enum xds_type type);
