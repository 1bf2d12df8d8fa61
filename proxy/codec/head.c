#include "proxy/codec/head.h"

#include <string.h>

void head_init(struct head *h, struct arena *arena)
{
    *h = (struct head){.arena = arena, .version = HTTP_1_1, .content_length = -1};
}

static void add(struct head *h, struct field field)
{
    if (h->n == h->cap) {
        unsigned cap = h->cap == 0 ? 16 : h->cap * 2;
        struct field *more = arena_alloc(h->arena, cap * sizeof *more);
        if (h->n > 0) {
            memcpy(more, h->fields, h->n * sizeof *more);
        }
        h->fields = more;
        h->cap = cap;
    }
    h->fields[h->n++] = field;
}

void head_add(struct head *h, struct slice name, struct slice value)
{
    add(h, (struct field){.name = name, .value = value, .id = (uint16_t)head_intern(name)});
}

void head_add_id(struct head *h, enum head_field id, struct slice value)
{
    add(h, (struct field){.name = head_field_name(id), .value = value, .id = (uint16_t)id});
}

void head_add_sound(struct head *h, enum head_field id, struct slice name, struct slice value)
{
    struct slice text = id == FIELD_OTHER ? name : head_field_name(id);
    add(h, (struct field){.name = text, .value = value, .id = (uint16_t)id, .sound = true});
}

/* An unknown name has id 0 and is told apart by its text; a known one by its id alone. */
static bool is_field(const struct field *f, enum head_field id, struct slice name)
{
    return f->id == id && (id != FIELD_OTHER || slice_eq(f->name, name));
}

static unsigned remove_from(struct head *h, unsigned at, enum head_field id, struct slice name)
{
    unsigned kept = at;
    for (unsigned i = at; i < h->n; i++) {
        if (!is_field(&h->fields[i], id, name)) {
            h->fields[kept++] = h->fields[i];
        }
    }
    unsigned removed = h->n - kept;
    h->n = kept;
    return removed;
}

static const struct field *find(const struct head *h, enum head_field id, struct slice name)
{
    for (unsigned i = 0; i < h->n; i++) {
        if (is_field(&h->fields[i], id, name)) {
            return &h->fields[i];
        }
    }
    return NULL;
}

static void set(struct head *h, enum head_field id, struct slice name, struct slice value)
{
    const struct field *old = find(h, id, name);
    if (old == NULL) {
        add(h, (struct field){.name = name, .value = value, .id = (uint16_t)id});
        return;
    }
    unsigned at = (unsigned)(old - h->fields);
    h->fields[at].value = value;
    h->fields[at].sound = false;
    remove_from(h, at + 1, id, name);
}

void head_set(struct head *h, struct slice name, struct slice value)
{
    set(h, head_intern(name), name, value);
}

void head_set_id(struct head *h, enum head_field id, struct slice value)
{
    set(h, id, head_field_name(id), value);
}

const struct field *head_find(const struct head *h, struct slice name)
{
    return find(h, head_intern(name), name);
}

const struct field *head_find_id(const struct head *h, enum head_field id)
{
    return find(h, id, SLICE_NONE);
}

struct slice head_value_id(const struct head *h, enum head_field id)
{
    const struct field *f = head_find_id(h, id);
    return f == NULL ? SLICE_NONE : f->value;
}

static struct slice join(const struct head *h, const struct field *first, size_t total)
{
    char *text = arena_alloc(h->arena, total);
    size_t n = 0;
    for (const struct field *f = first; f < h->fields + h->n; f++) {
        if (is_field(f, first->id, first->name)) {
            if (f != first) {
                text[n++] = ',';
            }
            if (f->value.n > 0) {
                memcpy(text + n, f->value.p, f->value.n);
            }
            n += f->value.n;
        }
    }
    return slice_make(text, n);
}

struct slice head_joined(const struct head *h, struct slice name, bool *present)
{
    const struct field *first = head_find(h, name);
    if (present != NULL) {
        *present = first != NULL;
    }
    if (first == NULL) {
        return SLICE_NONE;
    }
    size_t total = 0;
    unsigned count = 0;
    for (const struct field *f = first; f < h->fields + h->n; f++) {
        if (is_field(f, first->id, first->name)) {
            total += f->value.n + 1;
            count++;
        }
    }
    return count == 1 ? first->value : join(h, first, total);
}

unsigned head_remove(struct head *h, struct slice name)
{
    return remove_from(h, 0, head_intern(name), name);
}

unsigned head_remove_id(struct head *h, enum head_field id)
{
    return remove_from(h, 0, id, SLICE_NONE);
}

struct head *head_copy(const struct head *h, struct arena *arena)
{
    struct head *c = arena_alloc(arena, sizeof *c);
    *c = *h;
    c->arena = arena;
    c->method = arena_slice(arena, h->method);
    c->scheme = arena_slice(arena, h->scheme);
    c->authority = arena_slice(arena, h->authority);
    c->path = arena_slice(arena, h->path);
    c->protocol = arena_slice(arena, h->protocol);
    c->reason = arena_slice(arena, h->reason);
    c->cap = h->n;
    c->fields = arena_alloc(arena, (h->n + 1) * sizeof *c->fields);
    for (unsigned i = 0; i < h->n; i++) {
        const struct field *from = &h->fields[i];
        c->fields[i] = *from;
        c->fields[i].name = from->id != FIELD_OTHER ? from->name : arena_slice(arena, from->name);
        c->fields[i].value = arena_slice(arena, from->value);
    }
    return c;
}
