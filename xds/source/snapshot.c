/* Publishing a snapshot, and what of it the owner stores. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "xds/source/folder_state.h"

static int compare_path(const void *a, const void *b)
{
    const struct artifact *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static void add_problems(struct folder_snapshot *s, struct slice unreadable)
{
    size_t lines = 0;
    for (size_t i = 0; i < unreadable.n; i++) {
        lines += unreadable.p[i] == '\n' ? 1 : 0;
    }
    struct folder_problem *problems = arena_alloc(s->arena, (lines / 2 + 1) * sizeof *problems);
    while (unreadable.n > 0) {
        struct slice file = slice_cut(&unreadable, '\n');
        struct slice why = slice_cut(&unreadable, '\n');
        problems[s->problem_count++] = (struct folder_problem){arena_str(s->arena, file), arena_str(s->arena, why)};
    }
    s->problems = problems;
}

/* "file:line:column: text" → its parts. */
static struct artifact_error overrides_error(const struct folder *f, struct arena *arena)
{
    struct artifact_error e = {0, 0, NULL};
    if (f->overrides_error == NULL) {
        return e;
    }
    struct slice text = slice_of(f->overrides_error), file = slice_of(f->overrides_file);
    uint64_t line = 0, column = 0;
    if (slice_starts_with(text, file) && text.n > file.n && text.p[file.n] == ':') {
        text = slice_from(text, file.n + 1);
        struct slice rest = text;
        struct slice first = slice_cut(&rest, ':');
        if (slice_to_u64(first, &line) && rest.p != NULL && slice_to_u64(slice_cut(&rest, ':'), &column)) {
            text = rest;
        }
    }
    e.line = (uint32_t)line;
    e.column = (uint32_t)column;
    e.text = arena_str(arena, slice_trim(text));
    return e;
}

void folder_publish(struct folder *f, struct slice unreadable)
{
    size_t n = map_count(f->files), i = 0;
    struct arena *arena = arena_create(0);
    struct folder_snapshot *s = arena_zalloc(arena, sizeof *s);
    struct artifact **list = mem_alloc((n + 1) * sizeof(struct artifact *));
    for (struct map_item *it = map_first(f->files); it != NULL; it = map_next(it)) {
        struct folder_file *file = map_value(it);
        list[i++] = artifact_ref(file->artifact);
    }
    qsort(list, n, sizeof(struct artifact *), compare_path);
    s->arena = arena;
    s->refs = 1;
    s->artifacts = list;
    s->n = n;
    s->overrides = overrides_ref(f->overrides);
    s->overrides_file = arena_str(arena, slice_of(f->overrides_file));
    s->overrides_error = overrides_error(f, arena);
    s->overrides_state = f->overrides_error == NULL ? ARTIFACT_GOOD
                         : f->overrides != NULL     ? ARTIFACT_STALE
                                                    : ARTIFACT_BROKEN;
    add_problems(s, unreadable);
    folder_snapshot_unref(&f->snapshot);
    f->snapshot = s;
}

struct folder_snapshot *folder_snapshot_ref(struct folder_snapshot *s)
{
    if (s != NULL) {
        s->refs++;
    }
    return s;
}

void folder_snapshot_unref(struct folder_snapshot **snapshot)
{
    struct folder_snapshot *s = *snapshot;
    *snapshot = NULL;
    if (s == NULL || --s->refs > 0) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        struct artifact *a = s->artifacts[i];
        artifact_unref(&a);
    }
    mem_free((void *)(uintptr_t)s->artifacts);
    struct overrides *o = (void *)(uintptr_t)s->overrides;
    overrides_unref(&o);
    struct arena *arena = s->arena;
    arena_destroy(&arena);
}

struct folder_snapshot *folder_snapshot(struct folder *f)
{
    return folder_snapshot_ref(f->snapshot);
}

struct artifact *folder_snapshot_find(const struct folder_snapshot *s, const char *path)
{
    size_t from = 0, to = s->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = strcmp(s->artifacts[mid]->path, path);
        if (order == 0) {
            return s->artifacts[mid];
        }
        if (order < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return NULL;
}

static uint64_t exported_hash(struct slice bytes)
{
    uint64_t h = slice_hash(bytes, 2);
    return h == 0 ? 1 : h;
}

static bool is_exported(const struct folder *f, struct slice path, uint64_t hash)
{
    return (uint64_t)(uintptr_t)map_get(f->exported, path) == hash;
}

static void put(struct folder *f, const struct folder_store *to, const char *path, struct slice bytes, bool secret)
{
    uint64_t hash = exported_hash(bytes);
    if (!is_exported(f, slice_of(path), hash)) {
        to->put(to->ctx, path, bytes, secret);
        map_put(f->exported, slice_of(path), (void *)(uintptr_t)hash);
    }
}

static bool is_gone(const struct folder *f, struct slice path)
{
    if (slice_eq(path, SLICE(FOLDER_OVERRIDES))) {
        return *f->overrides_file == '\0';
    }
    return !map_has(f->files, path);
}

/* One at a time, because a map must not change while it is walked; the store rarely loses anything. */
static bool delete_one(struct folder *f, const struct folder_store *to)
{
    for (struct map_item *i = map_first(f->exported); i != NULL; i = map_next(i)) {
        if (is_gone(f, map_key(i))) {
            char *path = mem_str_slice(map_key(i));
            to->del(to->ctx, path);
            map_del(f->exported, slice_of(path));
            mem_free(path);
            return true;
        }
    }
    return false;
}

void folder_export(struct folder *f, const struct folder_store *to)
{
    if (!f->scanned) {
        return;
    }
    for (struct map_item *i = map_first(f->files); i != NULL; i = map_next(i)) {
        const struct folder_file *file = map_value(i);
        const struct artifact *a = file->artifact;
        if (a->state == ARTIFACT_GOOD && !artifact_is_policy(a->kind)) {
            put(f, to, a->path, a->bytes, artifact_is_secret(a));
        }
    }
    if (f->overrides != NULL && f->overrides_error == NULL) {
        put(f, to, FOLDER_OVERRIDES, f->overrides->bytes, true);
    }
    while (delete_one(f, to)) {
    }
}

void folder_import(struct folder *f, const char *path, struct slice bytes)
{
    if (f->scanned) {
        return;
    }
    struct artifact_path p;
    map_put(f->exported, slice_of(path), (void *)(uintptr_t)exported_hash(bytes));
    if (strcmp(path, FOLDER_OVERRIDES) == 0) {
        if (*f->overrides_file != '\0' && f->overrides == NULL) {
            f->overrides = overrides_read(f->overrides_file, bytes, NULL);
        }
        return;
    }
    if (!artifact_classify(slice_of(path), &p) || artifact_is_policy(p.kind)) {
        return;
    }
    struct folder_file *file = mem_alloc(sizeof *file);
    file->bytes_hash = slice_hash(bytes, 1);
    file->artifact = artifact_read(path, bytes, NULL);
    map_put(f->imported, slice_of(path), file);
}
