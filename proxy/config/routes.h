/* RouteConfiguration → route_table. routes_match.c, routes_action.c and routes_header.c are its parts. */
#pragma once
#include "proxy/config/read.h"
#include "proxy/config/snapshot.h"

/* One reference, in an arena of its own: what r->arena holds is not part of it. NULL with the reader's error. */
struct route_table *routes_create(struct reader *r, const pb_routes *m, bool is_inline);

/* ---- for the files of this part ---- */

struct header_lists { /* the four fields that so many messages have */
    pb_header_option *const *request_add, *const *response_add;
    size_t n_request_add, n_response_add;
    char *const *request_remove, *const *response_remove;
    size_t n_request_remove, n_response_remove;
};
#define HEADER_LISTS(m)                                                                                                \
    ((struct header_lists){(m)->request_headers_to_add, (m)->response_headers_to_add, (m)->n_request_headers_to_add,   \
                           (m)->n_response_headers_to_add, (m)->request_headers_to_remove,                             \
                           (m)->response_headers_to_remove, (m)->n_request_headers_to_remove,                          \
                           (m)->n_response_headers_to_remove})
bool header_lists_read(struct reader *r, const struct header_lists *lists, struct header_edits_conf *out);
bool header_adds_read(struct reader *r, const char *field, pb_header_option *const *list, size_t n,
                      const struct header_add_conf **out);

bool string_match_read(struct reader *r, const char *field, const pb_string_match *m, struct string_match_conf *out);
bool route_match_read(struct reader *r, const pb_route_match *m, struct route_rule_conf *out);
bool regex_rewrite_read(struct reader *r, const char *field, const pb_regex_rewrite *m, struct regex_rewrite_conf *out);

bool route_action_read(struct reader *r, const pb_route_action *m, struct forward_conf *out);
bool retry_read(struct reader *r, const char *field, const pb_retry *m, const struct retry_conf **out);

struct override_entry { /* of a typed_per_filter_config map, whichever message's */
    const char *key;
    const pb_any *any;
};
/* Entries of type ApiTable under "egret.apim" go to *apim, which is NULL where they have no meaning. */
bool overrides_read(struct reader *r, const struct override_entry *entries, size_t n, void **apim, void **out);
