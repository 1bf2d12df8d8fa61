/*
 * The API table: which revision of which API, and which of its operations, answers a request.
 *
 * apim_api is one revision of one API, compiled; apim_table finds one among many. Both are immutable and shared
 * by reference count; any thread may match. A table made from an older one shares every part that did not change.
 *
 * How a request is matched:
 * - Path segments are percent-decoded one by one, so "%2F" stays inside its segment. A "." or ".." segment or a
 *   zero byte fits nothing: normalise before (path.h).
 * - An API that names hosts is there for those only ("a.b", "*.b", "*"; the request's port does not matter).
 * - The longest API path of whole segments wins, without regard to case. From then on no other path is tried:
 *   a wrong version, revision, scheme or operation is a miss, whatever a shorter path would have answered.
 * - ";rev=N" may end the path's last segment, or the version segment. Without it the current revision answers;
 *   with it revision N, which must be online or current.
 * - Version: by the segment after the path, a header, or a query parameter, compared without regard to case. When
 *   the identifier is missing (for the segment scheme: when that segment is no version of this path) the original
 *   API answers, the one without a version. An unknown header or query value is a miss.
 * - The scheme must be one of the API's; that of a WebSocket handshake is "ws" or "wss".
 * - Operation: method as written ("*" fits every method; HEAD and OPTIONS are methods like others) and template
 *   (template.h). Segment by segment from the left: literal, then mixed, then "{name}", then catch-all; on one
 *   template more query parts, then more literal ones come first, and a method before "*".
 * - A closed API fits every call below its path; a closed operation is matched like an open one. The caller
 *   checks the key first and only then looks at apim_match_closed().
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proxy/route/request.h"
#include "proxy/route/template.h"

struct arena;
struct err;
struct apim_table;
struct apim_trie;

enum apim_versioning { APIM_VERSION_NONE, APIM_VERSION_SEGMENT, APIM_VERSION_HEADER, APIM_VERSION_QUERY };
enum apim_type { APIM_TYPE_HTTP, APIM_TYPE_WEBSOCKET, APIM_TYPE_GRAPHQL, APIM_TYPE_SOAP };

struct apim_operation_conf {
    struct slice id;
    struct slice method;   /* "*": every method */
    struct slice template; /* url_template */
    struct slice program;  /* resource name, empty: none */
    struct slice closed;   /* not empty: answers 501 with this reason */
    void *user;
};

/* Mirrors egret.apim.v1.Api. Everything is copied by apim_api_create. */
struct apim_api_conf {
    struct slice name; /* resource name, "apis/<id>;rev=<n>" */
    struct slice api_id;
    struct slice display_name;
    struct slice path; /* whole segments; slashes at the ends are ignored; may be empty */
    enum apim_versioning versioning;
    struct slice version_parameter; /* header or query parameter name */
    struct slice version;           /* empty: the original */
    struct slice revision;          /* decimal */
    bool is_current, is_online;
    const struct slice *hosts; /* empty list: every host */
    size_t host_count;
    bool http, https, ws, wss;
    struct slice key_header, key_query;
    bool subscription_required;
    const struct apim_operation_conf *operations;
    size_t operation_count;
    const struct slice *products; /* resource names */
    size_t product_count;
    struct slice backend; /* resource name */
    struct slice service_program, workspace_program, api_program;
    struct slice closed;
    enum apim_type type;
    void *user;                /* read-only for this room */
    void (*free_user)(void *); /* called with user when the API is freed; may be NULL */
};

struct apim_operation {
    struct apim_operation_conf conf;
    const struct url_template *template;
    uint32_t index; /* in apim_api.operations */
};

struct apim_api {
    struct apim_api_conf conf; /* copies; conf.operations is NULL, conf.hosts and version_parameter lower case */
    struct slice key;          /* canonical path: lower case, decoded, '/' between segments */
    struct slice identity;     /* conf.name without ";rev=": equal for the revisions of one API */
    struct slice version_key;  /* SEGMENT: the version as it stands in a key */
    uint32_t depth;            /* segments in key */
    uint64_t hash;             /* of key */
    const struct apim_operation *operations;
    size_t operation_count;
    const struct apim_trie *trie;
};

/* NULL and err: two operations that cannot be told apart (unless both are closed), a template or path refused. */
struct apim_api *apim_api_create(const struct apim_api_conf *conf, struct err *err);
struct apim_api *apim_api_ref(struct apim_api *api);
void apim_api_unref(struct apim_api **api);

/* Two APIs that claim the same calls. */
struct apim_clash {
    const struct apim_api *first, *second;
};

/*
 * A table of exactly these APIs (each is referenced by the table; the order does not matter; one name once). `old`
 * may be NULL; it is not changed and may be freed whenever its owner likes. Cost: a pass over the pointers plus
 * work for what differs from `old` by identity of the pointer. NULL and err (and *clash, which may be NULL) when
 * two APIs share path, version and a host but are different APIs, or the same revision twice, or two current
 * revisions; two that are both closed may share.
 */
struct apim_table *apim_table_update(const struct apim_table *old, struct apim_api *const *apis, size_t count,
                                     struct apim_clash *clash, struct err *err);
struct apim_table *apim_table_ref(struct apim_table *table);
void apim_table_unref(struct apim_table **table);
size_t apim_table_count(const struct apim_table *table);
const struct apim_api *apim_table_at(const struct apim_table *table, size_t i); /* in name order */
const struct apim_api *apim_table_find(const struct apim_table *table, struct slice name);

enum apim_reason {
    APIM_MATCHED,
    APIM_BAD_PATH,     /* no '/', a dot segment, a zero byte */
    APIM_NO_API,       /* no path fits */
    APIM_NO_VERSION,   /* path fits; unknown or missing version */
    APIM_NO_REVISION,  /* unknown or offline revision, or none is current */
    APIM_NO_SCHEME,    /* api is set from here on */
    APIM_NO_OPERATION, /* method or template */
};

struct apim_param {
    struct slice name;
    struct slice value; /* decoded */
    struct slice raw;   /* as sent */
};

struct apim_match {
    enum apim_reason reason;
    const struct apim_api *api;
    const struct apim_operation *operation; /* NULL in a closed API when none fits */
    const struct apim_param *params;        /* by apim_match_params only: path, then query, in template order */
    size_t param_count;
    struct slice rest;  /* raw path behind API path, version and revision: empty or from its '/' on; no query */
    struct slice query; /* raw, without '?'; p == NULL when the request has none */
};

/* true: out->reason is APIM_MATCHED. Every other reason is APIM's 404. Takes from arena only. */
bool apim_match(const struct apim_table *table, const struct route_request *req, struct arena *arena,
                struct apim_match *out);
/* The reason why a matched call answers 501, empty when it does not. */
struct slice apim_match_closed(const struct apim_match *match);
/* Fills m->params, for those who need them: most calls do not. What m->rest and m->query point to is still needed. */
void apim_match_params(struct apim_match *m, struct arena *arena);
/* The value of one of them (name without regard to case); *found says whether there is one. */
struct slice apim_match_param(const struct apim_match *match, struct slice name, bool *found);
const char *apim_reason_name(enum apim_reason reason);
