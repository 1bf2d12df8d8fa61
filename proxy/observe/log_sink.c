#include "proxy/observe/log_sink.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/list.h"
#include "base/macros.h"
#include "base/mem.h"
#include "proxy/observe/log_ring.h"

enum { BATCH = 256, FULL_PIPE_WAIT_MS = 1000 };

struct log_file {
    struct list link; /* sink->files; under its mutex */
    unsigned users;   /* under the mutex; 0: closes once the reader has passed `last` */
    uint64_t last;
    char *path;
    int fd; /* the writer's once the file is in the list */
    bool own_fd;
};

struct log_sink {
    struct log_ring *ring;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t mutex;
    struct list files;
    atomic_bool asleep, stop, reopen;
    _Atomic uint64_t lines, dropped, failed, reopen_failed;
};

static _Atomic(struct log_sink *) process_sink;

static void wake(struct log_sink *s)
{
    uint64_t one = 1;
    ssize_t ignored = write(s->wake_fd, &one, sizeof one); /* fails only when it is readable anyway */
    (void)ignored;
}

/* ---- the writer's thread ---- */

/* A pipe that nobody empties must not hold up the other files for ever. */
static bool wait_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, FULL_PIPE_WAIT_MS) == 1;
}

/* Returns how many of the n pieces were written in full. */
static size_t write_pieces(int fd, struct iovec *iov, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t wrote = writev(fd, iov + done, (int)(n - done));
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0 && (errno != EAGAIN || !wait_writable(fd))) {
            break;
        }
        for (size_t left = wrote < 0 ? 0 : (size_t)wrote; done < n && left > 0;) {
            size_t step = left < iov[done].iov_len ? left : iov[done].iov_len;
            iov[done].iov_base = (char *)iov[done].iov_base + step;
            iov[done].iov_len -= step;
            left -= step;
            done += iov[done].iov_len == 0;
        }
    }
    return done;
}

/* Lines of one file leave together and in order; records taken are marked by owner NULL. */
static void write_batch(struct log_sink *s, struct log_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct log_file *file = records[i].owner;
        struct iovec iov[BATCH];
        size_t count = 0;
        for (size_t k = i; file != NULL && k < n; k++) {
            if (records[k].owner == file) {
                iov[count++] = (struct iovec){(void *)(uintptr_t)records[k].bytes.p, records[k].bytes.n};
                records[k].owner = NULL;
            }
        }
        if (count > 0) {
            atomic_fetch_add_explicit(&s->failed, count - write_pieces(file->fd, iov, count), memory_order_relaxed);
        }
    }
}

static bool drain(struct log_sink *s)
{
    struct log_record records[BATCH];
    size_t n, total = 0;
    while ((n = log_ring_peek(s->ring, records, BATCH)) > 0) {
        write_batch(s, records, n);
        log_ring_drop(s->ring);
        total += n;
    }
    log_ring_drop(s->ring); /* fillers behind the last record */
    return total > 0;
}

static void file_free(struct log_file *file)
{
    list_remove(&file->link);
    if (file->own_fd && file->fd >= 0) {
        close(file->fd);
    }
    mem_free(file->path);
    mem_free(file);
}

static void close_unused(struct log_sink *s)
{
    pthread_mutex_lock(&s->mutex);
    for (struct list *at = s->files.next, *next; at != &s->files; at = next) {
        struct log_file *file = container_of(at, struct log_file, link);
        next = at->next;
        if (file->users == 0 && log_ring_head(s->ring) >= file->last) {
            file_free(file);
        }
    }
    pthread_mutex_unlock(&s->mutex);
}

static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static void reopen_all(struct log_sink *s)
{
    pthread_mutex_lock(&s->mutex);
    for (struct list *at = s->files.next; at != &s->files; at = at->next) {
        struct log_file *file = container_of(at, struct log_file, link);
        int fd = file->own_fd ? open_path(file->path) : -1;
        if (fd >= 0) {
            close(file->fd);
            file->fd = fd;
        } else if (file->own_fd) {
            atomic_fetch_add_explicit(&s->reopen_failed, 1, memory_order_relaxed);
        }
    }
    pthread_mutex_unlock(&s->mutex);
}

/*
 * After lines came it looks again a moment later without being called, so that under load nobody pays for a wake-up;
 * only when a look found nothing does it say that it sleeps. The ring's tail and `asleep` are in one total order:
 * either the last look sees the line or the one who added it sees `asleep`.
 */
static void rest(struct log_sink *s, bool was_busy)
{
    struct pollfd p = {.fd = s->wake_fd, .events = POLLIN};
    if (!was_busy) {
        atomic_store(&s->asleep, true);
        if (log_ring_tail(s->ring) != log_ring_head(s->ring)) {
            atomic_store(&s->asleep, false);
        }
    }
    bool asleep = atomic_load(&s->asleep);
    if (poll(&p, 1, asleep ? -1 : LOG_SINK_DELAY_MS) == 1) {
        uint64_t count;
        ssize_t ignored = read(s->wake_fd, &count, sizeof count);
        (void)ignored;
    }
    atomic_store(&s->asleep, false);
}

static void *run(void *arg)
{
    struct log_sink *s = arg;
    sigset_t all;
    sigfillset(&all); /* SIGPIPE too: a closed pipe is a failed write */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        bool last = atomic_load(&s->stop);
        bool busy = drain(s);
        close_unused(s);
        if (atomic_exchange(&s->reopen, false)) {
            reopen_all(s);
        }
        if (last) {
            return NULL;
        }
        rest(s, busy);
    }
}

/* ---- everybody else ---- */

struct log_sink *log_sink_create(size_t queue_bytes, struct err *err)
{
    assert(atomic_load(&process_sink) == NULL);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        err_errno(err, errno, "access log: eventfd");
        return NULL;
    }
    struct log_sink *s = mem_alloc(sizeof *s);
    s->ring = log_ring_create(queue_bytes);
    s->wake_fd = fd;
    list_init(&s->files);
    pthread_mutex_init(&s->mutex, NULL);
    int failed = pthread_create(&s->thread, NULL, run, s);
    if (failed != 0) {
        err_errno(err, failed, "access log: thread");
        close(fd);
        log_ring_destroy(&s->ring);
        mem_free(s);
        return NULL;
    }
    pthread_setname_np(s->thread, "access-log");
    atomic_store(&process_sink, s);
    return s;
}

void log_sink_destroy(struct log_sink **sink)
{
    struct log_sink *s = *sink;
    *sink = NULL;
    if (s == NULL) {
        return;
    }
    atomic_store(&process_sink, NULL);
    atomic_store(&s->stop, true);
    wake(s);
    pthread_join(s->thread, NULL);
    for (struct list *at = s->files.next, *next; at != &s->files; at = next) {
        struct log_file *file = container_of(at, struct log_file, link);
        next = at->next;
        if (file->own_fd) {
            close(file->fd);
        }
        file->fd = -1;
        list_remove(&file->link);
        if (file->users == 0) {
            file_free(file);
        }
    }
    close(s->wake_fd);
    log_ring_destroy(&s->ring);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

void log_sink_reopen(struct log_sink *s)
{
    atomic_store(&s->reopen, true);
    wake(s);
}

struct log_sink_counts log_sink_counts(const struct log_sink *s)
{
    return (struct log_sink_counts){
        .lines = atomic_load_explicit(&s->lines, memory_order_relaxed),
        .dropped = atomic_load_explicit(&s->dropped, memory_order_relaxed),
        .failed = atomic_load_explicit(&s->failed, memory_order_relaxed),
        .reopen_failed = atomic_load_explicit(&s->reopen_failed, memory_order_relaxed),
    };
}

static struct log_file *find_file(struct log_sink *s, struct slice path)
{
    for (struct list *at = s->files.next; at != &s->files; at = at->next) {
        struct log_file *file = container_of(at, struct log_file, link);
        if (slice_eq(slice_of(file->path), path)) {
            return file;
        }
    }
    return NULL;
}

static struct log_file *file_create(struct slice path, bool open_it, struct err *err)
{
    bool out = slice_eq(path, SLICE("/dev/stdout")), error = slice_eq(path, SLICE("/dev/stderr"));
    struct log_file *file = mem_alloc(sizeof *file);
    list_init(&file->link);
    file->users = 1;
    file->path = mem_str_slice(path);
    file->own_fd = !out && !error;
    file->fd = out ? STDOUT_FILENO : error ? STDERR_FILENO : open_it ? open_path(file->path) : -1;
    if (open_it && file->fd < 0) {
        err_errno(err, errno, "%s", file->path);
        file->own_fd = false;
        file_free(file);
        return NULL;
    }
    return file;
}

struct log_file *log_file_open(struct slice path, struct err *err)
{
    struct log_sink *s = atomic_load(&process_sink);
    if (slice_is_empty(path)) {
        err_set(err, ERR_INPUT, "path: empty");
        return NULL;
    }
    if (s == NULL) {
        return file_create(path, false, err);
    }
    pthread_mutex_lock(&s->mutex);
    struct log_file *file = find_file(s, path);
    if (file != NULL) {
        file->users++;
    } else if ((file = file_create(path, true, err)) != NULL) {
        list_push(&s->files, &file->link);
    }
    pthread_mutex_unlock(&s->mutex);
    return file;
}

void log_file_close(struct log_file **handle)
{
    struct log_file *file = *handle;
    *handle = NULL;
    struct log_sink *s = atomic_load(&process_sink);
    if (file == NULL) {
        return;
    }
    if (s == NULL || list_is_empty(&file->link)) {
        if (--file->users == 0) {
            file_free(file);
        }
        return;
    }
    pthread_mutex_lock(&s->mutex);
    file->users--;
    file->last = log_ring_tail(s->ring);
    pthread_mutex_unlock(&s->mutex);
    wake(s);
}

void log_file_write(struct log_file *file, struct slice line)
{
    struct log_sink *s = atomic_load_explicit(&process_sink, memory_order_acquire);
    if (s == NULL || line.n == 0) {
        return;
    }
    if (!log_ring_add(s->ring, file, line)) {
        atomic_fetch_add_explicit(&s->dropped, 1, memory_order_relaxed);
        return;
    }
    atomic_fetch_add_explicit(&s->lines, 1, memory_order_relaxed);
    if (atomic_load(&s->asleep) && atomic_exchange(&s->asleep, false)) {
        wake(s);
    }
}
