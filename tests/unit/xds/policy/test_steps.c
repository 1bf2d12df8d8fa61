/* Policies that count, forward, mock, and change bodies: what each becomes, and what closes it. */
#include "unit/xds/policy/policy_test.h"

static const struct step COUNTING[] = {
    {POLICY_INBOUND, "<rate-limit calls='5' renewal-period='60' remaining-calls-header-name='X-Left' retry-after-variable-name='v'/>",
     "{\"rate_limit\":{\"calls\":5,\"renewal_period_s\":60,\"retry_after_header\":\"retry-after\",\"remaining_calls_header\":\"x-left\"}}"},
    {POLICY_INBOUND, "<rate-limit calls='5' renewal-period='301'/>",
     "closed[policy <rate-limit>: attribute renewal-period is not a number from 1 to 300]@:1"},
    {POLICY_INBOUND, "<rate-limit calls='5' renewal-period='60'><api name='a' calls='1' renewal-period='1'/></rate-limit>",
     "{\"rate_limit\":{\"calls\":5,\"renewal_period_s\":60,\"retry_after_header\":\"retry-after\",\"narrower\":[{\"api_name\":\"a\",\"calls\":1,\"renewal_period_s\":1}]}}"},
    {POLICY_INBOUND, "<quota calls='10' renewal-period='0'/>", "{\"quota\":{\"calls\":10}}"},
    {POLICY_INBOUND, "<quota bandwidth='10' renewal-period='0'/>",
     "closed[policy <quota>: attribute bandwidth: bytes are not counted by subscription yet]@:1"},
    {POLICY_INBOUND, "<rate-limit calls='5' renewal-period='60'><api id='a' calls='3' renewal-period='30'><operation id='get' calls='2' renewal-period='10'/></api></rate-limit>",
     "{\"rate_limit\":{\"calls\":5,\"renewal_period_s\":60,\"retry_after_header\":\"retry-after\",\"narrower\":["
     "{\"api_id\":\"a\",\"calls\":3,\"renewal_period_s\":30},{\"api_id\":\"a\",\"operation_id\":\"get\",\"calls\":2,\"renewal_period_s\":10}]}}"},
    {POLICY_INBOUND, "<rate-limit calls='5' renewal-period='60'><api calls='3' renewal-period='30'/></rate-limit>",
     "closed[policy <rate-limit>: <api> needs id or name]@:1"},
    {POLICY_INBOUND, "<rate-limit calls='5' renewal-period='60'><api id='a' calls='3' renewal-period='30'><operation name='Get' calls='2' renewal-period='10'/></api></rate-limit>",
     "closed[policy <rate-limit>: <operation> is found by its id only]@:1"},
    {POLICY_INBOUND, "<rate-limit calls='5' renewal-period='60'><api id='a' calls='3' renewal-period='301'/></rate-limit>",
     "closed[policy <rate-limit>: attribute renewal-period is not a number from 1 to 300]@:1"},
    {POLICY_INBOUND, "<rate-limit calls='5' renewal-period='60'><operation id='a' calls='3' renewal-period='301'/></rate-limit>",
     "closed[policy <rate-limit>: <operation> inside it is not supported yet]@:1"},
    {POLICY_INBOUND, "<quota calls='10' renewal-period='3600'><api id='a' calls='1' renewal-period='0'/></quota>",
     "{\"quota\":{\"calls\":10,\"renewal_period_s\":3600,\"narrower\":[{\"api_id\":\"a\",\"calls\":1}]}}"},
    {POLICY_INBOUND, "<quota calls='10' renewal-period='3600'><api id='a' bandwidth='1' calls='1' renewal-period='0'/></quota>",
     "closed[policy <quota>: attribute bandwidth: bytes are not counted by subscription yet]@:1"},
    {POLICY_BACKEND, "<limit-concurrency key='k' max-count='3'><forward-request/></limit-concurrency>",
     "{\"enter_limit\":{\"key\":\"k\",\"max_count\":3}} {\"forward_request\":{}} {\"leave_limit\":{}}"},
    {POLICY_INBOUND, "<limit-concurrency key='{{url}}' max-count='1'><set-method>PUT</set-method><limit-concurrency key='b' max-count='2'/></limit-concurrency>",
     "{\"enter_limit\":{\"key\":\"https://third.example/base\",\"max_count\":1}} {\"set_method\":{\"method\":\"PUT\"}} "
     "{\"enter_limit\":{\"key\":\"b\",\"max_count\":2}} {\"leave_limit\":{}} {\"leave_limit\":{}}"},
    {POLICY_INBOUND, "<limit-concurrency key='@(context.Subscription.Id)' max-count='1'/>",
     "closed[expression in <limit-concurrency> is not evaluated yet]@:1"},
    {POLICY_INBOUND, "<limit-concurrency key='k' max-count='0'/>",
     "closed[policy <limit-concurrency>: attribute max-count is not a number from 1 to 2147483647]@:1"},
    {POLICY_INBOUND, "<limit-concurrency key='k' max-count='1'><base/></limit-concurrency>",
     "{\"enter_limit\":{\"key\":\"k\",\"max_count\":1}} closed[policy <base>: may only stand directly in a section]@:1 {\"leave_limit\":{}}"},
};

static void policies_that_count_become_their_messages(void **state)
{
    (void)state;
    check_steps(COUNTING, ARRAY_LEN(COUNTING));
}

static const struct step FORWARDING[] = {
    {POLICY_BACKEND, "<forward-request timeout='30' follow-redirects='true' buffer-request-body='true' buffer-response='false' fail-on-error-status-code='true'/>",
     "{\"forward_request\":{\"timeout_s\":30,\"follow_redirects\":true,\"buffer_request_body\":true,\"fail_on_error_status_code\":true}}"},
    {POLICY_BACKEND, "<forward-request timeout-ms='1500' http-version='2'/>", "{\"forward_request\":{\"timeout_ms\":1500,\"version\":\"HTTP2\"}}"},
    {POLICY_BACKEND, "<forward-request http-version='2or1'/>", "{\"forward_request\":{\"version\":\"HTTP2_OR_1\"}}"},
    {POLICY_BACKEND, "<forward-request timeout='1' timeout-ms='1'/>",
     "closed[policy <forward-request>: has both timeout and timeout-ms]@:1"},
    {POLICY_BACKEND, "<forward-request continue-timeout='1'/>",
     "closed[policy <forward-request>: attribute continue-timeout: a backend's 100 Continue is not waited for]@:1"},
    {POLICY_BACKEND, "<forward-request follow-redirects='perhaps'/>",
     "closed[policy <forward-request>: attribute follow-redirects is neither true nor false]@:1"},
    {POLICY_BACKEND, "<forward-request follow-redirects='@(true)'/>",
     "closed[expression in <forward-request> is not evaluated yet]@:1"},
    {POLICY_INBOUND, "<proxy url='http://Proxy.example:8080'/>", "{\"use_proxy\":{\"address\":\"proxy.example:8080\"}}"},
    {POLICY_INBOUND, "<proxy url='http://10.0.0.1/'/>", "{\"use_proxy\":{\"address\":\"10.0.0.1:80\"}}"},
    {POLICY_INBOUND, "<proxy url='http://[::1]:3128'/>", "{\"use_proxy\":{\"address\":\"[::1]:3128\"}}"},
    {POLICY_INBOUND, "<proxy url='https://proxy:443'/>", "closed[policy <proxy>: attribute url is not http://host:port]@:1"},
    {POLICY_INBOUND, "<proxy url='http://proxy:0'/>", "closed[policy <proxy>: attribute url is not http://host:port]@:1"},
    {POLICY_INBOUND, "<proxy url='http://proxy:80/path'/>", "closed[policy <proxy>: attribute url is not http://host:port]@:1"},
    {POLICY_INBOUND, "<proxy url='http://user@proxy'/>", "closed[policy <proxy>: attribute url is not http://host:port]@:1"},
    {POLICY_INBOUND, "<proxy url='http://'/>", "closed[policy <proxy>: attribute url is not http://host:port]@:1"},
    {POLICY_INBOUND, "<proxy url='http://proxy' username='u' password='{{secret}}'/>",
     "closed[policy <proxy>: a proxy is not given credentials: they would stand in the configuration of a cluster]@:1"},
    {POLICY_INBOUND, "<mock-response/>", "{\"mock_response\":{}}"},
    {POLICY_OUTBOUND, "<mock-response status-code='404' content-type='application/json'/>",
     "{\"mock_response\":{\"status\":404,\"content_type\":\"application/json\"}}"},
    {POLICY_ON_ERROR, "<mock-response status-code='99'/>",
     "closed[policy <mock-response>: attribute status-code is not a number from 200 to 599]@:1"},
    {POLICY_BACKEND, "<mock-response/>", "closed[policy <mock-response>: may not stand in <backend>]@:1"},
};

static void forwarding_and_mocking_become_their_messages(void **state)
{
    (void)state;
    check_steps(FORWARDING, ARRAY_LEN(FORWARDING));
}

static const struct step BODIES[] = {
    {POLICY_OUTBOUND, "<find-and-replace from='{{url}}' to='{{secret}}'/>",
     "{\"find_and_replace\":{\"from\":\"https://third.example/base\",\"to\":{\"parts\":[{\"secret\":\"namedvalues/secret\"}]}}}"},
    {POLICY_INBOUND, "<find-and-replace from='a' to=''/>", "{\"find_and_replace\":{\"from\":\"a\",\"to\":{}}}"},
    {POLICY_INBOUND, "<find-and-replace from='' to='b'/>",
     "closed[policy <find-and-replace>: needs from, which must not be empty, and to]@:1"},
    {POLICY_INBOUND, "<find-and-replace from='a'/>",
     "closed[policy <find-and-replace>: needs from, which must not be empty, and to]@:1"},
    {POLICY_INBOUND, "<find-and-replace from='x{{secret}}' to='b'/>",
     "closed[policy <find-and-replace>: attribute from: a secret named value cannot stand there]@:1"},
    {POLICY_OUTBOUND, "<redirect-content-urls/>", "{\"redirect_content_urls\":{}}"},
    {POLICY_BACKEND, "<redirect-content-urls/>", "closed[policy <redirect-content-urls>: may not stand in <backend>]@:1"},
    {POLICY_OUTBOUND, "<jsonp callback-parameter-name='cb'/>", "{\"jsonp\":{\"callback_parameter\":\"cb\"}}"},
    {POLICY_OUTBOUND, "<jsonp/>", "closed[policy <jsonp>: needs attribute callback-parameter-name]@:1"},
    {POLICY_OUTBOUND, "<json-to-xml apply='always' consider-accept-header='false' parse-date='false' namespace-separator=':' namespace-prefix='xmlns' attribute-block-name='#attrs'/>",
     "{\"json_to_xml\":{\"namespace_separator\":\":\",\"namespace_prefix\":\"xmlns\",\"attribute_block\":\"#attrs\"}}"},
    {POLICY_INBOUND, "<json-to-xml apply='content-type-json'/>",
     "{\"json_to_xml\":{\"only_json\":true,\"consider_accept\":true,\"namespace_separator\":\"_\"}}"},
    {POLICY_INBOUND, "<json-to-xml apply='content-type-xml'/>",
     "closed[policy <json-to-xml>: attribute apply is neither always nor content-type-json]@:1"},
    {POLICY_ON_ERROR, "<xml-to-json kind='direct' apply='content-type-xml' consider-accept-header='false' always-array-child-elements='true'/>",
     "{\"xml_to_json\":{\"only_xml\":true,\"always_array\":true}}"},
    {POLICY_OUTBOUND, "<xml-to-json kind='javascript-friendly' apply='always'/>",
     "closed[policy <xml-to-json>: kind javascript-friendly: what it writes is not documented]@:1"},
    {POLICY_OUTBOUND, "<xml-to-json kind='own' apply='always'/>",
     "closed[policy <xml-to-json>: kind is neither direct nor javascript-friendly]@:1"},
    {POLICY_INBOUND, "<set-body template='liquid'>plain text</set-body>",
     "{\"set_body\":{\"value\":{\"parts\":[{\"literal\":\"plain text\"}]}}}"},
    {POLICY_INBOUND, "<set-body template='liquid'>{% if a %}b{% endif %}</set-body>",
     "closed[policy <set-body>: liquid templates are not carried out yet]@:1"},
    {POLICY_INBOUND, "<set-body template='razor'>b</set-body>",
     "closed[policy <set-body>: razor templates are not carried out yet]@:1"},
};

static void policies_on_bodies_become_their_messages(void **state)
{
    (void)state;
    check_steps(BODIES, ARRAY_LEN(BODIES));
}

static void what_is_looked_for_and_how_deep_limits_nest_is_bounded(void **state)
{
    (void)state;
    struct strbuf text;
    strbuf_init(&text);
    strbuf_add_str(&text, "<policies><inbound><find-and-replace to='' from='");
    for (int i = 0; i < 5000; i++) {
        strbuf_add_char(&text, 'a');
    }
    strbuf_add_str(&text, "'/></inbound><backend>");
    for (int i = 0; i < 9; i++) {
        strbuf_add_str(&text, "<limit-concurrency key='k' max-count='1'>");
    }
    for (int i = 0; i < 9; i++) {
        strbuf_add_str(&text, "</limit-concurrency>");
    }
    strbuf_add_str(&text, "</backend></policies>");
    struct policy_program *p = compile(strbuf_cstr(&text));
    assert_int_equal(p->sections[POLICY_INBOUND].n, 1);
    assert_string_equal(p->sections[POLICY_INBOUND].items[0].reason,
                        "policy <find-and-replace>: attribute from is longer than 4096 bytes");
    assert_int_equal(p->sections[POLICY_BACKEND].n, 17);
    assert_string_equal(p->sections[POLICY_BACKEND].items[8].reason,
                        "policy <limit-concurrency>: more than 8 of them inside each other");
    strbuf_fini(&text);
    policy_destroy(&p);
}

static void a_policy_knows_where_it_stands_unless_that_is_its_name(void **state)
{
    (void)state;
    struct policy_program *p = compile(
        "<policies><inbound><set-method>A</set-method><choose><when condition='false'/><when condition='true'>"
        "<set-method>B</set-method><set-variable name='v' value='1'/><set-method>C</set-method></when></choose>"
        "<choose><otherwise><set-query-parameter name='q' exists-action='delete'/></otherwise></choose>"
        "<include-fragment fragment-id='outer'/></inbound></policies>");
    static const char *const paths[] = {"", "choose[1]\\when[2]\\set-method[1]", "choose[1]\\when[2]\\set-variable",
                                        "choose[1]\\when[2]\\set-method[2]", "choose[2]\\otherwise\\set-query-parameter",
                                        "include-fragment\\set-method", "include-fragment\\set-method"};
    assert_int_equal(p->sections[POLICY_INBOUND].n, ARRAY_LEN(paths));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_string_equal(p->sections[POLICY_INBOUND].items[i].message->path, paths[i]);
    }
    policy_destroy(&p);
}

static void a_chain_that_mocks_anywhere_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool mocks, returns;
    } rows[] = {
        {"<policies><inbound><mock-response/></inbound></policies>", true, true},
        {"<policies><outbound><mock-response/></outbound></policies>", true, false},
        {"<policies><on-error><mock-response/></on-error></policies>", true, false},
        {"<policies><inbound><return-response/><mock-response/></inbound></policies>", false, true},
        {"<policies/>", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_program *p = compile(rows[i].text);
        const struct policy_program *scopes[] = {p};
        struct policy_effect effect;
        policy_link(scopes, 1, &effect);
        assert_int_equal(effect.mocks, rows[i].mocks);
        assert_int_equal(effect.returns, rows[i].returns);
        policy_destroy(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_that_count_become_their_messages),
        cmocka_unit_test(forwarding_and_mocking_become_their_messages),
        cmocka_unit_test(policies_on_bodies_become_their_messages),
        cmocka_unit_test(what_is_looked_for_and_how_deep_limits_nest_is_bounded),
        cmocka_unit_test(a_policy_knows_where_it_stands_unless_that_is_its_name),
        cmocka_unit_test(a_chain_that_mocks_anywhere_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
