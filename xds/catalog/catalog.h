/*
 * catalog: the API management service as one immutable, reference-counted model. Built from a folder snapshot
 * (catalog_build.h); walked by translate, status and the console. Control server's main thread only.
 *
 * Names are ARM-relative paths in lower case ("apis/orders;rev=2", "workspaces/w/products/p"). Texts are never NULL
 * unless the field says so; arrays are sorted as their field says. An object whose inputs did not change is the same
 * pointer in the next catalog, and equal content means an equal hash.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "xds/policy/policy.h"
#include "xds/source/examples.h"

struct catalog_hash {
    uint64_t hi, lo;
};

enum catalog_problem_kind { CATALOG_WARNING, CATALOG_STALE, CATALOG_CLOSED };

struct catalog_problem {
    enum catalog_problem_kind kind;
    const char *file;      /* relative to the folder; the overrides file as given */
    uint32_t line, column; /* column 0: not known */
    const char *object;    /* resource name of what is concerned; operations "apis/x;rev=1/operations/get"; "" all */
    const char *reason;
};

/* What every object begins with. */
struct catalog_object {
    const char *name;         /* resource name */
    const char *file;         /* where it is said, relative to the folder */
    uint32_t line;            /* 1 when nothing closer is known */
    const char *closed;       /* NULL: open; else why nothing of it is served, as "file:line: reason" */
    bool stale;               /* some file of it is unreadable and its last good form serves */
    struct catalog_hash hash; /* over its content: file positions do not count, reasons do */
    /* the catalog's own */
    const struct catalog_problem *problems;
    size_t problem_count, problem_cap;
    uint64_t inputs;
    unsigned refs;
    void (*fini)(struct catalog_object *o); /* what the arena does not hold; may be NULL */
    struct arena *arena;
};

enum catalog_version_scheme {
    CATALOG_VERSION_NONE,
    CATALOG_VERSION_SEGMENT,
    CATALOG_VERSION_HEADER,
    CATALOG_VERSION_QUERY
};
enum catalog_api_type {
    CATALOG_API_HTTP,
    CATALOG_API_WEBSOCKET,
    CATALOG_API_GRAPHQL,
    CATALOG_API_SOAP,
    CATALOG_API_OTHER
};

/*
 * An operation's policy chain depends on the call's context: with no product, or with one of the API's products.
 * closed: no context can serve it. Otherwise ask catalog_operation_closed for the context.
 */
struct catalog_context {
    const char *product; /* name; "" = no product */
    const char *closed;  /* NULL: open in this context; else "file:line: reason" */
    const char *backend; /* name of the backend that serves it here; "" when closed */
};

struct catalog_operation {
    const char *id;
    const char *method;       /* exact, as APIM compares it ("GET"); "*" every method */
    const char *url_template; /* leading slash */
    bool matchable;           /* false: closed, and which requests are its cannot be said; the proxy is not told of it */
    const char *program;      /* name of its policy program; "" none */
    uint32_t line;            /* in the specification */
    const char *closed;
    const struct catalog_context *contexts; /* [0] is "no product", then the API's products in their order */
    size_t context_count;
    struct openapi_examples examples; /* only where a policy mocks its responses */
};

/* One revision of one API. */
struct catalog_api {
    struct catalog_object o;
    const char *workspace; /* "" for the service's own */
    const char *id;        /* as written, without ";rev=" */
    const char *resource;  /* "apis/<id>" without revision: what products, gateways and subscriptions name */
    const char *display_name;
    const char *path; /* whole segments, no slash at either end; may be empty */
    bool path_known;  /* false: closed, and where it would answer cannot be said */
    enum catalog_version_scheme version_scheme;
    const char *version_parameter; /* header or query parameter name, else "" */
    const char *version;           /* "": the original one, or no versions at all */
    const char *version_set;       /* name, or "" */
    const char *revision;          /* "1" */
    bool is_current, is_online;
    bool http, https, ws, wss;
    bool subscription_required;
    enum catalog_api_type type;
    const char *type_text; /* as written; "http" when not said */
    const char *key_header, *key_query;
    const char *service_url;
    const char *backend; /* name of the backend made from service_url; "" = only a policy can name one */
    const struct catalog_operation *operations; /* in the specification's order */
    size_t operation_count;
    size_t open_operations;
    const char *const *products; /* names, sorted */
    size_t product_count;
    const char *service_program, *workspace_program, *program; /* names; "" = that scope has no document */
};

struct catalog_product {
    struct catalog_object o; /* o.closed: its document cannot be read, or its properties cannot */
    const char *workspace, *id, *display_name;
    bool published;
    bool subscription_required; /* false: an open product */
    const char *program;        /* name or "" */
    const char
        *program_closed;     /* first closing instruction of its document, for people; contexts say where it matters */
    const char *const *apis; /* catalog_api.resource, sorted */
    size_t api_count;
};

enum catalog_subscription_state {
    CATALOG_SUBSCRIPTION_SUSPENDED,
    CATALOG_SUBSCRIPTION_ACTIVE,
    CATALOG_SUBSCRIPTION_EXPIRED,
    CATALOG_SUBSCRIPTION_SUBMITTED,
    CATALOG_SUBSCRIPTION_REJECTED,
    CATALOG_SUBSCRIPTION_CANCELLED,
};
enum catalog_scope { CATALOG_SCOPE_ALL_APIS, CATALOG_SCOPE_PRODUCT, CATALOG_SCOPE_API, CATALOG_SCOPE_WORKSPACE };

/* o.closed: refused (no such scope, a key that another one has too); its keys then authenticate nobody. */
struct catalog_subscription {
    struct catalog_object o;
    const char *workspace, *id, *display_name, *owner;
    enum catalog_subscription_state state;
    enum catalog_scope scope;
    const char *scope_name;                  /* product name, API resource, or "workspaces/<id>"; "" for all APIs */
    const char *primary_key, *secondary_key; /* secret: never into a log. NULL: none known */
};

/* Text with references to secrets in it. */
struct catalog_part {
    const char *literal; /* NULL: secret */
    const char *secret;  /* catalog_named_value.o.name */
};
struct catalog_credential {
    const char *name; /* header or query parameter */
    const struct catalog_part *parts;
    size_t part_count;
};

/*
 * A literal credential is made a secret of its own: a named value "<backend name>/header/<header>" or "…/query/<name>".
 * Names: "backends/<id>", "apis/<id>;rev=<n>/backend" for a service URL, "base-urls/<hash>" for a URL that a
 * policy writes.
 */
struct catalog_backend {
    struct catalog_object o;
    const char *workspace, *id;
    const char *url; /* normalised: scheme://host[:port][/path], lower-case scheme and host */
    bool https;
    const char *host; /* lower case, IPv6 without brackets */
    uint16_t port;
    const char *authority;              /* Host sent: port only when it is not the scheme's */
    const char *base_path;              /* "", "/a/b" or "/a/b/": its last slash counts where nothing follows it */
    bool validate_chain, validate_name; /* of an https backend's certificate */
    const struct catalog_credential *headers, *query;
    size_t header_count, query_count;
};

struct catalog_named_value {
    struct catalog_object o; /* name: "namedvalues/<display name in lower case>", or a backend's credential */
    const char *id, *display_name;
    bool secret;
    const char *value; /* NULL: not known here (a vault holds it, or nobody said it) */
};

struct catalog_program {
    struct catalog_object o; /* name: "policy", "apis/<id>;rev=<n>/policy", "apis/…/operations/<op id>/policy", … */
    struct policy_program *policy;
    uint32_t first_line;         /* of o.file on which the document begins: 1, or its place in the overrides file */
    const char *const *backends; /* for each inbound and backend instruction: see catalog_program_backend */
};

struct catalog_gateway {
    struct catalog_object o; /* "gateways/<id>" */
    const char *id;
    const char *region;      /* locationData.name */
    const char *const *apis; /* catalog_api.resource, sorted: the only ones this gateway serves */
    size_t api_count;
};

#define CATALOG_LIST(type)         \
    struct {                       \
        struct type *const *items; \
        size_t n;                  \
    }

struct catalog_source {
    uint64_t hash; /* of the file */
    const struct catalog_object *made;
};

struct catalog {
    CATALOG_LIST(catalog_api) apis; /* every list is sorted by name */
    CATALOG_LIST(catalog_product) products;
    CATALOG_LIST(catalog_subscription) subscriptions;
    CATALOG_LIST(catalog_backend) backends;
    CATALOG_LIST(catalog_named_value) named_values;
    CATALOG_LIST(catalog_program) programs;
    CATALOG_LIST(catalog_gateway) gateways; /* none: every API is served by every gateway */
    const struct catalog_problem *problems; /* sorted by file, line */
    size_t problem_count;
    const char *closed; /* not NULL: nothing may be served, and why (the overrides file cannot be read) */
    size_t api_files;   /* apiInformation.json files, workspaces included */
    /* the catalog's own */
    uint64_t subscriptions_inputs; /* 0: look at each of them */
    uint64_t subscriptions_frame;  /* of what they depend on beside their own files */
    const struct catalog_source *subscription_sources; /* by path; each file with what was made of it */
    size_t subscription_source_count;
    unsigned refs;
    struct arena *arena;
};

struct catalog *catalog_ref(struct catalog *catalog);
void catalog_unref(struct catalog **catalog);

/* By name; NULL when there is none. */
const struct catalog_api *catalog_find_api(const struct catalog *c, const char *name);
const struct catalog_product *catalog_find_product(const struct catalog *c, const char *name);
const struct catalog_subscription *catalog_find_subscription(const struct catalog *c, const char *name);
const struct catalog_backend *catalog_find_backend(const struct catalog *c, const char *name);
const struct catalog_named_value *catalog_find_named_value(const struct catalog *c, const char *name);
const struct catalog_program *catalog_find_program(const struct catalog *c, const char *name);
const struct catalog_gateway *catalog_find_gateway(const struct catalog *c, const char *name);

/* Why an operation is closed in the context of a product ("" = none), or NULL. An unknown product counts as none. */
const char *catalog_operation_closed(const struct catalog_operation *op, const char *product);
/* Resource name of the backend that a set-backend-service of this program means; "" when there is none. */
const char *catalog_program_backend(const struct catalog_program *program, const struct policy_instruction *i);
/* Where an instruction stands. */
const char *catalog_program_file(const struct catalog_program *program, const struct policy_instruction *i);
uint32_t catalog_program_line(const struct catalog_program *program, const struct policy_instruction *i);
bool catalog_product_serves(const struct catalog *c, const struct catalog_product *product); /* some API, open in it */
bool catalog_gateway_serves(const struct catalog_gateway *gateway, const struct catalog_api *api);
const char *catalog_problem_kind_name(enum catalog_problem_kind kind); /* "WARNING", "STALE", "CLOSED" */

/* "N apis, N operations, N products, N subscriptions served, N apis left out" */
struct catalog_counts {
    size_t apis, operations, products, subscriptions, left_out;
};
struct catalog_counts catalog_count(const struct catalog *c);
