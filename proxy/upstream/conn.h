/* conn: an HTTP connection to a host, from its dial to its end. Shared by conn.c and pool.c. */
#pragma once
#include "proxy/upstream/internal.h"

struct conn {
    struct list link;  /* in one of the host's lists */
    struct list every; /* in upstream.conns */
    struct host *host;
    struct dialer *dialer;
    struct http_client *client;
    struct timer idle; /* idle_timeout while nothing is open */
    struct timer age;  /* max_connection_duration */
    unsigned streams;
    bool h2;
    bool draining; /* takes no new stream */
    bool counted;
    bool served;   /* has carried a stream: its end says nothing about the endpoint */
    char sni[256]; /* auto_sni: which name it was made for */
};

void conn_count(struct conn *c, unsigned streams); /* how many are open now */
/* Out of every list and count. The http_client and the dialer are gone already or are ended here. */
void conn_end(struct conn *c);
bool conn_is_spent(const struct conn *c);
bool conn_can_take(struct conn *c, const struct acquire *a);
/* The name a connection for this request is made for; empty for all where auto_sni is off. */
struct slice conn_name_for(const struct host *h, const struct acquire *a);
