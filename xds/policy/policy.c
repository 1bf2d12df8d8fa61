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

struct policy_instruction *compile_add(struct compile *c, enum policy_section s, enum policy_op op, uint32_t line)
{
    if (c->n[s] == c->cap[s]) {
        c->cap[s] = c->cap[s] == 0 ? 8 : c->cap[s] * 2;
        c->items[s] = mem_resize(c->items[s], c->cap[s] * sizeof *c->items[s]);
    }
    struct policy_instruction *i = &c->items[s][c->n[s]++];
    *i = (struct policy_instruction){.op = op, .line = line == 0 ? 1 : line};
    return i;
}

void compile_close(struct compile *c, enum policy_section s, uint32_t line, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    compile_add(c, s, POLICY_CLOSED, line)->reason = arena_str(c->program->arena, slice_of(text));
}

/* The document as a whole cannot be used: whoever reaches any section of it is closed. */
static void close_all(struct compile *c, uint32_t line, uint32_t column, const char *reason)
{
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        c->n[s] = 0;
        compile_close(c, s, line, "%s", reason);
        c->items[s][0].column = column;
        c->seen[s] = true;
    }
}

static uint32_t node_line(const xmlNode *n)
{
    long line = xmlGetLineNo((xmlNode *)(uintptr_t)n);
    return line <= 0 ? 1 : (uint32_t)line;
}

static bool is_blank(const xmlNode *n)
{
    return n->type == XML_TEXT_NODE && xmlIsBlankNode((xmlNode *)(uintptr_t)n) == 1;
}

static void compile_section(struct compile *c, enum policy_section s, const xmlNode *section)
{
    c->seen[s] = true;
    for (const xmlNode *n = section->children; n != NULL; n = n->next) {
        if (n->type == XML_COMMENT_NODE || is_blank(n)) {
            continue;
        }
        if (c->n[s] >= COMPILE_SECTION_MAX) {
            compile_close(c, s, node_line(n), "more than %d policies in one section", COMPILE_SECTION_MAX);
            return;
        }
        if (n->type == XML_ELEMENT_NODE) {
            compile_element(c, s, n);
        } else {
            compile_close(c, s, node_line(n), "text stands between the policies of <%s>", SECTION_NAMES[s]);
        }
    }
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
        close_all(c, node_line(root), 0, reason);
        return;
    }
    for (const xmlNode *n = root->children; n != NULL; n = n->next) {
        if (n->type == XML_COMMENT_NODE || is_blank(n)) {
            continue;
        }
        int i = n->type == XML_ELEMENT_NODE ? section_index(n) : -1;
        if (i < 0) {
            snprintf(reason, sizeof reason, "<%.100s> is not a section of <policies>", (const char *)n->name);
            close_all(c, node_line(n), 0, reason);
            return;
        }
        if (c->seen[i]) {
            snprintf(reason, sizeof reason, "<%s> stands there twice", SECTION_NAMES[i]);
            close_all(c, node_line(n), 0, reason);
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

static void close_unreadable(struct compile *c, xmlParserCtxt *parser)
{
    const xmlError *e = xmlCtxtGetLastError(parser);
    char reason[300];
    snprintf(reason, sizeof reason, "not readable as XML: %.250s", e == NULL ? "no reason given" : e->message);
    for (size_t i = strlen(reason); i > 0 && (reason[i - 1] == '\n' || reason[i - 1] == '.'); i--) {
        reason[i - 1] = '\0';
    }
    uint32_t line = e == NULL || e->line <= 0 ? 1 : (uint32_t)e->line;
    close_all(c, line, e == NULL || e->int2 <= 0 ? 0 : (uint32_t)e->int2, reason);
}

static void compile_text(struct compile *c, struct slice text, struct policy_limits limits)
{
    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (parser == NULL) {
        close_all(c, 1, 0, "no XML reader");
        return;
    }
    /* The encoding is given, so that the document cannot name one in which a DOCTYPE looks different. */
    int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES;
    xmlDoc *doc = xmlCtxtReadMemory(parser, text.p, (int)text.n, NULL, "UTF-8", options);
    const xmlNode *root = doc == NULL ? NULL : xmlDocGetRootElement(doc);
    if (root == NULL) {
        close_unreadable(c, parser);
    } else {
        const xmlNode *deep = too_deep(root, limits.max_depth);
        if (deep != NULL) {
            close_all(c, node_line(deep), 0, "elements are nested too deep");
        } else {
            compile_root(c, root);
        }
    }
    xmlFreeDoc(doc);
    xmlFreeParserCtxt(parser);
}

static bool contains(struct slice text, struct slice needle)
{
    return slice_search(text, needle) < text.n;
}

static void compile_document(struct compile *c, struct slice text, struct policy_limits limits)
{
    char reason[100];
    if (slice_starts_with(text, SLICE("\xef\xbb\xbf"))) {
        text = slice_from(text, 3);
    }
    if (text.n > limits.max_bytes || text.n > INT32_MAX) {
        snprintf(reason, sizeof reason, "the document is larger than %zu bytes", limits.max_bytes);
        close_all(c, 1, 0, reason);
    } else if (slice_is_empty(text)) {
        close_all(c, 1, 0, "the document is empty");
    } else if (memchr(text.p, '\0', text.n) != NULL) {
        close_all(c, 1, 0, "the document is not UTF-8 text");
    } else if (contains(text, SLICE("<!DOCTYPE")) || contains(text, SLICE("<!ENTITY"))) {
        close_all(c, 1, 0, "a document type declaration is not allowed");
    } else {
        compile_text(c, text, limits);
    }
}

static void finish(struct compile *c)
{
    struct policy_program *p = c->program;
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        if (!c->seen[s]) {
            compile_add(c, s, POLICY_BASE, 1);
        }
        size_t bytes = c->n[s] * sizeof *c->items[s];
        struct policy_instruction *items = arena_alloc(p->arena, bytes == 0 ? 1 : bytes);
        if (bytes > 0) {
            memcpy(items, c->items[s], bytes);
        }
        p->sections[s] = (struct policy_list){items, c->n[s]};
        mem_free(c->items[s]);
    }
}

struct policy_program *policy_compile(struct slice document, const struct policy_named_values *values,
                                      struct policy_limits limits)
{
    struct policy_program *p = mem_alloc(sizeof *p);
    p->arena = arena_create(512);
    p->uses_named_values = contains(document, SLICE("{{"));
    struct compile c = {.program = p, .values = values};
    compile_document(&c, document, limits);
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
