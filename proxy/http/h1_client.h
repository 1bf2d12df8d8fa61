/* h1_client: what the two files of the HTTP/1 upstream side share: the connection and the call it carries. */
#pragma once
#include "proxy/http/h1_out.h"
#include "proxy/http/internal.h"

struct h1_call;

struct h1_client {
    struct client_side side; /* first */
    struct transport *t;     /* NULL once it has gone */
    struct loop *loop;
    const struct http_client_config *config;
    const struct http_client_events *events;
    void *ctx;
    struct h1_call *call; /* NULL: idle */
    size_t in_limit;      /* body bytes the owner has not taken */
    unsigned refs;        /* the connection itself, and a call until its release: stream.info lives here */
    unsigned answered;    /* calls that ended in order */
    bool draining, ended;
    bool silent; /* the owner ended it and hears nothing */
    struct err *why; /* kept, once it has ended */
    struct loop_task turn, over;
    struct transport_info *info;
};

struct h1_call { /* one stream; its own pooled memory, freed at the end of the turn in which it was released */
    struct stream s;
    struct h1_client *c;    /* NULL once the connection has gone */
    struct h1_client *home; /* where info lives, until release */
    size_t cap;
    struct slice method;
    struct h1_parser parser;
    struct h1_message message;
    struct h1_body body;
    struct h1_out out;
    struct head *head; /* being read */
    struct head trailers;
    struct loop_task closed;
    struct err *why; /* kept, once it is over */
    uint64_t held;    /* of the inbox budget */
    uint64_t mark;    /* the transport's bytes_out that must be passed for the request to have been sent */
    unsigned interim; /* 1xx heads so far */
    char accept[28];  /* what the answer to our own WebSocket key must be */
    bool own_key;
    bool connect, upgrade;
    bool head_sent;
    bool got_bytes; /* of the answer */
    bool got_head;  /* the final one */
    bool told_end;
    bool over; /* on_closed is due or was said */
    bool released;
};

struct h1_call *h1_call_create(struct h1_client *c, struct arena *arena);
void h1_call_read(struct h1_call *call);
/* The connection ended under the call; bytes_out as the transport's. why ERR_NONE: both its directions had ended. */
void h1_call_gone(struct h1_call *call, const struct err *why, uint64_t bytes_out);

void h1_client_end(struct h1_client *c, const struct err *why, enum transport_close_mode mode);
void h1_client_unref(struct h1_client *c);
void h1_client_released(struct h1_client *c, const struct h1_call *call);
