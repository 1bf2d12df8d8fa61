#include "xds/loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"

struct post {
    struct list node;
    void (*fn)(void *ctx);
    void *ctx;
};

struct loop {
    struct event_base *base;
    struct event *wake;
    int wake_fd;
    pthread_mutex_t lock; /* guards posts and stopping */
    struct list posts;
    bool stopping;
};

struct loop_timer {
    struct event *event;
    void (*fn)(void *ctx);
    void *ctx;
};

struct loop_fd {
    struct event *event;
    void (*fn)(void *ctx);
    void *ctx;
};

struct loop_signal {
    struct event *event;
    void (*fn)(void *ctx);
    void *ctx;
};

static void wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
}

static void run_posts(struct loop *loop)
{
    for (;;) {
        pthread_mutex_lock(&loop->lock);
        struct list *node = list_pop(&loop->posts);
        bool stopping = loop->stopping;
        pthread_mutex_unlock(&loop->lock);
        if (node == NULL) {
            if (stopping) {
                event_base_loopbreak(loop->base);
            }
            return;
        }
        struct post *p = container_of(node, struct post, node);
        p->fn(p->ctx);
        mem_free(p);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
    run_posts(ctx);
}

struct loop *loop_create(struct err *err)
{
    struct loop *loop = mem_alloc(sizeof *loop);
    pthread_mutex_init(&loop->lock, NULL);
    list_init(&loop->posts);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->base = event_base_new();
    if (loop->wake_fd < 0 || loop->base == NULL) {
        err_errno(err, errno, "event loop");
        loop_destroy(&loop);
        return NULL;
    }
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    event_add(loop->wake, NULL);
    return loop;
}

void loop_destroy(struct loop **loop)
{
    struct loop *l = *loop;
    if (l == NULL) {
        return;
    }
    for (struct list *node; (node = list_pop(&l->posts)) != NULL;) {
        mem_free(container_of(node, struct post, node));
    }
    if (l->wake != NULL) {
        event_free(l->wake);
    }
    if (l->base != NULL) {
        event_base_free(l->base);
    }
    if (l->wake_fd >= 0) {
        close(l->wake_fd);
    }
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
    *loop = NULL;
}

void loop_run(struct loop *loop)
{
    event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    pthread_mutex_lock(&loop->lock);
    loop->stopping = false;
    pthread_mutex_unlock(&loop->lock);
}

void loop_stop(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->stopping = true;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

void loop_post(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
    struct post *p = mem_alloc(sizeof *p);
    p->fn = fn;
    p->ctx = ctx;
    pthread_mutex_lock(&loop->lock);
    list_push(&loop->posts, &p->node);
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

struct event_base *loop_event_base(struct loop *loop)
{
    return loop->base;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct loop_timer *t = ctx;
    t->fn(t->ctx);
}

struct loop_timer *loop_timer_create(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
    struct loop_timer *t = mem_alloc(sizeof *t);
    t->fn = fn;
    t->ctx = ctx;
    t->event = evtimer_new(loop->base, on_timer, t);
    return t;
}

void loop_timer_destroy(struct loop_timer **timer)
{
    if (*timer == NULL) {
        return;
    }
    event_free((*timer)->event);
    mem_free(*timer);
    *timer = NULL;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    struct timeval tv = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    evtimer_add(timer->event, &tv);
}

void loop_timer_stop(struct loop_timer *timer)
{
    evtimer_del(timer->event);
}

bool loop_timer_is_running(const struct loop_timer *timer)
{
    return evtimer_pending(timer->event, NULL) != 0;
}

static void on_fd(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct loop_fd *w = ctx;
    w->fn(w->ctx);
}

struct loop_fd *loop_fd_create(struct loop *loop, int fd, void (*fn)(void *ctx), void *ctx)
{
    struct loop_fd *w = mem_alloc(sizeof *w);
    w->fn = fn;
    w->ctx = ctx;
    w->event = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_fd, w);
    event_add(w->event, NULL);
    return w;
}

void loop_fd_destroy(struct loop_fd **watch)
{
    if (*watch == NULL) {
        return;
    }
    event_free((*watch)->event);
    mem_free(*watch);
    *watch = NULL;
}

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
    (void)number;
    (void)what;
    struct loop_signal *s = ctx;
    s->fn(s->ctx);
}

struct loop_signal *loop_signal_create(struct loop *loop, int number, void (*fn)(void *ctx), void *ctx)
{
    struct loop_signal *s = mem_alloc(sizeof *s);
    s->fn = fn;
    s->ctx = ctx;
    s->event = evsignal_new(loop->base, number, on_signal, s);
    event_add(s->event, NULL);
    return s;
}

void loop_signal_destroy(struct loop_signal **signal)
{
    if (*signal == NULL) {
        return;
    }
    event_free((*signal)->event);
    mem_free(*signal);
    *signal = NULL;
}
