/*
 * folder: an APIOps artifact folder on disk, read again file by file and published as one consistent snapshot. Loops
 * and timers stand elsewhere: the owner watches folder_watch_paths and calls folder_rescan. Control server's main
 * thread.
 *
 * A file is read again when its device, inode, size or times changed. One that cannot be read or parsed keeps its last
 * good form, STALE; that form survives a restart if the owner stores what folder_export gives and brings it back with
 * folder_import before the first rescan.
 */
#pragma once
#include "xds/source/artifact.h"
#include "xds/source/overrides.h"

/* The name under which the overrides file is exported; no path in a folder begins like this. */
#define FOLDER_OVERRIDES ":overrides"

struct folder_problem {
    const char *file; /* a folder that could not be listed */
    const char *text;
};

struct folder_snapshot {
    const char *root; /* the folder */
    struct artifact *const *artifacts; /* sorted by path */
    size_t n;
    struct artifact *const *others; /* all but the subscriptions, of which a service may have tens of thousands */
    size_t other_count;
    const struct overrides *overrides; /* NULL: none configured, or never readable */
    const char *overrides_file;        /* "": none configured */
    enum artifact_state overrides_state;
    struct artifact_error overrides_error;
    const struct folder_problem *problems;
    size_t problem_count;
    unsigned refs;
    struct arena *arena;
};

struct folder;

struct folder *folder_create(const char *root, const char *overrides); /* overrides NULL: none */
void folder_destroy(struct folder **folder);

/*
 * Looks at every file. *changed: the snapshot is a new one. False when the root itself cannot be listed; the last
 * snapshot then stays.
 */
bool folder_rescan(struct folder *folder, bool *changed, struct err *err);
/*
 * The same when it is known that nothing outside these n paths changed (below the root as it was given, or the
 * overrides file; a folder stands for all below it). Looks at everything anyway where that cannot be trusted.
 */
bool folder_update(struct folder *folder, const char *const *paths, size_t n, bool *changed, struct err *err);
/* The newest snapshot, with a reference for the caller; NULL before the first rescan that succeeded. */
struct folder_snapshot *folder_snapshot(struct folder *folder);
struct folder_snapshot *folder_snapshot_ref(struct folder_snapshot *s);
void folder_snapshot_unref(struct folder_snapshot **s);
struct artifact *folder_snapshot_find(const struct folder_snapshot *s, const char *path);

/* What to watch, with everything below it: the root and the overrides file. */
void folder_watch_paths(const struct folder *folder, void (*each)(void *ctx, const char *path), void *ctx);

struct folder_store {
    /* secret: the bytes hold keys or secrets: seal them or leave them out. */
    void (*put)(void *ctx, const char *path, struct slice bytes, bool secret);
    void (*del)(void *ctx, const char *path);
    void *ctx;
};
/* What is good and not yet stored, and what is gone. The owner then says whether all of it is in the store now: if not,
 * the next export gives it again. */
void folder_export(struct folder *folder, const struct folder_store *to);
void folder_exported(struct folder *folder, bool stored);
/* A last good form of an earlier run. Ignored after the first rescan. */
void folder_import(struct folder *folder, const char *path, struct slice bytes);
