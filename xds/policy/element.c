/* From an element to its policy's function; the policies that decide where a request goes. */
#include <string.h>

#include "base/macros.h"
#include "xds/policy/compile.h"

enum { TIMEOUT_MAX_S = 86400 };

void *compile_message(struct compile *c, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = arena_alloc(c->program->arena, d->sizeof_message);
    d->message_init(m);
    return m;
}

/* ---- where a policy stands, in the words of context.LastError.Path ---- */

/* Which of several of its name it is, from 1; 0: it is the only one. */
static unsigned number_of(const xmlNode *e)
{
    unsigned before = 1;
    bool others = false;
    for (const xmlNode *n = e->prev; n != NULL; n = n->prev) {
        before += compile_is(n, compile_name(e)) ? 1 : 0;
    }
    for (const xmlNode *n = e->next; n != NULL && !others; n = n->next) {
        others = compile_is(n, compile_name(e));
    }
    return before > 1 || others ? before : 0;
}

static void add_place(const xmlNode *e, const xmlNode *top, struct strbuf *out)
{
    if (e->parent != top) {
        add_place(e->parent, top, out); /* as deep as the document, which is limited */
        strbuf_add_char(out, '\\');
    }
    unsigned number = number_of(e);
    strbuf_add_str(out, compile_name(e));
    if (number > 0) {
        strbuf_printf(out, "[%u]", number);
    }
}

static char *path_of(struct compile *c, const xmlNode *e)
{
    struct strbuf path;
    strbuf_init(&path);
    const xmlNode *root = xmlDocGetRootElement(e->doc), *top = root;
    for (const xmlNode *n = e; c->file == NULL && n->parent != NULL && n != root; n = n->parent) {
        top = n->parent == root ? n : top; /* the section */
    }
    if (c->file != NULL) {
        strbuf_add_str(&path, "include-fragment\\");
    }
    add_place(e, top, &path);
    char *out = strcmp(strbuf_cstr(&path), compile_name(e)) == 0 ? NULL : arena_str(c->program->arena, strbuf_slice(&path));
    strbuf_fini(&path);
    return out;
}

Egret__Apim__V1__Instruction *compile_step(struct compile *c, enum policy_op op, const xmlNode *e)
{
    struct policy_instruction *i = compile_add(c, op, e);
    i->has_effect = true;
    i->message = compile_message(c, &egret__apim__v1__instruction__descriptor);
    i->message->line = i->line;
    char *path = path_of(c, e);
    i->message->path = path == NULL ? i->message->path : path;
    xmlChar *id = xmlGetNoNsProp((xmlNode *)(uintptr_t)e, (const xmlChar *)"id");
    if (id != NULL && !expression_begins(slice_of((const char *)id))) {
        i->message->policy_id = arena_str(c->program->arena, slice_of((const char *)id));
    }
    xmlFree(id);
    return i->message;
}

void compile_element(struct compile *c, const xmlNode *e)
{
    const struct policy_kind *k = e->ns == NULL ? policy_kind_find(compile_name(e)) : NULL;
    if (k == NULL) {
        compile_close(c, e, "there is no such policy");
    } else if ((k->sections & 1u << c->section) == 0) {
        compile_close(c, e, "may not stand in <%s>", policy_section_name(c->section));
    } else if (k->compile == NULL) {
        compile_close(c, e, "%s", k->text);
    } else if (compile_check_attributes(c, e, k->attributes)) {
        k->compile(c, e);
    }
}

void compile_base(struct compile *c, const xmlNode *e)
{
    if (c->inside > 0 || c->file != NULL) {
        compile_close(c, e, "may only stand directly in a section");
        return;
    }
    for (size_t i = 0; i < c->n[c->section]; i++) {
        if (c->items[c->section][i].op == POLICY_BASE) { /* linking would grow with every scope */
            compile_close(c, e, "stands twice in <%s>", policy_section_name(c->section));
            return;
        }
    }
    if (compile_check_empty(c, e)) {
        compile_add(c, POLICY_BASE, e);
    }
}

static bool read_version(struct compile *c, const xmlNode *e, Egret__Apim__V1__ForwardRequest__HttpVersion *out)
{
    static const char *const names[] = {"1", "2", "2or1"};
    const char *text = NULL;
    if (!compile_attribute(c, e, "http-version", &text)) {
        return false;
    }
    for (int i = 0; i < (int)ARRAY_LEN(names); i++) {
        if (text == NULL || strcmp(text, names[i]) == 0) {
            *out = (Egret__Apim__V1__ForwardRequest__HttpVersion)i;
            return true;
        }
    }
    return compile_close(c, e, "attribute http-version is none of 1, 2, 2or1");
}

static bool read_timeouts(struct compile *c, const xmlNode *e, Egret__Apim__V1__ForwardRequest *f)
{
    const char *text = NULL;
    if (!compile_number(c, e, "timeout", (struct number_rule){1, TIMEOUT_MAX_S, false}, &f->timeout_s) ||
        !compile_number(c, e, "timeout-ms", (struct number_rule){1, TIMEOUT_MAX_S * 1000, false}, &f->timeout_ms) ||
        !compile_attribute(c, e, "continue-timeout", &text)) {
        return false;
    }
    if (text != NULL) {
        return compile_close(c, e, "attribute continue-timeout: a backend's 100 Continue is not waited for");
    }
    return f->timeout_s == 0 || f->timeout_ms == 0 || compile_close(c, e, "has both timeout and timeout-ms");
}

static bool read_switches(struct compile *c, const xmlNode *e, Egret__Apim__V1__ForwardRequest *f)
{
    bool redirects = false, body = false, fail = false, response = true; /* responses are passed on as they come */
    if (!compile_bool(c, e, "follow-redirects", &redirects) || !compile_bool(c, e, "buffer-request-body", &body) ||
        !compile_bool(c, e, "buffer-response", &response) ||
        !compile_bool(c, e, "fail-on-error-status-code", &fail)) {
        return false;
    }
    f->follow_redirects = redirects;
    f->buffer_request_body = body;
    f->fail_on_error_status_code = fail;
    return true;
}

void compile_forward_request(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__ForwardRequest *f = compile_message(c, &egret__apim__v1__forward_request__descriptor);
    if (!read_version(c, e, &f->version) || !read_switches(c, e, f) || !read_timeouts(c, e, f) ||
        !compile_check_empty(c, e)) {
        return;
    }
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_FORWARD_REQUEST, e);
    c->items[c->section][c->n[c->section] - 1].timeout_s = f->timeout_s;
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_FORWARD_REQUEST;
    m->forward_request = f;
}

void compile_set_backend_service(struct compile *c, const xmlNode *e)
{
    const char *url = NULL, *id = NULL;
    if (!compile_attribute(c, e, "base-url", &url) || !compile_attribute(c, e, "backend-id", &id) ||
        !compile_check_empty(c, e)) {
        return;
    }
    bool has_url = url != NULL && *url != '\0', has_id = id != NULL && *id != '\0';
    if (has_url == has_id) {
        compile_close(c, e, "needs one of base-url and backend-id");
        return;
    }
    struct policy_instruction *i = compile_add(c, POLICY_SET_BACKEND_SERVICE, e);
    i->base_url = has_url ? url : NULL;
    i->backend_id = has_id ? id : NULL;
    i->has_effect = true;
}
