#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static bool read_fd(int fd, const char *path, size_t max, char **out, size_t *n, struct err *err)
{
    size_t cap = 4096, len = 0;
    char *p = mem_alloc(cap);
    for (;;) {
        if (cap - len < 2) {
            cap *= 2;
            p = mem_resize(p, cap);
        }
        ssize_t got = read(fd, p + len, cap - len - 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            mem_free(p);
            return err_errno(err, errno, "%s", path);
        }
        len += (size_t)got;
        if (len > max) {
            mem_free(p);
            return err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path, max);
        }
        if (got == 0) {
            p[len] = '\0';
            *out = p;
            *n = len;
            return true;
        }
    }
}

bool file_read(const char *path, size_t max, char **out, size_t *n, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(err, errno, "%s", path);
    }
    bool ok = read_fd(fd, path, max, out, n, err);
    close(fd);
    return ok;
}

static bool write_all(int fd, struct slice bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        bytes = slice_from(bytes, n < 0 ? 0 : (size_t)n);
    }
    return fsync(fd) == 0;
}

bool file_write(const char *path, struct slice bytes, unsigned mode, struct err *err)
{
    char *tmp = mem_printf("%s.tmp.%d", path, (int)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);
    bool ok = fd >= 0 && write_all(fd, bytes);
    int code = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = false;
        code = errno;
    }
    if (ok && rename(tmp, path) != 0) {
        ok = false;
        code = errno;
    }
    if (!ok) {
        unlink(tmp);
        err_errno(err, code, "%s", path);
    }
    mem_free(tmp);
    return ok;
}

bool file_make_dir(const char *path, unsigned mode, struct err *err)
{
    if (mkdir(path, (mode_t)mode) != 0 && errno != EEXIST) {
        return err_errno(err, errno, "%s", path);
    }
    return true;
}
