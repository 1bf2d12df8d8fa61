/*
 * policy: one APIM policy document, compiled. Mirrors egret.apim.v1.PolicyProgram (four sections of instructions in
 * document order), with one more instruction, CLOSED: what stands there cannot run yet, so whoever reaches it is
 * closed. Programs are immutable after compiling and owned by whoever compiled them. Control server's main thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum policy_section { POLICY_INBOUND, POLICY_BACKEND, POLICY_OUTBOUND, POLICY_ON_ERROR };
#define POLICY_SECTIONS 4

enum policy_op {
    POLICY_BASE,                /* the same section of the next wider scope, in place */
    POLICY_FORWARD_REQUEST,     /* timeout_s; 0: not given */
    POLICY_SET_BACKEND_SERVICE, /* backend_id or base_url, the other is NULL */
    POLICY_CLOSED,              /* reason */
};

struct policy_instruction {
    enum policy_op op;
    uint32_t line;   /* in the source document; 1 for a section that the document leaves out */
    uint32_t column; /* 0: not known */
    uint32_t timeout_s;
    const char *backend_id; /* as written */
    const char *base_url;   /* literal, named values already in place */
    const char *reason;     /* without file and line */
};

struct policy_list {
    const struct policy_instruction *items;
    size_t n;
};

struct policy_program {
    struct policy_list sections[POLICY_SECTIONS];
    bool uses_named_values; /* "{{name}}" stands somewhere: compile again when named values change */
    struct arena *arena;    /* everything above lives here */
};

struct policy_limits {
    size_t max_bytes;
    unsigned max_depth;
};
#define POLICY_LIMITS_DEFAULT ((struct policy_limits){.max_bytes = 512 * 1024, .max_depth = 100})

/* What {{name}} stands for. Returns NULL when it may be put into the text; else why not (static or long-lived). */
struct policy_named_values {
    const char *(*find)(void *ctx, struct slice name, struct slice *value);
    void *ctx;
};

/*
 * Never fails: a document that cannot be read, or whose root is not <policies>, gives a program whose four sections
 * hold one CLOSED each. reason then is the reader's message, line where it stopped.
 */
struct policy_program *policy_compile(struct slice document, const struct policy_named_values *values,
                                      struct policy_limits limits);
/* A program that closes whoever reaches it, for a reason that stands outside the document. */
struct policy_program *policy_closed(const char *reason);
void policy_destroy(struct policy_program **program);
const char *policy_section_name(enum policy_section section); /* "inbound", … */
bool policy_is_closed(const struct policy_program *program);  /* some section holds a CLOSED */

/*
 * The effective policy of one operation in one context. scopes: most specific first (operation, API, product,
 * workspace, service), NULL where a scope has no document. What stands behind the last scope's <base/> is APIM's
 * built-in document: <forward-request/> in the backend section, nothing elsewhere.
 */
struct policy_effect {
    const struct policy_instruction *closed;  /* the first CLOSED reached in any section; NULL: none */
    size_t closed_scope;                      /* index in scopes of the document it stands in */
    const struct policy_instruction *backend; /* last set-backend-service reached in inbound, or NULL */
    size_t backend_scope;
    unsigned forwards; /* how many forward-request are reached in the backend section */
};
void policy_link(const struct policy_program *const *scopes, size_t n, struct policy_effect *out);
