/*
 * worker: one thread with its loop, upstream, downstream and exchanger. The main thread is a worker without listeners
 * whose loop it runs itself. Messages to a worker are posted to its loop; it answers with posts to the main loop.
 */
#pragma once
#include <pthread.h>

#include "proxy/exchange/exchange.h"

struct worker_options {
    unsigned index;   /* 0: main */
    unsigned workers; /* without it */
    struct stats *stats;
    struct upstream_shared *shared;
    const struct config_limits *limits;
    atomic_uint *connections;
    const atomic_uint *overload;
    void (*on_idle)(void *ctx); /* worker's thread: the last exchange has ended */
    void *ctx;
};

struct worker {
    unsigned index;
    pthread_t thread;
    struct loop *loop;
    struct upstream *upstream;
    struct downstream *downstream; /* NULL on the main thread */
    struct exchanger *exchanger;
    atomic_uint open; /* connections + exchanges, written by the worker, read while draining */
};

bool worker_init(struct worker *w, const struct worker_options *options, struct err *err);
void worker_fini(struct worker *w); /* its thread has ended */
bool worker_start(struct worker *w, struct err *err);
void worker_join(struct worker *w);

/* In the worker's own thread. */
void worker_swap(struct worker *w, struct snapshot *snapshot, const int *fds);
void worker_drain(struct worker *w);
unsigned worker_open(const struct worker *w);
