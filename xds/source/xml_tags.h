/*
 * xml_tags: the tags of an XML document one after the other, for specifications whose tags say everything. Texts, comments
 * and instructions are passed over; a document type is refused, and with it every entity but the five of XML itself.
 * A plain value over bytes that must outlive it. Private to xds/source.
 */
#pragma once
#include "base/arena.h"
#include "base/slice.h"

enum { XML_ATTRIBUTES_MAX = 32 };

enum xml_tag { XML_OPEN, XML_CLOSE, XML_END /* of the document */, XML_BAD };

struct xml_attribute {
    struct slice name, raw; /* name without its prefix */
};

struct xml_tags {
    struct slice rest;
    const char *start;
    uint32_t line, column; /* of the tag that was given last */
    struct slice name;     /* without its prefix */
    struct slice full_name;
    struct xml_attribute attributes[XML_ATTRIBUTES_MAX];
    size_t attribute_count;
    bool closes_itself; /* "<a/>": the next one is its XML_CLOSE */
    const char *why;    /* of XML_BAD */
};

void xml_tags_init(struct xml_tags *x, struct slice text);
/* An open tag, or the end of one; tags that do not pair are the caller's to see. */
enum xml_tag xml_tags_next(struct xml_tags *x);
/* Its value with the entities of XML resolved; p == NULL: it has none. */
struct slice xml_tags_attribute(const struct xml_tags *x, const char *name, struct arena *arena);
