/*
 * record: what is known of one finished request (or raw session): filled by exchange on its arena, read once by the
 * access loggers. All slices are borrowed for the call. Times are loop_now_us values; 0: never happened.
 * Keys and secrets must be masked before they get here.
 */
#pragma once
#include "proxy/codec/head.h"
#include "proxy/net/transport.h"

/* Envoy's response flags (refs: access log %RESPONSE_FLAGS%). */
enum response_flag {
    FLAG_NO_HEALTHY_UPSTREAM = 1 << 0,       /* UH */
    FLAG_UPSTREAM_CONNECTION_FAILURE = 1 << 1, /* UF */
    FLAG_UPSTREAM_OVERFLOW = 1 << 2,         /* UO */
    FLAG_NO_ROUTE = 1 << 3,                  /* NR */
    FLAG_NO_CLUSTER = 1 << 4,                /* NC */
    FLAG_UPSTREAM_REQUEST_TIMEOUT = 1 << 5,  /* UT */
    FLAG_UPSTREAM_CONNECTION_TERMINATION = 1 << 6, /* UC */
    FLAG_UPSTREAM_REMOTE_RESET = 1 << 7,     /* UR */
    FLAG_LOCAL_RESET = 1 << 8,               /* LR */
    FLAG_DOWNSTREAM_CONNECTION_TERMINATION = 1 << 9, /* DC */
    FLAG_DOWNSTREAM_PROTOCOL_ERROR = 1 << 10, /* DPE */
    FLAG_UPSTREAM_PROTOCOL_ERROR = 1 << 11,  /* UPE */
    FLAG_STREAM_IDLE_TIMEOUT = 1 << 12,      /* SI */
    FLAG_UNAUTHORIZED = 1 << 13,             /* UAEX */
    FLAG_DURATION_TIMEOUT = 1 << 14,         /* DT */
    FLAG_RETRY_LIMIT = 1 << 15,              /* URX */
    FLAG_OVERLOAD = 1 << 16,                 /* OM */
    FLAG_DNS_FAILURE = 1 << 17,              /* DF */
};

struct record_error { /* refs/apim 3.2; empty source: none */
    struct slice source, reason, message, section, path;
    struct slice scope, policy_id;
    int transport_code; /* errno, 0: none */
    int64_t elapsed_us; /* since the start */
};

struct record {
    /* request, downstream */
    int64_t start_wall_us, start_us;
    int64_t request_end_us;    /* last byte of the request */
    int64_t response_start_us; /* first byte sent downstream */
    int64_t end_us;
    const struct transport_info *downstream;
    struct addr client; /* after X-Forwarded-For rules: %DOWNSTREAM_REMOTE_ADDRESS% */
    const struct head *request;  /* as received (headers for %REQ()%); NULL for raw sessions and refused heads */
    struct slice original_path;  /* before any rewrite; key parameters masked */
    struct slice url;            /* scheme://authority/path, masked: GatewayLogs */
    enum http_version version;
    uint64_t bytes_received, bytes_sent; /* bodies */
    unsigned status;             /* 0: none was sent */
    const struct head *response; /* as sent; may be NULL */
    const struct head *response_trailers;
    uint32_t flags;
    struct slice details; /* %RESPONSE_CODE_DETAILS%: "via_upstream", "route_not_found", … */
    struct slice termination; /* %CONNECTION_TERMINATION_DETAILS% / transport failure reason */
    struct slice request_id;
    struct slice listener, filter_chain, route, virtual_cluster;

    /* upstream */
    struct slice cluster;
    struct slice upstream_host; /* "1.2.3.4:80" */
    struct addr upstream_local;
    bool reached_upstream;
    int64_t upstream_start_us;    /* request head sent */
    int64_t upstream_response_us; /* response head received */
    int64_t upstream_end_us;
    unsigned upstream_status;
    enum http_version upstream_version;
    struct slice upstream_method, upstream_url; /* masked */
    uint32_t attempts;
    struct slice upstream_failure;

    /* API management; empty where the request is not one */
    bool apim;
    struct slice gateway_id, region;
    struct slice correlation_id;
    struct slice api_id, api_revision, operation_id, product_id, user_id, subscription_id;
    struct record_error last_error; /* the one that decided the answer */
    const struct record_error *errors; /* what led to it, first to last; none given: last_error alone */
    size_t n_errors;
};

/* An access logger: built by the registered ACCESS_LOG extensions; write is called on the worker's thread. */
struct access_log;
void access_log_write(const struct access_log *log, const struct record *record);
