/*
 * A closed socket transport that still has something to say. What is queued is sent, then FIN; input is read and
 * thrown away meanwhile, because closing with unread input makes the kernel send RST, which destroys what the peer
 * has not read yet (RFC 9112 section 9.6). All of it is bounded in time and bytes.
 */
#include <errno.h>

#include "proxy/net/socket.h"

enum {
    SEND_REST_MS = 10000, /* without progress */
    DISCARD_BYTES = 64 << 10,
};

static void on_linger_timer(struct timer *timer)
{
    struct socket_transport *s = container_of(timer, struct socket_way, timer)->socket;
    socket_release(s, s->out.len > 0);
}

static void close_now(struct loop_closer *closer)
{
    struct socket_transport *s = container_of(closer, struct socket_way, closer)->socket;
    socket_send(s); /* the loop is going away: what the kernel takes at once is all */
    socket_release(s, false);
}

void socket_linger(struct socket_transport *s)
{
    s->state = SOCKET_LINGERING;
    s->finishing = true;
    loop_task_cancel(&s->deliver);
    hangup_set_remove(loop_hangups(s->t.loop), &s->hangup);
    struct socket_way *way = socket_way(s, on_linger_timer);
    way->closer.close = close_now;
    loop_adopt(s->t.loop, &way->closer);
    timer_set_in(&way->timer, SEND_REST_MS);
    socket_start_reading(s);
    loop_flush(s->t.loop, &s->flush, 0);
}

void socket_linger_sent(struct socket_transport *s)
{
    if (s->write_errno != 0) {
        socket_release(s, false);
    } else if (!s->finished) {
        timer_set_in(&s->way->timer, SEND_REST_MS);
    } else if (!s->reading) {
        socket_release(s, false); /* the peer has ended, or sent too much */
    } else {
        timer_cancel(&s->way->timer);
        timer_set_in(&s->way->timer, s->t.linger_ms);
    }
}

void socket_linger_read(struct socket_transport *s)
{
    size_t off, room;
    struct chunk *c = loop_read_space(s->t.loop, &off, &room);
    ssize_t n = recv(s->fd, (char *)chunk_data(c) + off, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        socket_release(s, false);
        return;
    }
    s->way->discarded += (size_t)n;
    if (n > 0 && s->way->discarded <= DISCARD_BYTES) {
        return;
    }
    socket_stop_reading(s);
    if (s->finished) {
        socket_release(s, false);
    }
}
