#include "xds/source/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "xds/source/folder_state.h"

enum { SCAN_TRIES = 4, LINK_MAX = 512 };

void folder_free_file(void *p)
{
    struct folder_file *f = p;
    artifact_unref(&f->artifact);
    mem_free(f);
}

struct folder *folder_create(const char *root, const char *overrides)
{
    struct folder *f = mem_alloc(sizeof *f);
    f->root = mem_str(root);
    f->overrides_file = mem_str(overrides == NULL ? "" : overrides);
    f->files = map_create(folder_free_file);
    f->imported = map_create(folder_free_file);
    f->exported = map_create(NULL);
    f->staged = map_create(NULL);
    f->dirty = map_create(NULL);
    return f;
}

void folder_destroy(struct folder **folder)
{
    struct folder *f = *folder;
    if (f == NULL) {
        return;
    }
    folder_snapshot_unref(&f->snapshot);
    overrides_unref(&f->overrides);
    map_destroy(&f->files);
    map_destroy(&f->imported);
    map_destroy(&f->exported);
    map_destroy(&f->staged);
    map_destroy(&f->dirty);
    mem_free(f->overrides_error);
    mem_free(f->overrides_file);
    mem_free(f->root);
    mem_free(f);
    *folder = NULL;
}

/* What still counts as the last good form: this run's, else that of an earlier run. */
static struct artifact *last_good(const struct folder *f, const struct folder_file *old, const char *path)
{
    if (old != NULL && old->artifact->state != ARTIFACT_BROKEN) {
        return old->artifact;
    }
    const struct folder_file *imported = map_get(f->imported, slice_of(path));
    return imported == NULL || imported->artifact->state != ARTIFACT_GOOD ? NULL : imported->artifact;
}

static void read_file(struct pass *p, const char *path, const struct folder_file *old, struct folder_file *file)
{
    char *bytes = NULL;
    size_t n = 0;
    struct err err;
    struct artifact *last = last_good(p->folder, old, path);
    if (!scan_read(p->root_fd, path, &bytes, &n, &file->sign, &err)) {
        const char *why = err.os_errno != 0 ? strerror(err.os_errno) : err.text;
        file->sign.sure = false;
        file->artifact = artifact_unreadable(path, why, last);
    } else {
        struct slice s = slice_make(bytes, n);
        file->bytes_hash = slice_hash(s, 1);
        bool same = old != NULL && old->bytes_hash == file->bytes_hash;
        file->artifact = same ? artifact_ref(old->artifact) : artifact_read(path, s, last);
    }
    mem_free(bytes);
    /* The same failure as before is the same artifact: nothing changed. */
    if (old != NULL && file->artifact != old->artifact && file->artifact->hash == old->artifact->hash) {
        artifact_unref(&file->artifact);
        file->artifact = artifact_ref(old->artifact);
    }
}

void folder_visit_file(void *ctx, const char *path, const struct stat *st)
{
    struct pass *p = ctx;
    const struct folder_file *old = map_get(p->folder->files, slice_of(path));
    struct folder_file *file = mem_alloc(sizeof *file);
    file->sign = scan_sign_of(st, clock_wall_us());
    p->twins |= st->st_nlink > 1;
    if (old != NULL && old->sign.sure && scan_sign_eq(&old->sign, &file->sign)) {
        *file = *old;
        artifact_ref(file->artifact);
    } else {
        read_file(p, path, old, file);
    }
    p->changed |= old == NULL || old->artifact != file->artifact;
    map_put(p->files, slice_of(path), file);
}

/* Files below a folder that cannot be listed are not gone: they keep their last good forms. */
static void visit_unreadable(void *ctx, const char *folder, const char *why)
{
    struct pass *p = ctx;
    size_t n = strlen(folder);
    strbuf_printf(&p->unreadable, "%s\n%s\n", folder, why);
    for (struct map_item *i = map_first(p->folder->files); i != NULL; i = map_next(i)) {
        struct slice path = map_key(i);
        bool below = n == 0 || (path.n > n && memcmp(path.p, folder, n) == 0 && path.p[n] == '/');
        if (!below || map_has(p->files, path)) {
            continue;
        }
        const struct folder_file *old = map_value(i);
        struct folder_file *file = mem_alloc(sizeof *file);
        file->artifact = artifact_unreadable(old->artifact->path, why, last_good(p->folder, old, old->artifact->path));
        if (file->artifact->hash == old->artifact->hash) {
            artifact_unref(&file->artifact);
            file->artifact = artifact_ref(old->artifact);
        }
        map_put(p->files, path, file);
    }
}

static bool stat_eq(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Names what must stay the same while one pass runs: the root behind its symbolic link, and a "..data" link inside. */
static void read_link(int root_fd, char *link)
{
    ssize_t n = readlinkat(root_fd, "..data", link, LINK_MAX - 1);
    link[n < 0 ? 0 : n] = '\0';
}

static bool run_pass(struct pass *p, bool *stable, struct err *err)
{
    struct stat before, after;
    char link[2][LINK_MAX];
    p->root_fd = open(p->folder->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->root_fd < 0 || fstat(p->root_fd, &before) != 0) {
        int e = errno;
        if (p->root_fd >= 0) {
            close(p->root_fd);
        }
        return err_errno(err, e, "%s", p->folder->root);
    }
    read_link(p->root_fd, link[0]);
    const struct scan_visitor visitor = {folder_visit_file, visit_unreadable, p};
    bool ok = scan_tree(p->root_fd, &visitor, err);
    read_link(p->root_fd, link[1]);
    *stable = stat(p->folder->root, &after) == 0 && stat_eq(&before, &after) && strcmp(link[0], link[1]) == 0;
    close(p->root_fd);
    return ok;
}

static bool scan_stable(struct pass *p, struct err *err)
{
    for (int i = 0; i < SCAN_TRIES; i++) {
        bool stable = false;
        map_destroy(&p->files);
        strbuf_clear(&p->unreadable);
        p->files = map_create(folder_free_file);
        p->changed = p->twins = false;
        if (!run_pass(p, &stable, err)) {
            return false;
        }
        if (stable) {
            return true;
        }
    }
    return err_set(err, ERR_IO, "%s: is replaced again and again while it is read", p->folder->root);
}

static bool overrides_unchanged(const struct folder *f)
{
    struct stat st;
    if (!f->overrides_sign.sure || stat(f->overrides_file, &st) != 0) {
        return false;
    }
    struct scan_sign now = scan_sign_of(&st, clock_wall_us());
    return scan_sign_eq(&f->overrides_sign, &now);
}

static bool text_eq(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Reads the file if it is another one than before. On failure the last good overrides stay. */
static bool load_overrides(struct folder *f, bool *changed, struct err *err)
{
    char *bytes = NULL;
    size_t n = 0;
    if (!scan_read(AT_FDCWD, f->overrides_file, &bytes, &n, &f->overrides_sign, err)) {
        f->overrides_sign.sure = false;
        return false;
    }
    struct slice text = slice_make(bytes, n);
    bool ok = true;
    if (f->overrides == NULL || f->overrides->hash != slice_hash(text, 0)) {
        struct overrides *o = overrides_read(f->overrides_file, text, err);
        ok = o != NULL;
        if (ok) {
            overrides_unref(&f->overrides);
            f->overrides = o;
            *changed = true;
        }
    }
    mem_wipe(bytes, n);
    mem_free(bytes);
    return ok;
}

bool folder_read_overrides(struct folder *f)
{
    bool changed = false;
    struct err err;
    if (*f->overrides_file == '\0' || overrides_unchanged(f)) {
        return false;
    }
    char *error = load_overrides(f, &changed, &err) ? NULL : mem_str(err.text);
    changed |= !text_eq(error, f->overrides_error);
    mem_free(f->overrides_error);
    f->overrides_error = error;
    return changed;
}

bool folder_rescan(struct folder *f, bool *changed, struct err *err)
{
    struct pass p = {.folder = f};
    *changed = false;
    strbuf_init(&p.unreadable);
    if (!scan_stable(&p, err)) {
        map_destroy(&p.files);
        strbuf_fini(&p.unreadable);
        return false;
    }
    bool overrides_changed = folder_read_overrides(f);
    bool listed = f->unreadable_hash == slice_hash(strbuf_slice(&p.unreadable), 0);
    *changed =
        f->snapshot == NULL || p.changed || overrides_changed || !listed || map_count(p.files) != map_count(f->files);
    f->unreadable_hash = slice_hash(strbuf_slice(&p.unreadable), 0);
    map_destroy(&f->files);
    f->files = p.files;
    f->scanned = f->export_all = true;
    f->has_unreadable = p.unreadable.n > 0;
    f->has_twins = p.twins;
    map_destroy(&f->imported); /* what was needed of it is in the snapshot now */
    f->imported = map_create(folder_free_file);
    if (*changed) {
        folder_publish(f, strbuf_slice(&p.unreadable));
    }
    strbuf_fini(&p.unreadable);
    return true;
}

void folder_watch_paths(const struct folder *f, void (*each)(void *ctx, const char *path), void *ctx)
{
    each(ctx, f->root);
    if (*f->overrides_file != '\0') {
        each(ctx, f->overrides_file);
    }
}
