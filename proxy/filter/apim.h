/* The HTTP filter "egret.apim": key check (refs/apim 4.7), closed operations, policy programs, backend choice. */
#pragma once
#include "proxy/filter/host.h"

extern const struct extension_type apim_filter_type;     /* egret.apim.v1.ApimFilter */
extern const struct extension_type apim_per_host_type;   /* egret.apim.v1.ApiTable */

struct apim_filter_config {
    struct http_filter filter; /* first */
    struct slice gateway_id, region;
    bool reject_invalid_key_on_open_api;
};

/* The decision by itself, pure. */
enum apim_key_verdict { KEY_ALLOWED, KEY_MISSING, KEY_INVALID };
struct apim_key_input {
    const struct apim_set *set;
    const struct apim_api *api;
    bool given;                                    /* a key was there and not empty */
    const struct apim_subscription *subscription;  /* whose key it is; NULL: nobody's */
    bool reject_invalid_key_on_open_api;
};
struct apim_key_output {
    enum apim_key_verdict verdict;
    const struct apim_subscription *subscription; /* context.Subscription */
    const struct apim_product *product;           /* context.Product */
};
void apim_key_decide(const struct apim_key_input *in, struct apim_key_output *out);

/* The key in a request: header first, then the query parameter, decoded; an empty header hides the query parameter. */
bool apim_key_find(const struct apim_api *api, const struct head *request, struct arena *arena, struct slice *key);


/* APIM's answers, byte for byte (refs/apim 3.4). */
void apim_reply_not_found(struct filter_host *host);
void apim_reply_key(struct filter_host *host, bool missing);
void apim_reply_closed(struct filter_host *host, struct slice why);
void apim_reply_internal(struct filter_host *host); /* 500 with activityId */

/* Where this response sends the caller, if forward-request is to follow it (RFC 9110 15.4). */
enum apim_redirect {
    APIM_REDIRECT_NONE,    /* the response is the answer */
    APIM_REDIRECT_FOLLOW,  /* host->request is the next request; its body is sent again */
    APIM_REDIRECT_NO_BODY, /* likewise, a GET without a body */
    APIM_REDIRECT_AWAY,    /* to another origin than the backend's, where nothing leads from here */
};
enum { APIM_REDIRECTS_MAX = 10 }; /* then the response is the answer */
enum apim_redirect apim_redirect(struct filter_host *host, const struct head *response);

/* A stage failed: the body cannot go on. on-error runs and the caller is told. */
void apim_fail_body(struct filter_host *host, const struct body_chain *chain, const struct err *err, bool request);
/* The request is over, or its snapshot is let go of: whatever it held is given back. May be called twice. */
void apim_end(struct filter_host *host);
