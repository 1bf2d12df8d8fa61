/* Whole files: read at once, write by temporary file + fsync + rename. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

/* Reads all of path, at most max bytes; *out is NUL-terminated libc memory (mem_free), its length in *n. */
bool file_read(const char *path, size_t max, char **out, size_t *n, struct err *err);
/* Replaces path atomically; mode as for open(2). */
bool file_write(const char *path, struct slice bytes, unsigned mode, struct err *err);
bool file_make_dir(const char *path, unsigned mode, struct err *err); /* fine when it exists */
