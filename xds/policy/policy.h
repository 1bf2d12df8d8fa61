/*
 * policy: one APIM policy document, compiled. Mirrors egret.apim.v1.PolicyProgram (four sections of instructions in
 * document order). What cannot run is a CLOSED: whoever reaches it is closed. Programs are immutable after compiling and owned by whoever compiled them. Control server's main thread.
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
    POLICY_FORWARD_REQUEST,     /* message */
    POLICY_SET_BACKEND_SERVICE, /* backend_id or base_url, the other is NULL */
    POLICY_STEP,                /* message: any other instruction, which goes on with the next */
    POLICY_RETURN,              /* message: the pipeline ends here */
    POLICY_CLOSED,              /* reason */
};

struct Egret__Apim__V1__Instruction;

struct policy_instruction {
    enum policy_op op;
    uint32_t line;    /* in the source document; 1 for a section that the document leaves out */
    uint32_t column;  /* 0: not known */
    const char *file; /* of the fragment it stands in; NULL: the document itself */
    uint32_t timeout_s;
    const char *backend_id; /* as written */
    const char *base_url;   /* literal, named values already in place */
    const char *reason;     /* without file and line */
    struct Egret__Apim__V1__Instruction *message; /* as it is sent, but for the line */
    bool has_effect; /* there is something to see from outside */
    const char *proxy; /* a STEP: "host:port" that the backend is reached through; else NULL */
    bool mocks;      /* a RETURN: needs the examples of the operation's specification */
};

/* An expression, as text: nothing evaluates it yet. */
struct policy_expression {
    struct slice text; /* with "@(" and ")", as written */
    uint32_t line, column;
};

struct policy_list {
    const struct policy_instruction *items;
    size_t n;
};

struct policy_program {
    struct policy_list sections[POLICY_SECTIONS];
    bool uses_named_values; /* "{{name}}" stands somewhere: compile again when named values change */
    bool uses_fragments;    /* likewise for <include-fragment> */
    const char *const *secrets; /* resource names of the secrets that instructions refer to */
    size_t secret_count;
    const struct policy_expression *expressions; /* of the document, not of its fragments; in order */
    size_t expression_count;
    struct arena *arena; /* everything above lives here */
};

struct policy_limits {
    size_t max_bytes;
    unsigned max_depth;
};
#define POLICY_LIMITS_DEFAULT ((struct policy_limits){.max_bytes = 512 * 1024, .max_depth = 100})

/*
 * What a document may ask for. find_value: what {{name}} stands for; *secret is set instead of *value when it must not
 * stand in the open. find_fragment: its text and file. Both return NULL, or why not (static or long-lived).
 */
struct policy_sources {
    const char *(*find_value)(void *ctx, struct slice name, struct slice *value, const char **secret);
    const char *(*find_fragment)(void *ctx, struct slice id, struct slice *text, const char **file);
    void *ctx;
};

/*
 * Never fails: a document that cannot be read, or whose root is not <policies>, gives a program whose four sections
 * hold one CLOSED each. reason then is the reader's message, line where it stopped.
 */
struct policy_program *policy_compile(struct slice document, const struct policy_sources *sources,
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
    const struct policy_instruction *closed;  /* the first that closes, in any section; NULL: none */
    const char *reason;                       /* of that */
    size_t closed_scope;                      /* index in scopes of the document it stands in */
    const struct policy_instruction *backend; /* last set-backend-service reached in inbound, or NULL */
    size_t backend_scope;
    const struct policy_instruction *proxy; /* last proxy reached, or NULL */
    size_t proxy_scope;
    unsigned forwards; /* how many forward-request are reached: at most one */
    bool returns;      /* a response is made before any forward-request */
    bool mocks;        /* an instruction that mocks is reached, in any section */
};
void policy_link(const struct policy_program *const *scopes, size_t n, struct policy_effect *out);

/* Every policy that APIM has, and what becomes of it here. docs/policies.md says the same. */
struct policy_support {
    const char *name;
    const char *sections; /* where it may stand: "inbound, outbound" */
    const char *closed;   /* NULL: it runs; else why whoever reaches it is closed */
    const char *note;     /* of one that runs: with what restriction; may be "" */
};
size_t policy_support_count(void);
struct policy_support policy_support_at(size_t i); /* sorted by name */
