/* sample: a JSON value that fits an OpenAPI schema, as it is shown where a document has no example. Pure. */
#pragma once
#include "base/doc/doc.h"

/* What a reference object refers to in this document; the node itself when it is none, NULL when it leads nowhere. */
const struct doc *openapi_resolve(const struct doc *root, const struct doc *d);
/* RFC 6901, but only inside this document: "#/components/schemas/x". NULL: nothing there. */
const struct doc *openapi_pointer(const struct doc *root, struct slice reference);
/* Bounded whatever the schema says: what lies too deep, or comes too late, is null. */
void openapi_sample(const struct doc *root, const struct doc *schema, struct strbuf *out);
