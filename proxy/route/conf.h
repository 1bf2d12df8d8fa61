/*
 * What a route table is built from: plain values that whoever reads xDS fills, in an arena that the table then
 * takes over (table.h). Afterwards they are immutable and may be read by every thread. Every `user` is opaque
 * here: it belongs to whoever filled it (bindings to clusters, filter configuration, compiled formats).
 * Names and defaults follow envoy.config.route.v3; numbers carry their unit.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum string_match_kind {
    STRING_MATCH_EXACT,
    STRING_MATCH_PREFIX,
    STRING_MATCH_SUFFIX,
    STRING_MATCH_CONTAINS,
    STRING_MATCH_REGEX, /* whole value; ignore_case has no meaning (write (?i)) and is refused */
};

struct string_match_conf {
    enum string_match_kind kind;
    struct slice value;
    bool ignore_case; /* ASCII */
};

enum header_match_kind { HEADER_MATCH_PRESENT, HEADER_MATCH_STRING, HEADER_MATCH_RANGE };

/* The deprecated exact_match, prefix_match, suffix_match, contains_match, safe_regex_match are HEADER_MATCH_STRING. */
struct header_match_conf {
    struct slice name;           /* lower case */
    enum header_match_kind kind; /* no specifier at all: PRESENT with present = true */
    bool present;                /* PRESENT: false matches the absence */
    bool invert;
    bool treat_missing_as_empty; /* without it a missing header never matches, inverted or not (PRESENT apart) */
    struct string_match_conf string;
    int64_t range_start, range_end; /* RANGE: start <= decimal value < end */
};

struct query_match_conf {
    struct slice name; /* compared with the raw name; the first value counts, undecoded */
    bool present_only; /* present_match */
    bool present;      /* present_only: false matches the absence */
    struct string_match_conf string;
};

enum header_append_action {
    HEADER_APPEND_IF_EXISTS_OR_ADD,
    HEADER_ADD_IF_ABSENT,
    HEADER_OVERWRITE_IF_EXISTS_OR_ADD,
    HEADER_OVERWRITE_IF_EXISTS,
};

struct header_add_conf {
    struct slice name, value;
    enum header_append_action action;
    bool keep_empty_value;
    void *user;
};

struct header_edit_conf {
    const struct header_add_conf *add;
    size_t add_count;
    const struct slice *remove; /* lower case */
    size_t remove_count;
};

struct header_edits_conf {
    struct header_edit_conf request, response;
};

enum retry_on { /* in Envoy's words */
    RETRY_ON_5XX = 1 << 0,
    RETRY_ON_GATEWAY_ERROR = 1 << 1,
    RETRY_ON_RESET = 1 << 2,
    RETRY_ON_RESET_BEFORE_REQUEST = 1 << 3,
    RETRY_ON_CONNECT_FAILURE = 1 << 4,
    RETRY_ON_REFUSED_STREAM = 1 << 5,
    RETRY_ON_RETRIABLE_4XX = 1 << 6,
    RETRY_ON_STATUS_CODES = 1 << 7,
    RETRY_ON_RATE_LIMITED = 1 << 8,
    RETRY_ON_GRPC_CANCELLED = 1 << 9,
    RETRY_ON_GRPC_DEADLINE_EXCEEDED = 1 << 10,
    RETRY_ON_GRPC_INTERNAL = 1 << 11,
    RETRY_ON_GRPC_RESOURCE_EXHAUSTED = 1 << 12,
    RETRY_ON_GRPC_UNAVAILABLE = 1 << 13,
};

struct retry_conf {
    unsigned on; /* enum retry_on */
    uint32_t num_retries;
    uint64_t per_try_timeout_ms; /* 0: the route's timeout alone */
    uint64_t base_interval_ms, max_interval_ms;
    const uint32_t *status_codes;
    size_t status_code_count;
    uint32_t host_selection_attempts;
    bool avoid_previous_hosts;
};

struct upgrade_conf {
    struct slice type; /* "websocket", "CONNECT" */
    bool enabled;
    bool connect; /* connect_config is there: terminate CONNECT here and forward the bytes */
};

struct weighted_cluster_conf {
    struct slice name;
    uint32_t weight;
    struct header_edits_conf headers;
    struct slice host_rewrite; /* empty: none */
    void *user;
};

struct regex_rewrite_conf {
    struct slice pattern;      /* empty: none */
    struct slice substitution; /* \0 … \9 are groups, \\ a backslash */
};

enum cluster_pick { CLUSTER_NAMED, CLUSTER_FROM_HEADER, CLUSTER_WEIGHTED };

struct forward_conf {
    enum cluster_pick pick;
    struct slice cluster; /* NAMED: its name; FROM_HEADER: the header's name in lower case */
    const struct weighted_cluster_conf *weighted;
    size_t weighted_count;
    struct slice prefix_rewrite; /* used when has_prefix_rewrite */
    bool has_prefix_rewrite;
    struct regex_rewrite_conf regex_rewrite;
    struct slice host_rewrite;        /* host_rewrite_literal; empty: none */
    struct slice host_rewrite_header; /* lower case; empty: none */
    bool auto_host_rewrite;
    bool append_x_forwarded_host;
    uint64_t timeout_ms; /* 0: none; xDS says 15,000 when unset, the caller fills that in */
    bool has_idle_timeout;
    uint64_t idle_timeout_ms;
    bool has_max_stream_duration;
    uint64_t max_stream_duration_ms;
    const struct retry_conf *retry; /* NULL: the virtual host's, if any */
    const struct upgrade_conf *upgrades;
    size_t upgrade_count;
    uint32_t cluster_not_found_status; /* 503 when 0 */
};

struct redirect_conf {
    struct slice scheme; /* empty: as requested; https_redirect is "https" */
    struct slice host;   /* empty: as requested */
    uint32_t port;       /* 0: as requested */
    struct slice path;   /* path_redirect: replaces the path, and the query if it holds a '?' */
    struct slice prefix_rewrite;
    bool has_prefix_rewrite;
    struct regex_rewrite_conf regex_rewrite;
    bool strip_query;
    uint32_t status; /* 301 when 0 */
};

struct direct_conf {
    uint32_t status;
    struct slice body;
};

enum route_path_kind {
    ROUTE_PATH_PREFIX,
    ROUTE_PATH_EXACT,
    ROUTE_PATH_SEPARATED_PREFIX, /* "/a" matches "/a" and "/a/…" */
    ROUTE_PATH_REGEX,            /* whole path without query */
    ROUTE_PATH_CONNECT,          /* any CONNECT request */
};

enum route_action { ROUTE_ACTION_FORWARD, ROUTE_ACTION_REDIRECT, ROUTE_ACTION_DIRECT };

struct route_rule_conf {
    struct slice name;
    enum route_path_kind path_kind;
    struct slice path;
    bool ignore_case; /* case_sensitive: false; no meaning for a regex */
    const struct header_match_conf *headers;
    size_t header_count;
    const struct query_match_conf *query;
    size_t query_count;
    enum route_action action;
    struct forward_conf forward;
    struct redirect_conf redirect;
    struct direct_conf direct;
    struct header_edits_conf edits;
    void *user;
};

enum vhost_tls { VHOST_TLS_NONE, VHOST_TLS_EXTERNAL_ONLY, VHOST_TLS_ALL };

struct vhost_conf {
    struct slice name;
    const struct slice *domains;
    size_t domain_count;
    const struct route_rule_conf *routes;
    size_t route_count;
    enum vhost_tls require_tls;
    const struct retry_conf *retry; /* NULL: none */
    struct header_edits_conf edits;
    void *apim; /* not NULL: what no route of this host matches is answered from an API table */
    void *user;
};

struct route_conf {
    struct slice name;
    const struct vhost_conf *vhosts;
    size_t vhost_count;
    bool ignore_port; /* ignore_port_in_host_matching */
    struct header_edits_conf edits;
    bool most_specific_edits_win;
    void *user;
};
