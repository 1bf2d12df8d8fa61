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
    const char *method, *url;     /* "https://host/path?query", or "/path?query" */
    const char *key_id;           /* the subscription that the key belongs to; "": no key */
    const char *gateway;          /* the sidecar's gateway id; "": whichever has the API */
    const char *const *headers;   /* "name: value" */
    size_t header_count;
};

/* A JSON list of {"what", "is", "why"}, in the order of the decisions; the last one is "answer". */
void explain_route(const struct catalog *catalog, const Egret__Control__V1__Config *config,
                   const struct explain_request *request, struct strbuf *out);
/* A JSON list of every API revision. */
void explain_apis(const struct catalog *catalog, struct strbuf *out);

/* ---- between the files of explain ---- */

enum { EXPLAIN_SEGMENTS = 128 };
struct explain_path {
    struct slice items[EXPLAIN_SEGMENTS]; /* decoded */
    size_t n;
    bool slash; /* one stood at the end */
};
struct explain_url {
    const char *scheme, *host, *query; /* scheme and host "": not said */
    struct explain_path path;
};
struct explain_match {
    const struct catalog_api *api; /* NULL: nothing fits */
    struct explain_path rest;      /* of the path behind the API's own, version and revision */
    const char *why;
};
struct explain_query {
    struct arena *arena;
    const char *text;
};
bool explain_split(struct arena *arena, const char *url, struct explain_url *out); /* false: too long a path */
struct slice explain_decode(struct arena *arena, struct slice text);
void explain_api(const struct catalog *catalog, struct arena *arena, const struct explain_url *url,
                 const struct explain_request *request, struct explain_match *m);
/* NULL: none fits. *others: how many more fit and give way. */
const struct catalog_operation *explain_operation(const struct catalog_api *api, const char *method,
                                                  const struct explain_path *rest, struct explain_query query,
                                                  size_t *others);
