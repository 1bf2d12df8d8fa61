/* tls_transport: what tls_transport.c (bytes), tls_bio.c and tls_peer.c (who is there) share of one TLS transport. */
#pragma once
#include "proxy/net/tls_internal.h"

enum tls_state {
    TLS_WAITING, /* for lower to open */
    TLS_HANDSHAKE,
    TLS_OPEN,
    TLS_DEAD,
};

struct tls_transport {
    struct transport t;
    struct transport *lower; /* NULL: it is over */
    struct tls_context *context;
    SSL *ssl; /* NULL: could not be made, failure says why */
    enum tls_state state;
    bool server;
    bool took;                /* the BIO has drained lower->in since transport_taken */
    bool finishing, finished; /* close_notify is asked for, is sent */
    bool was_full;            /* on_writable is owed */
    size_t replies;
    struct buf plain, cipher; /* to be encrypted, to be given to lower */
    struct loop_task deliver, flush;
    char *name;          /* client: the peer's */
    struct err *failure; /* told by the next deliver */
};

bool tls_fail(struct tls_transport *s, const char *reason);     /* false */
void tls_peer_name(struct tls_transport *s, struct slice name); /* client: what to ask for and to verify */
void tls_peer_read(struct tls_transport *s);                    /* after the handshake: fills t.info */
