/* Taking in one type's resources: what is well becomes a form of its entry, what is not is refused by name. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "proto/guard.h"
#include "proxy/config/store_inside.h"

struct incoming {
    struct slice name, bytes, version;
    struct entry *entry; /* NULL: a name that is new */
    bool heartbeat;      /* a wrapper without content: what we have is confirmed */
};

/* The name stands in field 1 of every type. It is wanted even when the rest cannot be read: a malformed resource must
 * not look like a removed one. */
static bool peek_varint(struct slice *in, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && in->n > 0; shift += 7) {
        uint8_t byte = (uint8_t)in->p[0];
        *in = slice_from(*in, 1);
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

static struct slice peek_name(struct slice in)
{
    uint64_t tag = 0, n = 0;
    while (in.n > 0 && peek_varint(&in, &tag)) {
        switch (tag & 7) {
        case 0:
            if (!peek_varint(&in, &n)) {
                return SLICE_NONE;
            }
            break;
        case 1:
        case 5:
            in = slice_from(in, (tag & 7) == 1 ? 8 : 4);
            break;
        case 2:
            if (!peek_varint(&in, &n) || n > in.n) {
                return SLICE_NONE;
            }
            if (tag >> 3 == 1) {
                return slice_sub(in, 0, n);
            }
            in = slice_from(in, n);
            break;
        default:
            return SLICE_NONE;
        }
    }
    return SLICE_NONE;
}

static const char WRAPPER[] = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/* false: refused already. */
static bool unwrap(struct config_store *s, const struct store_update *u, size_t i, struct arena *arena,
                   struct incoming *out)
{
    struct slice url = u->resources[i].type_url;
    char where[64], reason[600];
    snprintf(where, sizeof where, "resource %zu", i);
    struct slice own = u->resources[i].name;
    *out = (struct incoming){.bytes = u->resources[i].bytes, .version = u->version};
    if (u->delta) {
        out->version = u->resources[i].version;
    } else if (slice_eq(url, slice_of(WRAPPER))) {
        struct err err;
        const Envoy__Service__Discovery__V3__Resource *w =
            guard_unpack(NULL, &envoy__service__discovery__v3__resource__descriptor, out->bytes, arena, &err);
        if (w == NULL) {
            store_refuse(s, NULL, slice_of(where), u->version, err.text);
            return false;
        }
        out->heartbeat = w->resource == NULL;
        out->version = w->version[0] != '\0' ? slice_of(w->version) : out->version;
        out->name = slice_of(w->name);
        if (out->heartbeat) {
            return true;
        }
        url = slice_of(w->resource->type_url);
        out->bytes = slice_make(w->resource->value.data, w->resource->value.len);
    }
    if (!slice_eq(url, u->type_url)) {
        snprintf(reason, sizeof reason, "type \"%.*s\" in an update of \"%.*s\"", SLICE_ARG(slice_sub(url, 0, 200)),
                 SLICE_ARG(u->type_url));
        store_refuse(s, NULL, slice_of(where), u->version, reason);
        return false;
    }
    out->name = peek_name(out->bytes);
    if (out->name.n == 0) {
        store_refuse(s, NULL, own.n > 0 ? own : slice_of(where), u->version, "it has no name");
        return false;
    }
    if (own.n > 0 && !slice_eq(own, out->name)) {
        snprintf(reason, sizeof reason, "its content has the name \"%.*s\"", SLICE_ARG(slice_sub(out->name, 0, 200)));
        store_refuse(s, NULL, own, u->version, reason);
        return false;
    }
    return true;
}

/* ---- checks against the others ---- */

static bool is_wanted(const struct config_store *s, enum resource_type type, struct slice name)
{
    const struct type_state *t = &s->types[type];
    for (size_t lo = 0, hi = t->n_names; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        int c = slice_cmp(t->names[mid], name);
        if (c == 0) {
            return true;
        }
        lo = c < 0 ? mid + 1 : lo;
        hi = c < 0 ? hi : mid;
    }
    return false;
}

static const struct listener_conf *other_at(const struct config_store *s, const struct entry *self,
                                            const struct addr *addr)
{
    for (struct map_item *i = map_first(s->types[TYPE_LISTENER].entries); i != NULL; i = map_next(i)) {
        const struct entry *e = map_value(i);
        const struct form *f = entry_latest(e);
        const struct listener_conf *l = f == NULL || e == self || e->dead ? NULL : f->object;
        if (l != NULL && l->bind_to_port && addr_eq(&l->addr, addr)) {
            return l;
        }
    }
    return NULL;
}

static bool check_form(const struct config_store *s, const struct entry *e, const struct form *f, struct err *err)
{
    if (e->type == TYPE_LISTENER && f->object != NULL) {
        const struct listener_conf *l = f->object;
        const struct listener_conf *other = l->bind_to_port ? other_at(s, e, &l->addr) : NULL;
        return other == NULL || err_set(err, ERR_INPUT, "address: listener \"%.*s\" has the same", SLICE_ARG(other->name));
    }
    if (e->type == TYPE_SECRET && slice_starts_with(e->name, SLICE("mac/"))) {
        return err_set(err, ERR_DENIED, "MAC keys stand in the bootstrap only");
    }
    return true;
}

/* ---- one resource ---- */

static bool is_unchanged(struct entry *e, struct slice bytes)
{
    const struct form *latest = entry_latest(e);
    if (latest == NULL || !slice_eq(latest->bytes, bytes) || e->gone || e->dead) {
        return false;
    }
    if (e->refusal.reason != NULL) {
        mem_free(e->refusal.reason);
        mem_free(e->refusal.version);
        e->refusal = (struct refusal){0};
    }
    return true;
}

/* Back to what serves: the form that waits is not wanted any more. */
static bool is_return(struct config_store *s, struct entry *e, struct slice bytes)
{
    if (e->active == NULL || e->dead || !slice_eq(e->active->bytes, bytes)) {
        return false;
    }
    store_names_of(s, e->warming);
    entry_drop_warming(e);
    e->gone = false;
    store_dirty(s, e->type);
    return true;
}

/* The same content under another version: that is what a new stream must say we hold. */
static void note_version(struct entry *e, struct slice version)
{
    struct form *f = e->warming != NULL ? e->warming : e->active;
    if (!slice_eq(f->version, version)) {
        form_set_version(f, version);
    }
}

static void accept_one(struct config_store *s, enum resource_type type, const struct incoming *in, bool versioned)
{
    struct entry *e = in->entry;
    struct slice version = in->version;
    struct err err;
    err_clear(&err);
    if (e != NULL && e->is_static) {
        store_refuse(s, NULL, in->name, version, "is a static resource of the bootstrap");
        return;
    }
    if (e != NULL && (is_unchanged(e, in->bytes) || is_return(s, e, in->bytes))) {
        if (versioned) {
            note_version(e, version);
        }
        return;
    }
    struct form *f = form_create(s, type, in->bytes, version, false, &err);
    bool is_new = e == NULL;
    e = store_add_entry(s, type, in->name);
    if (f == NULL || !check_form(s, e, f, &err)) {
        form_free(type, &f);
        store_refuse(s, is_new ? NULL : e, in->name, version, err.text);
        if (is_new) {
            map_del(s->types[type].entries, in->name);
        }
        return;
    }
    if (type == TYPE_SECRET) {
        map_put(s->changed_secrets, in->name, e);
    }
    entry_take(s, e, f);
}

/* ---- the whole update ---- */

static void remove_entry(struct config_store *s, struct entry *e)
{
    store_names_of(s, e->warming);
    store_names_of(s, e->active);
    entry_drop_warming(e);
    store_touch(s, e);
    if (resource_kinds[e->type].lingers && e->active != NULL) {
        e->gone = s->maybe_gone = true;
    } else {
        e->dead = true;
    }
    store_dirty(s, e->type);
}

static void remove_absent(struct config_store *s, enum resource_type type)
{
    for (struct map_item *i = map_first(s->types[type].entries); i != NULL; i = map_next(i)) {
        struct entry *e = map_value(i);
        if (e->seen == 0 && !e->is_static && !e->gone && !e->dead) {
            remove_entry(s, e);
        }
    }
}

struct batch {
    bool delta;
    struct incoming *list;
    size_t n;
    struct map *fresh; /* names without an entry → how often they stand, 1 or 2 */
};

static const char marks[3]; /* addresses that stand for numbers in batch.fresh */

static void *mark(int number)
{
    return (void *)(uintptr_t)&marks[number];
}

static void count_names(struct config_store *s, enum resource_type type, struct batch *b)
{
    b->fresh = map_create(NULL);
    for (size_t i = 0; i < b->n; i++) {
        struct incoming *in = &b->list[i];
        in->entry = store_entry(s, type, in->name);
        if (in->entry == NULL) {
            map_put(b->fresh, in->name, mark(map_has(b->fresh, in->name) ? 2 : 1));
        } else if (in->entry->seen < 2) {
            in->entry->seen++;
        }
    }
}

static void forget_names(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->list[i].entry != NULL) {
            b->list[i].entry->seen = 0;
        }
    }
    map_destroy(&b->fresh);
}

/* true: refused, at the first of its places in the update; the others are passed over. */
static bool refuse_double(struct config_store *s, struct batch *b, const struct incoming *in, struct slice version)
{
    bool twice = in->entry != NULL ? in->entry->seen == 2 : map_get(b->fresh, in->name) == mark(2);
    bool said = in->entry != NULL ? in->entry->seen == 3 : map_get(b->fresh, in->name) == mark(0);
    if (twice) {
        store_refuse(s, in->entry, in->name, version, "stands twice in this update");
        if (in->entry != NULL) {
            in->entry->seen = 3;
        } else {
            map_put(b->fresh, in->name, mark(0));
        }
    }
    return twice || said;
}

static void accept_batch(struct config_store *s, enum resource_type type, struct batch *b, struct slice version)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct incoming *in = &b->list[i];
        if (in->heartbeat || (!resource_kinds[type].wildcard && !is_wanted(s, type, in->name))) {
            continue;
        }
        if (!refuse_double(s, b, in, version)) {
            accept_one(s, type, in, b->delta);
        }
    }
}

/* What is named by others stays as long as it is named, whatever the server says of it. */
static void remove_named(struct config_store *s, enum resource_type type, struct batch *b, const struct store_update *u)
{
    for (size_t i = 0; i < u->n_removed; i++) {
        struct entry *e = store_entry(s, type, u->removed[i]);
        bool both = e != NULL ? e->seen > 0 : map_has(b->fresh, u->removed[i]);
        if (both) {
            store_refuse(s, e, u->removed[i], u->version, "stands among the resources and among the removed ones");
            if (e != NULL) {
                e->seen = 3;
            } else {
                map_put(b->fresh, u->removed[i], mark(0));
            }
        } else if (e != NULL && resource_kinds[type].wildcard && !e->is_static && !e->gone && !e->dead) {
            remove_entry(s, e);
        }
    }
}

void store_accept(struct config_store *s, enum resource_type type, const struct store_update *u,
                  const struct accept_mode *mode)
{
    struct arena *arena = arena_create(0);
    struct batch b = {.delta = u->delta, .list = mem_alloc((u->n + 1) * sizeof *b.list)};
    size_t refused_before = s->n_refusals;
    store_update_names(s);
    for (size_t i = 0; i < u->n; i++) {
        b.n += unwrap(s, u, i, arena, &b.list[b.n]);
    }
    count_names(s, type, &b);
    /* Absence counts only when every resource of the update could be named. */
    if (u->delta) {
        remove_named(s, type, &b, u);
    } else if (resource_kinds[type].wildcard && s->n_refusals == refused_before) {
        remove_absent(s, type);
    }
    accept_batch(s, type, &b, u->version);
    struct type_state *t = &s->types[type];
    t->answered = t->answered || !mode->from_disk;
    t->loaded = mode->from_disk;
    if (s->n_refusals == refused_before && !slice_eq(t->version, u->version)) {
        mem_free((void *)(uintptr_t)t->version.p);
        t->version = slice_make(mem_str_slice(u->version), u->version.n);
        t->dirty = true;
    }
    forget_names(&b);
    mem_free(b.list);
    arena_destroy(&arena);
}

/* Whole lines, as many as fit. */
static void report(const struct config_store *s, struct err *err)
{
    struct slice rest = strbuf_slice(&s->refusals);
    size_t room = sizeof err->text - 32, used = 0, lines = 0;
    while (rest.p != NULL) {
        struct slice line = slice_cut(&rest, '\n');
        if (used + line.n + 1 > room && lines > 0) {
            break;
        }
        used += line.n + 1;
        lines++;
    }
    struct slice all = strbuf_slice(&s->refusals);
    used = used > all.n ? all.n : used - 1;
    if (lines < s->n_refusals) {
        err_set(err, ERR_INPUT, "%.*s\n… and %zu more", SLICE_ARG(slice_sub(all, 0, used)), s->n_refusals - lines);
    } else {
        err_set(err, ERR_INPUT, "%.*s", SLICE_ARG(all));
    }
}

bool store_apply(struct config_store *s, const struct store_update *update, bool *changed, struct err *err)
{
    enum resource_type type;
    struct accept_mode live = {.from_disk = false};
    *changed = false;
    strbuf_clear(&s->refusals);
    s->n_refusals = 0;
    if (!store_find_type(update->type_url, &type)) {
        return err_set(err, ERR_UNSUPPORTED, "type \"%.*s\" is not supported by Egret", SLICE_ARG(update->type_url));
    }
    store_accept(s, type, update, &live);
    s->lenient_backends = s->lenient_backends && type != TYPE_SECRET;
    store_settle(s);
    *changed = store_publish(s);
    store_check_live(s);
    if (s->n_refusals > 0 && err != NULL) {
        report(s, err);
    }
    return s->n_refusals == 0;
}

struct slice store_refusals(const struct config_store *s)
{
    return strbuf_slice(&s->refusals);
}
