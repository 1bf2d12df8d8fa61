#include "base/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"

static _Atomic enum log_level level_now = LOG_INFO;
static _Atomic int fd_now = STDERR_FILENO;

static const char *const names[] = {"trace", "debug", "info", "warning", "error", "critical", "off"};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_now, level, memory_order_relaxed);
}

enum log_level log_level(void)
{
    return atomic_load_explicit(&level_now, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
    return names[level];
}

bool log_level_parse(struct slice name, enum log_level *out)
{
    if (slice_eq(name, SLICE("warn"))) {
        *out = LOG_WARN;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, slice_of(names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_open(const char *path)
{
    int fd = STDERR_FILENO;
    if (path != NULL && !slice_eq(slice_of(path), SLICE("/dev/stderr"))) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0) {
            return false;
        }
    }
    int old = atomic_exchange(&fd_now, fd);
    if (old != STDERR_FILENO && old != fd) {
        close(old);
    }
    return true;
}

void log_write(enum log_level level, const char *component, const char *fmt, ...)
{
    char line[2048];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "[%Y-%m-%d %H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ld][%s][%s] ", now.tv_nsec / 1000000, component, names[level]);
    va_list args;
    va_start(args, fmt);
    int more = vsnprintf(line + n, sizeof line - n - 1, fmt, args);
    va_end(args);
    n = more < 0 ? n : (size_t)more >= sizeof line - n - 1 ? sizeof line - 2 : n + (size_t)more;
    line[n++] = '\n';
    ssize_t done = write(atomic_load(&fd_now), line, n);
    (void)done; /* a log that cannot be written has nobody to tell */
}
