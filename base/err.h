/*
 * err: what went wrong, filled by the callee on the caller's stack. Functions that can fail return false and
 * fill it; parsers return more / done / bad. Lower rooms never log it; whoever decides logs it once.
 * The text is for people: it names the thing, then the reason ("clusters[2].lb_policy: …"). Never a secret.
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>

enum err_kind {
    ERR_NONE,
    ERR_INPUT,       /* malformed: bytes, syntax, a value out of range */
    ERR_UNSUPPORTED, /* well-formed, but not built */
    ERR_LIMIT,       /* a configured limit was reached */
    ERR_NOT_FOUND,
    ERR_DENIED,   /* authentication or permission */
    ERR_IO,       /* a system call failed; os_errno says how */
    ERR_RESET,    /* the peer, or we, cut the connection or stream */
    ERR_TLS,      /* handshake or record failure */
    ERR_PROTOCOL, /* the peer broke HTTP, gRPC, xDS rules */
    ERR_TIMEOUT,
    ERR_RESOLVE, /* a name has no address */
    ERR_OVERFLOW, /* circuit breaker, queue full */
};

enum err_side { ERR_SIDE_NONE, ERR_SIDE_DOWNSTREAM, ERR_SIDE_UPSTREAM, ERR_SIDE_LOCAL };

/* May the request be sent again? ALWAYS: no byte of it left our buffers, or the peer said it did nothing. */
enum err_retry { ERR_RETRY_NEVER, ERR_RETRY_IF_IDEMPOTENT, ERR_RETRY_ALWAYS };

struct err {
    enum err_kind kind;
    enum err_side side;
    enum err_retry retry;
    int os_errno; /* 0 when no system call is behind it */
    char text[480];
};

/* All return false, so that `return err_set(err, …)` reads as a failure. err may be NULL. */
bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool err_errno(struct err *err, int os_errno, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "context: " before the text. */
bool err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *err); /* cheap: of the text only the first byte is written */
/* For what may fail once in its life: a copy in libc memory, NULL for ERR_NONE; and what a kept one (or NULL) says. */
struct err *err_keep(const struct err *err);
const struct err *err_kept(const struct err *kept);
const char *err_kind_name(enum err_kind kind);
