/* postbox: calls that other threads ask a loop's thread to make. A queue under a mutex, an eventfd that wakes. */
#pragma once
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct post;

struct post_queue {
    struct post *items;
    size_t n, cap;
};

struct postbox {
    pthread_mutex_t lock;
    struct post_queue waiting; /* under lock */
    struct post_queue spare;   /* its memory is used in turn with that of waiting */
    int fd;
    struct event event;
};

bool postbox_init(struct postbox *box, struct event_base *base, struct err *err); /* to be ended also after a failure */
void postbox_fini(struct postbox *box);
void postbox_send(struct postbox *box, void (*fn)(void *arg), void *arg); /* any thread */
