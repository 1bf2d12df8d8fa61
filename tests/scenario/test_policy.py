"""Each policy that runs, from the document in the folder to what the backend gets and what comes back."""
import base64
import json

import pytest

from chain import INTERNAL, Chain, replace
from harness import curl, wait_for

ORIGIN = "https://app.example"
CORS = ("<cors{more}><allowed-origins><origin>https://app.example</origin></allowed-origins>"
        "<allowed-methods preflight-result-max-age='300'><method>GET</method><method>PUT</method></allowed-methods>"
        "<allowed-headers><header>x-a</header><header>Content-Type</header></allowed-headers>"
        "<expose-headers><header>x-b</header><header>x-c</header></expose-headers></cors>")
ANY_CORS = ("<cors><allowed-origins><origin>*</origin></allowed-origins><allowed-methods><method>*</method></allowed-methods>"
            "<allowed-headers><header>*</header></allowed-headers></cors>")


def document(inbound="<base/>", backend="<base/>", outbound="<base/>", on_error="<base/>"):
    return (f"<policies>\n<inbound>{inbound}</inbound>\n<backend>{backend}</backend>\n<outbound>{outbound}</outbound>\n"
            f"<on-error>{on_error}</on-error>\n</policies>\n")


def header(name, *values, action=None):
    action = f" exists-action='{action}'" if action else ""
    return f"<set-header name='{name}'{action}>" + "".join(f"<value>{v}</value>" for v in values) + "</set-header>"


# API name → its document. Each has GET and POST /items/{id}.
DOCUMENTS = {
    "internal": document(),
    "headers": document(header("X-New", "one", "two") + header("X-Over", "new") + header("X-Skip", "new", action="skip")
                        + header("X-Append", "new", action="append") + header("X-Gone", action="delete")
                        + header("User-Agent", "a", "b")
                        + header("Host", "other.example"), outbound=header("X-Out", "seen") + header("X-Seen", action="delete")),
    "query": document("<set-query-parameter name='over'><value>a b&amp;</value></set-query-parameter>"
                      "<set-query-parameter name='skip' exists-action='skip'><value>new</value></set-query-parameter>"
                      "<set-query-parameter name='more' exists-action='append'><value>2</value></set-query-parameter>"
                      "<set-query-parameter name='gone' exists-action='delete'/>"),
    "method": document("<set-method>PUT</set-method>"),
    "body": document("<set-body>own &lt;body&gt;</set-body>", outbound="<set-body>theirs</set-body>" + header("content-type", "text/x")),
    "rewrite": document("<rewrite-uri template='/new/{id}/x?fixed=1'/>"),
    "rewrite-only": document("<rewrite-uri template='/new/{id}?fixed={id}' copy-unmatched-params='false'/>"),
    "rewrite-secret": document("<rewrite-uri template='/new/{id}/{{shared-secret}}?sig={{shared-secret}}&amp;v=1'/>"),
    "rewrite-lines": document("<rewrite-uri template='/new?sig={{lines}}'/>"),
    "query-secret": document("<set-query-parameter name='code'><value>{{shared-secret}}</value></set-query-parameter>"),
    "rewrite-wrong": document("<rewrite-uri template='/{nothing}'/>"),
    "returns": document("<return-response><set-status code='202' reason='Taken'/>" + header("X-A", "1", "2")
                        + "<set-body>{\"done\": true}</set-body></return-response>" + "<jsonp/>"),
    "returns-empty": document("<return-response/>"),
    "no-forward": document(backend="", outbound="<set-status code='201' reason='Made'/>" + header("X-Out", "yes") + "<set-body>here</set-body>"),
    "outbound-return": document(outbound="<return-response><set-status code='418' reason='Teapot'/><set-body>tea</set-body></return-response>"),
    "outbound-status": document(outbound="<set-status code='203' reason='Changed'/>"),
    "allow-me": document("<ip-filter action='allow'><address-range from='127.0.0.0' to='127.0.0.255'/></ip-filter>"),
    "allow-other": document("<ip-filter action='allow'><address>192.0.2.1</address><address>::1</address></ip-filter>"),
    "forbid-me": document("<ip-filter action='forbid'><address>127.0.0.1</address></ip-filter>"),
    "check": document("<check-header name='X-Check' failed-check-httpcode='403' failed-check-error-message='Not &quot;so&quot;' ignore-case='true'>"
                      "<value>one</value><value>{{shared-secret}}</value></check-header>"),
    "check-there": document("<check-header name='X-Check' failed-check-httpcode='400' failed-check-error-message='Missing' ignore-case='false'/>"),
    "caught": document("<ip-filter action='forbid'><address>127.0.0.1</address></ip-filter>",
                       on_error="<set-status code='451' reason='Caught'/>" + header("X-Caught", "yes") + "<base/>"),
    "caught-return": document(on_error="<return-response><set-status code='299' reason='Odd'/><set-body>mended</set-body></return-response>"),
    "basic": document("<authentication-basic username='user' password='{{shared-secret}}'/>"),
    "secret": document(header("X-Secret", "key={{shared-secret}};{{plain}}")),
    "chosen": document("<choose><when condition='false'><jsonp/></when><otherwise>" + header("X-Chosen", "otherwise")
                       + "</otherwise></choose><trace source='t'><message>m</message></trace><emit-metric name='n'><dimension name='d' value='v'/></emit-metric><set-variable name='v' value='1'/>"
                       "<include-fragment fragment-id='Common'/>"),
    "cors": document(CORS.format(more=" allow-credentials='true'")),
    "cors-any": document(ANY_CORS),
    "cors-strict": document(CORS.format(more=" terminate-unmatched-request='true'")),
    "expression": document("<set-header name=\"x\"><value>@(context.Variables[\"a\"] + \"<&\")</value></set-header>"),
    "dead": document(on_error=header("X-Failed", "yes")),
    "limited-product": document(),
    "empty-status": document(outbound="<set-status code='204' reason='No Content'/>"),
    "empty-return": document("<return-response><set-status code='204' reason=''/><set-body>ignored</set-body></return-response>"),
    "secret-lines": document(header("X-A", "{{lines}}")),
    "rate": document("<rate-limit calls='3' renewal-period='300' remaining-calls-header-name='X-Left' total-calls-header-name='X-Total'/>",
                     on_error=header("X-Failed", "yes")),
    "short-rate": document("<rate-limit calls='1' renewal-period='4' retry-after-header-name='X-Again'/>"),
    "quota": document("<quota calls='2' renewal-period='200000'/>"),
    "quota-once": document("<quota calls='1' renewal-period='0'/>"),
    "rate-open": document("<rate-limit calls='1' renewal-period='300'/>"),
}


class PolicyChain(Chain):
    def make_artifacts(self, a):
        inner = f"http://{INTERNAL}:{self.internal.port}"
        ops = (("get", "/items/{id}", "get"), ("post", "/items/{id}", "post"), ("get", "/listUsers", "list"))
        for name, text in DOCUMENTS.items():
            more = {"subscriptionRequired": False} if name == "rate-open" else {}
            a.api(name, f"http://{INTERNAL}:{self.dead_direct}" if name == "dead" else inner + "/base", ops, **more)
            a.policy(f"apis/{name}", text)
        a.api("preflighted", inner, (("get", "/items", "get"), ("options", "/items", "options")))
        a.policy("apis/preflighted", document(ANY_CORS))
        a.put("policy fragments/common/policyFragmentInformation.json", {"properties": {"description": "", "format": "rawxml"}})
        a.put("policy fragments/common/policy.xml", "<fragment>\n" + header("X-Fragment", "{{plain}}") + "</fragment>\n")
        a.put("named values/shared-secret/namedValueInformation.json",
              {"properties": {"displayName": "shared-secret", "secret": True}})
        a.put("named values/lines/namedValueInformation.json", {"properties": {"displayName": "lines", "secret": True}})
        a.named.update({"shared-secret": self.function_key, "lines": "first line\r\nX-Injected: yes"})
        a.put("named values/plain/namedValueInformation.json", {"properties": {"displayName": "plain", "value": "plain-value-one"}})
        a.product("starter", ["limited-product"])
        a.policy("products/starter", document("<base/><llm-token-limit/>"))
        a.subscription("every", "/apis")
        a.subscription("second", "/apis")
        a.subscription("starter", "/products/starter")
        a.policy("", "<policies><inbound/><backend><forward-request/></backend><outbound/><on-error>"
                     + header("X-Global-Error", "yes") + "</on-error></policies>")
        for name in ("app", "ops"):
            a.gateway(name, a.apis(), f"{name} region")
        a.save()


def everything(request):
    """The backend says all that it got."""
    seen = {"line": request.line, "headers": {}, "body": request.body.decode()}
    for name, value in request.headers:
        seen["headers"].setdefault(name.lower(), []).append(value)
    return "200 OK", [("content-type", "application/json"), ("x-seen", "1"), ("vary", "accept")], json.dumps(seen).encode()


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    c = PolicyChain(tmp_path_factory.mktemp("policy"))
    c.internal.answer = everything
    try:
        c.start("app")
        yield c
    finally:
        c.stop()


def ask(chain, api, *args, path="/items/7"):
    status, headers, body, head = chain.call(f"/{api}{path}", *args)
    assert status == 200, (status, headers, body)
    return json.loads(body), headers


def test_headers_are_set_skipped_appended_and_deleted_both_ways(chain):
    seen, headers = ask(chain, "headers", "-H", "X-Over: old", "-H", "X-Skip: old", "-H", "X-Append: old", "-H", "X-Gone: old")
    got = seen["headers"]
    assert got["x-new"] == ["one,two"] and got["x-over"] == ["new"] and got["x-skip"] == ["old"]
    assert got["x-append"] == ["old,new"] and "x-gone" not in got
    assert got["user-agent"] == ["a", "b"] and got["host"] == ["other.example"]
    assert headers["x-out"] == "seen" and "x-seen" not in headers
    seen, _ = ask(chain, "headers")
    assert seen["headers"]["x-skip"] == ["new"] and seen["headers"]["x-append"] == ["new"]


def test_query_parameters_are_set_skipped_appended_and_deleted(chain):
    seen, _ = ask(chain, "query", path="/items/7?x=%20&OVER=1&over=2&skip=1&more=1&gone=1&gone")
    assert seen["line"] == "GET /base/items/7?x=%20&skip=1&more=1&over=a%20b%26&more=2 HTTP/1.1"
    seen, _ = ask(chain, "query")
    assert seen["line"] == "GET /base/items/7?over=a%20b%26&skip=new&more=2 HTTP/1.1"


def test_the_method_and_both_bodies_are_replaced(chain):
    seen, _ = ask(chain, "method", "-d", "as it came")
    assert seen["line"].startswith("PUT ") and seen["body"] == "as it came"
    replace(chain.path("upload"), "x" * 3_000_000)
    for upload in ("short", "@" + chain.path("upload")):
        status, headers, body, _ = chain.call("/body/items/7", "-d", upload)
        assert (status, body, headers.get("content-type")) == (200, b"theirs", "text/x")
        assert chain.internal.requests[-1].body == b"own <body>"
        assert chain.internal.requests[-1].header("content-length") == "10"
    status, headers, body, _ = chain.call("/body/items/7", "-I", "-X", "GET")
    assert status == 200 and headers["content-length"] == "6"


def test_rewritten_paths_take_parameters_and_unmatched_ones_along(chain):
    seen, _ = ask(chain, "rewrite", path="/items/a%20b?q=1&z")
    assert seen["line"] == "GET /base/new/a%20b/x?fixed=1&q=1&z HTTP/1.1"
    seen, _ = ask(chain, "rewrite-only", path="/items/7?q=1")
    assert seen["line"] == "GET /base/new/7?fixed=7 HTTP/1.1"
    status, _, body, _ = chain.call("/rewrite-wrong/items/7")
    assert status == 501 and b"rewrite-uri names a parameter" in body


def test_secrets_in_the_url_reach_the_backend_and_no_log(chain):
    key = chain.function_key
    seen, _ = ask(chain, "rewrite-secret", path="/items/7?q=1")
    assert seen["line"] == f"GET /base/new/7/{key}?sig={key}&v=1&q=1 HTTP/1.1"
    seen, _ = ask(chain, "query-secret", path="/items/7?q=1")
    assert seen["line"] == f"GET /base/items/7?q=1&code={key} HTTP/1.1"
    for api in ("rewrite-secret", "query-secret"):
        record = chain.record(lambda r: r.get("apiId") == api)
        assert record["backendUrl"] == f"http://{INTERNAL}:{chain.internal.port}/***" and "/items/7?q=1" in record["url"]
    before = len(chain.internal.requests)
    status, _, body, _ = chain.call("/rewrite-lines/items/7")
    assert status == 501 and b"a secret of its policies" in body and len(chain.internal.requests) == before
    assert chain.leaks() == []


def test_a_returned_response_ends_the_pipeline(chain):
    before = len(chain.internal.requests)
    status, headers, body, head = chain.call("/returns/items/7")
    assert (status, body) == (202, b'{"done": true}')
    assert head.startswith("HTTP/1.1 202 Taken") and headers["x-a"] == "1,2" and "x-out" not in headers
    status, headers, body, _ = chain.call("/returns-empty/items/7", "-d", "upload")
    assert (status, body, headers["content-length"]) == (200, b"", "0")
    assert len(chain.internal.requests) == before


def test_without_forward_request_outbound_answers(chain):
    before = len(chain.internal.requests)
    status, headers, body, head = chain.call("/no-forward/items/7")
    assert (status, body, headers["x-out"]) == (201, b"here", "yes") and head.startswith("HTTP/1.1 201 Made")
    assert len(chain.internal.requests) == before


def test_outbound_changes_status_or_the_whole_response(chain):
    status, headers, body, head = chain.call("/outbound-return/items/7")
    assert (status, body) == (418, b"tea") and "x-seen" not in headers and head.startswith("HTTP/1.1 418 Teapot")
    status, headers, body, head = chain.call("/outbound-status/items/7")
    assert status == 203 and head.startswith("HTTP/1.1 203 Changed") and json.loads(body)["line"].startswith("GET ")


def test_callers_are_let_in_by_their_address(chain):
    assert chain.call("/allow-me/items/7")[0] == 200
    for api, message in (("allow-other", "Caller IP address 127.0.0.1 is not allowed. Access denied."),
                         ("forbid-me", "Caller IP address is blocked. Access denied.")):
        status, headers, body, _ = chain.call(f"/{api}/items/7")
        assert status == 403 and body.decode() == f'{{ "statusCode": 403, "message": "{message}" }}'
        assert headers["content-type"] == "application/json" and headers["x-global-error"] == "yes"


def test_headers_are_checked_for_presence_and_value(chain):
    status, _, body, _ = chain.call("/check/items/7")
    assert status == 403 and body == b'{ "statusCode": 403, "message": "Not \\"so\\"" }'
    assert chain.call("/check/items/7", "-H", "X-Check: two")[0] == 403
    assert chain.call("/check/items/7", "-H", "X-Check: ONE")[0] == 200
    assert chain.call("/check/items/7", "-H", f"X-Check: {chain.function_key}")[0] == 200
    assert chain.call("/check-there/items/7")[0] == 400
    assert chain.call("/check-there/items/7", "-H", "X-Check: anything")[0] == 200


def test_on_error_sees_every_failure(chain):
    status, headers, body, head = chain.call("/caught/items/7")
    assert status == 451 and head.startswith("HTTP/1.1 451 Caught") and b"is blocked" in body
    assert headers["x-caught"] == "yes" and headers["x-global-error"] == "yes"
    status, _, body, _ = chain.call("/caught-return/items/7", key=None)
    assert (status, body) == (299, b"mended")
    status, headers, body, _ = chain.call("/dead/items/7")
    assert status == 500 and headers["x-failed"] == "yes" and "x-global-error" not in headers and b"activityId" in body
    for path in ("/nowhere", "/internal/nothing"):
        status, headers, body, _ = chain.call(path)
        assert (status, body) == (404, b'{ "statusCode": 404, "message": "Resource not found" }')
        assert headers["x-global-error"] == "yes"
    status, headers, _, head = chain.call("/internal/items/7", key=None)
    assert status == 401 and headers["x-global-error"] == "yes" and "www-authenticate" in headers
    assert head.startswith("HTTP/1.1 401 Access Denied")


def test_secrets_reach_the_backend_and_nothing_else(chain):
    seen, _ = ask(chain, "secret")
    assert seen["headers"]["x-secret"] == [f"key={chain.function_key};plain-value-one"]
    seen, _ = ask(chain, "basic")
    assert base64.b64decode(seen["headers"]["authorization"][0].split()[1]).decode() == f"user:{chain.function_key}"
    programs = chain.get("/proxies")
    assert chain.function_key not in json.dumps(programs)


def test_a_status_without_a_body_has_none(chain):
    for api in ("empty-status", "empty-return"):
        for _ in range(2):  # the connection is used again: no byte of a body is left on it
            status, headers, body, _ = chain.call(f"/{api}/items/7")
            assert (status, body) == (204, b"") and "content-length" not in headers
        first = chain.url(f"/{api}/items/7")
        out = curl("-H", f"Ocp-Apim-Subscription-Key: {chain.key()}", first, first)
        assert out[0] == 204


def test_a_secret_that_is_no_header_value_closes_the_call(chain):
    status, _, body, _ = chain.call("/secret-lines/items/7")
    assert status == 501 and b"a secret of its policies" in body


def test_traces_and_metrics_are_counted(chain):
    def counted(name):
        return sum(int(x.split(": ")[1]) for x in chain.admin_text("/stats")[1].splitlines() if x.split(":")[0].endswith(name))
    before = counted("policy_traces"), counted("policy_metrics")
    assert chain.call("/chosen/items/7")[0] == 200
    wait_for(lambda: (counted("policy_traces"), counted("policy_metrics")) == (before[0] + 1, before[1] + 1), "the counters")


def test_literal_conditions_and_fragments_are_expanded(chain):
    seen, _ = ask(chain, "chosen")
    assert seen["headers"]["x-chosen"] == ["otherwise"] and seen["headers"]["x-fragment"] == ["plain-value-one"]


def preflight(chain, api, method="GET", origin=ORIGIN, headers=None, path="/items/7"):
    args = ["-X", "OPTIONS", "-H", f"Origin: {origin}", "-H", f"Access-Control-Request-Method: {method}"]
    args += ["-H", f"Access-Control-Request-Headers: {headers}"] if headers else []
    return chain.call(f"/{api}{path}", *args, key=None)


def allowed(answer):
    return {k[len("access-control-"):]: v for k, v in answer[1].items() if k.startswith("access-control-")}


def test_preflights_are_answered_without_a_key(chain):
    answer = preflight(chain, "cors", "GET", headers="X-A, content-type")
    assert answer[0] == 200 and answer[2] == b""
    assert allowed(answer) == {"allow-origin": ORIGIN, "allow-methods": "GET", "allow-headers": "X-A, content-type",
                               "allow-credentials": "true", "max-age": "300"}
    assert answer[1]["vary"] == "Origin"
    assert allowed(preflight(chain, "cors-any", "GET", "http://x.example:81", "x-any")) == {
        "allow-origin": "*", "allow-methods": "GET", "allow-headers": "x-any"}
    for refused in (preflight(chain, "cors", "POST"), preflight(chain, "cors", origin="https://evil.example"),
                    preflight(chain, "cors", headers="x-b")):
        assert refused[0] == 200 and refused[2] == b"" and allowed(refused) == {}
    assert preflight(chain, "internal")[0] == 404  # no cors
    assert chain.call("/cors/items/7", "-X", "OPTIONS", "-H", f"Origin: {ORIGIN}", key=None)[0] == 404  # no preflight
    assert preflight(chain, "preflighted", path="/items")[0] == 401  # an operation of its own


def test_answers_tell_the_browser_who_may_read_them(chain):
    answer = chain.call("/cors/items/7", "-H", f"Origin: {ORIGIN}")
    assert answer[0] == 200 and allowed(answer) == {"allow-origin": ORIGIN, "allow-credentials": "true",
                                                    "expose-headers": "x-b,x-c"}
    answer = chain.call("/cors/items/7", "-H", "Origin: https://app.example:443")
    assert allowed(answer)["allow-origin"] == "https://app.example:443"
    answer = chain.call("/cors/items/7", "-H", "Origin: https://evil.example")
    assert answer[0] == 200 and allowed(answer) == {} and answer[2] != b""
    answer = chain.call("/cors-strict/items/7", "-H", "Origin: https://evil.example")
    assert (answer[0], answer[2]) == (200, b"") and allowed(answer) == {}
    assert allowed(chain.call("/cors/items/7")) == {}


def test_what_cannot_run_is_closed_for_whom_it_concerns(chain):
    status, _, body, _ = chain.call("/expression/items/7")
    assert status == 501
    assert json.loads(body)["message"] == "apis/expression/policy.xml:2: expression in <set-header> is not evaluated yet"
    assert chain.call("/limited-product/items/7")[0] == 200
    status, _, body, _ = chain.call("/limited-product/items/7", key="starter")
    assert status == 501
    assert json.loads(body)["message"].startswith("products/starter/policy.xml:2: policy <llm-token-limit>: ")


def test_calls_are_counted_by_subscription_over_all_workers(chain):
    for left in (2, 1, 0):
        status, headers, _, _ = chain.call("/rate/items/7", "-d", "x")
        assert (status, headers["x-left"], headers["x-total"]) == (200, str(left), "3")
    status, headers, body, head = chain.call("/rate/items/7")
    seconds = int(headers["retry-after"])
    assert status == 429 and 280 <= seconds <= 300 and head.startswith("HTTP/1.1 429 Too Many Requests")
    assert body.decode() == f'{{ "statusCode": 429, "message": "Rate limit is exceeded. Try again in {seconds} seconds." }}'
    assert headers["x-left"] == "0" and headers["x-failed"] == "yes"
    assert chain.call("/rate/items/7", key="second")[0] == 200  # another subscription
    assert [chain.call("/rate-open/items/7", key=None)[0] for _ in range(3)] == [200] * 3  # nobody's calls are not counted


def test_a_limit_begins_again_after_its_period_and_survives_an_edit(chain):
    assert chain.call("/short-rate/items/7")[0] == 200
    status, headers, _, _ = chain.call("/short-rate/items/7")
    assert status == 429 and headers["x-again"] in "1234" and "retry-after" not in headers
    wait_for(lambda: chain.call("/short-rate/items/7")[0] == 200, "the next window")
    assert chain.call("/quota-once/items/7")[0] == 200
    chain.artifacts.policy("apis/quota-once", document("<quota calls='1' renewal-period='0'/>" + header("X-Edited", "yes")))
    wait_for(lambda: "apis/quota-once" in chain.admin_text("/config_dump")[1] and "x-edited" in chain.admin_text("/config_dump")[1], "the edit")
    status, _, body, _ = chain.call("/quota-once/items/7")
    assert (status, body) == (403, b'{ "statusCode": 403, "message": "Out of call volume quota." }')


def test_a_quota_says_when_it_is_replenished(chain):
    assert [chain.call("/quota/items/7")[0] for _ in range(3)] == [200, 200, 403]
    status, headers, body, head = chain.call("/quota/items/7")
    assert head.startswith("HTTP/1.1 403 Quota Exceeded")
    message = json.loads(body)["message"]
    assert message.startswith("Out of call volume quota. Quota will be replenished in 2.07:33:")
    assert 199980 <= int(headers["retry-after"]) <= 200000


def test_an_edited_fragment_and_named_value_are_live(chain):
    chain.artifacts.put("policy fragments/common/policy.xml", "<fragment>" + header("X-Fragment", "second") + "</fragment>")
    wait_for(lambda: ask(chain, "chosen")[0]["headers"]["x-fragment"] == ["second"], "the edited fragment")
    chain.artifacts.put("policy fragments/common/policy.xml", "<fragment>" + header("X-Fragment", "{{plain}}") + "</fragment>")
    chain.artifacts.put("named values/plain/namedValueInformation.json",
                        {"properties": {"displayName": "plain", "value": "plain-value-two"}})
    wait_for(lambda: ask(chain, "chosen")[0]["headers"]["x-fragment"] == ["plain-value-two"], "the edited value")
    chain.artifacts.remove("policy fragments/common/policy.xml")
    wait_for(lambda: chain.call("/chosen/items/7")[0] == 501, "the lost fragment")
