/* One program for each policy document, with the backends its set-backend-service instructions mean. */
#include <string.h>

#include "base/macros.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "xds/catalog/build.h"

struct scope_values {
    struct build *b;
    const char *workspace;
};

static const char *find_value(void *ctx, struct slice name, struct slice *value, const char **secret)
{
    const struct scope_values *s = ctx;
    return value_find(s->b, s->workspace, name, value, secret);
}

static void program_fini(struct catalog_object *o)
{
    struct catalog_program *p = (void *)o;
    policy_destroy(&p->policy);
}

/* Where the document's text comes from: its file, or the overrides. */
struct source {
    const char *file;
    struct slice text;
    uint32_t first_line;
    const char *closed;
};

static struct source source_of(struct build *b, const struct artifact *a, const struct override *o)
{
    struct source s = {a->path, a->bytes, 1, NULL};
    if (a->state != ARTIFACT_GOOD) {
        s.closed = arena_printf(b->arena, "the document cannot be read: %s", a->error.text);
    }
    if (o != NULL && o->closed != NULL) {
        s.closed = o->closed;
    } else if (o != NULL && o->properties != NULL) {
        if (override_policy(b->snap->overrides, o, &s.text, &s.first_line)) {
            s.file = b->snap->overrides->file;
            s.closed = NULL;
        } else if (doc_get(o->properties, "value") != NULL) {
            s.closed = "the overrides give a policy that is not a text";
        }
    }
    return s;
}

/* ---- fragments ---- */

static const char *fragment_key(struct build *b, const char *workspace, struct slice id)
{
    return lower(b->arena, slice_of(arena_printf(b->arena, "%s|%.*s", workspace, SLICE_ARG(id))));
}

static const char *find_fragment(void *ctx, struct slice id, struct slice *text, const char **file)
{
    const struct scope_values *s = ctx;
    const struct source *f = map_get(s->b->fragments, slice_of(fragment_key(s->b, s->workspace, id)));
    if (f == NULL) {
        return "there is no such fragment";
    }
    if (f->closed != NULL) {
        return f->closed;
    }
    *text = f->text;
    *file = f->file;
    return NULL;
}

static void add_fragment(struct build *b, const struct artifact *a)
{
    const struct override *o = override_of(b, a);
    struct source *f = arena_zalloc(b->arena, sizeof *f);
    *f = source_of(b, a, o);
    const char *key = fragment_key(b, a->workspace, slice_of(a->id));
    map_put(b->fragments, slice_of(key), f);
    b->fragments_inputs = inputs_add(inputs_text(b->fragments_inputs, key), inputs_of(a, o));
}

static void find_fragments(struct build *b)
{
    b->fragments = map_create(NULL);
    b->fragments_inputs = 17;
    for (size_t i = 0; i < b->snap->n; i++) {
        if (b->snap->artifacts[i]->kind == ARTIFACT_FRAGMENT_POLICY) {
            add_fragment(b, b->snap->artifacts[i]);
        }
    }
}

/* ---- the backends they mean ---- */

static const char *backend_of(struct build *b, struct catalog_program *p, const char *workspace,
                              const struct policy_instruction *i)
{
    struct closure at = {catalog_program_file(p, i), catalog_program_line(p, i), 0, NULL};
    const char *why = NULL;
    if (i->base_url != NULL) {
        const char *name = backend_for_url(b, slice_of(i->base_url), at, &why);
        if (*name == '\0') {
            object_problem(&p->o, CATALOG_WARNING, at, p->o.name, "set-backend-service: %s", why);
        }
        return name;
    }
    const char *name = resource_name(b, workspace, "backends", slice_of(i->backend_id));
    if (!map_has(b->by_name, slice_of(name)) && *workspace != '\0') {
        name = resource_name(b, "", "backends", slice_of(i->backend_id));
    }
    if (!map_has(b->by_name, slice_of(name))) {
        object_problem(&p->o, CATALOG_WARNING, at, p->o.name, "there is no backend %s", i->backend_id);
        return "";
    }
    return name;
}

/* inbound and backend are where set-backend-service may stand. */
static const enum policy_section CHOOSING[] = {POLICY_INBOUND, POLICY_BACKEND};

static void find_backends(struct build *b, struct catalog_program *p, const char *workspace)
{
    size_t n = 0;
    for (size_t k = 0; k < ARRAY_LEN(CHOOSING); k++) {
        n += p->policy->sections[CHOOSING[k]].n;
    }
    const char **names = arena_alloc(p->o.arena, (n + 1) * sizeof(char *));
    p->backends = names;
    for (size_t k = 0; k < ARRAY_LEN(CHOOSING); k++) {
        const struct policy_list *list = &p->policy->sections[CHOOSING[k]];
        for (size_t i = 0; i < list->n; i++) {
            bool sets = list->items[i].op == POLICY_SET_BACKEND_SERVICE;
            const char *name = sets ? backend_of(b, p, workspace, &list->items[i]) : "";
            *names++ = arena_str(p->o.arena, slice_of(name));
        }
    }
}

static void hash_instruction(struct catalog_hash *h, const struct catalog_program *p,
                             const struct policy_instruction *in)
{
    hash_number(h, (uint64_t)in->op);
    hash_number(h, in->line); /* lines are part of what the proxy is told */
    hash_text(h, in->file);
    hash_text(h, in->reason);
    hash_text(h, in->op == POLICY_SET_BACKEND_SERVICE ? catalog_program_backend(p, in) : "");
    if (in->message != NULL) {
        size_t n = protobuf_c_message_get_packed_size(&in->message->base);
        uint8_t *bytes = mem_alloc(n + 1);
        protobuf_c_message_pack(&in->message->base, bytes);
        hash_number(h, slice_hash(slice_make(bytes, n), 1));
        hash_number(h, slice_hash(slice_make(bytes, n), 2));
        mem_free(bytes);
    }
}

static void seal(struct catalog_program *p)
{
    struct catalog_hash *h = &p->o.hash;
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        const struct policy_list *list = &p->policy->sections[s];
        hash_number(h, list->n);
        for (size_t i = 0; i < list->n; i++) {
            hash_instruction(h, p, &list->items[i]);
        }
    }
}

/* URLs in a program that is used again need their backends in this catalog too. */
static void bring_backends(struct build *b, const struct catalog_program *p)
{
    for (size_t k = 0; k < ARRAY_LEN(CHOOSING); k++) {
        const struct policy_list *list = &p->policy->sections[CHOOSING[k]];
        for (size_t i = 0; i < list->n; i++) {
            const struct policy_instruction *in = &list->items[i];
            if (in->op == POLICY_SET_BACKEND_SERVICE && in->base_url != NULL) {
                const char *why = NULL;
                struct closure at = {catalog_program_file(p, in), catalog_program_line(p, in), 0, NULL};
                backend_for_url(b, slice_of(in->base_url), at, &why);
            }
        }
    }
}

/* What else the program depends on: named values and fragments, when it names any. */
static uint64_t inputs_with(const struct build *b, const struct policy_program *p, uint64_t inputs)
{
    inputs = p != NULL && p->uses_named_values ? inputs_add(inputs, b->values_inputs) : inputs;
    return p != NULL && p->uses_fragments ? inputs_add(inputs, b->fragments_inputs) : inputs;
}

static void add_program(struct build *b, const struct artifact *a, const char *name, uint64_t backend_names)
{
    const struct override *o = override_of(b, a);
    uint64_t inputs = inputs_add(inputs_text(inputs_of(a, o), name), backend_names);
    const struct catalog_program *old = b->prev == NULL ? NULL : catalog_find_program(b->prev, name);
    struct catalog_program *p =
        object_reuse(b, (const void *)old, inputs_with(b, old == NULL ? NULL : old->policy, inputs));
    if (p != NULL) {
        bring_backends(b, p);
        object_publish(b, &b->programs, &p->o);
        return;
    }
    struct source s = source_of(b, a, o);
    struct scope_values scope = {b, a->workspace};
    const struct policy_sources sources = {find_value, find_fragment, &scope};
    p = object_create(b, sizeof *p, name, s.file);
    p->o.fini = program_fini;
    p->first_line = s.first_line;
    p->o.line = s.first_line;
    p->policy = s.closed != NULL ? policy_closed(s.closed) : policy_compile(s.text, &sources, POLICY_LIMITS_DEFAULT);
    p->o.inputs = inputs_with(b, p->policy, inputs);
    find_backends(b, p, a->workspace);
    seal(p);
    object_publish(b, &b->programs, &p->o);
}

static const char *program_name(struct build *b, const struct artifact *a)
{
    const struct api_head *h = NULL;
    switch ((int)a->kind) {
    case ARTIFACT_POLICY:
        return *a->workspace == '\0'
                   ? "policy"
                   : lower(b->arena, slice_of(arena_printf(b->arena, "workspaces/%s/policy", a->workspace)));
    case ARTIFACT_PRODUCT_POLICY:
        return arena_printf(b->arena, "%s/policy", resource_name(b, a->workspace, "products", slice_of(a->id)));
    case ARTIFACT_API_POLICY:
    case ARTIFACT_OPERATION_POLICY:
        h = map_get(b->heads_by_folder, slice_of(arena_printf(b->arena, "%s|%s", a->workspace, a->id)));
        if (h == NULL) {
            return NULL;
        }
        if (a->kind == ARTIFACT_API_POLICY) {
            return arena_printf(b->arena, "%s/policy", h->name);
        }
        return arena_printf(b->arena, "%s/operations/%s/policy", h->name, lower(b->arena, slice_of(a->item)));
    default:
        return NULL; /* fragments count where they are included */
    }
}

void build_programs(struct build *b)
{
    uint64_t backend_names = 17;
    for (size_t i = 0; i < b->backends.n; i++) {
        const struct catalog_object *k = b->backends.items[i];
        backend_names = inputs_text(backend_names, k->name);
    }
    find_fragments(b);
    for (size_t i = 0; i < b->snap->n; i++) {
        const struct artifact *a = b->snap->artifacts[i];
        const char *name = artifact_is_policy(a->kind) ? program_name(b, a) : NULL;
        if (name != NULL) {
            add_program(b, a, name, backend_names);
        }
    }
    map_destroy(&b->fragments);
}
