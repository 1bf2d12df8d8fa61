#include "xds/source/props.h"

const struct doc *props_find(struct props p, struct slice key)
{
    const struct doc *over = doc_find(p.over, key);
    const struct doc *d = over != NULL ? over : doc_find(p.base, key);
    return doc_kind(d) == DOC_NULL ? NULL : d;
}

const struct doc *props_get(struct props p, const char *key)
{
    return props_find(p, slice_of(key));
}

struct props props_child(struct props p, const char *key)
{
    const struct doc *base = doc_get(p.base, key), *over = doc_get(p.over, key);
    if (over != NULL && !doc_is(over, DOC_MAP)) {
        return (struct props){NULL, NULL};
    }
    return (struct props){doc_is(base, DOC_MAP) ? base : NULL, over};
}

const struct doc *props_at(struct props p, size_t *i)
{
    size_t n = doc_len(p.base), m = doc_len(p.over);
    while (*i < n + m) {
        size_t at = (*i)++;
        const struct doc *d = at < n ? doc_at(p.base, at) : doc_at(p.over, at - n);
        if (at < n) {
            d = props_find(p, doc_key(d));
        } else if (doc_find(p.base, doc_key(d)) != NULL) {
            d = NULL; /* came with the base */
        }
        if (d != NULL && doc_kind(d) != DOC_NULL) {
            return d;
        }
    }
    return NULL;
}

struct slice props_text(struct props p, const char *key)
{
    const struct doc *d = props_get(p, key);
    return doc_is(d, DOC_STRING) || doc_is(d, DOC_NUMBER) ? slice_trim(doc_text(d)) : SLICE_NONE;
}

bool props_bool(struct props p, const char *key, bool fallback)
{
    bool value = fallback;
    const struct doc *d = props_get(p, key);
    return d == NULL || !doc_bool(d, &value) ? fallback : value;
}
