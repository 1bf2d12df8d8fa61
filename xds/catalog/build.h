/* build: the state of one catalog_build, shared by the files of this room. Private to xds/catalog. */
#pragma once
#include <stdarg.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "xds/catalog/catalog_build.h"
#include "xds/catalog/catalog_free.h"
#include "xds/source/props.h"

struct vec {
    void **items;
    size_t n, cap;
};

/* Why something is closed, and where that is written. text NULL: open. */
struct closure {
    const char *file;
    uint32_t line, column;
    const char *text;
};

struct version_set {
    const char *name; /* "versionsets/<id>" */
    enum catalog_version_scheme scheme;
    const char *parameter;
    struct closure closed;
    uint64_t inputs;
};

/* An API before its operations: what decides where it answers. In the build's arena. */
struct api_head {
    const struct artifact *info;
    const struct artifact *spec; /* NULL: none */
    const struct artifact *policy;
    struct vec operation_policies; /* const struct artifact */
    const struct override *over;
    struct props props;
    const char *folder; /* "x;rev=2", as written */
    const char *workspace, *id, *name, *resource, *path, *version, *version_parameter, *version_set, *revision;
    enum catalog_version_scheme scheme;
    bool path_known, version_known, is_current;
    struct closure closed;
    struct vec products; /* struct catalog_product, sorted by name */
};

struct build {
    const struct catalog *prev;
    const struct folder_snapshot *snap;
    struct catalog *catalog;
    struct arena *arena; /* scratch: dies with the build */
    struct vec apis, products, subscriptions, backends, named_values, programs, gateways; /* new references */
    struct vec heads;                                                                     /* struct api_head */
    struct map *heads_by_folder;   /* "<workspace>|<folder>" lower case */
    struct map *resources;         /* resource → struct api_head (one of its revisions); "workspaces/<id>" → one in it */
    struct map *version_sets;      /* name → struct version_set */
    struct map *product_links;     /* API resource → struct vec of product names */
    struct map *releases;          /* API resource → struct vec of struct artifact */
    struct map *by_name;           /* any object's name → struct catalog_object */
    struct map *values_by_display; /* name → struct value_entry */
    struct map *fragments;         /* "<workspace>|<id>" lower case → struct fragment (programs.c) */
    uint64_t values_inputs, backends_inputs, fragments_inputs;
    struct vec problems; /* struct catalog_problem, in the catalog's arena */
};

void vec_add(struct vec *v, void *item);
void vec_fini(struct vec *v);

/* Names. All in the build's arena. */
const char *lower(struct arena *arena, struct slice text);
const char *resource_name(struct build *b, const char *workspace, const char *section, struct slice id);
const char *workspace_name(struct build *b, const char *workspace); /* "workspaces/<id>" */
struct slice last_segment(struct slice arm_id); /* without slashes at its ends */
struct slice without_revision(struct slice api_id);
bool is_api_token(struct slice text); /* usable as a header name */

/* Objects. */
void *object_create(struct build *b, size_t size, const char *name, const char *file);
/* The previous catalog's object of this name if its inputs are the same, with a reference; else NULL. */
void *object_reuse(struct build *b, const struct catalog_object *prev, uint64_t inputs);
void object_problem(struct catalog_object *o, enum catalog_problem_kind kind, struct closure at, const char *object,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Closes it (the first reason stays) and says so among the problems. */
void object_close(struct catalog_object *o, struct closure why);
/* Takes it into the catalog. False: there is one of this name already; this one is dropped, the other closed. */
bool object_publish(struct build *b, struct vec *list, struct catalog_object *o);
void build_problem(struct build *b, enum catalog_problem_kind kind, struct closure at, const char *object,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
const char *closure_text(struct arena *arena, struct closure c); /* "file:line: text" */
struct closure closure_at(struct build *b, const struct doc *at, const char *fallback_file, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
struct closure closure_of_artifact(const struct artifact *a);                        /* of one that is not GOOD */
struct closure closure_of_override(const struct build *b, const struct override *o); /* text NULL: nothing wrong */

/* Content hash: canonical, without positions. */
void hash_text(struct catalog_hash *h, const char *text); /* NULL differs from "" */
void hash_number(struct catalog_hash *h, uint64_t n);
uint64_t inputs_of(const struct artifact *a, const struct override *o);
uint64_t inputs_add(uint64_t h, uint64_t n);
uint64_t inputs_text(uint64_t h, const char *text);

const struct override *override_of(struct build *b, const struct artifact *a);
struct props props_of(const struct artifact *a, const struct override *o);

/* Text with {{named values}}. */
struct value_text {
    const struct catalog_part *parts;
    size_t n;
    bool has_secret;
    const char *plain; /* all of it when it has no secret */
};
/* False: *why says which named value cannot be used. */
bool value_parse(struct build *b, struct arena *arena, const char *workspace, struct slice text, struct value_text *out,
                 const char **why);

/* For policies: NULL and the value, or the resource name of the secret; else why there is none. */
const char *value_find(struct build *b, const char *workspace, struct slice name, struct slice *value,
                       const char **secret);

/* URLs of backends. */
struct url {
    bool https;
    const char *host, *authority, *base_path, *text;
    uint16_t port;
};
bool url_parse(struct arena *arena, struct slice text, struct url *out, const char **why);
void backend_set_url(struct catalog_backend *k, const struct url *url);
/* The backend of a literal URL, made when there is none yet. "" and *why when the URL cannot be used. */
const char *backend_for_url(struct build *b, struct slice url, struct closure at, const char **why);
/* The backend of an API's serviceUrl; NULL when it has none. Already in the catalog. */
const struct catalog_backend *backend_for_api(struct build *b, const struct api_head *h);
const struct catalog_backend *backend_find(struct build *b, const char *name);

/* Steps, in this order. */
void build_named_values(struct build *b);
void build_backends(struct build *b);
void build_version_sets(struct build *b);
void version_set_read(struct build *b, struct version_set *v, struct props p, const char *file);
void build_heads(struct build *b);
void check_heads(struct build *b); /* conflicts between APIs */
void collect_releases(struct build *b);
/* Which of an API's revisions its releases made the current one; NULL when they do not say. */
struct api_head *released(struct build *b, struct api_head **group, size_t n);
void build_programs(struct build *b);
void build_products(struct build *b);
void build_apis(struct build *b);
void build_subscriptions(struct build *b);
/* subscriptions_edit.c: the few subscription files that changed since the catalog before, when nothing else that
 * subscriptions depend on has; false: too many, or files came or went. */
enum { FEW = 16 };
struct few {
    const struct artifact *now[FEW];
    size_t at[FEW]; /* in the sources of the catalog before */
    size_t n;
};
bool find_few(const struct build *b, struct few *out);
/* The lists of the catalog before, with these in the places of what was made of those files. */
void take_all_but_few(struct build *b, const struct few *few, struct catalog_object *const *made);
void build_gateways(struct build *b);
void report_artifacts(struct build *b);
void report_overrides(struct build *b);

/* The operations of an API, with their contexts; closes what cannot be served. */
void api_operations(struct build *b, const struct api_head *h, struct catalog_api *api);
