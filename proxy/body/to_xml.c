/*
 * json-to-xml: a property becomes an element, an array one element for each item, null an empty one with xsi:nil. One
 * property at the top is the root; anything else stands in <Document>, as APIM has it.
 */
#include <stdio.h>
#include <string.h>

#include "base/doc/doc.h"
#include "proxy/body/whole.h"

enum { MAX_NODES = 200000, MAX_DEPTH = 64, MAX_DECLARED = 64 };

struct to_xml {
    struct body_whole whole;
    struct body_to_xml conf;
};

struct writer {
    const struct body_to_xml *conf;
    struct strbuf *out;
    struct err *err;
    /* Prefixes declared by the elements around, the outermost first. Few, because each name is compared with them all. */
    struct slice declared[MAX_DECLARED];
    size_t n_declared;
};

static bool write_element(struct writer *w, struct slice name, const struct doc *value);

/* ---- names ---- */

/* The property declares a namespace: *prefix is what it declares, empty for the default one. */
static bool is_declaration(const struct body_to_xml *c, struct slice key, struct slice *prefix)
{
    if (c->prefix.n == 0 || !slice_starts_with(key, c->prefix)) {
        return false;
    }
    struct slice rest = slice_from(key, c->prefix.n);
    *prefix = slice_from(rest, c->separator.n);
    return rest.n == 0 || (slice_starts_with(rest, c->separator) && prefix->n > 0);
}

static bool declare(struct writer *w, const struct doc *map)
{
    for (size_t i = 0; i < doc_len(map); i++) {
        struct slice prefix;
        if (!is_declaration(w->conf, doc_key(doc_at(map, i)), &prefix)) {
            continue;
        }
        if (w->n_declared == MAX_DECLARED) {
            return err_set(w->err, ERR_LIMIT, "the JSON declares more than %d namespaces inside each other", MAX_DECLARED);
        }
        w->declared[w->n_declared++] = prefix;
    }
    return true;
}

static bool is_declared(const struct writer *w, struct slice prefix)
{
    for (size_t i = 0; i < w->n_declared; i++) {
        if (slice_eq(w->declared[i], prefix)) {
            return true;
        }
    }
    return false;
}

static bool is_name_char(unsigned char c, bool first)
{
    bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    return letter || c == '_' || c >= 0x80 || (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

/* Other characters as _xHHHH_, the way .NET encodes names. */
static void write_local(struct writer *w, struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (is_name_char(c, i == 0)) {
            strbuf_add_char(w->out, (char)c);
        } else {
            strbuf_printf(w->out, "_x%04X_", c);
        }
    }
    if (name.n == 0) {
        strbuf_add_char(w->out, '_');
    }
}

static void write_name(struct writer *w, struct slice name)
{
    size_t at = slice_search(name, w->conf->separator);
    struct slice prefix = slice_sub(name, 0, at), local = slice_from(name, at + w->conf->separator.n);
    if (at > 0 && at < name.n && local.n > 0 && is_declared(w, prefix)) {
        write_local(w, prefix);
        strbuf_add_char(w->out, ':');
        name = local;
    }
    write_local(w, name);
}

/* ---- values ---- */

static bool write_text(struct writer *w, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        const char *escape = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : NULL;
        if (c < ' ' && c != '\t' && c != '\n' && c != '\r') {
            return err_set(w->err, ERR_INPUT, "the JSON holds a character that XML cannot have");
        }
        if (escape != NULL) {
            strbuf_add_str(w->out, escape);
        } else {
            strbuf_add_char(w->out, (char)c);
        }
    }
    return true;
}

static bool write_scalar(struct writer *w, const struct doc *value)
{
    bool b = false;
    if (doc_bool(value, &b)) {
        strbuf_add_str(w->out, b ? "True" : "False");
        return true;
    }
    return write_text(w, doc_text(value));
}

static bool is_compound(const struct doc *d)
{
    return doc_is(d, DOC_MAP) || doc_is(d, DOC_LIST);
}

static bool write_attribute(struct writer *w, const struct doc *value)
{
    strbuf_add_str(w->out, "=\"");
    bool ok = is_compound(value) ? err_set(w->err, ERR_INPUT, "an attribute's value is not a text or number")
                                 : doc_is(value, DOC_NULL) || write_scalar(w, value);
    strbuf_add_char(w->out, '"');
    return ok;
}

static bool is_block(const struct writer *w, const struct doc *member)
{
    return w->conf->block.n > 0 && slice_eq(doc_key(member), w->conf->block) && doc_is(member, DOC_MAP);
}

static bool write_block(struct writer *w, const struct doc *block)
{
    for (size_t i = 0; i < doc_len(block); i++) {
        const struct doc *a = doc_at(block, i);
        strbuf_add_char(w->out, ' ');
        write_name(w, doc_key(a));
        if (!write_attribute(w, a)) {
            return false;
        }
    }
    return true;
}

/* What of the map stands in the element's tag; *children: how much is left to stand inside. */
static bool write_attributes(struct writer *w, const struct doc *map, size_t *children)
{
    *children = 0;
    for (size_t i = 0; i < doc_len(map); i++) {
        const struct doc *member = doc_at(map, i);
        struct slice prefix;
        bool ok = true;
        if (is_declaration(w->conf, doc_key(member), &prefix)) {
            strbuf_add_str(w->out, prefix.n == 0 ? " xmlns" : " xmlns:");
            if (prefix.n > 0) {
                write_local(w, prefix);
            }
            ok = write_attribute(w, member);
        } else if (is_block(w, member)) {
            ok = write_block(w, member);
        } else {
            ++*children;
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool write_children(struct writer *w, const struct doc *map)
{
    for (size_t i = 0; i < doc_len(map); i++) {
        const struct doc *member = doc_at(map, i);
        struct slice prefix;
        if (!is_declaration(w->conf, doc_key(member), &prefix) && !is_block(w, member) &&
            !write_element(w, doc_key(member), member)) {
            return false;
        }
    }
    return true;
}

static bool write_inside(struct writer *w, struct slice name, const struct doc *map)
{
    size_t children = 0;
    strbuf_add_char(w->out, '<');
    write_name(w, name);
    if (!write_attributes(w, map, &children)) {
        return false;
    }
    if (children == 0) {
        strbuf_add_str(w->out, " />");
        return true;
    }
    strbuf_add_char(w->out, '>');
    if (!write_children(w, map)) {
        return false;
    }
    strbuf_add_str(w->out, "</");
    write_name(w, name);
    strbuf_add_char(w->out, '>');
    return true;
}

static bool write_map(struct writer *w, struct slice name, const struct doc *map)
{
    size_t outside = w->n_declared;
    bool ok = declare(w, map) && write_inside(w, name, map);
    w->n_declared = outside;
    return ok;
}

static bool write_list(struct writer *w, struct slice name, const struct doc *list)
{
    for (size_t i = 0; i < doc_len(list); i++) {
        if (!write_element(w, name, doc_at(list, i))) {
            return false;
        }
    }
    return true;
}

/* Recursion is as deep as the document, which its reader limits. */
static bool write_element(struct writer *w, struct slice name, const struct doc *value)
{
    if (strbuf_slice(w->out).n > BODY_STEP_MAX) {
        return err_set(w->err, ERR_LIMIT, "the XML would be larger than %d bytes", BODY_STEP_MAX);
    }
    if (doc_is(value, DOC_MAP)) {
        return write_map(w, name, value);
    }
    if (doc_is(value, DOC_LIST) && doc_len(value) > 0) {
        return write_list(w, name, value);
    }
    strbuf_add_char(w->out, '<');
    write_name(w, name);
    if (doc_is(value, DOC_NULL)) {
        strbuf_add_str(w->out, " xsi:nil=\"true\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" />");
        return true;
    }
    if (doc_is(value, DOC_LIST) || (doc_is(value, DOC_STRING) && doc_text(value).n == 0)) {
        strbuf_add_str(w->out, " />");
        return true;
    }
    strbuf_add_char(w->out, '>');
    bool ok = write_scalar(w, value);
    strbuf_add_str(w->out, "</");
    write_name(w, name);
    strbuf_add_char(w->out, '>');
    return ok;
}

/* The reader of documents names a key that stands there twice; what is said here goes to logs. */
static void hide_key(struct err *err)
{
    char *key = strstr(err->text, ": key \"");
    if (key != NULL) {
        snprintf(key, sizeof err->text - (size_t)(key - err->text), ": a key stands there twice");
    }
}

static bool convert(const struct body_whole *whole, struct slice body, struct strbuf *out, struct err *err)
{
    const struct to_xml *x = (const void *)whole;
    struct doc_limits limits = {.max_bytes = body.n + 1, .max_nodes = MAX_NODES, .max_depth = MAX_DEPTH};
    struct arena *arena = arena_create(0);
    struct writer w = {.conf = &x->conf, .out = out, .err = err};
    const struct doc *root = doc_parse(arena, (struct doc_source){"body", body, DOC_JSON}, &limits, err);
    bool ok = root != NULL;
    if (!ok) {
        hide_key(err);
    } else if (doc_is(root, DOC_LIST)) {
        ok = err_set(err, ERR_INPUT, "the JSON is an array, which has no name to be an element of");
    } else {
        const struct doc *only = doc_is(root, DOC_MAP) && doc_len(root) == 1 ? doc_at(root, 0) : NULL;
        struct slice prefix;
        bool is_root = only != NULL && !doc_is(only, DOC_LIST) && !is_block(&w, only) &&
                       !is_declaration(&x->conf, doc_key(only), &prefix);
        ok = is_root ? write_element(&w, doc_key(only), only)
                     : write_element(&w, SLICE("Document"), root);
    }
    arena_destroy(&arena);
    return ok;
}

struct body_stage *body_to_xml_create(struct arena *arena, const struct body_to_xml *conf, const char *policy)
{
    struct to_xml *x = arena_zalloc(arena, sizeof *x);
    body_whole_init(&x->whole, conf->max_bytes, policy);
    x->whole.convert = convert;
    x->conf = *conf;
    return &x->whole.stage;
}
