/* Connecting a socket transport. */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "proxy/net/socket.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static bool set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static bool set_keepalive(int fd, const struct dial_tcp *how)
{
    if (!how->keepalive) {
        return true;
    }
    return set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
           (how->keepalive_time_s == 0 || set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)how->keepalive_time_s)) &&
           (how->keepalive_interval_s == 0 ||
            set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)how->keepalive_interval_s)) &&
           (how->keepalive_probes == 0 || set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, (int)how->keepalive_probes));
}

static bool bind_source(int fd, const struct dial_tcp *how)
{
    bool v6 = how->source.sa.sa_family == AF_INET6;
    if (how->freebind && !set_int(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, 1)) {
        return false;
    }
    if (addr_port(&how->source) == 0) {
        /* The port is chosen by connect, per destination; bind would use up one of 28,000 for every connection. */
        set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    } else if (!set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1)) {
        return false;
    }
    return bind(fd, &how->source.sa, how->source.len) == 0;
}

/* 0, EINPROGRESS, or why not. */
static int start_connect(int fd, const struct dial_tcp *how)
{
    bool ip = how->remote.sa.sa_family != AF_UNIX;
    if (how->mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &how->mark, sizeof how->mark) != 0) {
        return errno;
    }
    if (ip && !set_keepalive(fd, how)) {
        return errno;
    }
    if (how->source.len != 0 && !bind_source(fd, how)) {
        return errno;
    }
    return connect(fd, &how->remote.sa, how->remote.len) == 0 ? 0 : errno;
}

static void on_connect_timeout(struct timer *timer)
{
    struct socket_transport *s = container_of(timer, struct socket_way, timer)->socket;
    struct err why;
    char text[ADDR_TEXT];
    err_set(&why, ERR_TIMEOUT, "connect to %s: no answer in %u ms", addr_text(s->t.info->remote, text),
            s->way->connect_timeout_ms);
    why.retry = ERR_RETRY_ALWAYS;
    socket_release(s, false);
    transport_end(&s->t, &why);
}

static void settle(struct socket_transport *s)
{
    struct addr local;
    local.len = sizeof local.un;
    if (getsockname(s->fd, &local.sa, &local.len) == 0) {
        transport_info_set_local(s->t.info, &local);
    }
    if (s->t.info->remote->sa.sa_family != AF_UNIX) {
        set_int(s->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
}

void socket_on_connect_event(struct socket_transport *s)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) {
        error = errno;
    }
    if (error != 0) {
        socket_connect_failed(s, error);
        return;
    }
    socket_arm_write(s, false);
    settle(s);
    socket_connected(s);
    loop_flush(s->t.loop, &s->flush, 0); /* what was written while connecting */
    if (s->t.events != NULL) {
        s->t.events->on_open(s->t.ctx);
    }
}

struct transport *socket_transport_dial(struct loop *loop, const struct dial_tcp *how)
{
    struct socket_transport *s = socket_new(loop, transport_info_create(NULL, &how->remote));
    int fd = socket(how->remote.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : start_connect(fd, how);
    if (fd >= 0) {
        socket_watch(s, fd);
    }
    if (error != 0 && error != EINPROGRESS) {
        s->fatal_errno = error;
        loop_deliver(loop, &s->deliver);
        return &s->t;
    }
    if (how->connect_timeout_ms > 0) {
        struct socket_way *way = socket_way(s, on_connect_timeout);
        way->connect_timeout_ms = how->connect_timeout_ms;
        timer_set_in(&way->timer, how->connect_timeout_ms);
    }
    socket_arm_write(s, true); /* also after success at once: the owner is told in a turn */
    return &s->t;
}
