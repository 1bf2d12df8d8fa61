/* run: the open loop. Owns requests and connections; sends at the due times; ends at the duration or a signal. */
#pragma once
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"
#include "conn.h"
#include "options.h"
#include "result.h"

struct run {
    const struct options *options;
    struct result *result;
    SSL_CTX *tls;
    struct sockaddr_storage address;
    socklen_t address_length;
    int epoll;
    struct list conns, closed, queue, live;
    size_t conn_count; /* not draining */
};

/* stop: set by a signal handler. Returns when every request has its answer or failed. */
bool run_all(const struct options *options, struct result *result, const volatile sig_atomic_t *stop, struct err *err);

/* For conn: */
void run_answered(struct run *run, struct request *r);
void run_failed(struct run *run, struct request *r, const char *reason);
