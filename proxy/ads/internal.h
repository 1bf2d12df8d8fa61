/* ads' inside, for ads.c, apply.c and describe.c. */
#pragma once
#include "proxy/ads/ads.h"
#include "proxy/ads/backoff.h"
#include "proxy/ads/grpc_status.h"
#include "proxy/ads/session.h"
#include "proxy/codec/grpc.h"

enum ads_state {
    ADS_WAITING,   /* for the timer, then the next attempt */
    ADS_ACQUIRING, /* a stream of the upstream */
    ADS_STREAMING,
};

struct ads_type {
    struct stat_handle *attempt, *success, *rejected, *version;
    struct stat_handle *resources, *bytes; /* received: in messages of the type, refused ones too */
    uint64_t accepted, refused;
    int64_t last_update_us, last_refusal_us; /* wall */
    char *refusal;                           /* the last; NULL: none */
};

struct ads {
    struct ads_config config;
    const struct ads_events *events;
    void *ctx;
    struct ads_session *session;
    struct ads_type *types; /* as many as the session has */

    enum ads_state state;
    struct timer timer;
    struct loop_task resume; /* go on reading after an acknowledgement that came from outside */
    struct backoff backoff;
    struct arena *arena; /* of the stream */
    struct acquire *acquire;
    struct stream *stream;
    struct grpc_status status; /* from its head, if it said so there */
    struct grpc_reader reader;
    bool heard; /* a message on this stream */

    bool applying; /* a response waits for its snapshot to be in use everywhere */
    uint64_t generation;
    struct ads_response response;
    struct arena *message; /* of that response */
    bool acceptable;
    char *reason; /* why not */

    struct stat_handle *connected, *apply_us; /* time spent on building what came */
    size_t bytes;                              /* for ads_take_bytes */
    uint64_t streams;                          /* opened so far */
    int64_t connected_since_us, last_error_us; /* wall */
    char *last_error;                          /* of the stream; NULL: none since it was last heard */
    char *control_plane;
};

void ads_types_init(struct ads *a);
void ads_types_fini(struct ads *a);
void ads_refresh_names(struct ads *a); /* what the store wants to know now */

/* Deals with one message: may publish and leave `applying` set. False: the stream is of no use. */
bool ads_take_message(struct ads *a, struct slice bytes, struct err *err);
void ads_finish_message(struct ads *a); /* acknowledges or refuses */
