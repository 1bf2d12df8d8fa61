/*
 * Looking for a text in a body that comes in pieces: Knuth, Morris and Pratt. What of the text has been seen so far is a
 * prefix of it, so nothing of the body is held back in memory; what turns out not to match is written from the text itself.
 */
#include <string.h>

#include "proxy/body/stage.h"

enum { SHARE_MIN = 512 }; /* shorter runs are copied: a chain of crumbs costs more */

struct replace {
    struct body_stage stage;
    struct slice from, to;
    bool whole_url;
    uint32_t *next; /* [j]: longest proper prefix of from that ends from[0..j) */
    uint32_t seen;  /* bytes of from that the body ended with; all of it only with whole_url, which looks one further */
};

/* One piece of the body while it is searched. */
struct search {
    struct replace *r;
    const struct buf *body;
    size_t at;          /* of the piece in the body */
    struct slice piece;
    ptrdiff_t written;  /* position in the piece up to which all is out; negative: within what was seen before it */
    struct buf *out;
};

static void fill_next(struct replace *r)
{
    uint32_t k = 0;
    r->next[0] = 0;
    if (r->from.n > 0) {
        r->next[1] = 0;
    }
    for (uint32_t j = 1; j < r->from.n; j++) {
        while (k > 0 && r->from.p[k] != r->from.p[j]) {
            k = r->next[k];
        }
        k += r->from.p[k] == r->from.p[j];
        r->next[j + 1] = k;
    }
}

/* Writes what lies between `written` and `to`, which is not part of a match. before: bytes of from seen before it. */
static void write_to(struct search *s, ptrdiff_t to, uint32_t before)
{
    if (s->written < 0) {
        ptrdiff_t until = to < 0 ? to : 0;
        if (until > s->written) {
            buf_append(s->out, s->r->from.p + ((ptrdiff_t)before + s->written), (size_t)(until - s->written));
            s->written = until;
        }
    }
    if (to > s->written) {
        size_t start = (size_t)s->written, n = (size_t)(to - s->written);
        if (n >= SHARE_MIN) {
            buf_share_part(s->out, s->body, s->at + start, n);
        } else {
            buf_append(s->out, s->piece.p + start, n);
        }
        s->written = to;
    }
}

static bool goes_on(char c)
{
    char l = ascii_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("-._~:", c) != NULL);
}

static void accept(struct search *s, ptrdiff_t end, uint32_t before)
{
    write_to(s, end - (ptrdiff_t)s->r->from.n, before);
    buf_append_slice(s->out, s->r->to);
    s->written = end;
    s->r->seen = 0;
}

/* The next byte of the body. */
static void step(struct search *s, ptrdiff_t i, uint32_t before)
{
    struct replace *r = s->r;
    char c = s->piece.p[i];
    if (r->seen == r->from.n) { /* whole_url: it has been found, and this is what follows */
        if (goes_on(c)) {
            r->seen = r->next[r->seen];
        } else {
            accept(s, i, before);
        }
    }
    while (r->seen > 0 && r->from.p[r->seen] != c) {
        r->seen = r->next[r->seen];
    }
    r->seen += r->from.p[r->seen] == c;
    if (r->seen == r->from.n && !r->whole_url) {
        accept(s, i + 1, before);
    }
}

static bool search_piece(struct search *s, struct err *err)
{
    uint32_t before = s->r->seen;
    s->written = -(ptrdiff_t)before;
    for (size_t i = 0; i < s->piece.n; i++) {
        if (s->r->seen == 0) {
            const char *first = memchr(s->piece.p + i, s->r->from.p[0], s->piece.n - i);
            if (first == NULL) {
                break;
            }
            i = (size_t)(first - s->piece.p);
        }
        step(s, (ptrdiff_t)i, before);
        if (buf_len(s->out) > BODY_STEP_MAX) {
            return err_set(err, ERR_LIMIT, "what %s makes of the body is larger than %d bytes at once",
                           s->r->stage.policy, BODY_STEP_MAX);
        }
    }
    write_to(s, (ptrdiff_t)s->piece.n - (ptrdiff_t)s->r->seen, before);
    return true;
}

static bool replace_run(struct body_stage *stage, struct buf *in, bool end, struct buf *out, struct err *err)
{
    struct replace *r = (void *)stage;
    for (size_t at = 0; at < buf_len(in);) {
        struct search s = {.r = r, .body = in, .at = at, .piece = buf_piece_at(in, at), .out = out};
        if (!search_piece(&s, err)) {
            return false;
        }
        at += s.piece.n;
    }
    if (end) {
        buf_append_slice(out, r->seen == r->from.n ? r->to : slice_sub(r->from, 0, r->seen));
        r->seen = 0;
    }
    return true;
}

static const struct body_stage_ops replace_ops = {.run = replace_run};

struct body_stage *body_replace_create(struct arena *arena, const struct body_replace *from, const char *policy)
{
    struct replace *r = arena_zalloc(arena, sizeof *r);
    r->stage = (struct body_stage){.ops = &replace_ops, .policy = policy};
    r->from = from->from;
    r->to = from->to;
    r->whole_url = from->whole_url;
    r->next = arena_alloc(arena, (from->from.n + 1) * sizeof *r->next);
    fill_next(r);
    return &r->stage;
}
