/* compile: what the files of this room share while one document is compiled. Private to xds/policy. */
#pragma once
#include <libxml/tree.h>

#include "base/arena.h"
#include "xds/policy/policy.h"

enum { COMPILE_SECTION_MAX = 2000 }; /* instructions of one section */

struct compile {
    struct policy_program *program;
    const struct policy_named_values *values;
    struct policy_instruction *items[POLICY_SECTIONS];
    size_t n[POLICY_SECTIONS], cap[POLICY_SECTIONS];
    bool seen[POLICY_SECTIONS];
};

/* Appends and returns the new instruction, zeroed but for op and line. */
struct policy_instruction *compile_add(struct compile *c, enum policy_section s, enum policy_op op, uint32_t line);
void compile_close(struct compile *c, enum policy_section s, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* An element of a section: one instruction, whatever it holds. */
void compile_element(struct compile *c, enum policy_section s, const xmlNode *e);

/*
 * The attribute's text with named values in place. False: it cannot be literal, and a CLOSED says why. *out is NULL
 * when the element has no such attribute.
 */
bool compile_attribute(struct compile *c, enum policy_section s, const xmlNode *e, const char *name, const char **out);
