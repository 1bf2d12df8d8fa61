/* compile: what the files of this room share while one document is compiled. Private to xds/policy. */
#pragma once
#include <libxml/tree.h>

#include "base/arena.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "xds/policy/expression.h"
#include "xds/policy/policy.h"

enum {
    COMPILE_SECTION_MAX = 2000, /* instructions of one section */
    COMPILE_NESTED_MAX = 10,    /* fragments in fragments */
    COMPILE_INCLUDES_MAX = 200, /* of one document, nested ones counted */
    COMPILE_NEEDLE_MAX = 4096,  /* bytes of what find-and-replace looks for */
};

struct compile {
    struct policy_program *program;
    const struct policy_sources *sources;
    struct policy_limits limits;
    struct policy_instruction *items[POLICY_SECTIONS];
    size_t n[POLICY_SECTIONS], cap[POLICY_SECTIONS];
    bool seen[POLICY_SECTIONS];
    enum policy_section section;           /* being compiled */
    unsigned inside;                       /* choose, retry, wait, limit-concurrency around here */
    unsigned held;                         /* limit-concurrency around here */
    const char *file;                      /* of the fragment being compiled; NULL: the document */
    const char *open[COMPILE_NESTED_MAX];  /* fragments being compiled */
    struct expressions *expressions;       /* of the text being compiled */
    unsigned nested, includes;
    const char **secrets;
    size_t n_secrets, cap_secrets;
};

/* ---- policy.c ---- */

/* Appends and returns the new instruction, zeroed but for op and place. */
struct policy_instruction *compile_add(struct compile *c, enum policy_op op, const xmlNode *e);
/* "policy <name>: …" at this element. Returns false. */
bool compile_close(struct compile *c, const xmlNode *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void compile_close_expression(struct compile *c, const xmlNode *e);
/* The elements inside: one instruction each, at most. */
void compile_children(struct compile *c, const xmlNode *parent);
/* The same for what stands inside a policy. */
void compile_inside(struct compile *c, const xmlNode *e);
/* A fragment's text, in place. */
void compile_fragment(struct compile *c, struct slice text, const char *file);

/* ---- element.c ---- */

void compile_element(struct compile *c, const xmlNode *e);
/* A STEP (or RETURN) with a message of this kind, from the program's arena. */
void *compile_message(struct compile *c, const ProtobufCMessageDescriptor *d);
Egret__Apim__V1__Instruction *compile_step(struct compile *c, enum policy_op op, const xmlNode *e);

/* ---- value.c: texts with named values in place. false: not possible, and a CLOSED says why ---- */

const char *compile_name(const xmlNode *e);
uint32_t compile_line(const xmlNode *e);
bool compile_is(const xmlNode *e, const char *name); /* an element of that name */
/* Each attribute of e is "id" or one of `known` (blank-separated). */
bool compile_check_attributes(struct compile *c, const xmlNode *e, const char *known);
bool compile_check_empty(struct compile *c, const xmlNode *e);
/* Nothing but elements (and comments) inside, each of one of these names. */
bool compile_check_children(struct compile *c, const xmlNode *e, const char *known);

/* *out is NULL when there is no such attribute. Literal: a secret cannot stand there. */
bool compile_attribute(struct compile *c, const xmlNode *e, const char *name, const char **out);
bool compile_required(struct compile *c, const xmlNode *e, const char *name, const char **out);
bool compile_bool(struct compile *c, const xmlNode *e, const char *name, bool *value); /* absent: left as it is */
struct number_rule {
    uint32_t least, most;
    bool required;
};
bool compile_number(struct compile *c, const xmlNode *e, const char *name, struct number_rule rule, uint32_t *value);
bool compile_attribute_value(struct compile *c, const xmlNode *e, const char *name, Egret__Apim__V1__Value **out);
/* The text of an element without elements inside. trim: white space at both ends does not count. */
bool compile_text(struct compile *c, const xmlNode *e, const char **out);
bool compile_text_value(struct compile *c, const xmlNode *e, bool trim, Egret__Apim__V1__Value **out);
bool compile_header_name(struct compile *c, const xmlNode *e, const char **lower);
char *compile_lower(struct compile *c, const char *text);

/* ---- one function for each policy that runs ---- */

typedef void compile_fn(struct compile *c, const xmlNode *e);
compile_fn compile_base, compile_forward_request, compile_set_backend_service;                     /* element.c */
compile_fn compile_choose, compile_retry, compile_wait, compile_include_fragment;                  /* flow.c */
compile_fn compile_return_response, compile_set_status, compile_set_body, compile_set_header;      /* response.c */
compile_fn compile_set_query_parameter, compile_mock_response;                                     /* response.c */
compile_fn compile_rate_limit, compile_quota, compile_limit_concurrency;                           /* limit.c */
compile_fn compile_find_and_replace, compile_redirect_content_urls, compile_jsonp;                 /* body.c */
compile_fn compile_json_to_xml, compile_xml_to_json;                                               /* body.c */
compile_fn compile_set_method, compile_rewrite_uri, compile_basic, compile_proxy;                  /* request.c */
compile_fn compile_set_variable, compile_trace, compile_emit_metric;                               /* request.c */
compile_fn compile_ip_filter, compile_check_header, compile_cors;                                  /* guard.c */

/* table.c */
struct policy_kind {
    const char *name;
    unsigned sections;      /* bit for each enum policy_section */
    const char *attributes; /* blank-separated; of one that runs */
    compile_fn *compile;    /* NULL: closed */
    const char *text;       /* why closed, or the note */
};
const struct policy_kind *policy_kind_find(const char *name); /* NULL: APIM has no such policy */
