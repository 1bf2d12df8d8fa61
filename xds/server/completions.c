#include "xds/server/completions.h"

#include <errno.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

struct completions {
    grpc_completion_queue *queue;
    pthread_t thread;
    int fd;
    pthread_mutex_t lock; /* guards done */
    struct list done;
};

static void *wait_for_completions(void *ctx)
{
    struct completions *c = ctx;
    for (;;) {
        grpc_event e = grpc_completion_queue_next(c->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        struct completion *done = e.tag;
        done->ok = e.success != 0;
        pthread_mutex_lock(&c->lock);
        list_push(&c->done, &done->node);
        pthread_mutex_unlock(&c->lock);
        uint64_t one = 1;
        ssize_t n = write(c->fd, &one, sizeof one);
        (void)n; /* a full counter wakes as well */
    }
}

/* Signals are the loop's: no thread made here, nor by gRPC below it, takes one. */
static int start_thread(struct completions *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&c->thread, NULL, wait_for_completions, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

struct completions *completions_create(struct err *err)
{
    struct completions *c = mem_alloc(sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    list_init(&c->done);
    c->queue = grpc_completion_queue_create_for_next(NULL);
    c->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int code = c->fd < 0 ? errno : start_thread(c);
    if (code != 0) {
        err_errno(err, code, "gRPC completion thread");
        grpc_completion_queue_shutdown(c->queue);
        grpc_completion_queue_destroy(c->queue);
        mem_free(c);
        return NULL;
    }
    return c;
}

void completions_destroy(struct completions **completions)
{
    struct completions *c = *completions;
    if (c == NULL) {
        return;
    }
    grpc_completion_queue_shutdown(c->queue);
    pthread_join(c->thread, NULL);
    completions_run(c);
    grpc_completion_queue_destroy(c->queue);
    close(c->fd);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
    *completions = NULL;
}

grpc_completion_queue *completions_queue(struct completions *completions)
{
    return completions->queue;
}

int completions_fd(const struct completions *completions)
{
    return completions->fd;
}

void completions_run(struct completions *c)
{
    uint64_t count;
    ssize_t n = read(c->fd, &count, sizeof count);
    (void)n;
    for (;;) {
        pthread_mutex_lock(&c->lock);
        struct list *node = list_pop(&c->done);
        pthread_mutex_unlock(&c->lock);
        if (node == NULL) {
            return;
        }
        struct completion *done = container_of(node, struct completion, node);
        done->fn(done->owner, done->ok);
    }
}
