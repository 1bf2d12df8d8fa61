/*
 * filter: what an HTTP filter may see and ask for. exchange embeds struct filter_host and implements the reply; filters
 * never see streams. One request, one loop; everything lives in `arena`.
 *
 * Order: on_request in list order once the request head is there and the route was found; on_response in reverse order
 * before the head goes downstream. on_response may reply instead: filter_reply is called, and the response is dropped.
 */
#pragma once
#include "proxy/body/stage.h"
#include "proxy/codec/head.h"
#include "proxy/config/apim.h"
#include "proxy/config/snapshot.h"

enum filter_verdict {
    FILTER_CONTINUE,
    FILTER_REPLIED, /* filter_reply was called: nothing further runs on the request */
};

/* An answer made here. Body and fields are copied by the callee. */
struct local_reply {
    unsigned status;
    struct slice reason;       /* HTTP/1 reason phrase; empty: the standard one */
    struct slice content_type; /* empty: none */
    struct slice body;
    const struct field *fields;
    size_t n_fields;
    struct slice details;      /* %RESPONSE_CODE_DETAILS% */
    uint32_t flags;            /* response flags (observe/record.h values) */
    bool grpc_aware;           /* a gRPC request gets trailers-only instead */
};

/* Where and why a request failed, in APIM's words (refs/apim 3.2). */
struct filter_error {
    struct slice source, reason, message, section, path, scope, policy_id;
};

enum { APIM_SCOPES = 5 }; /* operation, API, product, workspace, service */

/* What the API management filter decided; read by exchange (routing, log) and by other filters. */
struct apim_call {
    const struct apim_match *match; /* NULL: not an API call */
    const struct apim_subscription *subscription;
    const struct apim_product *product;
    const struct apim_backend *backend;
    struct slice cluster;               /* the backend's, in the HTTP version asked for */
    const struct apim_forward *forward; /* NULL: no forward-request was reached */
    /* Of its policies; apim_run.h. */
    const struct apim_program *scopes[APIM_SCOPES]; /* most specific first */
    unsigned n_scopes;
    bool linked;
    bool failing; /* on-error runs: what goes wrong in it ends it */
    enum apim_section section; /* being run, and which of the scopes */
    unsigned scope;
    const struct apim_instruction *at; /* being run, for what is said about a failure */
    struct slice asked_method;    /* the caller's, where a policy has chosen another; else empty */
    bool rewrites_response;       /* a policy that is reached needs the response's body as text */
    struct slice own_authority, own_path; /* how the caller names this API: Host, and the path in front of `rest` */
    struct apim_held *held;       /* limit-concurrency: who is in, the innermost first; apim_hold.c */
    struct slice rest, query;     /* path behind the API's, and query (p == NULL: none), as policies left them */
    struct slice authority;       /* not empty: set-header Host */
    struct slice backend_name;
    struct slice proxy;           /* "host:port" in front of the backend; empty: none */
    const struct apim_cors *cors; /* the origin is allowed: the answer says so */
    struct apim_limited {
        const struct apim_limit *limit;
        uint32_t left;
    } limited[APIM_SCOPES]; /* those whose headers the answer carries */
    unsigned n_limited;
    unsigned traces, metrics; /* how many trace and emit-metric ran */
};

struct filter_host {
    struct arena *arena;
    const struct snapshot *snapshot;
    struct apim_mac *mac; /* the worker's; filter/apim_mac.h */
    const struct transport_info *downstream;
    struct head *request; /* may be changed */
    struct head *response; /* on_response only */
    struct slice correlation_id;
    uint64_t now_s; /* of a clock that does not jump; when the request was routed */
    struct apim_call apim;
    struct filter_error error;
    void (*reply)(struct filter_host *host, const struct local_reply *reply);
    /* A filter's own body instead of the one that comes; set in on_request, or in on_response. */
    struct slice request_body, response_body;
    bool replaces_request_body, replaces_response_body;
    bool drops_request_body; /* replaced by none at all: not even a length of 0 is told */
    /* What happens to the body that comes; NULL: nothing. Not together with a filter's own body. */
    struct body_chain *request_stages, *response_stages;
    size_t max_body_held; /* what a stage that needs the body whole may hold */
    /* What carries a key in this request: its value never reaches a log. */
    struct slice masked_query;
    struct slice masked_header;
    bool masks_whole_query; /* it is not known which parameter that is */
    bool secret_url; /* a policy put a secret into the path or query towards the backend: neither reaches a log */
};

struct http_filter { /* what a filter's extension object starts with */
    enum filter_verdict (*on_request)(const struct http_filter *filter, struct filter_host *host);
    void (*on_response)(const struct http_filter *filter, struct filter_host *host); /* may be NULL */
};
