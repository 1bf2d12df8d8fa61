/* JSON, RFC 8259, without recursion: the open containers are the builder's frames. */
#include "base/doc/node.h"
#include "base/doc/utf8.h"

#include <string.h>

struct reader {
    struct builder *b;
    const char *p, *end;
    const char *counted; /* line and column are known up to here */
    struct place at;
};

/* Columns count characters. The cursor only moves forward, so a long line is counted once. */
static struct place here(struct reader *r)
{
    for (; r->counted < r->p; r->counted++) {
        unsigned char c = (unsigned char)*r->counted;
        bool crlf = c == '\r' && r->counted + 1 < r->end && r->counted[1] == '\n';
        if (c == '\n' || (c == '\r' && !crlf)) {
            r->at = (struct place){r->at.line + 1, 1};
        } else if ((c & 0xc0) != 0x80 && !crlf) {
            r->at.column++;
        }
    }
    return r->at;
}

static bool bad(struct reader *r, const char *reason)
{
    return builder_fail(r->b, here(r), ERR_INPUT, "%s", r->p == r->end ? "the document ends too early" : reason);
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) {
        r->p++;
    }
}

static bool take(struct reader *r, char c)
{
    if (r->p < r->end && *r->p == c) {
        r->p++;
        return true;
    }
    return false;
}

static bool read_hex4(struct reader *r, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        if (r->p == r->end) {
            return bad(r, "");
        }
        char c = *r->p;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16) {
            return bad(r, "\\u needs four hexadecimal digits");
        }
        *out = *out * 16 + digit;
    }
    return true;
}

static char *put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c >= 0x10000) {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else if (c >= 0x800) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        *out++ = (char)(0xc0 | c >> 6);
    }
    *out++ = (char)(0x80 | (c & 0x3f));
    return out;
}

static bool read_unicode(struct reader *r, char **out)
{
    unsigned c = 0, low = 0;
    if (!read_hex4(r, &c)) {
        return false;
    }
    if (c >= 0xdc00 && c < 0xe000) {
        return bad(r, "half of a surrogate pair");
    }
    if (c >= 0xd800 && c < 0xdc00) {
        if (!take(r, '\\') || !take(r, 'u')) {
            return bad(r, "half of a surrogate pair");
        }
        if (!read_hex4(r, &low)) {
            return false;
        }
        if (low < 0xdc00 || low >= 0xe000) {
            return bad(r, "half of a surrogate pair");
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, c);
    return true;
}

static bool read_escape(struct reader *r, char **out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    r->p++;
    if (r->p == r->end) {
        return bad(r, "");
    }
    if (*r->p == 'u') {
        r->p++;
        return read_unicode(r, out);
    }
    const char *name = strchr(names, *r->p);
    if (name == NULL || *r->p == '\0') {
        return bad(r, "unknown escape");
    }
    *(*out)++ = values[name - names];
    r->p++;
    return true;
}

/* No escape makes a text longer than it is written, so the raw length is room enough. */
static bool read_string(struct reader *r, struct slice *text)
{
    const char *close = r->p + 1;
    while (close < r->end && *close != '"') {
        close += *close == '\\' && close + 1 < r->end ? 2 : 1;
    }
    if (close >= r->end) {
        return bad(r, "the text has no closing quote");
    }
    char *start = builder_text(r->b, (size_t)(close - r->p)), *out = start;
    r->p++;
    while (r->p < close) {
        unsigned char c = (unsigned char)*r->p;
        if (c == '\\') {
            if (!read_escape(r, &out)) {
                return false;
            }
            continue;
        }
        size_t n = c < 0x20 ? 0 : utf8_length(r->p, r->end);
        if (n == 0) {
            return bad(r, c < 0x20 ? "a control character must be escaped" : "not UTF-8");
        }
        for (; n > 0; n--) {
            *out++ = *r->p++;
        }
    }
    r->p++;
    *text = builder_text_end(r->b, start, (size_t)(out - start));
    return true;
}

static size_t digits(const struct reader *r, const char *p)
{
    const char *start = p;
    while (p < r->end && *p >= '0' && *p <= '9') {
        p++;
    }
    return (size_t)(p - start);
}

static bool read_number(struct reader *r, struct place at)
{
    const char *start = r->p;
    take(r, '-');
    size_t whole = digits(r, r->p);
    if (whole == 0 || (whole > 1 && *r->p == '0')) {
        return bad(r, whole == 0 ? "not a number" : "a number must not begin with 0");
    }
    r->p += whole;
    if (take(r, '.')) {
        size_t n = digits(r, r->p);
        if (n == 0) {
            return bad(r, "digits must follow the point");
        }
        r->p += n;
    }
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+')) {
            take(r, '-');
        }
        size_t n = digits(r, r->p);
        if (n == 0) {
            return bad(r, "digits must follow the exponent");
        }
        r->p += n;
    }
    struct slice text = {start, (size_t)(r->p - start)};
    return builder_scalar(r->b, at, DOC_NUMBER, builder_copy(r->b, text));
}

static bool read_word(struct reader *r, struct place at)
{
    static const struct {
        struct slice word;
        enum doc_kind kind;
    } words[] = {{{"true", 4}, DOC_BOOL}, {{"false", 5}, DOC_BOOL}, {{"null", 4}, DOC_NULL}};
    struct slice rest = {r->p, (size_t)(r->end - r->p)};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_starts_with(rest, words[i].word)) {
            r->p += words[i].word.n;
            return builder_scalar(r->b, at, words[i].kind, words[i].word);
        }
    }
    return bad(r, "expected a value");
}

/* A value, or only the opening of one. */
static bool read_value(struct reader *r)
{
    skip_space(r);
    struct place at = here(r);
    if (r->p == r->end) {
        return bad(r, "");
    }
    struct slice text;
    switch (*r->p) {
    case '{':
    case '[':
        return builder_open(r->b, at, *r->p++ == '{' ? DOC_MAP : DOC_LIST);
    case '"':
        return read_string(r, &text) && builder_scalar(r->b, at, DOC_STRING, text);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(r, at);
    default:
        return read_word(r, at);
    }
}

static bool read_key(struct reader *r)
{
    skip_space(r);
    struct place at = here(r);
    struct slice key;
    if (r->p == r->end || *r->p != '"') {
        return bad(r, "expected a key in double quotes");
    }
    if (!read_string(r, &key)) {
        return false;
    }
    skip_space(r);
    return take(r, ':') ? builder_key(r->b, at, key) : bad(r, "expected ':' after the key");
}

/* Inside a container whose first member is still to come. */
static bool read_first(struct reader *r, bool *opened)
{
    skip_space(r);
    *opened = false;
    if (take(r, builder_in_map(r->b) ? '}' : ']')) {
        return builder_close(r->b);
    }
    size_t depth = r->b->depth;
    if ((builder_in_map(r->b) && !read_key(r)) || !read_value(r)) {
        return false;
    }
    *opened = r->b->depth > depth;
    return true;
}

/* Behind a member: the end of its container, or a comma and the next member. */
static bool read_next(struct reader *r, bool *opened)
{
    skip_space(r);
    *opened = false;
    if (take(r, builder_in_map(r->b) ? '}' : ']')) {
        return builder_close(r->b);
    }
    if (!take(r, ',')) {
        return bad(r, builder_in_map(r->b) ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    size_t depth = r->b->depth;
    if ((builder_in_map(r->b) && !read_key(r)) || !read_value(r)) {
        return false;
    }
    *opened = r->b->depth > depth;
    return true;
}

bool json_read(struct builder *b, struct slice bytes)
{
    struct reader r = {.b = b, .p = bytes.p, .end = bytes.p + bytes.n, .counted = bytes.p, .at = {1, 1}};
    if (!read_value(&r)) {
        return false;
    }
    bool opened = b->depth > 0;
    while (b->depth > 0) {
        if (!(opened ? read_first(&r, &opened) : read_next(&r, &opened))) {
            return false;
        }
    }
    skip_space(&r);
    return r.p == r.end || builder_fail(b, here(&r), ERR_INPUT, "something follows the document");
}
