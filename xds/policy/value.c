/* Attributes and texts of policy elements: expressions are refused, named values put in place. */
#include <string.h>

#include "base/macros.h"
#include "xds/policy/compile.h"

const char *compile_name(const xmlNode *e)
{
    return (const char *)e->name;
}

uint32_t compile_line(const xmlNode *e)
{
    long line = xmlGetLineNo((xmlNode *)(uintptr_t)e);
    return line <= 0 ? 1 : (uint32_t)line;
}

bool compile_is(const xmlNode *e, const char *name)
{
    return e->type == XML_ELEMENT_NODE && e->ns == NULL && strcmp(compile_name(e), name) == 0;
}

/* Is `name` one of the blank-separated words? */
static bool is_word(const char *words, const char *name)
{
    struct slice rest = slice_of(words), wanted = slice_of(name);
    while (rest.p != NULL && rest.n > 0) {
        if (slice_eq(slice_cut(&rest, ' '), wanted)) {
            return true;
        }
    }
    return false;
}

bool compile_check_attributes(struct compile *c, const xmlNode *e, const char *known)
{
    for (const xmlAttr *a = e->properties; a != NULL; a = a->next) {
        const char *name = (const char *)a->name;
        if (a->ns != NULL || (strcmp(name, "id") != 0 && !is_word(known, name))) {
            return compile_close(c, e, "attribute %.100s is not supported yet", name);
        }
    }
    return true;
}

static bool is_nothing(const xmlNode *n)
{
    return n->type == XML_COMMENT_NODE || n->type == XML_PI_NODE ||
           (n->type == XML_TEXT_NODE && xmlIsBlankNode((xmlNode *)(uintptr_t)n) == 1);
}

bool compile_check_empty(struct compile *c, const xmlNode *e)
{
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (!is_nothing(n)) {
            return compile_close(c, e, "nothing may stand inside it");
        }
    }
    return true;
}

bool compile_check_children(struct compile *c, const xmlNode *e, const char *known)
{
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (is_nothing(n)) {
            continue;
        }
        if (n->type != XML_ELEMENT_NODE) {
            return compile_close(c, e, "text stands inside it");
        }
        if (n->ns != NULL || !is_word(known, compile_name(n))) {
            return compile_close(c, e, "<%.100s> inside it is not supported yet", compile_name(n));
        }
    }
    return true;
}

/* ---- named values ---- */

struct parts {
    struct compile *c;
    Egret__Apim__V1__Value *value;
    size_t cap;
    struct strbuf literal; /* not yet a part */
    bool has_secret;
};

static Egret__Apim__V1__Value__Part *add_part(struct parts *p)
{
    Egret__Apim__V1__Value *v = p->value;
    if (v->n_parts == p->cap) {
        p->cap = p->cap == 0 ? 4 : p->cap * 2;
        Egret__Apim__V1__Value__Part **more = arena_alloc(p->c->program->arena, p->cap * sizeof *more);
        if (v->n_parts > 0) {
            memcpy(more, v->parts, v->n_parts * sizeof *more);
        }
        v->parts = more;
    }
    return v->parts[v->n_parts++] = compile_message(p->c, &egret__apim__v1__value__part__descriptor);
}

static void end_literal(struct parts *p)
{
    if (!slice_is_empty(strbuf_slice(&p->literal))) {
        Egret__Apim__V1__Value__Part *part = add_part(p);
        part->part_case = EGRET__APIM__V1__VALUE__PART__PART_LITERAL;
        part->literal = arena_str(p->c->program->arena, strbuf_slice(&p->literal));
        strbuf_clear(&p->literal);
    }
}

static void note_secret(struct compile *c, const char *name)
{
    for (size_t i = 0; i < c->n_secrets; i++) {
        if (strcmp(c->secrets[i], name) == 0) {
            return;
        }
    }
    if (c->n_secrets == c->cap_secrets) {
        c->cap_secrets = c->cap_secrets == 0 ? 4 : c->cap_secrets * 2;
        const char **more = arena_alloc(c->program->arena, c->cap_secrets * sizeof *more);
        if (c->n_secrets > 0) {
            memcpy(more, c->secrets, c->n_secrets * sizeof *more);
        }
        c->secrets = more;
    }
    c->secrets[c->n_secrets++] = arena_str(c->program->arena, slice_of(name));
}

static void add_secret(struct parts *p, const char *name)
{
    end_literal(p);
    Egret__Apim__V1__Value__Part *part = add_part(p);
    part->part_case = EGRET__APIM__V1__VALUE__PART__PART_SECRET;
    part->secret = arena_str(p->c->program->arena, slice_of(name));
    note_secret(p->c, name);
    p->has_secret = true;
}

/* Puts every {{name}} in place, once: what a value holds is not looked at again. NULL, or why not. */
static const char *substitute(struct parts *p, struct slice text, struct slice *name)
{
    const struct policy_sources *from = p->c->sources;
    while (!slice_is_empty(text)) {
        size_t open = slice_search(text, SLICE("{{"));
        strbuf_add(&p->literal, slice_sub(text, 0, open));
        text = slice_from(text, open);
        size_t close = slice_search(text, SLICE("}}"));
        if (close >= text.n) {
            strbuf_add(&p->literal, text);
            return NULL;
        }
        *name = slice_trim(slice_sub(text, 2, close - 2));
        struct slice value = SLICE_NONE;
        const char *secret = NULL;
        const char *why =
            from == NULL ? "there are no named values" : from->find_value(from->ctx, *name, &value, &secret);
        if (why != NULL) {
            return why;
        }
        if (secret != NULL) {
            add_secret(p, secret);
        } else {
            strbuf_add(&p->literal, value);
        }
        text = slice_from(text, close + 2);
    }
    return NULL;
}

/* Where a text stands, for the reason. */
struct place {
    const xmlNode *e;
    const char *attribute; /* NULL: the element's text */
};

static bool close_place(struct compile *c, struct place at, const char *what)
{
    return at.attribute == NULL ? compile_close(c, at.e, "%s", what)
                                : compile_close(c, at.e, "attribute %s: %s", at.attribute, what);
}

static struct slice trim_all(struct slice s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL) {
        s = slice_from(s, 1);
    }
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL) {
        s.n--;
    }
    return s;
}

static bool is_expression(struct compile *c, const xmlNode *e, struct slice text)
{
    if (expression_begins(text)) {
        compile_close_expression(c, e);
        return true;
    }
    return false;
}

static bool make_value(struct compile *c, struct place at, struct slice text, Egret__Apim__V1__Value **out)
{
    struct parts p = {.c = c, .value = compile_message(c, &egret__apim__v1__value__descriptor)};
    struct slice name = SLICE_NONE;
    if (is_expression(c, at.e, text)) {
        return false;
    }
    strbuf_init(&p.literal);
    const char *why = substitute(&p, text, &name);
    bool ok = why == NULL;
    if (!ok) {
        close_place(c, at,
                    arena_printf(c->program->arena, "named value {{%.*s}}: %s", SLICE_ARG(slice_sub(name, 0, 256)), why));
    } else {
        ok = p.value->n_parts > 0 || !is_expression(c, at.e, strbuf_slice(&p.literal));
        end_literal(&p);
        *out = p.value;
    }
    strbuf_fini(&p.literal);
    return ok;
}

/* The value when it is one literal. */
static bool to_literal(struct compile *c, struct place at, const Egret__Apim__V1__Value *v, const char **out)
{
    for (size_t i = 0; i < v->n_parts; i++) {
        if (v->parts[i]->part_case != EGRET__APIM__V1__VALUE__PART__PART_LITERAL) {
            return close_place(c, at, "a secret named value cannot stand there");
        }
    }
    *out = v->n_parts == 0 ? "" : arena_str(c->program->arena, trim_all(slice_of(v->parts[0]->literal)));
    return true;
}

/* ---- attributes ---- */

bool compile_attribute_value(struct compile *c, const xmlNode *e, const char *name, Egret__Apim__V1__Value **out)
{
    *out = NULL;
    xmlChar *raw = xmlGetNoNsProp((xmlNode *)(uintptr_t)e, (const xmlChar *)name);
    if (raw == NULL) {
        return true;
    }
    bool ok = make_value(c, (struct place){e, name}, slice_of((const char *)raw), out);
    xmlFree(raw);
    return ok;
}

bool compile_attribute(struct compile *c, const xmlNode *e, const char *name, const char **out)
{
    Egret__Apim__V1__Value *v = NULL;
    *out = NULL;
    return compile_attribute_value(c, e, name, &v) && (v == NULL || to_literal(c, (struct place){e, name}, v, out));
}

bool compile_required(struct compile *c, const xmlNode *e, const char *name, const char **out)
{
    if (!compile_attribute(c, e, name, out)) {
        return false;
    }
    return (*out != NULL && **out != '\0') || compile_close(c, e, "needs attribute %s", name);
}

bool compile_bool(struct compile *c, const xmlNode *e, const char *name, bool *value)
{
    const char *text = NULL;
    if (!compile_attribute(c, e, name, &text) || text == NULL) {
        return text == NULL && !xmlHasProp((xmlNode *)(uintptr_t)e, (const xmlChar *)name);
    }
    *value = slice_eq_nocase(slice_of(text), SLICE("true"));
    return *value || slice_eq_nocase(slice_of(text), SLICE("false")) ||
           compile_close(c, e, "attribute %s is neither true nor false", name);
}

bool compile_number(struct compile *c, const xmlNode *e, const char *name, struct number_rule rule, uint32_t *value)
{
    const char *text = NULL;
    uint64_t n = 0;
    if (rule.required ? !compile_required(c, e, name, &text) : !compile_attribute(c, e, name, &text)) {
        return false;
    }
    if (text == NULL) {
        return true;
    }
    if (!slice_to_u64(slice_of(text), &n) || n < rule.least || n > rule.most) {
        return compile_close(c, e, "attribute %s is not a number from %u to %u", name, rule.least, rule.most);
    }
    *value = (uint32_t)n;
    return true;
}

/* ---- texts ---- */

static bool collect_text(struct compile *c, const xmlNode *e, struct strbuf *out)
{
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE) {
            strbuf_add_str(out, (const char *)n->content);
        } else if (n->type != XML_COMMENT_NODE) {
            return compile_close(c, e, "only text may stand inside it");
        }
    }
    return true;
}

bool compile_text_value(struct compile *c, const xmlNode *e, bool trim, Egret__Apim__V1__Value **out)
{
    struct strbuf text;
    strbuf_init(&text);
    bool ok = collect_text(c, e, &text);
    if (ok) {
        struct slice s = strbuf_slice(&text);
        ok = make_value(c, (struct place){e, NULL}, trim ? trim_all(s) : s, out);
    }
    strbuf_fini(&text);
    return ok;
}

bool compile_text(struct compile *c, const xmlNode *e, const char **out)
{
    Egret__Apim__V1__Value *v = NULL;
    return compile_text_value(c, e, true, &v) && to_literal(c, (struct place){e, NULL}, v, out);
}

char *compile_lower(struct compile *c, const char *text)
{
    char *lower = arena_str(c->program->arena, slice_of(text));
    for (char *p = lower; *p != '\0'; p++) {
        *p = ascii_lower(*p);
    }
    return lower;
}

/* RFC 9110 5.1: a token. */
static bool is_token(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        bool word = (*p >= '0' && *p <= '9') || (ascii_lower(*p) >= 'a' && ascii_lower(*p) <= 'z');
        if (!word && strchr("!#$%&'*+-.^_`|~", *p) == NULL) {
            return false;
        }
    }
    return *text != '\0';
}

bool compile_header_name(struct compile *c, const xmlNode *e, const char **lower)
{
    const char *name = NULL;
    if (!compile_required(c, e, "name", &name)) {
        return false;
    }
    if (!is_token(name)) {
        return compile_close(c, e, "\"%.100s\" is no header name", name);
    }
    *lower = compile_lower(c, name);
    return true;
}
