/* Reading a body: by length, in chunks (RFC 9112 7.1), or until the connection ends. */
#include <assert.h>
#include <string.h>

#include "proxy/codec/chars.h"
#include "proxy/codec/h1_fields.h"

enum {
    SIZE_FIRST, /* a chunk size needs a digit */
    SIZE,
    EXT_NAME_FIRST,
    EXT_NAME,
    EXT_VALUE_FIRST,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_AFTER_QUOTED,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILERS,
    OVER,
};

enum {
    SIZE_DIGITS_MAX = 15,
    OVERHEAD_FREE = 16,      /* of a chunk line: costs nothing */
    OVERHEAD_MAX = 16 << 10, /* of a body */
    COPY_BELOW = 256,        /* smaller pieces are copied: sharing one would cost more than the bytes */
};

void h1_body_init(struct h1_body *b, const struct h1_message *message, const struct h1_limits *limits)
{
    *b = (struct h1_body){.framing = message->framing, .limits = limits, .state = SIZE_FIRST};
    if (message->framing == H1_LENGTH) {
        b->left = message->length;
    } else if (message->framing == H1_NO_BODY) {
        b->state = OVER;
    }
}

static size_t move_some(struct buf *out, struct buf *in, size_t n)
{
    if (n > in->len) {
        n = in->len;
    }
    if (n >= COPY_BELOW || n == in->len) {
        return buf_move(out, in, n);
    }
    for (size_t left = n; left > 0;) {
        struct slice piece = slice_sub(buf_front(in), 0, left);
        buf_append_slice(out, piece);
        left -= piece.n;
        buf_drain(in, piece.n);
    }
    return n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The step from a state that expects an extension name or value byte; -1: the byte may not stand there. */
static int extension_step(int state, char c)
{
    bool token = chars_is_token_byte(c);
    switch (state) {
    case EXT_NAME_FIRST:
        return c == ' ' || c == '\t' ? EXT_NAME_FIRST : token ? EXT_NAME : -1;
    case EXT_NAME:
        return token ? EXT_NAME : c == '=' ? EXT_VALUE_FIRST : c == ';' ? EXT_NAME_FIRST : c == '\r' ? SIZE_LF : -1;
    case EXT_VALUE_FIRST:
        return token ? EXT_VALUE : c == '"' ? EXT_QUOTED : -1;
    case EXT_VALUE:
        return token ? EXT_VALUE : c == ';' ? EXT_NAME_FIRST : c == '\r' ? SIZE_LF : -1;
    case EXT_QUOTED:
        return c == '"' ? EXT_AFTER_QUOTED : c == '\\' ? EXT_ESCAPED : chars_value_span(&c, 1) == 1 ? EXT_QUOTED : -1;
    case EXT_ESCAPED:
        return chars_value_span(&c, 1) == 1 ? EXT_QUOTED : -1;
    default: /* EXT_AFTER_QUOTED */
        return c == ';' ? EXT_NAME_FIRST : c == '\r' ? SIZE_LF : -1;
    }
}

static bool size_step(struct h1_body *b, char c)
{
    int digit = hex_value(c);
    if (digit >= 0 && b->line <= SIZE_DIGITS_MAX) {
        b->left = b->left * 16 + (unsigned)digit;
        b->state = SIZE;
        return true;
    }
    if (b->state == SIZE && (c == ';' || c == '\r')) {
        b->state = c == ';' ? EXT_NAME_FIRST : SIZE_LF;
        return true;
    }
    return false;
}

static bool end_size_line(struct h1_body *b, char c)
{
    if (c != '\n') {
        return false;
    }
    size_t free_bytes = OVERHEAD_FREE + (b->left < OVERHEAD_MAX ? (size_t)b->left : OVERHEAD_MAX);
    b->overhead += b->line > free_bytes ? b->line - free_bytes : 0;
    b->line = 0;
    b->state = b->left > 0 ? DATA : TRAILERS;
    return b->overhead <= OVERHEAD_MAX;
}

static bool line_step(struct h1_body *b, char c)
{
    if (++b->line > b->limits->max_chunk_line_bytes) {
        return false;
    }
    if (b->state <= SIZE) {
        return size_step(b, c);
    }
    if (b->state == SIZE_LF) {
        return end_size_line(b, c);
    }
    if (b->state == DATA_CR || b->state == DATA_LF) {
        bool cr = b->state == DATA_CR;
        b->line = 0;
        b->state = cr ? DATA_LF : SIZE_FIRST;
        return c == (cr ? '\r' : '\n');
    }
    b->state = extension_step(b->state, c);
    return b->state >= 0;
}

/* Runs over the bytes of a chunk line; false: refused. */
static bool read_line_bytes(struct h1_body *b, struct buf *in)
{
    while (in->len > 0 && b->state != DATA && b->state != TRAILERS) {
        struct slice piece = buf_front(in);
        size_t n = 0;
        while (n < piece.n && b->state != DATA && b->state != TRAILERS) {
            if (!line_step(b, piece.p[n++])) {
                return false;
            }
        }
        buf_drain(in, n);
    }
    return true;
}

/* Fields that decide about framing, routing or who may do what do not belong behind the body (RFC 9110 6.5.1). */
static bool trailer_is_allowed(const struct field *f)
{
    enum head_field id = f->id;
    return id != FIELD_HOST && id != FIELD_CONNECTION && id != FIELD_TE && id != FIELD_TRAILER && id != FIELD_UPGRADE &&
           id != FIELD_EXPECT && id != FIELD_AUTHORIZATION && id != FIELD_PROXY_AUTHORIZATION && id != FIELD_COOKIE &&
           id != FIELD_SET_COOKIE && id != FIELD_CONTENT_TYPE && id != FIELD_CONTENT_ENCODING && id != FIELD_RANGE &&
           id != FIELD_SUBSCRIPTION_KEY && id != FIELD_X_FORWARDED_FOR;
}

static enum h1_result read_trailers(struct h1_body *b, struct buf *in, struct head *trailers, struct err *err)
{
    size_t len = 0;
    enum h1_result r = h1_find_end(&b->scan, in, b->limits->max_trailer_bytes, &len, err);
    if (r != H1_DONE) {
        err_prefix(r == H1_BAD ? err : NULL, "trailers");
        return r;
    }
    b->state = OVER;
    if (len == 2) {
        buf_drain(in, 2);
        return H1_DONE;
    }
    char *text = arena_alloc(trailers->arena, len);
    buf_copy_out(in, 0, text, len);
    struct h1_facts facts = {0};
    bool ok = h1_parse_fields(trailers, text, text + len, true, b->limits->max_fields, &facts, err) ||
              err_prefix(err, "trailers");
    bool allowed = facts.hosts + facts.lengths + facts.encodings == 0;
    for (unsigned i = 0; i < trailers->n; i++) {
        allowed = allowed && trailer_is_allowed(&trailers->fields[i]);
    }
    if (ok && !allowed) {
        ok = err_set(err, ERR_PROTOCOL, "trailers: a field that may not stand there");
    }
    buf_drain(in, len);
    return ok ? H1_DONE : H1_BAD;
}

static enum h1_result read_chunked(struct h1_body *b, struct buf *in, struct buf *out, size_t max,
                                   struct head *trailers, struct err *err)
{
    while (in->len > 0 && b->state != TRAILERS) {
        if (b->state != DATA) {
            if (!read_line_bytes(b, in)) {
                err_set(err, ERR_PROTOCOL, "malformed or over-long chunk line");
                return H1_BAD;
            }
            continue;
        }
        if (max == 0) {
            return H1_MORE;
        }
        size_t n = move_some(out, in, b->left < max ? (size_t)b->left : max);
        b->left -= n;
        max -= n;
        if (b->left == 0) {
            b->state = DATA_CR;
        }
    }
    return b->state == TRAILERS ? read_trailers(b, in, trailers, err) : H1_MORE;
}

enum h1_result h1_body_read(struct h1_body *b, struct buf *in, struct buf *out, size_t max, struct head *trailers,
                            struct err *err)
{
    switch (b->framing) {
    case H1_NO_BODY:
        return H1_DONE;
    case H1_UNTIL_CLOSE:
        buf_move(out, in, max);
        return H1_MORE;
    case H1_LENGTH:
        b->left -= buf_move(out, in, b->left < max ? (size_t)b->left : max);
        return b->left == 0 ? H1_DONE : H1_MORE;
    case H1_CHUNKED:
        return read_chunked(b, in, out, max, trailers, err);
    default:
        assert(false);
        return H1_BAD;
    }
}

bool h1_body_eof(const struct h1_body *b)
{
    return b->framing == H1_UNTIL_CLOSE;
}

bool h1_body_in_trailers(const struct h1_body *b)
{
    return b->framing == H1_CHUNKED && b->state == TRAILERS;
}
