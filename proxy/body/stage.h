/*
 * stage: what policies do to a body on its way: a list of stages, bytes in, bytes out. A stage passes on what it can at
 * once, or holds the body until its end, up to a limit. Pure, no I/O; one request, one loop. Stages and the list live in
 * the request's arena; what they hold besides is given back by body_chain_fini.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* A step that makes more than this of what it was given fails: replacements of replacements could grow without end. */
enum { BODY_STEP_MAX = 8 << 20 };

struct body_stage;

struct body_stage_ops {
    /* Takes all of `in`, appends to `out`. end: nothing more comes. false: the body cannot go on, err says why. */
    bool (*run)(struct body_stage *s, struct buf *in, bool end, struct buf *out, struct err *err);
    void (*fini)(struct body_stage *s); /* may be NULL */
};

struct body_stage { /* what a stage's own struct begins with */
    const struct body_stage_ops *ops;
    struct body_stage *next;
    const char *policy; /* its name, for what is said about a failure */
};

struct body_chain {
    struct body_stage *first;
    const struct body_stage *failed; /* whose run was false */
    bool over;                       /* the end has gone through */
};

struct body_chain *body_chain_create(struct arena *arena);
void body_chain_add(struct body_chain *c, struct body_stage *s); /* behind those that are there */
/* Moves all of `in` through. Not again after false or after the end. */
bool body_chain_run(struct body_chain *c, struct buf *in, bool end, struct buf *out, struct err *err);
void body_chain_fini(struct body_chain *c); /* may be called twice; the list is empty then */

/* ---- the stages ---- */

/* Every `from` becomes `to`, as it passes. whole_url: not where a letter, digit or one of "-._~:" follows. */
struct body_replace {
    struct slice from, to; /* from: not empty; both outlive the stage */
    bool whole_url;
};
struct body_stage *body_replace_create(struct arena *arena, const struct body_replace *r, const char *policy);

/* `before`, the body, `after`. */
struct body_stage *body_wrap_create(struct arena *arena, struct slice before, struct slice after, const char *policy);

struct body_to_xml {
    struct slice separator, prefix, block; /* refs: json-to-xml; the last two may be empty */
    size_t max_bytes;
};
struct body_stage *body_to_xml_create(struct arena *arena, const struct body_to_xml *x, const char *policy);

struct body_to_json {
    bool always_array;
    size_t max_bytes;
};
struct body_stage *body_to_json_create(struct arena *arena, const struct body_to_json *j, const char *policy);
