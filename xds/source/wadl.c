#include "xds/source/wadl.h"

#include <string.h>

#include "xds/source/operation_list.h"
#include "xds/source/xml_tags.h"

enum { DEPTH_MAX = 64, METHOD_MAX = 32 };

struct open_tag {
    struct slice full_name;
    const char *path; /* of the resource it stands in; NULL: in none */
};

struct reader {
    struct arena *arena;
    const char *file;
    struct xml_tags tags;
    struct open_tag open[DEPTH_MAX];
    size_t depth;
    bool seen_root;
    struct openapi *out;
    struct operation_list operations;
};

static bool fail(const struct reader *r, struct err *err, const char *why)
{
    return err_set(err, ERR_INPUT, "%s:%u:%u: %s", r->file, r->tags.line, r->tags.column, why);
}

static void close_api(struct reader *r, const char *why)
{
    if (r->out->closed == NULL) {
        r->out->closed = why;
        r->out->line = r->tags.line;
        r->out->column = r->tags.column;
    }
}

static struct slice attribute(const struct reader *r, const char *name)
{
    return slice_trim(xml_tags_attribute(&r->tags, name, r->arena));
}

/* One slash between them. */
static const char *join(struct reader *r, const char *base, struct slice path)
{
    struct slice b = slice_of(base);
    while (b.n > 0 && b.p[b.n - 1] == '/') {
        b.n--;
    }
    while (path.n > 0 && path.p[0] == '/') {
        path = slice_from(path, 1);
    }
    return arena_printf(r->arena, "%.*s/%.*s", SLICE_ARG(b), SLICE_ARG(path));
}

static bool is_method(struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < 'A' || name.p[i] > 'Z') {
            return false;
        }
    }
    return name.n > 0 && name.n <= METHOD_MAX;
}

static void read_method(struct reader *r, const char *path)
{
    struct slice name = attribute(r, "name");
    if (attribute(r, "href").p != NULL) {
        close_api(r, "a method that stands elsewhere (href) is not looked up");
    } else if (!is_method(name)) {
        close_api(r, "a method without a usable name");
    } else {
        struct openapi_operation o = {.method = arena_str(r->arena, name),
                                      .url_template = path,
                                      .line = r->tags.line,
                                      .column = r->tags.column};
        operation_list_add(&r->operations, attribute(r, "id"), o);
    }
}

static bool read_open(struct reader *r, struct err *err)
{
    struct slice name = r->tags.name;
    if (r->depth == 0 && (r->seen_root || !slice_eq(name, SLICE("application")))) {
        return fail(r, err, "expected one <application>, a WADL document");
    }
    if (r->depth == DEPTH_MAX) {
        return fail(r, err, "elements nested too deep");
    }
    r->seen_root = true;
    const char *path = r->depth == 0 ? NULL : r->open[r->depth - 1].path;
    if (slice_eq(name, SLICE("resources"))) {
        path = "/";
    } else if (slice_eq(name, SLICE("resource")) && path != NULL) {
        path = join(r, path, attribute(r, "path"));
        if (attribute(r, "type").p != NULL) {
            close_api(r, "a resource of a type that stands elsewhere is not looked up");
        }
    } else if (slice_eq(name, SLICE("method")) && path != NULL) {
        read_method(r, path);
    }
    r->open[r->depth++] = (struct open_tag){r->tags.full_name, path};
    return true;
}

static bool read_all(struct reader *r, struct err *err)
{
    for (;;) {
        switch (xml_tags_next(&r->tags)) {
        case XML_BAD:
            return fail(r, err, r->tags.why);
        case XML_END:
            return (r->depth == 0 && r->seen_root) || fail(r, err, "the document ends within an element");
        case XML_OPEN:
            if (!read_open(r, err)) {
                return false;
            }
            break;
        case XML_CLOSE:
            if (r->depth == 0 || !slice_eq(r->open[r->depth - 1].full_name, r->tags.full_name)) {
                return fail(r, err, "a tag that closes nothing, or something else");
            }
            r->depth--;
            break;
        }
    }
}

const struct openapi *wadl_read(struct arena *arena, const char *file, struct slice text, struct err *err)
{
    struct reader r = {.arena = arena, .file = file, .out = arena_zalloc(arena, sizeof *r.out)};
    r.operations = (struct operation_list){.arena = arena, .out = r.out};
    xml_tags_init(&r.tags, text);
    if (!read_all(&r, err)) {
        return NULL;
    }
    operation_list_finish(&r.operations);
    return r.out;
}
