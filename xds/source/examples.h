/*
 * examples: what an OpenAPI document gives as the answers of an operation: its examples, else a sample made from the
 * schema. Read from the file again when a policy asks for it, because few do. Control server's main thread.
 */
#pragma once
#include "xds/source/folder.h"

struct openapi_example {
    unsigned status;  /* 0: the default response */
    const char *type; /* media type; "": the response has no content */
    const char *body;
};

struct openapi_examples {
    const struct openapi_example *items; /* in document order; of one status, written examples before made ones */
    size_t n;
};

/* In the caller's arena. Nothing when the document has no such operation. */
void openapi_examples_read(struct arena *arena, const struct doc *root, const struct openapi_operation *operation,
                           struct openapi_examples *out);

/*
 * The document that this specification was read from. NULL: it is not what it was, or cannot be read; err says so. It
 * lives in the arena.
 */
const struct doc *folder_specification(const struct folder_snapshot *s, const struct artifact *spec,
                                       struct arena *arena, struct err *err);
