#include "xds/policy/expression.h"

#include <string.h>

#include "base/macros.h"

enum { BRACKETS_MAX = 200, STRINGS_MAX = 8, CHAR_LITERAL_MAX = 14 };

struct scanner {
    struct slice s;
    size_t i;
    unsigned nested; /* interpolated strings around here */
};

static bool scan_code(struct scanner *c, char first);

/* ---- one character, as C# sees it ---- */

struct escape {
    struct slice text;
    char c;
};

static const struct escape ESCAPES[] = {
    {{"&quot;", 6}, '"'}, {{"&#34;", 5}, '"'}, {{"&#x22;", 6}, '"'}, {{"&apos;", 6}, '\''},
    {{"&#39;", 5}, '\''}, {{"&lt;", 4}, '<'},  {{"&gt;", 4}, '>'},   {{"&amp;", 5}, '&'},
};

/* The character at i, and in how many bytes it is written. '\0' at the end. */
static char look(const struct scanner *c, size_t i, size_t *bytes)
{
    *bytes = 1;
    if (i >= c->s.n) {
        return '\0';
    }
    if (c->s.p[i] == '&') {
        for (size_t k = 0; k < ARRAY_LEN(ESCAPES); k++) {
            if (slice_starts_with(slice_from(c->s, i), ESCAPES[k].text)) {
                *bytes = ESCAPES[k].text.n;
                return ESCAPES[k].c;
            }
        }
    }
    return c->s.p[i];
}

static char next(struct scanner *c)
{
    size_t bytes;
    char ch = look(c, c->i, &bytes);
    c->i += bytes;
    return ch;
}

static char peek(const struct scanner *c)
{
    size_t bytes;
    return look(c, c->i, &bytes);
}

static bool at_end(const struct scanner *c)
{
    return c->i >= c->s.n;
}

/* ---- strings, characters, comments ---- */

struct quoting {
    bool verbatim, interpolated;
    bool escaped; /* its quotes are written &quot;: a plain '"' would end the attribute instead */
};

/* A quote of the kind that opened the string: HTML in a C# string may well hold "&quot;". */
static bool is_quote(const struct scanner *c, struct quoting q)
{
    return peek(c) == '"' && (c->s.p[c->i] == '&') == q.escaped;
}

/* Behind the opening quote; ends behind the closing one. */
static bool scan_string(struct scanner *c, struct quoting q)
{
    while (!at_end(c)) {
        if (is_quote(c, q)) {
            next(c);
            if (!q.verbatim || !is_quote(c, q)) {
                return true;
            }
            next(c);
        } else if (!q.verbatim && c->s.p[c->i] == '\\') {
            c->i++;
            next(c);
        } else if (q.interpolated && c->s.p[c->i] == '{') {
            c->i++;
            if (peek(c) == '{') {
                c->i++;
            } else if (!scan_code(c, '{')) {
                return false;
            }
        } else {
            c->i++;
        }
    }
    return false;
}

/* At '"', '@' or '$': true when a string begins here (then behind it, or *ok false when it does not end). */
static bool try_string(struct scanner *c, bool *ok)
{
    struct quoting q = {0};
    size_t i = c->i;
    for (; i < c->s.n && (c->s.p[i] == '@' || c->s.p[i] == '$'); i++) {
        q.verbatim |= c->s.p[i] == '@';
        q.interpolated |= c->s.p[i] == '$';
    }
    size_t bytes;
    if (look(c, i, &bytes) != '"') {
        return false;
    }
    q.escaped = c->s.p[i] == '&';
    c->i = i + bytes;
    *ok = scan_string(c, q);
    return true;
}

/* 'x', '\n', '\u0041'; anything else with an apostrophe is no character and stands for itself. */
static void scan_char(struct scanner *c)
{
    size_t start = ++c->i;
    if (peek(c) == '\\') {
        c->i++;
        next(c);
    } else {
        next(c);
        while (!at_end(c) && ((unsigned char)c->s.p[c->i] & 0xc0) == 0x80) {
            c->i++; /* the rest of a UTF-8 sequence */
        }
    }
    while (!at_end(c) && c->i - start < CHAR_LITERAL_MAX && peek(c) != '\'') {
        next(c);
    }
    if (peek(c) == '\'') {
        next(c);
    } else {
        c->i = start;
    }
}

static bool scan_comment(struct scanner *c)
{
    struct slice rest = slice_from(c->s, c->i);
    bool block = slice_starts_with(rest, SLICE("/*"));
    size_t end = block ? slice_search(slice_from(rest, 2), SLICE("*/")) + 4 : slice_find(rest, '\n');
    c->i += end > rest.n ? rest.n : end;
    return end <= rest.n;
}

/* ---- brackets ---- */

static char closing(char open)
{
    return open == '(' ? ')' : open == '[' ? ']' : '}';
}

/* Behind the bracket `first`; ends behind the one that closes it. */
static bool scan_code(struct scanner *c, char first)
{
    char open[BRACKETS_MAX] = {first};
    size_t depth = 1;
    if (++c->nested > STRINGS_MAX) {
        return false;
    }
    while (depth > 0 && !at_end(c)) {
        char ch = peek(c);
        bool ok = true;
        if ((ch == '"' || ch == '@' || ch == '$') && try_string(c, &ok)) {
            if (!ok) {
                return false;
            }
        } else if (ch == '\'') {
            scan_char(c);
        } else if (ch == '/' && c->i + 1 < c->s.n && (c->s.p[c->i + 1] == '/' || c->s.p[c->i + 1] == '*')) {
            if (!scan_comment(c)) {
                return false;
            }
        } else if (ch == '(' || ch == '[' || ch == '{') {
            if (depth == BRACKETS_MAX) {
                return false;
            }
            open[depth++] = next(c);
        } else if (ch == ')' || ch == ']' || ch == '}') {
            if (next(c) != closing(open[--depth])) {
                return false;
            }
        } else {
            next(c);
        }
    }
    c->nested--;
    return depth == 0;
}

size_t expression_length(struct slice text)
{
    struct scanner c = {.s = text, .i = 2};
    if (text.n < 3 || text.p[0] != '@' || (text.p[1] != '(' && text.p[1] != '{')) {
        return 0;
    }
    return scan_code(&c, text.p[1]) ? c.i : 0;
}

static size_t blanks(struct slice s)
{
    size_t n = 0;
    while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t' || s.p[n] == '\r' || s.p[n] == '\n')) {
        n++;
    }
    return n;
}

bool expression_begins(struct slice text)
{
    text = slice_from(text, blanks(text));
    return slice_starts_with(text, SLICE("@(")) || slice_starts_with(text, SLICE("@{"));
}

/* ---- the document around them ---- */

struct lifter {
    struct expressions *found;
    struct slice rest;
    struct strbuf *out;
    uint32_t line, column;
};

static void count_lines(struct lifter *l, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        l->column = s.p[i] == '\n' ? 1 : l->column + 1;
        l->line += s.p[i] == '\n' ? 1 : 0;
    }
}

static void copy(struct lifter *l, size_t n)
{
    struct slice s = slice_sub(l->rest, 0, n);
    strbuf_add(l->out, s);
    count_lines(l, s);
    l->rest = slice_from(l->rest, s.n);
}

/* Up to and including `end`, or all that is left. */
static void copy_through(struct lifter *l, struct slice end)
{
    copy(l, slice_search(l->rest, end) + end.n);
}

static void add_found(struct lifter *l, struct slice text)
{
    struct expressions *e = l->found;
    if (e->n == e->cap) {
        e->cap = e->cap == 0 ? 8 : e->cap * 2;
        struct policy_expression *more = arena_alloc(e->arena, e->cap * sizeof *more);
        if (e->n > 0) {
            memcpy(more, e->items, e->n * sizeof *more);
        }
        e->items = more;
    }
    e->items[e->n++] = (struct policy_expression){arena_slice(e->arena, text), l->line, l->column};
}

/* The mark, then the blanks and line ends that keep what follows in its place. */
static void put_mark(struct lifter *l, size_t length)
{
    struct slice text = slice_sub(l->rest, 0, length);
    size_t before = strbuf_slice(l->out).n;
    strbuf_printf(l->out, "@(#%zu)", l->found->n);
    add_found(l, text);
    size_t mark = strbuf_slice(l->out).n - before;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\n') {
            strbuf_add_char(l->out, '\n');
        } else if (i >= mark) {
            strbuf_add_char(l->out, ' ');
        }
    }
    count_lines(l, text);
    l->rest = slice_from(l->rest, length);
}

/* At an expression that `end` must follow: takes it out. Else nothing happens. */
static bool lift(struct lifter *l, char end)
{
    if (!expression_begins(l->rest)) {
        return false;
    }
    size_t lead = blanks(l->rest);
    size_t length = expression_length(slice_from(l->rest, lead));
    struct slice behind = slice_from(l->rest, lead + length);
    size_t tail = blanks(behind);
    if (length == 0 || tail >= behind.n || behind.p[tail] != end) {
        return false;
    }
    copy(l, lead);
    put_mark(l, length);
    return true;
}

static void copy_tag(struct lifter *l)
{
    while (!slice_is_empty(l->rest)) {
        char ch = l->rest.p[0];
        copy(l, 1);
        if (ch == '>') {
            return;
        }
        if (ch == '"' || ch == '\'') {
            lift(l, ch);
            copy(l, slice_find(l->rest, ch) + 1);
        }
    }
}

void expressions_lift(struct expressions *e, struct slice document, struct strbuf *out)
{
    struct lifter l = {.found = e, .rest = document, .out = out, .line = 1, .column = 1};
    while (!slice_is_empty(l.rest)) {
        if (slice_starts_with(l.rest, SLICE("<!--"))) {
            copy_through(&l, SLICE("-->"));
        } else if (slice_starts_with(l.rest, SLICE("<![CDATA["))) {
            copy_through(&l, SLICE("]]>"));
        } else if (slice_starts_with(l.rest, SLICE("<?"))) {
            copy_through(&l, SLICE("?>"));
        } else if (l.rest.p[0] == '<') {
            copy_tag(&l);
        } else {
            lift(&l, '<');
            copy(&l, slice_find(l.rest, '<'));
        }
    }
}
