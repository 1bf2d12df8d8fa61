/* Which subscription a request belongs to, and whether that opens this API (refs: the key decision). */
#include "proxy/filter/apim.h"

#include "proxy/route/path.h"

static bool in_product(const struct apim_api *api, struct slice product)
{
    for (size_t i = 0; i < api->conf.product_count; i++) {
        if (slice_eq(api->conf.products[i], product)) {
            return true;
        }
    }
    return false;
}

static bool covers(const struct apim_subscription *s, const struct apim_api *api)
{
    switch (s->scope) {
    case SCOPE_ALL_APIS:
        return true;
    case SCOPE_PRODUCT:
        return in_product(api, s->scope_name);
    case SCOPE_API:
        return slice_eq(s->scope_name, api->identity);
    case SCOPE_WORKSPACE:
        return slice_starts_with(api->identity, s->scope_name) &&
               slice_starts_with(slice_from(api->identity, s->scope_name.n), SLICE("/"));
    }
    return false;
}

static const struct apim_product *open_product(const struct apim_set *set, const struct apim_api *api)
{
    for (size_t i = 0; i < api->conf.product_count; i++) {
        const struct apim_product *p = apim_set_product(set, api->conf.products[i]);
        if (p != NULL && !p->subscription_required) {
            return p;
        }
    }
    return NULL;
}

void apim_key_decide(const struct apim_key_input *in, struct apim_key_output *out)
{
    const struct apim_subscription *s = in->subscription;
    *out = (struct apim_key_output){.verdict = KEY_ALLOWED};
    if (in->given && s != NULL && s->state == SUB_ACTIVE && covers(s, in->api)) {
        out->subscription = s;
        if (s->scope == SCOPE_PRODUCT) {
            out->product = apim_set_product(in->set, s->scope_name);
            if (out->product == NULL) { /* its policies are not known: nothing may run without them */
                out->verdict = KEY_INVALID;
            }
        }
        return;
    }
    out->product = open_product(in->set, in->api);
    if (out->product != NULL) {
        return;
    }
    if (in->given && (in->api->conf.subscription_required || in->reject_invalid_key_on_open_api)) {
        out->verdict = KEY_INVALID;
    } else if (!in->given && in->api->conf.subscription_required) {
        out->verdict = KEY_MISSING;
    }
}

bool apim_key_find(const struct apim_api *api, const struct head *request, struct arena *arena, struct slice *key)
{
    bool present = false;
    struct slice name = api->conf.key_header;
    char *lower = arena_str(arena, name);
    for (size_t i = 0; i < name.n; i++) {
        lower[i] = ascii_lower(lower[i]);
    }
    *key = head_joined(request, slice_make(lower, name.n), &present);
    if (present) {
        return key->n > 0;
    }
    struct slice query, raw_name, value;
    path_split(request->path, &query);
    while (query_next(&query, &raw_name, &value)) {
        if (slice_eq_nocase(path_decode(raw_name, arena), api->conf.key_query)) {
            *key = path_decode(value, arena);
            return key->n > 0;
        }
    }
    return false;
}
