#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/strbuf.h"
#include "xds/policy/policy.h"

static const char *find_value(void *ctx, struct slice name, struct slice *value)
{
    (void)ctx;
    if (slice_eq(name, SLICE("url"))) {
        *value = SLICE("https://third.example/base");
        return NULL;
    }
    if (slice_eq(name, SLICE("nested"))) {
        *value = SLICE("{{url}}");
        return NULL;
    }
    if (slice_eq(name, SLICE("expr"))) {
        *value = SLICE("@(context.Api.Id)");
        return NULL;
    }
    return slice_eq(name, SLICE("secret")) ? "it is secret" : "no named value has this displayName";
}

static const struct policy_named_values VALUES = {find_value, NULL};

static struct policy_program *compile(const char *text)
{
    return policy_compile(slice_of(text), &VALUES, POLICY_LIMITS_DEFAULT);
}

/* "inbound: base@1 set-backend(id b)@3; backend: …" */
static void describe(const struct policy_program *p, struct strbuf *out)
{
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        strbuf_printf(out, "%s%s:", s == POLICY_INBOUND ? "" : "; ", policy_section_name(s));
        for (size_t i = 0; i < p->sections[s].n; i++) {
            const struct policy_instruction *in = &p->sections[s].items[i];
            switch (in->op) {
            case POLICY_BASE:
                strbuf_add_str(out, " base");
                break;
            case POLICY_FORWARD_REQUEST:
                strbuf_printf(out, " forward(%u)", in->timeout_s);
                break;
            case POLICY_SET_BACKEND_SERVICE:
                strbuf_printf(out, " set(%s %s)", in->backend_id != NULL ? "id" : "url",
                              in->backend_id != NULL ? in->backend_id : in->base_url);
                break;
            case POLICY_CLOSED:
                strbuf_printf(out, " closed[%s]", in->reason);
                break;
            }
            strbuf_printf(out, "@%u", in->line);
        }
    }
}

struct row {
    const char *text, *expected;
};

static const struct row ROWS[] = {
    {"<policies/>", "inbound: base@1; backend: base@1; outbound: base@1; on-error: base@1"},
    {"<policies>\n<inbound/>\n<backend><base/></backend>\n<outbound></outbound><on-error><!-- c -->\n</on-error></policies>",
     "inbound:; backend: base@3; outbound:; on-error:"},
    {"<!-- c -->\r\n<policies>\r\n<inbound><base/><set-backend-service id=\"x\" backend-id=\"My_Backend\"/></inbound></policies>",
     "inbound: base@3 set(id My_Backend)@3; backend: base@1; outbound: base@1; on-error: base@1"},
    {"\xef\xbb\xbf<?xml version=\"1.0\"?><policies><backend><forward-request timeout=\"20\" buffer-response='false'/></backend></policies>",
     "inbound: base@1; backend: forward(20)@1; outbound: base@1; on-error: base@1"},
    {"<policies><inbound><set-backend-service base-url='{{url}}/x'/></inbound></policies>",
     "inbound: set(url https://third.example/base/x)@1; backend: base@1; outbound: base@1; on-error: base@1"},
    {"<policies><inbound><set-backend-service base-url='{{nested}}'/></inbound></policies>",
     "inbound: set(url {{url}})@1; backend: base@1; outbound: base@1; on-error: base@1"},
    {"<policies><inbound><set-backend-service base-url='https://h/?a=1&amp;b=2'/></inbound></policies>",
     "inbound: set(url https://h/?a=1&b=2)@1; backend: base@1; outbound: base@1; on-error: base@1"},
};

static void a_supported_document_becomes_instructions_with_their_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct policy_program *p = compile(ROWS[i].text);
        struct strbuf got;
        strbuf_init(&got);
        describe(p, &got);
        assert_string_equal(strbuf_cstr(&got), ROWS[i].expected);
        assert_false(policy_is_closed(p));
        strbuf_fini(&got);
        policy_destroy(&p);
    }
}

struct closing {
    const char *text;
    enum policy_section section;
    uint32_t line;
    const char *reason; /* a part of it */
};

static const struct closing CLOSING[] = {
    {"<policies>\n<inbound>\n<rate-limit calls='1'/></inbound></policies>", POLICY_INBOUND, 3, "policy <rate-limit> is not supported yet"},
    {"<policies><outbound>\n<set-header name='a'><value>@(\"x\")</value></set-header></outbound></policies>", POLICY_OUTBOUND, 2, "policy <set-header>"},
    {"<policies><inbound><set-backend-service base-url='@(context.X)'/></inbound></policies>", POLICY_INBOUND, 1, "expressions are not supported yet"},
    {"<policies><inbound><set-backend-service base-url=' @{ return 1; }'/></inbound></policies>", POLICY_INBOUND, 1, "expressions are not supported yet"},
    {"<policies><inbound><set-backend-service base-url='{{expr}}'/></inbound></policies>", POLICY_INBOUND, 1, "expressions are not supported yet"},
    {"<policies><inbound><set-backend-service base-url='{{secret}}'/></inbound></policies>", POLICY_INBOUND, 1, "named value {{secret}}: it is secret"},
    {"<policies><inbound><set-backend-service base-url='{{ gone }}'/></inbound></policies>", POLICY_INBOUND, 1, "named value {{gone}}: no named value"},
    {"<policies><inbound><set-backend-service/></inbound></policies>", POLICY_INBOUND, 1, "needs one of base-url and backend-id"},
    {"<policies><inbound><set-backend-service base-url='http://a' backend-id='b'/></inbound></policies>", POLICY_INBOUND, 1, "needs one of"},
    {"<policies><inbound><set-backend-service backend-id='b' sf-listener-name='x'/></inbound></policies>", POLICY_INBOUND, 1, "attribute sf-listener-name is not supported"},
    {"<policies><backend><set-backend-service backend-id='b'/></backend></policies>", POLICY_BACKEND, 1, "only supported in <inbound>"},
    {"<policies><inbound><forward-request/></inbound></policies>", POLICY_INBOUND, 1, "may only stand in <backend>"},
    {"<policies><backend><forward-request timeout='0'/></backend></policies>", POLICY_BACKEND, 1, "not a number of seconds"},
    {"<policies><backend><forward-request timeout='1.5'/></backend></policies>", POLICY_BACKEND, 1, "not a number of seconds"},
    {"<policies><backend><forward-request http-version='2'/></backend></policies>", POLICY_BACKEND, 1, "http-version with this value"},
    {"<policies><backend><forward-request><x/></forward-request></backend></policies>", POLICY_BACKEND, 1, "nothing may stand inside"},
    {"<policies><backend><base/><base/></backend></policies>", POLICY_BACKEND, 1, "stands twice"},
    {"<policies><inbound>text</inbound></policies>", POLICY_INBOUND, 1, "text stands between"},
    {"<policies xmlns:a='urn:a'><inbound><a:base/></inbound></policies>", POLICY_INBOUND, 1, "policy <base> is not supported"},
};

static const struct policy_instruction *find_closed(const struct policy_program *p, enum policy_section s)
{
    for (size_t i = 0; i < p->sections[s].n; i++) {
        if (p->sections[s].items[i].op == POLICY_CLOSED) {
            return &p->sections[s].items[i];
        }
    }
    return NULL;
}

static void what_is_not_supported_closes_its_section_only_and_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CLOSING); i++) {
        struct policy_program *p = compile(CLOSING[i].text);
        const struct policy_instruction *in = find_closed(p, CLOSING[i].section);
        assert_non_null(in);
        assert_int_equal(in->line, CLOSING[i].line);
        if (strstr(in->reason, CLOSING[i].reason) == NULL) {
            fail_msg("row %zu: \"%s\" does not hold \"%s\"", i, in->reason, CLOSING[i].reason);
        }
        for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
            assert_true(s == CLOSING[i].section || find_closed(p, s) == NULL);
        }
        policy_destroy(&p);
    }
}

static const struct closing UNREADABLE[] = {
    {"", POLICY_INBOUND, 1, "the document is empty"},
    {"<policies>\n<inbound>\n<choose><when condition=\"@(a < b && c)\"/></choose></inbound></policies>", POLICY_INBOUND, 3, "not readable as XML"},
    {"<policies>\n<inbound><base/>", POLICY_INBOUND, 2, "not readable as XML"},
    {"<fragment><base/></fragment>", POLICY_INBOUND, 1, "the root element is <fragment>"},
    {"<policies><inbound/><inbound/></policies>", POLICY_INBOUND, 1, "<inbound> stands there twice"},
    {"<policies>\n<rate-limit/></policies>", POLICY_INBOUND, 2, "<rate-limit> is not a section"},
    {"<!DOCTYPE a [<!ENTITY b \"c\">]><policies/>", POLICY_INBOUND, 1, "document type declaration"},
    {"<policies><inbound>&undefined;</inbound></policies>", POLICY_INBOUND, 1, "not readable as XML"},
    {"\xff\xfe<\0p", POLICY_INBOUND, 1, "not readable as XML"},
};

static void a_document_that_cannot_be_read_closes_every_section(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(UNREADABLE); i++) {
        struct policy_program *p = compile(UNREADABLE[i].text);
        for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
            assert_int_equal(p->sections[s].n, 1);
            const struct policy_instruction *in = find_closed(p, s);
            assert_non_null(in);
            assert_int_equal(in->line, UNREADABLE[i].line);
            if (strstr(in->reason, UNREADABLE[i].reason) == NULL) {
                fail_msg("row %zu: \"%s\" does not hold \"%s\"", i, in->reason, UNREADABLE[i].reason);
            }
        }
        policy_destroy(&p);
    }
}

static void every_prefix_of_a_document_compiles_or_closes_everything(void **state)
{
    (void)state;
    const char *text = "<policies>\n <inbound><base/><set-backend-service backend-id=\"{{url}}\"/></inbound>\n</policies>";
    for (size_t n = 0; n < strlen(text); n++) {
        struct policy_program *p = policy_compile(slice_make(text, n), &VALUES, POLICY_LIMITS_DEFAULT);
        for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
            assert_non_null(find_closed(p, s));
        }
        policy_destroy(&p);
    }
}

static void repeat(struct strbuf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        strbuf_add_str(out, text);
    }
}

static void nesting_and_size_are_limited(void **state)
{
    (void)state;
    struct strbuf deep;
    strbuf_init(&deep);
    const size_t depths[] = {150, 10000};
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        strbuf_clear(&deep);
        strbuf_add_str(&deep, "<policies><inbound>");
        repeat(&deep, "<choose>", depths[i]);
        repeat(&deep, "</choose>", depths[i]);
        strbuf_add_str(&deep, "</inbound></policies>");
        struct policy_program *p = compile(strbuf_cstr(&deep));
        assert_non_null(find_closed(p, POLICY_OUTBOUND));
        policy_destroy(&p);
    }
    struct policy_limits tiny = {.max_bytes = 5, .max_depth = 10};
    struct policy_program *p = policy_compile(SLICE("<policies/>"), NULL, tiny);
    assert_non_null(strstr(find_closed(p, POLICY_INBOUND)->reason, "larger than 5 bytes"));
    policy_destroy(&p);
    strbuf_fini(&deep);
}

struct chain {
    const char *documents[4]; /* most specific first, NULL: no document at that scope */
    int closed_scope;         /* -1: open */
    int backend_scope;        /* -1: none */
    unsigned forwards;
};

#define BASE "<policies><inbound><base/></inbound></policies>"
#define CUT "<policies><inbound/><backend><forward-request/></backend><outbound/><on-error/></policies>"
#define LIMIT "<policies><inbound><rate-limit/></inbound></policies>"
#define LIMIT_OUT "<policies><outbound><rate-limit/></outbound></policies>"
#define TO(id) "<policies><inbound><base/><set-backend-service backend-id='" id "'/></inbound></policies>"
#define TO_FIRST(id) "<policies><inbound><set-backend-service backend-id='" id "'/><base/></inbound></policies>"
#define NO_FORWARD "<policies><backend/></policies>"
#define FORWARD_TWICE "<policies><backend><base/><forward-request/></backend></policies>"

static const struct chain CHAINS[] = {
    {{NULL, NULL, NULL, NULL}, -1, -1, 1},
    {{BASE, NULL, NULL, LIMIT}, 3, -1, 1},
    {{CUT, NULL, NULL, LIMIT}, -1, -1, 1},
    {{BASE, CUT, LIMIT, LIMIT}, -1, -1, 1},
    {{NULL, LIMIT, NULL, CUT}, 1, -1, 1},
    {{"<policies><inbound/></policies>", LIMIT_OUT, NULL, NULL}, 1, -1, 1},
    {{"<policies><inbound/></policies>", NULL, NULL, LIMIT}, -1, -1, 1},
    {{TO("a"), TO("b"), NULL, NULL}, -1, 0, 1},
    {{TO_FIRST("a"), TO("b"), NULL, NULL}, -1, 1, 1},
    {{NULL, TO("b"), NULL, CUT}, -1, 1, 1},
    {{NULL, NO_FORWARD, NULL, CUT}, -1, -1, 0},
    {{FORWARD_TWICE, NULL, NULL, CUT}, -1, -1, 2},
    {{"<policies><oops", CUT, NULL, NULL}, 0, -1, 0},
    {{CUT, "<policies><oops", NULL, NULL}, -1, -1, 1},
};

static void a_wider_document_counts_only_where_base_reaches_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CHAINS); i++) {
        struct policy_program *owned[4] = {NULL};
        const struct policy_program *scopes[4] = {NULL};
        for (size_t d = 0; d < 4; d++) {
            owned[d] = CHAINS[i].documents[d] == NULL ? NULL : compile(CHAINS[i].documents[d]);
            scopes[d] = owned[d];
        }
        struct policy_effect effect;
        policy_link(scopes, 4, &effect);
        assert_int_equal(effect.closed == NULL ? -1 : (int)effect.closed_scope, CHAINS[i].closed_scope);
        assert_int_equal(effect.backend == NULL ? -1 : (int)effect.backend_scope, CHAINS[i].backend_scope);
        assert_int_equal(effect.forwards, CHAINS[i].forwards);
        for (size_t d = 0; d < 4; d++) {
            policy_destroy(&owned[d]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_supported_document_becomes_instructions_with_their_lines),
        cmocka_unit_test(what_is_not_supported_closes_its_section_only_and_says_why),
        cmocka_unit_test(a_document_that_cannot_be_read_closes_every_section),
        cmocka_unit_test(every_prefix_of_a_document_compiles_or_closes_everything),
        cmocka_unit_test(nesting_and_size_are_limited),
        cmocka_unit_test(a_wider_document_counts_only_where_base_reaches_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
