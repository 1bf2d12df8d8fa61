/* Operators about time: points in the life of a request, and what lies between two of them. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/macros.h"
#include "proxy/observe/operator.h"

/* ---- points in time: strftime, and %s, %f, %1f … %9f ---- */

struct time_piece {
    const char *format; /* for strftime; NULL: one of the two below */
    unsigned digits;    /* of the fraction */
    bool epoch;         /* whole seconds */
};

struct time_format {
    struct time_piece *pieces;
    size_t n;
};

static struct time_piece *add_piece(struct time_format *f)
{
    return &f->pieces[f->n++];
}

static void add_strftime(struct time_format *f, struct arena *arena, struct slice text)
{
    if (text.n > 0) {
        *add_piece(f) = (struct time_piece){.format = arena_str(arena, text)};
    }
}

/* Length of a specification of ours at text[0] == '%'; 0: strftime's. */
static size_t own_piece(struct slice text, struct time_piece *out)
{
    *out = (struct time_piece){NULL, 0, false};
    if (text.n > 1 && (text.p[1] == 's' || text.p[1] == 'f')) {
        out->epoch = text.p[1] == 's';
        out->digits = 9;
        return 2;
    }
    if (text.n > 2 && text.p[1] >= '1' && text.p[1] <= '9' && text.p[2] == 'f') {
        out->digits = (unsigned)(text.p[1] - '0');
        return 3;
    }
    return 0;
}

static bool prepare_format(struct operator* op, struct arena *arena, struct err *err)
{
    struct slice text = op->argument.n > 0 ? op->argument : SLICE("%Y-%m-%dT%H:%M:%S.%3fZ");
    struct time_format *f = arena_zalloc(arena, sizeof *f);
    f->pieces = arena_zalloc(arena, (text.n + 1) * sizeof *f->pieces);
    size_t plain = 0;
    for (size_t i = 0; i < text.n;) {
        if (text.p[i] == '\n' || text.p[i] == '\r') {
            return err_set(err, ERR_INPUT, "a line break in the time format");
        }
        if (text.p[i] != '%') {
            i++;
            continue;
        }
        struct time_piece own;
        size_t n = own_piece(slice_from(text, i), &own);
        if (n == 0 && i + 1 == text.n) {
            return err_set(err, ERR_INPUT, "the time format ends with %%");
        }
        if (n > 0) {
            add_strftime(f, arena, slice_sub(text, plain, i - plain));
            *add_piece(f) = own;
            plain = i + n;
        }
        i += n > 0 ? n : 2;
    }
    add_strftime(f, arena, slice_from(text, plain));
    op->prepared = f;
    return true;
}

static size_t print_own(const struct time_piece *p, int64_t wall_us, char *out, size_t room)
{
    char text[48];
    long long seconds = wall_us / 1000000, nanos = wall_us % 1000000 * 1000;
    int n = p->epoch ? snprintf(text, sizeof text, "%lld", seconds) : snprintf(text, sizeof text, "%09lld", nanos);
    size_t len = p->epoch ? (size_t)n : p->digits;
    if (len > room) {
        return 0;
    }
    memcpy(out, text, len);
    return len;
}

static void print_time(const struct operator* op, int64_t wall_us, bool local, struct value *v)
{
    const struct time_format *f = op->prepared;
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    if (local) {
        localtime_r(&seconds, &tm);
    } else {
        gmtime_r(&seconds, &tm);
    }
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        const struct time_piece *p = &f->pieces[i];
        n += p->format != NULL ? strftime(v->scratch + n, sizeof v->scratch - n, p->format, &tm)
                               : print_own(p, wall_us, v->scratch + n, sizeof v->scratch - n);
    }
    value_text(v, slice_make(v->scratch, n));
}

static void eval_start(const struct operator* op, const struct record *r, struct value *v)
{
    print_time(op, r->start_wall_us, false, v);
}

static void eval_start_local(const struct operator* op, const struct record *r, struct value *v)
{
    print_time(op, r->start_wall_us, true, v);
}

static void eval_emit(const struct operator* op, const struct record *r, struct value *v)
{
    (void)r;
    print_time(op, clock_wall_us(), false, v);
}

static void eval_emit_local(const struct operator* op, const struct record *r, struct value *v)
{
    (void)r;
    print_time(op, clock_wall_us(), true, v);
}

/* ---- spans ---- */

static void value_span(struct value *v, int64_t from, int64_t to, int64_t unit_us)
{
    if (from != 0 && to != 0) {
        value_number(v, to > from ? (to - from) / unit_us : 0);
    }
}

static void eval_duration(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_span(v, r->start_us, r->end_us, 1000);
}

static void eval_request_duration(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_span(v, r->start_us, r->request_end_us, 1000);
}

static void eval_response_duration(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_span(v, r->start_us, r->upstream_response_us, 1000);
}

static void eval_response_tx(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_span(v, r->upstream_response_us, r->end_us, 1000);
}

/* COMMON_DURATION(from:to:unit) between points that a record has. */
struct span {
    size_t from, to; /* offsets in struct record */
    int64_t unit_us; /* 0: nanoseconds */
};

static bool find_point(struct slice name, size_t *offset)
{
    static const struct {
        const char *name;
        size_t offset;
    } points[] = {
        {"DS_RX_BEG", offsetof(struct record, start_us)},
        {"DS_RX_END", offsetof(struct record, request_end_us)},
        {"US_TX_BEG", offsetof(struct record, upstream_start_us)},
        {"US_RX_BEG", offsetof(struct record, upstream_response_us)},
        {"US_RX_END", offsetof(struct record, upstream_end_us)},
        {"DS_TX_BEG", offsetof(struct record, response_start_us)},
        {"DS_TX_END", offsetof(struct record, end_us)},
    };
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        if (slice_eq(slice_of(points[i].name), name)) {
            *offset = points[i].offset;
            return true;
        }
    }
    return false;
}

static bool prepare_span(struct operator* op, struct arena *arena, struct err *err)
{
    struct slice unit = op->argument, from = slice_cut(&unit, ':'), to = slice_cut(&unit, ':');
    struct span *span = arena_zalloc(arena, sizeof *span);
    bool ms = slice_eq(unit, SLICE("ms")), us = slice_eq(unit, SLICE("us"));
    if (!ms && !us && !slice_eq(unit, SLICE("ns"))) {
        return err_set(err, ERR_INPUT, "the argument is START:END:ms, us or ns");
    }
    if (!find_point(from, &span->from) || !find_point(to, &span->to)) {
        return err_set(err, ERR_UNSUPPORTED, "%.*s: a point in time that is not recorded",
                       SLICE_ARG(find_point(from, &span->from) ? to : from));
    }
    span->unit_us = ms ? 1000 : us ? 1 : 0;
    op->prepared = span;
    return true;
}

static void eval_span(const struct operator* op, const struct record *r, struct value *v)
{
    const struct span *span = op->prepared;
    int64_t from, to;
    memcpy(&from, (const char *)r + span->from, sizeof from);
    memcpy(&to, (const char *)r + span->to, sizeof to);
    value_span(v, from, to, span->unit_us == 0 ? 1 : span->unit_us);
    v->number *= span->unit_us == 0 && v->kind == VALUE_NUMBER ? 1000 : 1;
}

const struct operator_type operator_time_table[] = {
    {"START_TIME", ARGUMENT_OPTIONAL, prepare_format, eval_start},
    {"START_TIME_LOCAL", ARGUMENT_OPTIONAL, prepare_format, eval_start_local},
    {"EMIT_TIME", ARGUMENT_OPTIONAL, prepare_format, eval_emit},
    {"EMIT_TIME_LOCAL", ARGUMENT_OPTIONAL, prepare_format, eval_emit_local},
    {"DURATION", ARGUMENT_NONE, NULL, eval_duration},
    {"REQUEST_DURATION", ARGUMENT_NONE, NULL, eval_request_duration},
    {"RESPONSE_DURATION", ARGUMENT_NONE, NULL, eval_response_duration},
    {"RESPONSE_TX_DURATION", ARGUMENT_NONE, NULL, eval_response_tx},
    {"COMMON_DURATION", ARGUMENT_NEEDED, prepare_span, eval_span},
    {NULL, ARGUMENT_NONE, NULL, NULL},
};
