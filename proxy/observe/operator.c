#include "proxy/observe/operator.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "proxy/observe/mask.h"

static const struct operator_type *find_type(struct slice name)
{
    static const struct operator_type *const tables[] = {operator_request_table, operator_response_table,
                                                         operator_time_table, operator_connection_table};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        for (const struct operator_type *t = tables[i]; t->name != NULL; t++) {
            if (slice_eq(slice_of(t->name), name)) {
                return t;
            }
        }
    }
    return NULL;
}

bool operator_init(struct operator* op, const struct operator_text *text, struct arena *arena, struct err *err)
{
    const struct operator_type *type = find_type(text->name);
    if (type == NULL) {
        return err_set(err, ERR_UNSUPPORTED, "unknown operator %%%.*s%%", SLICE_ARG(text->name));
    }
    if (text->has_argument && type->argument == ARGUMENT_NONE) {
        return err_set(err, ERR_INPUT, "%%%s%% takes no argument", type->name);
    }
    if (!text->has_argument && type->argument == ARGUMENT_NEEDED) {
        return err_set(err, ERR_INPUT, "%%%s%% needs an argument in parentheses", type->name);
    }
    *op = (struct operator){.type = type, .argument = text->argument, .max = text->max};
    if (type->prepare != NULL && !type->prepare(op, arena, err)) {
        return err_prefix(err, "%%%s%%", type->name);
    }
    return true;
}

void operator_eval(const struct operator* op, const struct record *r, struct value *v)
{
    v->kind = VALUE_NONE;
    op->type->eval(op, r, v);
    if (v->kind == VALUE_TEXT && v->text.n > op->max) {
        v->text.n = op->max;
    }
}

void value_text(struct value *v, struct slice text)
{
    if (text.n > 0) {
        v->kind = VALUE_TEXT;
        v->text = text;
    }
}

void value_number(struct value *v, int64_t number)
{
    v->kind = VALUE_NUMBER;
    v->number = number;
}

void value_addr(struct value *v, const struct addr *a)
{
    _Static_assert(sizeof v->scratch >= ADDR_TEXT, "an address fits");
    if (a->len > 0) {
        value_text(v, slice_of(addr_text(a, v->scratch)));
    }
}

void value_addr_ip(struct value *v, const struct addr *a)
{
    if (a->len > 0) {
        value_text(v, slice_of(addr_ip_text(a, v->scratch)));
    }
}

void value_addr_port(struct value *v, const struct addr *a)
{
    if (a->len > 0 && a->sa.sa_family != AF_UNIX) {
        value_number(v, addr_port(a));
    }
}

static bool prepare_field(struct operator_field *field, struct slice name, struct arena *arena, struct err *err)
{
    if (name.n == 0) {
        return err_set(err, ERR_INPUT, "a header name is empty");
    }
    char *lower = arena_str(arena, name);
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)lower[i] <= ' ' || lower[i] == 0x7f) {
            return err_set(err, ERR_INPUT, "\"%.*s\" is not a header name", SLICE_ARG(name));
        }
        lower[i] = ascii_lower(lower[i]);
    }
    field->name = slice_make(lower, name.n);
    field->id = head_intern(field->name);
    return true;
}

bool operator_prepare_fields(struct operator* op, struct arena *arena, struct err *err)
{
    size_t mark = slice_find(op->argument, '?');
    struct slice second = slice_from(op->argument, mark + 1);
    return prepare_field(&op->fields[0], slice_sub(op->argument, 0, mark), arena, err) &&
           (mark == op->argument.n || prepare_field(&op->fields[1], second, arena, err));
}

static struct slice pseudo(const struct head *head, struct slice name, char *scratch)
{
    if (slice_eq(name, SLICE(":method"))) {
        return head->method;
    }
    if (slice_eq(name, SLICE(":authority")) || slice_eq(name, SLICE("host"))) {
        return head->authority;
    }
    if (slice_eq(name, SLICE(":scheme"))) {
        return head->scheme;
    }
    if (slice_eq(name, SLICE(":protocol"))) {
        return head->protocol;
    }
    if (slice_eq(name, SLICE(":status")) && head->status != 0) {
        return slice_make(scratch, (size_t)snprintf(scratch, 12, "%u", head->status));
    }
    return SLICE_NONE;
}

static struct slice field_value(const struct operator_field *want, const struct head *head, struct value *v)
{
    if (want->name.p[0] == ':' || want->id == FIELD_HOST) {
        return pseudo(head, want->name, v->scratch);
    }
    const struct field *f = want->id == FIELD_OTHER ? head_find(head, want->name) : head_find_id(head, want->id);
    if (f == NULL || f->value.n == 0) {
        return SLICE_NONE;
    }
    if (f->id == FIELD_SUBSCRIPTION_KEY || f->never_index) {
        return SLICE("***");
    }
    return mask_keys(f->value, v->scratch, sizeof v->scratch);
}

void operator_eval_fields(const struct operator* op, const struct head *head, struct value *v)
{
    for (size_t i = 0; head != NULL && v->kind == VALUE_NONE && i < ARRAY_LEN(op->fields); i++) {
        if (op->fields[i].name.n > 0) {
            value_text(v, field_value(&op->fields[i], head, v));
        }
    }
}
