#include "proxy/config/routes.h"

#include <string.h>

#define STRING_CASE(x) ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_##x
#define HEADER_CASE(x) ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_##x
#define PATH_CASE(x) ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_##x
#define QUERY_CASE(x) ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_##x

static bool set_string(struct reader *r, enum string_match_kind kind, const char *text, struct string_match_conf *out)
{
    out->kind = kind;
    out->value = read_text(r, text);
    return out->value.n > 0 || kind == STRING_MATCH_EXACT || read_fail(r, NULL, ERR_INPUT, "must not be empty");
}

static bool set_regex(struct reader *r, const pb_regex *m, struct string_match_conf *out)
{
    return m->regex[0] == '\0' ? read_required(r, "regex") : set_string(r, STRING_MATCH_REGEX, m->regex, out);
}

bool string_match_read(struct reader *r, const char *field, const pb_string_match *m, struct string_match_conf *out)
{
    size_t mark = read_push(r, field);
    bool ok = false;
    out->ignore_case = m->ignore_case != 0;
    switch ((int)m->match_pattern_case) {
    case STRING_CASE(EXACT):
        ok = set_string(r, STRING_MATCH_EXACT, m->exact, out);
        break;
    case STRING_CASE(PREFIX):
        ok = set_string(r, STRING_MATCH_PREFIX, m->prefix, out);
        break;
    case STRING_CASE(SUFFIX):
        ok = set_string(r, STRING_MATCH_SUFFIX, m->suffix, out);
        break;
    case STRING_CASE(CONTAINS):
        ok = set_string(r, STRING_MATCH_CONTAINS, m->contains, out);
        break;
    case STRING_CASE(SAFE_REGEX):
        ok = set_regex(r, m->safe_regex, out);
        break;
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of exact, prefix, suffix, safe_regex, contains is required");
    }
    if (ok && out->kind == STRING_MATCH_REGEX && out->ignore_case) {
        return read_fail(r, "ignore_case", ERR_INPUT, "has no effect on a regular expression: write (?i)");
    }
    if (ok) {
        read_pop(r, mark);
    }
    return ok;
}

static bool read_header(struct reader *r, const pb_header_match *m, struct header_match_conf *out)
{
    if (!read_header_name(r, "name", m->name, &out->name)) {
        return false;
    }
    out->invert = m->invert_match != 0;
    out->treat_missing_as_empty = m->treat_missing_header_as_empty != 0;
    out->kind = HEADER_MATCH_STRING;
    switch ((int)m->header_match_specifier_case) {
    case HEADER_CASE(EXACT_MATCH):
        return set_string(r, STRING_MATCH_EXACT, m->exact_match, &out->string);
    case HEADER_CASE(PREFIX_MATCH):
        return set_string(r, STRING_MATCH_PREFIX, m->prefix_match, &out->string);
    case HEADER_CASE(SUFFIX_MATCH):
        return set_string(r, STRING_MATCH_SUFFIX, m->suffix_match, &out->string);
    case HEADER_CASE(CONTAINS_MATCH):
        return set_string(r, STRING_MATCH_CONTAINS, m->contains_match, &out->string);
    case HEADER_CASE(SAFE_REGEX_MATCH):
        return set_regex(r, m->safe_regex_match, &out->string);
    case HEADER_CASE(STRING_MATCH):
        return string_match_read(r, "string_match", m->string_match, &out->string);
    case HEADER_CASE(RANGE_MATCH):
        out->kind = HEADER_MATCH_RANGE;
        out->range_start = m->range_match->start;
        out->range_end = m->range_match->end;
        return true;
    case HEADER_CASE(PRESENT_MATCH):
        out->kind = HEADER_MATCH_PRESENT;
        out->present = m->present_match != 0;
        return true;
    default:
        out->kind = HEADER_MATCH_PRESENT;
        out->present = true;
        return true;
    }
}

static bool read_query(struct reader *r, const pb_query_match *m, struct query_match_conf *out)
{
    if (m->name[0] == '\0' || strlen(m->name) > 1024) {
        return read_fail(r, "name", ERR_INPUT, "must have 1 to 1024 bytes");
    }
    out->name = read_text(r, m->name);
    switch ((int)m->query_parameter_match_specifier_case) {
    case QUERY_CASE(STRING_MATCH):
        return string_match_read(r, "string_match", m->string_match, &out->string);
    case QUERY_CASE(PRESENT_MATCH):
        out->present_only = true;
        out->present = m->present_match != 0;
        return true;
    default:
        out->present_only = out->present = true;
        return true;
    }
}

static bool is_separated_prefix(const char *p)
{
    size_t n = strlen(p);
    return n >= 2 && strpbrk(p, "?#") == NULL && p[n - 1] != '/';
}

static bool read_path(struct reader *r, const pb_route_match *m, struct route_rule_conf *out)
{
    switch ((int)m->path_specifier_case) {
    case PATH_CASE(PREFIX):
        out->path_kind = ROUTE_PATH_PREFIX;
        out->path = read_text(r, m->prefix);
        return true;
    case PATH_CASE(PATH):
        out->path_kind = ROUTE_PATH_EXACT;
        out->path = read_text(r, m->path);
        return true;
    case PATH_CASE(PATH_SEPARATED_PREFIX):
        out->path_kind = ROUTE_PATH_SEPARATED_PREFIX;
        out->path = read_text(r, m->path_separated_prefix);
        return is_separated_prefix(m->path_separated_prefix) ||
               read_fail(r, "path_separated_prefix", ERR_INPUT, "must not end in '/' or hold '?' or '#'");
    case PATH_CASE(SAFE_REGEX):
        out->path_kind = ROUTE_PATH_REGEX;
        out->path = read_text(r, m->safe_regex->regex);
        return out->path.n > 0 || read_required(r, "safe_regex.regex");
    case PATH_CASE(CONNECT_MATCHER):
        out->path_kind = ROUTE_PATH_CONNECT;
        return true;
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of prefix, path, safe_regex, connect_matcher, "
                                             "path_separated_prefix is required");
    }
}

bool route_match_read(struct reader *r, const pb_route_match *m, struct route_rule_conf *out)
{
    if (m == NULL) {
        return read_required(r, "match");
    }
    size_t mark = read_push(r, "match");
    if (!read_path(r, m, out)) {
        return false;
    }
    out->ignore_case = !read_bool(m->case_sensitive, true);
    struct header_match_conf *headers = read_list(r, m->n_headers, sizeof *headers);
    for (size_t i = 0; i < m->n_headers; i++) {
        size_t inner = read_push_at(r, "headers", i);
        if (!read_header(r, m->headers[i], &headers[i])) {
            return false;
        }
        read_pop(r, inner);
    }
    struct query_match_conf *query = read_list(r, m->n_query_parameters, sizeof *query);
    for (size_t i = 0; i < m->n_query_parameters; i++) {
        size_t inner = read_push_at(r, "query_parameters", i);
        if (!read_query(r, m->query_parameters[i], &query[i])) {
            return false;
        }
        read_pop(r, inner);
    }
    out->headers = headers;
    out->header_count = m->n_headers;
    out->query = query;
    out->query_count = m->n_query_parameters;
    read_pop(r, mark);
    return true;
}

bool regex_rewrite_read(struct reader *r, const char *field, const pb_regex_rewrite *m, struct regex_rewrite_conf *out)
{
    if (m == NULL) {
        return true;
    }
    size_t mark = read_push(r, field);
    if (m->pattern == NULL || m->pattern->regex[0] == '\0') {
        return read_required(r, "pattern.regex");
    }
    out->pattern = read_text(r, m->pattern->regex);
    if (!read_header_value(r, "substitution", m->substitution, &out->substitution)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}
