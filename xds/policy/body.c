/* Policies that change a body on its way. */
#include <string.h>

#include "xds/policy/compile.h"

static char *copy(struct compile *c, const char *text)
{
    return arena_str(c->program->arena, slice_of(text));
}

void compile_find_and_replace(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__FindAndReplace *r = compile_message(c, &egret__apim__v1__find_and_replace__descriptor);
    Egret__Apim__V1__Value *from = NULL;
    if (!compile_attribute_value(c, e, "from", &from) || !compile_attribute_value(c, e, "to", &r->to) ||
        !compile_check_empty(c, e)) {
        return;
    }
    if (from == NULL || from->n_parts == 0 || r->to == NULL) {
        compile_close(c, e, "needs from, which must not be empty, and to");
        return;
    }
    if (from->n_parts > 1 || from->parts[0]->part_case != EGRET__APIM__V1__VALUE__PART__PART_LITERAL) {
        compile_close(c, e, "attribute from: a secret named value cannot stand there");
        return;
    }
    if (strlen(from->parts[0]->literal) > COMPILE_NEEDLE_MAX) {
        compile_close(c, e, "attribute from is longer than %d bytes", COMPILE_NEEDLE_MAX);
        return;
    }
    r->from = from->parts[0]->literal;
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_FIND_AND_REPLACE;
    m->find_and_replace = r;
}

void compile_redirect_content_urls(struct compile *c, const xmlNode *e)
{
    if (compile_check_empty(c, e)) {
        Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
        m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_REDIRECT_CONTENT_URLS;
        m->redirect_content_urls = compile_message(c, &egret__apim__v1__redirect_content_urls__descriptor);
    }
}

void compile_jsonp(struct compile *c, const xmlNode *e)
{
    const char *name = NULL;
    if (compile_required(c, e, "callback-parameter-name", &name) && compile_check_empty(c, e)) {
        Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
        m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_JSONP;
        m->jsonp = compile_message(c, &egret__apim__v1__jsonp__descriptor);
        m->jsonp->callback_parameter = copy(c, name);
    }
}

/* apply: "always", or the other word. */
static bool read_apply(struct compile *c, const xmlNode *e, const char *other, protobuf_c_boolean *only)
{
    const char *apply = NULL;
    if (!compile_required(c, e, "apply", &apply)) {
        return false;
    }
    *only = strcmp(apply, other) == 0;
    return *only || strcmp(apply, "always") == 0 ||
           compile_close(c, e, "attribute apply is neither always nor %s", other);
}

static bool read_accept(struct compile *c, const xmlNode *e, protobuf_c_boolean *consider)
{
    bool value = true;
    bool ok = compile_bool(c, e, "consider-accept-header", &value);
    *consider = value;
    return ok;
}

void compile_json_to_xml(struct compile *c, const xmlNode *e)
{
    const char *separator = NULL, *prefix = NULL, *block = NULL;
    bool dates = true; /* either way they are copied as they stand */
    Egret__Apim__V1__JsonToXml *x = compile_message(c, &egret__apim__v1__json_to_xml__descriptor);
    if (!read_apply(c, e, "content-type-json", &x->only_json) || !read_accept(c, e, &x->consider_accept) ||
        !compile_bool(c, e, "parse-date", &dates) || !compile_attribute(c, e, "namespace-separator", &separator) ||
        !compile_attribute(c, e, "namespace-prefix", &prefix) ||
        !compile_attribute(c, e, "attribute-block-name", &block) || !compile_check_empty(c, e)) {
        return;
    }
    if (separator != NULL && *separator == '\0') {
        compile_close(c, e, "attribute namespace-separator is empty");
        return;
    }
    x->namespace_separator = copy(c, separator == NULL ? "_" : separator);
    x->namespace_prefix = copy(c, prefix);
    x->attribute_block = copy(c, block);
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_JSON_TO_XML;
    m->json_to_xml = x;
}

void compile_xml_to_json(struct compile *c, const xmlNode *e)
{
    const char *kind = NULL;
    bool array = false;
    Egret__Apim__V1__XmlToJson *x = compile_message(c, &egret__apim__v1__xml_to_json__descriptor);
    if (!compile_required(c, e, "kind", &kind) || !read_apply(c, e, "content-type-xml", &x->only_xml) ||
        !read_accept(c, e, &x->consider_accept) || !compile_bool(c, e, "always-array-child-elements", &array) ||
        !compile_check_empty(c, e)) {
        return;
    }
    if (strcmp(kind, "direct") != 0) {
        compile_close(c, e, strcmp(kind, "javascript-friendly") == 0
                                ? "kind javascript-friendly: what it writes is not documented"
                                : "kind is neither direct nor javascript-friendly");
        return;
    }
    x->always_array = array;
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_XML_TO_JSON;
    m->xml_to_json = x;
}
