/*
 * admin_http: a small HTTP/1 server for people and probes, on the main thread only (libevent's evhttp). It is not the
 * data plane: one handler, whole bodies, no streaming. Heads up to 16 KB, bodies up to 1 MB, idle for 60 s at most.
 */
#pragma once
#include "base/strbuf.h"
#include "proxy/net/addr.h"
#include "proxy/net/loop.h"

struct admin_http;

struct admin_request {   /* borrowed during the call */
    struct slice method; /* GET, HEAD, POST, PUT, DELETE */
    struct slice path;   /* as sent, without the query */
    struct slice query;  /* behind "?", as sent; empty: none */
    struct slice body;
    struct addr peer; /* len 0: not known (a Unix socket) */
};

struct admin_reply {
    unsigned status;          /* 200 beforehand */
    const char *content_type; /* a literal; "text/plain; charset=UTF-8" beforehand */
    struct strbuf body;       /* empty beforehand; taken after the call */
};

/* TCP or Unix-socket address (mode 0600). The handler answers every request at once. */
struct admin_http *admin_http_listen(struct loop *loop, const struct addr *addr,
                                     void (*handle)(void *ctx, const struct admin_request *request,
                                                    struct admin_reply *reply),
                                     void *ctx, struct err *err);
void admin_http_destroy(struct admin_http **h);
struct addr admin_http_address(const struct admin_http *h); /* with the port that was given for port 0 */

/* The decoded value of the first `name` in a query ("a=1&b=%20"); false when it is not there. out is appended to. */
bool admin_query(struct slice query, struct slice name, struct strbuf *out);
