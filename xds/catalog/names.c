/* Names: ARM ids down to the relative, lower-case form. */
#include "xds/catalog/build.h"

const char *lower(struct arena *arena, struct slice text)
{
    char *out = arena_str(arena, text);
    for (char *p = out; *p != '\0'; p++) {
        *p = ascii_lower(*p);
    }
    return out;
}

const char *resource_name(struct build *b, const char *workspace, const char *section, struct slice id)
{
    const char *name = *workspace == '\0'
                           ? arena_printf(b->arena, "%s/%.*s", section, SLICE_ARG(id))
                           : arena_printf(b->arena, "workspaces/%s/%s/%.*s", workspace, section, SLICE_ARG(id));
    return lower(b->arena, slice_of(name));
}

const char *workspace_name(struct build *b, const char *workspace)
{
    return lower(b->arena, slice_of(arena_printf(b->arena, "workspaces/%s", workspace)));
}

struct slice last_segment(struct slice arm_id)
{
    struct slice rest = slice_trim(arm_id), last = SLICE_NONE;
    while (rest.p != NULL) {
        struct slice segment = slice_cut(&rest, '/');
        last = segment.n > 0 ? segment : last;
    }
    return last;
}

struct slice without_revision(struct slice api_id)
{
    size_t at = api_id.n;
    for (size_t i = 0; i + 5 <= api_id.n && at == api_id.n; i++) {
        if (slice_eq_nocase(slice_sub(api_id, i, 5), SLICE(";rev="))) {
            at = i;
        }
    }
    return slice_sub(api_id, 0, at);
}

bool is_api_token(struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && slice_find(SLICE("!#$%&'*+-.^_`|~"), c) == 15) {
            return false;
        }
    }
    return text.n > 0;
}
