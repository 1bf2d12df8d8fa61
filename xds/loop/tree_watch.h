/*
 * tree_watch: tells when something changed below a set of folders. inotify where it works, else polling every
 * half second; both where a link leads to a file in some other folder. Changes are gathered: the owner hears quiet_ms after the last one, at most busy_ms after the first.
 * What changed is said as far as it is known: the reader compares contents. Owned by the loop's thread.
 *
 * A root may be missing, be replaced by rename, or be a symbolic link that is swapped ("..data"): the folder that
 * holds it is watched too.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "xds/loop/loop.h"

struct tree_watch;

struct tree_watch_params {
    int64_t quiet_ms;  /* 0: 100 */
    int64_t busy_ms;   /* 0: 500 */
    int64_t poll_ms;   /* 0: 500; used where inotify fails */
    bool polling_only; /* for tests, and file systems whose changes inotify does not see */
};

struct tree_watch *tree_watch_create(struct loop *loop, const struct tree_watch_params *params,
                                     void (*on_change)(void *ctx), void *ctx);
void tree_watch_destroy(struct tree_watch **watch);
/* A folder with everything below it, or a single file. Adding twice is the same as once. */
void tree_watch_add(struct tree_watch *watch, const char *path);
bool tree_watch_is_polling(const struct tree_watch *watch);
/*
 * The paths (below the roots as they were added) under which something changed since the last call; each may come more
 * than once. False, and none: anything may have changed, because events were lost, a root was replaced, the tree holds
 * symbolic links or is polled.
 */
bool tree_watch_take(struct tree_watch *watch, void (*each)(void *ctx, const char *path), void *ctx);
