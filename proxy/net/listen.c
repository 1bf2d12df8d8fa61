#include "proxy/net/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/mem.h"

#ifndef IP6T_SO_ORIGINAL_DST
#define IP6T_SO_ORIGINAL_DST 80
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

enum {
    ACCEPTS_A_TURN = 16, /* what comes more is level-triggered again, and other workers get a chance */
    PAUSE_MS = 100,      /* after EMFILE and the like */
    FAST_OPEN_QUEUE = 256,
};

static bool set_on(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static const char *set_options(int fd, const struct addr *addr, const struct listen_options *options)
{
    bool v6 = addr->sa.sa_family == AF_INET6;
    int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    if (addr->sa.sa_family == AF_UNIX) {
        return NULL;
    }
    if (!set_on(fd, SOL_SOCKET, SO_REUSEADDR, 1)) {
        return "SO_REUSEADDR";
    }
    if (v6 && !set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only)) {
        return "IPV6_V6ONLY";
    }
    if (options->freebind && !set_on(fd, level, v6 ? IPV6_FREEBIND : IP_FREEBIND, 1)) {
        return "IP_FREEBIND";
    }
    if (options->transparent && !set_on(fd, level, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1)) {
        return "IP_TRANSPARENT";
    }
    if (options->tcp_fast_open && !set_on(fd, IPPROTO_TCP, TCP_FASTOPEN, FAST_OPEN_QUEUE)) {
        return "TCP_FASTOPEN";
    }
    return NULL;
}

static bool is_path(const struct addr *addr)
{
    return addr->sa.sa_family == AF_UNIX && addr->un.sun_path[0] != '\0';
}

/* A socket file whose process is gone stays behind and blocks bind. One that still answers is not ours to remove. */
static void remove_dead_pipe(const struct addr *addr)
{
    struct stat st;
    if (!is_path(addr) || lstat(addr->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &addr->sa, addr->len) != 0 && errno == ECONNREFUSED) {
        unlink(addr->un.sun_path);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static bool bind_and_listen(int fd, const struct addr *addr, const struct listen_options *options, struct err *err)
{
    char text[ADDR_TEXT];
    const char *failed = set_options(fd, addr, options);
    if (failed != NULL) {
        return err_errno(err, errno, "listen on %s: %s", addr_text(addr, text), failed);
    }
    remove_dead_pipe(addr);
    if (bind(fd, &addr->sa, addr->len) != 0) {
        return err_errno(err, errno, "bind to %s", addr_text(addr, text));
    }
    if (is_path(addr) && options->pipe_mode != 0 && chmod(addr->un.sun_path, options->pipe_mode) != 0) {
        return err_errno(err, errno, "mode of %s", addr_text(addr, text));
    }
    if (listen(fd, options->backlog > 0 ? options->backlog : SOMAXCONN) != 0) {
        return err_errno(err, errno, "listen on %s", addr_text(addr, text));
    }
    return true;
}

int listen_open(const struct addr *addr, const struct listen_options *options, struct err *err)
{
    char text[ADDR_TEXT];
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_errno(err, errno, "listen on %s", addr_text(addr, text));
        return -1;
    }
    if (!bind_and_listen(fd, addr, options, err)) {
        close(fd);
        return -1;
    }
    return fd;
}

struct acceptor {
    struct loop *loop;
    int fd;
    const struct acceptor_events *events;
    void *ctx;
    struct event event;
    bool armed, paused, closed;
    struct timer rest;
};

static void arm(struct acceptor *a)
{
    bool wanted = !a->paused && !a->closed && !timer_is_set(&a->rest);
    if (wanted && !a->armed) {
        event_add(&a->event, NULL);
    } else if (!wanted && a->armed) {
        event_del(&a->event);
    }
    a->armed = wanted;
}

static void on_rested(struct timer *timer)
{
    arm(container_of(timer, struct acceptor, rest));
}

/* The errors accept(2) passes on from the new connection: it is gone, the next one may be fine. */
static bool is_of_the_connection(int os_errno)
{
    switch (os_errno) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static void rest_after(struct acceptor *a, int os_errno)
{
    struct err why;
    err_errno(&why, os_errno, "accept");
    timer_set_in(&a->rest, PAUSE_MS);
    arm(a);
    a->events->on_error(a->ctx, &why);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct acceptor *a = arg;
    for (unsigned i = 0; i < ACCEPTS_A_TURN && a->armed; i++) {
        struct addr peer;
        peer.len = sizeof peer.un;
        int got = accept4(fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got < 0 && is_of_the_connection(errno)) {
            continue;
        }
        if (got < 0) {
            rest_after(a, errno);
            return;
        }
        int on = 1;
        if (peer.sa.sa_family != AF_UNIX) {
            setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        }
        a->events->on_accept(a->ctx, got, &peer);
    }
}

struct acceptor *acceptor_create(struct loop *loop, int listen_fd, const struct acceptor_events *events, void *ctx)
{
    struct acceptor *a = mem_alloc(sizeof *a);
    *a = (struct acceptor){.loop = loop, .fd = listen_fd, .events = events, .ctx = ctx};
    timer_init(&a->rest, loop, on_rested);
    event_assign(&a->event, loop_base(loop), listen_fd, EV_READ | EV_PERSIST, on_acceptable, a);
    arm(a);
    return a;
}

static void acceptor_free(void *obj)
{
    mem_free(obj);
}

void acceptor_destroy(struct acceptor **pointer)
{
    struct acceptor *a = *pointer;
    *pointer = NULL;
    if (a != NULL) {
        a->closed = true;
        timer_cancel(&a->rest);
        arm(a);
        loop_free_later(a->loop, acceptor_free, a); /* it may be its own on_accept that ends it */
    }
}

void acceptor_pause(struct acceptor *a, bool paused)
{
    a->paused = paused;
    arm(a);
}

/* Netfilter keeps what a connection was addressed to before REDIRECT or DNAT; without a rule it answers ENOENT, or with
 * the very address the socket has. */
bool listen_original_dst(int fd, struct addr *out)
{
    struct addr local;
    *out = (struct addr){.len = 0};
    local.len = sizeof local.un;
    if (getsockname(fd, &local.sa, &local.len) != 0) {
        return false;
    }
    bool v4 = local.sa.sa_family == AF_INET;
    if (local.sa.sa_family == AF_INET6) {
        v4 = IN6_IS_ADDR_V4MAPPED(&local.in6.sin6_addr); /* a dual-stack listener's IPv4 client */
    } else if (!v4) {
        return false;
    }
    socklen_t n = v4 ? sizeof out->in4 : sizeof out->in6;
    if (getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? SO_ORIGINAL_DST : IP6T_SO_ORIGINAL_DST, &out->sa, &n) !=
        0) {
        *out = (struct addr){.len = 0};
        return false;
    }
    out->len = n;
    if (addr_eq(out, &local)) {
        *out = (struct addr){.len = 0};
        return false;
    }
    return true;
}
