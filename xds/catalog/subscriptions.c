/* Subscriptions: from their files and, with their keys, from the overrides. */
#include <string.h>

#include "base/macros.h"
#include "xds/catalog/build.h"

enum { KEY_MAX = 256 };

struct making {
    struct build *b;
    struct catalog_subscription *s;
    struct props props;
    const char *file;
};

struct candidate {
    const struct artifact *artifact; /* NULL: only the overrides say it */
    const struct override *over;
    const char *name, *id, *workspace;
    struct props props;
    struct closure refused; /* for what other subscriptions say */
};

static const char *const STATES[] = {"suspended", "active", "expired", "submitted", "rejected", "cancelled"};

static void close_at(struct making *m, const struct doc *at, const char *text)
{
    object_close(&m->s->o, closure_at(m->b, at, m->file, "%s", text));
}

static void read_state(struct making *m)
{
    struct slice text = props_text(m->props, "state");
    m->s->state = CATALOG_SUBSCRIPTION_SUBMITTED;
    if (text.n == 0) {
        struct closure at = closure_at(m->b, NULL, m->file, "-");
        object_problem(&m->s->o, CATALOG_WARNING, at, m->s->o.name,
                       "it has no state, which is \"submitted\": its keys are not valid");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(STATES); i++) {
        if (slice_eq_nocase(text, slice_of(STATES[i]))) {
            m->s->state = (enum catalog_subscription_state)i;
            return;
        }
    }
    close_at(m, props_get(m->props, "state"), "its state is not one that subscriptions have");
}

/* The last segments of an ARM id, or of a relative path, say the scope. */
static void read_scope(struct making *m)
{
    struct build *b = m->b;
    const struct doc *at = props_get(m->props, "scope");
    struct slice rest = slice_trim(doc_text(at)), last = SLICE_NONE, before = SLICE_NONE, workspace = SLICE_NONE;
    if (!doc_is(at, DOC_STRING)) {
        close_at(m, at, "it has no scope");
        return;
    }
    while (rest.p != NULL) {
        struct slice segment = slice_cut(&rest, '/');
        if (segment.n == 0) {
            continue;
        }
        if (slice_eq_nocase(before, SLICE("workspaces"))) {
            workspace = last;
        }
        before = last;
        last = segment;
    }
    bool in_workspace = slice_eq_nocase(before, SLICE("workspaces"));
    const char *w = arena_str(b->arena, workspace.n > 0 ? workspace : slice_of(m->s->workspace));
    bool product = slice_eq_nocase(before, SLICE("products")), api = slice_eq_nocase(before, SLICE("apis"));
    m->s->scope_name = "";
    if (product || api) {
        struct slice id = api ? without_revision(last) : last;
        const char *name = resource_name(b, w, product ? "products" : "apis", id);
        m->s->scope = product ? CATALOG_SCOPE_PRODUCT : CATALOG_SCOPE_API;
        m->s->scope_name = arena_str(m->s->o.arena, slice_of(name));
        if (!(product ? map_has(b->by_name, slice_of(name)) : map_has(b->resources, slice_of(name)))) {
            object_close(&m->s->o, closure_at(b, at, m->file, "its scope %s does not exist", name));
        }
    } else if (in_workspace || *w != '\0') {
        const char *name = workspace_name(b, in_workspace ? arena_str(b->arena, last) : w);
        m->s->scope = CATALOG_SCOPE_WORKSPACE;
        m->s->scope_name = arena_str(m->s->o.arena, slice_of(name));
        if (!map_has(b->resources, slice_of(name))) {
            object_close(&m->s->o, closure_at(b, at, m->file, "its scope %s does not exist", name));
        }
    } else if (last.n == 0 || slice_eq_nocase(last, SLICE("apis")) || slice_eq_nocase(before, SLICE("service"))) {
        m->s->scope = CATALOG_SCOPE_ALL_APIS;
    } else {
        close_at(m, at, "its scope is neither all APIs, nor a product, nor an API");
    }
}

/* Exact bytes: a blank in a key is part of it. */
static struct slice key_of(struct props p, const char *which)
{
    const struct doc *d = props_get(p, which);
    return doc_is(d, DOC_STRING) || doc_is(d, DOC_NUMBER) ? doc_text(d) : SLICE_NONE;
}

static const char *read_key(struct making *m, const char *which)
{
    const struct doc *d = props_get(m->props, which);
    struct slice key = key_of(m->props, which);
    if (d == NULL) {
        return NULL;
    }
    if (key.n == 0 || key.n > KEY_MAX) {
        close_at(m, d, "a key is not a text of 1 to 256 characters");
        return NULL;
    }
    return arena_str(m->s->o.arena, key);
}

static struct catalog_subscription *make(struct build *b, const struct candidate *c, const char *file)
{
    struct catalog_subscription *s = object_create(b, sizeof *s, c->name, file);
    struct making m = {b, s, c->props, file};
    struct slice display = props_text(c->props, "displayName");
    s->workspace = arena_str(s->o.arena, slice_of(c->workspace));
    s->id = arena_str(s->o.arena, slice_of(c->id));
    s->display_name = arena_str(s->o.arena, display.n == 0 ? slice_of(c->id) : display);
    s->owner = arena_str(s->o.arena, last_segment(props_text(c->props, "ownerId")));
    s->scope_name = "";
    s->o.line = c->artifact == NULL ? c->over->line : 1;
    if (c->artifact != NULL && c->artifact->state == ARTIFACT_BROKEN) {
        s->o.closed = closure_text(s->o.arena, closure_of_artifact(c->artifact));
        return s;
    }
    s->o.stale = c->artifact != NULL && c->artifact->state == ARTIFACT_STALE;
    object_close(&s->o, closure_of_override(b, c->over));
    object_close(&s->o, c->refused);
    read_state(&m);
    read_scope(&m);
    s->primary_key = read_key(&m, "primaryKey");
    s->secondary_key = read_key(&m, "secondaryKey");
    if (s->primary_key == NULL && s->secondary_key == NULL && s->o.closed == NULL) {
        struct closure at = {file, s->o.line, 0, NULL};
        object_problem(&s->o, CATALOG_WARNING, at, s->o.name, "no key of it is known; the overrides give them");
    }
    return s;
}

static void seal(struct catalog_subscription *s)
{
    struct catalog_hash *h = &s->o.hash;
    hash_text(h, s->id);
    hash_text(h, s->display_name);
    hash_text(h, s->owner);
    hash_number(h, (uint64_t)s->state * 8 + (uint64_t)s->scope);
    hash_text(h, s->scope_name);
    hash_text(h, s->primary_key);
    hash_text(h, s->secondary_key);
    hash_text(h, s->o.closed);
}

static void add_candidate(struct build *b, struct vec *all, const struct artifact *a, const struct override *o,
                          const char *workspace)
{
    struct candidate *c = arena_zalloc(b->arena, sizeof *c);
    c->artifact = a;
    c->over = o;
    c->id = a != NULL ? a->id : o->name;
    c->workspace = workspace;
    c->name = resource_name(b, workspace, "subscriptions", slice_of(c->id));
    c->props = props_of(a, o);
    vec_add(all, c);
}

static bool is_subscription(const struct override *o)
{
    struct slice rest = slice_of(o->path);
    if (slice_starts_with(rest, SLICE("workspaces/"))) {
        slice_cut(&rest, '/');
        slice_cut(&rest, '/');
    }
    return rest.p != NULL && slice_starts_with(rest, SLICE("subscriptions/"));
}

static void collect(struct build *b, struct vec *all)
{
    struct map *seen = map_create(NULL);
    for (size_t i = 0; i < b->snap->n; i++) {
        const struct artifact *a = b->snap->artifacts[i];
        if (a->kind != ARTIFACT_SUBSCRIPTION) {
            continue;
        }
        const struct override *o = override_of(b, a);
        if (o != NULL) {
            map_put(seen, slice_of(o->path), (void *)(uintptr_t)o);
        }
        add_candidate(b, all, a, o, a->workspace);
    }
    const struct overrides *over = b->snap->overrides;
    for (size_t i = 0; over != NULL && i < over->n; i++) {
        const struct override *o = &over->entries[i];
        if (is_subscription(o) && !map_has(seen, slice_of(o->path))) {
            add_candidate(b, all, NULL, o, o->workspace);
        }
    }
    map_destroy(&seen);
}

static const char *file_of(struct build *b, const struct candidate *c)
{
    return c->artifact != NULL ? c->artifact->path : b->snap->overrides->file;
}

static void refuse(struct build *b, struct candidate *c, const char *key, const struct candidate *other)
{
    if (c->refused.text == NULL) {
        c->refused = closure_at(b, props_get(c->props, key), file_of(b, c), "%s has the same key", other->name);
    }
}

/* Two subscriptions with one key: whose call it is cannot be said, so both are refused. */
static void refuse_twins(struct build *b, struct vec *all)
{
    static const char *const KEYS[] = {"primaryKey", "secondaryKey"};
    struct map *owners = map_create(NULL);
    for (size_t i = 0; i < all->n; i++) {
        struct candidate *c = all->items[i];
        for (size_t k = 0; k < ARRAY_LEN(KEYS); k++) {
            struct slice key = key_of(c->props, KEYS[k]);
            struct candidate *other = key.n == 0 ? c : map_get(owners, key);
            if (other == NULL) {
                map_put(owners, key, c);
            } else if (other != c) {
                refuse(b, c, KEYS[k], other);
                bool first = slice_eq(key, key_of(other->props, KEYS[0]));
                refuse(b, other, first ? KEYS[0] : KEYS[1], c);
            }
        }
    }
    map_destroy(&owners);
}

static bool scope_exists(struct build *b, const struct catalog_subscription *s)
{
    struct slice name = slice_of(s->scope_name);
    return name.n == 0 || map_has(b->by_name, name) || map_has(b->resources, name);
}

static bool is_dangling(const struct catalog_subscription *s)
{
    return s->o.closed != NULL && strstr(s->o.closed, "does not exist") != NULL;
}

/* Everything that any subscription depends on beside its own file. */
static uint64_t inputs_of_frame(struct build *b)
{
    const struct overrides *o = b->snap->overrides;
    uint64_t in = inputs_add(23, o == NULL ? 0 : o->hash);
    in = inputs_text(in, o == NULL ? "" : o->file);
    for (size_t i = 0; i < b->products.n; i++) {
        in = inputs_text(in, ((const struct catalog_object *)b->products.items[i])->name);
    }
    for (size_t i = 0; i < b->heads.n; i++) {
        in = inputs_text(in, ((const struct api_head *)b->heads.items[i])->resource);
    }
    return in;
}

static uint64_t inputs_of_files(const struct build *b, uint64_t in)
{
    for (size_t i = 0; i < b->snap->n; i++) {
        const struct artifact *a = b->snap->artifacts[i];
        if (a->kind == ARTIFACT_SUBSCRIPTION) {
            in = inputs_text(inputs_add(in, a->hash), a->path);
        }
    }
    return in;
}

static struct catalog_subscription *make_new(struct build *b, const struct candidate *c)
{
    struct catalog_subscription *s = make(b, c, file_of(b, c));
    s->o.inputs = inputs_text(inputs_of(c->artifact, c->over), c->refused.text);
    seal(s);
    return s;
}

static bool is_key_of(const struct catalog_subscription *s, struct slice key)
{
    return key.n > 0 && (slice_eq(key, slice_of(s->primary_key)) || slice_eq(key, slice_of(s->secondary_key)));
}

/* May a key of c, or of what stood in its place, be a key of this one too? Then both have to be looked at. */
static bool shares_key(const struct catalog_subscription *s, const struct candidate *c,
                       const struct catalog_subscription *old)
{
    bool unknown = s->o.closed != NULL && s->primary_key == NULL && s->secondary_key == NULL;
    return unknown || is_key_of(s, key_of(c->props, "primaryKey")) || is_key_of(s, key_of(c->props, "secondaryKey")) ||
           is_key_of(s, slice_of(old->primary_key)) || is_key_of(s, slice_of(old->secondary_key));
}

static bool stands_alone(const struct build *b, const struct candidate *c, const struct catalog_subscription *old)
{
    struct slice first = key_of(c->props, "primaryKey"), second = key_of(c->props, "secondaryKey");
    if (memchr(first.n == 0 ? "" : first.p, 0, first.n) != NULL || memchr(second.n == 0 ? "" : second.p, 0, second.n) != NULL) {
        return false; /* what the others have is kept as text */
    }
    for (size_t i = 0; i < b->prev->subscriptions.n; i++) {
        const struct catalog_subscription *s = b->prev->subscriptions.items[i];
        if (s != old && shares_key(s, c, old)) {
            return false;
        }
    }
    return true;
}

/* One edited file among tens of thousands. What is made only when it is sure that the others are not concerned. */
static bool take_most(struct build *b, uint64_t frame)
{
    struct few few;
    struct vec changed = {NULL, 0, 0};
    struct catalog_object *made[FEW];
    if (b->prev == NULL || b->prev->subscriptions_inputs == 0 || b->prev->subscriptions_frame != frame ||
        !find_few(b, &few) || few.n > 1) { /* of several at once, one might have another's key */
        return false;
    }
    bool alone = true;
    for (size_t i = 0; i < few.n; i++) {
        const struct artifact *a = few.now[i];
        add_candidate(b, &changed, a, override_of(b, a), a->workspace);
        const struct candidate *c = changed.items[i];
        alone = alone && stands_alone(b, c, (const void *)b->prev->subscription_sources[few.at[i]].made);
    }
    for (size_t i = 0; alone && i < few.n; i++) {
        made[i] = &make_new(b, changed.items[i])->o;
    }
    if (alone) {
        take_all_but_few(b, &few, made);
    }
    vec_fini(&changed);
    return alone;
}

static void take_each(struct build *b, uint64_t frame, uint64_t whole)
{
    struct vec all = {NULL, 0, 0};
    collect(b, &all);
    refuse_twins(b, &all);
    struct catalog_source *sources = arena_alloc(b->catalog->arena, (all.n + 1) * sizeof *sources);
    size_t files = 0;
    for (size_t i = 0; i < all.n; i++) {
        const struct candidate *c = all.items[i];
        uint64_t inputs = inputs_text(inputs_of(c->artifact, c->over), c->refused.text);
        const struct catalog_subscription *old = b->prev == NULL ? NULL : catalog_find_subscription(b->prev, c->name);
        bool same_scope = old != NULL && scope_exists(b, old) != is_dangling(old);
        struct catalog_subscription *s = same_scope ? object_reuse(b, (const void *)old, inputs) : NULL;
        s = s == NULL ? make_new(b, c) : s;
        if (c->artifact != NULL) {
            sources[files++] = (struct catalog_source){c->artifact->hash, &s->o};
        }
        whole = object_publish(b, &b->subscriptions, &s->o) ? whole : 0;
    }
    b->catalog->subscriptions_frame = frame;
    b->catalog->subscription_sources = sources;
    b->catalog->subscription_source_count = files;
    b->catalog->subscriptions_inputs = whole;
    vec_fini(&all);
}

/* Tens of thousands of them must not slow an edit down that concerns none, or one. */
void build_subscriptions(struct build *b)
{
    static const struct few none = {.n = 0};
    uint64_t frame = inputs_of_frame(b), whole = inputs_of_files(b, frame);
    if (b->prev != NULL && b->prev->subscriptions_inputs == whole) {
        take_all_but_few(b, &none, NULL);
        b->catalog->subscriptions_inputs = whole;
    } else if (take_most(b, frame)) {
        b->catalog->subscriptions_inputs = whole;
    } else {
        take_each(b, frame, whole);
    }
}
