/* result: what the generator counts, and the line of JSON it ends with. One owner: the run. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"
#include "options.h"

enum { RESULT_NAMES_MAX = 64, RESULT_FAILURES_MAX = 20 };

struct result_count {
    char name[64];
    uint64_t n;
    int64_t first_us, last_us; /* wall clock */
};

struct result_counts {
    struct result_count items[RESULT_NAMES_MAX]; /* further names share the last one, "other" */
    size_t n;
};

struct result {
    uint64_t sent, ok, failed, connections;
    struct result_counts reasons, statuses, collected;
    int64_t last_ok_us, longest_gap_us, longest_gap_at_us;
    uint32_t *latencies_us;
    size_t latency_count, latency_cap;
    uint64_t watch_matched;
    int64_t watch_first_us, watch_last_other_us; /* wall clock; 0: never */
    struct {
        int64_t at_us;
        char reason[64];
    } failures[RESULT_FAILURES_MAX];
    size_t failure_count;
};

void result_fini(struct result *r);
/* due: monotonic, when the request should have left. The body may be cut. */
void result_answer(struct result *r, const struct options *o, int64_t due_us, int status, struct slice body);
void result_failure(struct result *r, const char *reason);
void result_print(const struct result *r, FILE *out, double seconds);
