/* admin's inside: the table of paths and what its files share. */
#pragma once
#include "proxy/admin/admin.h"
#include "proxy/net/admin_http.h"

struct gauges;

struct admin {
    struct admin_config config;
    const struct admin_sources *sources;
    void *ctx;
    struct admin_http *http;
    struct gauges *gauges;
    int64_t started_us;
    bool failed_by_hand; /* /healthcheck/fail */
};

struct endpoint {
    const char *path;
    bool command; /* POST only */
    const char *help;
    void (*answer)(struct admin *a, const struct admin_request *request, struct admin_reply *reply);
};

/* One table a file; each ends with a row without path. */
extern const struct endpoint endpoints_state[];
extern const struct endpoint endpoints_stats[];
extern const struct endpoint endpoints_config[];
extern const struct endpoint endpoints_commands[];

/* For the tables. */
enum { STATE_LIVE = 0, STATE_DRAINING = 1, STATE_PRE_INITIALIZING = 2, STATE_INITIALIZING = 3 }; /* Envoy's numbers */
unsigned admin_state(const struct admin *a, struct strbuf *why);                                 /* why may be NULL */
const char *admin_state_name(unsigned state);

void reply_error(struct admin_reply *reply, unsigned status, const char *text);
void reply_json(struct admin_reply *reply);
/* Whether a query names it; its value is appended to `value` (NULL: not wanted). */
bool query_has(const struct admin_request *request, const char *name, struct strbuf *value);
bool query_is(const struct admin_request *request, const char *name, const char *value);

/* Statistics that are read from elsewhere when somebody looks. */
struct gauges *gauges_create(struct admin *a);
void gauges_destroy(struct gauges **g);
void gauges_update(struct gauges *g, struct admin *a);

void clusters_text(struct admin *a, struct strbuf *out);
void clusters_json(struct admin *a, struct strbuf *out);

/* Every TLS context of the snapshot, each content once. */
void certs_each(const struct snapshot *snapshot, void (*visit)(void *ctx, const struct tls_context *c), void *ctx);
