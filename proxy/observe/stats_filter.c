#include "proxy/observe/stats_filter.h"

#include <regex.h>

#include "base/mem.h"

enum { PATTERN_MAX = 256 };

struct stats_filter {
    regex_t regex;
    bool has_regex, used_only;
};

static bool is_bounded(struct slice pattern)
{
    for (size_t i = 0; i < pattern.n; i++) {
        char c = pattern.p[i], next = i + 1 < pattern.n ? pattern.p[i + 1] : '\0';
        if (c == '\0' || c == '{' || (c == '\\' && next >= '0' && next <= '9')) {
            return false;
        }
        i += c == '\\';
    }
    return pattern.n <= PATTERN_MAX;
}

struct stats_filter *stats_filter_create(struct slice pattern, bool used_only, struct err *err)
{
    struct stats_filter *f = mem_alloc(sizeof *f);
    f->used_only = used_only;
    if (pattern.n == 0) {
        return f;
    }
    char *text = mem_str_slice(pattern);
    int failed = is_bounded(pattern) ? regcomp(&f->regex, text, REG_EXTENDED | REG_NOSUB) : REG_BADPAT;
    mem_free(text);
    f->has_regex = failed == 0;
    if (failed != 0) {
        err_set(err, ERR_INPUT, "filter: not an acceptable regular expression");
        stats_filter_destroy(&f);
    }
    return f;
}

void stats_filter_destroy(struct stats_filter **filter)
{
    struct stats_filter *f = *filter;
    *filter = NULL;
    if (f != NULL && f->has_regex) {
        regfree(&f->regex);
    }
    mem_free(f);
}

bool stats_filter_passes(const struct stats_filter *f, const struct stat_view *view)
{
    if (f == NULL) {
        return true;
    }
    if (f->used_only && view->value == 0) {
        return false;
    }
    if (!f->has_regex) {
        return true;
    }
    regmatch_t span = {.rm_so = 0, .rm_eo = (regoff_t)view->name.n};
    return regexec(&f->regex, view->name.p, 1, &span, REG_STARTEND) == 0;
}
