/* Policies that hold others: with literal conditions they leave nothing behind but what they choose. */
#include <string.h>

#include "xds/policy/compile.h"

/* *value of a literal condition; false: closed. */
static bool read_condition(struct compile *c, const xmlNode *e, bool *value)
{
    const char *text = NULL;
    return compile_required(c, e, "condition", &text) && compile_bool(c, e, "condition", value);
}

void compile_inside(struct compile *c, const xmlNode *e)
{
    c->inside++;
    compile_children(c, e);
    c->inside--;
}

void compile_choose(struct compile *c, const xmlNode *e)
{
    const xmlNode *otherwise = NULL;
    bool found = false;
    if (!compile_check_children(c, e, "when otherwise")) {
        return;
    }
    for (const xmlNode *n = e->children; n != NULL; n = n->next) {
        bool chosen = false;
        if (compile_is(n, "otherwise")) {
            if (otherwise != NULL) {
                compile_close(c, n, "<otherwise> stands there twice");
                return;
            }
            otherwise = n;
        } else if (compile_is(n, "when") && !found) {
            if (!compile_check_attributes(c, n, "condition") || !read_condition(c, n, &chosen)) {
                return; /* which branch it would be cannot be said */
            }
            if (chosen) {
                found = true;
                compile_inside(c, n);
            }
        }
    }
    if (!found && otherwise != NULL) {
        compile_inside(c, otherwise);
    }
}

/* What stands inside runs once before the condition is looked at. */
void compile_retry(struct compile *c, const xmlNode *e)
{
    bool again = false;
    if (!read_condition(c, e, &again)) {
        return;
    }
    if (again) {
        compile_close(c, e, "a condition that is always true repeats every call count times: not built");
        return;
    }
    compile_inside(c, e);
}

/* Of what may run side by side in it, only choose is built: in order, then. */
void compile_wait(struct compile *c, const xmlNode *e)
{
    const char *mode = NULL;
    if (!compile_attribute(c, e, "for", &mode)) {
        return;
    }
    if (mode != NULL && strcmp(mode, "all") != 0 && strcmp(mode, "any") != 0) {
        compile_close(c, e, "attribute for is neither all nor any");
        return;
    }
    if (compile_check_children(c, e, "choose")) {
        compile_inside(c, e);
    }
}

static bool is_open(const struct compile *c, const char *id)
{
    for (unsigned i = 0; i < c->nested; i++) {
        if (slice_eq_nocase(slice_of(c->open[i]), slice_of(id))) {
            return true;
        }
    }
    return false;
}

void compile_include_fragment(struct compile *c, const xmlNode *e)
{
    const char *id = NULL, *file = "";
    struct slice text = SLICE_NONE;
    c->program->uses_fragments = true;
    if (!compile_required(c, e, "fragment-id", &id) || !compile_check_empty(c, e)) {
        return;
    }
    if (is_open(c, id)) {
        compile_close(c, e, "fragment %.200s includes itself", id);
        return;
    }
    if (c->nested == COMPILE_NESTED_MAX || ++c->includes > COMPILE_INCLUDES_MAX) {
        compile_close(c, e, "fragment %.200s: too many fragments in fragments", id);
        return;
    }
    const char *why = c->sources == NULL || c->sources->find_fragment == NULL
                          ? "there are no fragments"
                          : c->sources->find_fragment(c->sources->ctx, slice_of(id), &text, &file);
    if (why != NULL) {
        compile_close(c, e, "fragment %.200s: %s", id, why);
        return;
    }
    if (slice_search(text, SLICE("{{")) < text.n) {
        c->program->uses_named_values = true;
    }
    c->open[c->nested++] = id;
    compile_fragment(c, text, file);
    c->nested--;
}
