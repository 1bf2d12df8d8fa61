/* HTTP/1.1: one request at a time; the connection is used again only if the answer leaves it open. */
#include <string.h>

#include "base/mem.h"
#include "run.h"

static void send_request(struct conn *c, struct request *r)
{
    const struct options *o = c->run->options;
    (void)r;
    struct strbuf s;
    strbuf_init(&s);
    strbuf_printf(&s, "%s %s HTTP/1.1\r\nHost: %s\r\n", o->method, o->path, o->authority);
    for (size_t i = 0; i < o->header_count; i++) {
        strbuf_printf(&s, "%s\r\n", o->headers[i]);
    }
    if (o->data != NULL) {
        strbuf_printf(&s, "Content-Length: %zu\r\n", strlen(o->data));
    }
    strbuf_printf(&s, "%s\r\n%s", o->fresh ? "Connection: close\r\n" : "", o->data == NULL ? "" : o->data);
    conn_write(c, s.p, s.n);
    strbuf_fini(&s);
    response_init(&c->response, strcmp(o->method, "HEAD") == 0);
    c->reading = true;
}

static void finish(struct conn *c)
{
    struct request *r = container_of(c->requests.next, struct request, link);
    r->status = c->response.status;
    strbuf_add(&r->body, strbuf_slice(&c->response.body));
    bool closes = c->response.close;
    response_fini(&c->response);
    c->reading = false;
    conn_answered(c, r);
    if (closes && c->state == CONN_OPEN) {
        conn_drain(c);
    }
}

static bool receive(struct conn *c, const char *p, size_t n, const char **reason)
{
    if (!c->reading) {
        *reason = "bytes without a request";
        return false;
    }
    size_t taken = response_feed(&c->response, p, n);
    if (c->response.state == RESPONSE_BAD) {
        *reason = "malformed answer";
        return false;
    }
    if (c->response.state == RESPONSE_DONE) {
        finish(c);
    }
    *reason = "bytes without a request";
    return taken == n || c->state == CONN_CLOSED;
}

static void peer_closed(struct conn *c)
{
    if (c->reading && response_end(&c->response)) {
        finish(c);
    }
}

static void abandon(struct conn *c, struct request *r)
{
    (void)r;
    conn_close(c, "timeout");
}

static size_t capacity(const struct conn *c)
{
    (void)c;
    return 1;
}

const struct protocol protocol_h1 = {
    .send = send_request, .receive = receive, .peer_closed = peer_closed, .abandon = abandon, .capacity = capacity};
