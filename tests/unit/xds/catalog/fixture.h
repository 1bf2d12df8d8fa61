/* fixture: a folder on disk, its overrides, and the catalogs built from it one after the other. For tests only. */
#pragma once
#include "base/strbuf.h"
#include "unit/xds/source/tree.h"
#include "xds/catalog/catalog_build.h"

struct fixture {
    struct tree tree;
    char overrides[128];
    struct folder *folder;
    struct catalog *catalog;
};

#define POLICY_ALL_BASE "<policies><inbound><base/></inbound></policies>"
#define POLICY_RATE_LIMIT "<policies>\n<inbound>\n<rate-limit-by-key/></inbound></policies>"
#define SPEC_ONE "openapi: 3.0.1\npaths:\n  /one:\n    get: {operationId: one}\n"
#define SPEC_TWO SPEC_ONE "  /two/{id}:\n    post: {operationId: two}\n"

static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    tree_init(&f->tree);
    snprintf(f->overrides, sizeof f->overrides, "%s.yaml", f->tree.root);
}

static inline void fixture_fini(struct fixture *f)
{
    catalog_unref(&f->catalog);
    folder_destroy(&f->folder);
    tree_fini(&f->tree);
    unlink(f->overrides);
}

static inline void fixture_overrides(struct fixture *f, const char *text)
{
    FILE *out = fopen(f->overrides, "wb");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

/* An API with path, serviceUrl and the specification; more is put among its properties (", …"). */
static inline void fixture_api(struct fixture *f, const char *id, const char *path, const char *spec, const char *more)
{
    char name[256], text[1024];
    snprintf(text, sizeof text, "{\"properties\": {\"path\": \"%s\", \"serviceUrl\": \"https://%s.example/base/\"%s}}", path,
             *path == '\0' ? "root" : "b", more);
    snprintf(name, sizeof name, "apis/%s/apiInformation.json", id);
    tree_write(&f->tree, name, text);
    if (spec != NULL) {
        snprintf(name, sizeof name, "apis/%s/specification.yaml", id);
        tree_write(&f->tree, name, spec);
    }
}

static inline void fixture_product(struct fixture *f, const char *id, const char *more, const char *apis)
{
    char name[256], text[512];
    snprintf(text, sizeof text, "{\"properties\": {\"state\": \"published\"%s}}", more);
    snprintf(name, sizeof name, "products/%s/productInformation.json", id);
    tree_write(&f->tree, name, text);
    snprintf(name, sizeof name, "products/%s/apis.json", id);
    tree_write(&f->tree, name, apis);
}

/* Reads the folder again and builds the next catalog from the last one. */
static inline const struct catalog *fixture_build(struct fixture *f)
{
    bool changed = false;
    struct err err;
    if (f->folder == NULL) {
        f->folder = folder_create(f->tree.root, access(f->overrides, F_OK) == 0 ? f->overrides : NULL);
    }
    assert_true(folder_rescan(f->folder, &changed, &err));
    struct folder_snapshot *s = folder_snapshot(f->folder);
    struct catalog *next = catalog_build(f->catalog, s);
    folder_snapshot_unref(&s);
    catalog_unref(&f->catalog);
    f->catalog = next;
    return next;
}

static inline bool has_problem(const struct catalog *c, enum catalog_problem_kind kind, const char *file, uint32_t line,
                               const char *object, const char *reason)
{
    for (size_t i = 0; i < c->problem_count; i++) {
        const struct catalog_problem *p = &c->problems[i];
        if (p->kind == kind && strcmp(p->file, file) == 0 && p->line == line && strcmp(p->object, object) == 0 &&
            strstr(p->reason, reason) != NULL) {
            return true;
        }
    }
    for (size_t i = 0; i < c->problem_count; i++) {
        const struct catalog_problem *p = &c->problems[i];
        print_message("%s %s:%u %s: %s\n", catalog_problem_kind_name(p->kind), p->file, p->line, p->object, p->reason);
    }
    return false;
}

static inline const char *text_or(const char *text)
{
    return text == NULL ? "-" : text;
}

static inline void dump_object(const struct catalog_object *o, struct strbuf *out)
{
    strbuf_printf(out, "%s %s:%u stale=%d %016llx%016llx %s\n", o->name, o->file, o->line, o->stale,
                  (unsigned long long)o->hash.hi, (unsigned long long)o->hash.lo, text_or(o->closed));
}

#define DUMP_LIST(c, list, out)                                                                                        \
    for (size_t i_ = 0; i_ < (c)->list.n; i_++) {                                                                      \
        dump_object(&(c)->list.items[i_]->o, out);                                                                     \
    }

/* Everything that two equal catalogs have in common. */
static inline void dump(const struct catalog *c, struct strbuf *out)
{
    DUMP_LIST(c, apis, out);
    DUMP_LIST(c, products, out);
    DUMP_LIST(c, subscriptions, out);
    DUMP_LIST(c, backends, out);
    DUMP_LIST(c, named_values, out);
    DUMP_LIST(c, programs, out);
    DUMP_LIST(c, gateways, out);
    for (size_t i = 0; i < c->problem_count; i++) {
        const struct catalog_problem *p = &c->problems[i];
        strbuf_printf(out, "%s %s:%u:%u %s: %s\n", catalog_problem_kind_name(p->kind), p->file, p->line, p->column,
                      p->object, p->reason);
    }
    strbuf_printf(out, "%s\n", text_or(c->closed));
}
