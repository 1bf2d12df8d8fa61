#include "xds/source/xml_tags.h"

#include <string.h>

#include "base/macros.h"

void xml_tags_init(struct xml_tags *x, struct slice text)
{
    *x = (struct xml_tags){.line = 1};
    if (slice_starts_with(text, SLICE("\xef\xbb\xbf"))) {
        text = slice_from(text, 3);
    }
    x->rest = text;
    x->start = text.p;
}

static enum xml_tag bad(struct xml_tags *x, const char *why)
{
    x->why = why;
    return XML_BAD;
}

static void skip(struct xml_tags *x, size_t n)
{
    for (size_t i = 0; i < n && i < x->rest.n; i++) {
        if (x->rest.p[i] == '\n') {
            x->line++;
            x->start = x->rest.p + i + 1;
        }
    }
    x->rest = slice_from(x->rest, n);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct xml_tags *x)
{
    size_t n = 0;
    while (n < x->rest.n && is_space(x->rest.p[n])) {
        n++;
    }
    skip(x, n);
}

static struct slice take_name(struct xml_tags *x)
{
    size_t n = 0;
    while (n < x->rest.n && !is_space(x->rest.p[n]) && memchr("/>=<\"'", x->rest.p[n], 6) == NULL) {
        n++;
    }
    struct slice name = slice_sub(x->rest, 0, n);
    x->rest = slice_from(x->rest, n);
    return name;
}

static struct slice without_prefix(struct slice name)
{
    size_t colon = slice_find(name, ':');
    return colon < name.n ? slice_from(name, colon + 1) : name;
}

/* Passes over what is no tag of an element. *more: there was one of these. */
static bool skip_other(struct xml_tags *x, bool *more)
{
    static const struct {
        struct slice begin, end;
    } others[] = {
        {{"<!--", 4}, {"-->", 3}},
        {{"<![CDATA[", 9}, {"]]>", 3}},
        {{"<?", 2}, {"?>", 2}},
    };
    *more = false;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (slice_starts_with(x->rest, others[i].begin)) {
            size_t n = others[i].begin.n, at = slice_search(slice_from(x->rest, n), others[i].end);
            bool found = n + at < x->rest.n;
            skip(x, found ? n + at + others[i].end.n : 0);
            *more = found;
            return found;
        }
    }
    return true;
}

static bool take_attribute(struct xml_tags *x)
{
    struct slice name = take_name(x);
    skip_space(x);
    if (name.n == 0 || x->rest.n == 0 || x->rest.p[0] != '=' || x->attribute_count == XML_ATTRIBUTES_MAX) {
        return false;
    }
    skip(x, 1);
    skip_space(x);
    char quote = x->rest.n > 0 ? x->rest.p[0] : '\0';
    size_t end = quote == '"' || quote == '\'' ? slice_find(slice_from(x->rest, 1), quote) + 1 : x->rest.n;
    if (end >= x->rest.n) {
        return false;
    }
    struct slice raw = slice_sub(x->rest, 1, end - 1);
    for (size_t i = 0; i < x->attribute_count; i++) {
        if (slice_eq(x->attributes[i].name, without_prefix(name))) {
            return false;
        }
    }
    x->attributes[x->attribute_count++] = (struct xml_attribute){without_prefix(name), raw};
    skip(x, end + 1);
    return slice_find(raw, '<') == raw.n;
}

static enum xml_tag take_open(struct xml_tags *x)
{
    x->attribute_count = 0;
    for (;;) {
        size_t before = x->rest.n;
        skip_space(x);
        bool spaced = x->rest.n < before;
        if (slice_starts_with(x->rest, SLICE(">"))) {
            skip(x, 1);
            return XML_OPEN;
        }
        if (slice_starts_with(x->rest, SLICE("/>"))) {
            skip(x, 2);
            x->closes_itself = true;
            return XML_OPEN;
        }
        if (!spaced || !take_attribute(x)) {
            return bad(x, "an attribute that is not well-formed XML");
        }
    }
}

enum xml_tag xml_tags_next(struct xml_tags *x)
{
    if (x->closes_itself) {
        x->closes_itself = false;
        return XML_CLOSE;
    }
    for (bool more = true; more;) {
        skip(x, slice_find(x->rest, '<'));
        x->column = (uint32_t)(x->rest.p - x->start) + 1;
        if (!skip_other(x, &more)) {
            return bad(x, "a comment or instruction that does not end");
        }
    }
    if (x->rest.n == 0) {
        return XML_END;
    }
    if (slice_starts_with(x->rest, SLICE("<!"))) {
        return bad(x, "a document type is not read");
    }
    bool closing = slice_starts_with(x->rest, SLICE("</"));
    x->rest = slice_from(x->rest, closing ? 2 : 1);
    x->full_name = take_name(x);
    x->name = without_prefix(x->full_name);
    if (x->name.n == 0) {
        return bad(x, "a tag without a name");
    }
    if (!closing) {
        return take_open(x);
    }
    skip_space(x);
    if (!slice_starts_with(x->rest, SLICE(">"))) {
        return bad(x, "a tag that does not end");
    }
    skip(x, 1);
    return XML_CLOSE;
}

/* "&amp;" and its like, and characters by their number up to 127, which are all that a path may hold anyway. */
static size_t entity(struct slice text, char *c)
{
    static const struct {
        struct slice name;
        char c;
    } all[] = {{{"&amp;", 5}, '&'}, {{"&lt;", 4}, '<'}, {{"&gt;", 4}, '>'}, {{"&quot;", 6}, '"'}, {{"&apos;", 6}, '\''}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (slice_starts_with(text, all[i].name)) {
            *c = all[i].c;
            return all[i].name.n;
        }
    }
    uint64_t number = 0;
    size_t end = slice_find(text, ';');
    bool decimal = slice_starts_with(text, SLICE("&#")) && slice_to_u64(slice_sub(text, 2, end - 2), &number);
    *c = (char)number;
    return decimal && number > 0 && number < 128 ? end + 1 : 0;
}

struct slice xml_tags_attribute(const struct xml_tags *x, const char *name, struct arena *arena)
{
    for (size_t i = 0; i < x->attribute_count; i++) {
        if (!slice_eq(x->attributes[i].name, slice_of(name))) {
            continue;
        }
        struct slice raw = x->attributes[i].raw;
        char *out = arena_alloc(arena, raw.n + 1);
        size_t n = 0;
        while (raw.n > 0) {
            char c = raw.p[0];
            size_t taken = c == '&' ? entity(raw, &c) : 1;
            out[n++] = c;
            raw = slice_from(raw, taken == 0 ? 1 : taken);
        }
        return slice_make(out, n);
    }
    return SLICE_NONE;
}
