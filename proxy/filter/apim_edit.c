/* What policies change about a message: values with secrets, headers, query, path. */
#include "base/crypto/crypto.h"
#include "base/strbuf.h"
#include "proxy/filter/apim_run.h"
#include "proxy/route/path.h"

struct slice apim_lower(struct arena *arena, struct slice s)
{
    char *p = arena_str(arena, s);
    for (size_t i = 0; i < s.n; i++) {
        p[i] = ascii_lower(p[i]);
    }
    return slice_make(p, s.n);
}

bool apim_value_text(const struct filter_host *host, const struct apim_value *v, struct slice *out, bool *secret)
{
    struct strbuf text;
    bool ok = true;
    strbuf_init(&text);
    for (size_t i = 0; i < v->n && ok; i++) {
        struct slice part = v->parts[i].text;
        if (v->parts[i].secret) {
            *secret = true;
            ok = snapshot_secret(host->snapshot, v->parts[i].text, &part);
        }
        strbuf_add(&text, ok ? part : SLICE_NONE);
    }
    *out = arena_slice(host->arena, strbuf_slice(&text));
    strbuf_fini(&text);
    return ok;
}

/* ---- headers ---- */

/* Several values of these stand in fields of their own (refs: set-header). */
static bool is_separate(struct slice name)
{
    static const char *const names[] = {
        "user-agent",        "www-authenticate", "proxy-authenticate",  "cookie",        "set-cookie", "warning", "date",
        "expires",           "if-modified-since", "if-unmodified-since", "last-modified", "retry-after",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_eq(slice_of(names[i]), name)) {
            return true;
        }
    }
    return false;
}

static void hide(struct head *head, struct slice name)
{
    for (unsigned f = 0; f < head->n; f++) {
        if (slice_eq(head->fields[f].name, name)) {
            head->fields[f].never_index = true;
        }
    }
}

/* Literal parts were checked when they came; a secret may be anything, and must not become a second header. */
static bool header_text(const struct filter_host *host, const struct apim_value *v, struct slice *out, bool *secret)
{
    if (!apim_value_text(host, v, out, secret)) {
        return false;
    }
    for (size_t i = 0; i < out->n; i++) {
        unsigned char c = (unsigned char)out->p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    *out = slice_trim(*out);
    return true;
}

static bool add_values(struct filter_host *host, struct head *head, const struct apim_set_value *set)
{
    struct slice name = arena_slice(host->arena, set->name);
    bool secret = false, present = false, separate = is_separate(name);
    struct slice joined = separate ? SLICE_NONE : head_joined(head, name, &present);
    for (size_t i = 0; i < set->n; i++) {
        struct slice value;
        if (!header_text(host, &set->values[i], &value, &secret)) {
            return false;
        }
        if (separate) {
            head_add(head, name, value);
        } else {
            joined = present ? slice_of(arena_printf(host->arena, "%.*s,%.*s", SLICE_ARG(joined), SLICE_ARG(value))) : value;
            present = true;
        }
    }
    if (!separate) {
        head_set(head, name, joined);
    }
    if (secret) {
        hide(head, name);
    }
    return true;
}

static bool set_host(struct filter_host *host, const struct apim_set_value *set)
{
    bool secret = false;
    if (set->action == APIM_DELETE || set->n == 0) {
        host->apim.authority = SLICE_NONE;
        return true;
    }
    return set->action != APIM_OVERRIDE || header_text(host, &set->values[0], &host->apim.authority, &secret);
}

bool apim_set_header(struct filter_host *host, struct head *head, const struct apim_set_value *set)
{
    if (head == host->request && slice_eq(set->name, SLICE("host"))) {
        return set_host(host, set);
    }
    switch (set->action) {
    case APIM_SKIP:
        if (head_find(head, set->name) != NULL) {
            return true;
        }
        break;
    case APIM_DELETE:
    case APIM_OVERRIDE:
        head_remove(head, set->name);
        break;
    case APIM_APPEND:
        break;
    }
    return set->n == 0 || add_values(host, head, set);
}

bool apim_set_basic(struct filter_host *host, const struct apim_value *values)
{
    struct slice user, password;
    struct strbuf plain, text;
    bool secret = false;
    if (!apim_value_text(host, &values[0], &user, &secret) || !apim_value_text(host, &values[1], &password, &secret)) {
        return false;
    }
    strbuf_init(&plain);
    strbuf_init(&text);
    strbuf_add(&plain, user);
    strbuf_add_char(&plain, ':');
    strbuf_add(&plain, password);
    strbuf_add_str(&text, "Basic ");
    base64_encode(strbuf_slice(&plain), &text);
    head_set_id(host->request, FIELD_AUTHORIZATION, arena_slice(host->arena, strbuf_slice(&text)));
    hide(host->request, SLICE("authorization"));
    strbuf_fini(&plain);
    strbuf_fini(&text);
    return true;
}

/* ---- query ---- */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static void add_escaped(struct strbuf *out, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = is_alnum((char)c) || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            strbuf_add_char(out, (char)c);
        } else {
            strbuf_printf(out, "%%%02X", c);
        }
    }
}

static bool is_query_char(struct slice s, size_t i)
{
    struct slice marks = SLICE("-._~!$'()*+,;=:@/?");
    char c = s.p[i];
    bool escape = c == '%' && i + 2 < s.n && is_hex(s.p[i + 1]) && is_hex(s.p[i + 2]);
    return escape || is_alnum(c) || slice_find(marks, c) < marks.n;
}

/* What was escaped stays so: credentials of backends are written either way. */
struct slice apim_query_text(struct arena *arena, struct slice s)
{
    struct strbuf out;
    strbuf_init(&out);
    for (size_t i = 0; i < s.n; i++) {
        if (is_query_char(s, i)) {
            strbuf_add_char(&out, s.p[i]);
        } else {
            strbuf_printf(&out, "%%%02X", (unsigned char)s.p[i]);
        }
    }
    struct slice text = arena_slice(arena, strbuf_slice(&out));
    strbuf_fini(&out);
    return text;
}

static void add_raw(struct strbuf *out, struct slice name, struct slice value)
{
    if (!slice_is_empty(strbuf_slice(out))) {
        strbuf_add_char(out, '&');
    }
    strbuf_add(out, name);
    if (value.p != NULL) {
        strbuf_add_char(out, '=');
        strbuf_add(out, value);
    }
}

static bool is_named(const struct filter_host *host, struct slice raw, struct slice name)
{
    return slice_eq_nocase(query_decode(raw, host->arena), name);
}

static void keep_query(struct filter_host *host, struct strbuf *out)
{
    struct slice text = strbuf_slice(out);
    host->apim.query = slice_is_empty(text) ? SLICE_NONE : arena_slice(host->arena, text);
    strbuf_fini(out);
}

bool apim_set_query(struct filter_host *host, const struct apim_set_value *set)
{
    bool replaces = set->action == APIM_OVERRIDE || set->action == APIM_DELETE, found = false, ok = true;
    struct slice rest = host->apim.query, name, value;
    struct strbuf out;
    strbuf_init(&out);
    while (query_next(&rest, &name, &value)) {
        bool same = is_named(host, name, set->name);
        found |= same;
        if (!same || !replaces) {
            add_raw(&out, name, value);
        }
    }
    for (size_t i = 0; i < set->n && ok && !(found && set->action == APIM_SKIP); i++) {
        bool secret = false;
        ok = apim_value_text(host, &set->values[i], &value, &secret);
        host->secret_url |= secret;
        if (ok) {
            strbuf_add_str(&out, slice_is_empty(strbuf_slice(&out)) ? "" : "&");
            add_escaped(&out, set->name);
            strbuf_add_char(&out, '=');
            add_escaped(&out, value);
        }
    }
    keep_query(host, &out);
    return ok;
}

/* ---- rewrite-uri ---- */

/* Puts the operation's parameters, as they were sent, into the text. */
static bool fill_template(const struct apim_match *m, struct slice template, struct strbuf *out)
{
    while (!slice_is_empty(template)) {
        size_t open = slice_find(template, '{');
        strbuf_add(out, slice_sub(template, 0, open));
        template = slice_from(template, open + 1);
        if (slice_is_empty(template)) {
            return true;
        }
        struct slice name = slice_cut(&template, '}');
        name = slice_starts_with(name, SLICE("*")) && name.n > 1 ? slice_from(name, 1) : name;
        bool found = false;
        for (size_t i = 0; i < m->param_count && !found; i++) {
            found = slice_eq_nocase(m->params[i].name, name);
            strbuf_add(out, found ? m->params[i].raw : SLICE_NONE);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static bool in_template(const struct filter_host *host, const struct apim_match *m, struct slice raw)
{
    const struct url_template *t = m->operation->template;
    for (uint32_t i = 0; i < t->query_count; i++) {
        if (is_named(host, raw, t->query[i].name)) {
            return true;
        }
    }
    return false;
}

bool apim_rewrite(struct filter_host *host, struct slice template, bool copy_unmatched)
{
    struct apim_match m = *host->apim.match;
    struct slice query = host->apim.query, name, value, rest = template;
    struct slice path = slice_cut(&rest, '?');
    struct strbuf out;
    apim_match_params(&m, host->arena);
    strbuf_init(&out);
    bool ok = fill_template(&m, path, &out);
    host->apim.rest = arena_slice(host->arena, strbuf_slice(&out));
    strbuf_clear(&out);
    ok = ok && fill_template(&m, rest, &out);
    while (copy_unmatched && query_next(&query, &name, &value)) {
        if (!in_template(host, &m, name)) {
            add_raw(&out, name, value);
        }
    }
    keep_query(host, &out);
    return ok;
}

bool apim_template_text(struct filter_host *host, const struct apim_value *v, struct slice *template)
{
    bool ok = apim_value_text(host, v, template, &host->secret_url);
    for (size_t i = 0; ok && i < template->n; i++) {
        unsigned char c = (unsigned char)template->p[i];
        ok = c > ' ' && c != 0x7f && c != '#';
    }
    return ok;
}
