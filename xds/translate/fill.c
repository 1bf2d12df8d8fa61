#include "xds/translate/fill.h"

#include <assert.h>
#include <stdarg.h>

#include "base/strbuf.h"

static char *keep(struct arena *arena, struct strbuf *text)
{
    char *out = arena_str(arena, strbuf_slice(text));
    strbuf_fini(text);
    return out;
}

char *fill(struct arena *arena, const char *template, ...)
{
    struct strbuf out;
    strbuf_init(&out);
    va_list args;
    va_start(args, template);
    for (const char *p = template; *p != '\0'; p++) {
        if (p[0] == '@' && p[1] == '/') {
            strbuf_add_str(&out, "type.googleapis.com/");
            p++;
            continue;
        }
        if (*p != '$') {
            strbuf_add_char(&out, *p == '\'' ? '"' : *p);
            continue;
        }
        switch (*++p) {
        case 's':
            strbuf_add_json(&out, slice_of(va_arg(args, const char *)));
            break;
        case 'r':
            strbuf_add_str(&out, va_arg(args, const char *));
            break;
        case 'u':
            strbuf_printf(&out, "%u", va_arg(args, unsigned));
            break;
        default:
            assert(false && "template: $s, $r or $u");
        }
    }
    va_end(args);
    return keep(arena, &out);
}

char *fill_list(struct arena *arena, const char *const *parts, size_t n)
{
    struct strbuf out;
    strbuf_init(&out);
    strbuf_add_char(&out, '[');
    for (size_t i = 0; i < n; i++) {
        strbuf_add_str(&out, i == 0 ? "" : ",");
        strbuf_add_str(&out, parts[i]);
    }
    strbuf_add_char(&out, ']');
    return keep(arena, &out);
}

char *fill_strings(struct arena *arena, const char *const *texts, size_t n)
{
    struct strbuf out;
    strbuf_init(&out);
    strbuf_add_char(&out, '[');
    for (size_t i = 0; i < n; i++) {
        strbuf_add_str(&out, i == 0 ? "" : ",");
        strbuf_add_json(&out, slice_of(texts[i]));
    }
    strbuf_add_char(&out, ']');
    return keep(arena, &out);
}
