#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "run.h"

static const char *reason_of(const char *what, int os_errno)
{
    static _Thread_local char text[64];
    snprintf(text, sizeof text, "%s: %s", what, strerrorname_np(os_errno) == NULL ? "?" : strerrorname_np(os_errno));
    return text;
}

static void start_tls(struct conn *c)
{
    const struct options *o = c->run->options;
    c->ssl = SSL_new(c->run->tls);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    unsigned char bytes[16];
    bool literal = inet_pton(AF_INET, o->host, bytes) == 1;
    if (literal) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), o->host);
    } else {
        SSL_set_tlsext_host_name(c->ssl, o->host);
        SSL_set1_host(c->ssl, o->host);
    }
}

struct conn *conn_create(struct run *run, const struct sockaddr *address, socklen_t length)
{
    struct conn *c = mem_alloc(sizeof *c);
    c->run = run;
    c->protocol = run->options->h2 ? &protocol_h2 : &protocol_h1;
    list_init(&c->link);
    list_init(&c->requests);
    strbuf_init(&c->out);
    c->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = c};
    bool ok = c->fd >= 0 && setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 &&
              epoll_ctl(run->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0 &&
              (connect(c->fd, address, length) == 0 || errno == EINPROGRESS);
    c->dial_errno = ok ? 0 : errno; /* told when the first request is handed over */
    return c;
}

void conn_destroy(struct conn **at)
{
    struct conn *c = *at;
    if (c == NULL) {
        return;
    }
    if (c->protocol->fini != NULL) {
        c->protocol->fini(c);
    }
    if (c->ssl != NULL && SSL_is_init_finished(c->ssl)) {
        SSL_shutdown(c->ssl);
    }
    SSL_free(c->ssl);
    if (c->fd >= 0) {
        close(c->fd);
    }
    if (c->reading) {
        response_fini(&c->response);
    }
    strbuf_fini(&c->out);
    list_remove(&c->link);
    mem_free(c);
    *at = NULL;
}

bool conn_can_take(const struct conn *c)
{
    return c->state != CONN_CLOSED && !c->draining && c->in_flight < c->protocol->capacity(c);
}

void conn_assign(struct conn *c, struct request *r)
{
    r->conn = c;
    list_push(&c->requests, &r->link);
    c->in_flight++;
    if (c->dial_errno != 0) {
        conn_close(c, reason_of("connect", c->dial_errno));
    } else if (c->state == CONN_OPEN) {
        c->protocol->send(c, r);
        conn_flush(c);
    }
}

void conn_close(struct conn *c, const char *reason)
{
    if (c->state == CONN_CLOSED) {
        return;
    }
    char kept[80];
    snprintf(kept, sizeof kept, "%s", reason);
    c->state = CONN_CLOSED;
    if (!c->draining) {
        c->run->conn_count--;
    }
    for (struct list *l; (l = list_pop(&c->requests)) != NULL;) {
        run_failed(c->run, container_of(l, struct request, link), kept);
    }
    list_remove(&c->link);
    list_push(&c->run->closed, &c->link);
}

void conn_drain(struct conn *c)
{
    if (c->state != CONN_CLOSED && !c->draining) {
        c->draining = true;
        c->run->conn_count--;
    }
    if (c->in_flight == 0) {
        conn_close(c, "closed");
    }
}

void conn_answered(struct conn *c, struct request *r)
{
    list_remove(&r->link);
    c->in_flight--;
    c->answers++;
    run_answered(c->run, r);
    if (c->draining || c->run->options->fresh) {
        conn_drain(c);
    }
}

void conn_write(struct conn *c, const void *p, size_t n)
{
    strbuf_add(&c->out, slice_make(p, n));
}

/* How a failed TLS call is to be taken: 0 wait, else close. */
static const char *tls_trouble(struct conn *c, int result, const char *what)
{
    int code = SSL_get_error(c->ssl, result);
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
        return NULL;
    }
    if (code == SSL_ERROR_SYSCALL && errno != 0) {
        return reason_of(what, errno);
    }
    return strcmp(what, "handshake") == 0 ? "TLS handshake failed" : "TLS broken";
}

void conn_flush(struct conn *c)
{
    while (c->state == CONN_OPEN && c->out_at < c->out.n) {
        size_t left = c->out.n - c->out_at;
        errno = 0;
        ERR_clear_error();
        ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, c->out.p + c->out_at, (int)left)
                                   : send(c->fd, c->out.p + c->out_at, left, MSG_NOSIGNAL);
        if (n > 0) {
            c->out_at += (size_t)n;
            continue;
        }
        /* Full for now, or broken. Then what the peer sent before is still to be read: reading tells the trouble. */
        return;
    }
    strbuf_clear(&c->out);
    c->out_at = 0;
}

static void opened(struct conn *c)
{
    c->state = CONN_OPEN;
    c->run->result->connections++;
    if (c->protocol->open != NULL) {
        c->protocol->open(c);
    }
    for (struct list *l = c->requests.next; l != &c->requests && c->state == CONN_OPEN; l = l->next) {
        c->protocol->send(c, container_of(l, struct request, link));
    }
    conn_flush(c);
}

static bool handshake(struct conn *c)
{
    errno = 0;
    ERR_clear_error();
    int n = SSL_do_handshake(c->ssl);
    if (n != 1) {
        const char *why = tls_trouble(c, n, "handshake");
        if (why != NULL) {
            conn_close(c, SSL_get_verify_result(c->ssl) != X509_V_OK ? "certificate not accepted" : why);
        }
        return false;
    }
    const unsigned char *name;
    unsigned length;
    SSL_get0_alpn_selected(c->ssl, &name, &length);
    if (c->run->options->h2 && !(length == 2 && memcmp(name, "h2", 2) == 0)) {
        conn_close(c, "the peer does not speak h2");
        return false;
    }
    opened(c);
    return true;
}

static bool connected(struct conn *c)
{
    int trouble = 0;
    socklen_t length = sizeof trouble;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &trouble, &length);
    if (trouble != 0) {
        conn_close(c, reason_of("connect", trouble));
        return false;
    }
    if (c->run->tls != NULL) {
        c->state = CONN_HANDSHAKE;
        start_tls(c);
        return true;
    }
    opened(c);
    return true;
}

/* Reads what is there. False: the connection is closed. */
static void read_all(struct conn *c)
{
    char bytes[16384];
    while (c->state == CONN_OPEN) {
        errno = 0;
        ERR_clear_error();
        ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, bytes, sizeof bytes) : recv(c->fd, bytes, sizeof bytes, 0);
        if (n > 0) {
            const char *why = "broken";
            if (!c->protocol->receive(c, bytes, (size_t)n, &why)) {
                conn_close(c, why);
            }
            continue;
        }
        bool end = c->ssl == NULL ? n == 0 : SSL_get_error(c->ssl, (int)n) == SSL_ERROR_ZERO_RETURN;
        const char *why = NULL;
        if (!end) {
            why = c->ssl != NULL ? tls_trouble(c, (int)n, "read") : errno == EAGAIN ? NULL : reason_of("read", errno);
            if (why == NULL) {
                return;
            }
        }
        if (end) {
            c->protocol->peer_closed(c);
        }
        conn_close(c, !end             ? why
                      : c->answers > 0 ? "kept connection closed before the answer"
                                       : "closed before the answer");
    }
}

void conn_on_event(struct conn *c, uint32_t events)
{
    if (c->state == CONN_DIALLING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && !connected(c)) {
        return;
    }
    if (c->state == CONN_HANDSHAKE && !handshake(c)) {
        return;
    }
    if (c->state == CONN_OPEN) {
        conn_flush(c);
        read_all(c);
    }
    if (c->state == CONN_OPEN) {
        conn_flush(c);
    }
}
