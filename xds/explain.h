/*
 * explain: what a gateway would do with a request, and why, evaluated on the control server's own model: which API,
 * revision, operation, product, policy steps, backend, cluster and way out. Pure; main thread.
 */
#pragma once
#include "base/arena.h"
#include "base/strbuf.h"
#include "pb/egret/control/v1/config.pb-c.h"
#include "xds/catalog/catalog.h"

struct explain_request {
    const char *method, *url; /* "https://host/path?query", or "/path?query" */
    const char *key_id;       /* the subscription that the key belongs to; "": no key */
};

/* A JSON list of {"what", "is", "why"}, in the order of the decisions; the last one is "answer". */
void explain_route(const struct catalog *catalog, const Egret__Control__V1__Config *config,
                   const struct explain_request *request, struct strbuf *out);
/* A JSON list of every API revision. */
void explain_apis(const struct catalog *catalog, struct strbuf *out);

/* ---- between the files of explain ---- */

struct explain_url {
    const char *scheme, *path, *query; /* scheme "": not said */
};
struct explain_match {
    const struct catalog_api *api; /* NULL: nothing fits */
    const char *rest;              /* of the path behind the API's own, version and revision */
    const char *why;
};
struct explain_url explain_split(struct arena *arena, const char *url);
struct explain_match explain_api(const struct catalog *catalog, struct arena *arena, const struct explain_url *url);
/* NULL: none fits. *others: how many more fit and give way. */
const struct catalog_operation *explain_operation(const struct catalog_api *api, const char *method, const char *rest,
                                                  const struct explain_url *url, size_t *others);
