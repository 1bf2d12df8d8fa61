/* h1_fields: the field section of an HTTP/1 message, inside codec only. */
#pragma once
#include "proxy/codec/h1.h"

struct h1_facts { /* what fields say about the message itself */
    unsigned hosts, lengths, encodings, expects, upgrades;
    struct slice host, length, encoding, expect, upgrade;
    bool close, keep_alive, connection_upgrade;
    unsigned status; /* to refuse with */
};

/* Looks for the end of the section without looking at a byte twice. H1_DONE: *len bytes, the empty line included.
 * H1_BAD: a line that does not end in CRLF (err), or more than max bytes (err->kind ERR_LIMIT). */
enum h1_result h1_find_end(struct h1_scan *scan, const struct buf *in, size_t max, size_t *len, struct err *err);

/* p … end: whole lines, the empty one included; names are made lower case in place, fields point into it. Framing
 * fields and, in a request, Host go to facts only; everything else is added to head. */
bool h1_parse_fields(struct head *head, char *p, char *end, bool request, unsigned max_fields, struct h1_facts *facts,
                     struct err *err);
/* Content-Length and Transfer-Encoding, as both directions read them (RFC 9112 6.3); message->framing is H1_NO_BODY
 * when neither is there. */
bool h1_parse_framing(struct head *head, struct h1_facts *facts, struct h1_message *message, struct err *err);
