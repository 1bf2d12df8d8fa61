#include "xds/source/template.h"

#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

enum { TEXT_MAX = 1000, SEGMENTS_MAX = TEXT_MAX, NAMES_MAX = TEXT_MAX / 3 };

struct names {
    struct slice items[NAMES_MAX + 1];
    size_t n;
};

/* ---- may it be served? ---- */

static int hex(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at text.p[*i], decoded; steps over it. */
static char take_byte(struct slice text, size_t *i, bool query)
{
    int high = text.p[*i] == '%' && *i + 2 < text.n ? hex(text.p[*i + 1]) : -1;
    int low = high < 0 ? -1 : hex(text.p[*i + 2]);
    char c = text.p[*i];
    *i += low < 0 ? 1 : 3;
    return low >= 0 ? (char)(high * 16 + low) : query && c == '+' ? ' ' : c;
}

static bool same_name(struct slice a, struct slice b)
{
    size_t i = 0, k = 0;
    while (i < a.n && k < b.n) {
        if (ascii_lower(take_byte(a, &i, true)) != ascii_lower(take_byte(b, &k, true))) {
            return false;
        }
    }
    return i == a.n && k == b.n;
}

static const char *check_braces(struct slice text)
{
    bool open = false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= ' ' || c == 0x7f || c == '#') {
            return "the path holds a blank, a control character or '#'";
        }
        if (c == '{' ? open : c == '}' && !open) {
            return "the braces of the path do not fit";
        }
        if (c == '{') {
            open = true;
            i += i + 1 < text.n && text.p[i + 1] == '*';
        } else if (c == '}') {
            open = false;
        } else if (open && memchr("/?*=&", c, 5) != NULL) {
            return "a parameter's name holds one of \"/?*=&\"";
        }
    }
    return open ? "the braces of the path do not fit" : NULL;
}

static const char *add_name(struct names *names, struct slice name)
{
    if (name.n == 0) {
        return "a parameter of the path has no name";
    }
    for (size_t i = 0; i < names->n; i++) {
        if (slice_eq_nocase(names->items[i], name)) {
            return "two parameters of the path have one name";
        }
    }
    names->items[names->n++] = name;
    return NULL;
}

static bool is_rest(struct slice segment)
{
    return slice_eq(segment, SLICE("*")) ||
           (slice_starts_with(segment, SLICE("{*")) && slice_find(segment, '}') + 1 == segment.n);
}

static const char *check_segment(struct slice s, bool last, struct names *names)
{
    if (is_rest(s)) {
        bool bare = s.n == 1;
        return !last ? "a catch-all is not the last segment of the path"
                     : add_name(names, bare ? s : slice_sub(s, 2, s.n - 3));
    }
    const char *why = slice_eq(s, SLICE(".")) || slice_eq(s, SLICE("..")) ? "the path holds a dot segment" : NULL;
    for (size_t i = 0; why == NULL && slice_find(s, '{') < s.n; i++) {
        struct slice literal = slice_cut(&s, '{'), name = slice_cut(&s, '}');
        why = i > 0 && literal.n == 0                  ? "two parameters of the path stand side by side"
              : slice_starts_with(name, SLICE("*")) ? "a catch-all is not a whole segment of the path"
                                                    : add_name(names, name);
    }
    return why;
}

static const char *check_path(struct slice path, struct names *names)
{
    path = slice_starts_with(path, SLICE("/")) ? slice_from(path, 1) : path;
    const char *why = NULL;
    while (why == NULL && path.n > 0) {
        struct slice s = slice_cut(&path, '/');
        why = check_segment(s, path.n == 0, names);
    }
    return why;
}

static const char *check_pair(struct slice name, struct slice value, struct names *names)
{
    if (name.n == 0 || slice_find(name, '{') < name.n) {
        return "a query parameter of the path has no literal name";
    }
    if (slice_find(value, '{') == value.n) {
        return NULL;
    }
    bool whole = value.p[0] == '{' && slice_find(value, '}') + 1 == value.n;
    if (!whole) {
        return "a query value of the path is neither one parameter nor literal";
    }
    struct slice parameter = slice_sub(value, 1, value.n - 2);
    return slice_starts_with(parameter, SLICE("*")) ? "a catch-all stands in the query of the path"
                                                    : add_name(names, parameter);
}

/* The next "name=value" that is not empty. */
static bool next_pair(struct slice *query, struct slice *name, struct slice *value)
{
    while (query->n > 0) {
        *value = slice_cut(query, '&');
        if (value->n > 0) {
            *name = slice_cut(value, '=');
            return true;
        }
    }
    return false;
}

const char *template_check(const char *text)
{
    struct slice query = slice_of(text), path, name, value;
    struct names names; /* large, and not to be cleared for each of many thousand operations */
    struct slice seen[TEXT_MAX / 2];
    size_t n = 0;
    names.n = 0;
    if (query.n > TEXT_MAX) {
        return "the path is longer than 1000 bytes";
    }
    const char *why = check_braces(query);
    path = slice_cut(&query, '?');
    why = why != NULL ? why : check_path(path, &names);
    while (why == NULL && next_pair(&query, &name, &value)) {
        why = check_pair(name, value, &names);
        for (size_t i = 0; i < n && why == NULL; i++) {
            why = same_name(seen[i], name) ? "the path asks for one query parameter twice" : NULL;
        }
        seen[n < TEXT_MAX / 2 - 1 ? n++ : n] = name;
    }
    return why;
}

/* ---- is it another's twin? ---- */

/* Decoded and in lower case; what would look like something else stays escaped. */
static void add_canonical(struct strbuf *out, struct slice text, bool query)
{
    for (size_t i = 0; i < text.n;) {
        char c = take_byte(text, &i, query);
        if (memchr("/%{}&=?", c, 7) != NULL) {
            strbuf_printf(out, "%%%02x", (unsigned)(unsigned char)c);
        } else {
            strbuf_add_char(out, ascii_lower(c));
        }
    }
}

/* "v{major}.{minor}" → "v{}.{}" */
static void add_segment(struct strbuf *out, struct slice s)
{
    strbuf_add_char(out, '/');
    if (is_rest(s)) {
        strbuf_add_str(out, "{*}");
        return;
    }
    while (slice_find(s, '{') < s.n) {
        add_canonical(out, slice_cut(&s, '{'), false);
        strbuf_add_str(out, "{}");
        slice_cut(&s, '}');
    }
    add_canonical(out, s, false);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_query(struct strbuf *out, struct slice query, struct arena *arena)
{
    const char *parts[TEXT_MAX / 2 + 1];
    struct slice name, value;
    size_t n = 0;
    while (n <= TEXT_MAX / 2 && next_pair(&query, &name, &value)) {
        struct strbuf one;
        strbuf_init(&one);
        add_canonical(&one, name, true);
        strbuf_add_char(&one, '=');
        if (slice_find(value, '{') < value.n) {
            strbuf_add_str(&one, "{}");
        } else {
            add_canonical(&one, value, true);
        }
        parts[n++] = arena_str(arena, strbuf_slice(&one));
        strbuf_fini(&one);
    }
    if (n > 1) {
        qsort(parts, n, sizeof parts[0], compare_text);
    }
    for (size_t i = 0; i < n; i++) {
        strbuf_printf(out, "%c%s", i == 0 ? '?' : '&', parts[i]);
    }
}

static char *take(struct arena *arena, struct strbuf *text)
{
    char *out = arena_str(arena, strbuf_slice(text));
    strbuf_fini(text);
    return out;
}

static void add_path(struct strbuf *out, struct slice path)
{
    path = slice_starts_with(path, SLICE("/")) ? slice_from(path, 1) : path;
    bool slash = slice_ends_with(path, SLICE("/"));
    while (path.n > 0) {
        add_segment(out, slice_cut(&path, '/'));
    }
    strbuf_add_str(out, slash ? "/" : "");
}

char *template_key(struct arena *arena, const char *text)
{
    struct slice query = slice_of(text), path = slice_cut(&query, '?');
    struct strbuf out;
    strbuf_init(&out);
    add_path(&out, path);
    add_query(&out, query, arena);
    return take(arena, &out);
}

char *template_path_key(struct arena *arena, struct slice path)
{
    struct strbuf out;
    strbuf_init(&out);
    while (path.n > 0) {
        strbuf_add_char(&out, '/');
        add_canonical(&out, slice_cut(&path, '/'), false);
    }
    return take(arena, &out);
}
