/*
 * apim_set: what the proxy holds of the API management service: the matcher over its APIs (proxy/route/apim.h),
 * products, keys, backends, policy programs. Immutable, part of the snapshot, shared where unchanged.
 */
#pragma once
#include <stdint.h>

#include "base/slice.h"
#include "proxy/config/apim_counters.h"
#include "proxy/route/apim.h"

struct apim_set;

enum apim_sub_state { SUB_SUSPENDED, SUB_ACTIVE, SUB_EXPIRED, SUB_SUBMITTED, SUB_REJECTED, SUB_CANCELLED };
enum apim_scope { SCOPE_ALL_APIS, SCOPE_PRODUCT, SCOPE_API, SCOPE_WORKSPACE };

struct apim_product {
    struct slice name, id;
    bool published, subscription_required;
    struct slice program; /* resource name; empty: none */
    struct slice closed;
};

struct apim_subscription {
    struct slice name, id, owner;
    enum apim_sub_state state;
    enum apim_scope scope;
    struct slice scope_name;
};

struct apim_value_part {
    struct slice text; /* literal, or the secret's name */
    bool secret;
};
struct apim_value { /* joined from its parts when it is needed */
    const struct apim_value_part *parts;
    size_t n;
};
struct apim_credential {
    struct slice name;
    struct apim_value value;
};

enum apim_http { APIM_HTTP1, APIM_HTTP2, APIM_HTTP2_OR_1 };
struct apim_proxied { /* the way through an HTTP proxy */
    struct slice proxy, cluster;
    enum apim_http http;
};

struct apim_backend {
    struct slice name, cluster, base_path, authority, url, closed;
    const struct apim_credential *headers, *query;
    size_t n_headers, n_query;
    const struct apim_proxied *proxied;
    size_t n_proxied;
    struct slice other_cluster[2]; /* for APIM_HTTP2, APIM_HTTP2_OR_1; empty: the same */
};

/* What a specification gives as an answer of one operation: for mock-response. */
struct apim_example {
    unsigned status; /* 0: the default response */
    struct slice type, body;
};
struct apim_examples {
    const struct apim_example *items;
    size_t n;
};
struct apim_examples apim_operation_examples(const struct apim_operation *operation);

/* ---- policy programs ---- */

enum apim_op {
    APIM_OP_BASE,
    APIM_OP_FORWARD,
    APIM_OP_SET_BACKEND,
    APIM_OP_CLOSED,
    APIM_OP_SET_HEADER,
    APIM_OP_SET_QUERY,
    APIM_OP_SET_METHOD,
    APIM_OP_SET_STATUS,
    APIM_OP_SET_BODY,
    APIM_OP_REWRITE_URI,
    APIM_OP_RETURN,
    APIM_OP_IP_FILTER,
    APIM_OP_CHECK_HEADER,
    APIM_OP_CORS,
    APIM_OP_BASIC,
    APIM_OP_LIMIT,
    APIM_OP_NOTE, /* nothing to see from outside */
    APIM_OP_ENTER,
    APIM_OP_LEAVE,
    APIM_OP_MOCK,
    APIM_OP_REPLACE,
    APIM_OP_REDIRECT_URLS,
    APIM_OP_JSONP,
    APIM_OP_TO_XML,
    APIM_OP_TO_JSON,
    APIM_OP_PROXY,
};
enum apim_section { APIM_INBOUND, APIM_BACKEND, APIM_OUTBOUND, APIM_ON_ERROR, APIM_SECTIONS };
enum apim_exists { APIM_OVERRIDE, APIM_SKIP, APIM_APPEND, APIM_DELETE };

struct apim_set_value { /* set-header (name in lower case), set-query-parameter */
    struct slice name;
    enum apim_exists action;
    const struct apim_value *values;
    size_t n;
};

struct apim_response { /* return-response */
    unsigned status;
    struct slice reason;
    const struct apim_set_value *headers;
    size_t n_headers;
    struct apim_value body;
};

struct apim_ip { /* IPv4 as IPv4-mapped IPv6 */
    uint8_t bytes[16];
};
struct apim_ip_filter {
    bool allow;
    const struct apim_ip (*ranges)[2];
    size_t n;
};

struct apim_check_header {
    struct slice name, message;
    unsigned code;
    bool ignore_case;
    const struct apim_value *values;
    size_t n;
};

struct apim_texts {
    const struct slice *items;
    size_t n;
    bool any;
};
struct apim_cors {
    struct apim_texts origins, methods, headers;
    struct slice exposed; /* joined; empty: none */
    bool credentials, terminate_unmatched;
    uint32_t max_age_s;
};

struct apim_narrow { /* counted besides, for one API or operation */
    struct slice api_id, api_name, operation_id; /* empty: does not matter */
    uint32_t calls, period_s;
};
struct apim_limit { /* rate-limit, quota */
    bool quota;
    uint32_t calls, period_s;
    uint64_t hash; /* of the instruction: its program's name and its place */
    struct slice retry_after, remaining, total; /* header names in lower case; empty: none */
    const struct apim_narrow *narrower;
    size_t n_narrower;
};

struct apim_enter { /* limit-concurrency */
    uint64_t key;
    uint32_t most;
};
enum { APIM_HELD_MAX = 8 }; /* of them around one place */

struct apim_forward {
    uint32_t timeout_ms; /* until the response's head */
    enum apim_http http;
    bool follows_redirects, keeps_body, fails_on_error;
};

struct apim_mock {
    unsigned status;
    struct slice type; /* empty: any */
};

struct apim_replace {
    struct slice from;
    struct apim_value to;
};

struct apim_to_xml {
    bool only_json, consider_accept;
    struct slice separator, prefix, block; /* the last two may be empty */
};
struct apim_to_json {
    bool only_xml, consider_accept, always_array;
};

struct apim_instruction {
    enum apim_op op;
    uint32_t line;
    struct slice policy_id, path; /* path empty: the policy's name */
    union {
        struct apim_forward forward; /* FORWARD */
        struct apim_enter enter;     /* ENTER */
        struct apim_mock mock;       /* MOCK */
        struct apim_to_json to_json; /* TO_JSON */
        struct slice text; /* SET_BACKEND: resource name; CLOSED: reason; SET_METHOD: method; NOTE: policy; JSONP: parameter; PROXY: address */
        struct {             /* SET_STATUS */
            unsigned code;
            struct slice reason;
        } status;
        struct {             /* REWRITE_URI */
            struct slice template;
            const struct apim_value *secret; /* instead of the template when secrets stand in it; else NULL */
            bool copy_unmatched;
        } rewrite;
        const struct apim_set_value *set;        /* SET_HEADER, SET_QUERY */
        const struct apim_value *values;         /* SET_BODY: one; BASIC: user name, password */
        const struct apim_response *response;    /* RETURN */
        const struct apim_ip_filter *ip_filter;
        const struct apim_check_header *check;
        const struct apim_cors *cors;
        const struct apim_limit *limit;
        const struct apim_replace *replace;
        const struct apim_to_xml *to_xml;
    };
};
struct apim_program {
    struct slice name;
    struct {
        const struct apim_instruction *code;
        size_t n;
    } sections[APIM_SECTIONS];
};

struct apim_mac_key { /* from static generic secrets "mac/<id>" */
    struct slice id, key;
};

const struct apim_table *apim_set_table(const struct apim_set *s); /* NULL: no API was ever received */
const struct apim_product *apim_set_product(const struct apim_set *s, struct slice name);
const struct apim_backend *apim_set_backend(const struct apim_set *s, struct slice name);
const struct apim_program *apim_set_program(const struct apim_set *s, struct slice name);
struct apim_counters *apim_set_counters(const struct apim_set *s);
size_t apim_set_mac_keys(const struct apim_set *s, const struct apim_mac_key **keys);
/* The subscription one of whose keys has this MAC under MAC key number `key`; compared in constant time. */
const struct apim_subscription *apim_set_by_mac(const struct apim_set *s, size_t key, const uint8_t mac[32]);
