/*
 * completions: gRPC's completion queue with the one thread that waits on it. What completes is handed over through a
 * list and an eventfd; the owner's thread watches the fd and calls completions_run, where every callback happens.
 */
#pragma once
#include <grpc/grpc.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/list.h"

struct completions;

/* One operation under way: stands in its owner, which must live until fn was called (exactly once a start). */
struct completion {
    void (*fn)(void *owner, bool ok);
    void *owner;
    bool ok;
    struct list node;
};

struct completions *completions_create(struct err *err);
void completions_destroy(struct completions **completions); /* when nothing is under way any more */
grpc_completion_queue *completions_queue(struct completions *completions);
int completions_fd(const struct completions *completions);
void completions_run(struct completions *completions);
