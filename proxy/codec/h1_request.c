/* Reading a request head (RFC 9112 3). */
#include <string.h>

#include "proxy/codec/chars.h"
#include "proxy/codec/h1_fields.h"

enum { METHOD_MAX = 32, VERSION_LEN = 8 };

void h1_parser_init(struct h1_parser *p)
{
    *p = (struct h1_parser){0};
}

static enum h1_result refuse(struct h1_message *message, unsigned status)
{
    message->refuse_status = status;
    return H1_BAD;
}

/* One empty line before a request is tolerated (RFC 9112 2.2); a second is not. */
static enum h1_result skip_blank_line(struct h1_parser *p, struct buf *in, struct err *err)
{
    char two[2];
    size_t n = buf_copy_out(in, 0, two, 2);
    if (n == 0 || two[0] != '\r' || p->blank_lines > 0) {
        return H1_DONE;
    }
    if (n == 1) {
        return H1_MORE;
    }
    if (two[1] != '\n') {
        err_set(err, ERR_PROTOCOL, "CR without LF");
        return H1_BAD;
    }
    buf_drain(in, 2);
    p->blank_lines++;
    return H1_DONE;
}

/* The method's bytes as far as they are here; 0: nothing against them. */
static unsigned check_method(const struct buf *in, struct err *err)
{
    char text[METHOD_MAX + 1];
    size_t n = buf_copy_out(in, 0, text, sizeof text), i = 0;
    while (i < n && chars_is_token_byte(text[i])) {
        i++;
    }
    if (i == sizeof text) {
        err_set(err, ERR_UNSUPPORTED, "method longer than any known");
        return 501;
    }
    if (i < n && (i == 0 || text[i] != ' ')) {
        err_set(err, ERR_PROTOCOL, "does not begin with a method");
        return 400;
    }
    return 0;
}

/* While the head is incomplete: what can already not become a request is refused now, not at the timeout. */
static enum h1_result check_early(struct h1_parser *p, const struct buf *in, const struct h1_limits *limits,
                                  struct h1_message *message, struct err *err)
{
    char text[2 + 6 + 3 + 2]; /* "/ HTTP/1.1\r\n" needs the tail of the line only */
    unsigned status = check_method(in, err);
    if (status != 0) {
        return refuse(message, status);
    }
    if (p->scan.first_line == 0) {
        if (in->len > limits->max_uri_bytes + METHOD_MAX + VERSION_LEN + 4) {
            err_set(err, ERR_LIMIT, "request line longer than its limit");
            return refuse(message, 414);
        }
        return H1_MORE;
    }
    if (p->first_line_checked) {
        return H1_MORE;
    }
    p->first_line_checked = true;
    size_t tail = 1 + VERSION_LEN + 2;
    if (p->scan.first_line < tail + 3 || buf_copy_out(in, p->scan.first_line - tail, text, tail) != tail ||
        memcmp(text, " HTTP/", 6) != 0) {
        err_set(err, ERR_PROTOCOL, "request line without a version");
        return refuse(message, 400);
    }
    return H1_MORE;
}

/* "HTTP/1.1" exactly, or 1.0; 505 for what has the form of another version (RFC 9112 2.3). */
static unsigned parse_version(struct slice text, struct head *head, struct err *err)
{
    bool form = text.n == VERSION_LEN && memcmp(text.p, "HTTP/", 5) == 0 && text.p[5] >= '0' && text.p[5] <= '9' &&
                text.p[6] == '.' && text.p[7] >= '0' && text.p[7] <= '9';
    if (!form) {
        err_set(err, ERR_PROTOCOL, "malformed version");
        return 400;
    }
    if (text.p[5] != '1' || text.p[7] > '1') {
        err_set(err, ERR_UNSUPPORTED, "version is neither HTTP/1.0 nor HTTP/1.1");
        return 505;
    }
    head->version = text.p[7] == '1' ? HTTP_1_1 : HTTP_1_0;
    return 0;
}

/* http://authority/path?query: the path of the origin form, in the arena when a "/" has to be put in. */
static bool split_absolute(struct head *head, struct slice target)
{
    size_t colon = slice_find(target, ':');
    struct slice scheme = slice_sub(target, 0, colon);
    struct slice rest = slice_from(target, colon);
    if (!slice_starts_with(rest, SLICE("://"))) {
        return false;
    }
    rest = slice_from(rest, 3);
    if (slice_eq_nocase(scheme, SLICE("http"))) {
        head->scheme = SLICE("http");
    } else if (slice_eq_nocase(scheme, SLICE("https"))) {
        head->scheme = SLICE("https");
    } else {
        return false;
    }
    size_t n = slice_find(rest, '/');
    size_t query = slice_find(rest, '?');
    head->authority = slice_sub(rest, 0, query < n ? query : n);
    rest = slice_from(rest, head->authority.n);
    if (rest.n > 0 && rest.p[0] == '/') {
        head->path = rest;
    } else if (rest.n == 0) {
        head->path = slice_eq(head->method, SLICE("OPTIONS")) ? SLICE("*") : SLICE("/");
    } else {
        head->path = slice_of(arena_printf(head->arena, "/%.*s", SLICE_ARG(rest)));
    }
    return true;
}

static bool parse_target(struct head *head, struct slice target, struct err *err)
{
    if (!chars_is_target(target)) {
        return err_set(err, ERR_PROTOCOL, "request target with a byte that may not stand there");
    }
    if (slice_eq(head->method, SLICE("CONNECT"))) {
        head->authority = target;
        return true;
    }
    if (target.p[0] == '/') {
        head->path = target;
        return true;
    }
    if (slice_eq(target, SLICE("*")) && slice_eq(head->method, SLICE("OPTIONS"))) {
        head->path = target;
        return true;
    }
    return split_absolute(head, target) || err_set(err, ERR_PROTOCOL, "request target of unknown form");
}

static unsigned parse_request_line(struct slice line, const struct h1_limits *limits, struct head *head,
                                   struct err *err)
{
    size_t n = slice_find(line, ' ');
    head->method = slice_sub(line, 0, n);
    struct slice rest = slice_from(line, n + 1);
    n = slice_find(rest, ' ');
    struct slice target = slice_sub(rest, 0, n);
    if (n == rest.n || !chars_is_token(head->method)) {
        err_set(err, ERR_PROTOCOL, "malformed request line");
        return 400;
    }
    unsigned status = parse_version(slice_from(rest, n + 1), head, err);
    if (status != 0) {
        return status;
    }
    if (target.n > limits->max_uri_bytes) {
        err_set(err, ERR_LIMIT, "request target longer than %zu bytes", limits->max_uri_bytes);
        return 414;
    }
    return parse_target(head, target, err) ? 0 : 400;
}

/* One host for routing, policy and forwarding: target and Host must agree (RFC 9112 3.2, stricter: 3.2.2 lets the
 * absolute form win). CONNECT: Host may leave the port out. */
static bool hosts_agree(const struct head *head, const struct authority *target, const struct authority *host)
{
    bool connect = head->path.n == 0;
    if (connect) {
        return slice_eq_nocase(target->host, host->host) && (host->port.n == 0 || authority_same(target, host, 0));
    }
    return authority_same(target, host, slice_eq(head->scheme, SLICE("https")) ? 443 : 80);
}

static bool settle_authority(struct head *head, const struct h1_facts *facts, struct err *err)
{
    struct authority target = {SLICE_NONE, SLICE_NONE}, host = {SLICE_NONE, SLICE_NONE};
    bool in_target = head->authority.p != NULL;
    if (facts->hosts > 1 || (facts->hosts == 0 && head->version == HTTP_1_1)) {
        return err_set(err, ERR_PROTOCOL, facts->hosts == 0 ? "no host" : "more than one host");
    }
    if (in_target && !authority_parse(head->authority, &target)) {
        return err_set(err, ERR_PROTOCOL, "malformed authority in the request target");
    }
    if (in_target && head->path.n == 0 && target.port.n == 0) {
        return err_set(err, ERR_PROTOCOL, "CONNECT without a port");
    }
    if (facts->hosts == 1) {
        if (!authority_parse(facts->host, &host)) {
            return err_set(err, ERR_PROTOCOL, "malformed host");
        }
        if (in_target && !hosts_agree(head, &target, &host)) {
            return err_set(err, ERR_PROTOCOL, "host differs from the request target");
        }
    }
    if (!in_target) {
        head->authority = facts->host;
    }
    if (head->authority.n > 0 && head->authority.p[head->authority.n - 1] == ':') {
        head->authority.n--; /* an empty port says nothing (RFC 3986 3.2.3) */
    }
    return true;
}

/* An upgrade that can be followed: one protocol, no body, HTTP/1.1. Anything else is an ordinary request, which
 * RFC 9110 7.8 allows; h2c is never followed. */
static void settle_upgrade(struct head *head, const struct h1_facts *facts, struct h1_message *message)
{
    if (facts->upgrades == 1 && facts->connection_upgrade && head->version == HTTP_1_1 &&
        message->framing == H1_NO_BODY && chars_is_token(facts->upgrade) && head->path.n > 0 &&
        !slice_eq_nocase(facts->upgrade, SLICE("h2c"))) {
        message->upgrade = true;
        head->protocol = facts->upgrade;
    }
}

/* An expectation is for a request with a body in HTTP/1.1; elsewhere it says nothing and is dropped (RFC 9110 10.1.1). */
static bool settle_expect(struct head *head, struct h1_facts *facts, struct h1_message *message, struct err *err)
{
    if (facts->expects == 0) {
        return true;
    }
    bool old = head->version == HTTP_1_0;
    if (!old && (facts->expects > 1 || !slice_eq_nocase(facts->expect, SLICE("100-continue")))) {
        facts->status = 417;
        return err_set(err, ERR_UNSUPPORTED, "an expectation other than 100-continue");
    }
    bool body = message->framing == H1_CHUNKED || (message->framing == H1_LENGTH && message->length > 0);
    message->expect_continue = body && !old;
    if (!message->expect_continue) {
        head_remove_id(head, FIELD_EXPECT);
    }
    return true;
}

static bool settle(struct head *head, struct h1_facts *facts, struct h1_message *message, struct err *err)
{
    if (!settle_authority(head, facts, err) || !h1_parse_framing(head, facts, message, err)) {
        return false;
    }
    if (head->path.n == 0 && message->framing != H1_NO_BODY) {
        return err_set(err, ERR_PROTOCOL, "CONNECT with a body");
    }
    settle_upgrade(head, facts, message);
    message->keep_alive = head->version == HTTP_1_1 ? !facts->close : facts->keep_alive && !facts->close;
    return settle_expect(head, facts, message, err);
}

static enum h1_result parse(struct buf *in, size_t len, const struct h1_limits *limits, struct head *head,
                            struct h1_message *message, struct err *err)
{
    char *text = arena_alloc(head->arena, len);
    buf_copy_out(in, 0, text, len);
    message->head_bytes = len;
    const char *lf = memchr(text, '\n', len);
    struct slice line = slice_make(text, (size_t)(lf - text) - 1);
    unsigned status = check_method(in, err);
    status = status != 0 ? status : parse_request_line(line, limits, head, err);
    if (status != 0) {
        return refuse(message, status);
    }
    struct h1_facts facts = {0};
    if (!h1_parse_fields(head, text + line.n + 2, text + len, true, limits->max_fields, &facts, err) ||
        !settle(head, &facts, message, err)) {
        return refuse(message, facts.status);
    }
    if (head->version == HTTP_1_0 && !limits->accept_http_10) { /* last: what is malformed besides is told as that */
        err_set(err, ERR_UNSUPPORTED, "HTTP/1.0 is not accepted");
        return refuse(message, 426);
    }
    buf_drain(in, len);
    return H1_DONE;
}

enum h1_result h1_read_request(struct h1_parser *p, struct buf *in, const struct h1_limits *limits, struct head *head,
                               struct h1_message *message, struct err *err)
{
    size_t len = 0;
    *message = (struct h1_message){.refuse_status = 400};
    if (p->scan.scanned == 0) {
        enum h1_result blank = skip_blank_line(p, in, err);
        if (blank != H1_DONE) {
            return blank;
        }
    }
    enum h1_result r = h1_find_end(&p->scan, in, limits->max_head_bytes, &len, err);
    if (r == H1_MORE) {
        return check_early(p, in, limits, message, err);
    }
    if (r == H1_BAD) {
        size_t line = p->scan.first_line == 0 ? in->len : p->scan.first_line;
        bool one_line = line > limits->max_uri_bytes + METHOD_MAX + VERSION_LEN + 4;
        return refuse(message, err->kind != ERR_LIMIT ? 400 : one_line ? 414 : 431);
    }
    r = parse(in, len, limits, head, message, err);
    h1_parser_init(p);
    return r;
}
