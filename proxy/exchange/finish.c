/* What a request leaves behind: counters and one record for each access logger. */
#include "proxy/exchange/internal.h"

static bool is_masked(struct arena *arena, struct slice name, struct slice parameter)
{
    return parameter.p == NULL || slice_eq_nocase(path_decode(name, arena), parameter);
}

/* "…?a=b&subscription-key=***": the value of that query parameter, wherever it stands; SLICE_NONE: of each. */
struct slice mask_query(struct arena *arena, struct slice url, struct slice parameter)
{
    struct slice query, name, value;
    struct slice path = path_split(url, &query);
    struct slice scan = query;
    bool found = false;
    while (query.p != NULL && query_next(&scan, &name, &value)) {
        found |= value.p != NULL && is_masked(arena, name, parameter);
    }
    if (!found) {
        return url;
    }
    char *text = arena_printf(arena, "%.*s", SLICE_ARG(path));
    char separator = '?';
    scan = query;
    while (query_next(&scan, &name, &value)) {
        bool hide = is_masked(arena, name, parameter);
        text = arena_printf(arena, "%s%c%.*s%s%.*s", text, separator, SLICE_ARG(name), value.p == NULL ? "" : "=",
                            SLICE_ARG(hide ? SLICE("***") : value));
        separator = '&';
    }
    return slice_of(text);
}

void record_begin(struct request *r)
{
    struct record *record = &r->record;
    record->start_wall_us = loop_wall_us(r->owner->loop);
    record->start_us = loop_now_us(r->owner->loop);
    record->downstream = r->host.downstream;
    addr_copy(&record->client, r->host.downstream->remote);
    record->request = r->head;
    record->version = r->head->version;
    record->original_path = r->head->path;
    record->listener = r->listener->name;
    record->filter_chain = r->connection->chain->name;
    record->url = r->head->authority; /* completed at the end, when it is known what to mask */
}

static void fill_api(struct request *r)
{
    struct record *record = &r->record;
    const struct apim_call *call = &r->host.apim;
    if (!record->apim) {
        return;
    }
    for (size_t i = 0; i < r->hcm->n_filters; i++) {
        if (r->hcm->filters[i].type == &apim_filter_type) {
            const struct apim_filter_config *config = r->hcm->filters[i].config;
            record->gateway_id = config->gateway_id;
            record->region = config->region;
        }
    }
    if (call->match != NULL && call->match->api != NULL) {
        record->api_id = call->match->api->conf.api_id;
        record->api_revision = call->match->api->conf.revision;
        if (call->match->operation != NULL) {
            record->operation_id = call->match->operation->conf.id;
        }
    }
    if (call->product != NULL) {
        record->product_id = call->product->id;
    }
    if (call->subscription != NULL) {
        record->subscription_id = call->subscription->id;
        record->user_id = call->subscription->owner;
    }
    if (call->backend != NULL && record->upstream_host.n > 0) {
        struct slice scheme = slice_sub(call->backend->url, 0, slice_find(call->backend->url, ':'));
        record->upstream_url = slice_of(arena_printf(r->host.arena, "%.*s://%.*s%.*s", SLICE_ARG(scheme),
                                                     SLICE_ARG(call->backend->authority), SLICE_ARG(r->head->path)));
        for (size_t i = 0; i < call->backend->n_query; i++) {
            record->upstream_url = mask_query(r->host.arena, record->upstream_url, call->backend->query[i].name);
        }
        record->upstream_method = r->head->method;
    }
}

void record_detach(struct request *r)
{
    struct record *record = &r->record;
    fill_api(r);
    struct slice *texts[] = {&record->route,      &record->cluster,      &record->api_id,          &record->api_revision,
                             &record->operation_id, &record->product_id, &record->subscription_id, &record->user_id,
                             &r->host.masked_query};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *texts[i] = arena_slice(r->host.arena, *texts[i]);
    }
    r->host.snapshot = NULL;
    r->host.apim = (struct apim_call){0};
    r->route = (struct route_match){0};
    r->forward = NULL;
    r->target.cluster = r->target.hostname = SLICE_NONE;
}

static void fill_error(struct request *r)
{
    struct record_error *e = &r->record.last_error;
    e->source = r->host.error.source;
    e->reason = r->host.error.reason;
    e->message = r->host.error.message;
    e->section = r->host.error.section;
    e->path = r->host.error.path;
    e->scope = r->host.error.scope;
    e->policy_id = r->host.error.policy_id;
    if (e->source.n > 0) {
        e->elapsed_us = (r->record.response_start_us == 0 ? r->record.end_us : r->record.response_start_us) - r->record.start_us;
    }
}

/* A key may come under its usual name to an API that has renamed it; which API was meant may not be known at all. */
static struct slice mask_url(struct request *r, struct slice url)
{
    if (r->host.masks_whole_query) {
        return mask_query(r->host.arena, url, SLICE_NONE);
    }
    url = mask_query(r->host.arena, url, SLICE("subscription-key"));
    return r->host.masked_query.n == 0 ? url : mask_query(r->host.arena, url, r->host.masked_query);
}

/* Nothing but three stars behind the host. */
static struct slice hide_path(struct arena *arena, struct slice url)
{
    size_t host = slice_search(url, SLICE("://"));
    host = host == url.n ? 0 : host + 3;
    size_t path = slice_find(slice_from(url, host), '/');
    return url.n == 0 ? url : slice_of(arena_printf(arena, "%.*s/***", SLICE_ARG(slice_sub(url, 0, host + path))));
}

static bool is_masked_header(const struct request *r, const struct field *f)
{
    return f->never_index || slice_eq(f->name, SLICE("ocp-apim-subscription-key")) ||
           (r->host.masked_header.n > 0 && slice_eq(f->name, r->host.masked_header));
}

static void mask(struct request *r)
{
    struct record *record = &r->record;
    struct slice authority = record->url;
    record->original_path = mask_url(r, record->original_path);
    record->upstream_url = mask_url(r, record->upstream_url);
    r->head->path = mask_url(r, r->head->path);
    if (r->host.secret_url) {
        record->upstream_url = hide_path(r->host.arena, record->upstream_url);
        r->head->path = SLICE("/***");
    }
    record->url = slice_of(arena_printf(r->host.arena, "%.*s://%.*s%.*s", SLICE_ARG(r->head->scheme), SLICE_ARG(authority),
                                        SLICE_ARG(record->original_path)));
    for (unsigned i = 0; i < r->head->n; i++) {
        if (is_masked_header(r, &r->head->fields[i])) {
            r->head->fields[i].value = SLICE("***");
        }
    }
}

static void count(struct request *r)
{
    unsigned slot = loop_index(r->owner->loop);
    struct hcm_stats *s = r->stats;
    struct stat_handle *by_class[] = {s->rq_5xx, s->rq_1xx, s->rq_2xx, s->rq_3xx, s->rq_4xx, s->rq_5xx};
    stat_add(s->rq_completed, slot, 1);
    if (r->record.status >= 100 && r->record.status < 600) {
        stat_add(by_class[r->record.status / 100], slot, 1);
    }
    if (r->host.apim.traces + r->host.apim.metrics > 0) {
        stat_add(s->policy_traces, slot, r->host.apim.traces);
        stat_add(s->policy_metrics, slot, r->host.apim.metrics);
    }
    stat_record(s->rq_time, slot, (uint64_t)(r->record.end_us - r->record.start_us) / 1000);
}

void record_finish(struct request *r)
{
    struct record *record = &r->record;
    record->end_us = loop_now_us(r->owner->loop);
    if (r->head == NULL) {
        return; /* it never had a head: the codec has said so already */
    }
    count(r);
    if (r->hcm->n_access_logs == 0) {
        return;
    }
    record->bytes_received = r->down->bytes_in;
    record->bytes_sent = r->down->bytes_out;
    record->request_id = record->correlation_id = r->host.correlation_id;
    if (r->held != NULL) {
        fill_api(r);
    }
    fill_error(r);
    mask(r);
    for (size_t i = 0; i < r->hcm->n_access_logs; i++) {
        access_log_write(r->hcm->access_logs[i], record);
    }
}
