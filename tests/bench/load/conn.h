/*
 * conn: one non-blocking connection, TCP with or without TLS, that carries HTTP/1.1 or HTTP/2 requests. It belongs to
 * the run; it reports through run_answered, run_failed and run_changed. A closed conn is freed by the run after the
 * events of a turn. Single-threaded.
 */
#pragma once
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "base/list.h"
#include "response.h"

struct run;
struct conn;

struct request {
    struct list link; /* in the run's queue, or among its conn's requests */
    struct list live; /* among all that have no answer, by due time */
    struct conn *conn;
    int64_t due_us;
    int32_t stream_id;      /* HTTP/2 */
    struct slice body_left; /* of what is sent, HTTP/2 */
    int status;
    struct strbuf body;
};

enum conn_state { CONN_DIALLING, CONN_HANDSHAKE, CONN_OPEN, CONN_CLOSED };

/* What differs between HTTP/1.1 and HTTP/2. */
struct protocol {
    void (*open)(struct conn *c);
    void (*send)(struct conn *c, struct request *r);
    /* False: *reason says why the connection cannot go on. */
    bool (*receive)(struct conn *c, const char *p, size_t n, const char **reason);
    void (*peer_closed)(struct conn *c);
    void (*abandon)(struct conn *c, struct request *r); /* it timed out */
    size_t (*capacity)(const struct conn *c);
    void (*fini)(struct conn *c);
};
extern const struct protocol protocol_h1, protocol_h2;

struct conn {
    struct list link; /* the run's conns, or its closed ones */
    struct run *run;
    const struct protocol *protocol;
    int fd;
    SSL *ssl;
    enum conn_state state;
    bool draining; /* no further request: the peer, or one-request connections, want it so */
    int dial_errno;
    uint64_t answers;
    struct strbuf out;
    size_t out_at;
    struct list requests; /* in flight; those given while it was dialling are sent once it is open */
    size_t in_flight;
    struct response response; /* HTTP/1.1 */
    bool reading;             /* response is initialised */
    nghttp2_session *h2;
};

struct conn *conn_create(struct run *run, const struct sockaddr *address, socklen_t length);
void conn_destroy(struct conn **c);
void conn_assign(struct conn *c, struct request *r);
bool conn_can_take(const struct conn *c);
void conn_on_event(struct conn *c, uint32_t events);
void conn_write(struct conn *c, const void *p, size_t n); /* buffered; conn_flush sends */
void conn_flush(struct conn *c);
/* Ends it; every request on it fails for this reason. */
void conn_close(struct conn *c, const char *reason);
/* No further requests; closed at once when idle, else with its last answer. */
void conn_drain(struct conn *c);
/* A request has its answer: leaves the conn, is counted. */
void conn_answered(struct conn *c, struct request *r);
