/* tree: a temporary folder of artifacts for tests. Header only; each test program has its own. */
#pragma once
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
    char root[64];
};

static inline void tree_init(struct tree *t)
{
    strcpy(t->root, "/tmp/egret-tree-XXXXXX");
    assert_non_null(mkdtemp(t->root));
}

static inline int tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void tree_fini(struct tree *t)
{
    nftw(t->root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void tree_path(const struct tree *t, const char *path, char *out, size_t n)
{
    assert_true((size_t)snprintf(out, n, "%s/%s", t->root, path) < n);
}

/* Writes a file, making the folders above it. */
static inline void tree_write(const struct tree *t, const char *path, const char *text)
{
    char full[512];
    tree_path(t, path, full, sizeof full);
    for (char *p = full + strlen(t->root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static inline void tree_remove(const struct tree *t, const char *path)
{
    char full[512];
    tree_path(t, path, full, sizeof full);
    assert_int_equal(nftw(full, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}
