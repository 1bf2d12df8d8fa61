/*
 * stats_render: the statistics as text, in Envoy's shapes: /stats, /stats?format=json, /stats/prometheus. Reads the
 * registry under its mutex; any thread, off the request path.
 */
#pragma once
#include "base/err.h"
#include "base/stat/stat.h"
#include "base/strbuf.h"

struct stats_filter;

/* Which statistics are shown. pattern: a POSIX extended regular expression searched for in the dotted name; empty: all.
 * used_only: leaves out what is zero. NULL with err when the pattern is not acceptable (back-references and counted
 * repetitions are not: they cost without bound). */
struct stats_filter *stats_filter_create(struct slice pattern, bool used_only, struct err *err);
void stats_filter_destroy(struct stats_filter **f);

/* filter NULL: everything. */
void stats_render_text(struct stats *stats, const struct stats_filter *filter, struct strbuf *out);
void stats_render_json(struct stats *stats, const struct stats_filter *filter, struct strbuf *out);
void stats_render_prometheus(struct stats *stats, const struct stats_filter *filter, struct strbuf *out);
