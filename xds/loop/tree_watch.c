#include "xds/loop/tree_watch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"

enum { DEPTH_MAX = 32, PATHS_MAX = 1000 };

static const uint32_t EVENTS = IN_CREATE | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM |
                               IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

struct tree_watch {
    struct loop *loop;
    struct tree_watch_params params;
    void (*on_change)(void *ctx);
    void *ctx;
    struct map *roots;   /* path → NULL */
    struct map *wholes;  /* inotify descriptor → path of a folder in which everything counts */
    struct map *parents; /* inotify descriptor → path of a folder in which only the roots count */
    int fd;              /* -1: polling */
    struct loop_fd *readable;
    struct loop_timer *gather;
    struct loop_timer *poll;
    int64_t first_change_us; /* 0: nothing is gathered */
    uint64_t fingerprint;    /* of what the last poll saw */
    struct map *paths;       /* → NULL: what changed since it was taken */
    bool anything;           /* changed, as far as is known */
    bool links;              /* a change may be seen under another name than the reader's */
    struct map *far;         /* path → NULL: links to files, whose own folders are not watched: polled */
};

static void watch_folder(struct tree_watch *w, const char *path, int depth);

static void fall_back(struct tree_watch *w)
{
    loop_fd_destroy(&w->readable);
    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
    loop_timer_start(w->poll, w->params.poll_ms);
}

static void changed(struct tree_watch *w)
{
    int64_t now = clock_mono_us();
    if (w->first_change_us == 0) {
        w->first_change_us = now;
    }
    int64_t left = w->params.busy_ms - (now - w->first_change_us) / 1000;
    int64_t delay = left < w->params.quiet_ms ? left : w->params.quiet_ms;
    loop_timer_start(w->gather, delay < 0 ? 0 : delay);
}

/* One folder under two names: events come under the one that was added last. */
static void note_second_name(struct tree_watch *w, int wd, const char *path)
{
    const char *before = map_get(w->wholes, slice_make(&wd, sizeof wd));
    struct stat a, b;
    if (before != NULL && strcmp(before, path) != 0 && stat(before, &a) == 0 && stat(path, &b) == 0) {
        w->links |= a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    }
}

/* A link that leads to no folder: inotify sees its target only in the target's own folder. */
static void note_link(struct tree_watch *w, const char *path)
{
    struct stat st;
    if (map_has(w->far, slice_of(path)) || (stat(path, &st) == 0 && S_ISDIR(st.st_mode))) {
        return;
    }
    if (map_count(w->far) == 0) {
        loop_timer_start(w->poll, w->params.poll_ms);
    }
    map_put(w->far, slice_of(path), NULL);
}

/* Adds the folder and, below it, every folder. inotify_add_watch on a known folder changes nothing. */
static void watch_folder(struct tree_watch *w, const char *path, int depth)
{
    if (w->fd < 0 || depth > DEPTH_MAX) {
        return;
    }
    int wd = inotify_add_watch(w->fd, path, EVENTS);
    if (wd < 0) {
        if (errno == ENOSPC || errno == ENOMEM) {
            fall_back(w);
        }
        return; /* a folder that vanished meanwhile, or a file */
    }
    note_second_name(w, wd, path);
    map_put(w->wholes, slice_make(&wd, sizeof wd), mem_str(path)); /* it may have moved here */
    map_del(w->parents, slice_make(&wd, sizeof wd));
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        w->links |= e->d_type == DT_UNKNOWN;
        bool may_be_folder = e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN;
        if (!may_be_folder || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, ".git") == 0) {
            continue;
        }
        char *child = mem_printf("%s/%s", path, e->d_name);
        if (e->d_type == DT_LNK) {
            w->links = true;
            note_link(w, child);
        }
        watch_folder(w, child, depth + 1);
        mem_free(child);
    }
    closedir(dir);
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return mem_str(".");
    }
    return slash == path ? mem_str("/") : mem_str_slice(slice_make(path, (size_t)(slash - path)));
}

static void watch_root(struct tree_watch *w, const char *path)
{
    char *parent = parent_of(path);
    int wd = inotify_add_watch(w->fd, parent, EVENTS);
    if (wd >= 0 && !map_has(w->wholes, slice_make(&wd, sizeof wd))) {
        map_put(w->parents, slice_make(&wd, sizeof wd), mem_str(parent));
    }
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        note_link(w, path);
    }
    bool full = wd < 0 && (errno == ENOSPC || errno == ENOMEM);
    mem_free(parent);
    if (full) {
        fall_back(w);
    }
    watch_folder(w, path, 0);
}

static void watch_all(struct tree_watch *w)
{
    for (struct map_item *i = map_first(w->roots); i != NULL && w->fd >= 0; i = map_next(i)) {
        char *path = mem_str_slice(map_key(i));
        watch_root(w, path);
        mem_free(path);
    }
}

/* In a folder that only holds a root, other names do not count: the state folder may be a neighbour. A name that
 * begins with ".." is the link by which a mounted volume is swapped. */
static bool counts(const struct tree_watch *w, const struct inotify_event *e)
{
    const char *parent = map_get(w->parents, slice_make(&e->wd, sizeof e->wd));
    if (parent == NULL || (e->len > 0 && strncmp(e->name, "..", 2) == 0)) {
        return true;
    }
    if (e->len == 0) {
        return false;
    }
    char *path = mem_printf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, e->name);
    bool here = strncmp(path, "./", 2) == 0;
    bool root = map_has(w->roots, slice_of(path)) || (here && map_has(w->roots, slice_of(path + 2)));
    mem_free(path);
    return root;
}

/* A folder, or a link that may lead to one, that came: it is watched, with what was made in it meanwhile. */
static void follow(struct tree_watch *w, const struct inotify_event *e)
{
    const char *folder = map_get(w->wholes, slice_make(&e->wd, sizeof e->wd));
    if ((e->mask & IN_Q_OVERFLOW) != 0 || folder == NULL) {
        w->anything |= (e->mask & IN_Q_OVERFLOW) != 0;
        watch_all(w); /* events were lost, or a root came */
        return;
    }
    if ((e->mask & (IN_CREATE | IN_MOVED_TO)) == 0 || e->len == 0) {
        return;
    }
    char *path = mem_printf("%s/%s", folder, e->name);
    struct stat st;
    bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    if (link) {
        w->links = true;
        note_link(w, path);
    }
    if ((e->mask & IN_ISDIR) != 0 || link) {
        watch_folder(w, path, 0);
    }
    mem_free(path);
}

static void note_path(struct tree_watch *w, const struct inotify_event *e)
{
    const char *folder = map_get(w->wholes, slice_make(&e->wd, sizeof e->wd));
    folder = folder != NULL ? folder : map_get(w->parents, slice_make(&e->wd, sizeof e->wd));
    if (folder == NULL || (e->len > 0 && strncmp(e->name, "..", 2) == 0) || map_count(w->paths) >= PATHS_MAX) {
        w->anything = true;
        return;
    }
    char *path = e->len == 0 ? mem_str(folder) : mem_printf("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, e->name);
    map_put(w->paths, slice_of(path), NULL);
    mem_free(path);
}

/* true: it counts. */
static bool take_event(struct tree_watch *w, const struct inotify_event *e)
{
    if ((e->mask & IN_IGNORED) != 0) {
        map_del(w->wholes, slice_make(&e->wd, sizeof e->wd));
        map_del(w->parents, slice_make(&e->wd, sizeof e->wd));
        return false;
    }
    if (!counts(w, e)) {
        return false;
    }
    note_path(w, e);
    follow(w, e);
    return true;
}

static void on_inotify(void *ctx)
{
    struct tree_watch *w = ctx;
    char bytes[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool any = false;
    for (ssize_t n; (n = read(w->fd, bytes, sizeof bytes)) > 0;) {
        for (char *p = bytes; p < bytes + n;) {
            const struct inotify_event *e = (const void *)p;
            any = take_event(w, e) || any;
            p += sizeof *e + e->len;
        }
    }
    if (any) {
        changed(w);
    }
}

static uint64_t mix(uint64_t seed, const void *p, size_t n)
{
    return slice_hash(slice_make(p, n), seed);
}

/* The order of readdir does not matter: entries are added up. */
static uint64_t fingerprint(const char *path, int depth)
{
    struct stat st;
    if (stat(path, &st) != 0 || depth > DEPTH_MAX) {
        return mix(1, path, strlen(path));
    }
    uint64_t sum = mix(2, path, strlen(path));
    const struct {
        int64_t sec, nsec, size;
        uint64_t ino, mode;
    } seen = {st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_size, st.st_ino, st.st_mode};
    sum = mix(sum, &seen, sizeof seen);
    DIR *dir = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    if (dir == NULL) {
        return sum;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, ".git") != 0) {
            char *child = mem_printf("%s/%s", path, e->d_name);
            sum += fingerprint(child, depth + 1);
            mem_free(child);
        }
    }
    closedir(dir);
    return sum;
}

/* Of everything, or where inotify works of what it cannot see. */
static uint64_t fingerprint_all(const struct tree_watch *w)
{
    uint64_t sum = 0;
    for (struct map_item *i = map_first(w->fd < 0 ? w->roots : w->far); i != NULL; i = map_next(i)) {
        char *path = mem_str_slice(map_key(i));
        sum += fingerprint(path, 0);
        mem_free(path);
    }
    return sum;
}

static void on_poll(void *ctx)
{
    struct tree_watch *w = ctx;
    uint64_t now = fingerprint_all(w);
    if (now != w->fingerprint) {
        w->fingerprint = now;
        w->anything = true;
        changed(w);
    }
    loop_timer_start(w->poll, w->params.poll_ms);
}

static void on_gathered(void *ctx)
{
    struct tree_watch *w = ctx;
    w->first_change_us = 0;
    w->on_change(w->ctx);
}

struct tree_watch *tree_watch_create(struct loop *loop, const struct tree_watch_params *params,
                                     void (*on_change)(void *ctx), void *ctx)
{
    struct tree_watch *w = mem_alloc(sizeof *w);
    w->loop = loop;
    w->params = *params;
    w->params.quiet_ms = params->quiet_ms > 0 ? params->quiet_ms : 100;
    w->params.busy_ms = params->busy_ms > 0 ? params->busy_ms : 500;
    w->params.poll_ms = params->poll_ms > 0 ? params->poll_ms : 500;
    w->on_change = on_change;
    w->ctx = ctx;
    w->roots = map_create(NULL);
    w->wholes = map_create(mem_free);
    w->parents = map_create(mem_free);
    w->paths = map_create(NULL);
    w->far = map_create(NULL);
    w->gather = loop_timer_create(loop, on_gathered, w);
    w->poll = loop_timer_create(loop, on_poll, w);
    w->fd = params->polling_only ? -1 : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        fall_back(w);
    } else {
        w->readable = loop_fd_create(loop, w->fd, on_inotify, w);
    }
    return w;
}

void tree_watch_destroy(struct tree_watch **watch)
{
    struct tree_watch *w = *watch;
    if (w == NULL) {
        return;
    }
    loop_fd_destroy(&w->readable);
    loop_timer_destroy(&w->gather);
    loop_timer_destroy(&w->poll);
    if (w->fd >= 0) {
        close(w->fd);
    }
    map_destroy(&w->roots);
    map_destroy(&w->wholes);
    map_destroy(&w->parents);
    map_destroy(&w->paths);
    map_destroy(&w->far);
    mem_free(w);
    *watch = NULL;
}

void tree_watch_add(struct tree_watch *watch, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    if (map_has(watch->roots, slice_make(path, n))) {
        return;
    }
    map_put(watch->roots, slice_make(path, n), NULL);
    char *clean = mem_str_slice(slice_make(path, n));
    watch_root(watch, clean);
    mem_free(clean);
    if (watch->fd < 0) {
        watch->fingerprint = fingerprint_all(watch);
    }
}

bool tree_watch_is_polling(const struct tree_watch *watch)
{
    return watch->fd < 0;
}

bool tree_watch_take(struct tree_watch *watch, void (*each)(void *ctx, const char *path), void *ctx)
{
    bool known = watch->fd >= 0 && !watch->anything && !watch->links;
    struct map *paths = watch->paths;
    watch->paths = map_create(NULL);
    watch->anything = false;
    for (struct map_item *i = map_first(paths); known && i != NULL; i = map_next(i)) {
        char *path = mem_str_slice(map_key(i));
        each(ctx, path);
        mem_free(path);
    }
    map_destroy(&paths);
    return known;
}
