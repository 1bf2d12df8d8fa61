#include <math.h>

#include "base/doc/doc.h"

static void write_number(const struct doc *d, struct strbuf *out)
{
    uint64_t magnitude = 0;
    int64_t whole = 0;
    double value = 0;
    if (doc_i64(d, &whole)) {
        strbuf_printf(out, "%lld", (long long)whole);
    } else if (doc_u64(d, &magnitude)) {
        strbuf_printf(out, "%llu", (unsigned long long)magnitude);
    } else if (doc_number(d, &value) && isfinite(value)) {
        strbuf_printf(out, "%.17g", value);
    } else {
        strbuf_add_str(out, isnan(value) ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    }
}

/* Recursion ends at the depth limit under which the document was read. */
static void write_container(const struct doc *d, struct strbuf *out)
{
    bool map = doc_is(d, DOC_MAP);
    strbuf_add_char(out, map ? '{' : '[');
    for (size_t i = 0; i < doc_len(d); i++) {
        const struct doc *item = doc_at(d, i);
        if (i > 0) {
            strbuf_add_char(out, ',');
        }
        if (map) {
            strbuf_add_json(out, doc_key(item));
            strbuf_add_char(out, ':');
        }
        doc_write_json(item, out);
    }
    strbuf_add_char(out, map ? '}' : ']');
}

void doc_write_json(const struct doc *d, struct strbuf *out)
{
    bool value = false;
    switch (doc_kind(d)) {
    case DOC_NULL:
        strbuf_add_str(out, "null");
        return;
    case DOC_BOOL:
        doc_bool(d, &value);
        strbuf_add_str(out, value ? "true" : "false");
        return;
    case DOC_NUMBER:
        write_number(d, out);
        return;
    case DOC_STRING:
        strbuf_add_json(out, doc_text(d));
        return;
    case DOC_MAP:
    case DOC_LIST:
        write_container(d, out);
        return;
    }
}
