/* /config_dump in the shape of envoy.admin.v3.ConfigDump. What is secret is redacted by proto/dump.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proto/dump.h"
#include "proto/guard.h"
#include "proxy/config/store_inside.h"

#define ADMIN "type.googleapis.com/envoy.admin.v3."

static void add_time(struct strbuf *out, int64_t wall_us)
{
    char text[40];
    clock_format_iso(wall_us, text);
    strbuf_printf(out, "\"%s\"", text);
}

static void add_member(struct strbuf *out, const char *name)
{
    strbuf_printf(out, ",\"%s\":", name);
}

/* A message with "@type" before its fields, as an Any is written. */
static void add_any(struct strbuf *out, const char *url, const pb_message *m)
{
    struct strbuf json;
    strbuf_init(&json);
    dump_json(m, 0, &json);
    struct slice fields = slice_trim(slice_from(strbuf_slice(&json), 1));
    strbuf_printf(out, "{\"@type\":\"%s\"%s%.*s", url, fields.n > 1 ? "," : "", SLICE_ARG(fields));
    strbuf_fini(&json);
}

static void add_resource(struct strbuf *out, enum resource_type type, const struct form *f)
{
    struct arena *arena = arena_create(0);
    struct err err;
    const pb_message *m = guard_unpack(NULL, resource_kinds[type].message, f->bytes, arena, &err);
    if (m != NULL) {
        add_any(out, resource_kinds[type].url, m);
    } else {
        strbuf_add_str(out, "{}");
    }
    arena_destroy(&arena);
}

/* ---- entries, in the order of their names ---- */

static int by_name(const void *a, const void *b)
{
    return slice_cmp((*(const struct entry *const *)a)->name, (*(const struct entry *const *)b)->name);
}

static const struct entry **sorted(const struct config_store *s, enum resource_type type, size_t *n)
{
    const struct map *entries = s->types[type].entries;
    const struct entry **list = mem_alloc((map_count(entries) + 1) * sizeof *list);
    *n = 0;
    for (struct map_item *i = map_first(entries); i != NULL; i = map_next(i)) {
        list[(*n)++] = map_value(i);
    }
    if (*n > 1) {
        qsort(list, *n, sizeof *list, by_name);
    }
    return list;
}

static void add_state(struct strbuf *out, const struct entry *e, const struct form *f, const char *content)
{
    strbuf_add_str(out, "{\"version_info\":");
    strbuf_add_json(out, f->version);
    add_member(out, content);
    add_resource(out, e->type, f);
    add_member(out, "last_updated");
    add_time(out, f->updated_us);
    strbuf_add_char(out, '}');
}

static void add_error(struct strbuf *out, const struct entry *e)
{
    strbuf_add_str(out, "{\"last_update_attempt\":");
    add_time(out, e->refusal.when_us);
    add_member(out, "details");
    strbuf_add_json(out, slice_of(e->refusal.reason));
    add_member(out, "version_info");
    strbuf_add_json(out, slice_of(e->refusal.version));
    strbuf_add_char(out, '}');
}

/* What one of Envoy's lists holds: static, active or warming forms, each under its own name. */
struct dump_list {
    enum resource_type type;
    const char *name, *content;
    bool is_static, warming;
};

static const struct form *form_of(const struct entry *e, const struct dump_list *l)
{
    if (e->is_static != l->is_static) {
        return NULL;
    }
    return l->is_static ? entry_latest(e) : l->warming ? e->warming : e->active;
}

static void add_list(const struct config_store *s, const struct dump_list *l, struct strbuf *out)
{
    size_t n = 0, count = 0;
    const struct entry **list = sorted(s, l->type, &n);
    for (size_t i = 0; i < n; i++) {
        const struct form *f = form_of(list[i], l);
        if (f == NULL) {
            continue;
        }
        if (count++ == 0) {
            add_member(out, l->name);
        }
        strbuf_add_char(out, count == 1 ? '[' : ',');
        add_state(out, list[i], f, l->content);
        if (list[i]->refusal.reason != NULL) {
            out->n--; /* goes into the object just closed */
            add_member(out, "error_state");
            add_error(out, list[i]);
            strbuf_add_char(out, '}');
        }
    }
    strbuf_add_str(out, count > 0 ? "]" : "");
    mem_free(list);
}

/* ---- Envoy's own dumps ---- */

static void begin_dump(struct strbuf *out, const char *type)
{
    strbuf_printf(out, ",{\"@type\":\"%s%s\"", ADMIN, type);
}

static void add_bootstrap(const struct config_store *s, struct strbuf *out)
{
    strbuf_printf(out, "{\"@type\":\"%sBootstrapConfigDump\",\"bootstrap\":", ADMIN);
    dump_json(&s->bootstrap->message->base, 0, out);
    strbuf_add_char(out, '}');
}

static void add_version(const struct config_store *s, enum resource_type type, struct strbuf *out)
{
    add_member(out, "version_info");
    strbuf_add_json(out, s->types[type].version);
}

static void add_clusters(const struct config_store *s, struct strbuf *out)
{
    static const struct dump_list lists[] = {
        {TYPE_CLUSTER, "static_clusters", "cluster", true, false},
        {TYPE_CLUSTER, "dynamic_active_clusters", "cluster", false, false},
        {TYPE_CLUSTER, "dynamic_warming_clusters", "cluster", false, true},
    };
    begin_dump(out, "ClustersConfigDump");
    add_version(s, TYPE_CLUSTER, out);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        add_list(s, &lists[i], out);
    }
    strbuf_add_char(out, '}');
}

/* Envoy has one object a dynamic listener, with its states inside. */
static void add_dynamic_listener(struct strbuf *out, const struct entry *e)
{
    strbuf_add_str(out, "{\"name\":");
    strbuf_add_json(out, e->name);
    if (e->active != NULL) {
        add_member(out, "active_state");
        add_state(out, e, e->active, "listener");
    }
    if (e->warming != NULL) {
        add_member(out, "warming_state");
        add_state(out, e, e->warming, "listener");
    }
    if (e->refusal.reason != NULL) {
        add_member(out, "error_state");
        add_error(out, e);
    }
    strbuf_add_char(out, '}');
}

static void add_listeners(const struct config_store *s, struct strbuf *out)
{
    static const struct dump_list fixed = {TYPE_LISTENER, "static_listeners", "listener", true, false};
    begin_dump(out, "ListenersConfigDump");
    add_version(s, TYPE_LISTENER, out);
    add_list(s, &fixed, out);
    size_t n = 0, count = 0;
    const struct entry **list = sorted(s, TYPE_LISTENER, &n);
    for (size_t i = 0; i < n; i++) {
        if (!list[i]->is_static) {
            strbuf_add_str(out, count++ == 0 ? ",\"dynamic_listeners\":[" : ",");
            add_dynamic_listener(out, list[i]);
        }
    }
    strbuf_add_str(out, count > 0 ? "]}" : "}");
    mem_free(list);
}

static void add_endpoints(const struct config_store *s, struct strbuf *out)
{
    static const struct dump_list list = {TYPE_ENDPOINTS, "dynamic_endpoint_configs", "endpoint_config", false, false};
    begin_dump(out, "EndpointsConfigDump");
    add_list(s, &list, out);
    strbuf_add_char(out, '}');
}

static void add_routes(const struct config_store *s, struct strbuf *out)
{
    static const struct dump_list list = {TYPE_ROUTES, "dynamic_route_configs", "route_config", false, false};
    begin_dump(out, "RoutesConfigDump");
    add_list(s, &list, out);
    strbuf_add_char(out, '}');
}

static void add_secret_state(struct strbuf *out, const struct entry *e, const struct form *f)
{
    strbuf_add_str(out, "{\"name\":");
    strbuf_add_json(out, e->name);
    add_member(out, "version_info");
    strbuf_add_json(out, f->version);
    add_member(out, "last_updated");
    add_time(out, f->updated_us);
    add_member(out, "secret");
    add_resource(out, TYPE_SECRET, f);
    strbuf_add_char(out, '}');
}

static void add_static_secrets(const struct config_store *s, struct strbuf *out)
{
    const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *m = s->bootstrap->message->static_resources;
    for (size_t i = 0; m != NULL && i < m->n_secrets; i++) {
        strbuf_add_str(out, i == 0 ? ",\"static_secrets\":[{\"name\":" : ",{\"name\":");
        strbuf_add_json(out, slice_of(m->secrets[i]->name));
        add_member(out, "secret");
        add_any(out, resource_kinds[TYPE_SECRET].url, &m->secrets[i]->base);
        strbuf_add_str(out, i + 1 == m->n_secrets ? "}]" : "}");
    }
}

static void add_secrets(const struct config_store *s, struct strbuf *out)
{
    begin_dump(out, "SecretsConfigDump");
    add_static_secrets(s, out);
    size_t n = 0;
    const struct entry **list = sorted(s, TYPE_SECRET, &n);
    for (int warming = 0; warming < 2; warming++) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++) {
            const struct form *f = warming ? list[i]->warming : list[i]->active;
            if (f == NULL) {
                continue;
            }
            if (count++ == 0) {
                add_member(out, warming ? "dynamic_warming_secrets" : "dynamic_active_secrets");
            }
            strbuf_add_char(out, count == 1 ? '[' : ',');
            add_secret_state(out, list[i], f);
        }
        strbuf_add_str(out, count > 0 ? "]" : "");
    }
    strbuf_add_char(out, '}');
    mem_free(list);
}

/* ---- Egret's own: one object a type, of no Envoy message ---- */

static void add_egret(const struct config_store *s, enum resource_type type, struct strbuf *out)
{
    const struct dump_list lists[] = {
        {type, "dynamic_active", "resource", false, false},
        {type, "dynamic_warming", "resource", false, true},
    };
    const char *slash = strrchr(resource_kinds[type].url, '.');
    strbuf_printf(out, ",{\"@type\":\"type.googleapis.com/egret.admin.v1.%sConfigDump\"", slash + 1);
    add_version(s, type, out);
    add_list(s, &lists[0], out);
    add_list(s, &lists[1], out);
    strbuf_add_char(out, '}');
}

void store_dump(const struct config_store *s, struct strbuf *json)
{
    strbuf_add_str(json, "{\"configs\":[");
    add_bootstrap(s, json);
    add_clusters(s, json);
    add_endpoints(s, json);
    add_listeners(s, json);
    add_routes(s, json);
    add_secrets(s, json);
    for (int t = TYPE_PROGRAM; t <= TYPE_API; t++) {
        add_egret(s, (enum resource_type)t, json);
    }
    strbuf_add_str(json, "]}");
}
