/* egret.apim.v1 resources → what the request path reads of them. */
#include <string.h>

#include "base/mem.h"
#include "proxy/config/apim_set.h"

enum { MAX_KEYS = 8 };

struct apim_object *apim_object_create(struct reader *r, const char *name)
{
    if (name[0] == '\0') {
        read_required(r, "name");
        return NULL;
    }
    struct apim_object *o = arena_zalloc(r->arena, sizeof *o);
    o->refs = 1;
    o->arena = r->arena;
    o->name = read_text(r, name);
    return o;
}

static void need_named(struct reader *r, enum resource_type type, const char *name)
{
    if (name[0] != '\0') {
        read_need(r, type, slice_of(name));
    }
}

/* ---- products ---- */

struct apim_object *apim_product_create(struct reader *r, const Egret__Apim__V1__Product *m)
{
    struct apim_object *o = apim_object_create(r, m->name);
    if (o == NULL) {
        return NULL;
    }
    o->product = (struct apim_product){.name = o->name,
                                       .id = read_text(r, m->product_id),
                                       .published = m->published != 0,
                                       .subscription_required = m->subscription_required != 0,
                                       .program = read_text(r, m->program),
                                       .closed = read_text(r, m->closed)};
    if (o->product.closed.n == 0) {
        need_named(r, TYPE_PROGRAM, m->program);
    }
    return o;
}

/* ---- subscriptions ---- */

static bool find_key(const struct apim_mac_key *keys, size_t n, struct slice id, size_t *number)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(keys[i].id, id)) {
            *number = i;
            return true;
        }
    }
    return false;
}

struct mac_list {
    const char *field;
    Egret__Apim__V1__KeyMac *const *list;
    size_t n;
};

/* NULL out: only checked. */
static bool read_macs(struct reader *r, const struct mac_list *from, struct apim_object *out,
                      const struct apim_mac_key *keys, size_t n_keys)
{
    for (size_t i = 0; i < from->n; i++) {
        const Egret__Apim__V1__KeyMac *m = from->list[i];
        size_t number = 0, mark = read_push_at(r, from->field, i);
        if (!find_key(keys, n_keys, slice_of(m->mac_key_id), &number)) {
            return read_fail(r, "mac_key_id", ERR_INPUT, "unknown MAC key \"%.100s\"", m->mac_key_id);
        }
        if (m->mac.len != MAC_BYTES) {
            return read_fail(r, "mac", ERR_INPUT, "must have %d bytes", MAC_BYTES);
        }
        if (out != NULL) {
            struct apim_mac *mac = &out->macs[out->n_macs++];
            *mac = (struct apim_mac){.owner = out, .number = (uint32_t)number};
            memcpy(mac->mac, m->mac.data, MAC_BYTES);
        }
        read_pop(r, mark);
    }
    return true;
}

static bool check_subscription(struct reader *r, const Egret__Apim__V1__Subscription *m)
{
    bool needs_name = m->scope != EGRET__APIM__V1__SUBSCRIPTION__SCOPE__ALL_APIS, named = m->scope_name[0] != '\0';
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    if (m->n_primary > MAX_KEYS || m->n_secondary > MAX_KEYS) {
        return read_fail(r, m->n_primary > MAX_KEYS ? "primary" : "secondary", ERR_LIMIT, "more than %d", MAX_KEYS);
    }
    return needs_name == named ||
           read_fail(r, "scope_name", ERR_INPUT, needs_name ? "is required" : "has no meaning for all APIs");
}

/* Where the text stands in the bytes it was unpacked from. */
static struct slice text_in(struct slice bytes, const char *text)
{
    struct slice s = slice_of(text);
    return s.n == 0 ? SLICE_NONE : slice_sub(bytes, slice_search(bytes, s), s.n);
}

static struct apim_object *subscription_alloc(struct slice bytes, size_t n_macs)
{
    size_t fixed = offsetof(struct apim_object, subscription) + sizeof(struct apim_subscription);
    struct apim_object *o = mem_alloc(fixed + n_macs * sizeof *o->macs + bytes.n);
    char *behind = (char *)o + fixed;
    o->refs = 1;
    o->macs = (void *)behind;
    o->bytes = slice_make(behind + n_macs * sizeof *o->macs, bytes.n);
    memcpy((char *)(uintptr_t)o->bytes.p, bytes.p, bytes.n);
    return o;
}
_Static_assert((offsetof(struct apim_object, subscription) + sizeof(struct apim_subscription)) %
                       _Alignof(struct apim_mac) == 0, "keys stand behind a subscription");

struct apim_object *apim_subscription_create(struct reader *r, const Egret__Apim__V1__Subscription *m,
                                             const struct apim_mac_key *keys, size_t n_keys)
{
    static const enum apim_sub_state states[] = {SUB_SUSPENDED, SUB_ACTIVE,   SUB_EXPIRED,
                                                 SUB_SUBMITTED, SUB_REJECTED, SUB_CANCELLED};
    static const enum apim_scope scopes[] = {SCOPE_ALL_APIS, SCOPE_PRODUCT, SCOPE_API, SCOPE_WORKSPACE};
    struct mac_list primary = {"primary", m->primary, m->n_primary};
    struct mac_list secondary = {"secondary", m->secondary, m->n_secondary};
    if (!check_subscription(r, m) || !read_macs(r, &primary, NULL, keys, n_keys) ||
        !read_macs(r, &secondary, NULL, keys, n_keys)) {
        return NULL;
    }
    struct apim_object *o = subscription_alloc(r->bytes, m->n_primary + m->n_secondary);
    o->name = text_in(o->bytes, m->name);
    o->subscription = (struct apim_subscription){.name = o->name,
                                                 .id = text_in(o->bytes, m->subscription_id),
                                                 .owner = text_in(o->bytes, m->owner),
                                                 .state = states[m->state],
                                                 .scope = scopes[m->scope],
                                                 .scope_name = text_in(o->bytes, m->scope_name)};
    read_macs(r, &primary, o, keys, n_keys);
    read_macs(r, &secondary, o, keys, n_keys);
    return o;
}

/* ---- backends ---- */

static bool read_part(struct reader *r, const Egret__Apim__V1__Value__Part *m, bool one_line,
                      struct apim_value_part *out)
{
    switch ((int)m->part_case) {
    case EGRET__APIM__V1__VALUE__PART__PART_LITERAL:
        out->text = read_text(r, m->literal);
        return !one_line || read_header_value(r, "literal", m->literal, &out->text);
    case EGRET__APIM__V1__VALUE__PART__PART_SECRET:
        out->text = read_text(r, m->secret);
        out->secret = true;
        /* A MAC key is no value of a header: a server must not be able to read it through a backend. */
        if (!slice_starts_with(out->text, SLICE("namedvalues/"))) {
            return read_fail(r, "secret", ERR_INPUT, "must be named \"namedvalues/…\"");
        }
        read_need(r, TYPE_SECRET, out->text);
        return true;
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of literal, secret is required");
    }
}

bool apim_value_read(struct reader *r, const Egret__Apim__V1__Value *m, bool one_line, struct apim_value *out)
{
    size_t n = m == NULL ? 0 : m->n_parts;
    struct apim_value_part *parts = read_list(r, n, sizeof *parts);
    for (size_t i = 0; i < n; i++) {
        size_t mark = read_push_at(r, "value.parts", i);
        if (!read_part(r, m->parts[i], one_line, &parts[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    *out = (struct apim_value){parts, n};
    return true;
}

static bool read_credential(struct reader *r, const Egret__Apim__V1__NamedValue *m, bool header,
                            struct apim_credential *out)
{
    if (header ? !read_header_name(r, "name", m->name, &out->name) : m->name[0] == '\0') {
        return header ? false : read_required(r, "name");
    }
    if (!header) {
        out->name = read_text(r, m->name);
    }
    return apim_value_read(r, m->value, true, &out->value);
}

static bool read_credentials(struct reader *r, const char *field, Egret__Apim__V1__NamedValue *const *list, size_t n,
                             const struct apim_credential **out)
{
    struct apim_credential *all = read_list(r, n, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        size_t mark = read_push_at(r, field, i);
        if (!read_credential(r, list[i], strcmp(field, "headers") == 0, &all[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    *out = all;
    return true;
}

static bool read_proxied(struct reader *r, const Egret__Apim__V1__Backend *m, struct apim_backend *b)
{
    static const enum apim_http versions[] = {APIM_HTTP1, APIM_HTTP2, APIM_HTTP2_OR_1};
    struct apim_proxied *all = read_list(r, m->n_proxied, sizeof *all);
    for (size_t i = 0; i < m->n_proxied; i++) {
        const Egret__Apim__V1__ProxiedCluster *p = m->proxied[i];
        size_t mark = read_push_at(r, "proxied", i);
        if (p->proxy[0] == '\0' || p->cluster[0] == '\0') {
            return read_required(r, p->proxy[0] == '\0' ? "proxy" : "cluster");
        }
        all[i] = (struct apim_proxied){read_text(r, p->proxy), read_text(r, p->cluster), versions[p->version]};
        read_need(r, TYPE_CLUSTER, all[i].cluster);
        read_pop(r, mark);
    }
    b->proxied = all;
    b->n_proxied = m->n_proxied;
    return true;
}

struct apim_object *apim_backend_create(struct reader *r, const Egret__Apim__V1__Backend *m)
{
    struct apim_object *o = apim_object_create(r, m->name);
    if (o == NULL) {
        return NULL;
    }
    struct apim_backend *b = &o->backend;
    b->name = o->name;
    b->cluster = read_text(r, m->cluster);
    b->url = read_text(r, m->url);
    b->closed = read_text(r, m->closed);
    b->other_cluster[0] = read_text(r, m->http2_cluster);
    b->other_cluster[1] = read_text(r, m->http2_or_1_cluster);
    b->n_headers = m->n_headers;
    b->n_query = m->n_query;
    if (b->closed.n == 0 && b->cluster.n == 0) {
        read_required(r, "cluster");
        return NULL;
    }
    if (b->closed.n == 0) {
        read_need(r, TYPE_CLUSTER, b->cluster);
        need_named(r, TYPE_CLUSTER, m->http2_cluster);
        need_named(r, TYPE_CLUSTER, m->http2_or_1_cluster);
    }
    if (!read_proxied(r, m, b) || !read_header_value(r, "base_path", m->base_path, &b->base_path) ||
        !read_header_value(r, "authority", m->authority, &b->authority) ||
        !read_credentials(r, "headers", m->headers, m->n_headers, &b->headers) ||
        !read_credentials(r, "query", m->query, m->n_query, &b->query)) {
        return NULL;
    }
    return o;
}

/* ---- APIs ---- */

struct apim_examples apim_operation_examples(const struct apim_operation *operation)
{
    const struct apim_examples *all = operation->conf.user;
    return all == NULL ? (struct apim_examples){NULL, 0} : *all;
}

static void free_examples(void *arena)
{
    struct arena *a = arena;
    arena_destroy(&a);
}

/* In an arena of their own, which most APIs do without; it goes with the API. */
static void read_examples(const Egret__Apim__V1__Operation *o, struct apim_api_conf *api,
                          struct apim_operation_conf *out)
{
    if (o->n_examples == 0) {
        return;
    }
    if (api->user == NULL) {
        api->user = arena_create(0);
        api->free_user = free_examples;
    }
    struct arena *arena = api->user;
    struct apim_examples *all = arena_alloc(arena, sizeof *all);
    struct apim_example *items = arena_alloc(arena, o->n_examples * sizeof *items);
    for (size_t i = 0; i < o->n_examples; i++) {
        items[i] = (struct apim_example){.status = o->examples[i]->status,
                                         .type = arena_slice(arena, slice_of(o->examples[i]->content_type)),
                                         .body = arena_slice(arena, slice_of(o->examples[i]->body))};
    }
    *all = (struct apim_examples){items, o->n_examples};
    out->user = all;
}

static bool check_examples(struct reader *r, const Egret__Apim__V1__Operation *o)
{
    for (size_t i = 0; i < o->n_examples; i++) {
        struct slice type;
        if (!read_header_value(r, "examples.content_type", o->examples[i]->content_type, &type)) {
            return false;
        }
    }
    return true;
}

static void read_operations(struct reader *r, const Egret__Apim__V1__Api *m, struct apim_api_conf *conf)
{
    struct apim_operation_conf *list = arena_zalloc(r->scratch, (m->n_operations + 1) * sizeof *list);
    for (size_t i = 0; i < m->n_operations; i++) {
        const Egret__Apim__V1__Operation *o = m->operations[i];
        list[i] = (struct apim_operation_conf){.id = slice_of(o->id),
                                               .method = slice_of(o->method),
                                               .template = slice_of(o->url_template),
                                               .program = slice_of(o->program),
                                               .closed = slice_of(o->closed)};
        read_examples(o, conf, &list[i]);
        if (o->closed[0] == '\0' && m->closed[0] == '\0') {
            need_named(r, TYPE_PROGRAM, o->program);
        }
    }
    conf->operations = list;
    conf->operation_count = m->n_operations;
}

static const struct slice *to_slices(struct reader *r, char *const *list, size_t n)
{
    struct slice *all = arena_alloc(r->scratch, (n + 1) * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        all[i] = slice_of(list[i]);
    }
    return all;
}

struct apim_api *apim_api_read(struct reader *r, const Egret__Apim__V1__Api *m)
{
    static const enum apim_versioning versionings[] = {APIM_VERSION_NONE, APIM_VERSION_SEGMENT, APIM_VERSION_HEADER,
                                                       APIM_VERSION_QUERY};
    static const enum apim_type types[] = {APIM_TYPE_HTTP, APIM_TYPE_WEBSOCKET, APIM_TYPE_GRAPHQL, APIM_TYPE_SOAP};
    if (m->name[0] == '\0') {
        read_required(r, "name");
        return NULL;
    }
    for (size_t i = 0; i < m->n_operations; i++) {
        if (!check_examples(r, m->operations[i])) {
            return NULL;
        }
    }
    struct apim_api_conf conf = {
        .name = slice_of(m->name),
        .api_id = slice_of(m->api_id),
        .display_name = slice_of(m->display_name),
        .path = slice_of(m->path),
        .versioning = versionings[m->version_scheme],
        .version_parameter = slice_of(m->version_parameter),
        .version = slice_of(m->version),
        .revision = slice_of(m->revision),
        .is_current = m->is_current != 0,
        .is_online = m->is_online != 0,
        .hosts = to_slices(r, m->hosts, m->n_hosts),
        .host_count = m->n_hosts,
        .http = m->http != 0,
        .https = m->https != 0,
        .ws = m->ws != 0,
        .wss = m->wss != 0,
        .key_header = slice_of(m->key_header),
        .key_query = slice_of(m->key_query),
        .subscription_required = m->subscription_required != 0,
        .products = to_slices(r, m->products, m->n_products),
        .product_count = m->n_products,
        .backend = slice_of(m->backend),
        .service_program = slice_of(m->service_program),
        .workspace_program = slice_of(m->workspace_program),
        .api_program = slice_of(m->api_program),
        .closed = slice_of(m->closed),
        .type = types[m->type],
    };
    read_operations(r, m, &conf);
    if (conf.closed.n == 0) {
        need_named(r, TYPE_BACKEND, m->backend);
        need_named(r, TYPE_PROGRAM, m->service_program);
        need_named(r, TYPE_PROGRAM, m->workspace_program);
        need_named(r, TYPE_PROGRAM, m->api_program);
    }
    struct apim_api *api = apim_api_create(&conf, r->err);
    if (api == NULL && conf.user != NULL) {
        conf.free_user(conf.user);
    }
    if (api == NULL && r->err != NULL) {
        struct slice text = slice_of(r->err->text); /* begins with the name, which whoever refuses puts there anyway */
        size_t skip = slice_starts_with(text, conf.name) ? conf.name.n + 2 : 0;
        memmove(r->err->text, r->err->text + skip, text.n - skip + 1);
        read_wrap(r, NULL);
    }
    return api;
}
