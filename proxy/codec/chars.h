/* chars: which bytes may stand where in a message (RFC 9110 5.6, RFC 9112 3.2), for both codecs. Plain functions. */
#pragma once
#include "base/slice.h"

/* Lower-case form of a token byte (RFC 9110 5.6.2); 0: not a token byte. */
extern const unsigned char chars_token_lower[256];

static inline bool chars_is_token_byte(char c)
{
    return chars_token_lower[(unsigned char)c] != 0;
}
bool chars_is_token(struct slice s);                 /* not empty */
bool chars_is_lower_token(struct slice s);           /* not empty, no upper case */
bool chars_lower_token(struct slice s, char *lower); /* lower has s.n bytes; false: not a token */
size_t chars_value_span(const char *p, size_t n);    /* length of the longest run of field value bytes */
bool chars_is_value(struct slice s);                 /* value bytes without white space at either end */
bool chars_is_target(struct slice s);                /* visible ASCII without '#'; not empty */

/* A name that is not a framing field but that a careless parser could take for one ("transfer_encoding"). */
bool chars_looks_like_framing(struct slice lower_name);

struct authority {
    struct slice host; /* with brackets when an IPv6 literal */
    struct slice port; /* digits; empty when absent */
};
/* host[:port] without userinfo; host of letters, digits, "-._~", or a bracketed IPv6 literal; port up to 65535. */
bool authority_parse(struct slice text, struct authority *out);
/* The same host and port, where a missing port is default_port. */
bool authority_same(const struct authority *a, const struct authority *b, unsigned default_port);
