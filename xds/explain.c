#include "xds/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/macros.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "xds/translate/egress.h"
#include "xds/translate/translate.h"

enum { SCOPES = 5, STEPS_MAX = 1000, NESTED_MAX = 64 };

struct explain {
    const struct catalog *c;
    const Egret__Control__V1__Config *config;
    const struct explain_request *request;
    struct arena *arena;
    struct strbuf *out;
    size_t rows;
    const struct catalog_program *scopes[SCOPES]; /* operation, API, product, workspace, service */
    size_t steps;
    struct translate_way way; /* as the policies reached so far have it */
};

static void row(struct explain *e, const char *what, const char *is, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void row(struct explain *e, const char *what, const char *is, const char *fmt, ...)
{
    char why[700];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    const char *const members[][2] = {{"what", what}, {"is", is}, {"why", why}};
    strbuf_add_str(e->out, e->rows++ == 0 ? "{" : ",{");
    for (size_t i = 0; i < 3; i++) {
        strbuf_printf(e->out, "%s\"%s\":", i == 0 ? "" : ",", members[i][0]);
        strbuf_add_json(e->out, slice_of(members[i][1]));
    }
    strbuf_add_char(e->out, '}');
}

static bool covers(const struct catalog_subscription *s, const struct catalog_api *api)
{
    if (s->scope == CATALOG_SCOPE_ALL_APIS) {
        return true;
    }
    if (s->scope == CATALOG_SCOPE_WORKSPACE) {
        return strcasecmp(s->scope_name + strlen("workspaces/"), api->workspace) == 0;
    }
    if (s->scope == CATALOG_SCOPE_API) {
        return strcmp(s->scope_name, api->resource) == 0;
    }
    for (size_t i = 0; i < api->product_count; i++) {
        if (strcmp(api->products[i], s->scope_name) == 0) {
            return true;
        }
    }
    return false;
}

/* By its whole name, else by its id: the service's own before a workspace's. */
static const struct catalog_subscription *find_subscription(const struct explain *e)
{
    const char *id = e->request->key_id;
    const struct catalog_subscription *s = catalog_find_subscription(e->c, id);
    for (size_t i = 0; s == NULL && i < e->c->subscriptions.n; i++) {
        const struct catalog_subscription *x = e->c->subscriptions.items[i];
        s = strcasecmp(x->id, id) == 0 && x->workspace[0] == '\0' ? x : NULL;
    }
    for (size_t i = 0; s == NULL && i < e->c->subscriptions.n; i++) {
        const struct catalog_subscription *x = e->c->subscriptions.items[i];
        s = strcasecmp(x->id, id) == 0 ? x : NULL;
    }
    return s;
}

static const char *open_product(const struct explain *e, const struct catalog_api *api)
{
    for (size_t i = 0; i < api->product_count; i++) {
        const struct catalog_product *p = catalog_find_product(e->c, api->products[i]);
        if (p != NULL && !p->subscription_required && p->o.closed == NULL) {
            return p->o.name;
        }
    }
    return NULL;
}

/* Why the key opens nothing, or NULL. */
static const char *refused(const struct explain *e, const struct catalog_subscription *s, const struct catalog_api *api)
{
    if (s == NULL) {
        return "there is no such subscription";
    }
    if (s->o.closed != NULL) {
        return s->o.closed;
    }
    if (s->primary_key == NULL && s->secondary_key == NULL) {
        return arena_printf(e->arena, "%s:%u: no key of it is known", s->o.file, s->o.line);
    }
    if (s->state != CATALOG_SUBSCRIPTION_ACTIVE) {
        return arena_printf(e->arena, "%s:%u: it is not active", s->o.file, s->o.line);
    }
    return covers(s, api)
               ? NULL
               : arena_printf(e->arena, "%s:%u: its scope does not cover %s", s->o.file, s->o.line, api->resource);
}

/* NULL: 401. "": no product. */
static const char *choose_product(struct explain *e, const struct catalog_api *api)
{
    bool has_key = e->request->key_id[0] != '\0';
    const struct catalog_subscription *s = has_key ? find_subscription(e) : NULL;
    const char *why = has_key ? refused(e, s, api) : "no key is given", *open = open_product(e, api);
    if (why == NULL) {
        row(e, "key", s->o.name, "%s:%u: active, scope %s", s->o.file, s->o.line,
            s->scope_name[0] == '\0' ? "all APIs" : s->scope_name);
        bool product = s->scope == CATALOG_SCOPE_PRODUCT;
        row(e, "product", product ? s->scope_name : "none",
            product ? "the scope of the key" : "the key's scope is no product");
        return product ? s->scope_name : "";
    }
    row(e, "key", has_key ? e->request->key_id : "none", "%s", why);
    if (open != NULL) {
        row(e, "product", open, "an open product that holds the API");
        return open;
    }
    if (!has_key && !api->subscription_required) {
        row(e, "product", "none", "the API needs no subscription");
        return "";
    }
    row(e, "answer", "401", "%s", has_key ? "the key is not valid for this API" : "the API needs a subscription key");
    return NULL;
}

static const struct catalog_program *program(const struct explain *e, const char *name)
{
    return name[0] == '\0' ? NULL : catalog_find_program(e->c, name);
}

static const char *instruction_name(const Egret__Apim__V1__Instruction *i)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(&egret__apim__v1__instruction__descriptor,
                                                                                (unsigned)i->op_case);
    return f == NULL ? "step" : f->name;
}

static const char *step_name(const struct policy_instruction *i)
{
    if (i->op == POLICY_CLOSED) {
        return "closed";
    }
    if (i->op == POLICY_SET_BACKEND_SERVICE) {
        return "set-backend-service";
    }
    return i->message != NULL ? instruction_name(i->message) : i->op == POLICY_FORWARD_REQUEST ? "forward-request" : "step";
}

struct inside {
    const char *what, *file;
    uint32_t line_shift; /* between the document's lines and its file's */
};

/* Instructions that stand inside another one (the branches of a choice), each after the one that holds it. */
static void tell_inside(struct explain *e, const ProtobufCMessage *m, const struct inside *in, unsigned depth)
{
    for (unsigned i = 0; i < m->descriptor->n_fields && depth < NESTED_MAX; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        const void *at = (const char *)m + f->offset;
        bool many = f->label == PROTOBUF_C_LABEL_REPEATED;
        bool chosen = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
                      *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) == f->id;
        size_t n = many ? *(const size_t *)(const void *)((const char *)m + f->quantifier_offset) : chosen;
        for (size_t k = 0; k < n && e->steps < STEPS_MAX; k++) {
            const ProtobufCMessage *child =
                many ? (*(const ProtobufCMessage *const *const *)at)[k] : *(const ProtobufCMessage *const *)at;
            if (child != NULL && child->descriptor == &egret__apim__v1__instruction__descriptor) {
                const Egret__Apim__V1__Instruction *step = (const void *)child;
                e->steps++;
                row(e, in->what, instruction_name(step), "%s:%u, inside", in->file, step->line + in->line_shift);
            }
            if (child != NULL) {
                tell_inside(e, child, in, depth + 1);
            }
        }
    }
}

/* What a policy says about the way to the backend. */
static void note_way(struct explain *e, const struct policy_instruction *in)
{
    if (in->proxy != NULL) {
        e->way.proxy = in->proxy;
    }
    if (in->op == POLICY_FORWARD_REQUEST && in->message != NULL) {
        int version = (int)in->message->forward_request->version;
        e->way.http = version == EGRET__APIM__V1__FORWARD_REQUEST__HTTP_VERSION__HTTP2        ? BACKEND_HTTP2
                      : version == EGRET__APIM__V1__FORWARD_REQUEST__HTTP_VERSION__HTTP2_OR_1 ? BACKEND_HTTP2_OR_1
                                                                                              : BACKEND_HTTP1;
    }
}

static void walk_section(struct explain *e, enum policy_section section, size_t scope)
{
    while (scope < SCOPES && e->scopes[scope] == NULL) {
        scope++;
    }
    if (scope == SCOPES) {
        if (section == POLICY_BACKEND) {
            row(e, "backend step", "forward-request", "what stands behind the widest document's <base/>");
        }
        return;
    }
    const struct catalog_program *p = e->scopes[scope];
    const struct policy_list *list = &p->policy->sections[section];
    for (size_t i = 0; i < list->n && e->steps < STEPS_MAX; i++) {
        const struct policy_instruction *in = &list->items[i];
        if (in->op == POLICY_BASE) {
            walk_section(e, section, scope + 1);
            continue;
        }
        note_way(e, in);
        e->steps++;
        const char *what = arena_printf(e->arena, "%s step", policy_section_name(section));
        row(e, what, step_name(in), "%s:%u%s%s", catalog_program_file(p, in), catalog_program_line(p, in),
            in->reason == NULL ? "" : ": ", in->reason == NULL ? "" : in->reason);
        if (in->message != NULL) {
            const struct inside inside = {what, catalog_program_file(p, in), catalog_program_line(p, in) - in->line};
            tell_inside(e, &in->message->base, &inside, 0);
        }
    }
}

static void tell_steps(struct explain *e, const struct catalog_api *api, const struct catalog_operation *op,
                       const char *product)
{
    const struct catalog_product *p = product[0] == '\0' ? NULL : catalog_find_product(e->c, product);
    e->scopes[0] = program(e, op->program);
    e->scopes[1] = program(e, api->program);
    e->scopes[2] = p == NULL ? NULL : program(e, p->program);
    e->scopes[3] = program(e, api->workspace_program);
    e->scopes[4] = program(e, api->service_program);
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        walk_section(e, s, 0);
    }
}

static void tell_backend(struct explain *e, const struct catalog_api *api, const struct catalog_operation *op,
                         const char *product)
{
    const char *name = op->context_count > 0 ? op->contexts[0].backend : "";
    for (size_t i = 0; i < op->context_count; i++) {
        name = strcmp(op->contexts[i].product, product) == 0 ? op->contexts[i].backend : name;
    }
    const struct catalog_backend *b = name[0] == '\0' ? NULL : catalog_find_backend(e->c, name);
    if (b == NULL) {
        row(e, "backend", "none", "a policy answers");
        row(e, "answer", "policy", "the backend is not called");
        return;
    }
    row(e, "backend", b->o.name, "%s:%u: %s%s", b->o.file, b->o.line, b->url,
        strcmp(name, api->backend) == 0 ? ", the API's serviceUrl" : ", set by a policy");
    row(e, "cluster", translate_cluster_name(e->arena, e->config, b, e->way), "scheme, host, port and way out of the backend");
    struct egress_route route = egress_find(e->config, b->host, b->port);
    if (e->way.proxy != NULL) {
        row(e, "egress", "proxy", "the policy <proxy>: http://%s", e->way.proxy);
    } else if (route.gateway == NULL) {
        row(e, "egress", "direct", "no entry of egress: names %s:%u", b->host, b->port);
    } else {
        row(e, "egress", route.gateway->name, "an entry of egress: names %s:%u", b->host, b->port);
        row(e, "pool", route.pool == NULL ? "none" : route.pool->name, "%s%s",
            route.pool == NULL ? "the gateway's own address" : "leaves from ",
            route.pool == NULL ? "" : egress_source(route.pool, b->host));
    }
    row(e, "answer", "backend", "the request goes to %s", b->url);
}

/* false: no gateway has this host name. */
static bool tell_host(struct explain *e, const char *host)
{
    if (host[0] == '\0') {
        return true;
    }
    bool known = translate_serves_host(e->config, e->request->gateway, host);
    if (known) {
        row(e, "host", host, "one of the host names of the settings, the service's own, or this host");
    } else {
        row(e, "answer", "404", "no host name of the settings is %s", host);
    }
    return known;
}

static void tell_gateways(struct explain *e, const struct catalog_api *api)
{
    const char *names = "";
    for (size_t i = 0; i < e->c->gateways.n; i++) {
        const struct catalog_gateway *g = e->c->gateways.items[i];
        if (catalog_gateway_serves(g, api)) {
            names = arena_printf(e->arena, "%s%s%s", names, names[0] == '\0' ? "" : ", ", g->id);
        }
    }
    if (e->c->gateways.n > 0) {
        row(e, "gateways", names[0] == '\0' ? "none" : names, "the gateways that the folder gives this API to");
    }
}

/* Of the API's protocols; without a scheme any will do. */
static bool scheme_fits(const struct catalog_api *api, const char *scheme)
{
    const char *const names[] = {"", "http", "https", "ws", "wss"};
    const bool fits[] = {true, api->http, api->https, api->ws, api->wss};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcasecmp(scheme, names[i]) == 0) {
            return fits[i];
        }
    }
    return false;
}

static void decide(struct explain *e)
{
    struct explain_url url;
    struct explain_match m;
    if (!explain_split(e->arena, e->request->url, &url)) {
        row(e, "answer", "404", "a path of more than %d segments", EXPLAIN_SEGMENTS);
        return;
    }
    if (!tell_host(e, url.host)) {
        return;
    }
    explain_api(e->c, e->arena, &url, e->request, &m);
    if (m.api == NULL) {
        row(e, "answer", "404", "%s", m.why);
        return;
    }
    row(e, "api", m.api->o.name, "%s", m.why);
    row(e, "revision", m.api->revision, "%s", m.api->is_current ? "the current one" : "named in the URL, online");
    tell_gateways(e, m.api);
    if (!scheme_fits(m.api, url.scheme)) {
        row(e, "answer", "404", "%s:%u: %s is not among the API's protocols", m.api->o.file, m.api->o.line, url.scheme);
        return;
    }
    size_t others = 0;
    const struct catalog_operation *op = explain_operation(
        m.api, e->request->method, &m.rest, (struct explain_query){e->arena, url.query}, &others);
    if (op == NULL && m.api->o.closed == NULL) {
        row(e, "answer", "404", "no operation of it has method %s and a template that fits the rest of the path",
            e->request->method);
        return;
    }
    if (op != NULL) {
        row(e, "operation", op->id, "%s %s%s", op->method, op->url_template,
            others == 0 ? "" : "; more precise than the others that fit");
    }
    const char *product = choose_product(e, m.api);
    const char *closed = e->c->closed != NULL            ? e->c->closed
                         : m.api->o.closed != NULL       ? m.api->o.closed
                         : op == NULL || product == NULL ? NULL
                                                         : catalog_operation_closed(op, product);
    if (product == NULL) {
        return;
    }
    if (op != NULL) {
        tell_steps(e, m.api, op, product);
    }
    if (closed != NULL || op == NULL) {
        row(e, "answer", "501", "%s", closed == NULL ? "closed" : closed);
        return;
    }
    tell_backend(e, m.api, op, product);
}

void explain_route(const struct catalog *catalog, const Egret__Control__V1__Config *config,
                   const struct explain_request *request, struct strbuf *out)
{
    struct explain e = {.c = catalog, .config = config, .request = request, .arena = arena_create(0), .out = out};
    strbuf_add_char(out, '[');
    decide(&e);
    strbuf_add_char(out, ']');
    arena_destroy(&e.arena);
}

void explain_apis(const struct catalog *c, struct strbuf *out)
{
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < c->apis.n; i++) {
        const struct catalog_api *a = c->apis.items[i];
        const char *const texts[][2] = {
            {"name", a->o.name},    {"path", a->path},   {"version", a->version}, {"revision", a->revision},
            {"type", a->type_text}, {"file", a->o.file}, {"backend", a->backend}, {"display_name", a->display_name}};
        strbuf_add_str(out, i == 0 ? "{" : ",{");
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            strbuf_printf(out, "\"%s\":", texts[k][0]);
            strbuf_add_json(out, slice_of(texts[k][1]));
            strbuf_add_char(out, ',');
        }
        strbuf_printf(out, "\"current\":%s,\"online\":%s,\"stale\":%s,\"operations\":%zu,\"open\":%zu,\"closed\":",
                      a->is_current ? "true" : "false", a->is_online ? "true" : "false", a->o.stale ? "true" : "false",
                      a->operation_count, c->closed != NULL ? 0 : a->open_operations);
        const char *closed = c->closed != NULL ? c->closed : a->o.closed;
        if (closed == NULL) {
            strbuf_add_str(out, "null");
        } else {
            strbuf_add_json(out, slice_of(closed));
        }
        strbuf_add_char(out, '}');
    }
    strbuf_add_char(out, ']');
}
