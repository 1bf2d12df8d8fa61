/* YAML through libyaml's events. libyaml reads YAML 1.1's syntax; what its scalars mean is decided in scalar.c. */
#include <string.h>
#include <yaml.h>

#include "base/doc/node.h"

static struct place place_of(yaml_mark_t mark)
{
    return (struct place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static struct place place_at(struct slice bytes, size_t offset)
{
    struct place at = {1, 1};
    for (size_t i = 0; i < offset && i < bytes.n; i++) {
        if (bytes.p[i] == '\n') {
            at = (struct place){at.line + 1, 1};
        } else if (((unsigned char)bytes.p[i] & 0xc0) != 0x80) {
            at.column++;
        }
    }
    return at;
}

static bool fail_syntax(struct builder *b, const yaml_parser_t *parser, struct slice bytes)
{
    const char *problem = parser->problem == NULL ? "not YAML" : parser->problem;
    if (parser->error == YAML_READER_ERROR) {
        return builder_fail(b, place_at(bytes, parser->problem_offset), ERR_INPUT, "%s", problem);
    }
    if (parser->context == NULL) {
        return builder_fail(b, place_of(parser->problem_mark), ERR_INPUT, "%s", problem);
    }
    return builder_fail(b, place_of(parser->problem_mark), ERR_INPUT, "%s, %s that began at line %zu", problem,
                        parser->context, parser->context_mark.line + 1);
}

/* The tags of the core schema; a tag decides instead of the text, and the text must then fit it. */
static bool tagged_kind(struct builder *b, const yaml_event_t *event, struct slice text, enum doc_kind *kind)
{
    static const struct {
        const char *tag;
        enum doc_kind kind;
    } tags[] = {
        {YAML_STR_TAG, DOC_STRING}, {"!", DOC_STRING},          {YAML_NULL_TAG, DOC_NULL},
        {YAML_BOOL_TAG, DOC_BOOL},  {YAML_INT_TAG, DOC_NUMBER}, {YAML_FLOAT_TAG, DOC_NUMBER},
    };
    const char *tag = (const char *)event->data.scalar.tag;
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        if (strcmp(tag, tags[i].tag) == 0) {
            *kind = tags[i].kind;
            return *kind == DOC_STRING || scalar_kind(text) == *kind ||
                   builder_fail(b, place_of(event->start_mark), ERR_INPUT, "\"%.100s\" does not fit its tag", text.p);
        }
    }
    return builder_fail(b, place_of(event->start_mark), ERR_UNSUPPORTED, "tag \"%.100s\" is not supported", tag);
}

static bool on_key(struct builder *b, const yaml_event_t *event, struct slice text)
{
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && slice_eq(text, SLICE("<<"))) {
        return builder_fail(b, place_of(event->start_mark), ERR_UNSUPPORTED, "merge keys are not supported");
    }
    if (plain && text.n == 0) {
        return builder_fail(b, place_of(event->start_mark), ERR_INPUT, "a key is missing");
    }
    if (event->data.scalar.anchor != NULL) {
        return builder_fail(b, place_of(event->start_mark), ERR_UNSUPPORTED, "an anchor on a key is not supported");
    }
    return builder_key(b, place_of(event->start_mark), builder_copy(b, text));
}

static bool on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct slice text = slice_make(event->data.scalar.value, event->data.scalar.length);
    if (builder_wants_key(b)) {
        return on_key(b, event, text);
    }
    enum doc_kind kind = DOC_STRING;
    if (event->data.scalar.tag != NULL) {
        if (!tagged_kind(b, event, text, &kind)) {
            return false;
        }
    } else if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        kind = scalar_kind(text);
    }
    if (event->data.scalar.anchor != NULL) {
        builder_anchor(b, (const char *)event->data.scalar.anchor);
    }
    return builder_scalar(b, place_of(event->start_mark), kind, builder_copy(b, text));
}

static bool on_open(struct builder *b, const yaml_event_t *event, enum doc_kind kind)
{
    bool map = kind == DOC_MAP;
    const yaml_char_t *anchor = map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    struct place at = place_of(event->start_mark);
    if (builder_wants_key(b)) {
        return builder_fail(b, at, ERR_INPUT, "a key must be a plain text, not a %s", doc_kind_name(kind));
    }
    if (tag != NULL && strcmp((const char *)tag, map ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0) {
        return builder_fail(b, at, ERR_UNSUPPORTED, "tag \"%.100s\" is not supported", (const char *)tag);
    }
    if (anchor != NULL) {
        builder_anchor(b, (const char *)anchor);
    }
    return builder_open(b, at, kind);
}

static bool on_alias(struct builder *b, const yaml_event_t *event)
{
    if (builder_wants_key(b)) {
        return builder_fail(b, place_of(event->start_mark), ERR_UNSUPPORTED, "an alias as a key is not supported");
    }
    return builder_alias(b, place_of(event->start_mark), (const char *)event->data.alias.anchor);
}

static bool on_event(struct builder *b, const yaml_event_t *event, unsigned *documents)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++*documents == 1 ||
               builder_fail(b, place_of(event->start_mark), ERR_UNSUPPORTED, "more than one document in the file");
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, event, DOC_MAP);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, event, DOC_LIST);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return builder_close(b);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    return true;
}

bool yaml_read(struct builder *b, struct slice bytes)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return builder_fail(b, (struct place){1, 1}, ERR_LIMIT, "no memory for the YAML reader");
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(bytes.n > 0 ? bytes.p : ""), bytes.n);
    bool ok = true, done = false;
    unsigned documents = 0;
    while (ok && !done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            ok = fail_syntax(b, &parser, bytes);
            break;
        }
        ok = on_event(b, &event, &documents);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (ok && documents == 0) {
        return builder_scalar(b, (struct place){1, 1}, DOC_NULL, SLICE(""));
    }
    return ok;
}
