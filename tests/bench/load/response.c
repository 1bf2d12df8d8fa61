#include "response.h"

#include <stdlib.h>
#include <string.h>

void response_init(struct response *r, bool head_request)
{
    *r = (struct response){.head_request = head_request};
    strbuf_init(&r->line);
    strbuf_init(&r->body);
}

void response_fini(struct response *r)
{
    strbuf_fini(&r->line);
    strbuf_fini(&r->body);
}

static bool has_token(struct slice list, struct slice token)
{
    while (list.p != NULL) {
        if (slice_eq_nocase(slice_trim(slice_cut(&list, ',')), token)) {
            return true;
        }
    }
    return false;
}

static struct slice next_line(struct slice *rest)
{
    struct slice line = slice_cut(rest, '\n');
    return line.n > 0 && line.p[line.n - 1] == '\r' ? slice_sub(line, 0, line.n - 1) : line;
}

static bool read_status(struct response *r, struct slice line)
{
    uint64_t status;
    if (!slice_starts_with(line, SLICE("HTTP/1.")) || line.n < 12 || !slice_to_u64(slice_sub(line, 9, 3), &status)) {
        return false;
    }
    r->status = (int)status;
    r->close = line.p[7] == '0';
    return true;
}

static void head_done(struct response *r, bool chunked, bool has_length, uint64_t length)
{
    strbuf_clear(&r->line);
    if (r->status < 200) {
        r->state = RESPONSE_HEAD; /* an interim answer; the real one follows */
    } else if (r->head_request || r->status == 204 || r->status == 304 || (!chunked && has_length && length == 0)) {
        r->state = RESPONSE_DONE;
    } else if (chunked) {
        r->state = RESPONSE_CHUNK_SIZE;
    } else if (has_length) {
        r->left = length;
        r->state = RESPONSE_LENGTH;
    } else {
        r->close = true;
        r->state = RESPONSE_TO_CLOSE;
    }
}

static void read_head(struct response *r)
{
    struct slice rest = strbuf_slice(&r->line);
    bool chunked = false, has_length = false;
    uint64_t length = 0;
    bool ok = read_status(r, next_line(&rest));
    while (ok && rest.p != NULL) {
        struct slice line = next_line(&rest), name = slice_cut(&line, ':'), value = slice_trim(line);
        if (slice_eq_nocase(name, SLICE("content-length"))) {
            ok = !has_length && slice_to_u64(value, &length);
            has_length = true;
        } else if (slice_eq_nocase(name, SLICE("transfer-encoding"))) {
            chunked = has_token(value, SLICE("chunked"));
        } else if (slice_eq_nocase(name, SLICE("connection")) && has_token(value, SLICE("close"))) {
            r->close = true;
        }
    }
    if (ok) {
        head_done(r, chunked, has_length, length);
    } else {
        r->state = RESPONSE_BAD;
    }
}

static bool ends_line(const struct response *r)
{
    return slice_ends_with(strbuf_slice(&r->line), SLICE("\n"));
}

static void line_byte(struct response *r, char c)
{
    strbuf_add_char(&r->line, c);
    if (r->line.n > RESPONSE_HEAD_MAX) {
        r->state = RESPONSE_BAD;
    } else if (r->state == RESPONSE_HEAD) {
        if (slice_ends_with(strbuf_slice(&r->line), SLICE("\r\n\r\n"))) {
            read_head(r);
        }
    } else if (ends_line(r) && r->state == RESPONSE_CHUNK_SIZE) {
        char *end;
        r->left = strtoull(strbuf_cstr(&r->line), &end, 16);
        r->state = end == strbuf_cstr(&r->line) ? RESPONSE_BAD : r->left == 0 ? RESPONSE_TRAILERS : RESPONSE_CHUNK;
        strbuf_clear(&r->line);
    } else if (ends_line(r) && r->state == RESPONSE_CHUNK_END) {
        r->state = r->line.n == 2 ? RESPONSE_CHUNK_SIZE : RESPONSE_BAD;
        strbuf_clear(&r->line);
    } else if (ends_line(r)) {
        r->state = r->line.n == 2 ? RESPONSE_DONE : RESPONSE_TRAILERS;
        strbuf_clear(&r->line);
    }
}

static size_t body_bytes(struct response *r, const char *p, size_t n)
{
    size_t take = r->state != RESPONSE_TO_CLOSE && r->left < n ? (size_t)r->left : n;
    size_t room = r->body.n < RESPONSE_BODY_KEPT ? RESPONSE_BODY_KEPT - r->body.n : 0;
    strbuf_add(&r->body, slice_make(p, take < room ? take : room));
    if (r->state != RESPONSE_TO_CLOSE) {
        r->left -= take;
    }
    if (r->left == 0 && r->state != RESPONSE_TO_CLOSE) {
        r->state = r->state == RESPONSE_LENGTH ? RESPONSE_DONE : RESPONSE_CHUNK_END;
    }
    return take;
}

size_t response_feed(struct response *r, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n && r->state != RESPONSE_DONE && r->state != RESPONSE_BAD) {
        if (r->state == RESPONSE_LENGTH || r->state == RESPONSE_CHUNK || r->state == RESPONSE_TO_CLOSE) {
            at += body_bytes(r, p + at, n - at);
        } else {
            line_byte(r, p[at++]);
        }
    }
    return at;
}

bool response_end(struct response *r)
{
    if (r->state != RESPONSE_TO_CLOSE) {
        return false;
    }
    r->state = RESPONSE_DONE;
    return true;
}
