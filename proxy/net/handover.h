/*
 * handover: named descriptors and words between a running process and the one that replaces it (DATAPLANE 10), over a
 * Unix socket with SCM_RIGHTS. What the words mean is for app to say.
 *
 * The server lives on the main thread's loop. The client blocks, each call for at most its time-out: it runs at
 * start-up, before there is anything else to do. Both ends refuse a peer of another user (SO_PEERCRED; root may).
 */
#pragma once
#include "base/strbuf.h"
#include "proxy/net/loop.h"

enum {
    HANDOVER_NAME = 160,      /* bytes of a descriptor's name, with NUL */
    HANDOVER_TEXT = 16 << 10, /* bytes of a text at most */
    HANDOVER_FDS = 4096,      /* descriptors of one answer at most */
};

struct handover_fd {
    char name[HANDOVER_NAME];
    int fd;
};

/* Text and descriptors that travel together. */
struct handover_bundle {
    struct strbuf text;
    struct handover_fd *fds;
    size_t n, cap;
};
void handover_bundle_init(struct handover_bundle *b);
void handover_bundle_fini(struct handover_bundle *b); /* does not close */
void handover_bundle_add(struct handover_bundle *b, struct slice name, int fd);
int handover_bundle_take(struct handover_bundle *b, struct slice name); /* -1: none; it is the caller's then */
void handover_bundle_close(struct handover_bundle *b);                  /* closes what was not taken, then fini */

struct handover_server;
struct handover_events {
    /* Fill in the answer; its descriptors stay yours. Return false to answer nothing and hang up. */
    bool (*on_ask)(void *ctx, struct slice text, struct handover_bundle *answer);
    void (*on_gone)(void *ctx); /* a peer that had asked something hung up */
};
/* path: a file (created with mode 0600) or "@name" for an abstract socket. */
struct handover_server *handover_serve(struct loop *loop, const char *path, const struct handover_events *events,
                                       void *ctx, struct err *err);
void handover_server_destroy(struct handover_server **s);

struct handover_client;
/* ERR_NOT_FOUND: nobody listens there. */
struct handover_client *handover_connect(const char *path, uint32_t timeout_ms, struct err *err);
/* answer is initialised by the callee; on success its descriptors are the caller's (close-on-exec). */
bool handover_ask(struct handover_client *c, struct slice text, struct handover_bundle *answer, struct err *err);
void handover_client_destroy(struct handover_client **c);
