/*
 * openapi: the operations of an OpenAPI 2 or 3 document (and, read by wadl.h, of a WADL one), and nothing else of it: servers, schemas and parameters choose
 * nothing here. A plain value in the caller's arena.
 */
#pragma once
#include "base/doc/doc.h"

struct openapi_operation {
    const char *id;
    const char *method;       /* "GET" */
    const char *url_template; /* leading slash */
    uint32_t line, column;
    bool id_is_derived; /* the document gives none: made from method and path, as the service does on import */
    const char *closed; /* NULL, or why it cannot be served */
};

struct openapi {
    const struct openapi_operation *operations; /* in document order */
    size_t n;
    const char *closed;    /* NULL, or why the API's operations cannot be known from it */
    uint32_t line, column; /* of that */
};

const struct openapi *openapi_read(struct arena *arena, const struct doc *root);
/* The service's rule for names: lower case, runs of anything but letters and digits become one dash, none at the ends.
 */
char *openapi_normalise_id(struct arena *arena, struct slice text);
