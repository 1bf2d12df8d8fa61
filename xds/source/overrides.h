/*
 * overrides: configuration.<env>.yaml, the values of one environment beside an APIOps folder. Read once, immutable,
 * reference-counted; entries are found by path ("apis/x", "apis/x/operations/get/policies/policy",
 * "subscriptions/acme", "workspaces/w/apis/x", lower case). Holds keys and secrets: never into a log.
 */
#pragma once
#include "base/doc/doc.h"

struct override {
    const char *path;             /* lower case */
    const char *name;             /* as written */
    const char *workspace;        /* as written; "" */
    const struct doc *properties; /* a map, or NULL */
    uint32_t line, column;        /* of the entry */
    const char *closed;           /* NULL, or why what it names must not be served */
    uint64_t hash;                /* of its content and place */
};

struct override_problem {
    uint32_t line, column;
    const char *path; /* of the entry it is about; "" the whole file */
    const char *text;
};

struct overrides {
    const char *file; /* as given */
    const struct override *entries;
    size_t n;
    const struct override_problem *problems; /* what is wrong with the file by itself */
    size_t problem_count;
    struct map *by_path;
    unsigned refs;
    struct arena *arena;
    uint64_t hash;
    struct slice bytes;
};

/* NULL on failure, "file:line:column: reason" in err. */
struct overrides *overrides_read(const char *file, struct slice bytes, struct err *err);
struct overrides *overrides_ref(struct overrides *o);
void overrides_unref(struct overrides **o);
/* NULL when there is none, or o is NULL. */
const struct override *overrides_find(const struct overrides *o, struct slice path);
/* Text of a policy that an override gives ("value"), with the line on which its first line stands. */
bool override_policy(const struct overrides *o, const struct override *entry, struct slice *text, uint32_t *line);
