/*
 * xml-to-json, kind "direct", as APIM was seen to write it: attributes of the XML declaration at the top by their names,
 * an element's attributes with "@", the colon of a prefix as "$", an element of nothing but text as a string, an empty
 * one as null, siblings of one name as an array in the place of the first. Comments and instructions are left out.
 */
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "proxy/body/whole.h"
#include "proxy/body/xml_cost.h"

enum { FEW = 8, MAX_DEPTH = 200, MAX_NAMESPACES = 256 };

struct to_json {
    struct body_whole whole;
    bool always_array;
};

struct writer {
    bool always_array;
    struct strbuf *out;
    struct err *err;
};

static bool write_value(struct writer *w, const xmlNode *e, unsigned depth);

/* ---- names ---- */

static void add_key(struct writer *w, const char *before, const xmlNs *ns, const xmlChar *local)
{
    struct strbuf name;
    strbuf_init(&name);
    strbuf_add_str(&name, before);
    if (ns != NULL && ns->prefix != NULL) {
        strbuf_add_str(&name, (const char *)ns->prefix);
        strbuf_add_char(&name, '$');
    }
    strbuf_add_str(&name, (const char *)local);
    strbuf_add_json(w->out, strbuf_slice(&name));
    strbuf_add_char(w->out, ':');
    strbuf_fini(&name);
}

static bool same_name(const xmlNode *a, const xmlNode *b)
{
    const xmlChar *p = a->ns == NULL ? NULL : a->ns->prefix, *q = b->ns == NULL ? NULL : b->ns->prefix;
    return xmlStrEqual(a->name, b->name) && xmlStrEqual(p, q);
}

/* ---- siblings of one name ---- */

struct group {
    const xmlNode **items;
    size_t n, cap;
};

struct groups { /* in the order of their first */
    struct group *items;
    size_t n, cap;
    struct map *by_name; /* from a few on */
};

/* Between prefix and name stands what neither can hold. */
static void add_name(const xmlNode *e, struct strbuf *out)
{
    strbuf_add_str(out, e->ns == NULL || e->ns->prefix == NULL ? "" : (const char *)e->ns->prefix);
    strbuf_add_char(out, ':');
    strbuf_add_str(out, (const char *)e->name);
}

static struct group *find_group(struct groups *g, const xmlNode *e)
{
    if (g->by_name != NULL) {
        struct strbuf name;
        strbuf_init(&name);
        add_name(e, &name);
        size_t index = (size_t)(uintptr_t)map_get(g->by_name, strbuf_slice(&name));
        strbuf_fini(&name);
        return index == 0 ? NULL : &g->items[index - 1];
    }
    for (size_t i = 0; i < g->n; i++) {
        if (same_name(g->items[i].items[0], e)) {
            return &g->items[i];
        }
    }
    return NULL;
}

static void file_group(struct groups *g, const xmlNode *e, size_t index)
{
    struct strbuf name;
    strbuf_init(&name);
    add_name(e, &name);
    map_put(g->by_name, strbuf_slice(&name), (void *)(uintptr_t)(index + 1));
    strbuf_fini(&name);
}

static struct group *new_group(struct groups *g, const xmlNode *e)
{
    if (g->n == g->cap) {
        g->cap = g->cap == 0 ? FEW : g->cap * 2;
        g->items = mem_resize(g->items, g->cap * sizeof *g->items);
    }
    g->items[g->n++] = (struct group){0};
    if (g->n == FEW) {
        g->by_name = map_create(NULL);
        for (size_t i = 0; i + 1 < g->n; i++) {
            file_group(g, g->items[i].items[0], i);
        }
    }
    if (g->by_name != NULL) {
        file_group(g, e, g->n - 1);
    }
    return &g->items[g->n - 1];
}

static void add_child(struct groups *g, const xmlNode *e)
{
    struct group *group = find_group(g, e);
    if (group == NULL) {
        group = new_group(g, e);
    }
    if (group->n == group->cap) {
        group->cap = group->cap == 0 ? 1 : group->cap * 2;
        group->items = mem_resize(group->items, group->cap * sizeof(xmlNode *));
    }
    group->items[group->n++] = e;
}

static void groups_fini(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        mem_free(g->items[i].items);
    }
    mem_free(g->items);
    map_destroy(&g->by_name);
}

/* ---- values ---- */

static bool is_text(const xmlNode *n)
{
    return (n->type == XML_TEXT_NODE && xmlIsBlankNode((xmlNode *)(uintptr_t)n) == 0) || n->type == XML_CDATA_SECTION_NODE;
}

static bool has_text(const xmlNode *e)
{
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (is_text(n)) {
            return true;
        }
    }
    return false;
}

static bool has_members(const xmlNode *e)
{
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (n->type == XML_ELEMENT_NODE) {
            return true;
        }
    }
    return e->properties != NULL || e->nsDef != NULL;
}

static void write_text(struct writer *w, const xmlNode *e)
{
    struct strbuf text;
    strbuf_init(&text);
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (is_text(n) && n->content != NULL) {
            strbuf_add_str(&text, (const char *)n->content);
        }
    }
    strbuf_add_json(w->out, strbuf_slice(&text));
    strbuf_fini(&text);
}

static void comma(struct writer *w, bool *first)
{
    if (!*first) {
        strbuf_add_char(w->out, ',');
    }
    *first = false;
}

static void write_attributes(struct writer *w, const xmlNode *e, bool *first)
{
    for (const xmlNs *ns = e->nsDef; ns != NULL; ns = ns->next) {
        static const xmlNs xmlns = {.prefix = (const xmlChar *)"xmlns"};
        comma(w, first);
        add_key(w, "@", ns->prefix == NULL ? NULL : &xmlns, ns->prefix == NULL ? (const xmlChar *)"xmlns" : ns->prefix);
        strbuf_add_json(w->out, slice_of((const char *)ns->href));
    }
    for (const xmlAttr *a = e->properties; a != NULL; a = a->next) {
        xmlChar *value = xmlNodeListGetString(e->doc, a->children, 1);
        comma(w, first);
        add_key(w, "@", a->ns, a->name);
        strbuf_add_json(w->out, slice_of((const char *)value));
        xmlFree(value);
    }
}

static bool write_group(struct writer *w, const struct group *g, unsigned depth)
{
    bool array = g->n > 1 || w->always_array, ok = true;
    add_key(w, "", g->items[0]->ns, g->items[0]->name);
    strbuf_add_str(w->out, array ? "[" : "");
    for (size_t i = 0; i < g->n && ok; i++) {
        strbuf_add_str(w->out, i == 0 ? "" : ",");
        ok = write_value(w, g->items[i], depth + 1);
    }
    strbuf_add_str(w->out, array ? "]" : "");
    return ok;
}

static bool write_members(struct writer *w, const xmlNode *e, unsigned depth)
{
    struct groups groups = {0};
    bool first = true, ok = true;
    strbuf_add_char(w->out, '{');
    write_attributes(w, e, &first);
    if (has_text(e)) {
        comma(w, &first);
        strbuf_add_str(w->out, "\"#text\":");
        write_text(w, e);
    }
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (n->type == XML_ELEMENT_NODE) {
            add_child(&groups, n);
        }
    }
    for (size_t i = 0; i < groups.n && ok; i++) {
        comma(w, &first);
        ok = write_group(w, &groups.items[i], depth);
    }
    groups_fini(&groups);
    strbuf_add_char(w->out, '}');
    return ok;
}

static bool write_value(struct writer *w, const xmlNode *e, unsigned depth)
{
    if (depth > MAX_DEPTH) {
        return err_set(w->err, ERR_LIMIT, "the XML is nested deeper than %d", MAX_DEPTH);
    }
    if (has_members(e)) {
        return write_members(w, e, depth);
    }
    if (has_text(e)) {
        write_text(w, e);
    } else {
        strbuf_add_str(w->out, "null");
    }
    return true;
}

static void write_declaration(struct writer *w, const xmlDoc *doc)
{
    strbuf_add_str(w->out, "\"version\":");
    strbuf_add_json(w->out, slice_of((const char *)doc->version));
    if (doc->encoding != NULL) {
        strbuf_add_str(w->out, ",\"encoding\":");
        strbuf_add_json(w->out, slice_of((const char *)doc->encoding));
    }
    if (doc->standalone >= 0) {
        strbuf_add_str(w->out, doc->standalone == 1 ? ",\"standalone\":\"yes\"" : ",\"standalone\":\"no\"");
    }
    strbuf_add_char(w->out, ',');
}

static bool write_document(struct writer *w, const xmlDoc *doc, bool declared)
{
    const xmlNode *root = xmlDocGetRootElement((xmlDoc *)(uintptr_t)doc);
    strbuf_add_char(w->out, '{');
    if (declared) {
        write_declaration(w, doc);
    }
    add_key(w, "", root->ns, root->name);
    bool ok = write_value(w, root, 1);
    strbuf_add_char(w->out, '}');
    return ok;
}

/* ---- reading ---- */

/* libxml2's own words repeat names and values of the body. */
static const char *reason_of(int code)
{
    switch (code) {
    case XML_ERR_DOCUMENT_EMPTY:
        return "it does not begin with an element";
    case XML_ERR_DOCUMENT_END:
        return "it does not end with its first element";
    case XML_ERR_TAG_NAME_MISMATCH:
        return "a start and an end tag differ";
    case XML_ERR_TAG_NOT_FINISHED:
        return "an element is not closed";
    case XML_ERR_ATTRIBUTE_REDEFINED:
        return "an attribute stands there twice";
    case XML_ERR_UNDECLARED_ENTITY:
        return "an entity is not declared";
    case XML_ERR_INVALID_CHAR:
    case XML_ERR_INVALID_ENCODING:
        return "a character does not belong there";
    default:
        return "it is not well-formed";
    }
}

static void say_why(const xmlError *e, struct err *err)
{
    err_set(err, ERR_INPUT, "the body is not readable as XML: line %d, column %d: %s", e == NULL ? 0 : e->line,
            e == NULL ? 0 : e->int2, reason_of(e == NULL ? 0 : e->code));
}

/* Entities are how a small document becomes a large one, and nobody's message needs them. */
static void refuse_doctype(void *ctx, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    xmlParserCtxt *parser = ctx;
    xmlStopParser(parser);
}

struct reader {
    startElementNsSAX2Func start; /* libxml2's own */
    bool crowded;
};

/* Each name with a prefix is looked for among all the namespaces that were declared around it. */
static void start_element(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                          const xmlChar **ns, int n, int n_default, const xmlChar **attributes)
{
    xmlParserCtxt *parser = ctx;
    struct reader *r = parser->_private;
    if (parser->nsNr / 2 > MAX_NAMESPACES) {
        r->crowded = true;
        xmlStopParser(parser);
        return;
    }
    r->start(ctx, name, prefix, uri, n_ns, ns, n, n_default, attributes);
}

static bool write_parsed(struct writer *w, xmlParserCtxt *parser, struct slice body)
{
    struct slice text = slice_starts_with(body, SLICE("\xef\xbb\xbf")) ? slice_from(body, 3) : body;
    const struct reader *r = parser->_private;
    if (r->crowded) {
        return err_set(w->err, ERR_LIMIT, "the XML declares more than %d namespaces inside each other", MAX_NAMESPACES);
    }
    if (parser->wellFormed == 0 || parser->myDoc == NULL || xmlDocGetRootElement(parser->myDoc) == NULL) {
        say_why(xmlCtxtGetLastError(parser), w->err);
        return false;
    }
    return write_document(w, parser->myDoc, slice_starts_with(text, SLICE("<?xml")));
}

static bool convert(const struct body_whole *whole, struct slice body, struct strbuf *out, struct err *err)
{
    const struct to_json *j = (const void *)whole;
    struct writer w = {j->always_array, out, err};
    if (!xml_cost_check(body, err)) {
        return false;
    }
    xmlParserCtxt *parser = xmlCreateMemoryParserCtxt(body.p, (int)body.n);
    if (parser == NULL) {
        return err_set(err, ERR_INPUT, "the body is not readable as XML");
    }
    int wide = xml_cost_is_wide(body) ? XML_PARSE_IGNORE_ENC : 0; /* its first bytes have told; it must not switch */
    xmlCtxtUseOptions(parser, wide | XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    struct reader reader = {.start = parser->sax->startElementNs};
    parser->_private = &reader;
    parser->sax->internalSubset = refuse_doctype;
    parser->sax->startElementNs = start_element;
    xmlParseDocument(parser);
    bool ok = write_parsed(&w, parser, body);
    xmlFreeDoc(parser->myDoc);
    parser->myDoc = NULL;
    xmlFreeParserCtxt(parser);
    return ok;
}

struct body_stage *body_to_json_create(struct arena *arena, const struct body_to_json *conf, const char *policy)
{
    struct to_json *j = arena_zalloc(arena, sizeof *j);
    body_whole_init(&j->whole, conf->max_bytes, policy);
    j->whole.convert = convert;
    j->always_array = conf->always_array;
    return &j->whole.stage;
}
