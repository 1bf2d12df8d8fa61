/* What dump.c and dump_known.c share. */
#pragma once
#include "proto/dump.h"
#include "proto/field.h"

struct dumping {
    struct strbuf *out;
    unsigned indent, level;
    bool redact; /* inside a secret */
};

void dump_open(struct dumping *d, char bracket);
void dump_item(struct dumping *d, bool first); /* the comma and the line break before an item */
void dump_close(struct dumping *d, char bracket, bool empty);
void dump_name(struct dumping *d, struct slice name);
void dump_message(struct dumping *d, const ProtobufCMessage *m);
/* The members of a message without its brackets; `first` says whether one was already written. */
void dump_members(struct dumping *d, const ProtobufCMessage *m, bool *first);
void dump_value(struct dumping *d, const ProtobufCFieldDescriptor *f, const void *value);
void dump_scalar(struct dumping *d, const ProtobufCFieldDescriptor *f, const void *value);

typedef void dump_known_fn(struct dumping *d, const ProtobufCMessage *m);
dump_known_fn *dump_known(const ProtobufCMessageDescriptor *type);
bool dump_is_secret(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
/* Inside a secret: what only says where it is kept. */
bool dump_is_place(const ProtobufCFieldDescriptor *f);
