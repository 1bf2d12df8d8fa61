#include "proxy/config/routes.h"

#include <string.h>

/* "%%" is a percent sign; a command between two is not built. Without any '%' the value itself. */
static bool read_format(struct reader *r, struct slice *value)
{
    char *out = (char *)(uintptr_t)value->p; /* in the arena, ours to write */
    size_t n = 0;
    for (size_t i = 0; i < value->n; i++) {
        if (value->p[i] == '%') {
            if (i + 1 == value->n || value->p[i + 1] != '%') {
                return read_fail(r, "value", ERR_UNSUPPORTED, "%%-commands are not supported by Egret here");
            }
            i++;
        }
        out[n++] = value->p[i];
    }
    value->n = n;
    return true;
}

static bool read_action(struct reader *r, const pb_header_option *o, enum header_append_action *out)
{
    switch ((int)o->append_action) {
    case ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__ADD_IF_ABSENT:
        *out = HEADER_ADD_IF_ABSENT;
        break;
    case ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__OVERWRITE_IF_EXISTS_OR_ADD:
        *out = HEADER_OVERWRITE_IF_EXISTS_OR_ADD;
        break;
    case ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__OVERWRITE_IF_EXISTS:
        *out = HEADER_OVERWRITE_IF_EXISTS;
        break;
    default:
        *out = read_bool(o->append, true) ? HEADER_APPEND_IF_EXISTS_OR_ADD : HEADER_OVERWRITE_IF_EXISTS_OR_ADD;
        return true;
    }
    return o->append == NULL || read_fail(r, "append", ERR_INPUT, "excluded by append_action");
}

static bool read_add(struct reader *r, const pb_header_option *o, struct header_add_conf *out)
{
    if (o->header == NULL) {
        return read_required(r, "header");
    }
    out->keep_empty_value = o->keep_empty_value != 0;
    if (!read_action(r, o, &out->action)) {
        return false;
    }
    size_t mark = read_push(r, "header");
    if (!read_header_name(r, "key", o->header->key, &out->name)) {
        return false;
    }
    if (out->name.p[0] == ':' || slice_eq(out->name, SLICE("host"))) {
        return read_fail(r, "key", ERR_UNSUPPORTED, "\"%.*s\" cannot be changed like this", SLICE_ARG(out->name));
    }
    if (o->header->raw_value.len > 0) {
        return read_fail(r, "raw_value", ERR_UNSUPPORTED, "not supported by Egret");
    }
    if (!read_header_value(r, "value", o->header->value, &out->value) || !read_format(r, &out->value)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

bool header_adds_read(struct reader *r, const char *field, pb_header_option *const *list, size_t n,
                      const struct header_add_conf **out)
{
    if (n > 1000) {
        return read_fail(r, field, ERR_LIMIT, "more than 1000");
    }
    struct header_add_conf *adds = read_list(r, n, sizeof *adds);
    for (size_t i = 0; i < n; i++) {
        size_t mark = read_push_at(r, field, i);
        if (!read_add(r, list[i], &adds[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    *out = adds;
    return true;
}

static bool read_removes(struct reader *r, const char *field, char *const *list, size_t n, const struct slice **out)
{
    struct slice *names = read_list(r, n, sizeof *names);
    for (size_t i = 0; i < n; i++) {
        if (!read_header_name(r, field, list[i], &names[i])) {
            return false;
        }
        if (names[i].p[0] == ':' || slice_eq(names[i], SLICE("host"))) {
            return read_fail(r, field, ERR_INPUT, "\"%.*s\" may not be removed", SLICE_ARG(names[i]));
        }
    }
    *out = names;
    return true;
}

bool header_lists_read(struct reader *r, const struct header_lists *l, struct header_edits_conf *out)
{
    out->request.add_count = l->n_request_add;
    out->request.remove_count = l->n_request_remove;
    out->response.add_count = l->n_response_add;
    out->response.remove_count = l->n_response_remove;
    return header_adds_read(r, "request_headers_to_add", l->request_add, l->n_request_add, &out->request.add) &&
           read_removes(r, "request_headers_to_remove", l->request_remove, l->n_request_remove,
                        &out->request.remove) &&
           header_adds_read(r, "response_headers_to_add", l->response_add, l->n_response_add, &out->response.add) &&
           read_removes(r, "response_headers_to_remove", l->response_remove, l->n_response_remove,
                        &out->response.remove);
}

/* ---- typed_per_filter_config ---- */

/* What is inside: the message itself, or envoy.config.route.v3.FilterConfig around it. */
struct unwrapped {
    const pb_any *any; /* NULL: only `disabled` */
    bool is_optional, disabled;
};

static bool unwrap(struct reader *r, const pb_any *any, struct unwrapped *out)
{
    *out = (struct unwrapped){.any = any};
    const pb_type *type = &envoy__config__route__v3__filter_config__descriptor;
    if (!slice_eq(any_type_name(any), slice_of(type->name))) {
        return true;
    }
    const pb_message *m = NULL;
    if (!read_message(r, type, slice_make(any->value.data, any->value.len), &m)) {
        return false;
    }
    const pb_filter_config *c = (const void *)m;
    *out = (struct unwrapped){c->config, c->is_optional != 0, c->disabled != 0};
    return c->config != NULL || c->disabled || read_required(r, "config");
}

static bool read_override(struct reader *r, const pb_any *any, struct filter_override *out, bool *ignore)
{
    struct unwrapped u;
    *ignore = false;
    if (any == NULL) {
        return read_fail(r, NULL, ERR_INPUT, "is empty");
    }
    if (!unwrap(r, any, &u)) {
        return false;
    }
    out->disabled = u.disabled;
    if (u.any == NULL) {
        return true;
    }
    if (!read_extension(r, EXTENSION_PER_ROUTE, u.any, &out->type, &out->config)) {
        return false;
    }
    *ignore = out->type == NULL && u.is_optional;
    return out->type != NULL || u.is_optional ||
           read_fail(r, NULL, ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret here", u.any->type_url);
}

bool overrides_read(struct reader *r, const struct override_entry *entries, size_t n, void **apim, void **out)
{
    struct filter_overrides *all = read_list(r, n == 0 ? 0 : 1, sizeof *all);
    struct filter_override *items = read_list(r, n, sizeof *items);
    for (size_t i = 0; i < n; i++) {
        size_t mark = read_push_key(r, "typed_per_filter_config", entries[i].key);
        struct filter_override *o = &items[all->n];
        *o = (struct filter_override){.name = read_text(r, entries[i].key)};
        bool ignore = false;
        if (!read_override(r, entries[i].any, o, &ignore)) {
            return false;
        }
        if (o->type != NULL && strcmp(o->type->message, "egret.apim.v1.ApiTable") == 0) {
            if (apim == NULL || !slice_eq(o->name, SLICE("egret.apim")) || o->disabled) {
                return read_fail(r, NULL, ERR_INPUT, "ApiTable belongs to a virtual host, under \"egret.apim\"");
            }
            *apim = o->config;
        } else if (!ignore) {
            all->n++;
        }
        read_pop(r, mark);
    }
    if (n > 0 && all->n > 0) {
        all->items = items;
        *out = all;
    }
    return true;
}
