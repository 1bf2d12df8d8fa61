#include "xds/source/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "xds/source/artifact.h"

enum { FILE_MAX = 64 << 20, DEPTH_MAX = 10, READ_TRIES = 4, TICK_US = 50000 };

struct scan_sign scan_sign_of(const struct stat *st, int64_t wall_us)
{
    int64_t mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    int64_t ctime = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
    return (struct scan_sign){
        .dev = (uint64_t)st->st_dev,
        .ino = (uint64_t)st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = mtime,
        .ctime_ns = ctime,
        .sure = wall_us - ctime / 1000 > TICK_US,
    };
}

bool scan_sign_eq(const struct scan_sign *a, const struct scan_sign *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

static bool read_fd(int fd, const char *path, size_t size, char **bytes, size_t *n, struct err *err)
{
    char *p = mem_alloc(size + 2);
    size_t len = 0;
    for (;;) {
        ssize_t got = read(fd, p + len, size + 1 - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            mem_free(p);
            return err_errno(err, errno, "%s", path);
        }
        len += (size_t)got;
        if (got == 0 || len > size) { /* longer than it was: the caller sees that it changed */
            *bytes = p;
            *n = len;
            return true;
        }
    }
}

static bool read_once(int dir_fd, const char *path, char **bytes, size_t *n, struct stat st[2], struct err *err)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return err_errno(err, errno, "%s", path);
    }
    bool ok = fstat(fd, &st[0]) == 0;
    if (!ok) {
        err_errno(err, errno, "%s", path);
    } else if (!S_ISREG(st[0].st_mode)) {
        ok = err_set(err, ERR_INPUT, "%s: not a regular file", path);
    } else if (st[0].st_size > FILE_MAX) {
        ok = err_set(err, ERR_LIMIT, "%s: larger than %d bytes", path, FILE_MAX);
    } else {
        ok = read_fd(fd, path, (size_t)st[0].st_size, bytes, n, err);
    }
    if (ok && fstat(fd, &st[1]) != 0) {
        mem_free(*bytes);
        ok = err_errno(err, errno, "%s", path);
    }
    close(fd);
    return ok;
}

bool scan_read(int dir_fd, const char *path, char **bytes, size_t *n, struct scan_sign *sign, struct err *err)
{
    for (int i = 0; i < READ_TRIES; i++) {
        struct stat st[2];
        if (!read_once(dir_fd, path, bytes, n, st, err)) {
            return false;
        }
        int64_t now = clock_wall_us();
        struct scan_sign before = scan_sign_of(&st[0], now);
        *sign = scan_sign_of(&st[1], now);
        if (scan_sign_eq(&before, sign) && *n == sign->size) {
            return true;
        }
        mem_free(*bytes);
    }
    return err_set(err, ERR_IO, "%s: changes while it is read", path);
}

struct walk {
    int root_fd;
    const struct scan_visitor *visitor;
    struct strbuf path;
};

static void walk_folder(struct walk *w, int depth);

/* ENOENT: removed meanwhile, or a link to nothing, is not there. Anything else is there and cannot be seen. */
static void visit_failed(struct walk *w, bool is_file, int e)
{
    if (e == ENOENT) {
        return;
    }
    if (is_file) {
        struct stat unknown = {0};
        w->visitor->file(w->visitor->ctx, strbuf_cstr(&w->path), &unknown);
    } else {
        w->visitor->unreadable(w->visitor->ctx, strbuf_cstr(&w->path), strerror(e));
    }
}

static void visit_path(struct walk *w, int depth)
{
    struct stat st;
    struct artifact_path p;
    bool is_file = artifact_classify(strbuf_slice(&w->path), &p);
    bool is_folder = artifact_is_folder(strbuf_slice(&w->path));
    if (!is_file && !is_folder) {
        return;
    }
    if (fstatat(w->root_fd, strbuf_cstr(&w->path), &st, 0) != 0) {
        visit_failed(w, is_file, errno);
    } else if (is_folder && S_ISDIR(st.st_mode)) {
        walk_folder(w, depth + 1);
    } else if (is_file && !S_ISDIR(st.st_mode)) {
        w->visitor->file(w->visitor->ctx, strbuf_cstr(&w->path), &st);
    }
}

static void visit(struct walk *w, const char *name, int depth)
{
    size_t n = w->path.n;
    strbuf_printf(&w->path, "%s%s", n == 0 ? "" : "/", name);
    visit_path(w, depth);
    w->path.n = n;
    w->path.p[n] = '\0';
}

static DIR *open_folder(struct walk *w, int *os_errno)
{
    const char *path = w->path.n == 0 ? "." : strbuf_cstr(&w->path);
    int fd = openat(w->root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    *os_errno = errno;
    if (d == NULL && fd >= 0) {
        close(fd);
    }
    return d;
}

static void walk_folder(struct walk *w, int depth)
{
    int e = 0;
    DIR *d = depth > DEPTH_MAX ? NULL : open_folder(w, &e);
    if (d == NULL) {
        if (e != ENOENT) { /* gone meanwhile is gone */
            w->visitor->unreadable(w->visitor->ctx, strbuf_cstr(&w->path), e == 0 ? "too deep" : strerror(e));
        }
        return;
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(d);
        if (entry == NULL) {
            if (errno != 0) {
                w->visitor->unreadable(w->visitor->ctx, strbuf_cstr(&w->path), strerror(errno));
            }
            break;
        }
        if (entry->d_name[0] != '.') {
            visit(w, entry->d_name, depth);
        }
    }
    closedir(d);
}

bool scan_tree(int root_fd, const struct scan_visitor *visitor, struct err *err)
{
    struct walk w = {.root_fd = root_fd, .visitor = visitor};
    strbuf_init(&w.path);
    strbuf_add_str(&w.path, "");
    int e = 0;
    DIR *d = open_folder(&w, &e);
    if (d == NULL) {
        strbuf_fini(&w.path);
        return err_errno(err, e, "the folder cannot be listed");
    }
    closedir(d);
    walk_folder(&w, 0);
    strbuf_fini(&w.path);
    return true;
}

void scan_below(int root_fd, const char *path, const struct scan_visitor *visitor)
{
    struct walk w = {.root_fd = root_fd, .visitor = visitor};
    int depth = 0;
    for (const char *p = path; *p != '\0'; p++) {
        depth += *p == '/' ? 1 : 0;
        if (*p == '.' && (p == path || p[-1] == '/')) {
            return; /* hidden, as in a walk */
        }
    }
    strbuf_init(&w.path);
    strbuf_add_str(&w.path, path);
    visit_path(&w, depth);
    strbuf_fini(&w.path);
}
