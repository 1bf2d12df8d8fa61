#include "result.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"

static size_t find(const struct result_counts *c, struct slice name)
{
    size_t i = 0;
    while (i < c->n && !slice_eq(slice_of(c->items[i].name), slice_sub(name, 0, sizeof c->items[i].name - 1))) {
        i++;
    }
    return i;
}

static void count(struct result_counts *c, struct slice name)
{
    int64_t now = clock_wall_us();
    size_t i = find(c, name);
    if (i == c->n && c->n == RESULT_NAMES_MAX - 1) {
        name = SLICE("other");
        i = find(c, name);
    }
    if (i == RESULT_NAMES_MAX) {
        i--; /* the last place is "other" by now */
    } else if (i == c->n) {
        snprintf(c->items[i].name, sizeof c->items[i].name, "%.*s", SLICE_ARG(name));
        c->items[i].first_us = now;
        c->n++;
    }
    c->items[i].n++;
    c->items[i].last_us = now;
}

void result_fini(struct result *r)
{
    mem_free(r->latencies_us);
}

void result_failure(struct result *r, const char *reason)
{
    r->failed++;
    count(&r->reasons, slice_of(reason));
    if (r->failure_count < RESULT_FAILURES_MAX) {
        r->failures[r->failure_count].at_us = clock_wall_us();
        snprintf(r->failures[r->failure_count].reason, sizeof r->failures[0].reason, "%s", reason);
        r->failure_count++;
    }
}

static void note_ok(struct result *r, int64_t due_us)
{
    int64_t now = clock_mono_us();
    if (r->last_ok_us != 0 && now - r->last_ok_us > r->longest_gap_us) {
        r->longest_gap_us = now - r->last_ok_us;
        r->longest_gap_at_us = clock_wall_us();
    }
    r->last_ok_us = now;
    r->ok++;
    if (r->latency_count == r->latency_cap) {
        r->latency_cap = r->latency_cap == 0 ? 4096 : r->latency_cap * 2;
        r->latencies_us = mem_resize(r->latencies_us, r->latency_cap * sizeof r->latencies_us[0]);
    }
    int64_t took = now - due_us;
    r->latencies_us[r->latency_count++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

static void look_into(struct result *r, const struct options *o, const char *body)
{
    regmatch_t groups[2];
    if (o->watch) {
        if (regexec(&o->watch_body, body, 0, NULL, 0) == 0) {
            r->watch_matched++;
            r->watch_first_us = r->watch_first_us == 0 ? clock_wall_us() : r->watch_first_us;
        } else {
            r->watch_last_other_us = clock_wall_us();
        }
    }
    if (o->collect && regexec(&o->collect_body, body, 2, groups, 0) == 0 && groups[1].rm_so >= 0) {
        count(&r->collected, slice_make(body + groups[1].rm_so, (size_t)(groups[1].rm_eo - groups[1].rm_so)));
    }
}

void result_answer(struct result *r, const struct options *o, int64_t due_us, int status, struct slice body)
{
    char text[32];
    snprintf(text, sizeof text, "%d", status);
    count(&r->statuses, slice_of(text));
    bool expected = false;
    for (size_t i = 0; i < o->expect_count; i++) {
        expected = expected || o->expect[i] == status;
    }
    if (!expected) {
        snprintf(text, sizeof text, "status_%d", status);
        result_failure(r, text);
        return;
    }
    note_ok(r, due_us);
    if (o->watch || o->collect) {
        char *copy = mem_str_slice(body);
        look_into(r, o, copy);
        mem_free(copy);
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void add_counts(struct strbuf *s, const char *key, const struct result_counts *c)
{
    strbuf_printf(s, ", \"%s\": {", key);
    for (size_t i = 0; i < c->n; i++) {
        strbuf_add_str(s, i == 0 ? "" : ", ");
        strbuf_add_json(s, slice_of(c->items[i].name));
        strbuf_printf(s, ": {\"n\": %llu, \"first_unix_ms\": %.3f, \"last_unix_ms\": %.3f}",
                      (unsigned long long)c->items[i].n, (double)c->items[i].first_us / 1000,
                      (double)c->items[i].last_us / 1000);
    }
    strbuf_add_char(s, '}');
}

static void add_latencies(struct strbuf *s, const struct result *r)
{
    static const struct {
        const char *name;
        double part;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    uint32_t *sorted = mem_alloc((r->latency_count + 1) * sizeof sorted[0]);
    if (r->latency_count > 0) {
        memcpy(sorted, r->latencies_us, r->latency_count * sizeof sorted[0]);
        qsort(sorted, r->latency_count, sizeof sorted[0], by_value);
    }
    strbuf_add_str(s, ", \"latency_ms\": {");
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        size_t at = (size_t)((double)r->latency_count * points[i].part);
        at = at >= r->latency_count && at > 0 ? r->latency_count - 1 : at;
        strbuf_printf(s, "%s\"%s\": %.3f", i == 0 ? "" : ", ", points[i].name, (double)sorted[at] / 1000);
    }
    strbuf_add_char(s, '}');
    mem_free(sorted);
}

void result_print(const struct result *r, FILE *out, double seconds)
{
    struct strbuf s;
    strbuf_init(&s);
    strbuf_printf(&s, "{\"sent\": %llu, \"ok\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"connections\": %llu",
                  (unsigned long long)r->sent, (unsigned long long)r->ok, (unsigned long long)r->failed, seconds,
                  (unsigned long long)r->connections);
    strbuf_printf(&s, ", \"longest_gap_ms\": %.3f, \"longest_gap_end_unix_ms\": %.3f", (double)r->longest_gap_us / 1000,
                  (double)r->longest_gap_at_us / 1000);
    add_counts(&s, "reasons", &r->reasons);
    add_counts(&s, "statuses", &r->statuses);
    add_counts(&s, "collected", &r->collected);
    add_latencies(&s, r);
    strbuf_printf(&s, ", \"watch\": {\"matched\": %llu, \"first_unix_ms\": %.3f, \"last_other_unix_ms\": %.3f}",
                  (unsigned long long)r->watch_matched, (double)r->watch_first_us / 1000,
                  (double)r->watch_last_other_us / 1000);
    strbuf_add_str(&s, ", \"failures\": [");
    for (size_t i = 0; i < r->failure_count; i++) {
        strbuf_printf(&s, "%s{\"unix_ms\": %.3f, \"reason\": ", i == 0 ? "" : ", ",
                      (double)r->failures[i].at_us / 1000);
        strbuf_add_json(&s, slice_of(r->failures[i].reason));
        strbuf_add_char(&s, '}');
    }
    fprintf(out, "%s]}\n", strbuf_cstr(&s));
    fflush(out);
    strbuf_fini(&s);
}
