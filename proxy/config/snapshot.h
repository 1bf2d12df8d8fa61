/*
 * snapshot: all that the request path reads of the configuration: one immutable, reference-counted object (DESIGN 3).
 * Built on the main thread by the store, read by every worker without locks. Sub-objects (a listener, a cluster, a
 * route table, the APIM set) are reference-counted too and shared by snapshots when they did not change; a tunnel or
 * an upgraded connection keeps only those. Only the main thread frees.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "proxy/codec/h1.h"
#include "proxy/codec/h2.h"
#include "proxy/config/extension.h"
#include "proxy/config/grave.h"
#include "proxy/net/addr.h"
#include "proxy/net/resolve.h"
#include "proxy/net/tls.h"
#include "proxy/route/table.h"

/* ---- clusters ---- */

enum cluster_type { CLUSTER_STATIC, CLUSTER_STRICT_DNS, CLUSTER_LOGICAL_DNS, CLUSTER_EDS };
enum lb_policy { LB_ROUND_ROBIN, LB_LEAST_REQUEST, LB_RANDOM };
enum upstream_protocol { UPSTREAM_HTTP1, UPSTREAM_HTTP2, UPSTREAM_AUTO /* by ALPN */ };

enum endpoint_kind {
    ENDPOINT_ADDR,     /* addr */
    ENDPOINT_NAME,     /* host to resolve, port in addr_port */
    ENDPOINT_INTERNAL, /* internal listener of that name: its tcp_proxy says through what */
};

struct endpoint_conf {
    enum endpoint_kind kind;
    struct addr addr;
    struct slice host; /* the name, or the internal listener */
    uint16_t port;
    struct slice hostname; /* Endpoint.hostname: for auto_host_rewrite */
    uint32_t weight, priority;
    bool healthy; /* health_status allows traffic */
};

struct endpoint_set { /* from load_assignment, or EDS by itself */
    atomic_uint refs;
    struct arena *arena;
    struct grave grave;
    struct slice name; /* cluster_name */
    const struct endpoint_conf *endpoints; /* sorted by priority; weight 0 never occurs */
    size_t n;
    uint64_t hash;
};

struct breaker_conf {
    uint32_t max_connections, max_pending, max_requests, max_retries;
};

struct cluster_conf {
    atomic_uint refs;
    struct arena *arena;
    struct grave grave;
    uint64_t hash; /* of everything below: equal hash, same run-time state */
    struct slice name, alt_stat_name;
    enum cluster_type type;
    struct slice eds_name; /* CLUSTER_EDS: name of the endpoint set */
    struct endpoint_set *inline_endpoints; /* other types */
    enum lb_policy lb;
    uint32_t connect_timeout_ms;
    uint32_t buffer_limit;
    enum upstream_protocol protocol;
    struct h1_limits h1;
    struct h2_config h2;
    uint32_t idle_timeout_ms;    /* of a pooled connection; 0: none */
    uint32_t max_requests;       /* per connection; 0: no limit */
    uint32_t max_connection_duration_ms;
    uint32_t keepalive_interval_ms, keepalive_timeout_ms; /* h2 PING */
    struct breaker_conf breakers[2]; /* DEFAULT, HIGH: which no request has, a route of it is refused */
    struct tls_context *tls;     /* NULL: raw */
    struct slice sni;            /* empty with tls: none, or auto_sni */
    bool auto_sni, auto_san_validation; /* the latter is in the TLS context, too */
    struct dial_tcp socket;      /* source, mark, keepalive; remote is filled per endpoint */
    enum resolve_family dns_family;
    uint32_t dns_refresh_ms;
    bool respect_dns_ttl;
    bool is_static; /* from the bootstrap: CDS cannot replace it */
    struct cleanup *cleanups; /* what else dies with it: TLS contexts, … */
};

/* ---- listeners ---- */

struct tcp_conf {
    struct slice cluster; /* or weighted */
    const struct weighted_cluster_conf *weighted; /* proxy/route/conf.h; weights sum to more than 0 */
    size_t n_weighted;
    struct slice tunnel_hostname; /* tunneling_config; empty: plain */
    const struct header_add_conf *tunnel_headers; /* proxy/route/conf.h */
    size_t n_tunnel_headers;
    uint32_t idle_timeout_ms; /* 0: none */
    bool has_idle_timeout;
    uint32_t max_duration_ms; /* 0: none */
    uint32_t max_connect_attempts;
    void *const *access_logs; /* objects built by ACCESS_LOG extensions */
    size_t n_access_logs;
    struct slice stat_prefix;
};

/* typed_per_filter_config of a route, virtual host, weighted cluster or route table: its `user` in proxy/route/conf.h
 * points to this, NULL when there is none. The entry "egret.apim" of a virtual host is vhost_conf.apim instead. */
struct filter_override {
    struct slice name; /* of the filter in the chain */
    const struct extension_type *type; /* NULL: only `disabled` */
    void *config;
    bool disabled;
};
struct filter_overrides {
    const struct filter_override *items;
    size_t n;
};

struct filter_conf {
    const struct extension_type *type;
    struct slice name;
    void *config; /* built by the type */
    bool disabled;
};

enum server_header { SERVER_OVERWRITE, SERVER_APPEND_IF_ABSENT, SERVER_PASS_THROUGH };
enum client_cert_header { XFCC_SANITIZE, XFCC_FORWARD_ONLY, XFCC_APPEND_FORWARD, XFCC_SANITIZE_SET, XFCC_ALWAYS_FORWARD };

struct hcm_conf {
    struct slice stat_prefix;
    int codec; /* HTTP_CODEC_* of http/server.h: 0 AUTO, 1 HTTP1, 2 HTTP2 */
    struct h1_limits h1;
    struct h2_config h2;
    uint32_t idle_timeout_ms, stream_idle_timeout_ms, request_timeout_ms, request_headers_timeout_ms;
    uint32_t delayed_close_ms, max_connection_duration_ms, max_stream_duration_ms;
    uint32_t max_requests;
    struct slice route_name;          /* RDS: looked up in the snapshot */
    struct route_table *inline_routes; /* or the table itself */
    const struct filter_conf *filters; /* without the router, which is always last */
    size_t n_filters;
    void *const *access_logs;
    size_t n_access_logs;
    const struct upgrade_conf *upgrades; /* proxy/route/conf.h; `connect` has no meaning here */
    size_t n_upgrades;
    bool use_remote_address, skip_xff_append, generate_request_id, preserve_external_request_id;
    bool always_set_request_id_in_response;
    bool normalize_path, merge_slashes;
    int escaped_slashes; /* enum of proxy/route/path.h */
    bool strip_any_host_port, strip_matching_host_port, strip_trailing_host_dot;
    bool proxy_100_continue;
    struct slice server_name; /* default "envoy" */
    enum server_header server_header;
    struct slice via;
    enum client_cert_header xfcc;
    bool xfcc_subject, xfcc_dns, xfcc_uri; /* set_current_client_cert_details; Hash is always there */
    bool suppress_envoy_headers; /* Router */
};

enum chain_kind { CHAIN_EMPTY, CHAIN_HTTP, CHAIN_TCP };
enum chain_source { CHAIN_SOURCE_ANY, CHAIN_SOURCE_LOCAL /* same address or loopback */, CHAIN_SOURCE_EXTERNAL };

struct cidr {
    struct addr addr; /* bits behind the prefix are 0 */
    unsigned prefix_len;
};

struct chain_conf {
    struct slice name;
    const struct slice *server_names; /* lower case; "*.x": suffix */
    size_t n_server_names;
    const struct slice *alpns;
    size_t n_alpns;
    struct slice transport_protocol; /* "", "tls", "raw_buffer" */
    uint16_t destination_port;       /* 0: any */
    const struct cidr *destinations, *sources, *direct_sources;
    size_t n_destinations, n_sources, n_direct_sources;
    enum chain_source source_type;
    const uint16_t *source_ports;
    size_t n_source_ports;
    struct tls_context *tls; /* NULL: raw */
    bool require_client_cert;
    uint32_t tls_connect_timeout_ms;
    enum chain_kind kind;
    const struct hcm_conf *hcm;
    const struct tcp_conf *tcp;
};

enum { LISTENER_MAX_CHAINS = 4096 };

struct listener_conf {
    atomic_uint refs;
    struct arena *arena;
    struct grave grave;
    uint64_t hash;
    struct slice name;
    bool internal, bind_to_port;
    struct addr addr;
    int backlog;
    bool transparent, freebind, original_dst;
    bool ipv6_only; /* an IPv6 address takes no IPv4 connections (ipv4_compat: false) */
    struct slice stat_prefix; /* empty: the address */
    bool tls_inspector;
    uint32_t filters_timeout_ms;
    bool continue_on_filters_timeout;
    uint32_t buffer_limit;
    const struct chain_conf *chains;
    size_t n_chains;
    const struct chain_conf *default_chain;
    bool is_static;
    struct cleanup *cleanups;
};

/* Filter chain for a connection, in Envoy's order of criteria (refs: listener filter chain match); NULL: none. */
struct chain_query {
    const struct addr *local, *remote; /* local: the original destination where it was restored */
    const struct addr *direct_remote;  /* NULL: remote */
    struct slice sni, transport_protocol;
    const struct slice *alpns;
    size_t n_alpns;
};
const struct chain_conf *listener_choose_chain(const struct listener_conf *l, const struct chain_query *query);

/* ---- the whole ---- */

struct snapshot;
struct apim_set; /* config/apim.h */

struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot **s); /* any thread; the memory goes in store_reclaim (grave.h) */
uint64_t snapshot_generation(const struct snapshot *s);
const struct cluster_conf *snapshot_cluster(const struct snapshot *s, struct slice name);    /* NULL: unknown */
const struct endpoint_set *snapshot_endpoints(const struct snapshot *s, const struct cluster_conf *c); /* NULL: not yet */
const struct listener_conf *snapshot_listener(const struct snapshot *s, struct slice name);
const struct route_table *snapshot_routes(const struct snapshot *s, struct slice name);      /* NULL: not yet */
const struct apim_set *snapshot_apim(const struct snapshot *s);                              /* never NULL */
/* Value of a generic secret; false: unknown. Never log it. */
bool snapshot_secret(const struct snapshot *s, struct slice name, struct slice *value);
/* The very same clusters, endpoints and listeners (tunnels lead through those). */
bool snapshot_same_upstreams(const struct snapshot *a, const struct snapshot *b);
size_t snapshot_cluster_count(const struct snapshot *s);
const struct cluster_conf *snapshot_cluster_at(const struct snapshot *s, size_t i);
size_t snapshot_listener_count(const struct snapshot *s);
const struct listener_conf *snapshot_listener_at(const struct snapshot *s, size_t i);

struct cluster_conf *cluster_conf_ref(const struct cluster_conf *c); /* for tunnels that outlive the snapshot */
void cluster_conf_unref(struct cluster_conf **c);
struct listener_conf *listener_conf_ref(const struct listener_conf *l);
void listener_conf_unref(struct listener_conf **l);
struct endpoint_set *endpoint_set_ref(const struct endpoint_set *e); /* endpoints of a cluster outlive their snapshot so */
void endpoint_set_unref(struct endpoint_set **e);
