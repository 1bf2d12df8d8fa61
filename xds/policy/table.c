/* The one table of all policies: where each may stand, and whether it runs. */
#include <string.h>

#include "base/macros.h"
#include "xds/policy/compile.h"

enum {
    IN = 1 << POLICY_INBOUND,
    BE = 1 << POLICY_BACKEND,
    OUT = 1 << POLICY_OUTBOUND,
    ERR = 1 << POLICY_ON_ERROR,
    ALL = IN | BE | OUT | ERR,
};

#define FORWARD_ATTRIBUTES \
    "timeout timeout-ms continue-timeout http-version follow-redirects buffer-request-body buffer-response fail-on-error-status-code"
#define CHECK_ATTRIBUTES "name failed-check-httpcode failed-check-error-message ignore-case"
#define LIMIT_ATTRIBUTES                                                                                    \
    "calls renewal-period retry-after-header-name retry-after-variable-name remaining-calls-header-name " \
    "remaining-calls-variable-name total-calls-header-name"

#define TO_XML_ATTRIBUTES \
    "apply consider-accept-header parse-date namespace-separator namespace-prefix attribute-block-name"
#define TO_JSON_ATTRIBUTES "kind apply consider-accept-header always-array-child-elements"

/* Sorted by name. */
static const struct policy_kind KINDS[] = {
    {"authentication-basic", IN, "username password", compile_basic, ""},
    {"authentication-certificate", IN, "", NULL, "artifact folders hold no certificates with their keys, and one in a body is not used yet"},
    {"authentication-managed-identity", IN, "", NULL, "there is no managed identity outside Azure yet"},
    {"azure-openai-emit-token-metric", IN, "", NULL, "language model policies are not built"},
    {"azure-openai-semantic-cache-lookup", IN, "", NULL, "language model policies are not built"},
    {"azure-openai-semantic-cache-store", OUT, "", NULL, "language model policies are not built"},
    {"azure-openai-token-limit", IN, "", NULL, "language model policies are not built"},
    {"base", ALL, "", compile_base, ""},
    {"cache-lookup", IN, "", NULL, "there is no external cache yet"},
    {"cache-lookup-value", ALL, "", NULL, "there is no external cache yet"},
    {"cache-remove-value", ALL, "", NULL, "there is no external cache yet"},
    {"cache-store", OUT, "", NULL, "there is no external cache yet"},
    {"cache-store-value", ALL, "", NULL, "there is no external cache yet"},
    {"cache-value", ALL, "", NULL, "it is not documented"},
    {"check-header", IN, CHECK_ATTRIBUTES, compile_check_header, ""},
    {"choose", ALL, "", compile_choose, "conditions true and false"},
    {"cors", IN, "allow-credentials terminate-unmatched-request", compile_cors, "no wildcards inside an origin"},
    {"cosmosdb-data-source", 0, "", NULL, "GraphQL resolvers are not built"},
    {"cross-domain", IN, "", NULL, "Adobe's cross-domain files are not served"},
    {"emit-metric", ALL, "name namespace value", compile_emit_metric, "counted, not sent anywhere"},
    {"find-and-replace", ALL, "from to", compile_find_and_replace, "as the body passes"},
    {"forward-request", BE, FORWARD_ATTRIBUTES, compile_forward_request, "redirects within the backend's own origin; no continue-timeout; responses are never held back"},
    {"get-authorization-context", IN, "", NULL, "the credential manager is Azure's"},
    {"http-data-source", 0, "", NULL, "GraphQL resolvers are not built"},
    {"include-fragment", ALL, "fragment-id", compile_include_fragment, ""},
    {"invoke-dapr-binding", IN | OUT | ERR, "", NULL, "there is no Dapr here"},
    {"invoke-request", ALL, "", NULL, "it is not documented"},
    {"ip-filter", IN, "action", compile_ip_filter, ""},
    {"json-to-xml", IN | OUT | ERR, TO_XML_ATTRIBUTES, compile_json_to_xml, "dates are copied as they stand"},
    {"jsonp", OUT, "callback-parameter-name", compile_jsonp, ""},
    {"limit-concurrency", ALL, "key max-count", compile_limit_concurrency, "per gateway; around forward-request until the response's head"},
    {"llm-content-safety", IN | OUT, "", NULL, "language model policies are not built"},
    {"llm-emit-token-metric", IN, "", NULL, "language model policies are not built"},
    {"llm-semantic-cache-lookup", IN, "", NULL, "language model policies are not built"},
    {"llm-semantic-cache-store", OUT, "", NULL, "language model policies are not built"},
    {"llm-token-limit", IN, "", NULL, "language model policies are not built"},
    {"log-to-eventhub", ALL, "", NULL, "there is no event hub yet"},
    {"mock-response", IN | OUT | ERR, "status-code content-type", compile_mock_response, "examples of OpenAPI 2 and 3, else a sample made from the schema"},
    {"proxy", IN, "url username password", compile_proxy, "HTTP proxies without credentials, in front of https backends"},
    {"publish-event", 0, "", NULL, "GraphQL resolvers are not built"},
    {"publish-to-dapr", IN, "", NULL, "there is no Dapr here"},
    {"quota", IN, "calls bandwidth renewal-period", compile_quota, "calls by subscription, per gateway; windows from the first call, forgotten when the proxy ends; no bandwidth; operations by id"},
    {"quota-by-key", IN, "", NULL, "quotas are not counted yet"},
    {"rate-limit", IN, LIMIT_ATTRIBUTES, compile_rate_limit, "by subscription, per gateway; fixed windows from the first call; operations by id"},
    {"rate-limit-by-key", IN, "", NULL, "calls are not counted by key yet"},
    {"redirect-content-urls", IN | OUT, "", compile_redirect_content_urls, "between the API's own URL and that of its backend, as the body passes"},
    {"retry", ALL, "condition count interval max-interval delta first-fast-retry", compile_retry, "condition false: what is inside runs once"},
    {"return-response", ALL, "response-variable-name", compile_return_response, "no stored response"},
    {"rewrite-uri", IN, "template copy-unmatched-params", compile_rewrite_uri, ""},
    {"send-one-way-request", ALL, "", NULL, "policies make no requests of their own yet"},
    {"send-request", ALL, "", NULL, "policies make no requests of their own yet"},
    {"send-service-bus-message", IN | OUT | ERR, "", NULL, "there is no service bus here"},
    {"set-backend-service", IN | BE, "base-url backend-id", compile_set_backend_service, ""},
    {"set-body", IN | BE | OUT, "template", compile_set_body, "text; liquid only without anything of Liquid in it"},
    {"set-graphql-error", ALL, "", NULL, "GraphQL resolvers are not built"},
    {"set-header", ALL, "name exists-action", compile_set_header, ""},
    {"set-method", IN | BE | ERR, "", compile_set_method, ""},
    {"set-query-parameter", IN | BE, "name exists-action", compile_set_query_parameter, ""},
    {"set-status", ALL, "code reason", compile_set_status, "in outbound, on-error and return-response"},
    {"set-variable", ALL, "name value", compile_set_variable, "only an expression could read it"},
    {"sql-data-source", 0, "", NULL, "GraphQL resolvers are not built"},
    {"trace", ALL, "source severity", compile_trace, "counted, not sent anywhere"},
    {"validate-azure-ad-token", IN, "", NULL, "tokens and keys are not checked yet"},
    {"validate-client-certificate", IN, "", NULL, "client certificates are not checked by policies yet"},
    {"validate-content", IN | OUT | ERR, "", NULL, "messages are not validated yet"},
    {"validate-graphql-request", IN, "", NULL, "messages are not validated yet"},
    {"validate-headers", OUT | ERR, "", NULL, "messages are not validated yet"},
    {"validate-jwt", IN, "", NULL, "tokens and keys are not checked yet"},
    {"validate-odata-request", IN, "", NULL, "messages are not validated yet"},
    {"validate-parameters", IN, "", NULL, "messages are not validated yet"},
    {"validate-status-code", OUT | ERR, "", NULL, "messages are not validated yet"},
    {"wait", IN | BE | OUT, "for", compile_wait, "choose inside"},
    {"xml-to-json", IN | OUT | ERR, TO_JSON_ATTRIBUTES, compile_xml_to_json, "kind direct"},
    {"xsl-transform", IN | OUT, "", NULL, "stylesheets are not carried out"},
};

const struct policy_kind *policy_kind_find(const char *name)
{
    size_t low = 0, high = ARRAY_LEN(KINDS);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, KINDS[middle].name);
        if (order == 0) {
            return &KINDS[middle];
        }
        *(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
    }
    return NULL;
}

size_t policy_support_count(void)
{
    return ARRAY_LEN(KINDS);
}

struct policy_support policy_support_at(size_t i)
{
    static const char *const sections[] = {
        [0] = "resolver",
        [IN] = "inbound",
        [BE] = "backend",
        [IN | BE] = "inbound, backend",
        [OUT] = "outbound",
        [IN | OUT] = "inbound, outbound",
        [BE | OUT] = "backend, outbound",
        [IN | BE | OUT] = "inbound, backend, outbound",
        [ERR] = "on-error",
        [IN | ERR] = "inbound, on-error",
        [BE | ERR] = "backend, on-error",
        [IN | BE | ERR] = "inbound, backend, on-error",
        [OUT | ERR] = "outbound, on-error",
        [IN | OUT | ERR] = "inbound, outbound, on-error",
        [BE | OUT | ERR] = "backend, outbound, on-error",
        [ALL] = "all",
    };
    const struct policy_kind *k = &KINDS[i];
    bool runs = k->compile != NULL;
    return (struct policy_support){k->name, sections[k->sections], runs ? NULL : k->text, runs ? k->text : ""};
}
