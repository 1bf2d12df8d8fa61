#include "proxy/net/socket.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    IOV_MAX_A_SEND = 64,
    READ_MIN = 16 << 10,
    QUEUE_SLACK = 4 << 10, /* memory a queue may hold beyond four times its bytes */
};

static void on_socket_read(evutil_socket_t fd, short what, void *arg);
static void on_socket_write(evutil_socket_t fd, short what, void *arg);

static void socket_free(void *obj)
{
    struct socket_transport *s = obj;
    transport_info_unref(&s->t.info);
    mem_free(s->write_event);
    mem_free(s);
}

struct socket_way *socket_way(struct socket_transport *s, void (*on_timer)(struct timer *timer))
{
    assert(s->way == NULL);
    s->way = mem_alloc(sizeof *s->way);
    s->way->socket = s;
    timer_init(&s->way->timer, s->t.loop, on_timer);
    list_init(&s->way->closer.link);
    return s->way;
}

void socket_way_end(struct socket_transport *s)
{
    if (s->way != NULL) {
        timer_cancel(&s->way->timer);
        list_remove(&s->way->closer.link);
        mem_free(s->way);
        s->way = NULL;
    }
}

void socket_release(struct socket_transport *s, bool reset)
{
    if (s->fd >= 0) {
        socket_stop_reading(s);
        socket_arm_write(s, false);
        hangup_set_remove(loop_hangups(s->t.loop), &s->hangup);
        if (reset) {
            struct linger now = {.l_onoff = 1, .l_linger = 0};
            setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
        close(s->fd);
        s->fd = -1;
    }
    s->state = SOCKET_DEAD;
    socket_way_end(s);
    loop_task_cancel(&s->deliver);
    loop_task_cancel(&s->flush);
    buf_fini(&s->out);
    loop_free_later(s->t.loop, socket_free, s);
}

static void die(struct socket_transport *s, const struct err *why)
{
    socket_release(s, false);
    transport_end(&s->t, why);
}

static void die_errno(struct socket_transport *s, int os_errno)
{
    struct err why;
    char text[ADDR_TEXT];
    err_errno(&why, os_errno, "%s", addr_text(s->t.info->remote, text));
    if (os_errno == ECONNRESET || os_errno == EPIPE) {
        why.kind = ERR_RESET;
    }
    why.retry = s->t.bytes_out == 0 ? ERR_RETRY_ALWAYS : ERR_RETRY_IF_IDEMPOTENT;
    die(s, &why);
}

void socket_connect_failed(struct socket_transport *s, int os_errno)
{
    if (s->t.events == NULL) {
        s->fatal_errno = os_errno;
        socket_arm_write(s, false);
        return;
    }
    struct err why;
    char text[ADDR_TEXT];
    err_errno(&why, os_errno, "connect to %s", addr_text(s->t.info->remote, text));
    why.retry = ERR_RETRY_ALWAYS;
    die(s, &why);
}

static bool is_over(const struct socket_transport *s)
{
    return s->state == SOCKET_OPEN && s->t.in_eof && s->t.in.len == 0 && s->finished;
}

static bool owes_writable(const struct socket_transport *s)
{
    return s->was_full && s->out.len < s->t.out_high / 2;
}

static void socket_deliver(struct loop_task *task)
{
    struct socket_transport *s = container_of(task, struct socket_transport, deliver);
    if (s->t.events == NULL) {
        return; /* transport_own comes back to it */
    }
    if (s->fatal_errno != 0 && s->state == SOCKET_CONNECTING) {
        socket_connect_failed(s, s->fatal_errno);
        return;
    }
    if (s->fatal_errno != 0) {
        die_errno(s, s->fatal_errno);
        return;
    }
    if (owes_writable(s)) {
        s->was_full = false;
        loop_deliver(s->t.loop, task); /* the owner may close us: that cancels it */
        s->t.events->on_writable(s->t.ctx);
        return;
    }
    if (is_over(s)) {
        struct err none;
        err_clear(&none);
        die(s, &none);
    }
}

static void fail_later(struct socket_transport *s, int os_errno)
{
    s->fatal_errno = os_errno;
    loop_deliver(s->t.loop, &s->deliver);
}

static void on_hangup(struct hangup_watch *watch)
{
    struct socket_transport *s = container_of(watch, struct socket_transport, hangup);
    int error = 0;
    socklen_t n = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error != 0) {
        fail_later(s, error); /* a mere FIN is found when reading goes on */
    }
}

void socket_start_reading(struct socket_transport *s)
{
    if (!s->reading && !s->t.in_eof) {
        s->reading = true;
        hangup_set_remove(loop_hangups(s->t.loop), &s->hangup);
        event_add(&s->read_event, NULL);
    }
}

void socket_stop_reading(struct socket_transport *s)
{
    if (s->reading) {
        s->reading = false;
        event_del(&s->read_event);
    }
}

void socket_arm_write(struct socket_transport *s, bool on)
{
    if (on && s->write_event == NULL) {
        s->write_event = mem_alloc(sizeof *s->write_event);
        event_assign(s->write_event, loop_base(s->t.loop), s->fd, EV_WRITE | EV_PERSIST, on_socket_write, s);
    }
    if (on && !s->write_armed) {
        event_add(s->write_event, NULL);
    } else if (!on && s->write_armed) {
        event_del(s->write_event);
    }
    s->write_armed = on;
}

/* A slow receiver's queue may hold small pieces of large chunks; then a copy costs less than the memory. */
static void slim_queue(struct socket_transport *s)
{
    if (buf_pinned(&s->out) > QUEUE_SLACK + 4 * s->out.len) {
        buf_compact(&s->out);
    }
}

bool socket_send(struct socket_transport *s)
{
    while (s->out.len > 0) {
        struct iovec iov[IOV_MAX_A_SEND];
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)buf_iovec(&s->out, iov, IOV_MAX_A_SEND)};
        size_t offered = 0;
        for (size_t i = 0; i < msg.msg_iovlen; i++) {
            offered += iov[i].iov_len;
        }
        /* One piece, the usual case, costs the kernel less without the vector. */
        ssize_t n = msg.msg_iovlen == 1 ? send(s->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                                        : sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN) {
            s->write_errno = errno;
            buf_fini(&s->out);
            socket_arm_write(s, false);
            return false;
        }
        size_t sent = n > 0 ? (size_t)n : 0;
        s->t.bytes_out += sent;
        buf_drain(&s->out, sent);
        if (sent < offered) {
            slim_queue(s);
            socket_arm_write(s, true);
            return true;
        }
    }
    socket_arm_write(s, false);
    if (s->finishing && !s->finished) {
        s->finished = true;
        if (s->state != SOCKET_LINGERING || s->reading) { /* else close follows and says the same */
            shutdown(s->fd, SHUT_WR);
        }
    }
    return true;
}

static void push_out(struct socket_transport *s)
{
    bool sent = socket_send(s);
    if (s->state == SOCKET_LINGERING) {
        socket_linger_sent(s);
        return;
    }
    if (!sent && !s->reading) {
        fail_later(s, s->write_errno); /* else reading comes upon it, after what has arrived before */
    } else if (owes_writable(s) || is_over(s)) {
        loop_deliver(s->t.loop, &s->deliver);
    }
}

static void socket_flush(struct loop_task *task)
{
    struct socket_transport *s = container_of(task, struct socket_transport, flush);
    if (s->state != SOCKET_CONNECTING && !s->write_armed && s->write_errno == 0) {
        push_out(s);
    }
}

static void on_socket_write(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct socket_transport *s = arg;
    if (s->state == SOCKET_CONNECTING) {
        socket_on_connect_event(s);
    } else {
        push_out(s);
    }
}

static void end_of_input(struct socket_transport *s)
{
    s->t.in_eof = true;
    socket_stop_reading(s);
    s->t.events->on_readable(s->t.ctx);
    if (s->state != SOCKET_OPEN) {
        return;
    }
    if (s->write_errno != 0) {
        fail_later(s, s->write_errno);
    } else if (is_over(s)) {
        loop_deliver(s->t.loop, &s->deliver);
    } else {
        hangup_set_add(loop_hangups(s->t.loop), &s->hangup, s->fd);
    }
}

/* How much to ask for: a whole chunk when nothing waits, else what the limit leaves. */
static size_t read_wish(const struct socket_transport *s)
{
    size_t wish = s->t.in.len == 0 ? 2 * s->t.in_limit : s->t.in_limit - s->t.in.len;
    return wish > READ_MIN ? wish : READ_MIN;
}

static void receive(struct socket_transport *s)
{
    size_t off, room;
    struct chunk *c = loop_read_space(s->t.loop, &off, &room);
    size_t wish = read_wish(s);
    char *at = (char *)chunk_data(c) + off;
    ssize_t n = recv(s->fd, at, wish < room ? wish : room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        die_errno(s, s->write_errno != 0 ? s->write_errno : errno);
        return;
    }
    if (n == 0) {
        end_of_input(s);
        return;
    }
    s->t.bytes_in += (size_t)n;
    if (s->t.in.len > 0) {
        buf_append(&s->t.in, at, (size_t)n); /* the owner is slow: copied once, here */
        s->t.events->on_readable(s->t.ctx);
        return;
    }
    buf_append_chunk(&s->t.in, c, off, (size_t)n);
    loop_read_done(s->t.loop, off + (size_t)n);
    s->t.events->on_readable(s->t.ctx);
    if (s->state == SOCKET_OPEN && s->t.in.len > 0) {
        buf_compact(&s->t.in);
    }
}

static void on_socket_read(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct socket_transport *s = arg;
    if (s->state == SOCKET_LINGERING) {
        socket_linger_read(s);
    } else if (s->t.events == NULL || s->t.in.len >= s->t.in_limit) {
        socket_stop_reading(s);
        if (s->write_errno != 0) {
            fail_later(s, s->write_errno);
        } else {
            hangup_set_add(loop_hangups(s->t.loop), &s->hangup, s->fd);
        }
    } else {
        receive(s);
    }
}

static void socket_taken(struct transport *t)
{
    struct socket_transport *s = container_of(t, struct socket_transport, t);
    if (s->state == SOCKET_OPEN && t->in.len < t->in_limit && t->events != NULL) {
        socket_start_reading(s);
    }
    if (s->fatal_errno != 0 || is_over(s) || owes_writable(s)) {
        loop_deliver(t->loop, &s->deliver);
    }
}

static void socket_write(struct transport *t, struct buf *bytes)
{
    struct socket_transport *s = container_of(t, struct socket_transport, t);
    if (s->finishing || s->write_errno != 0) {
        buf_fini(bytes);
        return;
    }
    buf_move_all(&s->out, bytes);
    s->was_full = s->was_full || s->out.len >= t->out_high;
    loop_flush(t->loop, &s->flush, 0);
}

static size_t socket_queued(const struct transport *t)
{
    return container_of(t, struct socket_transport, t)->out.len;
}

static void socket_finish(struct transport *t)
{
    struct socket_transport *s = container_of(t, struct socket_transport, t);
    if (!s->finishing) {
        s->finishing = true;
        loop_flush(t->loop, &s->flush, 0);
    }
}

static void socket_close(struct transport *t, enum transport_close_mode mode)
{
    struct socket_transport *s = container_of(t, struct socket_transport, t);
    bool dirty = s->out.len > 0 || t->in.len > 0;
    transport_fini(t);
    if (mode == TRANSPORT_FLUSH && s->state == SOCKET_OPEN && s->fatal_errno == 0 && s->write_errno == 0) {
        socket_linger(s);
    } else {
        socket_release(s, dirty && mode == TRANSPORT_ABORT);
    }
}

static int socket_raw_fd(const struct transport *t)
{
    return container_of(t, struct socket_transport, t)->fd;
}

static const struct transport_ops socket_ops = {
    .taken = socket_taken,
    .write = socket_write,
    .queued = socket_queued,
    .finish = socket_finish,
    .close = socket_close,
    .raw_fd = socket_raw_fd,
};

struct socket_transport *socket_new(struct loop *loop, struct transport_info *info)
{
    struct socket_transport *s = mem_alloc(sizeof *s);
    transport_init(&s->t, &socket_ops, loop, 0);
    s->t.info = info;
    s->fd = -1;
    s->hangup = (struct hangup_watch){.fn = on_hangup, .fd = -1};
    buf_init(&s->out);
    loop_task_init(&s->deliver, socket_deliver);
    loop_task_init(&s->flush, socket_flush);
    return s;
}

void socket_watch(struct socket_transport *s, int fd)
{
    s->fd = fd;
    event_assign(&s->read_event, loop_base(s->t.loop), fd, EV_READ | EV_PERSIST, on_socket_read, s);
}

void socket_connected(struct socket_transport *s)
{
    assert(s->state == SOCKET_CONNECTING);
    s->state = SOCKET_OPEN;
    s->t.open = true;
    socket_way_end(s);
    socket_start_reading(s);
}

struct transport *socket_transport_create(struct loop *loop, int fd, const struct addr *remote)
{
    struct addr local;
    local.len = sizeof local.un;
    if (getsockname(fd, &local.sa, &local.len) != 0) {
        local.len = 0;
    }
    struct socket_transport *s = socket_new(loop, transport_info_create(&local, remote));
    socket_watch(s, fd);
    socket_connected(s);
    return &s->t;
}
