/* Publishing a snapshot, and what of it the owner stores. */
#include <fcntl.h>
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

static void find_others(struct folder_snapshot *s)
{
    struct artifact **others = arena_alloc(s->arena, (s->n + 1) * sizeof others[0]);
    for (size_t i = 0; i < s->n; i++) {
        if (s->artifacts[i]->kind != ARTIFACT_SUBSCRIPTION) {
            others[s->other_count++] = s->artifacts[i];
        }
    }
    s->others = others;
}

static void publish_list(struct folder *f, struct artifact **list, size_t n, struct slice unreadable)
{
    struct arena *arena = arena_create(0);
    struct folder_snapshot *s = arena_zalloc(arena, sizeof *s);
    s->arena = arena;
    s->refs = 1;
    s->root = arena_str(arena, slice_of(f->root));
    s->artifacts = list;
    s->n = n;
    find_others(s);
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

void folder_publish(struct folder *f, struct slice unreadable)
{
    size_t n = map_count(f->files), i = 0;
    struct artifact **list = mem_alloc((n + 1) * sizeof(struct artifact *));
    for (struct map_item *it = map_first(f->files); it != NULL; it = map_next(it)) {
        struct folder_file *file = map_value(it);
        list[i++] = artifact_ref(file->artifact);
    }
    qsort(list, n, sizeof(struct artifact *), compare_path);
    publish_list(f, list, n, unreadable);
}

/* Where path stands, or would. */
static size_t find_place(const struct folder_snapshot *s, const char *path)
{
    size_t from = 0, to = s->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (strcmp(s->artifacts[mid]->path, path) < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from;
}

void folder_publish_paths(struct folder *f, const char *const *paths, size_t n)
{
    const struct folder_snapshot *old = f->snapshot;
    struct artifact **list = mem_alloc((old->n + n + 1) * sizeof(struct artifact *));
    size_t count = 0, from = 0;
    for (size_t i = 0; i <= n; i++) {
        size_t to = i == n ? old->n : find_place(old, paths[i]);
        for (; from < to; from++) {
            list[count++] = artifact_ref(old->artifacts[from]);
        }
        if (i == n) {
            break;
        }
        struct folder_file *file = map_get(f->files, slice_of(paths[i]));
        if (file != NULL) {
            list[count++] = artifact_ref(file->artifact);
        }
        from += to < old->n && strcmp(old->artifacts[to]->path, paths[i]) == 0 ? 1 : 0;
    }
    publish_list(f, list, count, SLICE_NONE);
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
    size_t at = find_place(s, path);
    return at < s->n && strcmp(s->artifacts[at]->path, path) == 0 ? s->artifacts[at] : NULL;
}

static uint64_t exported_hash(uint64_t bytes_hash)
{
    return bytes_hash == 0 ? 1 : bytes_hash;
}

static bool is_exported(const struct folder *f, struct slice path, uint64_t hash)
{
    return (uint64_t)(uintptr_t)map_get(f->exported, path) == hash;
}

static void put(struct folder *f, const struct folder_store *to, const char *path, struct slice bytes, bool secret)
{
    to->put(to->ctx, path, bytes, secret);
    map_put(f->staged, slice_of(path), (void *)(uintptr_t)exported_hash(slice_hash(bytes, 1)));
}

/* A specification's bytes are not kept: the file has them still, or the next rescan exports what it has then. */
static void put_from_disk(struct folder *f, const struct folder_store *to, const struct folder_file *file)
{
    char *bytes = NULL;
    size_t n = 0;
    struct scan_sign sign;
    char *path = mem_printf("%s/%s", f->root, file->artifact->path);
    if (scan_read(AT_FDCWD, path, &bytes, &n, &sign, NULL)) {
        if (slice_hash(slice_make(bytes, n), 1) == file->bytes_hash) {
            put(f, to, file->artifact->path, slice_make(bytes, n), false);
        }
        mem_free(bytes);
    }
    mem_free(path);
}

static void put_file(struct folder *f, const struct folder_store *to, const struct folder_file *file)
{
    const struct artifact *a = file->artifact;
    if (a->state != ARTIFACT_GOOD || artifact_is_policy(a->kind) ||
        is_exported(f, slice_of(a->path), exported_hash(file->bytes_hash))) {
        return;
    }
    if (a->kind == ARTIFACT_SPECIFICATION) {
        put_from_disk(f, to, file);
    } else {
        put(f, to, a->path, a->bytes, artifact_is_secret(a));
    }
}

static bool is_gone(const struct folder *f, struct slice path)
{
    if (slice_eq(path, SLICE(FOLDER_OVERRIDES))) {
        return *f->overrides_file == '\0';
    }
    return !map_has(f->files, path);
}

static void delete_if_gone(struct folder *f, const struct folder_store *to, struct slice key)
{
    if (map_has(f->exported, key) && is_gone(f, key)) {
        char *path = mem_str_slice(key);
        to->del(to->ctx, path);
        map_put(f->staged, slice_of(path), NULL);
        mem_free(path);
    }
}

static void export_dirty(struct folder *f, const struct folder_store *to)
{
    for (struct map_item *i = map_first(f->dirty); i != NULL; i = map_next(i)) {
        const struct folder_file *file = map_get(f->files, map_key(i));
        if (file != NULL) {
            put_file(f, to, file);
        } else {
            delete_if_gone(f, to, map_key(i));
        }
    }
}

static void export_all(struct folder *f, const struct folder_store *to)
{
    for (struct map_item *i = map_first(f->files); i != NULL; i = map_next(i)) {
        put_file(f, to, map_value(i));
    }
    for (struct map_item *i = map_first(f->exported); i != NULL; i = map_next(i)) {
        delete_if_gone(f, to, map_key(i));
    }
}

void folder_export(struct folder *f, const struct folder_store *to)
{
    if (!f->scanned) {
        return;
    }
    if (f->export_all) {
        export_all(f, to);
    } else {
        export_dirty(f, to);
    }
    if (f->overrides != NULL && f->overrides_error == NULL &&
        !is_exported(f, SLICE(FOLDER_OVERRIDES), exported_hash(slice_hash(f->overrides->bytes, 1)))) {
        put(f, to, FOLDER_OVERRIDES, f->overrides->bytes, true);
    }
}

static void empty(struct map **m)
{
    map_destroy(m);
    *m = map_create(NULL);
}

void folder_exported(struct folder *f, bool stored)
{
    for (struct map_item *i = stored ? map_first(f->staged) : NULL; i != NULL; i = map_next(i)) {
        if (map_value(i) == NULL) {
            map_del(f->exported, map_key(i));
        } else {
            map_put(f->exported, map_key(i), map_value(i));
        }
    }
    empty(&f->staged);
    if (stored && f->scanned) {
        f->export_all = false;
        empty(&f->dirty);
    }
}

void folder_import(struct folder *f, const char *path, struct slice bytes)
{
    if (f->scanned) {
        return;
    }
    struct artifact_path p;
    map_put(f->exported, slice_of(path), (void *)(uintptr_t)exported_hash(slice_hash(bytes, 1)));
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
