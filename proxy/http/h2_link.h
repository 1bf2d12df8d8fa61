/*
 * h2_link: what HTTP/2 connections of both sides share: a session over a transport, its turn (receive, deliver,
 * produce), and its streams as struct stream. h2_server and h2_client add who opens streams and when the connection
 * ends.
 */
#pragma once
#include "proxy/http/internal.h"

struct h2_link;
struct h2_half;

struct h2_role { /* called from a turn only */
    /* Server: a stream nobody owns yet has a head. Returns what was made of it, NULL when it was refused. */
    struct h2_half *(*on_request)(struct h2_link *link, struct h2_stream *h);
    void (*on_progress)(struct h2_link *link);                      /* after events, and when a stream was released */
    void (*on_count)(struct h2_link *link, enum h2_count what, uint32_t n); /* may be NULL */
    void (*on_closed)(struct h2_link *link, const struct err *why); /* last; all streams were told before */
    void (*destroy)(void *link); /* frees what the link is part of, at the end of a turn; calls h2_link_fini */
};

struct h2_link {
    const struct h2_role *role;
    struct h2_session *session;
    struct transport *t; /* NULL once it has gone */
    struct loop *loop;
    struct list halves;   /* streams the owner holds */
    struct list unmarked; /* of those: heads that have not been produced yet */
    unsigned n;
    unsigned refs; /* the connection itself, and each stream until its release: stream.info lives here */
    struct loop_task deliver, flush, ended;
    struct budget_waiter inbox; /* not read until the loop's streams hold less */
    struct timer timer; /* what the session wants to do at a time of its own */
    bool later;         /* it reads on after this turn */
    bool over;          /* ends in this turn; nothing is read or written any more */
    uint32_t told[H2_COUNTS]; /* of the session's counts */
    bool answered;      /* a stream ended in order: the connection is a kept one */
    bool silent;        /* the owner ended it and hears nothing */
    struct err *why; /* kept, once it is over */
    struct transport_info *info;
    size_t out_limit; /* of a stream's outbox; less when there are many */
};

struct h2_half { /* one stream; its own pooled memory, freed at the end of the turn in which it was released */
    struct stream s;
    struct list link_all, link_unmarked;
    struct h2_link *link; /* NULL once the connection has gone */
    struct h2_link *home; /* where info lives, until release */
    struct h2_stream *h;  /* NULL: not opened yet, or gone */
    size_t cap;
    struct loop_task closed;
    struct err *why; /* kept, once it is over */
    uint64_t mark; /* the transport's bytes_out that must be passed for the stream to have been sent */
    bool server;
    bool connect; /* plain CONNECT */
    bool upgrade; /* extended CONNECT, to the owner an upgrade */
    struct slice protocol;
    bool head_sent; /* request, or final response */
    bool got_head;  /* any part of the response */
    bool got_final; /* its final head */
    bool continue_due;
    bool discarding;
    bool over; /* on_closed is due or was said */
    bool released;
};

void h2_link_init(struct h2_link *link, const struct h2_role *role, struct transport *t, struct h2_session *session,
                  uint32_t buffer_limit);
void h2_link_fini(struct h2_link *link);
void h2_link_unref(struct h2_link *link);
/* The owner gives the connection up and hears nothing more. */
void h2_link_abandon(struct h2_link *link, const struct err *why, enum transport_close_mode mode);
/* Ends the connection: streams hear err, then on_closed, in this turn. GOAWAY and what is queued still leave with
 * FLUSH. */
void h2_link_end(struct h2_link *link, const struct err *why, enum transport_close_mode mode);
void h2_link_flush(struct h2_link *link); /* something may be waiting to leave */

struct h2_half *h2_half_create(struct h2_link *link, struct arena *arena);
extern const struct stream_ops h2_half_ops;
/* Says on_closed in this turn. */
void h2_half_over(struct h2_half *half, const struct err *why);
/* The link tells a stream what happened to it. */
void h2_half_events(struct h2_half *half, unsigned events);
