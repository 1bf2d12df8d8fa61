#include "xds/policy/policy.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/mem.h"
#include "xds/policy/compile.h"

static const char *const SECTION_NAMES[POLICY_SECTIONS] = {"inbound", "backend", "outbound", "on-error"};

const char *policy_section_name(enum policy_section section)
{
    return SECTION_NAMES[section];
}

static struct policy_instruction *add_at(struct compile *c, enum policy_op op, uint32_t line)
{
    enum policy_section s = c->section;
    if (c->n[s] == c->cap[s]) {
        c->cap[s] = c->cap[s] == 0 ? 8 : c->cap[s] * 2;
        c->items[s] = mem_resize(c->items[s], c->cap[s] * sizeof *c->items[s]);
    }
    struct policy_instruction *i = &c->items[s][c->n[s]++];
    *i = (struct policy_instruction){.op = op, .line = line == 0 ? 1 : line, .file = c->file};
    return i;
}

struct policy_instruction *compile_add(struct compile *c, enum policy_op op, const xmlNode *e)
{
    return add_at(c, op, compile_line(e));
}

static void close_at(struct compile *c, uint32_t line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void close_at(struct compile *c, uint32_t line, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    add_at(c, POLICY_CLOSED, line)->reason = arena_str(c->program->arena, slice_of(text));
}

/* The policy that an element belongs to: its own name, or of what it stands in. */
static const char *policy_name(const xmlNode *e)
{
    for (const xmlNode *n = e; n != NULL && n->type == XML_ELEMENT_NODE; n = n->parent) {
        if (policy_kind_find(compile_name(n)) != NULL) {
            return compile_name(n);
        }
    }
    return compile_name(e);
}

bool compile_close(struct compile *c, const xmlNode *e, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    close_at(c, compile_line(e), "policy <%.100s>: %s", policy_name(e), text);
    return false;
}

void compile_close_expression(struct compile *c, const xmlNode *e)
{
    close_at(c, compile_line(e), "expression in <%.100s> is not evaluated yet", policy_name(e));
}

/* The document as a whole cannot be used: whoever reaches any section of it is closed. */
static void close_all(struct compile *c, uint32_t line, uint32_t column, const char *reason)
{
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        c->n[s] = 0;
        c->section = s;
        close_at(c, line, "%s", reason);
        c->items[s][0].column = column;
        c->seen[s] = true;
    }
}

static bool is_blank(const xmlNode *n)
{
    return n->type == XML_TEXT_NODE && xmlIsBlankNode((xmlNode *)(uintptr_t)n) == 1;
}

void compile_children(struct compile *c, const xmlNode *parent)
{
    for (const xmlNode *n = parent->children; n != NULL; n = n->next) {
        if (n->type == XML_COMMENT_NODE || n->type == XML_PI_NODE || is_blank(n)) {
            continue;
        }
        if (c->n[c->section] >= COMPILE_SECTION_MAX) {
            close_at(c, compile_line(n), "more than %d policies in one section", COMPILE_SECTION_MAX);
            return;
        }
        if (n->type == XML_ELEMENT_NODE) {
            compile_element(c, n);
        } else {
            close_at(c, compile_line(n), "text stands between the policies of <%.100s>", compile_name(parent));
        }
    }
}

static void compile_section(struct compile *c, enum policy_section s, const xmlNode *section)
{
    c->seen[s] = true;
    c->section = s;
    compile_children(c, section);
}

static int section_index(const xmlNode *n)
{
    for (size_t i = 0; i < ARRAY_LEN(SECTION_NAMES); i++) {
        if (n->ns == NULL && strcmp((const char *)n->name, SECTION_NAMES[i]) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void compile_root(struct compile *c, const xmlNode *root)
{
    char reason[200];
    if (root->ns != NULL || strcmp((const char *)root->name, "policies") != 0) {
        snprintf(reason, sizeof reason, "the root element is <%.100s>, not <policies>", (const char *)root->name);
        close_all(c, compile_line(root), 0, reason);
        return;
    }
    for (const xmlNode *n = root->children; n != NULL; n = n->next) {
        if (n->type == XML_COMMENT_NODE || is_blank(n)) {
            continue;
        }
        int i = n->type == XML_ELEMENT_NODE ? section_index(n) : -1;
        if (i < 0) {
            snprintf(reason, sizeof reason, "<%.100s> is not a section of <policies>", (const char *)n->name);
            close_all(c, compile_line(n), 0, reason);
            return;
        }
        if (c->seen[i]) {
            snprintf(reason, sizeof reason, "<%s> stands there twice", SECTION_NAMES[i]);
            close_all(c, compile_line(n), 0, reason);
            return;
        }
        compile_section(c, (enum policy_section)i, n);
    }
}

/* Elements nested too deep are refused by the reader's own limit (256) or here; no recursion, the input chooses. */
static const xmlNode *too_deep(const xmlNode *root, unsigned max)
{
    unsigned depth = 1;
    const xmlNode *n = root;
    while (n != NULL) {
        if (depth > max) {
            return n;
        }
        if (n->children != NULL && n->type == XML_ELEMENT_NODE) {
            n = n->children;
            depth++;
            continue;
        }
        while (n != root && n->next == NULL) {
            n = n->parent;
            depth--;
        }
        n = n == root ? NULL : n->next;
    }
    return NULL;
}

/* What to do with a text that was read, or why it could not be. */
struct reading {
    const xmlNode *root; /* NULL: not readable */
    uint32_t line, column;
    char reason[300];
};

static void describe_error(const xmlError *e, struct reading *out)
{
    snprintf(out->reason, sizeof out->reason, "not readable as XML: %.250s", e == NULL ? "no reason given" : e->message);
    for (size_t i = strlen(out->reason); i > 0 && (out->reason[i - 1] == '\n' || out->reason[i - 1] == '.'); i--) {
        out->reason[i - 1] = '\0';
    }
    out->line = e == NULL || e->line <= 0 ? 1 : (uint32_t)e->line;
    out->column = e == NULL || e->int2 <= 0 ? 0 : (uint32_t)e->int2;
}

static bool refuse(struct reading *out, uint32_t line, const char *reason)
{
    out->line = line;
    snprintf(out->reason, sizeof out->reason, "%s", reason);
    return false;
}

static bool contains(struct slice text, struct slice needle)
{
    return slice_search(text, needle) < text.n;
}

static bool check_bytes(struct slice text, struct policy_limits limits, struct reading *out)
{
    char reason[100];
    if (text.n > limits.max_bytes || text.n > INT32_MAX / 2) {
        snprintf(reason, sizeof reason, "the document is larger than %zu bytes", limits.max_bytes);
        return refuse(out, 1, reason);
    }
    if (slice_is_empty(text)) {
        return refuse(out, 1, "the document is empty");
    }
    if (memchr(text.p, '\0', text.n) != NULL) {
        return refuse(out, 1, "the document is not UTF-8 text");
    }
    return true;
}

static struct slice without_bom(struct slice text)
{
    return slice_starts_with(text, SLICE("\xef\xbb\xbf")) ? slice_from(text, 3) : text;
}

/* Takes the expressions out and reads the rest; *doc is the caller's to free. false: *out says why not. */
static bool read_text(struct compile *c, struct slice text, xmlDoc **doc, struct reading *out)
{
    *doc = NULL;
    text = without_bom(text);
    if (!check_bytes(text, c->limits, out)) {
        return false;
    }
    struct strbuf plain;
    strbuf_init(&plain);
    expressions_lift(c->expressions, text, &plain);
    struct slice rest = strbuf_slice(&plain);
    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (contains(rest, SLICE("<!DOCTYPE")) || contains(rest, SLICE("<!ENTITY"))) {
        refuse(out, 1, "a document type declaration is not allowed");
    } else if (parser != NULL) {
        /* The encoding is given, so that the document cannot name one in which a DOCTYPE looks different. */
        int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES;
        *doc = xmlCtxtReadMemory(parser, rest.p, (int)rest.n, NULL, "UTF-8", options);
        out->root = *doc == NULL ? NULL : xmlDocGetRootElement(*doc);
        const xmlNode *deep = out->root == NULL ? NULL : too_deep(out->root, c->limits.max_depth);
        if (out->root == NULL) {
            describe_error(xmlCtxtGetLastError(parser), out);
        } else if (deep != NULL) {
            out->root = NULL;
            refuse(out, compile_line(deep), "elements are nested too deep");
        }
    } else {
        refuse(out, 1, "no XML reader");
    }
    xmlFreeParserCtxt(parser);
    strbuf_fini(&plain);
    return out->root != NULL;
}

static void compile_document(struct compile *c, struct slice text)
{
    struct expressions found = {.arena = c->program->arena};
    struct reading reading = {0};
    xmlDoc *doc;
    c->expressions = &found;
    if (read_text(c, text, &doc, &reading)) {
        compile_root(c, reading.root);
    } else {
        close_all(c, reading.line, reading.column, reading.reason);
    }
    xmlFreeDoc(doc);
    c->program->expressions = found.items;
    c->program->expression_count = found.n;
}

void compile_fragment(struct compile *c, struct slice text, const char *file)
{
    struct expressions found = {.arena = c->program->arena}, *outer = c->expressions;
    struct reading reading = {0};
    xmlDoc *doc;
    const char *from = c->file;
    c->expressions = &found;
    bool ok = read_text(c, text, &doc, &reading);
    c->file = arena_str(c->program->arena, slice_of(file));
    if (!ok) {
        close_at(c, reading.line, "%s", reading.reason);
    } else if (!compile_is(reading.root, "fragment")) {
        close_at(c, compile_line(reading.root), "the root element is <%.100s>, not <fragment>",
                 compile_name(reading.root));
    } else {
        compile_children(c, reading.root);
    }
    xmlFreeDoc(doc);
    c->file = from;
    c->expressions = outer;
}

static void finish(struct compile *c)
{
    struct policy_program *p = c->program;
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        if (!c->seen[s]) {
            c->section = s;
            add_at(c, POLICY_BASE, 1);
        }
        size_t bytes = c->n[s] * sizeof *c->items[s];
        struct policy_instruction *items = arena_alloc(p->arena, bytes == 0 ? 1 : bytes);
        if (bytes > 0) {
            memcpy(items, c->items[s], bytes);
        }
        p->sections[s] = (struct policy_list){items, c->n[s]};
        mem_free(c->items[s]);
    }
    p->secrets = c->secrets;
    p->secret_count = c->n_secrets;
}

struct policy_program *policy_compile(struct slice document, const struct policy_sources *sources,
                                      struct policy_limits limits)
{
    struct policy_program *p = mem_alloc(sizeof *p);
    p->arena = arena_create(512);
    p->uses_named_values = contains(document, SLICE("{{"));
    p->uses_fragments = contains(document, SLICE("include-fragment"));
    struct compile c = {.program = p, .sources = sources, .limits = limits};
    compile_document(&c, document);
    finish(&c);
    return p;
}

struct policy_program *policy_closed(const char *reason)
{
    struct policy_program *p = mem_alloc(sizeof *p);
    p->arena = arena_create(512);
    struct compile c = {.program = p};
    close_all(&c, 1, 0, reason);
    finish(&c);
    return p;
}

void policy_destroy(struct policy_program **program)
{
    if (*program == NULL) {
        return;
    }
    arena_destroy(&(*program)->arena);
    mem_free(*program);
    *program = NULL;
}
