/*
 * ads_session: what one client has subscribed to and accepted, in state-of-the-world or incremental xDS: messages in,
 * requests out. Pure: no sockets, no clock, no store. It outlives the streams that carry it; nonces do not. For the
 * files of this room.
 *
 * Incremental: names are subscribed and given back one by one; a new stream begins with what is held
 * (ads_session_set_held), so that the server sends the difference only.
 *
 * One response is in progress at a time: after ads_session_receive said ADS_TAKE, the next is passed in only once this
 * one was acknowledged or refused.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "proxy/config/store.h"

struct ads_session;

struct ads_session *ads_session_create(struct slice node, bool delta); /* a packed Node; copied */
void ads_session_destroy(struct ads_session **s);
/* Before the first stream, in the order to subscribe. */
void ads_session_add_type(struct ads_session *s, struct slice type_url);

/* The names wanted now, in any order; "*" alone: all there are; none: nothing is asked for. What differs from what
 * was asked for leads to a request. */
void ads_session_set_names(struct ads_session *s, size_t type, const struct slice *names, size_t n);

void ads_session_open(struct ads_session *s);  /* a stream began: everything is asked for anew */
/* Delta, after open: resources held of a type, for its first request. Borrowed until the next call with other ones. */
void ads_session_set_held(struct ads_session *s, size_t type, const struct store_version *held, size_t n);
void ads_session_close(struct ads_session *s); /* it ended */
bool ads_session_is_delta(const struct ads_session *s);

/* Packs the next request that is due; false: none is. */
bool ads_session_next(struct ads_session *s, struct strbuf *request);

struct ads_response {
    size_t type;
    struct slice type_url, version, nonce;
    const struct store_resource *resources;
    size_t n;
    const struct slice *removed; /* delta */
    size_t n_removed;
    struct slice control_plane; /* who answered; may be empty */
};
enum ads_verdict {
    ADS_TAKE,   /* apply it, then ack or nack */
    ADS_DONE,   /* dealt with: nothing we asked for, or refused as a whole (err says why; a request is due) */
    ADS_BROKEN, /* not a response at all: the stream is of no use */
};
/* Everything lives in the arena or in `bytes`. */
enum ads_verdict ads_session_receive(struct ads_session *s, struct slice bytes, struct arena *arena,
                                     struct ads_response *out, struct err *err);
void ads_session_ack(struct ads_session *s);
/* The reason goes to the server; the version accepted last stays. */
void ads_session_nack(struct ads_session *s, struct slice reason);

size_t ads_session_types(const struct ads_session *s);
struct slice ads_session_type_url(const struct ads_session *s, size_t type);
struct slice ads_session_version(const struct ads_session *s, size_t type); /* accepted last */
size_t ads_session_name_count(const struct ads_session *s, size_t type);
