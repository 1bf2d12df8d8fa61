#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/mem.h"
#include "proxy/net/addr.h"
#include "proxy/net/handover_packet.h"

enum { PEERS_MAX = 4, SEND_BUFFER = 4 << 20 };

struct peer {
    struct list link;
    struct handover_server *server;
    int fd;
    struct event event;
    bool asked, closed;
};

struct handover_server {
    struct loop *loop;
    const struct handover_events *events;
    void *ctx;
    struct addr addr;
    int fd;
    struct event event;
    struct list peers;
    unsigned n_peers;
};

static void peer_free(void *obj)
{
    mem_free(obj);
}

static void peer_close(struct peer *p)
{
    p->closed = true;
    event_del(&p->event);
    close(p->fd);
    list_remove(&p->link);
    p->server->n_peers--;
    loop_free_later(p->server->loop, peer_free, p);
}

static void peer_gone(struct peer *p)
{
    struct handover_server *s = p->server;
    bool asked = p->asked;
    peer_close(p);
    if (asked) {
        s->events->on_gone(s->ctx);
    }
}

static void answer_peer(struct peer *p, struct slice text)
{
    struct handover_server *s = p->server;
    struct handover_bundle answer;
    handover_bundle_init(&answer);
    p->asked = true;
    bool wanted = s->events->on_ask(s->ctx, text, &answer);
    if (!p->closed && (!wanted || !bundle_send(p->fd, &answer))) {
        peer_gone(p);
    }
    handover_bundle_fini(&answer);
}

static void on_peer(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct peer *p = arg;
    struct packet *packet = mem_alloc(sizeof *packet);
    int got = packet_receive(fd, packet);
    if (got == 1) {
        bool plain = packet->n_fds == 0 && packet->head.last && packet->n - sizeof packet->head <= HANDOVER_TEXT;
        packet_close_fds(packet); /* a question brings none */
        if (plain) {
            answer_peer(p, slice_make(packet->p + sizeof packet->head, packet->n - sizeof packet->head));
        } else {
            peer_gone(p);
        }
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        peer_gone(p);
    }
    mem_free(packet);
}

static void on_server(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct handover_server *s = arg;
    int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (got < 0) {
        return;
    }
    if (!handover_peer_is_us(got) || s->n_peers >= PEERS_MAX) {
        close(got);
        return;
    }
    int buffer = SEND_BUFFER; /* an answer leaves at once or not at all; the kernel caps it at wmem_max */
    setsockopt(got, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    struct peer *p = mem_alloc(sizeof *p);
    p->server = s;
    p->fd = got;
    list_push(&s->peers, &p->link);
    s->n_peers++;
    event_assign(&p->event, loop_base(s->loop), got, EV_READ | EV_PERSIST, on_peer, p);
    event_add(&p->event, NULL);
}

static bool is_file(const struct addr *a)
{
    return a->un.sun_path[0] != '\0';
}

/* A new process takes the name over while the old one still serves: the file is replaced, the old socket lives on. */
static int open_server(const struct addr *addr, const char *path, struct err *err)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_errno(err, errno, "hand-over socket");
        return -1;
    }
    if (is_file(addr)) {
        fchmod(fd, 0600); /* what bind creates takes its mode from the socket: no moment is open to others */
        unlink(path);
    }
    if (bind(fd, &addr->sa, addr->len) != 0 || listen(fd, PEERS_MAX) != 0) {
        err_errno(err, errno, "hand-over socket %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

struct handover_server *handover_serve(struct loop *loop, const char *path, const struct handover_events *events,
                                       void *ctx, struct err *err)
{
    struct addr addr;
    if (!addr_pipe(&addr, slice_of(path), err)) {
        return NULL;
    }
    int fd = open_server(&addr, path, err);
    if (fd < 0) {
        return NULL;
    }
    struct handover_server *s = mem_alloc(sizeof *s);
    *s = (struct handover_server){.loop = loop, .events = events, .ctx = ctx, .addr = addr, .fd = fd};
    list_init(&s->peers);
    event_assign(&s->event, loop_base(loop), fd, EV_READ | EV_PERSIST, on_server, s);
    event_add(&s->event, NULL);
    return s;
}

void handover_server_destroy(struct handover_server **pointer)
{
    struct handover_server *s = *pointer;
    *pointer = NULL;
    if (s == NULL) {
        return;
    }
    while (!list_is_empty(&s->peers)) {
        peer_close(container_of(s->peers.next, struct peer, link));
    }
    event_del(&s->event);
    close(s->fd); /* the file stays: by now it may be the successor's */
    loop_free_later(s->loop, mem_free, s);
}
