/* Policies that count: rate-limit, quota, limit-concurrency. */
#include <string.h>

#include "xds/policy/compile.h"

enum { HELD_MAX = 8 }; /* limit-concurrency inside limit-concurrency */

static bool read_response_header(struct compile *c, const xmlNode *e, const char *attribute, char **out)
{
    const char *name = NULL;
    if (!compile_attribute(c, e, attribute, &name)) {
        return false;
    }
    if (name != NULL) {
        if (strpbrk(name, " \t\r\n:") != NULL) {
            return compile_close(c, e, "attribute %s is no header name", attribute);
        }
        *out = compile_lower(c, name);
    }
    return true;
}

/* ---- limits for one API or operation inside the product's ---- */

struct narrow_list {
    Egret__Apim__V1__NarrowLimit **items;
    size_t n;
    struct number_rule period;
};

static char *copy(struct compile *c, const char *text)
{
    return arena_str(c->program->arena, slice_of(text));
}

/* What both <api> and <operation> say. */
static Egret__Apim__V1__NarrowLimit *add_narrow(struct compile *c, const xmlNode *e, struct narrow_list *list)
{
    Egret__Apim__V1__NarrowLimit *m = compile_message(c, &egret__apim__v1__narrow_limit__descriptor);
    if (!compile_check_attributes(c, e, "name id calls renewal-period") ||
        !compile_number(c, e, "calls", (struct number_rule){1, INT32_MAX, true}, &m->calls) ||
        !compile_number(c, e, "renewal-period", list->period, &m->renewal_period_s)) {
        return NULL;
    }
    list->items[list->n++] = m;
    return m;
}

static bool read_operation(struct compile *c, const xmlNode *e, const Egret__Apim__V1__NarrowLimit *api,
                           struct narrow_list *list)
{
    const char *id = NULL;
    Egret__Apim__V1__NarrowLimit *m = add_narrow(c, e, list);
    if (m == NULL || !compile_attribute(c, e, "id", &id) || !compile_check_empty(c, e)) {
        return false;
    }
    if (id == NULL || *id == '\0') {
        return compile_close(c, e, "<operation> is found by its id only");
    }
    m->api_id = api->api_id;
    m->api_name = api->api_name;
    m->operation_id = copy(c, id);
    return true;
}

static bool read_api(struct compile *c, const xmlNode *e, struct narrow_list *list)
{
    const char *id = NULL, *name = NULL;
    Egret__Apim__V1__NarrowLimit *m = add_narrow(c, e, list);
    if (m == NULL || !compile_attribute(c, e, "id", &id) || !compile_attribute(c, e, "name", &name) ||
        !compile_check_children(c, e, "operation")) {
        return false;
    }
    bool has_id = id != NULL && *id != '\0', has_name = name != NULL && *name != '\0';
    if (!has_id && !has_name) {
        return compile_close(c, e, "<api> needs id or name");
    }
    *(has_id ? &m->api_id : &m->api_name) = copy(c, has_id ? id : name);
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (compile_is(n, "operation") && !read_operation(c, n, m, list)) {
            return false;
        }
    }
    return true;
}

static size_t count_elements(const xmlNode *e)
{
    size_t n = 0;
    for (const xmlNode *k = e->children; k != NULL; k = k->next) {
        n += k->type == XML_ELEMENT_NODE ? 1 + (size_t)xmlChildElementCount((xmlNode *)(uintptr_t)k) : 0;
    }
    return n;
}

static bool read_narrower(struct compile *c, const xmlNode *e, struct narrow_list *list)
{
    if (!compile_check_children(c, e, "api")) {
        return false;
    }
    list->items = arena_alloc(c->program->arena, (count_elements(e) + 1) * sizeof *list->items);
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (compile_is(n, "api") && !read_api(c, n, list)) {
            return false;
        }
    }
    return true;
}

/* ---- as policies ---- */

void compile_rate_limit(struct compile *c, const xmlNode *e)
{
    static char usual[] = "retry-after";
    Egret__Apim__V1__RateLimit *r = compile_message(c, &egret__apim__v1__rate_limit__descriptor);
    struct narrow_list narrower = {.period = {1, 300, true}};
    r->retry_after_header = usual;
    if (!compile_number(c, e, "calls", (struct number_rule){1, INT32_MAX, true}, &r->calls) ||
        !compile_number(c, e, "renewal-period", narrower.period, &r->renewal_period_s) ||
        !read_response_header(c, e, "retry-after-header-name", &r->retry_after_header) ||
        !read_response_header(c, e, "remaining-calls-header-name", &r->remaining_calls_header) ||
        !read_response_header(c, e, "total-calls-header-name", &r->total_calls_header) ||
        !read_narrower(c, e, &narrower)) {
        return;
    }
    r->narrower = narrower.items;
    r->n_narrower = narrower.n;
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_RATE_LIMIT;
    m->rate_limit = r;
}

/* Bandwidth is not counted: whoever limits it is closed, here and in the elements inside. */
static bool check_bandwidth(struct compile *c, const xmlNode *e)
{
    if (xmlHasProp((xmlNode *)(uintptr_t)e, (const xmlChar *)"bandwidth") != NULL) {
        return compile_close(c, e, "attribute bandwidth: bytes are not counted by subscription yet");
    }
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (n->type == XML_ELEMENT_NODE && !check_bandwidth(c, n)) {
            return false;
        }
    }
    return true;
}

void compile_quota(struct compile *c, const xmlNode *e)
{
    Egret__Apim__V1__Quota *q = compile_message(c, &egret__apim__v1__quota__descriptor);
    struct narrow_list narrower = {.period = {0, INT32_MAX, true}};
    if (!check_bandwidth(c, e) ||
        !compile_number(c, e, "calls", (struct number_rule){1, INT32_MAX, true}, &q->calls) ||
        !compile_number(c, e, "renewal-period", narrower.period, &q->renewal_period_s) ||
        !read_narrower(c, e, &narrower)) {
        return;
    }
    q->narrower = narrower.items;
    q->n_narrower = narrower.n;
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_QUOTA;
    m->quota = q;
}

void compile_limit_concurrency(struct compile *c, const xmlNode *e)
{
    const char *key = NULL;
    Egret__Apim__V1__EnterLimit *l = compile_message(c, &egret__apim__v1__enter_limit__descriptor);
    if (!compile_required(c, e, "key", &key) ||
        !compile_number(c, e, "max-count", (struct number_rule){1, INT32_MAX, true}, &l->max_count)) {
        return;
    }
    if (c->held == HELD_MAX) {
        compile_close(c, e, "more than %d of them inside each other", HELD_MAX);
        return;
    }
    l->key = copy(c, key);
    Egret__Apim__V1__Instruction *enter = compile_step(c, POLICY_STEP, e);
    enter->op_case = EGRET__APIM__V1__INSTRUCTION__OP_ENTER_LIMIT;
    enter->enter_limit = l;
    c->held++;
    compile_inside(c, e);
    c->held--;
    Egret__Apim__V1__Instruction *leave = compile_step(c, POLICY_STEP, e);
    c->items[c->section][c->n[c->section] - 1].has_effect = false; /* it may stand behind forward-request */
    leave->op_case = EGRET__APIM__V1__INSTRUCTION__OP_LEAVE_LIMIT;
    leave->leave_limit = compile_message(c, &egret__apim__v1__leave_limit__descriptor);
}
