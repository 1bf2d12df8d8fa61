/*
 * route_table: one xDS RouteConfiguration, compiled. Immutable and shared by reference count; any thread may
 * match against it. Virtual hosts are found by hash: exact, then the longest "*suffix", then the longest
 * "prefix*", then "*", without regard to case. Routes are tried in list order; long lists are looked up through
 * an index that keeps exactly that order. A regular expression that hits its limit denies the request.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "proxy/route/conf.h"
#include "proxy/route/request.h"

struct arena;
struct err;
struct route_table;
struct route_host;  /* compiled virtual host */
struct route_entry; /* compiled route */

enum route_outcome {
    ROUTE_FORWARD,
    ROUTE_DIRECT,
    ROUTE_REDIRECT, /* by a route, or because the host requires TLS (rule == NULL then) */
    ROUTE_APIM,     /* no route of this host matches and it opted into the API table: vhost->apim */
    ROUTE_NO_HOST,
    ROUTE_NO_MATCH,
    ROUTE_DENIED, /* a regular expression hit its limit: nothing is said about what it would have matched */
};

struct route_match {
    enum route_outcome outcome;
    const struct route_conf *conf;                /* always */
    const struct vhost_conf *vhost;               /* NULL with ROUTE_NO_HOST */
    const struct route_rule_conf *rule;           /* NULL unless a route decided */
    struct slice cluster;                         /* FORWARD; empty: cluster_header is absent from the request */
    const struct weighted_cluster_conf *weighted; /* FORWARD by weight: the entry chosen; else NULL */
    const struct route_entry *entry;              /* for the helpers below */
};

/*
 * Takes *arena, which holds everything conf points to, and nulls it, on failure too. NULL and err when a domain
 * stands twice, a regular expression is refused, weights sum to nothing, a redirect or status is out of range, …;
 * the text names the virtual host and the route.
 */
struct route_table *route_table_create(struct arena **arena, const struct route_conf *conf, struct err *err);
struct route_table *route_table_ref(struct route_table *table);
void route_table_unref(struct route_table **table);
const struct route_conf *route_table_conf(const struct route_table *table);

/* `random` chooses among weighted clusters. Takes from `arena` only for regular expressions. */
void route_table_match(const struct route_table *table, const struct route_request *req, uint64_t random,
                       struct arena *arena, struct route_match *out);

/* FORWARD: the path to send, with query; req->path itself when nothing is rewritten. false: a rewrite's limit. */
bool route_rewrite_path(const struct route_match *match, const struct route_request *req, struct arena *arena,
                        struct slice *path);
/* REDIRECT: status and the absolute URI for Location. false: a rewrite's limit. */
bool route_redirect_location(const struct route_match *match, const struct route_request *req, struct arena *arena,
                             uint32_t *status, struct slice *location);
/* FORWARD: the retry policy that counts (the route's replaces the virtual host's), NULL when there is none. */
const struct retry_conf *route_retry(const struct route_match *match);
/* FORWARD: the enabled upgrade entry for this type (compared without case), NULL when there is none. */
const struct upgrade_conf *route_upgrade(const struct route_match *match, struct slice type);
