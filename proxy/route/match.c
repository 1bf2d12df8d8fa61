#include "proxy/route/match.h"

#include "base/err.h"
#include "proxy/route/path.h"

bool string_match_compile(const struct string_match_conf *conf, struct arena *arena, struct string_match *out,
                          struct err *err)
{
    *out = (struct string_match){.conf = conf};
    switch (conf->kind) {
    case STRING_MATCH_EXACT:
        return true;
    case STRING_MATCH_PREFIX:
    case STRING_MATCH_SUFFIX:
    case STRING_MATCH_CONTAINS:
        return conf->value.n > 0 || err_set(err, ERR_INPUT, "string_match: an empty prefix, suffix or contains");
    case STRING_MATCH_REGEX:
        if (conf->ignore_case) {
            return err_set(err, ERR_INPUT, "string_match: ignore_case has no meaning for safe_regex, write (?i)");
        }
        out->regex = regex_compile(conf->value, REGEX_WHOLE, arena, err);
        return out->regex != NULL;
    }
    return err_set(err, ERR_INPUT, "string_match: unknown kind");
}

static bool contains(struct slice s, struct slice needle, bool ignore_case)
{
    if (!ignore_case) {
        return slice_search(s, needle) < s.n;
    }
    for (size_t i = 0; i + needle.n <= s.n; i++) {
        if (slice_starts_with_nocase(slice_from(s, i), needle)) {
            return true;
        }
    }
    return false;
}

static bool test_plain(const struct string_match_conf *c, struct slice s)
{
    switch (c->kind) {
    case STRING_MATCH_EXACT:
        return c->ignore_case ? slice_eq_nocase(s, c->value) : slice_eq(s, c->value);
    case STRING_MATCH_PREFIX:
        return c->ignore_case ? slice_starts_with_nocase(s, c->value) : slice_starts_with(s, c->value);
    case STRING_MATCH_SUFFIX:
        return c->ignore_case ? slice_ends_with_nocase(s, c->value) : slice_ends_with(s, c->value);
    case STRING_MATCH_CONTAINS:
        return contains(s, c->value, c->ignore_case);
    case STRING_MATCH_REGEX:
        break;
    }
    return false;
}

enum match_result string_match_test(const struct string_match *m, struct slice s, struct regex_scratch *scratch)
{
    if (m->regex == NULL) {
        return test_plain(m->conf, s) ? MATCH_YES : MATCH_NO;
    }
    switch (regex_match(m->regex, s, scratch)) {
    case REGEX_NO:
        return MATCH_NO;
    case REGEX_YES:
        return MATCH_YES;
    case REGEX_LIMIT:
        break;
    }
    return MATCH_LIMIT;
}

static bool has_upper_case(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (ascii_lower(s.p[i]) != s.p[i]) {
            return true;
        }
    }
    return false;
}

bool header_match_compile(const struct header_match_conf *conf, struct arena *arena, struct header_match *out,
                          struct err *err)
{
    *out = (struct header_match){.conf = conf};
    if (conf->name.n == 0 || has_upper_case(conf->name)) {
        return err_set(err, ERR_INPUT, "headers: name \"%.*s\" is empty or not in lower case", SLICE_ARG(conf->name));
    }
    bool ok = conf->kind != HEADER_MATCH_STRING || string_match_compile(&conf->string, arena, &out->string, err);
    return ok || err_prefix(err, "headers[%.*s]", SLICE_ARG(conf->name));
}

/* The whole value as a signed decimal number. */
static bool parse_i64(struct slice s, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t magnitude = 0;
    if (!slice_to_u64(slice_from(s, negative ? 1 : 0), &magnitude) || magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

static enum match_result test_value(const struct header_match *m, struct slice value, struct regex_scratch *scratch)
{
    const struct header_match_conf *c = m->conf;
    if (c->kind == HEADER_MATCH_STRING) {
        return string_match_test(&m->string, value, scratch);
    }
    int64_t number;
    return parse_i64(value, &number) && number >= c->range_start && number < c->range_end ? MATCH_YES : MATCH_NO;
}

/* Each line of that name for itself: a second one hides nothing from a rule, and joins nothing to it. */
static enum match_result test_lines(const struct header_match *m, const struct route_request *req,
                                    struct regex_scratch *scratch)
{
    bool more = true;
    enum match_result r = MATCH_NO;
    for (size_t i = 0; r == MATCH_NO && more; i++) {
        struct slice value = req->header_line(req->ctx, m->conf->name, i, &more);
        r = more ? test_value(m, value, scratch) : MATCH_NO;
    }
    return r;
}

enum match_result header_match_test(const struct header_match *m, const struct route_request *req,
                                    struct regex_scratch *scratch)
{
    const struct header_match_conf *c = m->conf;
    bool present = false;
    struct slice value = route_request_header(req, c->name, &present);
    bool there = present || c->treat_missing_as_empty;
    if (c->kind == HEADER_MATCH_PRESENT) {
        return (there == c->present) != c->invert ? MATCH_YES : MATCH_NO;
    }
    if (!there) {
        return MATCH_NO; /* Envoy: the rule does not hold, inverted or not */
    }
    if (!present) {
        value = SLICE_NONE;
    }
    bool lines = present && req->header_line != NULL && c->name.p[0] != ':' && !slice_eq(c->name, SLICE("host"));
    enum match_result r = lines ? test_lines(m, req, scratch) : test_value(m, value, scratch);
    if (r == MATCH_LIMIT) {
        return r;
    }
    return (r == MATCH_YES) != c->invert ? MATCH_YES : MATCH_NO;
}

bool query_match_compile(const struct query_match_conf *conf, struct arena *arena, struct query_match *out,
                         struct err *err)
{
    *out = (struct query_match){.conf = conf};
    if (conf->name.n == 0) {
        return err_set(err, ERR_INPUT, "query_parameters: an empty name");
    }
    bool ok = conf->present_only || string_match_compile(&conf->string, arena, &out->string, err);
    return ok || err_prefix(err, "query_parameters[%.*s]", SLICE_ARG(conf->name));
}

enum match_result query_match_test(const struct query_match *m, struct slice query, struct regex_scratch *scratch)
{
    bool found = false;
    struct slice value = query_get(query, m->conf->name, &found);
    if (m->conf->present_only) {
        return found == m->conf->present ? MATCH_YES : MATCH_NO;
    }
    return found ? string_match_test(&m->string, value, scratch) : MATCH_NO;
}
