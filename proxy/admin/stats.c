/* /stats and its Prometheus form. */
#include "proxy/admin/internal.h"
#include "proxy/observe/stats_render.h"

static void render(struct admin *a, const struct admin_request *request, struct admin_reply *reply, bool prometheus)
{
    struct strbuf pattern;
    struct err err;
    strbuf_init(&pattern);
    query_has(request, "filter", &pattern);
    struct stats_filter *filter =
        stats_filter_create(strbuf_slice(&pattern), query_has(request, "usedonly", NULL), &err);
    strbuf_fini(&pattern);
    if (filter == NULL) {
        reply_error(reply, 400, err.text);
        return;
    }
    gauges_update(a->gauges, a);
    if (prometheus || query_is(request, "format", "prometheus")) {
        reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
        stats_render_prometheus(a->config.stats, filter, &reply->body);
    } else if (query_is(request, "format", "json")) {
        reply_json(reply);
        stats_render_json(a->config.stats, filter, &reply->body);
    } else if (!query_has(request, "format", NULL) || query_is(request, "format", "text")) {
        stats_render_text(a->config.stats, filter, &reply->body);
    } else {
        reply_error(reply, 400, "format: one of text, json, prometheus");
    }
    stats_filter_destroy(&filter);
}

static void answer_stats(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    render(a, request, reply, false);
}

static void answer_prometheus(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    render(a, request, reply, true);
}

const struct endpoint endpoints_stats[] = {
    {"/stats", false, "statistics; ?usedonly, ?filter=regex, ?format=text, json or prometheus", answer_stats},
    {"/stats/prometheus", false, "statistics for Prometheus; ?usedonly, ?filter=regex", answer_prometheus},
    {NULL, false, NULL, NULL},
};
