/*
 * Conditions on a request: strings, headers, query parameters. Compiled from conf.h into the table's arena,
 * immutable. A result of MATCH_LIMIT means that a regular expression gave up; whoever asks must deny.
 */
#pragma once
#include "proxy/route/conf.h"
#include "proxy/route/regex.h"
#include "proxy/route/request.h"

enum match_result { MATCH_NO, MATCH_YES, MATCH_LIMIT };

struct string_match {
    const struct string_match_conf *conf;
    const struct regex *regex;
};

/* Parallel to the conf arrays they were compiled from. */
struct header_match {
    const struct header_match_conf *conf;
    struct string_match string;
};

struct query_match {
    const struct query_match_conf *conf;
    struct string_match string;
};

bool string_match_compile(const struct string_match_conf *conf, struct arena *arena, struct string_match *out,
                          struct err *err);
enum match_result string_match_test(const struct string_match *m, struct slice s, struct regex_scratch *scratch);

bool header_match_compile(const struct header_match_conf *conf, struct arena *arena, struct header_match *out,
                          struct err *err);
enum match_result header_match_test(const struct header_match *m, const struct route_request *req,
                                    struct regex_scratch *scratch);

bool query_match_compile(const struct query_match_conf *conf, struct arena *arena, struct query_match *out,
                         struct err *err);
enum match_result query_match_test(const struct query_match *m, struct slice query, struct regex_scratch *scratch);
