#include <stdlib.h>

#include "pb/google/protobuf/struct.pb-c.h"
#include "proxy/observe/format_internal.h"

enum { DEPTH_MAX = 16 };

/* A value of the template: one of literal, text, members, items. Which one is in the function that renders it. */
struct json_node {
    bool (*render)(const struct json_node *node, const struct record *r, struct line *out);
    struct slice key;     /* of a member, as JSON with its colon */
    struct slice literal; /* as JSON */
    const struct text_format *text;
    const struct json_node *children;
    size_t n;
    struct json_options options;
};

struct json_format {
    struct json_node root;
};

struct compiler {
    struct arena *arena;
    struct json_options options;
    struct err *err;
    unsigned depth;
};

/* ---- rendering: false when nothing was written because the value is missing ---- */

static bool render_literal(const struct json_node *node, const struct record *r, struct line *out)
{
    (void)r;
    line_add(out, node->literal);
    return true;
}

static bool render_mixed(const struct json_node *node, const struct record *r, struct line *out)
{
    struct line text;
    line_init(&text);
    text_format_render(node->text, r, &text);
    line_add_json(out, line_slice(&text));
    line_fini(&text);
    return true;
}

static bool render_operator(const struct json_node *node, const struct record *r, struct line *out)
{
    struct value v;
    operator_eval(node->text->pieces[0].op, r, &v);
    switch (v.kind) {
    case VALUE_TEXT:
        line_add_json(out, v.text);
        return true;
    case VALUE_NUMBER:
        line_add_i64(out, v.number);
        return true;
    case VALUE_NONE:
        break;
    }
    if (!node->options.omit_empty) {
        line_add(out, SLICE("null"));
    }
    return !node->options.omit_empty;
}

static bool render_list(const struct json_node *node, const struct record *r, struct line *out)
{
    line_add_char(out, '[');
    for (size_t i = 0, written = 0; i < node->n; i++) {
        size_t before = out->n;
        if (written > 0) {
            line_add_char(out, ',');
        }
        if (node->children[i].render(&node->children[i], r, out)) {
            written++;
        } else {
            out->n = before;
        }
    }
    line_add_char(out, ']');
    return true;
}

static bool render_object(const struct json_node *node, const struct record *r, struct line *out)
{
    line_add_char(out, '{');
    for (size_t i = 0, written = 0; i < node->n; i++) {
        size_t before = out->n;
        if (written > 0) {
            line_add_char(out, ',');
        }
        line_add(out, node->children[i].key);
        if (node->children[i].render(&node->children[i], r, out)) {
            written++;
        } else {
            out->n = before;
        }
    }
    line_add_char(out, '}');
    return true;
}

/* ---- compiling ---- */

static bool compile_object(struct compiler *c, struct json_node *node, const Google__Protobuf__Struct *fields);

static struct slice json_text(struct compiler *c, const char *text, const char *behind)
{
    struct line line;
    line_init(&line);
    line_add_json(&line, slice_of(text));
    line_add(&line, slice_of(behind));
    struct slice kept = arena_slice(c->arena, line_slice(&line));
    line_fini(&line);
    return kept;
}

static bool set_literal(struct json_node *node, struct slice literal)
{
    node->render = render_literal;
    node->literal = literal;
    return true;
}

static bool compile_string(struct compiler *c, struct json_node *node, const char *text)
{
    bool omit = c->options.omit_empty && !c->options.strings;
    node->text = text_format_compile(slice_of(text), omit, c->arena, c->err);
    if (node->text == NULL) {
        return false;
    }
    bool alone = node->text->n == 1 && node->text->pieces[0].literal.n == 0 && !c->options.strings;
    node->render = alone ? render_operator : render_mixed;
    bool fixed = node->text->n == 0 || (node->text->n == 1 && node->text->pieces[0].op == NULL);
    if (fixed) {
        const char *literal = node->text->n == 0 ? "" : arena_str(c->arena, node->text->pieces[0].literal);
        return set_literal(node, json_text(c, literal, ""));
    }
    return true;
}

static bool compile_value(struct compiler *c, struct json_node *node, const Google__Protobuf__Value *value);

static bool compile_list(struct compiler *c, struct json_node *node, const Google__Protobuf__ListValue *list)
{
    struct json_node *items = arena_zalloc(c->arena, (list->n_values + 1) * sizeof *items);
    for (size_t i = 0; i < list->n_values; i++) {
        if (!compile_value(c, &items[i], list->values[i])) {
            return err_prefix(c->err, "[%zu]", i);
        }
    }
    node->children = items;
    node->n = list->n_values;
    node->render = render_list;
    return true;
}

static bool compile_container(struct compiler *c, struct json_node *node, const Google__Protobuf__Value *value)
{
    if (++c->depth > DEPTH_MAX) {
        return err_set(c->err, ERR_LIMIT, "nested deeper than %d", DEPTH_MAX);
    }
    bool is_list = value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    bool ok = is_list ? compile_list(c, node, value->list_value) : compile_object(c, node, value->struct_value);
    c->depth--;
    return ok;
}

static bool compile_value(struct compiler *c, struct json_node *node, const Google__Protobuf__Value *value)
{
    node->options = c->options;
    switch (value->kind_case) {
    case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
        return compile_string(c, node, value->string_value);
    case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
    case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
        return compile_container(c, node, value);
    case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
        return set_literal(node, slice_of(arena_printf(c->arena, "%.17g", value->number_value)));
    case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
        return set_literal(node, value->bool_value ? SLICE("true") : SLICE("false"));
    case GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE:
        return set_literal(node, SLICE("null"));
    case GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET:
    case _GOOGLE__PROTOBUF__VALUE__KIND__CASE_IS_INT_SIZE:
        break;
    }
    return err_set(c->err, ERR_INPUT, "a value without kind");
}

static int by_key(const void *a, const void *b)
{
    const struct json_node *x = a, *y = b;
    return slice_cmp(x->key, y->key);
}

static bool compile_object(struct compiler *c, struct json_node *node, const Google__Protobuf__Struct *fields)
{
    struct json_node *members = arena_zalloc(c->arena, (fields->n_fields + 1) * sizeof *members);
    for (size_t i = 0; i < fields->n_fields; i++) {
        const Google__Protobuf__Struct__FieldsEntry *entry = fields->fields[i];
        if (entry->value == NULL) {
            return err_set(c->err, ERR_INPUT, "%s: no value", entry->key);
        }
        if (!compile_value(c, &members[i], entry->value)) {
            return err_prefix(c->err, "%s", entry->key);
        }
        members[i].key = json_text(c, entry->key, ":");
    }
    qsort(members, fields->n_fields, sizeof *members, by_key);
    node->children = members;
    node->n = fields->n_fields;
    node->render = render_object;
    return true;
}

const struct json_format *json_format_compile(const Google__Protobuf__Struct *fields, struct json_options options,
                                              struct arena *arena, struct err *err)
{
    struct json_format *f = arena_zalloc(arena, sizeof *f);
    struct compiler c = {.arena = arena, .options = options, .err = err};
    return compile_object(&c, &f->root, fields) ? f : NULL;
}

void json_format_render(const struct json_format *f, const struct record *r, struct line *out)
{
    f->root.render(&f->root, r, out);
    line_add_char(out, '\n');
}
