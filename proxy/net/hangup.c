#include "proxy/net/hangup.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/macros.h"

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    (void)arg;
    struct epoll_event events[64];
    int n = epoll_wait(fd, events, ARRAY_LEN(events), 0);
    for (int i = 0; i < n; i++) {
        /* A watch removed by an earlier one of this batch is still memory: frees wait for the end of the turn. */
        struct hangup_watch *watch = events[i].data.ptr;
        if (watch->fd >= 0) {
            watch->fn(watch);
        }
    }
}

void hangup_set_add(struct hangup_set *set, struct hangup_watch *watch, int fd)
{
    if (watch->fd >= 0) {
        return;
    }
    struct epoll_event event = {.events = EPOLLET, .data.ptr = watch}; /* EPOLLERR and EPOLLHUP are always told */
    if (epoll_ctl(set->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) {
        watch->fd = fd;
    }
}

void hangup_set_remove(struct hangup_set *set, struct hangup_watch *watch)
{
    if (watch->fd >= 0) {
        epoll_ctl(set->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->fd = -1;
    }
}

bool hangup_set_init(struct hangup_set *set, struct event_base *base, struct err *err)
{
    set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (set->epoll_fd < 0) {
        return err_errno(err, errno, "event loop: epoll");
    }
    event_assign(&set->event, base, set->epoll_fd, EV_READ | EV_PERSIST, on_hangup, set);
    return event_add(&set->event, NULL) == 0 || err_set(err, ERR_IO, "event loop: epoll cannot be watched");
}

void hangup_set_fini(struct hangup_set *set)
{
    if (set->epoll_fd >= 0) {
        event_del(&set->event);
        close(set->epoll_fd);
    }
}
