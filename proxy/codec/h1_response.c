/* Reading a response head (RFC 9112 4, 6.3). */
#include <string.h>

#include "proxy/codec/chars.h"
#include "proxy/codec/h1_fields.h"

/* HTTP/1.x SP 3DIGIT [SP reason]: the last space is often forgotten and harmless. */
static bool parse_status_line(struct slice line, struct head *head, struct err *err)
{
    if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 || (line.p[7] != '0' && line.p[7] != '1') ||
        line.p[8] != ' ') {
        return err_set(err, ERR_PROTOCOL, "malformed status line");
    }
    head->version = line.p[7] == '1' ? HTTP_1_1 : HTTP_1_0;
    uint64_t status;
    if (!slice_to_u64(slice_sub(line, 9, 3), &status) || status < 100 || status > 599) {
        return err_set(err, ERR_PROTOCOL, "malformed status code");
    }
    head->status = (unsigned)status;
    struct slice rest = slice_from(line, 12);
    if (rest.n == 0) {
        return true;
    }
    if (rest.p[0] != ' ' || chars_value_span(rest.p, rest.n) != rest.n) {
        return err_set(err, ERR_PROTOCOL, "malformed reason phrase");
    }
    head->reason = slice_from(rest, 1);
    return true;
}

static bool has_no_body(unsigned status, struct slice method)
{
    return status < 200 || status == 204 || status == 304 || slice_eq(method, SLICE("HEAD")) ||
           (slice_eq(method, SLICE("CONNECT")) && status < 300);
}

static bool settle(struct head *head, struct h1_facts *facts, struct slice method, struct h1_message *message,
                   struct err *err)
{
    if (!h1_parse_framing(head, facts, message, err)) {
        return false;
    }
    bool connected = slice_eq(method, SLICE("CONNECT")) && head->status >= 200 && head->status < 300;
    if (head->status == 101) {
        if (facts->upgrades != 1 || !facts->connection_upgrade) {
            return err_set(err, ERR_PROTOCOL, "101 without an upgrade");
        }
        message->upgrade = true;
        head->protocol = facts->upgrade;
    }
    if (head->status < 200 || head->status == 204 || connected) {
        head->content_length = -1; /* RFC 9112 6.1, 6.3: must not be there, means nothing */
    }
    if (has_no_body(head->status, method)) {
        message->framing = H1_NO_BODY;
        message->length = 0;
    } else if (facts->encodings + facts->lengths == 0) {
        message->framing = H1_UNTIL_CLOSE;
    }
    bool persists = head->version == HTTP_1_1 ? !facts->close : facts->keep_alive && !facts->close;
    message->keep_alive = persists && message->framing != H1_UNTIL_CLOSE;
    return true;
}

static bool parse(struct buf *in, size_t len, const struct h1_limits *limits, struct slice method, struct head *head,
                  struct h1_message *message, struct err *err)
{
    char *text = arena_alloc(head->arena, len);
    buf_copy_out(in, 0, text, len);
    message->head_bytes = len;
    const char *lf = memchr(text, '\n', len);
    struct slice line = slice_make(text, (size_t)(lf - text) - 1);
    struct h1_facts facts = {0};
    if (!parse_status_line(line, head, err) ||
        !h1_parse_fields(head, text + line.n + 2, text + len, false, limits->max_fields, &facts, err) ||
        !settle(head, &facts, method, message, err)) {
        return false;
    }
    buf_drain(in, len);
    return true;
}

/* What cannot become a response is refused without waiting for its end. */
static bool begins_well(const struct buf *in)
{
    static const char start[] = "HTTP/1.";
    char text[sizeof start - 1];
    size_t n = buf_copy_out(in, 0, text, sizeof text);
    return memcmp(text, start, n) == 0;
}

enum h1_result h1_read_response(struct h1_parser *p, struct buf *in, const struct h1_limits *limits,
                                struct slice method, struct head *head, struct h1_message *message, struct err *err)
{
    size_t len = 0;
    *message = (struct h1_message){0};
    if (!begins_well(in)) {
        err_set(err, ERR_PROTOCOL, "not an HTTP/1 response");
        return H1_BAD;
    }
    enum h1_result r = h1_find_end(&p->scan, in, limits->max_head_bytes, &len, err);
    if (r == H1_DONE) {
        r = parse(in, len, limits, method, head, message, err) ? H1_DONE : H1_BAD;
        h1_parser_init(p);
    }
    return r;
}
