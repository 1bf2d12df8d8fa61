#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "proxy/net/handover_packet.h"

static const char magic[4] = {'E', 'G', 'R', 'T'};
enum { VERSION = 1 };

void handover_bundle_init(struct handover_bundle *b)
{
    *b = (struct handover_bundle){.fds = NULL};
    strbuf_init(&b->text);
}

void handover_bundle_fini(struct handover_bundle *b)
{
    strbuf_fini(&b->text);
    mem_free(b->fds);
    handover_bundle_init(b);
}

void handover_bundle_add(struct handover_bundle *b, struct slice name, int fd)
{
    if (b->n == b->cap) {
        b->cap = b->cap == 0 ? 8 : b->cap * 2;
        b->fds = mem_resize(b->fds, b->cap * sizeof *b->fds);
    }
    struct handover_fd *item = &b->fds[b->n++];
    snprintf(item->name, sizeof item->name, "%.*s", SLICE_ARG(name));
    item->fd = fd;
}

int handover_bundle_take(struct handover_bundle *b, struct slice name)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->fds[i].fd >= 0 && slice_eq(slice_of(b->fds[i].name), name)) {
            int fd = b->fds[i].fd;
            b->fds[i].fd = -1;
            return fd;
        }
    }
    return -1;
}

void handover_bundle_close(struct handover_bundle *b)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->fds[i].fd >= 0) {
            close(b->fds[i].fd);
        }
    }
    handover_bundle_fini(b);
}

void packet_close_fds(const struct packet *p)
{
    for (size_t i = 0; i < p->n_fds; i++) {
        close(p->fds[i]);
    }
}

union rights {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(PACKET_FDS * sizeof(int))];
};

static bool packet_send(int fd, const struct packet *p)
{
    union rights rights;
    memset(&rights, 0, sizeof rights);
    struct iovec iov = {(char *)p->p, p->n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (p->n_fds > 0) {
        msg.msg_control = &rights;
        msg.msg_controllen = CMSG_SPACE(p->n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(p->n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), p->fds, p->n_fds * sizeof(int));
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)p->n;
}

int packet_receive(int fd, struct packet *p)
{
    union rights rights;
    struct iovec iov = {p->p, sizeof p->p};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n <= 0) {
        return n == 0 ? 0 : -1;
    }
    p->n = (size_t)n;
    p->n_fds = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            p->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(p->fds, CMSG_DATA(c), p->n_fds * sizeof(int));
        }
    }
    bool good = (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && p->n >= sizeof p->head &&
                memcmp(p->head.magic, magic, sizeof magic) == 0 && p->head.version == VERSION &&
                p->head.names == p->n_fds;
    if (!good) {
        packet_close_fds(p);
        errno = EPROTO;
        return -1;
    }
    return 1;
}

static void packet_start(struct packet *p)
{
    p->head = (struct packet_head){.version = VERSION};
    memcpy(p->head.magic, magic, sizeof magic);
    p->n = sizeof p->head;
    p->n_fds = 0;
}

static void packet_add(struct packet *p, const void *bytes, size_t n)
{
    memcpy(p->p + p->n, bytes, n);
    p->n += n;
}

/* As many packets as it takes; PACKET_MAX has room for PACKET_FDS names and the text. */
_Static_assert(sizeof(struct packet_head) + PACKET_FDS * HANDOVER_NAME + HANDOVER_TEXT <= PACKET_MAX,
               "packet too small");

bool bundle_send(int fd, const struct handover_bundle *b)
{
    struct packet *p = mem_alloc(sizeof *p);
    size_t at = 0;
    bool sent = b->text.n <= HANDOVER_TEXT && b->n <= HANDOVER_FDS;
    errno = sent ? 0 : EMSGSIZE;
    for (bool last = false; sent && !last;) {
        packet_start(p);
        for (; at < b->n && p->n_fds < PACKET_FDS; at++) {
            packet_add(p, b->fds[at].name, strlen(b->fds[at].name) + 1);
            p->fds[p->n_fds++] = b->fds[at].fd;
        }
        last = at == b->n;
        p->head.last = last;
        p->head.names = (uint16_t)p->n_fds;
        if (last && b->text.n > 0) {
            packet_add(p, b->text.p, b->text.n);
        }
        sent = packet_send(fd, p);
    }
    mem_free(p);
    return sent;
}

bool bundle_add_packet(struct handover_bundle *b, const struct packet *p)
{
    size_t at = sizeof p->head;
    size_t taken = 0;
    for (; taken < p->n_fds; taken++) {
        const char *end = memchr(p->p + at, '\0', p->n - at);
        size_t n = end == NULL ? HANDOVER_NAME : (size_t)(end - (p->p + at));
        if (n >= HANDOVER_NAME || b->n >= HANDOVER_FDS) {
            break;
        }
        handover_bundle_add(b, slice_make(p->p + at, n), p->fds[taken]);
        at += n + 1;
    }
    for (size_t i = taken; i < p->n_fds; i++) {
        close(p->fds[i]);
    }
    if (taken < p->n_fds || b->text.n + p->n - at > HANDOVER_TEXT) {
        errno = EPROTO;
        return false;
    }
    strbuf_add(&b->text, slice_make(p->p + at, p->n - at));
    return true;
}

bool handover_peer_is_us(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && (who.uid == geteuid() || who.uid == 0);
}
