#include "proxy/route/template.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "proxy/route/fold.h"
#include "proxy/route/path.h"

struct parse {
    struct arena *arena;
    struct slice text;
    struct err *err;
    struct slice names[TEMPLATE_MAX / 3]; /* "{x}" is the shortest parameter */
    uint32_t name_count;
};

static bool refuse(struct parse *p, const char *why)
{
    return err_set(p->err, ERR_INPUT, "url template \"%.*s\": %s", SLICE_ARG(slice_sub(p->text, 0, 200)), why);
}

static uint32_t count_of(struct slice s, char c)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += s.p[i] == c;
    }
    return n;
}

/* Braces pair, do not nest, and hold none of "/?*=" (the star of "{*name}" apart). */
static bool check_braces(struct parse *p)
{
    bool open = false;
    for (size_t i = 0; i < p->text.n; i++) {
        char c = p->text.p[i];
        if ((unsigned char)c < 0x20 || c == 0x7f) {
            return refuse(p, "a control character");
        }
        if (c == '{') {
            if (open) {
                return refuse(p, "braces within braces");
            }
            open = true;
            i += i + 1 < p->text.n && p->text.p[i + 1] == '*';
        } else if (c == '}') {
            if (!open) {
                return refuse(p, "a brace closed that was not open");
            }
            open = false;
        } else if (open && memchr("/?*=&", c, 5) != NULL) {
            return refuse(p, "a parameter's name with one of \"/?*=&\"");
        }
    }
    return !open || refuse(p, "a brace that is not closed");
}

static bool add_name(struct parse *p, struct slice name)
{
    if (name.n == 0) {
        return refuse(p, "a parameter without a name");
    }
    for (uint32_t i = 0; i < p->name_count; i++) {
        if (slice_eq_nocase(p->names[i], name)) {
            return refuse(p, "two parameters of one name");
        }
    }
    p->names[p->name_count++] = name;
    return true;
}

/* Text with parameters in it: literal, name, literal, … */
static bool parse_mixed(struct parse *p, struct slice s, struct template_segment *out)
{
    uint32_t count = count_of(s, '{');
    *out = (struct template_segment){.kind = TEMPLATE_MIXED, .name_count = count};
    struct slice *parts = arena_alloc(p->arena, (2 * (size_t)count + 1) * sizeof *parts);
    struct slice *names = arena_alloc(p->arena, count * sizeof *names);
    for (uint32_t i = 0; i < count; i++) {
        struct slice literal = slice_cut(&s, '{');
        struct slice name = slice_cut(&s, '}');
        if (i > 0 && literal.n == 0) {
            return refuse(p, "two parameters side by side");
        }
        if (name.n > 0 && name.p[0] == '*') {
            return refuse(p, "a catch-all that is not a whole segment");
        }
        if (!add_name(p, name)) {
            return false;
        }
        parts[2 * i] = path_decode(literal, p->arena);
        parts[2 * i + 1] = names[i] = name;
        out->literal_bytes += (uint32_t)parts[2 * i].n;
    }
    parts[2 * count] = path_decode(s, p->arena);
    out->literal_bytes += (uint32_t)parts[2 * count].n;
    out->parts = parts;
    out->names = names;
    return true;
}

static bool parse_whole(struct parse *p, struct slice name, enum template_segment_kind kind,
                        struct template_segment *out)
{
    struct slice *names = arena_alloc(p->arena, sizeof *names);
    names[0] = name;
    *out = (struct template_segment){.kind = kind, .names = names, .name_count = 1};
    return add_name(p, name);
}

static bool parse_rest(struct parse *p, struct slice name, bool last, struct template_segment *out)
{
    return last ? parse_whole(p, name, TEMPLATE_REST, out)
                : refuse(p, "a catch-all that is not the last segment");
}

static bool parse_segment(struct parse *p, struct slice s, bool last, struct template_segment *out)
{
    if (slice_eq(s, SLICE("*"))) {
        return parse_rest(p, s, last, out);
    }
    size_t close = slice_find(s, '}');
    if (slice_starts_with(s, SLICE("{*")) && close == s.n - 1) {
        return parse_rest(p, slice_sub(s, 2, s.n - 3), last, out);
    }
    if (slice_starts_with(s, SLICE("{")) && close == s.n - 1) {
        return parse_whole(p, slice_sub(s, 1, s.n - 2), TEMPLATE_PARAM, out);
    }
    if (slice_find(s, '{') < s.n) {
        return parse_mixed(p, s, out);
    }
    *out = (struct template_segment){.kind = TEMPLATE_LITERAL, .text = path_decode(s, p->arena)};
    out->hash = fold_hash(out->text);
    return true;
}

static bool parse_path(struct parse *p, struct slice path, struct url_template *t)
{
    if (path.n > 0 && path.p[0] == '/') {
        path = slice_from(path, 1);
    }
    if (path.n == 0) {
        return true;
    }
    uint32_t count = count_of(path, '/') + 1;
    t->slash = path.p[path.n - 1] == '/';
    count -= t->slash;
    struct template_segment *segments = arena_alloc(p->arena, count * sizeof *segments);
    for (uint32_t i = 0; i < count; i++) {
        if (!parse_segment(p, slice_cut(&path, '/'), i + 1 == count, &segments[i])) {
            return false;
        }
    }
    t->segments = segments;
    t->segment_count = count;
    return true;
}

static bool parse_parameter(struct parse *p, struct slice name, struct slice value, struct template_query *out)
{
    if (name.n == 0 || slice_find(name, '{') < name.n) {
        return refuse(p, "a query parameter without a literal name");
    }
    *out = (struct template_query){.name = query_decode(name, p->arena)};
    size_t brace = slice_find(value, '{');
    if (brace == value.n) {
        out->value = value.n == 0 ? SLICE("") : query_decode(value, p->arena);
        return true;
    }
    if (brace != 0 || value.p[value.n - 1] != '}' || count_of(value, '{') != 1) {
        return refuse(p, "a query value that is neither one parameter nor literal");
    }
    out->param = slice_sub(value, 1, value.n - 2);
    if (out->param.n > 0 && out->param.p[0] == '*') {
        return refuse(p, "a catch-all in the query");
    }
    return add_name(p, out->param);
}

static bool parse_query(struct parse *p, struct slice query, struct url_template *t)
{
    if (query.n == 0) {
        return true;
    }
    struct template_query *list = arena_alloc(p->arena, (count_of(query, '&') + 1) * sizeof *list);
    struct slice name, value;
    uint32_t n = 0;
    while (query_next(&query, &name, &value)) {
        if (!parse_parameter(p, name, value, &list[n])) {
            return false;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (slice_eq_nocase(list[i].name, list[n].name)) {
                return refuse(p, "one query parameter twice");
            }
        }
        n++;
    }
    t->query = list;
    t->query_count = n;
    return true;
}

struct url_template *url_template_parse(struct slice text, struct arena *arena, struct err *err)
{
    if (text.n > TEMPLATE_MAX) {
        err_set(err, ERR_LIMIT, "url template: longer than %d bytes", TEMPLATE_MAX);
        return NULL;
    }
    struct parse p = {.arena = arena, .text = arena_slice(arena, text), .err = err};
    struct url_template *t = arena_zalloc(arena, sizeof *t);
    t->text = p.text;
    struct slice query;
    struct slice path = path_split(p.text, &query);
    if (!check_braces(&p) || !parse_path(&p, path, t) || !parse_query(&p, query, t)) {
        return NULL;
    }
    t->name_count = p.name_count;
    return t;
}

/* First place in s, from `start` on, where needle stands without regard to case; s.n + 1 when there is none. */
static size_t search_nocase(struct slice s, size_t start, struct slice needle)
{
    for (size_t i = start; i + needle.n <= s.n; i++) {
        if (slice_starts_with_nocase(slice_from(s, i), needle)) {
            return i;
        }
    }
    return s.n + 1;
}

bool template_mixed_match(const struct template_segment *t, struct slice segment, struct slice *values)
{
    const struct slice *parts = t->parts;
    struct slice last = parts[2 * t->name_count];
    if (!slice_starts_with_nocase(segment, parts[0]) || segment.n < parts[0].n + last.n ||
        !slice_ends_with_nocase(segment, last)) {
        return false;
    }
    /* The ends are fixed; between them the earliest place for each literal leaves most room for the next. */
    struct slice middle = slice_sub(segment, 0, segment.n - last.n);
    size_t at = parts[0].n;
    for (uint32_t i = 0; i < t->name_count; i++) {
        bool is_last = i + 1 == t->name_count;
        size_t end = is_last ? middle.n : search_nocase(middle, at + 1, parts[2 * i + 2]);
        if (end > middle.n || end <= at) {
            return false;
        }
        if (values != NULL) {
            values[i] = slice_sub(segment, at, end - at);
        }
        at = end + (is_last ? 0 : parts[2 * i + 2].n);
    }
    return true;
}

static bool same_segment(const struct template_segment *a, const struct template_segment *b)
{
    if (a->kind != b->kind || a->name_count != b->name_count) {
        return false;
    }
    if (a->kind == TEMPLATE_LITERAL) {
        return slice_eq_nocase(a->text, b->text);
    }
    for (uint32_t i = 0; a->kind == TEMPLATE_MIXED && i <= a->name_count; i++) {
        if (!slice_eq_nocase(a->parts[2 * i], b->parts[2 * i])) {
            return false;
        }
    }
    return true;
}

static bool has_query(const struct url_template *t, const struct template_query *q)
{
    for (uint32_t i = 0; i < t->query_count; i++) {
        const struct template_query *other = &t->query[i];
        if (slice_eq_nocase(other->name, q->name)) {
            return (other->value.p == NULL) == (q->value.p == NULL) && slice_eq_nocase(other->value, q->value);
        }
    }
    return false;
}

bool url_template_same(const struct url_template *a, const struct url_template *b)
{
    if (a->segment_count != b->segment_count || a->query_count != b->query_count || a->slash != b->slash) {
        return false;
    }
    for (uint32_t i = 0; i < a->segment_count; i++) {
        if (!same_segment(&a->segments[i], &b->segments[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < a->query_count; i++) {
        if (!has_query(b, &a->query[i])) {
            return false;
        }
    }
    return true;
}
