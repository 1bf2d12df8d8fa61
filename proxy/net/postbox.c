#include "proxy/net/postbox.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

struct post {
    void (*fn)(void *arg);
    void *arg;
};

static void on_posted(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct postbox *box = arg;
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0) {
        return;
    }
    pthread_mutex_lock(&box->lock);
    struct post_queue batch = box->waiting;
    box->waiting = box->spare;
    pthread_mutex_unlock(&box->lock);
    box->spare = (struct post_queue){NULL, 0, 0};
    for (size_t i = 0; i < batch.n; i++) {
        batch.items[i].fn(batch.items[i].arg);
    }
    batch.n = 0;
    box->spare = batch;
}

void postbox_send(struct postbox *box, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&box->lock);
    struct post_queue *q = &box->waiting;
    bool wake = q->n == 0;
    if (q->n == q->cap) {
        q->cap = q->cap == 0 ? 16 : q->cap * 2;
        q->items = mem_resize(q->items, q->cap * sizeof *q->items);
    }
    q->items[q->n++] = (struct post){fn, arg};
    if (wake) {
        /* Under the lock, so that the loop cannot be told of an empty queue, nor miss a full one. */
        uint64_t one = 1;
        ssize_t n = write(box->fd, &one, sizeof one);
        assert(n == (ssize_t)sizeof one);
        (void)n;
    }
    pthread_mutex_unlock(&box->lock);
}

bool postbox_init(struct postbox *box, struct event_base *base, struct err *err)
{
    pthread_mutex_init(&box->lock, NULL);
    box->waiting = box->spare = (struct post_queue){NULL, 0, 0};
    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->fd < 0) {
        return err_errno(err, errno, "event loop: eventfd");
    }
    event_assign(&box->event, base, box->fd, EV_READ | EV_PERSIST, on_posted, box);
    return event_add(&box->event, NULL) == 0 || err_set(err, ERR_IO, "event loop: the eventfd cannot be watched");
}

void postbox_fini(struct postbox *box)
{
    if (box->fd >= 0) {
        event_del(&box->event);
        close(box->fd);
    }
    pthread_mutex_destroy(&box->lock);
    mem_free(box->waiting.items);
    mem_free(box->spare.items);
}
