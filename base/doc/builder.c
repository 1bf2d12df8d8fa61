#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/doc/node.h"
#include "base/mem.h"

enum { TEXT_BLOCK = 32 << 10, INDEX_FROM = 12 };

struct frame {
    struct doc node;
    size_t first;    /* its first item in builder.items */
    size_t nodes;    /* builder.nodes when it was opened */
    unsigned height; /* of the highest container closed inside it */
    struct anchor *anchor;
    struct slice key; /* read, its value not yet */
    struct place key_at;
    bool has_key;
};

struct anchor {
    struct anchor *next;
    const char *name;
    bool complete;
    struct doc node;
    size_t nodes;
    unsigned height;
};

struct anchors {
    struct anchor *first;   /* newest first: a later anchor of the same name hides the earlier */
    struct anchor *pending; /* waits for its node */
};

void builder_init(struct builder *b, struct arena *arena, const char *file, const struct doc_limits *limits,
                  struct err *err)
{
    *b = (struct builder){.arena = arena, .file = file, .limits = *limits, .err = err};
    b->anchors = arena_zalloc(arena, sizeof *b->anchors);
}

void builder_fini(struct builder *b)
{
    mem_free(b->frames);
    mem_free(b->items);
    *b = (struct builder){.arena = NULL};
}

bool builder_fail(struct builder *b, struct place at, enum err_kind kind, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(b->err, kind, "%s:%u:%u: %s", b->file, at.line, at.column, text);
}

/* Texts are packed one behind the other; the arena's alignment would double what short keys cost. */
char *builder_text(struct builder *b, size_t n)
{
    size_t block = b->text_block == 0 || b->text_block > TEXT_BLOCK ? TEXT_BLOCK : b->text_block;
    if (b->text_left >= n + 1) {
        return b->text;
    }
    if (n >= TEXT_BLOCK / 4 || n >= block) {
        return arena_alloc(b->arena, n + 1);
    }
    b->text = arena_alloc(b->arena, block);
    b->text_left = block;
    return b->text;
}

struct slice builder_text_end(struct builder *b, char *text, size_t n)
{
    text[n] = '\0';
    if (text == b->text) {
        b->text += n + 1;
        b->text_left -= n + 1;
    }
    return (struct slice){text, n};
}

struct slice builder_copy(struct builder *b, struct slice s)
{
    char *text = builder_text(b, s.n);
    if (s.n > 0) {
        memcpy(text, s.p, s.n);
    }
    return builder_text_end(b, text, s.n);
}

static struct frame *top(const struct builder *b)
{
    return b->depth == 0 ? NULL : &b->frames[b->depth - 1];
}

bool builder_in_map(const struct builder *b)
{
    return b->depth > 0 && top(b)->node.kind == DOC_MAP;
}

bool builder_wants_key(const struct builder *b)
{
    return builder_in_map(b) && !top(b)->has_key;
}

bool builder_key(struct builder *b, struct place at, struct slice key)
{
    assert(builder_wants_key(b));
    struct frame *f = top(b);
    f->key = key;
    f->key_at = at;
    f->has_key = true;
    return true;
}

static bool count(struct builder *b, struct place at, size_t nodes)
{
    b->nodes += nodes;
    return b->nodes <= b->limits.max_nodes ||
           builder_fail(b, at, ERR_LIMIT, "more than %zu values", b->limits.max_nodes);
}

/* Appends a finished node to the open container, under the key that was read for it. */
static void push(struct builder *b, struct doc node)
{
    struct frame *f = top(b);
    if (f != NULL && f->node.kind == DOC_MAP) {
        assert(f->has_key);
        node.member = true;
        node.key = f->key;
        node.key_at = f->key_at;
        f->has_key = false;
    }
    if (b->n == b->cap) {
        b->cap = b->cap == 0 ? 64 : b->cap * 2;
        b->items = mem_resize(b->items, b->cap * sizeof *b->items);
    }
    b->items[b->n++] = node;
}

static struct anchor *take_anchor(struct builder *b)
{
    struct anchor *a = b->anchors->pending;
    b->anchors->pending = NULL;
    return a;
}

static void complete(struct anchor *a, struct doc node, size_t nodes, unsigned height)
{
    if (a == NULL) {
        return;
    }
    node.member = false;
    a->node = node;
    a->nodes = nodes;
    a->height = height;
    a->complete = true;
}

bool builder_scalar(struct builder *b, struct place at, enum doc_kind kind, struct slice text)
{
    struct doc node = {.kind = (uint8_t)kind, .at = at, .file = b->file, .text = text};
    if (!count(b, at, 1)) {
        return false;
    }
    complete(take_anchor(b), node, 1, 0);
    push(b, node);
    return true;
}

bool builder_open(struct builder *b, struct place at, enum doc_kind kind)
{
    if (!count(b, at, 1)) {
        return false;
    }
    if (b->depth >= b->limits.max_depth) {
        return builder_fail(b, at, ERR_LIMIT, "nested more than %u deep", b->limits.max_depth);
    }
    if (b->depth == b->frames_cap) {
        b->frames_cap = b->frames_cap == 0 ? 16 : b->frames_cap * 2;
        b->frames = mem_resize(b->frames, b->frames_cap * sizeof *b->frames);
    }
    b->frames[b->depth++] = (struct frame){
        .node = {.kind = (uint8_t)kind, .at = at, .file = b->file},
        .first = b->n,
        .nodes = b->nodes - 1,
        .anchor = take_anchor(b),
    };
    return true;
}

static bool duplicate(struct builder *b, const struct doc *again, const struct doc *first)
{
    return builder_fail(b, again->key_at, ERR_INPUT, "key \"%.*s\" was already given at line %u",
                        again->key.n > 100 ? 100 : (int)again->key.n, again->key.p, first->key_at.line);
}

static bool check_small(struct builder *b, const struct doc *items, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (slice_eq(items[i].key, items[j].key)) {
                return duplicate(b, &items[i], &items[j]);
            }
        }
    }
    return true;
}

/* index[-1] holds the mask; slots hold position + 1. */
static bool check_large(struct builder *b, struct doc *map)
{
    uint32_t size = 32;
    while (size < map->count * 2) {
        size *= 2;
    }
    uint32_t *index = arena_zalloc(b->arena, (size + 1) * sizeof *index);
    index[0] = size - 1;
    index++;
    for (uint32_t i = 0; i < map->count; i++) {
        uint32_t at = (uint32_t)slice_hash(map->items[i].key, doc_seed(map)) & (size - 1);
        for (; index[at] != 0; at = (at + 1) & (size - 1)) {
            if (slice_eq(map->items[index[at] - 1].key, map->items[i].key)) {
                return duplicate(b, &map->items[i], &map->items[index[at] - 1]);
            }
        }
        index[at] = i + 1;
    }
    map->index = index;
    return true;
}

bool builder_close(struct builder *b)
{
    assert(b->depth > 0);
    struct frame f = *top(b);
    assert(!f.has_key);
    size_t n = b->n - f.first;
    struct doc *items = NULL;
    if (n > 0) {
        items = arena_alloc(b->arena, n * sizeof *items);
        memcpy(items, b->items + f.first, n * sizeof *items);
    }
    f.node.count = (uint32_t)n;
    f.node.items = items;
    f.node.index = NULL;
    if (f.node.kind == DOC_MAP && !(n < INDEX_FROM ? check_small(b, items, (uint32_t)n) : check_large(b, &f.node))) {
        return false;
    }
    b->n = f.first;
    b->depth--;
    complete(f.anchor, f.node, b->nodes - f.nodes, f.height + 1);
    if (b->depth > 0 && top(b)->height < f.height + 1) {
        top(b)->height = f.height + 1;
    }
    push(b, f.node);
    return true;
}

void builder_anchor(struct builder *b, const char *name)
{
    struct anchor *a = arena_zalloc(b->arena, sizeof *a);
    a->name = arena_str(b->arena, slice_of(name));
    a->next = b->anchors->first;
    b->anchors->first = a;
    b->anchors->pending = a;
}

bool builder_alias(struct builder *b, struct place at, const char *name)
{
    const struct anchor *a = b->anchors->first;
    while (a != NULL && strcmp(a->name, name) != 0) {
        a = a->next;
    }
    if (a == NULL) {
        return builder_fail(b, at, ERR_INPUT, "alias \"*%.100s\" has no anchor before it", name);
    }
    if (!a->complete) {
        return builder_fail(b, at, ERR_INPUT, "alias \"*%.100s\" stands inside its own anchor", name);
    }
    if (b->depth + a->height > b->limits.max_depth) {
        return builder_fail(b, at, ERR_LIMIT, "nested more than %u deep", b->limits.max_depth);
    }
    if (!count(b, at, a->nodes)) {
        return false;
    }
    if (b->depth > 0 && top(b)->height < a->height) {
        top(b)->height = a->height;
    }
    push(b, a->node);
    return true;
}

const struct doc *builder_root(struct builder *b)
{
    assert(b->depth == 0 && b->n == 1);
    struct doc *root = arena_alloc(b->arena, sizeof *root);
    *root = b->items[0];
    return root;
}
