#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/net/addr.h"
#include "proxy/net/handover_packet.h"

struct handover_client {
    int fd;
    uint32_t timeout_ms;
};

struct handover_client *handover_connect(const char *path, uint32_t timeout_ms, struct err *err)
{
    struct addr addr;
    if (!addr_pipe(&addr, slice_of(path), err)) {
        return NULL;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &addr.sa, addr.len) != 0) {
        int os_errno = errno;
        err_errno(err, os_errno, "take over from %s", path);
        if (err != NULL && (os_errno == ENOENT || os_errno == ECONNREFUSED)) {
            err->kind = ERR_NOT_FOUND;
        }
    } else if (!handover_peer_is_us(fd)) {
        err_set(err, ERR_DENIED, "take over from %s: it belongs to another user", path);
    } else {
        struct handover_client *c = mem_alloc(sizeof *c);
        c->fd = fd;
        c->timeout_ms = timeout_ms;
        return c;
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

static bool wait_for_packet(struct handover_client *c, int64_t until_us, struct err *err)
{
    for (;;) {
        int64_t left_ms = (until_us - clock_mono_us() + 999) / 1000;
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        int n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
        if (n > 0) {
            return true;
        }
        if (n == 0) {
            return err_set(err, ERR_TIMEOUT, "the running process did not answer in %u ms", c->timeout_ms);
        }
        if (errno != EINTR) {
            return err_errno(err, errno, "hand-over");
        }
    }
}

static bool ask(struct handover_client *c, const struct handover_bundle *question, struct handover_bundle *answer,
                struct packet *p, struct err *err)
{
    int64_t until_us = clock_mono_us() + (int64_t)c->timeout_ms * 1000;
    if (!bundle_send(c->fd, question)) {
        return err_errno(err, errno, "hand-over question");
    }
    for (bool last = false; !last;) {
        if (!wait_for_packet(c, until_us, err)) {
            return false;
        }
        int got = packet_receive(c->fd, p);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (got == 0) {
            return err_set(err, ERR_RESET, "the running process hung up");
        }
        if (got < 0 || !bundle_add_packet(answer, p)) {
            return err_errno(err, errno, "hand-over answer");
        }
        last = p->head.last != 0;
    }
    return true;
}

bool handover_ask(struct handover_client *c, struct slice text, struct handover_bundle *answer, struct err *err)
{
    struct handover_bundle question;
    handover_bundle_init(&question);
    strbuf_add(&question.text, text);
    handover_bundle_init(answer);
    struct packet *p = mem_alloc(sizeof *p);
    bool answered = ask(c, &question, answer, p, err);
    if (!answered) {
        handover_bundle_close(answer);
    }
    mem_free(p);
    handover_bundle_fini(&question);
    return answered;
}

void handover_client_destroy(struct handover_client **pointer)
{
    struct handover_client *c = *pointer;
    *pointer = NULL;
    if (c != NULL) {
        close(c->fd);
        mem_free(c);
    }
}
