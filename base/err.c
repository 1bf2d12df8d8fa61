#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
    if (err == NULL) {
        return false;
    }
    err_clear(err);
    err->kind = kind;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return false;
}

bool err_errno(struct err *err, int os_errno, const char *fmt, ...)
{
    if (err == NULL) {
        return false;
    }
    err_clear(err);
    err->kind = ERR_IO;
    err->os_errno = os_errno;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->text) {
        char reason[128];
        snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", strerror_r(os_errno, reason, sizeof reason));
    }
    return false;
}

bool err_prefix(struct err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return false;
    }
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof text) {
        snprintf(text + n, sizeof text - (size_t)n, ": %.*s", (int)(sizeof text - (size_t)n) - 3 > 0 ? (int)(sizeof text - (size_t)n) - 3 : 0, err->text);
    }
    memcpy(err->text, text, sizeof text);
    return false;
}

void err_clear(struct err *err)
{
    err->kind = ERR_NONE;
    err->side = ERR_SIDE_NONE;
    err->retry = ERR_RETRY_NEVER;
    err->os_errno = 0;
    err->text[0] = '\0';
}

struct err *err_keep(const struct err *err)
{
    if (err->kind == ERR_NONE) {
        return NULL;
    }
    struct err *kept = mem_alloc(sizeof *kept);
    kept->kind = err->kind;
    kept->side = err->side;
    kept->retry = err->retry;
    kept->os_errno = err->os_errno;
    snprintf(kept->text, sizeof kept->text, "%s", err->text);
    return kept;
}

const struct err *err_kept(const struct err *kept)
{
    static const struct err none = {.kind = ERR_NONE};
    return kept == NULL ? &none : kept;
}

const char *err_kind_name(enum err_kind kind)
{
    static const char *const names[] = {
        [ERR_NONE] = "none",       [ERR_INPUT] = "input",   [ERR_UNSUPPORTED] = "unsupported",
        [ERR_LIMIT] = "limit",     [ERR_NOT_FOUND] = "not found", [ERR_DENIED] = "denied",
        [ERR_IO] = "io",           [ERR_RESET] = "reset",   [ERR_TLS] = "tls",
        [ERR_PROTOCOL] = "protocol", [ERR_TIMEOUT] = "timeout", [ERR_RESOLVE] = "resolve",
        [ERR_OVERFLOW] = "overflow",
    };
    return names[kind];
}
