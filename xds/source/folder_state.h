/* folder_state: what the files of struct folder share. Private to xds/source. */
#pragma once
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
    struct overrides *overrides;
    struct scan_sign overrides_sign;
    char *overrides_error; /* NULL: readable */
    uint64_t unreadable_hash;
    bool scanned;
    struct folder_snapshot *snapshot;
};

/* Makes the files' state the current snapshot. unreadable: "folder\nwhy\n" for each folder that could not be listed. */
void folder_publish(struct folder *f, struct slice unreadable);
