/* scan: walks the folder's tree and reads single files. No state. Private to xds/source. */
#pragma once
#include <sys/stat.h>

#include "base/err.h"
#include "base/slice.h"

/* What tells that a file is the one that was read. */
struct scan_sign {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
    bool sure; /* false: changed so shortly before it was read that a second change could hide in the same tick */
};

struct scan_visitor {
    void (*file)(void *ctx, const char *path, const struct stat *st);
    void (*unreadable)(void *ctx, const char *folder, const char *why); /* files below it are not reported */
    void *ctx;
};

/* Every file below root that artifact_classify knows. False: the root cannot be listed. */
bool scan_tree(int root_fd, const struct scan_visitor *visitor, struct err *err);
/* The same for one path below root and what is below it; nothing is reported when it is not there. */
void scan_below(int root_fd, const char *path, const struct scan_visitor *visitor);
struct scan_sign scan_sign_of(const struct stat *st, int64_t wall_us);
bool scan_sign_eq(const struct scan_sign *a, const struct scan_sign *b);
/* Reads a regular file whole; a file that changes while it is read is read again, a few times. dir_fd as for openat. */
bool scan_read(int dir_fd, const char *path, char **bytes, size_t *n, struct scan_sign *sign, struct err *err);
