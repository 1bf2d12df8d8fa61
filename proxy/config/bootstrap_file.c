/* The bootstrap's text: reading, merging, and where in it a field stands. */
#include <stdio.h>
#include <string.h>

#include "proto/field.h"
#include "proto/walk.h"
#include "proxy/config/bootstrap_inside.h"

static pb_message *walk(struct config_bootstrap *b, const struct doc *d, struct err *err)
{
    struct walk w = {.arena = b->arena};
    return walk_message(&w, d, &envoy__config__bootstrap__v3__bootstrap__descriptor, err);
}

static const struct doc *parse_flag(struct config_bootstrap *b, const char *yaml, struct err *err)
{
    struct doc_source source = {"--config-yaml", slice_of(yaml), DOC_YAML};
    return doc_parse(b->arena, source, NULL, err);
}

bool bootstrap_read(struct config_bootstrap *b, const struct bootstrap_options *options, struct err *err)
{
    if (options->path == NULL && options->yaml == NULL) {
        return err_set(err, ERR_INPUT, "no configuration: -c or --config-yaml is needed");
    }
    pb_message *message = NULL;
    if (options->path != NULL) {
        b->docs[0] = doc_read(b->arena, options->path, NULL, err);
        message = b->docs[0] == NULL ? NULL : walk(b, b->docs[0], err);
        if (message == NULL) {
            return false;
        }
    }
    if (options->yaml != NULL) {
        b->docs[1] = parse_flag(b, options->yaml, err);
        pb_message *over = b->docs[1] == NULL ? NULL : walk(b, b->docs[1], err);
        if (over == NULL) {
            return false;
        }
        if (message != NULL) {
            message_merge(message, over, b->arena);
        } else {
            message = over;
        }
    }
    b->message = (pb_bootstrap *)(void *)message;
    return true;
}

/* ---- positions ---- */

struct step { /* one piece of a path: ".name", "[3]" or "[\"key\"]" */
    struct slice name;
    bool is_index;
    uint64_t index;
};

static bool is_name_char(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool next_step(struct slice *rest, struct step *out)
{
    *out = (struct step){0};
    if (slice_starts_with(*rest, SLICE("[\""))) {
        size_t end = slice_search(*rest, SLICE("\"]"));
        if (end == rest->n) {
            return false;
        }
        out->name = slice_sub(*rest, 2, end - 2);
        *rest = slice_from(*rest, end + 2);
        return true;
    }
    if (slice_starts_with(*rest, SLICE("["))) {
        size_t end = slice_find(*rest, ']');
        out->is_index = slice_to_u64(slice_sub(*rest, 1, end - 1), &out->index);
        *rest = slice_from(*rest, end + 1);
        return out->is_index;
    }
    *rest = slice_from(*rest, slice_starts_with(*rest, SLICE(".")) ? 1 : 0);
    size_t n = 0;
    while (n < rest->n && is_name_char(rest->p[n])) {
        n++;
    }
    out->name = slice_sub(*rest, 0, n);
    *rest = slice_from(*rest, n);
    return n > 0;
}

static const struct doc *child(const struct doc *d, const struct step *step)
{
    if (step->is_index) {
        return doc_is(d, DOC_LIST) ? doc_at(d, step->index) : NULL;
    }
    for (size_t i = 0; doc_is(d, DOC_MAP) && i < doc_len(d); i++) {
        struct slice key = doc_key(doc_at(d, i));
        char name[128];
        snprintf(name, sizeof name, "%.*s", SLICE_ARG(step->name));
        if (slice_eq(key, step->name) || field_name_is(name, key)) {
            return doc_at(d, i);
        }
    }
    return NULL;
}

/* Both documents are followed at once: what was merged stands in either; items of --config-yaml come after the file's. */
static const struct doc *find_place(const struct config_bootstrap *b, struct slice path)
{
    const struct doc *file = b->docs[0], *flag = b->docs[1];
    const struct doc *best = file != NULL ? file : flag;
    struct step step;
    while (path.n > 0 && path.p[0] != ':' && next_step(&path, &step)) {
        struct step later = step;
        size_t before = doc_is(file, DOC_LIST) ? doc_len(file) : 0;
        later.index = step.index >= before ? step.index - before : UINT64_MAX;
        file = child(file, &step);
        flag = child(flag, &later);
        if (file == NULL && flag == NULL) {
            break;
        }
        best = flag != NULL ? flag : file;
    }
    return best;
}

bool bootstrap_locate(const struct config_bootstrap *b, struct err *err)
{
    if (err == NULL) {
        return false;
    }
    const struct doc *d = find_place(b, slice_of(err->text));
    bool keyed = doc_key(d).n > 0; /* a member: its key is what the path names */
    return err_prefix(err, "%s:%u:%u", doc_file(d), keyed ? doc_key_line(d) : doc_line(d),
                      keyed ? doc_key_column(d) : doc_column(d));
}
