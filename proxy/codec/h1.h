/*
 * h1: HTTP/1 messages as bytes (RFC 9112), pure: no I/O, no time. Strict: what two parsers could read in two ways is
 * refused (DATAPLANE 9). Incremental: never scans a byte twice, whatever the split.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "proxy/codec/head.h"

struct h1_limits {
    size_t max_head_bytes; /* request or status line and fields; 431 */
    size_t max_uri_bytes;  /* 414 */
    unsigned max_fields;   /* 431 */
    size_t max_trailer_bytes;
    size_t max_chunk_line_bytes; /* size, extensions */
    bool accept_http_10;
};

enum h1_result { H1_MORE, H1_DONE, H1_BAD };

enum h1_framing {
    H1_NO_BODY,
    H1_LENGTH,
    H1_CHUNKED,
    H1_UNTIL_CLOSE, /* responses only */
};

struct h1_message { /* what the head decides about the rest of the message */
    enum h1_framing framing;
    uint64_t length;
    bool keep_alive;        /* the connection may carry another message after this one */
    bool expect_continue;   /* Expect: 100-continue, HTTP/1.1, with a body */
    bool upgrade;           /* Connection: upgrade with an Upgrade token (head->protocol); a 101 in a response */
    size_t head_bytes;      /* as received */
    unsigned refuse_status; /* with H1_BAD of a request: 400, 414, 417, 426, 431, 501, 505 */
};

struct h1_scan {       /* the search for the empty line that ends a head or a trailer section */
    size_t scanned;    /* bytes already looked at */
    size_t line_start; /* where the unfinished line begins */
    size_t first_line; /* length of the first line, once it is complete */
};

struct h1_parser {
    struct h1_scan scan;
    unsigned blank_lines;
    bool first_line_checked;
};
void h1_parser_init(struct h1_parser *p);

/* Takes one head off the front of `in` when it is complete. head must be initialised with its arena. */
enum h1_result h1_read_request(struct h1_parser *p, struct buf *in, const struct h1_limits *limits, struct head *head,
                               struct h1_message *message, struct err *err);
/* method: of the request this answers (HEAD and CONNECT change the framing). */
enum h1_result h1_read_response(struct h1_parser *p, struct buf *in, const struct h1_limits *limits,
                                struct slice method, struct head *head, struct h1_message *message, struct err *err);

struct h1_body {
    enum h1_framing framing;
    int state;
    uint64_t left;       /* of the length, or of the chunk */
    size_t line;         /* bytes of the chunk line seen so far */
    size_t overhead;     /* chunk lines beyond what their data justify: many tiny chunks with extensions */
    struct h1_scan scan; /* of the trailers */
    const struct h1_limits *limits;
};
void h1_body_init(struct h1_body *b, const struct h1_message *message, const struct h1_limits *limits);
/* Moves at most max body bytes from in to out. H1_DONE: the message is over (once; trailers filled if there were any,
 * trailers->n > 0). H1_MORE: needs more input, or max was reached. Extensions are checked, counted and dropped. */
enum h1_result h1_body_read(struct h1_body *b, struct buf *in, struct buf *out, size_t max, struct head *trailers,
                            struct err *err);
/* The peer ended the connection: true when that completes the message (until-close). */
bool h1_body_eof(const struct h1_body *b);
/* Bytes that stay in the input are the beginning of a trailer section: at the end of the connection they never will be
 * more. */
bool h1_body_in_trailers(const struct h1_body *b);

/* Framing for a message we send: from content_length, status, method; chunked where allowed. response: `request_method`
 * and `peer_http_10` matter. Sets nothing in head. */
enum h1_framing h1_choose_framing(const struct head *head, bool response, struct slice request_method,
                                  bool peer_http_10, bool has_body);
/* Writes a head. Adds exactly the framing fields that belong (Content-Length is written from head->content_length,
 * Transfer-Encoding from framing), Host first in requests, Connection as asked for (`close`, upgrade). */
enum h1_connection { H1_KEEP_ALIVE, H1_KEEP_ALIVE_10, H1_CLOSE, H1_UPGRADE }; /* _10: said aloud, for HTTP/1.0 */
void h1_write_request(struct buf *out, const struct head *head, enum h1_framing framing, enum h1_connection connection);
void h1_write_response(struct buf *out, const struct head *head, enum h1_framing framing,
                       enum h1_connection connection);
void h1_write_body(struct buf *out, enum h1_framing framing, struct buf *bytes);          /* moves bytes */
void h1_write_end(struct buf *out, enum h1_framing framing, const struct head *trailers); /* trailers may be NULL */
