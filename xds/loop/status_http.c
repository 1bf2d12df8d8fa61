#include "xds/loop/status_http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

struct status_http {
    struct evhttp *http;
    char *socket_path;
    status_http_fn fn;
    void *ctx;
};

static void on_request(struct evhttp_request *request, void *ctx)
{
    struct status_http *h = ctx;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
    const char *path = uri == NULL ? NULL : evhttp_uri_get_path(uri);
    if (evhttp_request_get_command(request) != EVHTTP_REQ_GET) {
        evhttp_send_reply(request, 405, "Method Not Allowed", NULL);
        return;
    }
    struct strbuf body;
    strbuf_init(&body);
    int status = h->fn(h->ctx, path == NULL ? "/" : path, &body);
    struct evbuffer *out = evbuffer_new();
    evbuffer_add(out, strbuf_cstr(&body), body.n);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json");
    evhttp_send_reply(request, status, status == 200 ? "OK" : "Not Found", out);
    evbuffer_free(out);
    strbuf_fini(&body);
}

static bool somebody_answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return answers;
}

/* The socket is never reachable with wider rights than 0660, not even between bind and chmod. */
static int listen_unix(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        err_set(err, ERR_INPUT, "status_socket: %s: longer than %zu bytes", path, sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (somebody_answers(&address)) {
        err_set(err, ERR_INPUT, "status_socket: %s: another process answers there", path);
        return -1;
    }
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t old = umask(0117);
    bool ok = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0;
    int code = errno;
    umask(old);
    if (!ok) {
        err_errno(err, code, "status_socket: %s", path);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

struct status_http *status_http_create(struct loop *loop, const char *socket_path, status_http_fn fn, void *ctx,
                                       struct err *err)
{
    int fd = listen_unix(socket_path, err);
    if (fd < 0) {
        return NULL;
    }
    struct status_http *h = mem_alloc(sizeof *h);
    h->fn = fn;
    h->ctx = ctx;
    h->socket_path = mem_str(socket_path);
    h->http = evhttp_new(loop_event_base(loop));
    evhttp_set_max_headers_size(h->http, 16 * 1024);
    evhttp_set_max_body_size(h->http, 1024);
    evhttp_set_timeout(h->http, 10);
    evhttp_set_gencb(h->http, on_request, h);
    if (evhttp_accept_socket(h->http, fd) != 0) {
        err_set(err, ERR_IO, "status_socket: %s: cannot accept", socket_path);
        close(fd);
        status_http_destroy(&h);
        return NULL;
    }
    return h;
}

void status_http_destroy(struct status_http **http)
{
    struct status_http *h = *http;
    if (h == NULL) {
        return;
    }
    evhttp_free(h->http);
    unlink(h->socket_path);
    mem_free(h->socket_path);
    mem_free(h);
    *http = NULL;
}
