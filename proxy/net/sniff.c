/*
 * The ClientHello of a connection, read without taking it (RFC 8446 sections 4.1.2 and 5.1, RFC 5246 sections 6.2.1 and
 * 7.4.1.2, RFC 6066 section 3, RFC 7301 section 3.1). Pure: the same bytes give the same answer.
 */
#include <string.h>

#include "proxy/net/tls.h"

enum {
    RECORD_HEAD = 5,
    RECORD_MAX = 16384,
    HELLO_HEAD = 4,
    HELLO_MAX = 16384, /* a real one has 200 to 2,000 bytes */
    RECORDS_MAX = 64,  /* a hello may be cut into records, but not into single bytes */
    CONTENT_HANDSHAKE = 22,
    CLIENT_HELLO = 1,
    EXT_SERVER_NAME = 0,
    EXT_ALPN = 16,
};

/* What is left of a length-delimited part; a read past its end makes it bad for good. */
struct reader {
    const unsigned char *p;
    size_t n;
    bool bad;
};

static size_t take_number(struct reader *r, unsigned bytes)
{
    size_t v = 0;
    if (r->bad || r->n < bytes) {
        r->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) {
        v = v << 8 | r->p[i];
    }
    r->p += bytes;
    r->n -= bytes;
    return v;
}

static struct reader take_part(struct reader *r, size_t n)
{
    if (r->bad || r->n < n) {
        r->bad = true;
        return (struct reader){NULL, 0, true};
    }
    struct reader part = {r->p, n, false};
    r->p += n;
    r->n -= n;
    return part;
}

/* A vector: its length in `bytes` bytes, then itself. */
static struct reader take_vector(struct reader *r, unsigned bytes)
{
    return take_part(r, take_number(r, bytes));
}

struct keeper { /* where in out->text the next name goes */
    struct sniff_hello *out;
    size_t used;
};

static bool keep(struct keeper *k, struct reader name, bool lower, struct slice *kept)
{
    if (name.n > sizeof k->out->text - k->used) {
        return false;
    }
    char *to = k->out->text + k->used;
    for (size_t i = 0; i < name.n; i++) {
        to[i] = lower ? ascii_lower((char)name.p[i]) : (char)name.p[i];
    }
    *kept = slice_make(to, name.n);
    k->used += name.n;
    return true;
}

/* Letters, digits, hyphen, dot, and the underscore that is met in practice. */
static bool is_host_name(struct reader name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (!letter && !other) {
            return false;
        }
    }
    return name.n > 0 && name.n <= 255 && name.p[0] != '.';
}

static bool read_server_name(struct keeper *k, struct reader ext)
{
    struct reader list = take_vector(&ext, 2);
    if (ext.bad || ext.n != 0 || list.n == 0) {
        return false;
    }
    while (list.n > 0) {
        size_t type = take_number(&list, 1);
        struct reader name = take_vector(&list, 2);
        if (list.bad) {
            return false;
        }
        if (type != 0) {
            continue; /* only host_name was ever defined */
        }
        if (name.n > 1 && name.p[name.n - 1] == '.') {
            name.n--; /* forbidden, but "a.example." means a.example */
        }
        if (k->out->sni.n > 0 || !is_host_name(name) || !keep(k, name, true, &k->out->sni)) {
            return false; /* two names of one type are forbidden */
        }
    }
    return true;
}

static bool read_alpn(struct keeper *k, struct reader ext)
{
    struct reader list = take_vector(&ext, 2);
    if (ext.bad || ext.n != 0 || list.n == 0) {
        return false;
    }
    while (list.n > 0) {
        struct reader name = take_vector(&list, 1);
        if (list.bad || name.n == 0) {
            return false;
        }
        struct sniff_hello *out = k->out;
        if (out->n_alpn < ARRAY_LEN(out->alpn) && keep(k, name, false, &out->alpn[out->n_alpn])) {
            out->n_alpn++; /* what comes after eight, or does not fit, is of no use to choose by */
        }
    }
    return true;
}

static bool read_extensions(struct keeper *k, struct reader all)
{
    bool seen_name = false, seen_alpn = false;
    struct reader alpn = {NULL, 0, false};
    while (all.n > 0) {
        size_t type = take_number(&all, 2);
        struct reader ext = take_vector(&all, 2);
        bool *seen = type == EXT_SERVER_NAME ? &seen_name : type == EXT_ALPN ? &seen_alpn : NULL;
        if (all.bad || (seen != NULL && *seen)) {
            return false; /* RFC 8446 section 4.2: no extension comes twice */
        }
        if (seen != NULL) {
            *seen = true;
        }
        if (type == EXT_SERVER_NAME && !read_server_name(k, ext)) {
            return false;
        }
        if (type == EXT_ALPN) {
            alpn = ext;
        }
    }
    return !seen_alpn || read_alpn(k, alpn); /* after the name, which must find room */
}

static bool read_hello(struct sniff_hello *out, struct reader r)
{
    struct keeper k = {out, 0};
    take_part(&r, 2 + 32); /* legacy_version, random */
    struct reader session = take_vector(&r, 1);
    struct reader ciphers = take_vector(&r, 2);
    struct reader compression = take_vector(&r, 1);
    if (r.bad || session.n > 32 || ciphers.n < 2 || ciphers.n % 2 != 0 || compression.n == 0) {
        return false;
    }
    if (r.n == 0) {
        return true; /* TLS 1.2 and older may have no extensions */
    }
    struct reader extensions = take_vector(&r, 2);
    return !r.bad && r.n == 0 && read_extensions(&k, extensions);
}

struct hello_bytes {
    unsigned char p[HELLO_HEAD + HELLO_MAX];
    size_t n, want; /* want: with head; 0 until that is here */
};

static enum sniff_result check_head(struct hello_bytes *h)
{
    if (h->n > 0 && h->p[0] != CLIENT_HELLO) {
        return SNIFF_BAD;
    }
    if (h->want == 0 && h->n >= HELLO_HEAD) {
        h->want = HELLO_HEAD + ((size_t)h->p[1] << 16 | (size_t)h->p[2] << 8 | h->p[3]);
    }
    return h->want > sizeof h->p ? SNIFF_BAD : SNIFF_MORE;
}

/* Joins the records that carry the hello. SNIFF_TLS: it is complete. */
static enum sniff_result join_records(const struct buf *in, struct hello_bytes *h)
{
    size_t at = 0;
    for (unsigned records = 0; records < RECORDS_MAX; records++) {
        unsigned char head[RECORD_HEAD];
        size_t have = buf_copy_out(in, at, head, sizeof head);
        enum sniff_result not_tls = at == 0 ? SNIFF_NOT_TLS : SNIFF_BAD;
        if ((have > 0 && head[0] != CONTENT_HANDSHAKE) || (have > 1 && head[1] != 3)) {
            return not_tls;
        }
        if (have < sizeof head) {
            return SNIFF_MORE;
        }
        size_t len = (size_t)head[3] << 8 | head[4];
        if (len == 0 || len > RECORD_MAX) {
            return not_tls;
        }
        at += sizeof head;
        size_t room = sizeof h->p - h->n;
        size_t got = buf_copy_out(in, at, h->p + h->n, len < room ? len : room);
        h->n += got;
        if (check_head(h) == SNIFF_BAD) {
            return at == RECORD_HEAD && h->n > 0 && h->p[0] != CLIENT_HELLO ? SNIFF_NOT_TLS : SNIFF_BAD;
        }
        if (h->want > 0 && h->n >= h->want) {
            return SNIFF_TLS;
        }
        if (got < len) {
            return SNIFF_MORE;
        }
        at += len;
    }
    return SNIFF_BAD;
}

enum sniff_result sniff_client_hello(const struct buf *in, struct sniff_hello *out)
{
    memset(out, 0, sizeof *out);
    struct hello_bytes h;
    h.n = h.want = 0;
    enum sniff_result joined = join_records(in, &h);
    if (joined != SNIFF_TLS) {
        return joined;
    }
    /* What follows the hello in its record would be the next handshake message; a client has none to send yet. */
    struct reader body = {h.p + HELLO_HEAD, h.want - HELLO_HEAD, false};
    if (!read_hello(out, body)) {
        memset(out, 0, sizeof *out);
        return SNIFF_BAD;
    }
    return SNIFF_TLS;
}
