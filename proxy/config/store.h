/*
 * store: builds snapshots (main thread). Holds the bootstrap's static part and, per xDS type, the resources as last
 * accepted; decodes and checks each resource in full (every unpack through proto/guard.h, a field that Envoy has and
 * Egret does not build is refused), builds beside the old snapshot, then hands the new one over.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "proxy/config/snapshot.h"

struct config_store;
struct config_bootstrap;

/* ---- the bootstrap file ---- */

struct bootstrap_options {
    const char *path;        /* .yaml .yml .json; NULL: only yaml */
    const char *yaml;        /* --config-yaml, merged over the file; may be NULL */
    const char *node_id, *node_cluster, *node_zone; /* flags win over the file; may be NULL */
};

struct bootstrap_node {
    struct slice id, cluster, zone;
    struct slice packed; /* envoy.config.core.v3.Node with user agent and client features, ready for requests */
};

/* Reads and checks everything, static listeners and clusters included. The error names file:line:column and field. */
struct config_bootstrap *bootstrap_load(const struct bootstrap_options *options, const struct extension_registry *r,
                                        struct err *err);
void bootstrap_destroy(struct config_bootstrap **b);
const struct bootstrap_node *bootstrap_node(const struct config_bootstrap *b);
bool bootstrap_admin(const struct config_bootstrap *b, struct addr *out); /* false: no admin address */
struct slice bootstrap_ads_cluster(const struct config_bootstrap *b);     /* empty: no dynamic resources */
bool bootstrap_ads_is_delta(const struct config_bootstrap *b);            /* api_type: DELTA_GRPC */
bool bootstrap_wants_lds(const struct config_bootstrap *b);
bool bootstrap_wants_cds(const struct config_bootstrap *b);

struct config_limits { /* egret.limits, defaults filled in */
    uint32_t max_connections, lingering_close_ms, early_response_discard_bytes;
    uint32_t max_uri_bytes, max_chunk_extension_bytes;
    uint32_t requests_per_second; /* of a connection; 0: no limit, here and below */
    uint64_t max_memory_bytes, max_request_body_bytes, max_response_body_bytes, inbox_budget_bytes;
    uint32_t max_buffered_body_bytes;
};
const struct config_limits *bootstrap_limits(const struct config_bootstrap *b);

/* ---- the store ---- */

struct config_store *store_create(struct config_bootstrap *b, const struct extension_registry *r, struct err *err);
void store_destroy(struct config_store **s);
struct snapshot *store_snapshot(struct config_store *s); /* the newest, borrowed; never NULL after create */

/* A resource as it came over ADS or from disk. */
struct store_resource {
    struct slice type_url; /* of the Any */
    struct slice bytes;
    struct slice name, version; /* delta: of the resource by itself; empty in state of the world */
};
struct store_update {
    struct slice type_url, version;
    const struct store_resource *resources;
    size_t n;
    bool delta; /* what does not stand in it stays */
    const struct slice *removed;
    size_t n_removed;
};
/* An update of one type. Good resources apply, for a bad one its old form stays; removals as the type's rules say: what
 * is missing in state of the world, what is named in delta; of types that others name, nothing goes while it is named.
 * Returns false when any was refused: err->text has a line "name: field: reason" for each.
 * *changed: store_snapshot is a new one: swap it in. */
bool store_apply(struct config_store *s, const struct store_update *update, bool *changed, struct err *err);

/* All lines of the last store_apply, which may not have fitted into its err. Valid until the next one. */
struct slice store_refusals(const struct config_store *s);

/* Names to subscribe for a type now (RDS, EDS, SDS names that listeners and clusters wait for); "*" types: one "*". */
/* Valid until the next store_apply or store_load. */
size_t store_names(const struct config_store *s, struct slice type_url, const struct slice **names);
/* Delta: what is held of a type and in which version, for a stream that begins; made in the arena. Resources from disk
 * that only an answer can confirm (routes, endpoints, secrets) do not count before they were confirmed. */
struct store_version {
    struct slice name, version;
};
size_t store_versions(const struct config_store *s, struct slice type_url, struct arena *arena,
                      const struct store_version **out);
/* Types in the order to subscribe. */
size_t store_types(const struct config_store *s, const struct slice **type_urls);

/* Listeners warm (RDS, SDS there) and first answers in: what /ready waits for. `why` names what is missing; it may also
 * name secrets that a start from disk lacks, with which readiness does not wait. */
bool store_is_ready(const struct config_store *s, struct strbuf *why);

/* Last good resources on disk (PROTOCOL 5). Load before the first connect; save at most once a second, after ACKs. */
struct store_disk_options {
    const char *dir;      /* --state-dir, 0700 */
    const char *key_file; /* --state-key-file; NULL: inline secrets are left out */
};
bool store_load(struct config_store *s, const struct store_disk_options *disk, bool *changed, struct err *err);
bool store_save(struct config_store *s, const struct store_disk_options *disk, struct err *err);
bool store_needs_save(const struct config_store *s);
int64_t store_disk_since_us(const struct config_store *s); /* serving from disk since (wall); 0: live */

/* Looks whether files that TLS contexts and secrets were read from have changed, and builds those anew (a rotated
 * certificate). To be called every second or so. false: something could not be built, err says what; the old one
 * serves, and it is tried again at the next change. */
bool store_check_files(struct config_store *s, bool *changed, struct err *err);

/* /config_dump in Envoy's shape, secrets redacted. */
void store_dump(const struct config_store *s, struct strbuf *json);

size_t store_unknown_fields(const struct config_store *s); /* of dynamic resources, so far: fields that nobody knows */

/* Frees what no snapshot and no tunnel refers to any more, a slice at a time (main thread, on a timer). */
void store_reclaim(struct config_store *s);
