"""The main job end to end: keys, routing, the egress gateway's address, what is answered and what is logged."""
import json
import os
import re
import socket
import ssl

import pytest

import harness
from chain import HEADER, INTERNAL, LISTED, THIRD, Chain
from harness import curl, wait_for
from raw_kit import H2Client, request

MISSING = (b'{ "statusCode": 401, "message": "Access denied due to missing subscription key. Make sure to include subscription '
           b'key when making requests to an API." }')
INVALID = (b'{ "statusCode": 401, "message": "Access denied due to invalid subscription key. Make sure to provide a valid key '
           b'for an active subscription." }')
NOT_FOUND = b'{ "statusCode": 404, "message": "Resource not found" }'
INTERNAL_ERROR = rb'{ "statusCode": 500, "message": "Internal server error", "activityId": "([0-9a-f-]{36})" }'


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """One chain for all that only asks; tests that change something are in test_chain_live.py."""
    c = Chain(tmp_path_factory.mktemp("chain"))
    try:
        c.start("app", "ops")
        yield c
    finally:
        c.stop()


def what_backend_saw(headers):
    return json.loads(headers["x-seen"])


def denied(chain, answer, body, path, name=HEADER, api_path=None, port=None):
    status, headers, got, head = answer
    assert (status, got) == (401, body), answer
    assert head.split("\r\n")[0] == "HTTP/1.1 401 Access Denied"
    assert headers["content-type"] == "application/json" and headers["content-length"] == str(len(body))
    realm = f"http://127.0.0.1:{port or chain.ports['app'][0]}/{api_path or path.strip('/').split('/')[0]}"
    assert headers["www-authenticate"] == f'AzureApiManagementKey realm="{realm}",name="{name}",type="header"'


def not_found(answer):
    status, headers, body, head = answer
    assert (status, body) == (404, NOT_FOUND), answer
    assert head.split("\r\n")[0] == "HTTP/1.1 404 Resource Not Found"
    assert headers["content-type"] == "application/json" and "www-authenticate" not in headers and "allow" not in headers


# ---- keys

def test_a_call_with_a_key_in_the_header_reaches_the_backend(chain):
    status, headers, body, _ = chain.call("/internal/users/7?x=1")
    assert (status, body) == (200, b"echo ")
    seen = what_backend_saw(headers)
    assert seen["line"] == "GET /base/users/7?x=1 HTTP/1.1"
    assert seen["host"] == f"{INTERNAL}:{chain.internal.port}"


def test_the_key_is_forwarded_to_the_backend(chain):
    chain.call("/internal/listUsers")
    assert chain.internal.requests[-1].header(HEADER) == chain.key("every")


def test_a_call_with_a_key_in_the_query_reaches_the_backend(chain):
    key = chain.key("every")
    assert chain.call(f"/internal/listUsers?subscription-key={key}", key=None)[0] == 200
    encoded = "".join(f"%{ord(c):02x}" for c in key)
    assert chain.call(f"/internal/listUsers?a=b&subscription-key={encoded}", key=None)[0] == 200


def test_the_header_is_looked_at_before_the_query(chain):
    answer = chain.call(f"/internal/listUsers?subscription-key={chain.key('every')}", "-H", f"{HEADER}: wrong", key=None)
    denied(chain, answer, INVALID, "/internal")
    answer = chain.call(f"/internal/listUsers?subscription-key={chain.key('every')}", "-H", f"{HEADER};", key=None)
    denied(chain, answer, MISSING, "/internal")


def test_the_secondary_key_opens_as_the_primary(chain):
    assert chain.call("/internal/listUsers", key=("every", 1))[0] == 200


def test_an_api_may_rename_both_key_parameters(chain):
    key = chain.key("every")
    assert chain.call("/renamed/items", "-H", f"X-Contoso-Key: {key}", key=None)[0] == 200
    assert chain.call(f"/renamed/items?contoso-key={key}", key=None)[0] == 200
    denied(chain, chain.call("/renamed/items"), MISSING, "/renamed", name="X-Contoso-Key")
    denied(chain, chain.call(f"/renamed/items?subscription-key={key}", key=None), MISSING, "/renamed", name="X-Contoso-Key")


def test_no_key_and_a_wrong_key_are_denied_in_apims_words(chain):
    denied(chain, chain.call("/internal/listUsers", key=None), MISSING, "/internal")
    denied(chain, chain.call("/internal/listUsers", "-H", f"{HEADER}: nonsense", key=None), INVALID, "/internal")
    assert (len(MISSING), len(INVALID), len(NOT_FOUND)) == (152, 143, 54)


@pytest.mark.parametrize("state", ["suspended", "expired", "submitted", "rejected", "cancelled"])
def test_only_an_active_subscription_opens(chain, state):
    denied(chain, chain.call("/internal/listUsers", key=state), INVALID, "/internal")


SCOPES = [("every", "/internal/listUsers", 200), ("every", "/alone/items", 200), ("starter", "/internal/listUsers", 200),
          ("starter", "/conference/speakers", 200), ("starter", "/alone/items", 401), ("alone-only", "/alone/items", 200),
          ("alone-only", "/internal/listUsers", 401), ("internal-only", "/internal/listUsers", 200),
          ("internal-only", "/internal;rev=2/listUsers", 200), ("internal-only", "/alone/items", 401)]


@pytest.mark.parametrize("subscription,path,expected", SCOPES, ids=[f"{s}{p}" for s, p, _ in SCOPES])
def test_a_key_opens_what_its_scope_covers(chain, subscription, path, expected):
    answer = chain.call(path, key=subscription)
    assert answer[0] == expected, answer
    if expected == 401:
        denied(chain, answer, INVALID, path)


def test_an_open_product_needs_no_key_and_forgives_a_wrong_one(chain):
    assert chain.call("/weather/items", key=None)[0] == 200
    assert chain.call("/weather/items", "-H", f"{HEADER}: nonsense", key=None)[0] == 200
    assert chain.call("/weather/items", key="alone-only")[0] == 200
    assert chain.record(lambda r: r.get("apiId") == "weather")["productId"] == "open"


def test_an_open_api_needs_no_key_but_refuses_a_wrong_one(chain):
    assert chain.call("/public/items", key=None)[0] == 200
    assert chain.call("/public/items")[0] == 200
    denied(chain, chain.call("/public/items", "-H", f"{HEADER}: nonsense", key=None), INVALID, "/public")
    assert "productId" not in chain.record(lambda r: r.get("apiId") == "public" and r["responseCode"] == 200)


# ---- matching

def test_what_no_operation_fits_is_404_without_asking_for_a_key(chain):
    for path in ("/", "/nothing", "/internal", "/internal/nothing", "/internal/users", "/internal/users/1/2", "/internals/listUsers"):
        not_found(chain.call(path, key=None))
    for method in ("POST", "HEAD", "DELETE", "OPTIONS"):
        answer = chain.call("/internal/listUsers", *(["--head"] if method == "HEAD" else ["-X", method]))
        assert answer[0] == 404 and "allow" not in answer[1], answer
    not_found(chain.call("/https-only/items"))
    not_found(chain.call("/https-only/items", "-H", "x-forwarded-proto: https"))  # anybody can say so
    c = H2Client(chain.ports["app"][0])
    answer = c.ask(request("GET", "/https-only/items", "127.0.0.1", "https"))
    c.close()
    assert answer["head"][0] == (":status", "404")


def test_an_unknown_host_name_is_404(chain):
    not_found(chain.call("/internal/listUsers", "-H", "Host: elsewhere.test"))


def test_a_trailing_slash_makes_no_difference(chain):
    assert chain.call("/internal/listUsers/")[0] == 200


def test_versions_by_segment_header_and_query(chain):
    def served(path, *args):
        status, headers, _, _ = chain.call(path, *args)
        return status == 200 and what_backend_saw(headers)["line"].split(" ")[1].split("?")[0]
    assert served("/by-segment/items") == "/original/items"
    assert served("/by-segment/v2/items") == "/second/items"
    assert served("/by-header/items") == "/original/items"
    assert served("/by-header/items", "-H", "Api-Version: v2") == "/second/items"
    assert served("/by-query/items") == "/original/items"
    assert served("/by-query/items?api-version=v2") == "/second/items"
    not_found(chain.call("/by-segment/v3/items"))


def test_a_revision_is_reached_by_its_number_and_an_unknown_one_is_404(chain):
    answer = chain.call("/internal;rev=2/listUsers")
    assert (answer[0], answer[1].get("x-backend")) == (200, "other")
    assert chain.call("/internal;rev=1/listUsers")[0] == 200
    not_found(chain.call("/internal;rev=9/listUsers"))
    assert chain.record(lambda r: r.get("apiRevision") == 2)["apiId"].startswith("internal")


def test_a_closed_operation_answers_501_after_the_key_check_and_never_falls_to_a_neighbour(chain):
    before = len(chain.internal.requests)
    denied(chain, chain.call("/internal/closed/one", key=None), MISSING, "", api_path="internal/closed")
    status, headers, body, head = chain.call("/internal/closed/one")
    assert status == 501 and head.startswith("HTTP/1.1 501 Not Implemented\r\n")
    reason = json.loads(body)
    assert reason["statusCode"] == 501 and "no-such-policy" in reason["message"] and "policy.xml:" in reason["message"]
    assert headers["content-type"] == "application/json"
    assert len(chain.internal.requests) == before
    assert chain.call("/internal/closed/two")[0] == 200
    not_found(chain.call("/internal/closed/three"))  # the longest API path wins, its neighbour's wildcard does not get it


def test_a_closed_api_answers_501_and_is_named_by_egretctl(chain):
    status, _, body, _ = chain.call("/limited/items")
    assert status == 501 and "apis/limited/policy.xml:3" in json.loads(body)["message"]
    assert re.search(r"apis/limited/policy\.xml:3.*no-such-policy", chain.ctl("faults").stdout), chain.ctl("faults").stdout


# ---- names and schemes

def test_http_and_https_by_every_host_name(chain):
    for host in ("127.0.0.1", "api.contoso.test", "other.contoso.test", "test.azure-api.net"):
        args = ["-k"] if host == "test.azure-api.net" else []
        for scheme in ("http", "https"):
            answer = chain.call("/internal/listUsers", *args, scheme=scheme, host=host)
            assert answer[0] == 200, (host, scheme, answer)
    assert chain.call("/https-only/items", scheme="https")[0] == 200


def test_the_certificate_is_chosen_by_sni(chain):
    context = ssl.create_default_context(cafile=chain.pki.path("ca.pem"))
    context.check_hostname = False
    for name, expected in (("other.contoso.test", "other.contoso.test"), ("api.contoso.test", "api.contoso.test"),
                           ("unknown.test", "api.contoso.test"), (None, "api.contoso.test")):
        with context.wrap_socket(socket.create_connection(("127.0.0.1", chain.ports["app"][1])), server_hostname=name) as s:
            assert ("DNS", expected) in s.getpeercert()["subjectAltName"]


def test_http2_without_tls_and_http1_share_a_port(chain):
    assert chain.call("/internal/listUsers", "--http2-prior-knowledge")[3].startswith("HTTP/2 200")
    assert chain.call("/conference/echo", "--http2-prior-knowledge", "-d", "x")[2] == b"echo x"
    assert chain.call("/internal/listUsers", "--http1.1", scheme="https")[3].startswith("HTTP/1.1 200")


def test_http2_by_alpn_has_the_same_answers(chain):
    for path, key, expected in (("/internal/listUsers", "every", 200), ("/conference/speakers", "every", 200),
                                ("/internal/listUsers", None, 401), ("/internal/none", "every", 404)):
        status, headers, body, head = chain.call(path, "--http2", scheme="https", key=key)
        assert status == expected and head.startswith(f"HTTP/2 {expected}")
    assert "www-authenticate" in chain.call("/internal/listUsers", "--http2", scheme="https", key=None)[1]


# ---- backends

def test_the_third_party_sees_only_the_listed_address_and_the_internal_backend_the_sidecar(chain):
    for _ in range(3):
        answer = chain.call("/conference/speakers")
        assert answer[0] == 200 and what_backend_saw(answer[1])["host"] == f"{THIRD}:{chain.third_port}"
        assert what_backend_saw(chain.call("/internal/listUsers")[1])["peer"] not in (LISTED, "127.0.0.2")
    assert {r.peer[0] for r in chain.third.requests} == {LISTED}
    assert what_backend_saw(chain.call("/conference/speakers?q=1")[1])["line"] == "GET /conf/speakers?q=1 HTTP/1.1"


def test_the_gateway_knows_only_host_and_port(chain):
    chain.call("/conference/speakers?plain=sight", "-H", "X-Sight: plain-header-value")
    chain.dump("gateway")
    everything = chain.processes["gateway"].output() + "".join(
        chain.admin_text(p, "gateway")[1] for p in ("/config_dump", "/stats", "/clusters", "/listeners"))
    assert f"{THIRD}:{chain.third_port}" in everything
    for word in ("speakers", "plain=sight", "plain-header-value", "listUsers", chain.key("every")):
        assert word not in everything


def test_what_leaves_the_gateway_is_tls_from_the_listed_address(chain):
    chain.call("/conference/echo?plain=sight", "-d", "plain-body-text", "-H", "X-Sight: plain-header-value")
    assert set(chain.wire.peers) == {LISTED} and chain.third.requests[-1].body == b"plain-body-text"
    assert bytes(chain.wire.bytes[:3]) in (b"\x16\x03\x01", b"\x16\x03\x03")
    for word in ("plain-body-text", "plain=sight", "plain-header-value", chain.key("every"), "HTTP/1.1"):
        assert word.encode() not in chain.wire.bytes


@pytest.mark.parametrize("api", ["dead-direct", "dead-third"])
def test_a_dead_backend_is_500_with_the_activity_id_and_111(chain, api):
    status, headers, body, head = chain.call(f"/{api}/items")
    assert status == 500 and head.startswith("HTTP/1.1 500 Internal Server Error\r\n")
    assert headers["content-type"] == "application/json" and len(body) == 111
    activity = re.fullmatch(INTERNAL_ERROR, body).group(1).decode()
    record = chain.record(lambda r: r["correlationId"] == activity)
    assert record["responseCode"] == 500 and record["isRequestSuccess"] is False and record["apiId"] == api
    assert "backendResponseCode" not in record
    error = record["lastError"]
    assert error["source"] == "request-forwarder" and error["reason"] == "BackendConnectionFailure"
    assert error["section"] == "backend" and error["transportErrorCode"] == 111
    assert error["path"] == "forward-request\\forward-request"
    assert record["responseSize"] == 191


def test_a_secret_credential_header_reaches_the_backend(chain):
    assert chain.call("/function/greet?name=x", "-H", "x-functions-key: the-callers-own")[0] == 200
    request = chain.internal.requests[-1]
    assert [v for k, v in request.headers if k.lower() == "x-functions-key"] == [chain.function_key]
    assert request.path == "/api/greet?name=x"


def test_no_key_and_no_secret_stands_in_what_is_written_and_shown(chain):
    chain.call(f"/internal/listUsers?subscription-key={chain.key('every')}&a=1", key=None)
    chain.call(f"/renamed/items?contoso-key={chain.key('every')}", key=None)
    for path in ("/renamed/none?Contoso-Key={}", "/nothing?contoso-key={}", "/renamed/items?subscription-key={}",
                 "/by-query/items?contoso-key=a&api-version=v9&k={}", "/dead-third/items?subscription-key={}"):
        chain.call(path.format(chain.key("every")), key=None)
    chain.call(f"/nothing?contoso-key={chain.key('every')}", "-H", "Host: elsewhere.test", key=None)
    record = chain.record(lambda r: r.get("apiId") == "internal" and "subscription-key" in r["url"] and "a=1" in r["url"])
    assert record["url"].endswith("/internal/listUsers?subscription-key=***&a=1")
    assert "subscription-key=***" in record["backendUrl"]
    for path in ("/internal/listUsers?subscription-key={}", "/function/greet?subscription-key={}", "/dead-third/items?subscription-key={}"):
        chain.call(path.format(chain.key("every")), name="ops", key=None)
    for name in ("app", "ops", "gateway"):
        chain.dump(name)
    wait_for(lambda: all(os.listdir(chain.path(f"state-{n}")) for n in ("app", "gateway")), "state on disk")
    assert chain.leaks() == []


# ---- logs

def test_gateway_logs_text_holds_the_fields_of_a_good_call(chain):
    chain.call("/internal/users/42?marker=text", "-A", "me")
    r = chain.record(lambda r: "marker=text" in r["url"])
    port = chain.ports["app"][0]
    assert r["isRequestSuccess"] is True and r["category"] == "GatewayLogs" and r["callerIpAddress"] == "127.0.0.1"
    assert r["method"] == "GET" and r["url"] == f"http://127.0.0.1:{port}/internal/users/42?marker=text"
    assert (r["backendResponseCode"], r["responseCode"], r["cache"], r["region"]) == (200, 200, "none", "app region")
    assert (r["apiId"], r["operationId"], r["apimSubscriptionId"], r["apiRevision"]) == ("internal", "get-user", "every", 1)
    assert (r["clientProtocol"], r["backendProtocol"], r["backendMethod"]) == ("HTTP/1.1", "HTTP/1.1", "GET")
    assert r["backendUrl"] == f"http://{INTERNAL}:{chain.internal.port}/base/users/42?marker=text"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", r["correlationId"])
    assert r["timeGenerated"] == r["prefix-time"] and r["totalTime"] >= r["backendTime"] >= 0
    assert "productId" not in r and "lastError" not in r and "clientTlsVersion" not in r
    order = [n for n in r if n != "prefix-time"]
    assert order == ["isRequestSuccess", "totalTime", "category", "callerIpAddress", "timeGenerated", "region", "correlationId",
                     "method", "url", "backendResponseCode", "responseCode", "responseSize", "cache", "backendTime", "apiId",
                     "operationId", "apimSubscriptionId", "clientProtocol", "backendProtocol", "apiRevision", "backendMethod",
                     "backendUrl"]


def test_gateway_logs_name_the_product_and_the_tls_version(chain):
    chain.call("/internal/listUsers?marker=product", key="starter", scheme="https")
    r = chain.record(lambda r: "marker=product" in r["url"])
    assert (r["productId"], r["apimSubscriptionId"], r["clientTlsVersion"]) == ("starter", "starter", "1.3")
    assert r["clientProtocol"] == "HTTP/2.0" and r["url"].startswith("https://")


def test_gateway_logs_json_holds_the_same(chain):
    assert chain.call("/internal/users/42?marker=json", name="ops")[0] == 200
    r = chain.record(lambda r: "marker=json" in r["url"], "ops")
    assert r["isRequestSuccess"] is True and r["apimSubscriptionId"] == "every" and r["region"] == "ops region"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", r["timeGenerated"])
    assert chain.call("/dead-direct/items?marker=dead", name="ops")[0] == 500
    error = chain.record(lambda r: "marker=dead" in r["url"], "ops")["lastError"]
    assert (error["reason"], error["transportErrorCode"]) == ("BackendConnectionFailure", 111)


def test_refused_calls_are_logged_with_their_reason(chain):
    for path, key, code, reason, size in (("/internal/listUsers?marker=nokey", None, 401, "SubscriptionKeyNotFound", None),
                                          ("/internal/none?marker=noop", None, 404, "OperationNotFound", 130),
                                          ("/internal/listUsers?marker=bad", "suspended", 401, "SubscriptionKeyInvalid", None)):
        chain.call(path, key=key)
        r = chain.record(lambda r: path.split("?")[1] in r["url"])
        assert r["responseCode"] == code and r["isRequestSuccess"] is False
        assert r["lastError"]["reason"] == reason and "backendResponseCode" not in r and "backendUrl" not in r
        assert size is None or r["responseSize"] == size


def test_an_unknown_method_of_an_api_is_logged_with_the_api(chain):
    chain.call("/internal/listUsers?marker=method", "-X", "DELETE")
    assert chain.record(lambda r: "marker=method" in r["url"])["lastError"]["source"] == "configuration"


# ---- seeing it

def test_the_admin_interface_answers(chain):
    assert chain.admin_text("/ready")[0] == 200
    dump = json.loads(chain.admin_text("/config_dump")[1])
    kinds = {c["@type"].rsplit(".", 1)[1] for c in dump["configs"]}
    assert {"BootstrapConfigDump", "ListenersConfigDump", "ClustersConfigDump", "RoutesConfigDump"} <= kinds
    text = chain.admin_text("/config_dump")[1]
    for word in ("apis/internal;rev=1", "subscriptions/every", "tunnel/main/", "gateway/main", "products/starter"):
        assert word in text, word
    stats = dict(line.split(": ", 1) for line in chain.admin_text("/stats")[1].splitlines() if ": " in line)
    assert int(stats["http.http.downstream_rq_total"]) > 0
    assert "# TYPE " in chain.admin_text("/stats/prometheus")[1]
    clusters = chain.admin_text("/clusters")[1]
    assert f"{INTERNAL}:{chain.internal.port}" in clusters and "gateway/main::" in clusters
    listeners = chain.admin_text("/listeners")[1]
    assert f"http::127.0.0.1:{chain.ports['app'][0]}" in listeners and f"https::127.0.0.1:{chain.ports['app'][1]}" in listeners


def test_egretctl_shows_every_proxy_and_type_as_synced(chain):
    chain.wait_synced("app-1", "ops-1", "gateway-1")
    text = chain.ctl("status").stdout
    for node in ("app-1", "ops-1", "gateway-1"):
        row = next(line for line in text.splitlines() if line.startswith(node))
        assert "SYNCED" in row and "STALE" not in row and "REJECTED" not in row
    types = chain.states("app-1")
    for name in ("CDS", "LDS", "RDS", "SDS", "Api", "Product", "Subscription", "Backend", "PolicyProgram"):
        assert types[name] == "SYNCED", types
    assert LISTED in chain.ctl("egress", "ips").stdout
