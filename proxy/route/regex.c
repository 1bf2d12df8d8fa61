#define PCRE2_CODE_UNIT_WIDTH 8
#include "proxy/route/regex.h"

#include <pcre2.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"

enum {
    PATTERN_MAX = 8192,
    GROUPS = 10,          /* \0 … \9 */
    MATCH_LIMIT = 200000, /* calls of the matcher */
    DEPTH_LIMIT = 20000,  /* nested ones */
    HEAP_LIMIT_KB = 1024, /* for back-tracking */
    REPLACED_MAX = 64 << 10,
};

struct regex {
    pcre2_code *code;
    pcre2_match_context *limits; /* read only once made */
    uint32_t groups;
};

static void *arena_malloc(size_t n, void *arena)
{
    return arena_alloc(arena, n);
}

static void arena_free(void *p, void *arena)
{
    (void)p;
    (void)arena;
}

static bool compile(struct regex *re, struct slice pattern, enum regex_use use, pcre2_general_context *memory,
                    struct err *err)
{
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF); /* '.' leaves out \n only */
    pcre2_set_parens_nest_limit(context, 100);
    uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    if (use == REGEX_WHOLE) {
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    }
    int code = 0;
    PCRE2_SIZE offset = 0;
    re->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &code, &offset, context);
    if (re->code == NULL) {
        PCRE2_UCHAR text[120];
        pcre2_get_error_message(code, text, sizeof text);
        return err_set(err, ERR_INPUT, "regex \"%.*s\": %s at %zu", (int)(pattern.n > 200 ? 200 : pattern.n), pattern.p,
                       (const char *)text, (size_t)offset);
    }
    return true;
}

struct regex *regex_compile(struct slice pattern, enum regex_use use, struct arena *arena, struct err *err)
{
    if (pattern.n > PATTERN_MAX) {
        err_set(err, ERR_LIMIT, "regex: longer than %d bytes", PATTERN_MAX);
        return NULL;
    }
    pattern = arena_slice(arena, pattern);
    if (!regex_dialect_check(pattern, err)) {
        return NULL;
    }
    pcre2_general_context *memory = pcre2_general_context_create(arena_malloc, arena_free, arena);
    struct regex *re = arena_zalloc(arena, sizeof *re);
    if (!compile(re, pattern, use, memory, err)) {
        return NULL;
    }
    pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &re->groups);
    re->limits = pcre2_match_context_create(memory);
    pcre2_set_match_limit(re->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(re->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(re->limits, HEAP_LIMIT_KB);
    return re;
}

static pcre2_match_data *match_data_of(struct regex_scratch *scratch)
{
    if (scratch->match_data == NULL) {
        pcre2_general_context *memory = pcre2_general_context_create(arena_malloc, arena_free, scratch->arena);
        scratch->match_data = pcre2_match_data_create(GROUPS, memory);
    }
    return scratch->match_data;
}

static enum regex_result match_at(const struct regex *re, struct slice subject, size_t start, uint32_t options,
                                  struct regex_scratch *scratch)
{
    PCRE2_SPTR p = (PCRE2_SPTR)(subject.n == 0 ? "" : subject.p);
    int rc = pcre2_match(re->code, p, subject.n, start, options, match_data_of(scratch), re->limits);
    if (rc >= 0) {
        return REGEX_YES;
    }
    return rc == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_LIMIT;
}

enum regex_result regex_match(const struct regex *re, struct slice subject, struct regex_scratch *scratch)
{
    return match_at(re, subject, 0, 0, scratch);
}

/* A bounded text under construction, in an arena. */
struct output {
    struct arena *arena;
    char *p;
    size_t n, cap;
    bool full;
};

static void put(struct output *o, struct slice s)
{
    if (o->n + s.n > REPLACED_MAX) {
        o->full = true;
        return;
    }
    if (o->n + s.n > o->cap) {
        size_t cap = (o->n + s.n) * 2 + 128;
        char *p = arena_alloc(o->arena, cap);
        if (o->n > 0) {
            memcpy(p, o->p, o->n);
        }
        o->p = p;
        o->cap = cap;
    }
    if (s.n > 0) {
        memcpy(o->p + o->n, s.p, s.n);
        o->n += s.n;
    }
}

static void put_substitution(struct output *o, struct slice substitution, struct slice subject, pcre2_match_data *match)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(match);
    for (size_t i = 0; i < substitution.n; i++) {
        char c = substitution.p[i];
        if (c != '\\' || i + 1 == substitution.n) {
            put(o, slice_make(&substitution.p[i], 1));
            continue;
        }
        c = substitution.p[++i];
        if (c < '0' || c > '9') {
            put(o, slice_make(&substitution.p[i], 1));
            continue;
        }
        size_t group = (size_t)(c - '0');
        if (ends[2 * group] != PCRE2_UNSET) {
            put(o, slice_sub(subject, ends[2 * group], ends[2 * group + 1] - ends[2 * group]));
        }
    }
}

/* How many bytes the character at `at` has: what is stepped over after an empty match. */
static size_t step_at(struct slice s, size_t at)
{
    size_t n = 1;
    while (at + n < s.n && ((unsigned char)s.p[at + n] & 0xc0) == 0x80) {
        n++;
    }
    return n;
}

static enum regex_result replace_all(const struct regex *re, struct slice substitution, struct slice subject,
                                     struct regex_scratch *scratch, struct output *o)
{
    enum regex_result result = REGEX_NO;
    size_t at = 0;
    bool after_match = false; /* an empty match right behind another one does not count */
    while (at <= subject.n && !o->full) {
        enum regex_result found = match_at(re, subject, at, after_match ? PCRE2_NOTEMPTY_ATSTART : 0, scratch);
        if (found == REGEX_LIMIT) {
            return REGEX_LIMIT;
        }
        if (found == REGEX_NO) {
            break;
        }
        result = REGEX_YES;
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(scratch->match_data);
        size_t from = ends[0], to = ends[1];
        put(o, slice_sub(subject, at, from - at));
        put_substitution(o, substitution, subject, scratch->match_data);
        after_match = true;
        if (to == from) {
            size_t step = from < subject.n ? step_at(subject, from) : 1;
            put(o, slice_sub(subject, from, step));
            to += step;
            after_match = false;
        }
        at = to;
    }
    if (at < subject.n) {
        put(o, slice_from(subject, at));
    }
    return o->full ? REGEX_LIMIT : result;
}

enum regex_result regex_replace(const struct regex *re, struct slice substitution, struct slice subject,
                                struct regex_scratch *scratch, struct slice *out)
{
    *out = subject;
    enum regex_result any = regex_match(re, subject, scratch);
    if (any != REGEX_YES) {
        return any;
    }
    struct output o = {.arena = scratch->arena};
    enum regex_result result = replace_all(re, substitution, subject, scratch, &o);
    if (result == REGEX_YES) {
        *out = slice_make(o.p, o.n);
    }
    return result;
}

bool regex_check_substitution(const struct regex *re, struct slice substitution, struct err *err)
{
    for (size_t i = 0; i < substitution.n; i++) {
        if (substitution.p[i] != '\\') {
            continue;
        }
        char c = ++i < substitution.n ? substitution.p[i] : '\0';
        if (c != '\\' && (c < '0' || c > '9')) {
            return err_set(err, ERR_INPUT, "substitution: a backslash without a group's number behind it");
        }
        if (c != '\\' && (uint32_t)(c - '0') > re->groups) {
            return err_set(err, ERR_INPUT, "substitution: \\%c, but the pattern has %u groups", c, re->groups);
        }
    }
    return true;
}
