#include "unit/xds/policy/policy_test.h"

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
            case POLICY_STEP:
            case POLICY_RETURN:
                strbuf_add_str(out, in->op == POLICY_STEP ? " " : " return ");
                add_message(out, in);
                break;
            case POLICY_CLOSED:
                strbuf_printf(out, " closed[%s]", in->reason);
                break;
            }
            strbuf_printf(out, "%s%s", in->file == NULL ? "" : "@", in->file == NULL ? "" : in->file);
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

static const struct step STEPS[] = {
    {POLICY_INBOUND, "<set-header name='X-A'><value> one </value><value>{{url}}</value></set-header>",
     "{\"set_header\":{\"name\":\"x-a\",\"values\":[{\"parts\":[{\"literal\":\"one\"}]},{\"parts\":[{\"literal\":\"https://third.example/base\"}]}]}}"},
    {POLICY_INBOUND, "<set-header name='a' exists-action='append'><value>Bearer {{secret}}!</value></set-header>",
     "{\"set_header\":{\"name\":\"a\",\"action\":\"APPEND\",\"values\":[{\"parts\":[{\"literal\":\"Bearer \"},{\"secret\":\"namedvalues/secret\"},{\"literal\":\"!\"}]}]}}"},
    {POLICY_OUTBOUND, "<set-header name='Server' exists-action='delete'/>",
     "{\"set_header\":{\"name\":\"server\",\"action\":\"DELETE\"}}"},
    {POLICY_INBOUND, "<set-header name='a'/>",
     "closed[policy <set-header>: needs a <value>]@:1"},
    {POLICY_INBOUND, "<set-header name='Content-Length'><value>1</value></set-header>",
     "closed[policy <set-header>: header content-length cannot be set]@:1"},
    {POLICY_INBOUND, "<set-header name='a b'><value>1</value></set-header>",
     "closed[policy <set-header>: \"a b\" is no header name]@:1"},
    {POLICY_INBOUND, "<set-header name='a'><value>x\n y</value></set-header>",
     "closed[policy <set-header>: a header's value has one line]@:1"},
    {POLICY_INBOUND, "<set-header name='a'><value>{{expr}}</value></set-header>",
     "closed[expression in <set-header> is not evaluated yet]@:1"},
    {POLICY_INBOUND, "<set-header name='a' exists-action='merge'><value>1</value></set-header>",
     "closed[policy <set-header>: exists-action is none of override, skip, append, delete]@:1"},
    {POLICY_INBOUND, "<set-query-parameter name='q' exists-action='skip'><value>a b</value></set-query-parameter>",
     "{\"set_query_parameter\":{\"name\":\"q\",\"action\":\"SKIP\",\"values\":[{\"parts\":[{\"literal\":\"a b\"}]}]}}"},
    {POLICY_INBOUND, "<set-variable name='v' value='{{secret}}'/>",
     "{\"note\":{\"policy\":\"set-variable\"}}"},
    {POLICY_INBOUND, "<set-variable name='v' value=\"@(context.RequestId)\"/>",
     "closed[expression in <set-variable> is not evaluated yet]@:1"},
    {POLICY_INBOUND, "<set-method> PATCH </set-method>",
     "{\"set_method\":{\"method\":\"PATCH\"}}"},
    {POLICY_INBOUND, "<set-method>G T</set-method>",
     "closed[policy <set-method>: \"G T\" is no method]@:1"},
    {POLICY_INBOUND, "<set-status code='200' reason='OK'/>",
     "closed[policy <set-status>: there is no response yet whose status it could set]@:1"},
    {POLICY_OUTBOUND, "<set-status code='299' reason='Fine'/>",
     "{\"set_status\":{\"code\":299,\"reason\":\"Fine\"}}"},
    {POLICY_OUTBOUND, "<set-status code='99' reason='x'/>",
     "closed[policy <set-status>: attribute code is not a number from 200 to 599]@:1"},
    {POLICY_INBOUND, "<set-body> a\n&lt;b&gt;<![CDATA[<c>]]></set-body>",
     "{\"set_body\":{\"value\":{\"parts\":[{\"literal\":\" a\\n<b><c>\"}]}}}"},
    {POLICY_INBOUND, "<set-body template='liquid'>{{body.x}}</set-body>",
     "closed[policy <set-body>: liquid templates are not carried out yet]@:1"},
    {POLICY_INBOUND, "<set-body><a/></set-body>",
     "closed[policy <set-body>: only text may stand inside it]@:1"},
    {POLICY_INBOUND, "<set-body>@{ return \"<a>\"; }</set-body>",
     "closed[expression in <set-body> is not evaluated yet]@:1"},
    {POLICY_INBOUND, "<rewrite-uri template='/a/{b}?c=d' copy-unmatched-params='false'/>",
     "{\"rewrite_uri\":{\"uri_template\":\"/a/{b}?c=d\"}}"},
    {POLICY_INBOUND, "<rewrite-uri template='a'/>",
     "closed[policy <rewrite-uri>: attribute template does not begin with a slash]@:1"},
    {POLICY_INBOUND, "<rewrite-uri template='/{a'/>",
     "closed[policy <rewrite-uri>: attribute template has a bracket that is not closed]@:1"},
    {POLICY_INBOUND, "<return-response><set-status code='302' reason='Found'/><set-header name='Location'><value>https://x</value></set-header><set-body>gone</set-body></return-response>",
     "{\"return_response\":{\"status\":{\"code\":302,\"reason\":\"Found\"},\"headers\":[{\"name\":\"location\",\"values\":[{\"parts\":[{\"literal\":\"https://x\"}]}]}],\"body\":{\"value\":{\"parts\":[{\"literal\":\"gone\"}]}}}}"},
    {POLICY_INBOUND, "<return-response/>",
     "{\"return_response\":{}}"},
    {POLICY_INBOUND, "<return-response response-variable-name='r'/>",
     "closed[policy <return-response>: attribute response-variable-name: no policy stores a response yet]@:1"},
    {POLICY_INBOUND, "<return-response><set-body>@(context.X)</set-body></return-response>",
     "closed[expression in <set-body> is not evaluated yet]@:1"},
    {POLICY_INBOUND, "<ip-filter action='allow'><address>1.2.3.4</address><address-range from='10.0.0.0' to='10.0.0.255'/><address>::1</address></ip-filter>",
     "{\"ip_filter\":{\"allow\":true,\"ranges\":[{\"first\":\"1.2.3.4\",\"last\":\"1.2.3.4\"},{\"first\":\"10.0.0.0\",\"last\":\"10.0.0.255\"},{\"first\":\"::1\",\"last\":\"::1\"}]}}"},
    {POLICY_INBOUND, "<ip-filter action='forbid'><address>1.2.3.4/8</address></ip-filter>",
     "closed[policy <ip-filter>: \"1.2.3.4/8\" is no IP address]@:1"},
    {POLICY_INBOUND, "<ip-filter action='forbid'><address-range from='2.0.0.0' to='1.0.0.0'/></ip-filter>",
     "closed[policy <ip-filter>: 2.0.0.0 to 1.0.0.0 is no range of addresses]@:1"},
    {POLICY_INBOUND, "<ip-filter action='deny'><address>1.2.3.4</address></ip-filter>",
     "closed[policy <ip-filter>: action is neither allow nor forbid]@:1"},
    {POLICY_INBOUND, "<ip-filter action='allow'/>",
     "closed[policy <ip-filter>: names no address]@:1"},
    {POLICY_INBOUND, "<check-header name='X-Key' failed-check-httpcode='401' failed-check-error-message='No' ignore-case='true'><value>a</value><value>{{secret}}</value></check-header>",
     "{\"check_header\":{\"name\":\"x-key\",\"code\":401,\"message\":\"No\",\"ignore_case\":true,\"values\":[{\"parts\":[{\"literal\":\"a\"}]},{\"parts\":[{\"secret\":\"namedvalues/secret\"}]}]}}"},
    {POLICY_INBOUND, "<check-header name='X-Key'/>",
     "closed[policy <check-header>: needs attribute failed-check-error-message]@:1"},
    {POLICY_INBOUND, "<cors allow-credentials='true'><allowed-origins><origin>https://A.example:443/</origin><origin>http://b.example:8080</origin></allowed-origins><allowed-methods preflight-result-max-age='300'><method>*</method></allowed-methods><allowed-headers><header>X-A</header></allowed-headers><expose-headers><header>X-B</header></expose-headers></cors>",
     "{\"cors\":{\"origins\":[\"https://a.example\",\"http://b.example:8080\"],\"allow_credentials\":true,\"any_method\":true,\"headers\":[\"x-a\"],\"expose_headers\":[\"X-B\"],\"max_age_s\":300}}"},
    {POLICY_INBOUND, "<cors><allowed-origins><origin>*</origin></allowed-origins><allowed-headers><header>*</header></allowed-headers></cors>",
     "{\"cors\":{\"any_origin\":true,\"methods\":[\"GET\",\"POST\"],\"any_header\":true}}"},
    {POLICY_INBOUND, "<cors allow-credentials='true'><allowed-origins><origin>*</origin></allowed-origins></cors>",
     "closed[policy <cors>: every origin with credentials is not allowed]@:1"},
    {POLICY_INBOUND, "<cors><allowed-origins><origin>https://*.example</origin></allowed-origins></cors>",
     "closed[policy <cors>: \"https://*.example\" is not one origin]@:1"},
    {POLICY_INBOUND, "<cors/>",
     "closed[policy <cors>: needs <allowed-origins>]@:1"},
    {POLICY_INBOUND, "<authentication-basic username='u' password='{{secret}}'/>",
     "{\"authentication_basic\":{\"username\":{\"parts\":[{\"literal\":\"u\"}]},\"password\":{\"parts\":[{\"secret\":\"namedvalues/secret\"}]}}}"},
    {POLICY_INBOUND, "<authentication-basic username='u'/>",
     "closed[policy <authentication-basic>: needs username and password]@:1"},
    {POLICY_INBOUND, "<trace source='s' severity='information'><message>m</message><metadata name='a' value='b'/></trace>",
     "{\"note\":{\"policy\":\"trace\"}}"},
    {POLICY_INBOUND, "<trace source='s'><message>@(x)</message></trace>",
     "closed[expression in <trace> is not evaluated yet]@:1"},
    {POLICY_OUTBOUND, "<emit-metric name='n' value='1'><dimension name='d'/></emit-metric>",
     "{\"note\":{\"policy\":\"emit-metric\"}}"},
    {POLICY_INBOUND, "<choose><when condition='false'><set-method>A</set-method></when><when condition='True'><set-method>B</set-method></when><when condition='@(x)'><set-method>C</set-method></when><otherwise><quota-by-key/></otherwise></choose>",
     "{\"set_method\":{\"method\":\"B\"}}"},
    {POLICY_INBOUND, "<choose><when condition='false'><quota-by-key/></when><otherwise><set-method>D</set-method></otherwise></choose>",
     "{\"set_method\":{\"method\":\"D\"}}"},
    {POLICY_INBOUND, "<choose><when condition='@(a && b < c)'><set-method>C</set-method></when></choose>",
     "closed[expression in <choose> is not evaluated yet]@:1"},
    {POLICY_INBOUND, "<choose><when condition='maybe'/></choose>",
     "closed[policy <choose>: attribute condition is neither true nor false]@:1"},
    {POLICY_INBOUND, "<choose><when condition='true'><base/></when></choose>",
     "closed[policy <base>: may only stand directly in a section]@:1"},
    {POLICY_BACKEND, "<retry condition='false' count='3' interval='1'><forward-request timeout='5'/></retry>",
     "{\"forward_request\":{\"timeout_s\":5}}"},
    {POLICY_BACKEND, "<retry condition='true' count='3' interval='1'><forward-request/></retry>",
     "closed[policy <retry>: a condition that is always true repeats every call count times: not built]@:1"},
    {POLICY_INBOUND, "<wait for='any'><choose><when condition='true'><set-method>W</set-method></when></choose></wait>",
     "{\"set_method\":{\"method\":\"W\"}}"},
    {POLICY_INBOUND, "<wait><send-request/></wait>",
     "closed[policy <wait>: <send-request> inside it is not supported yet]@:1"},
    {POLICY_INBOUND, "<include-fragment fragment-id='outer'/>",
     "{\"set_method\":{\"method\":\"GET\"}} {\"set_method\":{\"method\":\"PUT\"}}"},
    {POLICY_INBOUND, "<include-fragment fragment-id='loop'/>",
     "closed[policy <include-fragment>: fragment Loop includes itself]@pool:1"},
    {POLICY_INBOUND, "<include-fragment fragment-id='broken'/>",
     "closed[not readable as XML: Premature end of data in tag fragment line 1]@broken:2"},
    {POLICY_INBOUND, "<include-fragment fragment-id='wrong'/>",
     "closed[the root element is <policies>, not <fragment>]@wrong:1"},
    {POLICY_INBOUND, "<include-fragment fragment-id='none'/>",
     "closed[policy <include-fragment>: fragment none: there is no such fragment]@:1"},
    {POLICY_OUTBOUND, "<cors/>",
     "closed[policy <cors>: may not stand in <outbound>]@:1"},
    {POLICY_INBOUND, "<no-such-policy/>",
     "closed[policy <no-such-policy>: there is no such policy]@:1"},
    {POLICY_INBOUND, "<log-to-eventhub logger-id='x'>y</log-to-eventhub>",
     "closed[policy <log-to-eventhub>: there is no event hub yet]@:1"},
};

static void each_policy_that_runs_becomes_its_message(void **state)
{
    (void)state;
    check_steps(STEPS, ARRAY_LEN(STEPS));
}

struct closing {
    const char *text;
    enum policy_section section;
    uint32_t line;
    const char *reason; /* a part of it */
};

static const struct closing CLOSING[] = {
    {"<policies>\n<inbound>\n<quota-by-key/></inbound></policies>", POLICY_INBOUND, 3, "policy <quota-by-key>: quotas are not counted yet"},
    {"<policies><outbound>\n<set-header name='a'><value>@(\"x\")</value></set-header></outbound></policies>", POLICY_OUTBOUND, 2, "expression in <set-header> is not evaluated yet"},
    {"<policies><inbound><set-backend-service base-url='@(context.X)'/></inbound></policies>", POLICY_INBOUND, 1, "expression in <set-backend-service> is not evaluated yet"},
    {"<policies><inbound><set-backend-service base-url=' @{ return 1; }'/></inbound></policies>", POLICY_INBOUND, 1, "expression in <set-backend-service> is not evaluated yet"},
    {"<policies><inbound><set-backend-service base-url='{{expr}}'/></inbound></policies>", POLICY_INBOUND, 1, "expression in <set-backend-service> is not evaluated yet"},
    {"<policies><inbound><set-backend-service base-url='{{secret}}'/></inbound></policies>", POLICY_INBOUND, 1, "attribute base-url: a secret named value cannot stand there"},
    {"<policies><inbound><set-backend-service base-url='{{ gone }}'/></inbound></policies>", POLICY_INBOUND, 1, "named value {{gone}}: no named value"},
    {"<policies><inbound><set-backend-service/></inbound></policies>", POLICY_INBOUND, 1, "needs one of base-url and backend-id"},
    {"<policies><inbound><set-backend-service base-url='http://a' backend-id='b'/></inbound></policies>", POLICY_INBOUND, 1, "needs one of"},
    {"<policies><inbound><set-backend-service backend-id='b' sf-listener-name='x'/></inbound></policies>", POLICY_INBOUND, 1, "attribute sf-listener-name is not supported"},
    {"<policies><inbound><forward-request/></inbound></policies>", POLICY_INBOUND, 1, "policy <forward-request>: may not stand in <inbound>"},
    {"<policies><backend><forward-request timeout='0'/></backend></policies>", POLICY_BACKEND, 1, "attribute timeout is not a number from 1 to 86400"},
    {"<policies><backend><forward-request timeout='1.5'/></backend></policies>", POLICY_BACKEND, 1, "attribute timeout is not a number from 1 to 86400"},
    {"<policies><backend><forward-request http-version='3'/></backend></policies>", POLICY_BACKEND, 1, "attribute http-version is none of 1, 2, 2or1"},
    {"<policies><backend><forward-request><x/></forward-request></backend></policies>", POLICY_BACKEND, 1, "nothing may stand inside"},
    {"<policies><backend><base/><base/></backend></policies>", POLICY_BACKEND, 1, "stands twice"},
    {"<policies><inbound>text</inbound></policies>", POLICY_INBOUND, 1, "text stands between"},
    {"<policies xmlns:a='urn:a'><inbound><a:base/></inbound></policies>", POLICY_INBOUND, 1, "policy <base>: there is no such policy"},
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
    {"<policies>\n<inbound>\n<choose><when condition=\"@(a < b && c\"/></choose></inbound></policies>", POLICY_INBOUND, 3, "not readable as XML"},
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
#define LIMIT "<policies><inbound><quota-by-key/></inbound></policies>"
#define LIMIT_OUT "<policies><outbound><cache-store/></outbound></policies>"
#define RETURN_FIRST "<policies><inbound><return-response/><base/></inbound></policies>"
#define BEHIND "<policies><backend><base/><set-method>GET</set-method></backend></policies>"
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
    {{FORWARD_TWICE, NULL, NULL, CUT}, 0, -1, 2},
    {{RETURN_FIRST, LIMIT, LIMIT_OUT, NULL}, -1, -1, 0},
    {{BEHIND, NULL, NULL, NULL}, 0, -1, 1},
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
        cmocka_unit_test(each_policy_that_runs_becomes_its_message),
        cmocka_unit_test(what_is_not_supported_closes_its_section_only_and_says_why),
        cmocka_unit_test(a_document_that_cannot_be_read_closes_every_section),
        cmocka_unit_test(every_prefix_of_a_document_compiles_or_closes_everything),
        cmocka_unit_test(nesting_and_size_are_limited),
        cmocka_unit_test(a_wider_document_counts_only_where_base_reaches_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
