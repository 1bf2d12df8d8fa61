/* doc's inside, for the files of this room only: the node, and the builder that both readers feed. */
#pragma once
#include "base/doc/doc.h"

struct place {
    unsigned line, column; /* from 1 */
};

struct doc {
    uint8_t kind; /* enum doc_kind */
    bool member;  /* of a map: key is valid */
    uint32_t count;
    struct place at, key_at;
    const char *file;
    struct slice key;
    union {
        struct slice text;
        struct {
            const struct doc *items; /* count of them, in one piece */
            const uint32_t *index;   /* hash table of positions + 1 for large maps, else NULL */
        };
    };
};

/* Of a large map's index. Where it lies is nobody's to know: keys from outside cannot be made to crowd in one place. */
static inline uint64_t doc_seed(const struct doc *map)
{
    return (uint64_t)(uintptr_t)map->items;
}

struct frame;
struct anchors;

/* Receives the events of one document in order. Every function returns false once err is filled. */
struct builder {
    struct arena *arena;
    const char *file;
    struct doc_limits limits;
    struct err *err;
    struct frame *frames; /* open containers, outermost first */
    size_t depth, frames_cap;
    struct doc *items; /* finished nodes whose container is still open */
    size_t n, cap;
    size_t nodes; /* so far, aliases expanded */
    char *text;   /* where the next text goes */
    size_t text_left;
    size_t text_block; /* how much is taken at once: no more than the document can need */
    struct anchors *anchors;
};

void builder_init(struct builder *b, struct arena *arena, const char *file, const struct doc_limits *limits,
                  struct err *err);
void builder_fini(struct builder *b);
bool builder_fail(struct builder *b, struct place at, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A text in the arena that may still be cut: room for n bytes and a NUL; builder_text_end says how many were used. */
char *builder_text(struct builder *b, size_t n);
struct slice builder_text_end(struct builder *b, char *text, size_t n);
struct slice builder_copy(struct builder *b, struct slice s);

bool builder_in_map(const struct builder *b);
bool builder_wants_key(const struct builder *b);
bool builder_key(struct builder *b, struct place at, struct slice key); /* the text is kept, not copied */
bool builder_scalar(struct builder *b, struct place at, enum doc_kind kind, struct slice text);
bool builder_open(struct builder *b, struct place at, enum doc_kind kind);
bool builder_close(struct builder *b);
/* Names the node that the next scalar or open begins; an alias repeats it. */
void builder_anchor(struct builder *b, const char *name);
bool builder_alias(struct builder *b, struct place at, const char *name);
/* The root, moved into the arena. Everything must be closed. */
const struct doc *builder_root(struct builder *b);

bool json_read(struct builder *b, struct slice bytes);
bool yaml_read(struct builder *b, struct slice bytes);

bool scalar_is_number(struct slice text); /* YAML's core schema, which includes JSON's numbers */
enum doc_kind scalar_kind(struct slice plain);
