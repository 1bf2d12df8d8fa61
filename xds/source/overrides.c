#include "xds/source/overrides.h"

#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/map.h"
#include "base/mem.h"

enum { MAX_NODES = 4 << 20, LIST_START = 64 };

struct reader {
    struct overrides *out;
    struct override *entries;
    size_t cap;
    struct override_problem *problems;
    size_t problem_cap;
};

/* Sections that stand at the top and in a workspace, with the names of the lists an entry may hold. */
struct section {
    const char *name;
    const char *nested[3];
};

static const struct section SECTIONS[] = {
    {"apis", {"policies", "operations", "diagnostics"}},
    {"backends", {NULL}},
    {"diagnostics", {NULL}},
    {"gateways", {NULL}},
    {"groups", {NULL}},
    {"loggers", {NULL}},
    {"namedValues", {NULL}},
    {"policies", {NULL}},
    {"policyFragments", {NULL}},
    {"products", {"policies", NULL}},
    {"subscriptions", {NULL}},
    {"tags", {NULL}},
    {"versionSets", {NULL}},
};
static const struct section OPERATIONS = {"operations", {"policies", NULL}};
static const struct section PLAIN = {"", {NULL}};

static const struct section *find_section(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(SECTIONS); i++) {
        if (slice_eq_nocase(slice_of(SECTIONS[i].name), name)) {
            return &SECTIONS[i];
        }
    }
    return NULL;
}

static void *grow(struct arena *arena, const void *old, size_t n, size_t *cap, size_t size)
{
    *cap = *cap == 0 ? LIST_START : *cap * 2;
    void *p = arena_alloc(arena, *cap * size);
    if (n > 0) {
        memcpy(p, old, n * size);
    }
    return p;
}

static void problem(struct reader *r, const struct doc *at, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void problem(struct reader *r, const struct doc *at, const char *path, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct overrides *o = r->out;
    if (o->problem_count == r->problem_cap) {
        r->problems = grow(o->arena, r->problems, o->problem_count, &r->problem_cap, sizeof *r->problems);
    }
    bool keyed = doc_key_line(at) > 0;
    r->problems[o->problem_count++] =
        (struct override_problem){keyed ? doc_key_line(at) : doc_line(at), keyed ? doc_key_column(at) : doc_column(at),
                                  path, arena_str(o->arena, slice_of(text))};
}

static char *lower_path(struct arena *arena, const char *prefix, const char *section, struct slice name)
{
    char *path = arena_printf(arena, "%s%s/%.*s", prefix, section, SLICE_ARG(name));
    for (char *p = path; *p != '\0'; p++) {
        *p = ascii_lower(*p);
    }
    return path;
}

/* "{#name#}" is what a pipeline was to replace. Depth is bounded by the reader's limit. */
static const struct doc *find_token(const struct doc *d)
{
    if (doc_is(d, DOC_STRING)) {
        struct slice text = doc_text(d);
        struct slice rest = slice_from(text, slice_search(text, SLICE("{#")));
        return slice_search(rest, SLICE("#}")) < rest.n ? d : NULL;
    }
    for (size_t i = 0; i < doc_len(d); i++) {
        const struct doc *found = find_token(doc_at(d, i));
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static uint64_t hash_doc(const struct doc *d, uint64_t h)
{
    uint64_t place[3] = {(uint64_t)doc_kind(d), doc_line(d), doc_column(d)};
    h = slice_hash(slice_make(place, sizeof place), h);
    h = slice_hash(doc_key(d), h);
    if (doc_is(d, DOC_MAP) || doc_is(d, DOC_LIST)) {
        for (size_t i = 0; i < doc_len(d); i++) {
            h = hash_doc(doc_at(d, i), h);
        }
        return h;
    }
    return slice_hash(doc_text(d), h);
}

struct frame {
    const char *prefix; /* path of what holds the section, with a slash at its end */
    const char *workspace;
};

static void read_section(struct reader *r, struct frame f, const struct section *s, const char *name,
                         const struct doc *list);

static bool is_nested(const struct section *s, struct slice key)
{
    for (size_t i = 0; i < ARRAY_LEN(s->nested) && s->nested[i] != NULL; i++) {
        if (slice_eq_nocase(slice_of(s->nested[i]), key)) {
            return true;
        }
    }
    return false;
}

static void read_nested(struct reader *r, struct frame f, const struct section *s, const char *path,
                        const struct doc *entry)
{
    struct frame inner = {arena_printf(r->out->arena, "%s/", path), f.workspace};
    for (size_t i = 0; i < doc_len(entry); i++) {
        const struct doc *m = doc_at(entry, i);
        struct slice key = doc_key(m);
        if (slice_eq(key, SLICE("name")) || slice_eq(key, SLICE("properties"))) {
            continue;
        }
        if (!is_nested(s, key)) {
            problem(r, m, path, "unknown member \"%.*s\"", SLICE_ARG(key));
            continue;
        }
        bool operations = slice_eq_nocase(key, SLICE("operations"));
        read_section(r, inner, operations ? &OPERATIONS : &PLAIN, arena_str(r->out->arena, key), m);
    }
}

/* What is wrong with an entry closes the object it names: half of an environment must not be served. */
static const char *check_entry(struct reader *r, const struct doc *entry, const char *path)
{
    const struct doc *properties = doc_get(entry, "properties");
    const char *closed = NULL;
    if (properties != NULL && !doc_is(properties, DOC_MAP) && !doc_is(properties, DOC_NULL)) {
        closed = "\"properties\" is not a map";
        problem(r, properties, path, "%s", closed);
    }
    const struct doc *token = find_token(properties);
    if (token != NULL) {
        closed =
            arena_printf(r->out->arena, "the overrides hold a token that nobody replaced (line %u)", doc_line(token));
        problem(r, token, path, "a token {#…#} that nobody replaced");
    }
    return closed;
}

static void add_entry(struct reader *r, struct frame f, const struct doc *entry, const char *path)
{
    struct overrides *o = r->out;
    const struct doc *properties = doc_get(entry, "properties");
    if (map_has(o->by_path, slice_of(path))) {
        struct override *first = &r->entries[(size_t)(uintptr_t)map_get(o->by_path, slice_of(path)) - 1];
        first->closed = "the overrides name it twice";
        problem(r, entry, path, "\"%s\" stands there twice", path);
        return;
    }
    if (o->n == r->cap) {
        r->entries = grow(o->arena, r->entries, o->n, &r->cap, sizeof *r->entries);
    }
    r->entries[o->n++] = (struct override){
        .path = path,
        .name = arena_str(o->arena, doc_text(doc_get(entry, "name"))),
        .workspace = f.workspace,
        .properties = doc_is(properties, DOC_MAP) ? properties : NULL,
        .line = doc_line(entry),
        .column = doc_column(entry),
        .closed = check_entry(r, entry, path),
        .hash = hash_doc(entry, 0),
    };
    map_put(o->by_path, slice_of(path), (void *)(uintptr_t)o->n);
}

static void read_section(struct reader *r, struct frame f, const struct section *s, const char *name,
                         const struct doc *list)
{
    if (doc_is(list, DOC_NULL)) {
        return;
    }
    if (!doc_is(list, DOC_LIST)) {
        problem(r, list, "", "\"%s\" is not a list", name);
        return;
    }
    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *entry = doc_at(list, i);
        struct slice id = slice_trim(doc_text(doc_get(entry, "name")));
        if (!doc_is(entry, DOC_MAP) || slice_is_empty(id)) {
            problem(r, entry, "", "an entry of \"%s\" without a name", name);
            continue;
        }
        char *path = lower_path(r->out->arena, f.prefix, name, id);
        add_entry(r, f, entry, path);
        read_nested(r, f, s, path, entry);
    }
}

static void read_workspaces(struct reader *r, const struct doc *list);

static void read_sections(struct reader *r, struct frame f, const struct doc *map, bool top)
{
    for (size_t i = 0; i < doc_len(map); i++) {
        const struct doc *m = doc_at(map, i);
        struct slice key = doc_key(m);
        const struct section *s = find_section(key);
        if (s != NULL) {
            read_section(r, f, s, s->name, m);
        } else if (top && slice_eq_nocase(key, SLICE("workspaces"))) {
            read_workspaces(r, m);
        } else if (top ? !slice_eq_nocase(key, SLICE("apimServiceName"))
                       : !slice_eq(key, SLICE("name")) && !slice_eq(key, SLICE("properties"))) {
            problem(r, m, "", "unknown section \"%.*s\"", SLICE_ARG(key));
        }
    }
}

static void read_workspaces(struct reader *r, const struct doc *list)
{
    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *entry = doc_at(list, i);
        struct slice id = slice_trim(doc_text(doc_get(entry, "name")));
        if (!doc_is(entry, DOC_MAP) || slice_is_empty(id)) {
            problem(r, entry, "", "an entry of \"workspaces\" without a name");
            continue;
        }
        char *path = lower_path(r->out->arena, "", "workspaces", id);
        struct frame f = {arena_printf(r->out->arena, "%s/", path), arena_str(r->out->arena, id)};
        add_entry(r, f, entry, path);
        read_sections(r, f, entry, false);
    }
    if (!doc_is(list, DOC_LIST) && !doc_is(list, DOC_NULL)) {
        problem(r, list, "", "\"workspaces\" is not a list");
    }
}

struct overrides *overrides_read(const char *file, struct slice bytes, struct err *err)
{
    struct arena *arena = arena_create(0);
    struct doc_limits limits = doc_limits_default();
    limits.max_nodes = MAX_NODES;
    struct slice text = slice_trim(bytes);
    const struct doc *root =
        slice_is_empty(text) ? NULL : doc_parse(arena, (struct doc_source){file, bytes, DOC_AUTO}, &limits, err);
    bool empty = slice_is_empty(text) || doc_is(root, DOC_NULL);
    if (!empty && !doc_is(root, DOC_MAP)) {
        if (root != NULL) {
            doc_fail(err, root, ERR_INPUT, "expected a map of sections");
        }
        arena_destroy(&arena);
        return NULL;
    }
    struct overrides *o = arena_zalloc(arena, sizeof *o);
    *o = (struct overrides){.arena = arena, .refs = 1, .file = arena_str(arena, slice_of(file))};
    o->by_path = map_create(NULL);
    o->bytes = arena_slice(arena, bytes);
    o->hash = slice_hash(bytes, 0);
    struct reader r = {.out = o};
    read_sections(&r, (struct frame){"", ""}, root, true);
    o->entries = r.entries;
    o->problems = r.problems;
    return o;
}

struct overrides *overrides_ref(struct overrides *o)
{
    if (o != NULL) {
        o->refs++;
    }
    return o;
}

void overrides_unref(struct overrides **o)
{
    if (*o != NULL && --(*o)->refs == 0) {
        struct arena *arena = (*o)->arena;
        mem_wipe((void *)(uintptr_t)(*o)->bytes.p, (*o)->bytes.n);
        map_destroy(&(*o)->by_path);
        arena_destroy(&arena);
    }
    *o = NULL;
}

const struct override *overrides_find(const struct overrides *o, struct slice path)
{
    size_t at = o == NULL ? 0 : (size_t)(uintptr_t)map_get(o->by_path, path);
    return at == 0 ? NULL : &o->entries[at - 1];
}

/* A block scalar ("|" or ">") begins on the line below its mark. */
static bool is_block(struct slice bytes, uint32_t line, uint32_t column)
{
    for (uint32_t l = 1; l < line && bytes.p != NULL; l++) {
        slice_cut(&bytes, '\n');
    }
    struct slice row = bytes.p == NULL ? SLICE_NONE : slice_cut(&bytes, '\n');
    return column >= 1 && column <= row.n && (row.p[column - 1] == '|' || row.p[column - 1] == '>');
}

bool override_policy(const struct overrides *o, const struct override *entry, struct slice *text, uint32_t *line)
{
    const struct doc *value = entry == NULL ? NULL : doc_get(entry->properties, "value");
    if (!doc_is(value, DOC_STRING)) {
        return false;
    }
    *text = doc_text(value);
    *line = doc_line(value) + (is_block(o->bytes, doc_line(value), doc_column(value)) ? 1 : 0);
    return true;
}
