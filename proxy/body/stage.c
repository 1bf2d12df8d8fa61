#include "proxy/body/stage.h"

#include "proxy/body/whole.h"

struct body_chain *body_chain_create(struct arena *arena)
{
    return arena_zalloc(arena, sizeof(struct body_chain));
}

void body_chain_add(struct body_chain *c, struct body_stage *s)
{
    struct body_stage **last = &c->first;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = s;
}

bool body_chain_run(struct body_chain *c, struct buf *in, bool end, struct buf *out, struct err *err)
{
    struct buf now, made;
    buf_init(&now);
    buf_init(&made);
    buf_move_all(&now, in);
    for (struct body_stage *s = c->first; s != NULL && c->failed == NULL; s = s->next) {
        if (!s->ops->run(s, &now, end, &made, err)) {
            c->failed = s;
        }
        buf_fini(&now);
        buf_move_all(&now, &made);
    }
    c->over = end;
    if (c->failed == NULL) {
        buf_move_all(out, &now);
    }
    buf_fini(&now);
    return c->failed == NULL;
}

void body_chain_fini(struct body_chain *c)
{
    if (c == NULL) {
        return;
    }
    for (struct body_stage *s = c->first; s != NULL; s = s->next) {
        if (s->ops->fini != NULL) {
            s->ops->fini(s);
        }
    }
    c->first = NULL;
}

/* ---- wrap ---- */

struct wrap {
    struct body_stage stage;
    struct slice before, after;
    bool begun;
};

static bool wrap_run(struct body_stage *s, struct buf *in, bool end, struct buf *out, struct err *err)
{
    struct wrap *w = (void *)s;
    (void)err;
    if (!w->begun && (end || !buf_is_empty(in))) {
        buf_append_slice(out, w->before);
        w->begun = true;
    }
    buf_move_all(out, in);
    if (end) {
        buf_append_slice(out, w->after);
    }
    return true;
}

static const struct body_stage_ops wrap_ops = {.run = wrap_run};

struct body_stage *body_wrap_create(struct arena *arena, struct slice before, struct slice after, const char *policy)
{
    struct wrap *w = arena_zalloc(arena, sizeof *w);
    w->stage = (struct body_stage){.ops = &wrap_ops, .policy = policy};
    w->before = before;
    w->after = after;
    return &w->stage;
}

/* ---- whole ---- */

static bool whole_run(struct body_stage *s, struct buf *in, bool end, struct buf *out, struct err *err)
{
    struct body_whole *w = (void *)s;
    if (buf_len(&w->held) + buf_len(in) > w->max_bytes) {
        return err_set(err, ERR_LIMIT, "the body is larger than %zu bytes, which is what %s may hold", w->max_bytes,
                       s->policy);
    }
    buf_move_all(&w->held, in);
    if (!end || buf_is_empty(&w->held)) {
        buf_compact(&w->held);
        return true;
    }
    struct strbuf text;
    strbuf_init(&text);
    bool ok = w->convert(w, buf_pullup(&w->held, buf_len(&w->held)), &text, err);
    if (ok && strbuf_slice(&text).n > BODY_STEP_MAX) {
        ok = err_set(err, ERR_LIMIT, "what %s makes of the body is larger than %d bytes", s->policy, BODY_STEP_MAX);
    }
    if (ok) {
        buf_append_slice(out, strbuf_slice(&text));
    }
    strbuf_fini(&text);
    buf_fini(&w->held);
    return ok;
}

static void whole_fini(struct body_stage *s)
{
    struct body_whole *w = (void *)s;
    buf_fini(&w->held);
}

static const struct body_stage_ops whole_ops = {.run = whole_run, .fini = whole_fini};

void body_whole_init(struct body_whole *w, size_t max_bytes, const char *policy)
{
    w->stage = (struct body_stage){.ops = &whole_ops, .policy = policy};
    w->max_bytes = max_bytes;
    buf_init(&w->held);
}
