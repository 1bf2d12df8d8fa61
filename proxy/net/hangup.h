/*
 * hangup: tells that a descriptor nobody reads got an error (a reset). libevent cannot: it gives an error to read and
 * write events only, so an event for EV_CLOSED alone is not called, while epoll reports without end. So each loop keeps
 * a second, edge-triggered epoll set for nothing but errors.
 */
#pragma once
#include <event2/event_struct.h>
#include <stdbool.h>

#include "base/err.h"

struct hangup_watch {
    void (*fn)(struct hangup_watch *watch);
    int fd; /* -1: not set */
};

struct hangup_set {
    int epoll_fd;
    struct event event;
};

bool hangup_set_init(struct hangup_set *set, struct event_base *base, struct err *err); /* ended also after a failure */
void hangup_set_fini(struct hangup_set *set);
void hangup_set_add(struct hangup_set *set, struct hangup_watch *watch, int fd);
void hangup_set_remove(struct hangup_set *set, struct hangup_watch *watch);
