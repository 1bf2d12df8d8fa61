/*
 * log_sink: the one thread that owns the files of the access logs. Whoever logs hands over a finished line and goes
 * on; a full queue drops the line and counts it. Files are opened when a logger is configured, so that a path which
 * cannot be opened is refused there, and closed after the last line of the last logger that uses them.
 *
 * There is one sink a process, as there is one process log: loggers are built by extensions, which are given nothing
 * but their message. Without one (validating a configuration) files are neither opened nor written; create it before
 * the configuration that is to run is built.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct log_sink;
struct log_file;
struct stats;

enum { LOG_SINK_QUEUE = 4 << 20, LOG_SINK_DELAY_MS = 20 };

/* Starts the thread; the process must not have a sink. Main thread. */
struct log_sink *log_sink_create(size_t queue_bytes, struct err *err);
/* Writes what is queued, then ends. Workers must have stopped; files that loggers still hold stay valid but silent. */
void log_sink_destroy(struct log_sink **sink);
/* Opens every file again under its name, after it was moved away (SIGUSR1). Any thread but signal handlers. */
void log_sink_reopen(struct log_sink *sink);

struct log_sink_counts {
    uint64_t lines, dropped; /* taken into the queue; refused by it */
    uint64_t failed;         /* lines lost to a write that failed */
    uint64_t reopen_failed;  /* the old file stays in use */
};
struct log_sink_counts log_sink_counts(const struct log_sink *sink);

/* A file by its path, shared by all that name it; "/dev/stdout" and "/dev/stderr" are the process's own. Main thread.
 */
struct log_file *log_file_open(struct slice path, struct err *err);
void log_file_close(struct log_file **file); /* main thread; nobody writes any more */
/* One whole line. Any thread. */
void log_file_write(struct log_file *file, struct slice line);
