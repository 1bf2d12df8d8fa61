/* ads_session's inside, for session.c, session_sotw.c and session_delta.c: one type's state, and what both protocols do. */
#pragma once
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"
#include "proto/guard.h"
#include "proto/pack.h"
#include "proxy/ads/session.h"

enum { ADS_TYPES_MAX = 32, ADS_MESSAGE_MAX = 64 << 20, GRPC_INTERNAL = 13 };

struct ads_names {
    char **list; /* sorted */
    size_t n;
};

struct type_state {
    char *url;
    struct ads_names wanted;
    struct ads_names subscribed; /* delta: on this stream */
    char *version;               /* accepted last; "" at first */
    char *nonce;                 /* of the last response on this stream; delta: NULL once it is answered */
    char *refusal;               /* to be sent once */
    bool due;                    /* a request is to be sent */
    bool asked;                  /* one was, on this stream */
    const struct store_version *held;
    size_t n_held;
};

struct ads_session {
    struct slice node;
    bool delta;
    struct type_state types[ADS_TYPES_MAX];
    size_t n;
    bool open, node_sent;
    struct type_state *current; /* its response is being applied */
    char *current_version;
    bool current_stale; /* its stream is gone: accepted, but nobody to tell */
};

void ads_set_text(char **text, struct slice value);
bool ads_is_legacy_wildcard(const struct type_state *t); /* as Envoy asks for all listeners and clusters: with no name */
struct type_state *ads_find_type(struct ads_session *s, struct slice url);
void ads_names_free(struct ads_names *names);
void ads_names_copy(struct ads_names *to, const struct ads_names *from);
void ads_refuse(struct type_state *t, struct slice reason); /* the whole response, in the next request */
/* A resource out of its Resource wrapper: content, name, version. */
bool ads_unwrap(const Envoy__Service__Discovery__V3__Resource *w, struct store_resource *out, struct err *err);

/* session_sotw.c and session_delta.c; each without the node. */
void sotw_pack(struct type_state *t, struct strbuf *out);
void delta_pack(struct type_state *t, struct strbuf *out);
/* A response: its type, if it was asked for, else NULL with what to do. */
enum ads_verdict sotw_receive(struct ads_session *s, struct slice bytes, struct arena *arena, struct ads_response *out,
                              struct err *err);
enum ads_verdict delta_receive(struct ads_session *s, struct slice bytes, struct arena *arena,
                               struct ads_response *out, struct err *err);
/* Notes whom the response is of. ADS_TAKE: its resources are to be read; else dealt with. */
enum ads_verdict ads_note_response(struct ads_session *s, struct ads_response *out, struct err *err);
