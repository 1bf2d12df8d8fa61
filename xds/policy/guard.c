/* Policies that let a call through or not, whatever came before it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "xds/policy/compile.h"

/* ---- ip-filter ---- */

struct ip {
    int family;
    unsigned char bytes[16];
};

static bool read_ip(struct compile *c, const xmlNode *e, const char *text, struct ip *out)
{
    *out = (struct ip){.family = strchr(text, ':') == NULL ? AF_INET : AF_INET6};
    return inet_pton(out->family, text, out->bytes) == 1 ||
           compile_close(c, e, "\"%.60s\" is no IP address", text);
}

static bool read_range(struct compile *c, const xmlNode *n, Egret__Apim__V1__IpFilter__Range *out)
{
    const char *first = NULL, *last = NULL;
    struct ip a, b;
    if (compile_is(n, "address")) {
        if (!compile_check_attributes(c, n, "") || !compile_text(c, n, &first)) {
            return false;
        }
        last = first;
    } else if (!compile_check_attributes(c, n, "from to") || !compile_required(c, n, "from", &first) ||
               !compile_required(c, n, "to", &last) || !compile_check_empty(c, n)) {
        return false;
    }
    if (!read_ip(c, n, first, &a) || !read_ip(c, n, last, &b)) {
        return false;
    }
    if (a.family != b.family || memcmp(a.bytes, b.bytes, sizeof a.bytes) > 0) {
        return compile_close(c, n, "%.60s to %.60s is no range of addresses", first, last);
    }
    out->first = arena_str(c->program->arena, slice_of(first));
    out->last = arena_str(c->program->arena, slice_of(last));
    return true;
}

void compile_ip_filter(struct compile *c, const xmlNode *e)
{
    const char *action = NULL;
    Egret__Apim__V1__IpFilter *f = compile_message(c, &egret__apim__v1__ip_filter__descriptor);
    if (!compile_required(c, e, "action", &action) || !compile_check_children(c, e, "address address-range")) {
        return;
    }
    f->allow = strcmp(action, "allow") == 0;
    if (!f->allow && strcmp(action, "forbid") != 0) {
        compile_close(c, e, "action is neither allow nor forbid");
        return;
    }
    f->ranges = arena_alloc(c->program->arena,
                            (xmlChildElementCount((xmlNode *)(uintptr_t)e) + 1) * sizeof *f->ranges);
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (n->type == XML_ELEMENT_NODE) {
            f->ranges[f->n_ranges] = compile_message(c, &egret__apim__v1__ip_filter__range__descriptor);
            if (!read_range(c, n, f->ranges[f->n_ranges++])) {
                return;
            }
        }
    }
    if (f->n_ranges == 0) {
        compile_close(c, e, "names no address");
        return;
    }
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_IP_FILTER;
    m->ip_filter = f;
}

/* ---- check-header ---- */

void compile_check_header(struct compile *c, const xmlNode *e)
{
    const char *name = NULL, *message = NULL;
    bool ignore = false;
    Egret__Apim__V1__CheckHeader *h = compile_message(c, &egret__apim__v1__check_header__descriptor);
    if (!compile_header_name(c, e, &name) || !compile_required(c, e, "failed-check-error-message", &message) ||
        !compile_number(c, e, "failed-check-httpcode", (struct number_rule){200, 599, true}, &h->code) ||
        !compile_bool(c, e, "ignore-case", &ignore) || !compile_check_children(c, e, "value")) {
        return;
    }
    h->name = arena_str(c->program->arena, slice_of(name));
    h->message = arena_str(c->program->arena, slice_of(message));
    h->ignore_case = ignore;
    h->values = arena_alloc(c->program->arena,
                            (xmlChildElementCount((xmlNode *)(uintptr_t)e) + 1) * sizeof *h->values);
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (compile_is(n, "value") && !compile_text_value(c, n, true, &h->values[h->n_values++])) {
            return;
        }
    }
    Egret__Apim__V1__Instruction *m = compile_step(c, POLICY_STEP, e);
    m->op_case = EGRET__APIM__V1__INSTRUCTION__OP_CHECK_HEADER;
    m->check_header = h;
}

/* ---- cors ---- */

struct texts {
    char **items;
    size_t n;
    bool any; /* "*" */
};

/* The texts of the elements `item` inside, which stands in e. */
static bool read_texts(struct compile *c, const xmlNode *e, const char *item, struct texts *out)
{
    *out = (struct texts){0};
    if (!compile_check_children(c, e, item)) {
        return false;
    }
    out->items = arena_alloc(c->program->arena,
                             (xmlChildElementCount((xmlNode *)(uintptr_t)e) + 1) * sizeof *out->items);
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        const char *text = NULL;
        if (!compile_is(n, item)) {
            continue;
        }
        if (!compile_check_attributes(c, n, "") || !compile_text(c, n, &text)) {
            return false;
        }
        if (strcmp(text, "*") == 0) {
            out->any = true;
        } else if (*text == '\0' || strpbrk(text, "\r\n,") != NULL) {
            return compile_close(c, n, "<%s> holds no name", item);
        } else {
            out->items[out->n++] = arena_str(c->program->arena, slice_of(text));
        }
    }
    return out->any || out->n > 0 || compile_close(c, e, "<%s> names nothing", compile_name(e));
}

/* scheme://host[:port], as a browser writes it: lower case, without the scheme's own port. */
static bool read_origin(struct compile *c, const xmlNode *e, char **origin)
{
    char *text = compile_lower(c, *origin);
    struct slice s = slice_of(text);
    size_t scheme = slice_search(s, SLICE("://"));
    if (slice_ends_with(s, SLICE("/"))) {
        s.n--;
    }
    struct slice rest = slice_from(s, scheme + 3);
    if (scheme == 0 || scheme >= s.n || rest.n == 0 || slice_find(rest, '/') < rest.n || slice_find(rest, '*') < rest.n) {
        return compile_close(c, e, "\"%.100s\" is not one origin", *origin);
    }
    if (slice_starts_with(s, SLICE("http://")) && slice_ends_with(s, SLICE(":80"))) {
        s.n -= 3;
    } else if (slice_starts_with(s, SLICE("https://")) && slice_ends_with(s, SLICE(":443"))) {
        s.n -= 4;
    }
    *origin = arena_str(c->program->arena, s);
    return true;
}

static bool read_origins(struct compile *c, const xmlNode *n, Egret__Apim__V1__Cors *m)
{
    struct texts t;
    if (!compile_check_attributes(c, n, "") || !read_texts(c, n, "origin", &t)) {
        return false;
    }
    for (size_t i = 0; i < t.n; i++) {
        if (!read_origin(c, n, &t.items[i])) {
            return false;
        }
    }
    m->any_origin = t.any;
    m->origins = t.items;
    m->n_origins = t.n;
    return true;
}

static bool read_methods(struct compile *c, const xmlNode *n, Egret__Apim__V1__Cors *m)
{
    struct texts t;
    if (!compile_check_attributes(c, n, "preflight-result-max-age") ||
        !compile_number(c, n, "preflight-result-max-age", (struct number_rule){0, INT32_MAX, false}, &m->max_age_s) ||
        !read_texts(c, n, "method", &t)) {
        return false;
    }
    m->any_method = t.any;
    m->methods = t.items;
    m->n_methods = t.n;
    return true;
}

static bool read_headers(struct compile *c, const xmlNode *n, Egret__Apim__V1__Cors *m)
{
    struct texts t;
    if (!compile_check_attributes(c, n, "") || !read_texts(c, n, "header", &t)) {
        return false;
    }
    if (compile_is(n, "expose-headers")) {
        static char any[] = "*";
        if (t.any) {
            t.items[t.n++] = any;
        }
        m->expose_headers = t.items;
        m->n_expose_headers = t.n;
        return true;
    }
    for (size_t i = 0; i < t.n; i++) {
        t.items[i] = compile_lower(c, t.items[i]);
    }
    m->any_header = t.any;
    m->headers = t.items;
    m->n_headers = t.n;
    return true;
}

static bool read_cors_part(struct compile *c, const xmlNode *n, Egret__Apim__V1__Cors *m)
{
    if (compile_is(n, "allowed-origins")) {
        return read_origins(c, n, m);
    }
    if (compile_is(n, "allowed-methods")) {
        return read_methods(c, n, m);
    }
    return n->type != XML_ELEMENT_NODE || read_headers(c, n, m);
}

void compile_cors(struct compile *c, const xmlNode *e)
{
    static char get[] = "GET", post[] = "POST", *usual[] = {get, post};
    bool credentials = false, terminate = false;
    Egret__Apim__V1__Cors *m = compile_message(c, &egret__apim__v1__cors__descriptor);
    if (!compile_bool(c, e, "allow-credentials", &credentials) ||
        !compile_bool(c, e, "terminate-unmatched-request", &terminate) ||
        !compile_check_children(c, e, "allowed-origins allowed-methods allowed-headers expose-headers")) {
        return;
    }
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        if (!read_cors_part(c, n, m)) {
            return;
        }
    }
    if (!m->any_origin && m->n_origins == 0) {
        compile_close(c, e, "needs <allowed-origins>");
        return;
    }
    if (m->any_origin && credentials) {
        compile_close(c, e, "every origin with credentials is not allowed");
        return;
    }
    if (!m->any_method && m->n_methods == 0) {
        m->methods = usual;
        m->n_methods = 2;
    }
    m->allow_credentials = credentials;
    m->terminate_unmatched = terminate;
    Egret__Apim__V1__Instruction *step = compile_step(c, POLICY_STEP, e);
    step->op_case = EGRET__APIM__V1__INSTRUCTION__OP_CORS;
    step->cors = m;
}
