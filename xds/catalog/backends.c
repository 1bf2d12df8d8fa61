/* Backends: their own files, an API's serviceUrl, and URLs that policies write. */
#include <stdio.h>
#include <string.h>

#include "xds/catalog/build.h"

/* One backend while it is made. */
struct making {
    struct build *b;
    struct catalog_backend *k;
    struct props props;
    const char *file;
};

static void set_url(struct catalog_backend *k, const struct url *u)
{
    struct arena *a = k->o.arena;
    k->https = u->https;
    k->port = u->port;
    k->host = arena_str(a, slice_of(u->host));
    k->authority = arena_str(a, slice_of(u->authority));
    k->base_path = arena_str(a, slice_of(u->base_path));
    k->url = arena_str(a, slice_of(u->text));
}

static void close_at(struct making *m, const struct doc *at, const char *text)
{
    object_close(&m->k->o, closure_at(m->b, at, m->file, "%s", text));
}

/* The backend's URL from a text that may hold named values, though no secret one: it stands in logs. */
static void read_url(struct making *m, const struct doc *at, struct slice text)
{
    struct value_text value;
    struct url url;
    const char *why = NULL;
    if (!value_parse(m->b, m->b->arena, m->k->workspace, text, &value, &why)) {
        close_at(m, at, why);
    } else if (value.has_secret) {
        close_at(m, at, "the URL holds a secret named value");
    } else if (!url_parse(m->b->arena, slice_of(value.plain), &url, &why)) {
        close_at(m, at, why);
    } else {
        set_url(m->k, &url);
    }
}

/* A literal credential becomes a secret of its own, so that it never stands in a resource. */
static const char *literal_secret(struct making *m, const char *place, struct slice name, const char *value)
{
    struct build *b = m->b;
    const char *base = arena_printf(b->arena, "%s/%s/%.*s", m->k->o.name, place, SLICE_ARG(name));
    const char *id = lower(b->arena, slice_of(base));
    for (unsigned i = 2; map_has(b->by_name, slice_of(id)); i++) {
        id = arena_printf(b->arena, "%s/%u", base, i);
        id = lower(b->arena, slice_of(id));
    }
    struct catalog_named_value *v = object_create(b, sizeof *v, id, m->file);
    v->id = arena_str(v->o.arena, slice_of(id));
    v->display_name = v->id;
    v->secret = true;
    v->value = arena_str(v->o.arena, slice_of(value));
    hash_text(&v->o.hash, v->display_name);
    hash_text(&v->o.hash, v->value);
    v->o.inputs = inputs_text(11, value);
    const struct catalog_object *old = b->prev == NULL ? NULL : (const void *)catalog_find_named_value(b->prev, id);
    struct catalog_named_value *same = object_reuse(b, old, v->o.inputs);
    if (same != NULL) {
        catalog_object_unref(&v->o);
        v = same;
    }
    object_publish(b, &b->named_values, &v->o);
    return v->o.name;
}

struct credentials {
    struct catalog_credential *items;
    size_t n, cap;
};

static bool is_line(struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static void add_credential(struct making *m, struct credentials *list, const char *place, const struct doc *at,
                           struct slice text)
{
    struct arena *arena = m->k->o.arena;
    struct slice name = doc_key(at);
    struct value_text value;
    const char *why = NULL;
    bool header = strcmp(place, "header") == 0;
    if (header ? !is_api_token(name) : name.n == 0 || !is_line(name)) {
        close_at(m, at, header ? "a credential header's name cannot be used" : "a credential's name cannot be used");
        return;
    }
    struct slice trimmed = slice_trim(text);
    if (!is_line(text)) {
        close_at(m, at, "a credential's value holds control characters");
        return;
    }
    if (slice_starts_with(trimmed, SLICE("@(")) || slice_starts_with(trimmed, SLICE("@{"))) {
        close_at(m, at, "expressions are not supported yet");
        return;
    }
    if (!value_parse(m->b, arena, m->k->workspace, text, &value, &why)) {
        close_at(m, at, why);
        return;
    }
    if (!value.has_secret && value.n > 0) {
        struct catalog_part *part = arena_zalloc(arena, sizeof *part);
        part->secret = arena_str(arena, slice_of(literal_secret(m, place, name, value.plain)));
        value.parts = part;
        value.n = 1;
    }
    if (list->n == list->cap) {
        list->cap = list->cap == 0 ? 4 : list->cap * 2;
        struct catalog_credential *more = arena_alloc(arena, list->cap * sizeof *more);
        if (list->n > 0) {
            memcpy(more, list->items, list->n * sizeof *more);
        }
        list->items = more;
    }
    list->items[list->n++] = (struct catalog_credential){arena_str(arena, name), value.parts, value.n};
}

/* "header": {"x-key": ["a", "b"]}; a single text is taken as a list of one. */
static struct credentials read_credentials(struct making *m, struct props p, const char *place)
{
    struct credentials list = {NULL, 0, 0};
    struct props values = props_child(p, place);
    size_t i = 0;
    for (const struct doc *d = props_at(values, &i); d != NULL; d = props_at(values, &i)) {
        if (!doc_is(d, DOC_LIST)) {
            add_credential(m, &list, place, d, doc_text(d));
            continue;
        }
        for (size_t k = 0; k < doc_len(d); k++) {
            add_credential(m, &list, place, d, doc_text(doc_at(d, k)));
        }
    }
    return list;
}

static void read_authorization(struct making *m, struct props credentials, struct credentials *headers)
{
    const struct doc *at = props_get(credentials, "authorization");
    struct props p = props_child(credentials, "authorization");
    struct slice scheme = props_text(p, "scheme"), parameter = props_text(p, "parameter");
    if (at == NULL || scheme.n == 0) {
        return;
    }
    struct value_text value;
    const char *why = NULL;
    const char *text = arena_printf(m->b->arena, "%.*s %.*s", SLICE_ARG(scheme), SLICE_ARG(parameter));
    if (!is_line(slice_of(text)) || !value_parse(m->b, m->k->o.arena, m->k->workspace, slice_of(text), &value, &why)) {
        close_at(m, at, why == NULL ? "a credential's value holds control characters" : why);
        return;
    }
    struct catalog_part *part = (void *)(uintptr_t)value.parts;
    if (!value.has_secret) {
        part = arena_zalloc(m->k->o.arena, sizeof *part);
        const char *secret = literal_secret(m, "header", SLICE("authorization"), value.plain);
        part->secret = arena_str(m->k->o.arena, slice_of(secret));
        value.n = 1;
    }
    struct catalog_credential *more = arena_alloc(m->k->o.arena, (headers->n + 1) * sizeof *more);
    if (headers->n > 0) {
        memcpy(more, headers->items, headers->n * sizeof *more);
    }
    more[headers->n++] = (struct catalog_credential){"Authorization", part, value.n};
    headers->items = more;
}

static void refuse(struct making *m, struct props p, const char *key, const char *reason)
{
    const struct doc *d = props_get(p, key);
    bool empty = d == NULL || ((doc_is(d, DOC_LIST) || doc_is(d, DOC_MAP)) && doc_len(d) == 0);
    if (!empty) {
        close_at(m, d, reason);
    }
}

static void refuse_unsupported(struct making *m, struct props credentials)
{
    struct slice type = props_text(m->props, "type"), protocol = props_text(m->props, "protocol");
    if (type.n > 0 && !slice_eq_nocase(type, SLICE("Single"))) {
        close_at(m, props_get(m->props, "type"), "backend pools are not supported yet");
    } else {
        refuse(m, m->props, "pool", "backend pools are not supported yet");
    }
    if (protocol.n > 0 && !slice_eq_nocase(protocol, SLICE("http")) && !slice_eq_nocase(protocol, SLICE("soap"))) {
        close_at(m, props_get(m->props, "protocol"), "only backends of protocol http and soap are supported");
    }
    const struct doc *rules = props_get(props_child(m->props, "circuitBreaker"), "rules");
    if (doc_len(rules) > 0) {
        close_at(m, rules, "circuit breakers are not supported yet");
    }
    refuse(m, m->props, "proxy", "a proxy in front of a backend is not supported yet");
    refuse(m, props_child(m->props, "properties"), "serviceFabricCluster", "Service Fabric is not supported");
    refuse(m, credentials, "certificate", "client certificates of backends are not supported yet");
    refuse(m, credentials, "certificateIds", "client certificates of backends are not supported yet");
    refuse(m, credentials, "managedIdentity", "managed identities are not supported yet");
}

static void hash_credentials(struct catalog_hash *h, const struct catalog_credential *list, size_t n)
{
    hash_number(h, n);
    for (size_t i = 0; i < n; i++) {
        hash_text(h, list[i].name);
        hash_number(h, list[i].part_count);
        for (size_t k = 0; k < list[i].part_count; k++) {
            hash_text(h, list[i].parts[k].literal);
            hash_text(h, list[i].parts[k].secret);
        }
    }
}

static void seal(struct catalog_backend *k)
{
    struct catalog_hash *h = &k->o.hash;
    hash_text(h, k->url);
    hash_number(h, k->validate_chain);
    hash_number(h, k->validate_name);
    hash_credentials(h, k->headers, k->header_count);
    hash_credentials(h, k->query, k->query_count);
    hash_text(h, k->o.closed);
}

static struct catalog_backend *create(struct build *b, const char *name, const char *file, const char *workspace,
                                      const char *id)
{
    struct catalog_backend *k = object_create(b, sizeof *k, name, file);
    k->workspace = arena_str(k->o.arena, slice_of(workspace));
    k->id = arena_str(k->o.arena, slice_of(id));
    k->url = k->host = k->authority = k->base_path = "";
    k->validate_chain = k->validate_name = true;
    return k;
}

static void publish(struct build *b, struct catalog_backend *k)
{
    b->backends_inputs = inputs_text(inputs_text(inputs_add(b->backends_inputs, k->o.hash.lo), k->o.name), k->o.closed);
    object_publish(b, &b->backends, &k->o);
}

static struct catalog_backend *make_backend(struct build *b, const struct artifact *a, const struct override *o,
                                            const char *name)
{
    struct catalog_backend *k = create(b, name, a->path, a->workspace, a->id);
    struct making m = {b, k, props_of(a, o), a->path};
    const struct doc *url = props_get(m.props, "url");
    struct props tls = props_child(m.props, "tls"), credentials = props_child(m.props, "credentials");
    k->o.stale = a->state == ARTIFACT_STALE;
    object_close(&k->o, closure_of_override(b, o));
    if (a->state == ARTIFACT_BROKEN) {
        k->o.closed = closure_text(k->o.arena, closure_of_artifact(a));
        return k;
    }
    refuse_unsupported(&m, credentials);
    k->validate_chain = props_bool(tls, "validateCertificateChain", true);
    k->validate_name = props_bool(tls, "validateCertificateName", true);
    read_url(&m, url, doc_text(url));
    struct credentials query = read_credentials(&m, credentials, "query");
    struct credentials headers = read_credentials(&m, credentials, "header");
    read_authorization(&m, credentials, &headers);
    k->query = query.items;
    k->query_count = query.n;
    k->headers = headers.items;
    k->header_count = headers.n;
    return k;
}

void build_backends(struct build *b)
{
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        if (a->kind != ARTIFACT_BACKEND) {
            continue;
        }
        const struct override *o = override_of(b, a);
        const char *name = resource_name(b, a->workspace, "backends", slice_of(a->id));
        struct catalog_backend *k = make_backend(b, a, o, name);
        seal(k);
        k->o.inputs = inputs_add(inputs_of(a, o), inputs_text(k->o.hash.lo, k->o.closed));
        const struct catalog_object *old = b->prev == NULL ? NULL : (const void *)catalog_find_backend(b->prev, name);
        struct catalog_backend *same = object_reuse(b, old, k->o.inputs);
        if (same != NULL) {
            catalog_object_unref(&k->o);
            k = same;
        }
        publish(b, k);
    }
}

const struct catalog_backend *backend_find(struct build *b, const char *name)
{
    return map_get(b->by_name, slice_of(name));
}

const char *backend_for_url(struct build *b, struct slice text, struct closure at, const char **why)
{
    struct url url;
    char name[64];
    if (!url_parse(b->arena, text, &url, why)) {
        return "";
    }
    snprintf(name, sizeof name, "base-urls/%016llx", (unsigned long long)slice_hash(slice_of(url.text), 0));
    struct catalog_object *there = map_get(b->by_name, slice_of(name));
    if (there != NULL) {
        return there->name;
    }
    uint64_t inputs = inputs_text(inputs_text(5, url.text), at.file);
    const struct catalog_object *old = b->prev == NULL ? NULL : (const void *)catalog_find_backend(b->prev, name);
    struct catalog_backend *k = object_reuse(b, old, inputs);
    if (k == NULL) {
        k = create(b, name, at.file, "", "");
        k->o.line = at.line;
        k->o.inputs = inputs;
        set_url(k, &url);
        seal(k);
    }
    object_publish(b, &b->backends, &k->o);
    return k->o.name;
}

const struct catalog_backend *backend_for_api(struct build *b, const struct api_head *h)
{
    const struct doc *at = props_get(h->props, "serviceUrl");
    struct slice text = slice_trim(doc_text(at));
    if (text.n == 0) {
        return NULL;
    }
    const char *name = arena_printf(b->arena, "%s/backend", h->name);
    struct catalog_backend *k = create(b, name, h->info->path, h->workspace, h->id);
    struct making m = {b, k, h->props, h->info->path};
    k->o.line = doc_line(at);
    read_url(&m, at, text);
    seal(k);
    k->o.inputs = inputs_add(inputs_of(h->info, h->over), inputs_text(k->o.hash.lo, k->o.closed));
    const struct catalog_object *old = b->prev == NULL ? NULL : (const void *)catalog_find_backend(b->prev, name);
    struct catalog_backend *same = object_reuse(b, old, k->o.inputs);
    if (same != NULL) {
        catalog_object_unref(&k->o);
        k = same;
    }
    object_publish(b, &b->backends, &k->o);
    return k;
}
