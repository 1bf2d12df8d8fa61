/*
 * artifact: one file of an APIOps folder: what it is (by its path), what it holds, and whether that is its last good
 * form. Immutable and reference-counted, shared by snapshots. Control server's main thread.
 */
#pragma once
#include "base/doc/doc.h"
#include "xds/source/openapi.h"

enum artifact_kind {
    ARTIFACT_POLICY, /* policy.xml of the service or of a workspace */
    ARTIFACT_API,
    ARTIFACT_SPECIFICATION,
    ARTIFACT_API_POLICY,
    ARTIFACT_OPERATION_POLICY,
    ARTIFACT_RELEASE,
    ARTIFACT_VERSION_SET,
    ARTIFACT_PRODUCT,
    ARTIFACT_PRODUCT_POLICY,
    ARTIFACT_PRODUCT_API,  /* a folder for each link */
    ARTIFACT_PRODUCT_APIS, /* apis.json: the older form */
    ARTIFACT_SUBSCRIPTION,
    ARTIFACT_BACKEND,
    ARTIFACT_NAMED_VALUE,
    ARTIFACT_FRAGMENT,
    ARTIFACT_FRAGMENT_POLICY,
    ARTIFACT_GATEWAY,
    ARTIFACT_GATEWAY_API,
    ARTIFACT_GATEWAY_APIS,
    ARTIFACT_WORKSPACE,
    ARTIFACT_DIAGNOSTIC,
    ARTIFACT_API_DIAGNOSTIC,
    ARTIFACT_GROUP,
    ARTIFACT_LOGGER,
    ARTIFACT_TAG,
    ARTIFACT_OTHER, /* known, without effect here: schemas, product groups, tag links */
};

enum artifact_state {
    ARTIFACT_GOOD,
    ARTIFACT_STALE,  /* the file cannot be read; doc, spec and bytes are the last good form */
    ARTIFACT_BROKEN, /* it cannot be read and there is no last good form */
};

struct artifact_error {
    uint32_t line, column; /* 0: not known */
    const char *text;      /* without file and position */
};

struct artifact {
    enum artifact_kind kind;
    enum artifact_state state;
    const char *path;      /* below the folder */
    const char *workspace; /* "": the service's own */
    const char *id;        /* of the API ("x;rev=2"), product, backend, …; "" for the service policy */
    const char *item;      /* what is inside it: operation id, linked API, release; else "" */
    struct slice bytes;    /* what the file holds, as far as it could be read; none of a specification that was read */
    const struct doc *doc; /* JSON kinds; NULL when BROKEN */
    const struct openapi *spec;  /* SPECIFICATION in OpenAPI or WADL; NULL for other languages or when BROKEN */
    struct artifact_error error; /* when not GOOD */
    uint64_t hash;               /* of bytes, state and error */
    unsigned refs;
    struct arena *arena;
    struct artifact *kept; /* STALE: the last good form, which owns doc and spec */
};

/* What a path below the folder is; false: nothing that is read. Slices point into the path. */
struct artifact_path {
    enum artifact_kind kind;
    struct slice workspace, id, item;
};
bool artifact_classify(struct slice path, struct artifact_path *out);
/* May files that are read stand below this folder? */
bool artifact_is_folder(struct slice path);
bool artifact_is_policy(enum artifact_kind kind);

/*
 * Reads bytes as what the path says. Not readable: `last` (may be NULL) gives the last good form, STALE; else BROKEN.
 * Policies are never STALE: a half-written one must not keep an older, weaker one alive.
 */
struct artifact *artifact_read(const char *path, struct slice bytes, struct artifact *last);
/* The same for a file that could not even be read. */
struct artifact *artifact_unreadable(const char *path, const char *why, struct artifact *last);
struct artifact *artifact_ref(struct artifact *a);
void artifact_unref(struct artifact **a);
/* Of one that is GOOD. */
bool artifact_is_made_from(const struct artifact *a, struct slice bytes);
/* "apis/x", "apis/x/operations/get/policies/policy", "workspaces/w/products/p": how overrides name it, lower case. */
void artifact_override_path(const struct artifact *a, struct strbuf *out);
/* Its bytes hold keys or secrets: not to be written to disk in the open. */
bool artifact_is_secret(const struct artifact *a);
