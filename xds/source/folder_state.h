/* folder_state: what the files of struct folder share. Private to xds/source. */
#pragma once
#include "base/map.h"
#include "base/strbuf.h"
#include "xds/source/folder.h"
#include "xds/source/scan.h"

struct folder_file {
    struct scan_sign sign;
    uint64_t bytes_hash; /* of what the file holds; 0: it could not be read */
    struct artifact *artifact;
};

struct folder {
    char *root, *overrides_file;
    struct map *files;    /* path → struct folder_file */
    struct map *imported; /* path → struct folder_file: last good forms of an earlier run, until the first rescan */
    struct map *exported; /* path → hash of the bytes that the store holds */
    struct map *staged;   /* path → the same, given to the store since; NULL: deleted */
    struct overrides *overrides;
    struct scan_sign overrides_sign;
    char *overrides_error; /* NULL: readable */
    uint64_t unreadable_hash;
    bool scanned;
    bool has_unreadable; /* some folder could not be listed: only a whole scan tells when it can be again */
    bool has_twins;      /* some file has other names: a change may be seen under one of them only */
    bool export_all;
    struct map *dirty; /* path → NULL: changed since the last export, unless export_all */
    struct folder_snapshot *snapshot;
};

struct pass {
    struct folder *folder;
    int root_fd;
    struct map *files;        /* path → struct folder_file, of this pass */
    struct strbuf unreadable; /* "folder\nwhy\n" */
    bool changed;
    bool twins;
};

void folder_free_file(void *file);
void folder_visit_file(void *pass, const char *path, const struct stat *st);
/* True when something about the overrides changed: what they say, or why they cannot be read. */
bool folder_read_overrides(struct folder *f);

/* Makes the files' state the current snapshot. unreadable: "folder\nwhy\n" for each folder that could not be listed. */
void folder_publish(struct folder *f, struct slice unreadable);
/* The same when nothing but these paths (sorted, each once) changed since the last one. */
void folder_publish_paths(struct folder *f, const char *const *paths, size_t n);
