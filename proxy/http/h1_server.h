/* h1_server: what the two files of the HTTP/1 downstream side share: the connection and its one stream at a time. */
#pragma once
#include "proxy/http/h1_out.h"
#include "proxy/http/internal.h"

enum h1_server_state {
    H1S_IDLE,    /* nothing of a request has come */
    H1S_HEAD,    /* part of a head */
    H1S_STREAM,  /* the owner holds a stream */
    H1S_DISCARD, /* answered and released; the rest of the request is dropped, within limits */
    H1S_ENDED,
};

struct h1_request;

struct h1_server {
    struct server_side side; /* first */
    enum h1_server_state state;
    unsigned requests;
    struct transport *t; /* NULL once it has gone */
    struct loop *loop;
    const struct http_server_config *config;
    const struct http_server_events *events;
    void *ctx;
    union {
        struct h1_parser parser; /* in H1S_IDLE and H1S_HEAD */
        struct {                 /* in H1S_DISCARD */
            struct h1_body *discard;
            size_t discard_left;
        };
    };
    struct arena *arena; /* of the head being read */
    struct head *head;
    struct h1_request *request; /* in H1S_STREAM */
    size_t in_limit; /* body bytes the owner has not taken */
    unsigned refs; /* the connection itself, and a stream until its release: stream.info lives here */
    bool draining;
    bool silent; /* the owner ended it and hears nothing */
    struct timer timer;
    struct loop_task turn; /* once it has ended: says so */
    struct transport_info *info;
};

struct h1_request { /* one stream; lives in its arena */
    struct stream s;
    struct h1_server *c;    /* NULL once the connection has gone */
    struct h1_server *home; /* where info lives, until release */
    struct slice method, protocol, key;
    struct h1_body body;
    struct h1_out out;
    struct head trailers;
    struct loop_task closed;
    struct err *why; /* in the arena; NULL: in order */
    size_t discarded;
    uint64_t held; /* of the inbox budget */
    bool http_10;
    bool keep_alive;
    bool connect, upgrade;
    bool in_done;      /* the request's message is complete */
    bool told_end;     /* the owner knows that it is */
    bool head_sent;    /* the final head */
    bool continue_due; /* the peer waits for 100 Continue */
    bool discarding;   /* the owner wants no more of the body */
    bool over;         /* on_closed is due or was said */
    bool released;
};

/* The stream, for the connection */
struct h1_request *h1_request_create(struct h1_server *c, const struct h1_message *message);
void h1_request_read(struct h1_request *q);
void h1_request_over(struct h1_request *q, const struct err *why);
/* The transport has gone. NULL: in order, both its directions had ended. */
void h1_request_gone(struct h1_request *q, const struct err *why);

/* The connection, for the stream */
void h1_server_end(struct h1_server *c, enum transport_close_mode mode);
void h1_server_refuse(struct h1_server *c, unsigned status, const struct err *why); /* answers and ends */
void h1_server_unref(struct h1_server *c);
size_t h1_server_discard_limit(const struct h1_server *c);
void h1_server_released(struct h1_server *c, struct h1_request *q);
