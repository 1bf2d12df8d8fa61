/*
 * status_http: a small HTTP server on a unix socket (0660), GET only, answers JSON. libevent's evhttp behind it.
 * Owned by the loop's thread.
 */
#pragma once
#include "base/strbuf.h"
#include "xds/loop/loop.h"

struct status_http;

/* Writes the JSON body for path (without query); returns the HTTP status, 200 or 404. */
typedef int (*status_http_fn)(void *ctx, const char *path, struct strbuf *body);

/* A socket file that an ended process left behind is replaced; one that somebody answers on is an error. */
struct status_http *status_http_create(struct loop *loop, const char *socket_path, status_http_fn fn, void *ctx,
                                       struct err *err);
void status_http_destroy(struct status_http **http); /* removes the socket file */
