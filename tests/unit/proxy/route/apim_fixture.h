/* APIs written briefly for the tests: a name, a path, operations as "GET /template" lines. */
#pragma once
#include "unit/proxy/route/fixture.h"

#include "proxy/route/apim.h"

enum { FIXTURE_OPERATIONS = 64 };

struct fixture_api {
    const char *name; /* "x" or "x;rev=2": becomes "apis/…" */
    const char *path;
    const char *operations; /* lines "METHOD template[ !reason]"; NULL: a catch-all */
    const char *version;
    enum apim_versioning versioning;
    const char *parameter;
    const char *host; /* one, NULL: every */
    const char *closed;
    bool offline, not_current, no_http, no_https, ws, wss;
};

static inline size_t fixture_operations(const char *lines, struct apim_operation_conf *out)
{
    struct slice rest = slice_of(lines == NULL ? "* /*" : lines);
    size_t n = 0;
    while (rest.n > 0) {
        struct slice line = slice_cut(&rest, '\n');
        struct slice whole = line;
        size_t mark = slice_search(line, SLICE(" !"));
        out[n] = (struct apim_operation_conf){.id = slice_sub(whole, 0, mark), .closed = slice_from(line, mark + 2)};
        line = slice_sub(line, 0, mark);
        out[n].method = slice_cut(&line, ' ');
        out[n++].template = line;
    }
    return n;
}

static inline struct apim_api *fixture_api_try(const struct fixture_api *f, struct err *err)
{
    struct apim_operation_conf operations[FIXTURE_OPERATIONS];
    char name[128];
    snprintf(name, sizeof name, "apis/%s%s", f->name, strstr(f->name, ";rev=") == NULL ? ";rev=1" : "");
    struct slice host = slice_of(f->host);
    struct apim_api_conf conf = {.name = slice_of(name),
                                 .path = slice_of(f->path),
                                 .versioning = f->versioning,
                                 .version_parameter = slice_of(f->parameter),
                                 .version = slice_of(f->version),
                                 .revision = slice_of(strstr(name, ";rev=") + 5),
                                 .is_current = !f->not_current,
                                 .is_online = !f->offline,
                                 .hosts = &host,
                                 .host_count = f->host != NULL,
                                 .http = !f->no_http,
                                 .https = !f->no_https,
                                 .ws = f->ws,
                                 .wss = f->wss,
                                 .operations = operations,
                                 .closed = slice_of(f->closed)};
    conf.operation_count = fixture_operations(f->operations, operations);
    return apim_api_create(&conf, err);
}

static inline struct apim_api *fixture_api(const struct fixture_api *f)
{
    struct err err;
    struct apim_api *api = fixture_api_try(f, &err);
    if (api == NULL) {
        fail_msg("%s", err.text);
    }
    return api;
}

static inline struct apim_table *fixture_table(const struct fixture_api *specs, size_t count)
{
    struct apim_api *apis[64] = {NULL};
    struct err err;
    for (size_t i = 0; i < count; i++) {
        apis[i] = fixture_api(&specs[i]);
    }
    struct apim_table *table = apim_table_update(NULL, apis, count, NULL, &err);
    for (size_t i = 0; i < count; i++) {
        apim_api_unref(&apis[i]);
    }
    if (table == NULL) {
        fail_msg("%s", err.text);
    }
    return table;
}

/* One request and what it must come to: "<api> <operation> <rest>", or the reason's name. */
struct fixture_call {
    const char *line, *headers, *want;
};

static inline char *fixture_answer(const struct apim_table *table, const char *line, const char *headers,
                                   struct arena *arena)
{
    struct fixture_headers kept;
    struct route_request req = fixture_request(line, &kept, headers);
    /* the path on the heap at its exact length, so that reading beyond it shows */
    char *exact = malloc(req.path.n + 1);
    memcpy(exact, req.path.p == NULL ? "" : req.path.p, req.path.n);
    exact = realloc(exact, req.path.n > 0 ? req.path.n : 1);
    req.path.p = exact;
    struct apim_match m;
    char *text;
    if (apim_match(table, &req, arena, &m)) {
        apim_match_params(&m, arena);
        struct slice id = m.operation == NULL ? SLICE("-") : m.operation->conf.id;
        text = arena_printf(arena, "%.*s %.*s %.*s", SLICE_ARG(slice_from(m.api->conf.name, 5)), SLICE_ARG(id),
                            SLICE_ARG(m.rest));
        for (size_t i = 0; i < m.param_count; i++) {
            text = arena_printf(arena, "%s %.*s=%.*s", text, SLICE_ARG(m.params[i].name), SLICE_ARG(m.params[i].value));
        }
        if (apim_match_closed(&m).n > 0) {
            text = arena_printf(arena, "%s closed:%.*s", text, SLICE_ARG(apim_match_closed(&m)));
        }
    } else {
        text = arena_printf(arena, "%s", apim_reason_name(m.reason));
    }
    free(exact);
    return text;
}

static inline void fixture_calls(const struct apim_table *table, const struct fixture_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_create(0);
        char *got = fixture_answer(table, calls[i].line, calls[i].headers, arena);
        if (strcmp(got, calls[i].want) != 0) {
            fail_msg("%s [%s]:\n  got  %s\n  want %s", calls[i].line, calls[i].headers == NULL ? "" : calls[i].headers,
                     got, calls[i].want);
        }
        arena_destroy(&arena);
    }
}
