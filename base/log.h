/*
 * log: the process's own log (not the access log). One line a record, to stderr or a file, any thread.
 * "[2026-01-02 03:04:05.678][component][level] text". Never a secret. Lower rooms do not log.
 */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_CRITICAL, LOG_OFF };

void log_set_level(enum log_level level);
enum log_level log_level(void);
bool log_level_parse(struct slice name, enum log_level *out); /* Envoy's names; "warning" and "warn" are one */
const char *log_level_name(enum log_level level);
bool log_open(const char *path); /* appends; NULL or "/dev/stderr" = stderr; false leaves the old one */
void log_write(enum log_level level, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define LOG(level, component, ...)                                                                                     \
    do {                                                                                                               \
        if ((level) >= log_level()) {                                                                                  \
            log_write((level), (component), __VA_ARGS__);                                                              \
        }                                                                                                              \
    } while (0)
