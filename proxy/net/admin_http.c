#include "proxy/net/admin_http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "proxy/net/listen.h"

enum {
    HEAD_MAX = 16 << 10,
    BODY_MAX = 1 << 20,
    IDLE_S = 60,
};

struct admin_http {
    struct evhttp *http;
    struct addr addr;
    void (*handle)(void *ctx, const struct admin_request *request, struct admin_reply *reply);
    void *ctx;
};

static struct slice method_of(struct evhttp_request *r)
{
    switch ((int)evhttp_request_get_command(r)) {
    case EVHTTP_REQ_GET:
        return SLICE("GET");
    case EVHTTP_REQ_HEAD:
        return SLICE("HEAD");
    case EVHTTP_REQ_POST:
        return SLICE("POST");
    case EVHTTP_REQ_PUT:
        return SLICE("PUT");
    case EVHTTP_REQ_DELETE:
        return SLICE("DELETE");
    default:
        return SLICE("OTHER");
    }
}

static struct addr peer_of(struct evhttp_request *r)
{
    struct addr peer = {.len = 0};
    struct evhttp_connection *c = evhttp_request_get_connection(r);
    const struct sockaddr *sa = c == NULL ? NULL : evhttp_connection_get_addr(c);
    if (sa != NULL && sa->sa_family == AF_INET) {
        memcpy(&peer.in4, sa, sizeof peer.in4);
        peer.len = sizeof peer.in4;
    } else if (sa != NULL && sa->sa_family == AF_INET6) {
        memcpy(&peer.in6, sa, sizeof peer.in6);
        peer.len = sizeof peer.in6;
    }
    return peer;
}

static void free_body(const void *data, size_t n, void *arg)
{
    (void)data;
    (void)n;
    mem_free(arg);
}

static void send_reply(struct evhttp_request *r, struct admin_reply *reply)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(r);
    evhttp_add_header(headers, "Content-Type", reply->content_type);
    evhttp_add_header(headers, "Cache-Control", "no-cache, max-age=0");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    struct evbuffer *out = evbuffer_new();
    size_t n = reply->body.n;
    if (evhttp_request_get_command(r) == EVHTTP_REQ_HEAD) {
        char length[32]; /* evhttp would send the body */
        snprintf(length, sizeof length, "%zu", n);
        evhttp_add_header(headers, "Content-Length", length);
    } else if (n > 0) {
        char *text = strbuf_take(&reply->body);
        evbuffer_add_reference(out, text, n, free_body, text);
    }
    evhttp_send_reply(r, (int)reply->status, NULL, out);
    evbuffer_free(out);
}

static void on_request(struct evhttp_request *r, void *arg)
{
    struct admin_http *h = arg;
    struct evbuffer *body = evhttp_request_get_input_buffer(r);
    size_t body_len = evbuffer_get_length(body);
    struct slice target = slice_of(evhttp_request_get_uri(r));
    struct admin_request request = {
        .method = method_of(r),
        .body = slice_make(body_len > 0 ? evbuffer_pullup(body, -1) : NULL, body_len),
        .peer = peer_of(r),
    };
    size_t at = slice_find(target, '?');
    request.path = slice_sub(target, 0, at);
    request.query = slice_from(target, at + 1);
    struct admin_reply reply = {.status = 200, .content_type = "text/plain; charset=UTF-8"};
    strbuf_init(&reply.body);
    h->handle(h->ctx, &request, &reply);
    send_reply(r, &reply);
    strbuf_fini(&reply.body);
}

static void set_limits(struct evhttp *http)
{
    evhttp_set_max_headers_size(http, HEAD_MAX);
    evhttp_set_max_body_size(http, BODY_MAX);
    evhttp_set_timeout(http, IDLE_S);
    evhttp_set_allowed_methods(http,
                               EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE);
}

struct admin_http *admin_http_listen(struct loop *loop, const struct addr *addr,
                                     void (*handle)(void *ctx, const struct admin_request *request,
                                                    struct admin_reply *reply),
                                     void *ctx, struct err *err)
{
    struct listen_options options = {.pipe_mode = 0600};
    int fd = listen_open(addr, &options, err);
    if (fd < 0) {
        err_prefix(err, "admin");
        return NULL;
    }
    struct admin_http *h = mem_alloc(sizeof *h);
    h->handle = handle;
    h->ctx = ctx;
    h->addr = *addr;
    h->addr.len = sizeof h->addr.un;
    if (addr->sa.sa_family == AF_UNIX || getsockname(fd, &h->addr.sa, &h->addr.len) != 0) {
        h->addr.len = addr->len;
    }
    signal(SIGPIPE, SIG_IGN); /* evhttp writes with writev, which has no MSG_NOSIGNAL */
    h->http = evhttp_new(loop_base(loop));
    if (h->http == NULL || evhttp_accept_socket(h->http, fd) != 0) {
        err_set(err, ERR_IO, "admin: the socket cannot be watched");
        close(fd);
        admin_http_destroy(&h);
        return NULL;
    }
    set_limits(h->http);
    evhttp_set_gencb(h->http, on_request, h);
    return h;
}

void admin_http_destroy(struct admin_http **pointer)
{
    struct admin_http *h = *pointer;
    *pointer = NULL;
    if (h == NULL) {
        return;
    }
    if (h->http != NULL) {
        evhttp_free(h->http); /* with its connections and the listening socket */
    }
    mem_free(h);
}

struct addr admin_http_address(const struct admin_http *h)
{
    return h->addr;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void add_decoded(struct strbuf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%' && i + 2 < text.n && hex_value(text.p[i + 1]) >= 0 && hex_value(text.p[i + 2]) >= 0) {
            c = (char)(hex_value(text.p[i + 1]) << 4 | hex_value(text.p[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        strbuf_add_char(out, c);
    }
}

bool admin_query(struct slice query, struct slice name, struct strbuf *out)
{
    while (query.n > 0) {
        struct slice value = slice_cut(&query, '&');
        struct slice key = slice_cut(&value, '=');
        if (slice_eq(key, name)) {
            add_decoded(out, value);
            return true;
        }
    }
    return false;
}
