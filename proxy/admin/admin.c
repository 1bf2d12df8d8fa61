#include "proxy/admin/internal.h"

#include "base/macros.h"
#include "base/mem.h"

static const struct endpoint *const tables[] = {endpoints_state, endpoints_stats, endpoints_config, endpoints_commands};

/* ---- for the tables ---- */

void reply_error(struct admin_reply *reply, unsigned status, const char *text)
{
    reply->status = status;
    strbuf_clear(&reply->body);
    strbuf_printf(&reply->body, "%s\n", text);
}

void reply_json(struct admin_reply *reply)
{
    reply->content_type = "application/json";
}

bool query_has(const struct admin_request *request, const char *name, struct strbuf *value)
{
    struct strbuf ignored;
    strbuf_init(&ignored);
    bool found = admin_query(request->query, slice_of(name), value == NULL ? &ignored : value);
    strbuf_fini(&ignored);
    return found;
}

bool query_is(const struct admin_request *request, const char *name, const char *value)
{
    struct strbuf given;
    strbuf_init(&given);
    bool same = query_has(request, name, &given) && slice_eq(strbuf_slice(&given), slice_of(value));
    strbuf_fini(&given);
    return same;
}

/* ---- dispatch ---- */

static void list_commands(struct strbuf *out)
{
    strbuf_add_str(out, "admin commands are:\n  /: the same as links\n  /help: this list\n");
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (const struct endpoint *e = tables[t]; e->path != NULL; e++) {
            strbuf_printf(out, "  %s%s: %s\n", e->path, e->command ? " (POST)" : "", e->help);
        }
    }
}

/* The texts are ours: nothing in the page comes from outside. */
static void list_links(struct admin_reply *reply)
{
    struct strbuf *out = &reply->body;
    reply->content_type = "text/html; charset=UTF-8";
    strbuf_add_str(out, "<!doctype html><title>Egret admin</title><h1>Egret admin</h1><table>");
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (const struct endpoint *e = tables[t]; e->path != NULL; e++) {
            strbuf_printf(out,
                          e->command ? "<tr><td><form method=post action=\"%s\"><button>%s</button></form>"
                                     : "<tr><td><a href=\"%s\">%s</a>",
                          e->path + 1, e->path + 1);
            strbuf_printf(out, "<td>%s\n", e->help);
        }
    }
    strbuf_add_str(out, "</table>\n");
}

static const struct endpoint *find(struct slice path)
{
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (const struct endpoint *e = tables[t]; e->path != NULL; e++) {
            if (slice_eq(slice_of(e->path), path)) {
                return e;
            }
        }
    }
    return NULL;
}

static bool is_allowed(const struct endpoint *e, struct slice method)
{
    if (slice_eq(method, SLICE("POST"))) {
        return true;
    }
    return !(e != NULL && e->command) && (slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD")));
}

static void handle(void *ctx, const struct admin_request *request, struct admin_reply *reply)
{
    struct admin *a = ctx;
    const struct endpoint *e = find(request->path);
    if (!is_allowed(e, request->method)) {
        reply_error(reply, 405, "Method Not Allowed: what changes something takes POST, all else GET");
    } else if (e != NULL) {
        e->answer(a, request, reply);
    } else if (slice_eq(request->path, SLICE("/"))) {
        list_links(reply);
    } else if (slice_eq(request->path, SLICE("/help"))) {
        list_commands(&reply->body);
    } else {
        reply->status = 404;
        strbuf_add_str(&reply->body, "invalid path. ");
        list_commands(&reply->body);
    }
}

struct admin *admin_create(const struct admin_config *config, const struct admin_sources *sources, void *ctx,
                           struct err *err)
{
    struct admin *a = mem_alloc(sizeof *a);
    a->config = *config;
    a->sources = sources;
    a->ctx = ctx;
    a->started_us = loop_now_us(config->loop);
    a->gauges = gauges_create(a);
    a->http = admin_http_listen(config->loop, &config->addr, handle, a, err);
    if (a->http == NULL) {
        err_prefix(err, "admin");
        admin_destroy(&a);
    }
    return a;
}

void admin_destroy(struct admin **admin)
{
    struct admin *a = *admin;
    *admin = NULL;
    if (a != NULL) {
        admin_http_destroy(&a->http);
        gauges_destroy(&a->gauges);
        mem_free(a);
    }
}

struct addr admin_address(const struct admin *a)
{
    return admin_http_address(a->http);
}
