/*
 * format: an access log format, compiled once into a list of literals and operators (text) or a tree of them (JSON).
 * Immutable, in the arena it was compiled into; any thread renders it.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "proxy/observe/line.h"
#include "proxy/observe/record.h"

struct text_format;
struct json_format;

extern const char FORMAT_DEFAULT[]; /* Envoy's, with its line end */

/* What is missing prints "-", or nothing with omit_empty. NULL with err: unknown operator, bad argument. The text is
 * copied. */
const struct text_format *text_format_compile(struct slice text, bool omit_empty, struct arena *arena, struct err *err);
void text_format_render(const struct text_format *f, const struct record *r, struct line *out);

struct Google__Protobuf__Struct;

struct json_options {
    bool omit_empty; /* leaves members out whose value is missing; else null */
    bool strings;    /* every value as a string, "-" when missing: the deprecated json_format */
};
/* Members come out in the order of their names; the line ends with "\n". A string that is one operator keeps the type
 * of its value. */
const struct json_format *json_format_compile(const struct Google__Protobuf__Struct *fields,
                                              struct json_options options, struct arena *arena, struct err *err);
void json_format_render(const struct json_format *f, const struct record *r, struct line *out);
