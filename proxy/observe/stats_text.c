/* The dotted-name forms: text and JSON, both sorted by name, histograms last. */
#include <stdlib.h>

#include "base/macros.h"
#include "base/mem.h"
#include "proxy/observe/stats_filter.h"

static const struct {
    double q;
    const char *name;
} quantiles[] = {{0, "0"},     {0.25, "25"}, {0.5, "50"},     {0.75, "75"},    {0.9, "90"},
                 {0.95, "95"}, {0.99, "99"}, {0.995, "99.5"}, {0.999, "99.9"}, {1, "100"}};

/* What is copied out of the enumeration, to be sorted; texts lie one behind the other in `texts`. */
struct entry {
    size_t name, name_n, text, text_n;
    const char *base; /* of `texts`, once it stands still */
};

struct collector {
    const struct stats_filter *filter;
    bool histograms; /* these, or everything else */
    void (*write)(struct strbuf *out, const struct stat_view *view);
    struct strbuf texts;
    struct entry *entries;
    size_t n, cap;
};

static void collect(void *ctx, const struct stat_view *view)
{
    struct collector *c = ctx;
    if ((view->kind == STAT_HISTOGRAM) != c->histograms || !stats_filter_passes(c->filter, view)) {
        return;
    }
    if (c->n == c->cap) {
        c->cap = c->cap == 0 ? 64 : c->cap * 2;
        c->entries = mem_resize(c->entries, c->cap * sizeof *c->entries);
    }
    struct entry *e = &c->entries[c->n++];
    *e = (struct entry){.name = c->texts.n, .name_n = view->name.n};
    strbuf_add(&c->texts, view->name);
    e->text = c->texts.n;
    c->write(&c->texts, view);
    e->text_n = c->texts.n - e->text;
}

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return slice_cmp(slice_make(x->base + x->name, x->name_n), slice_make(y->base + y->name, y->name_n));
}

static void add_sorted(struct collector *c, struct stats *stats, const char *between, struct strbuf *out)
{
    strbuf_init(&c->texts);
    stats_each(stats, collect, c);
    for (size_t i = 0; i < c->n; i++) {
        c->entries[i].base = c->texts.p;
    }
    if (c->n > 0) {
        qsort(c->entries, c->n, sizeof *c->entries, by_name);
    }
    for (size_t i = 0; i < c->n; i++) {
        if (i > 0) {
            strbuf_add_str(out, between);
        }
        strbuf_add(out, slice_make(c->texts.p + c->entries[i].text, c->entries[i].text_n));
    }
    strbuf_fini(&c->texts);
    mem_free(c->entries);
}

static void write_text_value(struct strbuf *out, const struct stat_view *view)
{
    strbuf_add(out, view->name);
    strbuf_printf(out, ": %llu\n", (unsigned long long)view->value);
}

/* Envoy shows (interval,cumulative); intervals are not kept here. */
static void write_text_histogram(struct strbuf *out, const struct stat_view *view)
{
    struct stat_buckets b;
    stat_read_buckets(view->stat, &b);
    strbuf_add(out, view->name);
    strbuf_add_char(out, ':');
    if (b.count == 0) {
        strbuf_add_str(out, " No recorded values\n");
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        strbuf_printf(out, " P%s(nan,%.6g)", quantiles[i].name, stat_quantile(&b, quantiles[i].q));
    }
    strbuf_add_char(out, '\n');
}

void stats_render_text(struct stats *stats, const struct stats_filter *filter, struct strbuf *out)
{
    struct collector values = {.filter = filter, .write = write_text_value};
    add_sorted(&values, stats, "", out);
    struct collector histograms = {.filter = filter, .histograms = true, .write = write_text_histogram};
    add_sorted(&histograms, stats, "", out);
}

static void write_json_value(struct strbuf *out, const struct stat_view *view)
{
    strbuf_add_str(out, "{\"name\":");
    strbuf_add_json(out, view->name);
    strbuf_printf(out, ",\"value\":%llu}", (unsigned long long)view->value);
}

static void write_json_histogram(struct strbuf *out, const struct stat_view *view)
{
    struct stat_buckets b;
    stat_read_buckets(view->stat, &b);
    strbuf_add_str(out, "{\"name\":");
    strbuf_add_json(out, view->name);
    strbuf_add_str(out, ",\"values\":[");
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        strbuf_add_str(out, i > 0 ? ",{\"interval\":null,\"cumulative\":" : "{\"interval\":null,\"cumulative\":");
        if (b.count == 0) {
            strbuf_add_str(out, "null}");
        } else {
            strbuf_printf(out, "%.6g}", stat_quantile(&b, quantiles[i].q));
        }
    }
    strbuf_add_str(out, "]}");
}

void stats_render_json(struct stats *stats, const struct stats_filter *filter, struct strbuf *out)
{
    struct collector values = {.filter = filter, .write = write_json_value};
    strbuf_add_str(out, "{\"stats\":[");
    size_t before = out->n;
    add_sorted(&values, stats, ",", out);
    strbuf_add_str(out, out->n > before ? ",{\"histograms\":{\"supported_quantiles\":["
                                        : "{\"histograms\":{\"supported_quantiles\":[");
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
        strbuf_printf(out, i > 0 ? ",%s" : "%s", quantiles[i].name);
    }
    strbuf_add_str(out, "],\"computed_quantiles\":[");
    struct collector histograms = {.filter = filter, .histograms = true, .write = write_json_histogram};
    add_sorted(&histograms, stats, ",", out);
    strbuf_add_str(out, "]}}]}");
}
