/* Writing messages: exactly one framing, fields that only concern the connection written by us alone. */
#include <string.h>

#include "proxy/codec/chars.h"
#include "proxy/codec/h1.h"

static bool is_bodyless_method(struct slice m)
{
    return slice_eq(m, SLICE("GET")) || slice_eq(m, SLICE("HEAD")) || slice_eq(m, SLICE("DELETE")) ||
           slice_eq(m, SLICE("OPTIONS")) || slice_eq(m, SLICE("CONNECT")) || slice_eq(m, SLICE("TRACE"));
}

static enum h1_framing response_framing(const struct head *head, struct slice method, bool peer_http_10, bool has_body)
{
    bool connected = slice_eq(method, SLICE("CONNECT")) && head->status >= 200 && head->status < 300;
    if (head->status < 200 || head->status == 204 || head->status == 304 || connected ||
        slice_eq(method, SLICE("HEAD"))) {
        return H1_NO_BODY;
    }
    if (!has_body || head->content_length >= 0) {
        return H1_LENGTH;
    }
    return peer_http_10 ? H1_UNTIL_CLOSE : H1_CHUNKED;
}

enum h1_framing h1_choose_framing(const struct head *head, bool response, struct slice request_method,
                                  bool peer_http_10, bool has_body)
{
    if (response) {
        return response_framing(head, request_method, peer_http_10, has_body);
    }
    if (slice_eq(head->method, SLICE("CONNECT")) || head->protocol.n > 0) {
        return H1_NO_BODY;
    }
    if (head->content_length >= 0) {
        return H1_LENGTH;
    }
    if (!has_body) {
        return is_bodyless_method(head->method) ? H1_NO_BODY : H1_LENGTH;
    }
    return H1_CHUNKED;
}

/* The head's bytes, into room that was measured before. */
struct pen {
    char *at;
};

static void put(struct pen *pen, struct slice s)
{
    if (s.n > 0) {
        memcpy(pen->at, s.p, s.n);
        pen->at += s.n;
    }
}

/* Whatever a filter or policy put into a value, it stays one line. */
static void put_value(struct pen *pen, struct slice s)
{
    size_t done = 0;
    while (done < s.n) {
        size_t n = chars_value_span(s.p + done, s.n - done);
        put(pen, slice_sub(s, done, n));
        done += n;
        if (done < s.n) {
            *pen->at++ = ' ';
            done++;
        }
    }
}

static void put_field(struct pen *pen, struct slice name, struct slice value)
{
    put(pen, name);
    put(pen, SLICE(": "));
    put_value(pen, value);
    put(pen, SLICE("\r\n"));
}

static void put_sound(struct pen *pen, const struct field *f)
{
    put(pen, f->name);
    put(pen, SLICE(": "));
    put(pen, f->value);
    put(pen, SLICE("\r\n"));
}

/* Written from what the message is, never copied. */
static bool is_ours(const struct field *f, bool request)
{
    return head_is_connection_field(f) || f->id == FIELD_CONTENT_LENGTH || (f->id == FIELD_HOST && request);
}

static void put_fields(struct pen *pen, const struct head *head, bool request)
{
    for (unsigned i = 0; i < head->n; i++) {
        const struct field *f = &head->fields[i];
        /* an interned name is a token */
        if (is_ours(f, request)) {
            continue;
        }
        if (f->sound) {
            put_sound(pen, f);
        } else if (f->id != FIELD_OTHER || chars_is_token(f->name)) {
            put_field(pen, f->name, f->value);
        }
    }
}

/* The digits of value at the end of text, which has room for 20. */
static struct slice digits_of(uint64_t value, unsigned base, char text[20])
{
    size_t at = 20;
    do {
        text[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    return slice_make(text + at, 20 - at);
}

static void put_number(struct pen *pen, struct slice name, uint64_t value)
{
    char text[20];
    put_field(pen, name, digits_of(value, 10, text));
}

static void put_framing(struct pen *pen, const struct head *head, enum h1_framing framing)
{
    bool may_tell = head->status == 0 || (head->status >= 200 && head->status != 204);
    if (framing == H1_CHUNKED) {
        put(pen, SLICE("transfer-encoding: chunked\r\n"));
    } else if (framing == H1_LENGTH) {
        put_number(pen, SLICE("content-length"), head->content_length < 0 ? 0 : (uint64_t)head->content_length);
    } else if (framing == H1_NO_BODY && head->status != 0 && head->content_length >= 0 && may_tell) {
        put_number(pen, SLICE("content-length"), (uint64_t)head->content_length); /* HEAD, 304: what it would be */
    }
}

static void put_connection(struct pen *pen, const struct head *head, enum h1_connection connection)
{
    bool te = head->status == 0 && head_find_id(head, FIELD_TE) != NULL; /* RFC 9110 10.1.4 */
    switch (connection) {
    case H1_KEEP_ALIVE:
        put(pen, te ? SLICE("connection: te\r\n") : SLICE_NONE);
        break;
    case H1_KEEP_ALIVE_10:
        put(pen, SLICE("connection: keep-alive\r\n"));
        break;
    case H1_CLOSE:
        put(pen, te ? SLICE("connection: te, close\r\n") : SLICE("connection: close\r\n"));
        break;
    case H1_UPGRADE:
        put(pen, SLICE("connection: upgrade\r\n"));
        put_field(pen, SLICE("upgrade"), head->protocol);
        break;
    default:
        break;
    }
}

static size_t measure(const struct head *head)
{
    size_t n = 256 + head->method.n + head->path.n + 2 * head->authority.n + head->reason.n + head->protocol.n;
    for (unsigned i = 0; i < head->n; i++) {
        n += head->fields[i].name.n + head->fields[i].value.n + 4;
    }
    return n;
}

static void put_rest(struct pen *pen, const struct head *head, enum h1_framing framing, enum h1_connection connection)
{
    put_fields(pen, head, head->status == 0);
    put_framing(pen, head, framing);
    put_connection(pen, head, connection);
    put(pen, SLICE("\r\n"));
}

void h1_write_request(struct buf *out, const struct head *head, enum h1_framing framing, enum h1_connection connection)
{
    size_t got = 0;
    char *start = buf_reserve(out, measure(head), &got);
    struct pen pen = {start};
    bool connect = slice_eq(head->method, SLICE("CONNECT"));
    put(&pen, head->method);
    put(&pen, SLICE(" "));
    put_value(&pen, connect ? head->authority : head->path.n > 0 ? head->path : SLICE("/"));
    put(&pen, SLICE(" HTTP/1.1\r\n"));
    put_field(&pen, SLICE("host"), head->authority);
    put_rest(&pen, head, framing, connection);
    buf_commit(out, (size_t)(pen.at - start));
}

void h1_write_response(struct buf *out, const struct head *head, enum h1_framing framing, enum h1_connection connection)
{
    size_t got = 0;
    char *start = buf_reserve(out, measure(head), &got);
    struct pen pen = {start};
    put(&pen, SLICE("HTTP/1.1 "));
    for (unsigned unit = 100; unit > 0; unit /= 10) {
        *pen.at++ = (char)('0' + head->status / unit % 10);
    }
    put(&pen, SLICE(" "));
    put_value(&pen, head->reason.n > 0 ? head->reason : head_reason(head->status));
    put(&pen, SLICE("\r\n"));
    put_rest(&pen, head, framing, connection);
    buf_commit(out, (size_t)(pen.at - start));
}

void h1_write_body(struct buf *out, enum h1_framing framing, struct buf *bytes)
{
    if (bytes->len == 0 || framing == H1_NO_BODY) {
        buf_fini(bytes);
        return;
    }
    if (framing == H1_CHUNKED) {
        char text[20];
        buf_append_slice(out, digits_of(bytes->len, 16, text));
        buf_append(out, "\r\n", 2);
        buf_move_all(out, bytes);
        buf_append(out, "\r\n", 2);
        return;
    }
    buf_move_all(out, bytes);
}

void h1_write_end(struct buf *out, enum h1_framing framing, const struct head *trailers)
{
    if (framing != H1_CHUNKED) {
        return;
    }
    buf_append_str(out, "0\r\n");
    if (trailers != NULL && trailers->n > 0) {
        size_t got = 0;
        char *start = buf_reserve(out, measure(trailers), &got);
        struct pen pen = {start};
        put_fields(&pen, trailers, true);
        buf_commit(out, (size_t)(pen.at - start));
    }
    buf_append_str(out, "\r\n");
}
