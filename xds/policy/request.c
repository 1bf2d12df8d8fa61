/* Policies about the request that is sent on, and those that leave nothing to see from outside. */
#include <string.h>

#include "xds/policy/compile.h"

void compile_set_method(struct compile *c, const xmlNode *e)
{
    const char *method = NULL;
    if (!compile_text(c, e, &method)) {
        return;
    }
    if (*method == '\0' || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") != strlen(method) ||
        strcmp(method, "CONNECT") == 0) {
        compile_close(c, e, "\"%.50s\" is no method", method);
        return;
    }
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_SET_METHOD;
    m->set_method = compile_message(c, &egret__apim__v1__set_method__descriptor);
    m->set_method->method = arena_str(c->program->arena, slice_of(method));
}

/* No blanks and controls, every "{" closed, nothing but a name inside. */
static bool check_template(struct compile *c, const xmlNode *e, const char *text)
{
    bool inside = false;
    if (*text != '/') {
        return compile_close(c, e, "attribute template does not begin with a slash");
    }
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == '#') {
            return compile_close(c, e, "attribute template holds a character that no URL has");
        }
        if ((*p == '{' && inside) || (*p == '}' && !inside)) {
            return compile_close(c, e, "attribute template has a bracket too many");
        }
        inside = *p == '{' || (inside && *p != '}');
    }
    return !inside || compile_close(c, e, "attribute template has a bracket that is not closed");
}

/* The text with something harmless in place of each secret, to be looked at. *secret: there is one. */
static const char *shown_text(struct compile *c, const Egret__Apim__V1__Value *v, bool *secret)
{
    const char *text = "";
    for (size_t i = 0; v != NULL && i < v->n_parts; i++) {
        bool literal = v->parts[i]->part_case == EGRET__APIM__V1__VALUE__PART__PART_LITERAL;
        *secret |= !literal;
        text = arena_printf(c->program->arena, "%s%s", text, literal ? v->parts[i]->literal : "secret");
    }
    return text;
}

void compile_rewrite_uri(struct compile *c, const xmlNode *e)
{
    const char *template = NULL;
    Egret__Apim__V1__Value *value = NULL;
    bool copy = true, secret = false;
    if (!compile_attribute_value(c, e, "template", &value)) {
        return;
    }
    template = shown_text(c, value, &secret);
    if ((!secret && !compile_required(c, e, "template", &template)) || !check_template(c, e, template) ||
        !compile_bool(c, e, "copy-unmatched-params", &copy) || !compile_check_empty(c, e)) {
        return;
    }
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_REWRITE_URI;
    m->rewrite_uri = compile_message(c, &egret__apim__v1__rewrite_uri__descriptor);
    m->rewrite_uri->uri_template = secret ? m->rewrite_uri->uri_template : arena_str(c->program->arena, slice_of(template));
    m->rewrite_uri->secret_template = secret ? value : NULL;
    m->rewrite_uri->copy_unmatched_params = copy;
}

void compile_basic(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__AuthenticationBasic *b = compile_message(c, &egret__apim__v1__authentication_basic__descriptor);
    if (!compile_attribute_value(c, e, "username", &b->username) ||
        !compile_attribute_value(c, e, "password", &b->password) || !compile_check_empty(c, e)) {
        return;
    }
    if (b->username == NULL || b->password == NULL) {
        compile_close(c, e, "needs username and password");
        return;
    }
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_AUTHENTICATION_BASIC;
    m->authentication_basic = b;
}

/* ---- proxy ---- */

/* "host:port" of "http://host[:port][/]"; false: something else stands there. */
static bool proxy_address(struct compile *c, struct slice url, char **address)
{
    struct slice rest = slice_from(url, 7), port;
    uint64_t number = 80;
    if (!slice_starts_with_nocase(url, SLICE("http://"))) {
        return false;
    }
    rest.n -= slice_ends_with(rest, SLICE("/")) ? 1 : 0;
    size_t bracket = slice_starts_with(rest, SLICE("[")) ? slice_find(rest, ']') + 1 : 0;
    size_t colon = bracket + slice_find(slice_from(rest, bracket), ':');
    port = slice_from(rest, colon + 1);
    if (colon < rest.n && (!slice_to_u64(port, &number) || number == 0 || number > 65535)) {
        return false;
    }
    struct slice host = slice_sub(rest, 0, colon);
    for (size_t i = 0; i < host.n; i++) {
        unsigned char ch = (unsigned char)host.p[i];
        if (ch <= ' ' || ch >= 0x7f || strchr("/?#@", ch) != NULL) {
            return false;
        }
    }
    *address = arena_printf(c->program->arena, "%s:%u", compile_lower(c, arena_str(c->program->arena, host)), (unsigned)number);
    return host.n > 0;
}

void compile_proxy(struct compile *c, const xmlNode *e)
{
    const char *url = NULL;
    Egret__Apim__V1__Value *user = NULL, *password = NULL;
    Egret__Apim__V1__UseProxy *p = compile_message(c, &egret__apim__v1__use_proxy__descriptor);
    if (!compile_required(c, e, "url", &url) || !compile_attribute_value(c, e, "username", &user) ||
        !compile_attribute_value(c, e, "password", &password) || !compile_check_empty(c, e)) {
        return;
    }
    if (user != NULL || password != NULL) {
        compile_close(c, e, "a proxy is not given credentials: they would stand in the configuration of a cluster");
        return;
    }
    if (!proxy_address(c, slice_of(url), &p->address)) {
        compile_close(c, e, "attribute url is not http://host:port");
        return;
    }
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    c->items[c->section][c->n[c->section] - 1].proxy = p->address;
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_USE_PROXY;
    m->use_proxy = p;
}

/* ---- nothing to see ---- */

static void add_note(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    c->items[c->section][c->n[c->section] - 1].has_effect = false;
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_NOTE;
    m->note = compile_message(c, &egret__apim__v1__note__descriptor);
    m->note->policy = arena_str(c->program->arena, slice_of(compile_name(e)));
}

/* Who could read the variable is an expression, and those are closed. */
void compile_set_variable(struct compile *c, const xmlNode *e)
{
    const char *name = NULL;
    Egret__Apim__V1__Value *value = NULL;
    if (!compile_required(c, e, "name", &name) || !compile_attribute_value(c, e, "value", &value) ||
        !compile_check_empty(c, e)) {
        return;
    }
    if (value == NULL) {
        compile_close(c, e, "needs attribute value");
        return;
    }
    add_note(c, e);
}

/* What stands inside must be literal too: an expression could fail, and its failing is to be seen. */
static bool check_literal(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__Value *value;
    for (const xmlAttr *a = e->properties; a != NULL; a = a->next) {
        if (!compile_attribute_value(c, e, (const char *)a->name, &value)) {
            return false;
        }
    }
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && (!compile_text_value(c, n, true, &value) || !check_literal(c, n))) {
            return false;
        }
    }
    return true;
}

void compile_trace(struct compile *c, const xmlNode *e)
{
    if (compile_check_children(c, e, "message metadata") && check_literal(c, e)) {
        add_note(c, e);
    }
}

void compile_emit_metric(struct compile *c, const xmlNode *e)
{
    if (compile_check_children(c, e, "dimension") && check_literal(c, e)) {
        add_note(c, e);
    }
}
