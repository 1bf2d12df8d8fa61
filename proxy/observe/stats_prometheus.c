/* Prometheus' text format 0.0.4, with Envoy's names: tags become labels, everything odd an underscore. */
#include <string.h>

#include "base/macros.h"
#include "proxy/observe/stats_filter.h"

/* Envoy's bucket bounds; what we count is whole, so that "0.5" is what is at most 0. */
static const struct {
    uint64_t bound;
    const char *text;
} bounds[] = {{0, "0.5"},          {1, "1"},           {5, "5"},
              {10, "10"},          {25, "25"},         {50, "50"},
              {100, "100"},        {250, "250"},       {500, "500"},
              {1000, "1000"},      {2500, "2500"},     {5000, "5000"},
              {10000, "10000"},    {30000, "30000"},   {60000, "60000"},
              {300000, "300000"},  {600000, "600000"}, {1800000, "1800000"},
              {3600000, "3600000"}};

struct page {
    const struct stats_filter *filter;
    struct strbuf *out;
    struct strbuf name, last; /* metric name; the one that has its TYPE line */
    struct strbuf labels;     /* without braces */
};

static void add_name(struct strbuf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        strbuf_add_char(out, fine ? c : '_');
    }
}

static void add_label_value(struct strbuf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\n') {
            strbuf_add_str(out, "\\n");
            continue;
        }
        if (text.p[i] == '"' || text.p[i] == '\\') {
            strbuf_add_char(out, '\\');
        }
        strbuf_add_char(out, text.p[i]);
    }
}

static void set_labels(struct strbuf *labels, const struct stat_view *view)
{
    strbuf_clear(labels);
    for (size_t i = 0; i < view->n_tags; i++) {
        if (i > 0) {
            strbuf_add_char(labels, ',');
        }
        add_name(labels, view->tags[i].name);
        strbuf_add_str(labels, "=\"");
        add_label_value(labels, view->tags[i].value);
        strbuf_add_char(labels, '"');
    }
}

static void write_type(struct page *p, enum stat_kind kind)
{
    static const char *const kinds[] = {
        [STAT_COUNTER] = "counter", [STAT_GAUGE] = "gauge", [STAT_HISTOGRAM] = "histogram"};
    if (slice_eq(strbuf_slice(&p->name), strbuf_slice(&p->last))) {
        return;
    }
    strbuf_clear(&p->last);
    strbuf_add(&p->last, strbuf_slice(&p->name));
    strbuf_printf(p->out, "# TYPE %s %s\n", p->name.p, kinds[kind]);
}

static void write_bucket(struct page *p, const char *bound, uint64_t count)
{
    strbuf_printf(p->out, "%s_bucket{%s%sle=\"%s\"} %llu\n", p->name.p, strbuf_cstr(&p->labels),
                  p->labels.n > 0 ? "," : "", bound, (unsigned long long)count);
}

static void write_histogram(struct page *p, const struct stat_view *view)
{
    struct stat_buckets b;
    stat_read_buckets(view->stat, &b);
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        write_bucket(p, bounds[i].text, stat_count_below(&b, bounds[i].bound));
    }
    write_bucket(p, "+Inf", b.count);
    strbuf_printf(p->out, "%s_sum{%s} %llu\n", p->name.p, strbuf_cstr(&p->labels), (unsigned long long)b.sum);
    strbuf_printf(p->out, "%s_count{%s} %llu\n", p->name.p, strbuf_cstr(&p->labels), (unsigned long long)b.count);
}

static void write_one(void *ctx, const struct stat_view *view)
{
    struct page *p = ctx;
    if (!stats_filter_passes(p->filter, view)) {
        return;
    }
    strbuf_clear(&p->name);
    strbuf_add_str(&p->name, "envoy_");
    add_name(&p->name, view->base_name);
    set_labels(&p->labels, view);
    write_type(p, view->kind);
    if (view->kind == STAT_HISTOGRAM) {
        write_histogram(p, view);
        return;
    }
    strbuf_printf(p->out, "%s{%s} %llu\n", p->name.p, strbuf_cstr(&p->labels), (unsigned long long)view->value);
}

void stats_render_prometheus(struct stats *stats, const struct stats_filter *filter, struct strbuf *out)
{
    struct page p = {.filter = filter, .out = out};
    strbuf_init(&p.name);
    strbuf_init(&p.last);
    strbuf_init(&p.labels);
    stats_each(stats, write_one, &p);
    strbuf_fini(&p.name);
    strbuf_fini(&p.last);
    strbuf_fini(&p.labels);
}
