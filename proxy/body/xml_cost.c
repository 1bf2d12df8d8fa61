#include "proxy/body/xml_cost.h"

#include <string.h>

enum { MAX_ATTRIBUTES = 1000 };

bool xml_cost_is_wide(struct slice body)
{
    return memchr(body.p, '\0', body.n) != NULL;
}

/* An element's attributes are compared with one another: many of them in one tag cost their square, before anybody is
 * asked. Between two '<' stands no more than a tag. With wider characters a '<' cannot be told from a part of another. */
static bool has_crowded_tag(struct slice body)
{
    bool wide = xml_cost_is_wide(body), equals = false;
    unsigned n = 0;
    for (size_t i = 0; i < body.n; i++) {
        char c = body.p[i];
        if (c == '<' && !wide) {
            n = 0;
        } else if ((c == '"' || c == '\'') && equals && ++n > MAX_ATTRIBUTES) {
            return true;
        }
        equals = c == '=' || (equals && (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0'));
    }
    return false;
}

/* Encodings in which the bytes of '<', '=' and quotes are these characters and no others. */
static bool is_plain_encoding(struct slice name)
{
    static const char *const plain[] = {"utf-8",  "utf-16", "us-ascii", "ascii", "iso-8859-", "windows-125", "cp125",
                                        "euc-",   "gb2312", "gbk",      "gb18030", "big5",    "shift_jis",   "koi8-"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (slice_starts_with_nocase(name, slice_of(plain[i]))) {
            return true;
        }
    }
    return false;
}

static bool check_encoding(struct slice body, struct err *err)
{
    struct slice text = slice_starts_with(body, SLICE("\xef\xbb\xbf")) ? slice_from(body, 3) : body;
    struct slice head = slice_sub(text, 0, slice_search(text, SLICE("?>")));
    if (text.n > 0 && (unsigned char)text.p[0] == 0x4c) { /* EBCDIC's '<' */
        return err_set(err, ERR_INPUT, "the body is not readable as XML");
    }
    if (!slice_starts_with(head, SLICE("<?xml"))) {
        return true;
    }
    struct slice rest = slice_from(head, slice_search(head, SLICE("encoding")) + 8);
    size_t quote = slice_find(rest, '"') < slice_find(rest, '\'') ? slice_find(rest, '"') : slice_find(rest, '\'');
    struct slice name = slice_from(rest, quote + 1);
    name = slice_sub(name, 0, quote < rest.n ? slice_find(name, rest.p[quote]) : 0);
    return name.n == 0 || is_plain_encoding(name) ||
           err_set(err, ERR_INPUT, "the body is XML in an encoding that is not read");
}

bool xml_cost_check(struct slice body, struct err *err)
{
    return check_encoding(body, err) &&
           (!has_crowded_tag(body) ||
            err_set(err, ERR_LIMIT, "the XML has an element with more than %d attributes", MAX_ATTRIBUTES));
}
