#include "xds/ctl/ask.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 * 1024 * 1024 };

static int connect_to(const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        err_set(err, ERR_INPUT, "%s: longer than %zu bytes", path, sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 10};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        err_errno(err, errno, "%s", path);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static bool exchange(int fd, const char *path, struct strbuf *answer, struct err *err)
{
    struct strbuf request;
    strbuf_init(&request);
    strbuf_printf(&request, "GET %s HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n", path);
    ssize_t sent = send(fd, request.p, request.n, MSG_NOSIGNAL);
    bool ok = sent == (ssize_t)request.n;
    strbuf_fini(&request);
    char bytes[16384];
    for (ssize_t n = 1; ok && n != 0;) {
        n = read(fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        ok = n >= 0 && answer->n < ANSWER_MAX;
        if (n > 0) {
            strbuf_add(answer, slice_make(bytes, (size_t)n));
        }
    }
    return ok || err_errno(err, errno, "the control server's answer");
}

/* What stands behind the head. HTTP/1.1 with Connection: close and a known length, as our server answers. */
static bool take_body(struct arena *arena, struct slice answer, struct slice *body, struct err *err)
{
    size_t head = slice_search(answer, SLICE("\r\n\r\n"));
    bool good = slice_starts_with(answer, SLICE("HTTP/1.1 200 ")) || slice_starts_with(answer, SLICE("HTTP/1.0 200 "));
    if (!good || head == answer.n) {
        struct slice line = slice_sub(answer, 0, slice_find(answer, '\r'));
        return err_set(err, ERR_PROTOCOL, "the control server answered: %.*s", SLICE_ARG(slice_sub(line, 0, 100)));
    }
    if (slice_search(slice_sub(answer, 0, head), SLICE("chunked")) != head) {
        return err_set(err, ERR_PROTOCOL, "the control server's answer is chunked");
    }
    *body = arena_slice(arena, slice_from(answer, head + 4));
    return true;
}

const struct doc *ask_control(struct arena *arena, const char *socket_path, const char *path, struct slice *body,
                              struct err *err)
{
    int fd = connect_to(socket_path, err);
    if (fd < 0) {
        return NULL;
    }
    struct strbuf answer;
    strbuf_init(&answer);
    bool ok = exchange(fd, path, &answer, err) && take_body(arena, strbuf_slice(&answer), body, err);
    close(fd);
    strbuf_fini(&answer);
    const struct doc_source source = {.name = path, .bytes = ok ? *body : SLICE_NONE, .format = DOC_JSON};
    return ok ? doc_parse(arena, source, NULL, err) : NULL;
}
