#include "proxy/codec/h1_fields.h"

#include <string.h>

#include "proxy/codec/chars.h"

static char byte_at(const struct buf *in, size_t off)
{
    char c = '\0';
    buf_copy_out(in, off, &c, 1);
    return c;
}

/* Bare LF is refused here, at once, so that a head that will never be valid is not waited for (RFC 9112 2.2). */
static enum h1_result end_line(struct h1_scan *scan, size_t at, char before, size_t *len, struct err *err)
{
    if (at == scan->line_start || before != '\r') {
        err_set(err, ERR_PROTOCOL, "line does not end in CRLF");
        return H1_BAD;
    }
    if (at == scan->line_start + 1) {
        *len = at + 1;
        return H1_DONE;
    }
    if (scan->line_start == 0) {
        scan->first_line = at + 1;
    }
    scan->line_start = at + 1;
    return H1_MORE;
}

enum h1_result h1_find_end(struct h1_scan *scan, const struct buf *in, size_t max, size_t *len, struct err *err)
{
    while (scan->scanned < in->len) {
        size_t base = scan->scanned;
        struct slice piece = buf_piece_at(in, base);
        size_t off = 0;
        while (off < piece.n) {
            const char *lf = memchr(piece.p + off, '\n', piece.n - off);
            if (lf == NULL) {
                break;
            }
            size_t at = base + (size_t)(lf - piece.p);
            char before = lf > piece.p ? lf[-1] : at > 0 ? byte_at(in, at - 1) : '\0';
            enum h1_result r = end_line(scan, at, before, len, err);
            if (r == H1_DONE && *len > max) {
                break;
            }
            if (r != H1_MORE) {
                return r;
            }
            off = at - base + 1;
        }
        scan->scanned = base + piece.n;
        if (scan->scanned > max) {
            err_set(err, ERR_LIMIT, "larger than %zu bytes", max);
            return H1_BAD;
        }
    }
    return H1_MORE;
}

static bool bad(struct err *err, const char *what, struct slice name)
{
    return err_set(err, ERR_PROTOCOL, "%s in field %.*s", what, name.n > 64 ? 64 : SLICE_ARG(name));
}

/* Members of Connection (RFC 9110 7.6.1): tokens, empty ones ignored. */
static bool note_connection(struct h1_facts *facts, struct slice list, struct err *err)
{
    while (list.p != NULL) {
        struct slice token = slice_trim(slice_cut(&list, ','));
        if (token.n == 0) {
            continue;
        }
        bool close = slice_eq_nocase(token, SLICE("close"));
        bool keep_alive = slice_eq_nocase(token, SLICE("keep-alive"));
        bool upgrade = slice_eq_nocase(token, SLICE("upgrade"));
        facts->close |= close;
        facts->keep_alive |= keep_alive;
        facts->connection_upgrade |= upgrade;
        if (!close && !keep_alive && !upgrade && !head_check_nominated(token, err)) {
            return false;
        }
    }
    return true;
}

/* true: the field is known by facts alone and does not join the head's list. */
static bool note_framing(struct h1_facts *facts, enum head_field id, struct slice value, bool request)
{
    if (id == FIELD_CONTENT_LENGTH) {
        facts->lengths++;
        facts->length = value;
        return true;
    }
    if (id == FIELD_TRANSFER_ENCODING) {
        facts->encodings++;
        facts->encoding = value;
        return true;
    }
    if (id == FIELD_HOST && request) {
        facts->hosts++;
        facts->host = value;
        return true;
    }
    if (id == FIELD_EXPECT) {
        facts->expects++;
        facts->expect = value;
    } else if (id == FIELD_UPGRADE) {
        facts->upgrades++;
        facts->upgrade = value;
    }
    return false;
}

static bool note_field(struct head *head, struct slice name, struct slice value, bool request, struct h1_facts *facts,
                       struct err *err)
{
    enum head_field id = head_intern(name);
    if (id == FIELD_OTHER) {
        if (chars_looks_like_framing(name)) {
            return bad(err, "name resembles a framing field", name);
        }
        head_add_sound(head, id, name, value);
        return true;
    }
    if (note_framing(facts, id, value, request)) {
        return true;
    }
    if (id == FIELD_CONNECTION && !note_connection(facts, value, err)) {
        return false;
    }
    head_add_sound(head, id, name, value);
    return true;
}

/* One "name: value CRLF" (RFC 9112 5); *p moves behind it. */
static bool read_line(char **p, const char *end, struct slice *name, struct slice *value, struct err *err)
{
    char *c = *p;
    while (c < end) {
        unsigned char lower = chars_token_lower[(unsigned char)*c];
        if (lower == 0) {
            break;
        }
        *c++ = (char)lower;
    }
    *name = slice_make(*p, (size_t)(c - *p));
    if (c == end || *c != ':' || name->n == 0) {
        /* obs-fold, a space before the colon, an empty or odd name, no colon at all (RFC 9112 5.1, 5.2) */
        return bad(err, "malformed name", *name);
    }
    c++;
    size_t n = chars_value_span(c, (size_t)(end - c));
    *value = slice_trim(slice_make(c, n));
    c += n;
    if (end - c < 2 || c[0] != '\r' || c[1] != '\n') {
        return bad(err, "control character", *name);
    }
    *p = c + 2;
    return true;
}

bool h1_parse_fields(struct head *head, char *p, char *end, bool request, unsigned max_fields, struct h1_facts *facts,
                     struct err *err)
{
    unsigned count = 0;
    facts->status = 400;
    while (end - p > 2) {
        struct slice name, value;
        if (!read_line(&p, end, &name, &value, err)) {
            return false;
        }
        if (++count > max_fields) {
            facts->status = 431;
            return err_set(err, ERR_LIMIT, "more than %u fields", max_fields);
        }
        if (!note_field(head, name, value, request, facts, err)) {
            return false;
        }
    }
    return true;
}

static bool parse_encoding(struct h1_facts *facts, struct h1_message *message, struct err *err)
{
    if (facts->encodings > 1) {
        return err_set(err, ERR_PROTOCOL, "more than one transfer-encoding");
    }
    if (!slice_eq_nocase(facts->encoding, SLICE("chunked"))) {
        /* RFC 9112 6.1: 501 for a coding we do not know; a list that merely contains "chunked" is an attack. */
        facts->status = chars_is_token(facts->encoding) ? 501 : 400;
        return err_set(err, ERR_UNSUPPORTED, "transfer-encoding is not exactly chunked");
    }
    message->framing = H1_CHUNKED;
    return true;
}

bool h1_parse_framing(struct head *head, struct h1_facts *facts, struct h1_message *message, struct err *err)
{
    if (facts->encodings > 0 && facts->lengths > 0) {
        return err_set(err, ERR_PROTOCOL, "both content-length and transfer-encoding");
    }
    if (facts->encodings > 0 && head->version == HTTP_1_0) {
        return err_set(err, ERR_PROTOCOL, "transfer-encoding in HTTP/1.0");
    }
    if (facts->encodings > 0) {
        return parse_encoding(facts, message, err);
    }
    if (facts->lengths == 0) {
        return true;
    }
    uint64_t length;
    if (facts->lengths > 1 || facts->length.n > 19 || !slice_to_u64(facts->length, &length) || length > INT64_MAX) {
        return err_set(err, ERR_PROTOCOL, "content-length is not one decimal number");
    }
    message->framing = H1_LENGTH;
    message->length = length;
    head->content_length = (int64_t)length;
    return true;
}
