/* An update: only what is said to have changed is looked at, and everything where that cannot be trusted. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "xds/source/folder_state.h"

enum { FOLDERS_MAX = 16 }; /* each costs a walk over all files' names */

/* "" when it is the root itself or nothing below it. */
static const char *below_root(const struct folder *f, const char *path)
{
    size_t n = strlen(f->root);
    while (n > 1 && f->root[n - 1] == '/') {
        n--;
    }
    return strncmp(path, f->root, n) == 0 && path[n] == '/' ? path + n + 1 : "";
}

static void visit_unreadable(void *ctx, const char *folder, const char *why)
{
    struct pass *p = ctx;
    strbuf_printf(&p->unreadable, "%s\n%s\n", folder, why);
}

/* What stood at the path or below it and was not found again. */
static void find_gone(const struct pass *p, const char *path, struct map *gone)
{
    size_t n = strlen(path);
    for (struct map_item *i = map_first(p->folder->files); i != NULL; i = map_next(i)) {
        struct slice key = map_key(i);
        if (key.n > n && memcmp(key.p, path, n) == 0 && key.p[n] == '/' && !map_has(p->files, key)) {
            map_put(gone, key, NULL);
        }
    }
}

/* False: a whole scan is needed. */
static bool look(struct pass *p, const char *const *paths, size_t n, struct map *gone)
{
    struct artifact_path what;
    const struct scan_visitor visitor = {folder_visit_file, visit_unreadable, p};
    size_t folders = 0;
    for (size_t i = 0; i < n; i++) {
        const char *path = below_root(p->folder, paths[i]);
        if (strcmp(paths[i], p->folder->overrides_file) == 0) {
            continue; /* read in any case */
        }
        if (*path == '\0') {
            return false;
        }
        scan_below(p->root_fd, path, &visitor);
        if (artifact_is_folder(slice_of(path))) {
            if (++folders > FOLDERS_MAX) {
                return false;
            }
            find_gone(p, path, gone);
        }
        bool was_there = artifact_classify(slice_of(path), &what) && map_has(p->folder->files, slice_of(path));
        if (was_there && !map_has(p->files, slice_of(path))) {
            map_put(gone, slice_of(path), NULL);
        }
    }
    return p->unreadable.n == 0 && !p->twins;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Takes the pass into the folder; gives the paths that changed, sorted. */
static const char **merge(struct pass *p, struct map *gone, struct arena *arena, size_t *n)
{
    struct folder *f = p->folder;
    const char **touched = arena_alloc(arena, (map_count(p->files) + map_count(gone) + 1) * sizeof touched[0]);
    *n = 0;
    for (struct map_item *i = map_first(gone); i != NULL; i = map_next(i)) {
        map_del(f->files, map_key(i));
        touched[(*n)++] = arena_str(arena, map_key(i));
    }
    for (struct map_item *i; (i = map_first(p->files)) != NULL;) {
        char *path = arena_str(arena, map_key(i));
        struct folder_file *file = map_take(p->files, map_key(i));
        const struct folder_file *old = map_get(f->files, slice_of(path));
        if (old == NULL || old->artifact != file->artifact) {
            touched[(*n)++] = path;
        }
        map_put(f->files, slice_of(path), file);
    }
    qsort(touched, *n, sizeof touched[0], compare_text);
    for (size_t i = 0; i < *n; i++) {
        map_put(f->dirty, slice_of(touched[i]), NULL);
    }
    return touched;
}

static bool update(struct pass *p, const char *const *paths, size_t n, bool *changed)
{
    struct map *gone = map_create(NULL);
    bool ok = look(p, paths, n, gone);
    if (ok) {
        struct arena *arena = arena_create(0);
        size_t count = 0;
        const char **touched = merge(p, gone, arena, &count);
        *changed = folder_read_overrides(p->folder) || count > 0;
        if (*changed) {
            folder_publish_paths(p->folder, touched, count);
        }
        arena_destroy(&arena);
    }
    map_destroy(&gone);
    return ok;
}

bool folder_update(struct folder *f, const char *const *paths, size_t n, bool *changed, struct err *err)
{
    struct pass p = {.folder = f};
    *changed = false;
    if (f->snapshot == NULL || f->has_unreadable || f->has_twins) {
        return folder_rescan(f, changed, err);
    }
    p.root_fd = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p.root_fd < 0) {
        return folder_rescan(f, changed, err);
    }
    p.files = map_create(folder_free_file);
    strbuf_init(&p.unreadable);
    bool ok = update(&p, paths, n, changed);
    map_destroy(&p.files);
    strbuf_fini(&p.unreadable);
    close(p.root_fd);
    return ok || folder_rescan(f, changed, err);
}
