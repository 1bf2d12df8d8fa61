#include "run.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { FRESH_MAX = 4096, EVENTS = 64 };

static void request_destroy(struct request *r)
{
    list_remove(&r->live);
    strbuf_fini(&r->body);
    mem_free(r);
}

void run_answered(struct run *run, struct request *r)
{
    result_answer(run->result, run->options, r->due_us, r->status, strbuf_slice(&r->body));
    request_destroy(r);
}

void run_failed(struct run *run, struct request *r, const char *reason)
{
    result_failure(run->result, reason);
    request_destroy(r);
}

static bool resolve(struct run *run, struct err *err)
{
    const struct options *o = run->options;
    char host[300], port[8];
    snprintf(host, sizeof host, "%s", o->connect == NULL ? o->host : o->connect);
    snprintf(port, sizeof port, "%u", o->port);
    char *colon = strrchr(host, ':');
    if (o->connect != NULL && colon != NULL) {
        *colon = '\0';
        snprintf(port, sizeof port, "%s", colon + 1);
    }
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        return err_set(err, ERR_RESOLVE, "%s:%s: %s", host, port, gai_strerror(code));
    }
    memcpy(&run->address, found->ai_addr, found->ai_addrlen);
    run->address_length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool make_tls(struct run *run, struct err *err)
{
    const struct options *o = run->options;
    if (!o->tls) {
        return true;
    }
    static const unsigned char h2[] = "\x02h2", h1[] = "\x08http/1.1";
    run->tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(run->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_protos(run->tls, o->h2 ? h2 : h1, o->h2 ? sizeof h2 - 1 : sizeof h1 - 1);
    SSL_CTX_set_verify(run->tls, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    bool trusted = o->ca_file == NULL ? SSL_CTX_set_default_verify_paths(run->tls) == 1
                                      : SSL_CTX_load_verify_locations(run->tls, o->ca_file, NULL) == 1;
    return trusted ||
           err_set(err, ERR_INPUT, "--cacert %s: no certificates read", o->ca_file == NULL ? "" : o->ca_file);
}

/* The open connection with the fewest requests that can take one more, or NULL. */
static struct conn *least_loaded(struct run *run)
{
    struct conn *best = NULL;
    for (struct list *l = run->conns.next; l != &run->conns; l = l->next) {
        struct conn *c = container_of(l, struct conn, link);
        if (conn_can_take(c) && (best == NULL || c->in_flight < best->in_flight)) {
            best = c;
        }
    }
    return best;
}

/* A kept connection that the peer closed while it was idle is not to be used. */
static bool is_usable(struct conn *c)
{
    char byte;
    if (c->state != CONN_OPEN || c->in_flight > 0) {
        return true;
    }
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        conn_close(c, "closed");
    } else if (n > 0) {
        conn_on_event(c, EPOLLIN);
    }
    return conn_can_take(c);
}

static struct conn *find_conn(struct run *run)
{
    const struct options *o = run->options;
    struct conn *c = NULL;
    while (!o->fresh && (c = least_loaded(run)) != NULL && !is_usable(c)) {
    }
    size_t max = o->fresh ? FRESH_MAX : o->connections;
    if ((c == NULL || c->in_flight > 0) && run->conn_count < max) {
        c = conn_create(run, (const struct sockaddr *)&run->address, run->address_length);
        list_push(&run->conns, &c->link);
        run->conn_count++;
    }
    return c;
}

static void serve_queue(struct run *run)
{
    while (!list_is_empty(&run->queue)) {
        struct conn *c = find_conn(run);
        if (c == NULL) {
            return;
        }
        conn_assign(c, container_of(list_pop(&run->queue), struct request, link));
    }
}

static void add_request(struct run *run, int64_t due_us)
{
    struct request *r = mem_alloc(sizeof *r);
    r->due_us = due_us;
    strbuf_init(&r->body);
    list_init(&r->link);
    list_init(&r->live);
    list_push(&run->live, &r->live);
    list_push(&run->queue, &r->link);
    run->result->sent++;
}

static void time_out(struct run *run, int64_t now)
{
    while (!list_is_empty(&run->live)) {
        struct request *r = container_of(run->live.next, struct request, live);
        if ((double)(now - r->due_us) < run->options->timeout_s * 1e6) {
            return;
        }
        if (r->conn != NULL) {
            r->conn->protocol->abandon(r->conn, r);
        } else {
            list_remove(&r->link);
            run_failed(run, r, "timeout: no connection came free");
        }
    }
}

static void free_closed(struct run *run)
{
    for (struct list *l; (l = list_pop(&run->closed)) != NULL;) {
        struct conn *c = container_of(l, struct conn, link);
        conn_destroy(&c);
    }
}

static void turn(struct run *run, int64_t wait_us)
{
    struct epoll_event events[EVENTS];
    wait_us = wait_us < 0 ? 0 : wait_us;
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    int n = epoll_pwait2(run->epoll, events, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->state != CONN_CLOSED) {
            conn_on_event(c, events[i].events);
        }
    }
    time_out(run, clock_mono_us());
    serve_queue(run);
    free_closed(run);
}

static void loop(struct run *run, const volatile sig_atomic_t *stop)
{
    const struct options *o = run->options;
    int64_t start = clock_mono_us(), last = o->duration_s > 0 ? start + (int64_t)(o->duration_s * 1e6) : INT64_MAX;
    double gap_us = 1e6 / o->rate;
    for (uint64_t i = 0;;) {
        int64_t now = clock_mono_us(), due = start + (int64_t)((double)i * gap_us);
        bool over = *stop || due >= last;
        if (over && list_is_empty(&run->live)) {
            return;
        }
        if (!over && now >= due) {
            add_request(run, due);
            serve_queue(run);
            i++;
            continue;
        }
        int64_t wait = over ? 50000 : due - now;
        turn(run, wait < 50000 ? wait : 50000);
    }
}

bool run_all(const struct options *options, struct result *result, const volatile sig_atomic_t *stop, struct err *err)
{
    struct run run = {.options = options, .result = result};
    list_init(&run.conns);
    list_init(&run.closed);
    list_init(&run.queue);
    list_init(&run.live);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    bool ok = resolve(&run, err) && make_tls(&run, err);
    if (ok) {
        loop(&run, stop);
    }
    while (!list_is_empty(&run.conns)) {
        conn_close(container_of(run.conns.next, struct conn, link), "end");
    }
    free_closed(&run);
    SSL_CTX_free(run.tls);
    close(run.epoll);
    return ok;
}
