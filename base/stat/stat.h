/*
 * stat: counters, gauges and histograms, registered by whoever counts and rendered by whoever is asked.
 *
 * Each thread counts in a slot of its own, so counting takes no lock and shares no cache line; reading sums the
 * slots. Registering, releasing and enumerating take the registry's mutex: any thread, off the request path.
 * A handle stays valid until it is released; its owner sees to it that nobody counts with it after that.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct stats;
struct stat_handle;

enum stat_kind { STAT_COUNTER, STAT_GAUGE, STAT_HISTOGRAM };

struct stats *stats_create(unsigned slots); /* workers and the main thread */
void stats_destroy(struct stats **stats);   /* handles that are left end with it */
unsigned stats_slots(const struct stats *stats);

/*
 * The pattern is the dotted name with tags in place: "cluster.{envoy_cluster_name}.upstream_rq_total", one value
 * for each tag, in order. "/stats" shows the name with the values in it; Prometheus the name without, and labels.
 * The same kind, pattern and values give the same statistic again; each registration is released once.
 */
struct stat_handle *stat_counter(struct stats *stats, const char *pattern, const struct slice *values);
struct stat_handle *stat_gauge(struct stats *stats, const char *pattern, const struct slice *values);
struct stat_handle *stat_histogram(struct stats *stats, const char *pattern, const struct slice *values);
void stat_release(struct stat_handle **stat);

/* Only the slot's own thread may call these. */
void stat_add(struct stat_handle *stat, unsigned slot, uint64_t n); /* counter, gauge */
void stat_sub(struct stat_handle *stat, unsigned slot,
              uint64_t n); /* gauge; may be another slot than the one that added */
void stat_set(struct stat_handle *stat, unsigned slot, uint64_t value);    /* a gauge that only this slot writes */
void stat_record(struct stat_handle *stat, unsigned slot, uint64_t value); /* histogram; the unit is the name's */

uint64_t stat_value(const struct stat_handle *stat); /* counter, gauge: the sum; histogram: how many were recorded */

/*
 * Log-linear: values below 8 are exact, above that eight buckets for each power of two (at most 12.5 % wide), and
 * one bucket for everything from 2^40 on.
 */
enum { STAT_BUCKETS = 8 + 37 * 8 + 1 };

struct stat_buckets {
    uint64_t count, sum;
    uint64_t bucket[STAT_BUCKETS];
};

unsigned stat_bucket_of(uint64_t value);
uint64_t stat_bucket_low(unsigned bucket);  /* the smallest value in it */
uint64_t stat_bucket_high(unsigned bucket); /* the largest */
void stat_read_buckets(const struct stat_handle *stat, struct stat_buckets *out);
double stat_quantile(const struct stat_buckets *b, double q);            /* 0 … 1, within its bucket by proportion */
uint64_t stat_count_below(const struct stat_buckets *b, uint64_t bound); /* values <= bound, to a bucket's width */

struct stat_tag {
    struct slice name, value;
};

/* What an enumeration shows of one statistic; valid during the call. */
struct stat_view {
    enum stat_kind kind;
    struct slice name;      /* with the tag values in place */
    struct slice base_name; /* without */
    const struct stat_tag *tags;
    size_t n_tags;
    uint64_t value;
    const struct stat_handle *stat; /* for stat_read_buckets */
};

/* In the order of base_name, then name. The visitor must not register or release. */
void stats_each(struct stats *stats, void (*visit)(void *ctx, const struct stat_view *view), void *ctx);
