/* socket: what socket.c (bytes), dial.c (connecting) and linger.c (going away) share of one socket transport. */
#pragma once
#include <event2/event_struct.h>

#include "proxy/net/loop_internal.h"
#include "proxy/net/transport.h"

enum socket_state {
    SOCKET_CONNECTING,
    SOCKET_OPEN,
    SOCKET_LINGERING, /* no owner: sends the rest, then discards input until the peer ends too */
    SOCKET_DEAD,
};

struct socket_transport {
    struct transport t;
    enum socket_state state;
    int fd;
    struct event read_event;
    struct event *write_event; /* made when it is first needed: most sockets never wait for room */
    struct hangup_watch hangup;
    struct buf out;
    struct loop_task deliver, flush;
    struct socket_way *way;   /* while connecting or lingering */
    bool reading, write_armed; /* in libevent */
    bool finishing, finished;  /* shutdown(SHUT_WR) is asked for, is done */
    bool was_full;             /* on_writable is owed */
    int write_errno;          /* sending has failed; what has arrived is still read */
    int fatal_errno;          /* told by the next deliver */
};

/* What only the way in and the way out need: an open socket does without. */
struct socket_way {
    struct socket_transport *socket;
    struct timer timer;
    struct loop_closer closer;
    uint32_t connect_timeout_ms;
    size_t discarded;
};
struct socket_way *socket_way(struct socket_transport *s, void (*on_timer)(struct timer *timer)); /* makes it */
void socket_way_end(struct socket_transport *s);                                                  /* frees it */

struct socket_transport *socket_new(struct loop *loop, struct transport_info *info); /* takes info */
void socket_watch(struct socket_transport *s, int fd); /* takes the descriptor, arms nothing */
void socket_connected(struct socket_transport *s);     /* connecting → open */
void socket_connect_failed(struct socket_transport *s, int os_errno);
void socket_on_connect_event(struct socket_transport *s); /* the descriptor is writable while connecting */
void socket_start_reading(struct socket_transport *s);
void socket_stop_reading(struct socket_transport *s);
void socket_arm_write(struct socket_transport *s, bool on);
bool socket_send(struct socket_transport *s); /* false: failed, write_errno says how; out is empty then */
void socket_release(struct socket_transport *s, bool reset); /* closes and frees without a word */

void socket_linger(struct socket_transport *s);
void socket_linger_sent(struct socket_transport *s); /* after each send while lingering */
void socket_linger_read(struct socket_transport *s);
