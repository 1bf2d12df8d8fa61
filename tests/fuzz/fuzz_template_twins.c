// rooms: xds/source proxy/route base/doc base
/*
 * Two URL templates, one a line: what the control server takes for servable the proxy takes too, and what the one takes for
 * twins so does the other. Else the proxy would refuse an API that validation called open.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "proxy/route/template.h"
#include "xds/source/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct url_template *parse(struct arena *arena, const char *text)
{
    struct err err;
    err_clear(&err);
    const struct url_template *t = url_template_parse(slice_of(text), arena, &err);
    if (template_check(text) == NULL && t == NULL) {
        fprintf(stderr, "%s: %s\n", text, err.text);
    }
    assert(template_check(text) != NULL || t != NULL);
    return template_check(text) == NULL ? t : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size);
    if (memchr(data, '\0', size) != NULL) {
        return 0; /* texts of a specification have none */
    }
    struct arena *arena = arena_create(0);
    struct slice first = slice_cut(&rest, '\n'), second = slice_cut(&rest, '\n');
    const char *a = arena_printf(arena, "/%.*s", SLICE_ARG(first)), *b = arena_printf(arena, "/%.*s", SLICE_ARG(second));
    const struct url_template *x = parse(arena, a), *y = parse(arena, b);
    if (x != NULL && y != NULL && strstr(a, "%00") == NULL && strstr(b, "%00") == NULL) {
        bool twins = strcmp(template_key(arena, a), template_key(arena, b)) == 0;
        if (twins != url_template_same(x, y)) {
            fprintf(stderr, "%s and %s: %s, %s\n", a, b, template_key(arena, a), template_key(arena, b));
        }
        assert(twins == url_template_same(x, y));
    }
    arena_destroy(&arena);
    return 0;
}
