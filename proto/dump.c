#include "proto/dump.h"

#include <string.h>

#include "proto/dump_internal.h"

static void line(struct dumping *d)
{
    if (d->indent > 0) {
        strbuf_printf(d->out, "\n%*s", (int)(d->indent * d->level), "");
    }
}

void dump_open(struct dumping *d, char bracket)
{
    strbuf_add_char(d->out, bracket);
    d->level++;
}

void dump_item(struct dumping *d, bool first)
{
    if (!first) {
        strbuf_add_char(d->out, ',');
    }
    line(d);
}

void dump_close(struct dumping *d, char bracket, bool empty)
{
    d->level--;
    if (!empty) {
        line(d);
    }
    strbuf_add_char(d->out, bracket);
}

void dump_name(struct dumping *d, struct slice name)
{
    strbuf_add_json(d->out, name);
    strbuf_add_str(d->out, d->indent > 0 ? ": " : ":");
}

void dump_value(struct dumping *d, const ProtobufCFieldDescriptor *f, const void *value)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        dump_message(d, *(ProtobufCMessage *const *)value);
    } else {
        dump_scalar(d, f, value);
    }
}

static void dump_map(struct dumping *d, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    dump_open(d, '{');
    size_t n = field_count(m, f);
    for (size_t i = 0; i < n; i++) {
        const ProtobufCMessage *entry = *(ProtobufCMessage *const *)field_item(m, f, i);
        const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
        dump_item(d, i == 0);
        dump_name(d, slice_of(*(const char *const *)field_at(entry, &fields[0])));
        if (fields[1].type == PROTOBUF_C_TYPE_MESSAGE && *(void *const *)field_at(entry, &fields[1]) == NULL) {
            strbuf_add_str(d->out, "{}");
        } else {
            dump_value(d, &fields[1], field_at(entry, &fields[1]));
        }
    }
    dump_close(d, '}', n == 0);
}

static void dump_list(struct dumping *d, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    dump_open(d, '[');
    size_t n = field_count(m, f);
    for (size_t i = 0; i < n; i++) {
        dump_item(d, i == 0);
        dump_value(d, f, field_item(m, f, i));
    }
    dump_close(d, ']', n == 0);
}

void dump_members(struct dumping *d, const ProtobufCMessage *m, bool *first)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (!field_is_set(m, f)) {
            continue;
        }
        bool outside = d->redact;
        d->redact = (outside && !dump_is_place(f)) || dump_is_secret(m, f);
        dump_item(d, *first);
        *first = false;
        dump_name(d, slice_of(f->name));
        if (field_is_map(m->descriptor, f)) {
            dump_map(d, m, f);
        } else if (field_is_repeated(f)) {
            dump_list(d, m, f);
        } else {
            dump_value(d, f, field_at(m, f));
        }
        d->redact = outside;
    }
}

void dump_message(struct dumping *d, const ProtobufCMessage *m)
{
    dump_known_fn *known = dump_known(m->descriptor);
    if (known != NULL) {
        known(d, m);
        return;
    }
    bool first = true;
    dump_open(d, '{');
    dump_members(d, m, &first);
    dump_close(d, '}', first);
}

void dump_json(const ProtobufCMessage *m, unsigned indent, struct strbuf *out)
{
    struct dumping d = {.out = out, .indent = indent};
    dump_message(&d, m);
}
