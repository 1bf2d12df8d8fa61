/* The policies that run now, with literal values; every other element becomes a CLOSED that names it. */
#include <libxml/tree.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"
#include "base/strbuf.h"
#include "xds/policy/compile.h"

enum { TIMEOUT_MAX_S = 86400 };

static uint32_t line_of(const xmlNode *e)
{
    long line = xmlGetLineNo((xmlNode *)(uintptr_t)e);
    return line <= 0 ? 1 : (uint32_t)line;
}

static const char *name_of(const xmlNode *e)
{
    return (const char *)e->name;
}

/* The attribute as the reader gives it: entities resolved, in libxml2's memory. NULL: absent. */
static xmlChar *attribute_raw(const xmlNode *e, const char *name)
{
    return xmlGetNoNsProp((xmlNode *)(uintptr_t)e, (const xmlChar *)name);
}

static bool is_expression(struct slice text)
{
    text = slice_trim(text);
    return slice_starts_with(text, SLICE("@(")) || slice_starts_with(text, SLICE("@{"));
}

/* Puts every {{name}} in place, once: what a value holds is not looked at again. NULL, or why not. */
static const char *substitute(const struct compile *c, struct slice text, struct strbuf *out, struct slice *name)
{
    while (!slice_is_empty(text)) {
        size_t open = slice_search(text, SLICE("{{"));
        strbuf_add(out, slice_sub(text, 0, open));
        text = slice_from(text, open);
        if (slice_is_empty(text)) {
            break;
        }
        size_t close = slice_search(text, SLICE("}}"));
        if (close >= text.n) {
            strbuf_add(out, text);
            break;
        }
        *name = slice_trim(slice_sub(text, 2, close - 2));
        struct slice value = SLICE_NONE;
        const char *why =
            c->values == NULL ? "there are no named values" : c->values->find(c->values->ctx, *name, &value);
        if (why != NULL) {
            return why;
        }
        strbuf_add(out, value);
        text = slice_from(text, close + 2);
    }
    return NULL;
}

bool compile_attribute(struct compile *c, enum policy_section s, const xmlNode *e, const char *name, const char **out)
{
    *out = NULL;
    xmlChar *raw = attribute_raw(e, name);
    if (raw == NULL) {
        return true;
    }
    struct strbuf text;
    strbuf_init(&text);
    struct slice value_name = SLICE_NONE;
    const char *why = substitute(c, slice_of((const char *)raw), &text, &value_name);
    bool ok = false;
    if (why != NULL) {
        compile_close(c, s, line_of(e), "policy <%s>: attribute %s: named value {{%.*s}}: %s", name_of(e), name,
                      SLICE_ARG(slice_sub(value_name, 0, 256)), why);
    } else if (is_expression(strbuf_slice(&text))) {
        compile_close(c, s, line_of(e), "policy <%s>: attribute %s: expressions are not supported yet", name_of(e),
                      name);
    } else {
        *out = arena_str(c->program->arena, slice_trim(strbuf_slice(&text)));
        ok = true;
    }
    strbuf_fini(&text);
    xmlFree(raw);
    return ok;
}

/* Attributes whose only accepted value is what Egret does anyway. */
struct fixed_attribute {
    const char *name;
    const char *values[2];
};

static const struct fixed_attribute FORWARD_FIXED[] = {
    {"http-version", {"1", NULL}},
    {"follow-redirects", {"false", NULL}},
    {"buffer-request-body", {"false", NULL}},
    {"buffer-response", {"true", "false"}}, /* both: responses are streamed as they come */
    {"fail-on-error-status-code", {"false", NULL}},
};

static const struct fixed_attribute *find_fixed(const struct fixed_attribute *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static bool has_value(const struct fixed_attribute *f, const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(f->values); i++) {
        if (f->values[i] != NULL && strcmp(f->values[i], value) == 0) {
            return true;
        }
    }
    return false;
}

/* Each attribute of e must be "id", one of known (NULL-terminated), or a fixed one with its value. */
static bool check_attributes(struct compile *c, enum policy_section s, const xmlNode *e, const char *const *known)
{
    bool forward = strcmp(name_of(e), "forward-request") == 0;
    for (const xmlAttr *a = e->properties; a != NULL; a = a->next) {
        const char *name = (const char *)a->name;
        bool ok = a->ns == NULL && strcmp(name, "id") == 0;
        for (const char *const *k = known; !ok && a->ns == NULL && *k != NULL; k++) {
            ok = strcmp(*k, name) == 0;
        }
        const struct fixed_attribute *f =
            forward && !ok ? find_fixed(FORWARD_FIXED, ARRAY_LEN(FORWARD_FIXED), name) : NULL;
        if (f != NULL) {
            const char *value = NULL;
            if (!compile_attribute(c, s, e, name, &value)) {
                return false;
            }
            ok = has_value(f, value == NULL ? "" : value);
        }
        if (!ok) {
            compile_close(c, s, line_of(e), "policy <%s>: attribute %s%s is not supported yet", name_of(e), name,
                          f != NULL ? " with this value" : "");
            return false;
        }
    }
    return true;
}

static bool check_empty(struct compile *c, enum policy_section s, const xmlNode *e)
{
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        bool blank = n->type == XML_TEXT_NODE && xmlIsBlankNode((xmlNode *)(uintptr_t)n) == 1;
        if (n->type != XML_COMMENT_NODE && !blank) {
            compile_close(c, s, line_of(e), "policy <%s>: nothing may stand inside it", name_of(e));
            return false;
        }
    }
    return true;
}

static void compile_base(struct compile *c, enum policy_section s, const xmlNode *e)
{
    for (size_t i = 0; i < c->n[s]; i++) {
        if (c->items[s][i].op == POLICY_BASE) { /* linking would grow with every scope */
            compile_close(c, s, line_of(e), "policy <base>: stands twice in <%s>", policy_section_name(s));
            return;
        }
    }
    compile_add(c, s, POLICY_BASE, line_of(e));
}

static void compile_forward_request(struct compile *c, enum policy_section s, const xmlNode *e)
{
    const char *timeout = NULL;
    uint64_t seconds = 0;
    if (s != POLICY_BACKEND) {
        compile_close(c, s, line_of(e), "policy <forward-request>: may only stand in <backend>");
        return;
    }
    if (!compile_attribute(c, s, e, "timeout", &timeout)) {
        return;
    }
    if (timeout != NULL && (!slice_to_u64(slice_of(timeout), &seconds) || seconds == 0 || seconds > TIMEOUT_MAX_S)) {
        compile_close(c, s, line_of(e), "policy <forward-request>: timeout is not a number of seconds from 1 to %d",
                      TIMEOUT_MAX_S);
        return;
    }
    compile_add(c, s, POLICY_FORWARD_REQUEST, line_of(e))->timeout_s = (uint32_t)seconds;
}

static void compile_set_backend_service(struct compile *c, enum policy_section s, const xmlNode *e)
{
    const char *url = NULL, *id = NULL;
    if (s != POLICY_INBOUND) {
        compile_close(c, s, line_of(e), "policy <set-backend-service>: is only supported in <inbound> yet");
        return;
    }
    if (!compile_attribute(c, s, e, "base-url", &url) || !compile_attribute(c, s, e, "backend-id", &id)) {
        return;
    }
    bool has_url = url != NULL && *url != '\0', has_id = id != NULL && *id != '\0';
    if (has_url == has_id) {
        compile_close(c, s, line_of(e), "policy <set-backend-service>: needs one of base-url and backend-id");
        return;
    }
    struct policy_instruction *i = compile_add(c, s, POLICY_SET_BACKEND_SERVICE, line_of(e));
    i->base_url = has_url ? url : NULL;
    i->backend_id = has_id ? id : NULL;
}

static const char *const NO_ATTRIBUTES[] = {NULL};
static const char *const FORWARD_ATTRIBUTES[] = {"timeout", NULL};
static const char *const BACKEND_ATTRIBUTES[] = {"base-url", "backend-id", NULL};

struct supported {
    const char *name;
    const char *const *attributes;
    void (*compile)(struct compile *c, enum policy_section s, const xmlNode *e);
};

static const struct supported SUPPORTED[] = {
    {"base", NO_ATTRIBUTES, compile_base},
    {"forward-request", FORWARD_ATTRIBUTES, compile_forward_request},
    {"set-backend-service", BACKEND_ATTRIBUTES, compile_set_backend_service},
};

void compile_element(struct compile *c, enum policy_section s, const xmlNode *e)
{
    for (size_t i = 0; i < ARRAY_LEN(SUPPORTED); i++) {
        const struct supported *p = &SUPPORTED[i];
        if (e->ns == NULL && strcmp(name_of(e), p->name) == 0) {
            if (check_attributes(c, s, e, p->attributes) && check_empty(c, s, e)) {
                p->compile(c, s, e);
            }
            return;
        }
    }
    compile_close(c, s, line_of(e), "policy <%.200s> is not supported yet", name_of(e));
}
