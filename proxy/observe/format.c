#include "proxy/observe/format.h"

#include "proxy/observe/format_internal.h"

const char FORMAT_DEFAULT[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" "
    "\"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool bad(struct err *err, struct slice at)
{
    struct slice shown = slice_sub(at, 0, 40);
    return err_set(err, ERR_INPUT, "\"%.*s%s\" is not an operator", SLICE_ARG(shown), at.n > shown.n ? "…" : "");
}

/* %NAME%, %NAME(argument)%, either with :Z before the last %; `at` begins with the percent sign. */
static bool cut_operator(struct slice at, struct operator_text *op, size_t *used, struct err *err)
{
    size_t i = 1;
    while (i < at.n && is_name_char(at.p[i])) {
        i++;
    }
    *op = (struct operator_text){.name = slice_sub(at, 1, i - 1), .max = SIZE_MAX};
    if (op->name.n == 0) {
        return bad(err, at);
    }
    if (i < at.n && at.p[i] == '(') {
        struct slice rest = slice_from(at, i + 1);
        size_t close = slice_find(rest, ')');
        op->argument = slice_sub(rest, 0, close);
        op->has_argument = true;
        i += close + 2;
    }
    if (i < at.n && at.p[i] == ':') {
        struct slice rest = slice_from(at, i + 1);
        size_t end = slice_find(rest, '%');
        uint64_t max;
        if (!slice_to_u64(slice_sub(rest, 0, end), &max) || max == 0) {
            return bad(err, at);
        }
        op->max = (size_t)max;
        i += end + 1;
    }
    if (i >= at.n || at.p[i] != '%') {
        return bad(err, at);
    }
    *used = i + 1;
    return true;
}

static struct text_piece *next_piece(struct text_format *f, struct slice *literal)
{
    f->pieces[f->n].literal = *literal;
    *literal = SLICE_NONE;
    return &f->pieces[f->n++];
}

/* Adjacent bytes of the format stay one literal; "%%" ends it with its first percent sign. */
const struct text_format *text_format_compile(struct slice text, bool omit_empty, struct arena *arena, struct err *err)
{
    text = arena_slice(arena, text);
    size_t most = 1;
    for (size_t i = 0; i < text.n; i++) {
        most += text.p[i] == '%';
    }
    struct text_format *f = arena_zalloc(arena, sizeof *f);
    f->pieces = arena_zalloc(arena, most * sizeof *f->pieces);
    f->missing = omit_empty ? SLICE_NONE : SLICE("-");
    struct slice literal = SLICE_NONE;
    for (size_t i = 0; i < text.n;) {
        size_t percent = slice_find(slice_from(text, i), '%');
        literal = slice_sub(text, i, percent);
        i += percent;
        if (i + 1 < text.n && text.p[i + 1] == '%') {
            literal.n++;
            next_piece(f, &literal);
            i += 2;
        } else if (i < text.n) {
            struct operator_text op;
            size_t used = 0;
            struct text_piece *piece = next_piece(f, &literal);
            piece->op = arena_zalloc(arena, sizeof *piece->op);
            if (!cut_operator(slice_from(text, i), &op, &used, err) || !operator_init(piece->op, &op, arena, err)) {
                return NULL;
            }
            i += used;
        }
    }
    if (literal.n > 0) {
        next_piece(f, &literal);
    }
    return f;
}

void text_format_render(const struct text_format *f, const struct record *r, struct line *out)
{
    struct value v;
    for (size_t i = 0; i < f->n; i++) {
        line_add(out, f->pieces[i].literal);
        if (f->pieces[i].op == NULL) {
            continue;
        }
        operator_eval(f->pieces[i].op, r, &v);
        switch (v.kind) {
        case VALUE_NONE:
            line_add(out, f->missing);
            break;
        case VALUE_TEXT:
            line_add(out, v.text);
            break;
        case VALUE_NUMBER:
            line_add_i64(out, v.number);
            break;
        }
    }
}
