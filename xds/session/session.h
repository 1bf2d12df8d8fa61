/*
 * session: one ADS stream, state of the world or delta, as a pure state machine: no clock, no I/O, no log. The caller
 * feeds requests and published sets and then pulls responses until there are none; pulling one marks it as sent. A slow
 * reader is simply pulled less often and then gets the newest state. One thread.
 *
 * Delta is the same machine with another way to say things: what the client should hold is decided equally, and a
 * response is the difference to what it was told before (delta.c). What a client says it holds when it comes back counts
 * as told, so nothing is sent twice.
 *
 * Rules kept: one response per type is outstanding; a request with an old nonce is ignored; only error_detail is a
 * refusal, and what was refused is not sent again until something changes (so A, B refused, A works); EDS follows
 * every CDS response; a changed set goes out in the order of xds_type; what others may still refer to (clusters,
 * tunnels, backends, programs, products) is withdrawn only after those others accepted the state that no longer does.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "xds/cache/cache.h"

struct session;

struct session_request {
    struct slice type_url, version, nonce;
    const struct slice *names;
    size_t name_count;
    bool refused;        /* error_detail is present */
    struct slice reason; /* its message */
};

struct session_held {
    struct slice name, version;
};

struct session_delta_request {
    struct slice type_url, nonce;
    const struct slice *subscribe, *unsubscribe;
    size_t subscribe_count, unsubscribe_count;
    const struct session_held *held; /* initial_resource_versions: counts in a type's first request only */
    size_t held_count;
    bool refused;
    struct slice reason;
};

struct session_response {
    enum xds_type type;
    const char *version, *nonce;     /* valid until the next call on this session */
    struct resource_list *resources; /* borrowed likewise; delta: those that changed */
    struct resource_list *removed;   /* delta: those that went; else NULL */
};

enum session_state { SESSION_NOT_SENT, SESSION_STALE, SESSION_SYNCED, SESSION_REJECTED };

struct session_status {
    enum session_state state;
    const char *reason;  /* of a refusal, else NULL; valid until the next call */
    const char *version; /* of the last response; "" */
    size_t resources;    /* that should be there */
    uint64_t responses, resources_sent, bytes_sent; /* on this stream; bytes: of the resources' content */
};

enum session_kind { SESSION_SOTW, SESSION_DELTA };
/* egret_types: the node announced them; otherwise requests for them are passed over in silence. */
struct session *session_create(enum session_kind kind, bool egret_types);
void session_destroy(struct session **session);

/* false: the stream must end with INVALID_ARGUMENT. A type this server does not know is passed over in silence. */
bool session_on_request(struct session *session, const struct session_request *request, struct err *err);
bool session_on_delta_request(struct session *session, const struct session_delta_request *request, struct err *err);
/* A new set for this stream's group. Before the first one nothing is ever sent. Takes its own reference. */
void session_on_set(struct session *session, struct resource_set *set);
bool session_next(struct session *session, struct session_response *out);

struct session_status session_status(const struct session *session, enum xds_type type);
const char *session_state_name(enum session_state state); /* "NOT SENT", "STALE", "SYNCED", "REJECTED" */
