/*
 * listen: listening sockets. One struct listen_socket is the bound address, owned by the main thread and kept across
 * configuration changes and take-over; each worker accepts from it through its own struct acceptor.
 */
#pragma once
#include "proxy/net/addr.h"
#include "proxy/net/loop.h"

struct listen_options {
    int backlog; /* 0: SOMAXCONN */
    bool transparent, freebind, ipv6_only, tcp_fast_open;
    unsigned pipe_mode; /* Unix sockets */
};

/* One descriptor shared by all workers (EPOLLEXCLUSIVE-like fairness is the kernel's): a hand-over must lose nothing.
 */
int listen_open(const struct addr *addr, const struct listen_options *options, struct err *err); /* -1 on failure */

struct acceptor;
struct acceptor_events {
    void (*on_accept)(void *ctx, int fd, const struct addr *peer); /* non-blocking, TCP_NODELAY set */
    void (*on_error)(void *ctx, const struct err *err);            /* e.g. EMFILE; accepting pauses 100 ms */
};
/* Does not take the descriptor. */
struct acceptor *acceptor_create(struct loop *loop, int listen_fd, const struct acceptor_events *events, void *ctx);
void acceptor_destroy(struct acceptor **a);
void acceptor_pause(struct acceptor *a, bool paused);
/* Address the client meant before a redirect (SO_ORIGINAL_DST); false when there is none. */
bool listen_original_dst(int fd, struct addr *out);
