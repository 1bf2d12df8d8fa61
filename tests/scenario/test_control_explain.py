"""egretctl apis, egretctl route explain and egret-control --mode validate, against real processes and folders."""
import json
import os
import subprocess

import pytest

from test_control_kit import BIN, ROOT, Control

SETTINGS = """
service_name: test
gateways:
- { name: eu, address: gateway.test, port: 15008, certificate: /pki/gw.pem, private_key: /pki/gw.key,
    client_ca: /pki/ca.pem, sni: gateway.test, sidecar_certificate: /pki/sc.pem, sidecar_private_key: /pki/sc.key,
    sidecar_ca: /pki/ca.pem, listen_address: 0.0.0.0 }
pools: [ { name: blue, addresses: [ 192.0.2.7 ] } ]
egress: [ { hosts: [ "*.partner.test" ], ports: [ 443 ], gateway: eu, pool: blue } ]
"""
BASE = "<policies>\n<inbound>\n<base/>\n%s</inbound><backend><base/></backend><outbound><base/></outbound><on-error><base/></on-error></policies>"
HEADER = '<set-header name="a" exists-action="override"><value>b</value></set-header>\n'
OPERATIONS = {"/items": ["get"], "/items/{id}": ["get", "put"], "/items/top": ["get"], "/{*rest}": ["get"], "/": ["post"]}


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    c = Control(tmp_path_factory.mktemp("explain"), SETTINGS)
    a = c.artifacts
    a.api("orders", "http://10.1.2.3:3001/v1")
    a.put("apis/orders/specification.json", {"openapi": "3.0.1", "info": {"title": "o", "version": "1"}, "paths": {
        p: {m: {"operationId": f"{m}{p}".replace("/", "-").strip("-"), "responses": {"200": {"description": "ok"}}}
            for m in ms} for p, ms in OPERATIONS.items()}})
    a.api("orders;rev=2", "http://10.1.2.3:3001/v2", path="orders", isCurrent=False, apiRevision="2")
    a.api("deeper", "https://conf.partner.test/api", path="orders/deep", subscriptionRequired=False, protocols=["https"])
    a.api("closed", "http://10.1.2.3", path="closed", type="odata")
    a.api("open", "http://10.1.2.3", path="open")
    a.api("graph", "http://10.1.2.3/graphql", path="graph", type="graphql", subscriptionRequired=False)
    a.put("version sets/s/versionSetInformation.json", {"properties": {"displayName": "s", "versioningScheme": "Segment"}})
    a.api("versioned", "http://10.1.2.3", path="orders", apiVersion="v7", apiVersionSetId="/apiVersionSets/s")
    a.put("version sets/h/versionSetInformation.json", {"properties": {"displayName": "h", "versioningScheme": "Header", "versionHeaderName": "X-V"}})
    a.put("version sets/q/versionSetInformation.json", {"properties": {"displayName": "q", "versioningScheme": "Query", "versionQueryName": "v"}})
    for low in "hq":
        more = {"path": f"by/{low}", "apiVersionSetId": f"/apiVersionSets/{low}", "subscriptionRequired": False}
        a.api(f"{low}-old", "http://10.1.2.3", **more) if low == "q" else None
        a.api(f"{low}-new", "http://10.1.2.3", apiVersion="V2", **more)
    a.api("chat", "wss://10.1.2.3", path="chat", type="websocket", protocols=["wss"], subscriptionRequired=False)
    a.api("root", "http://10.1.2.3", path="", subscriptionRequired=False)
    a.put("apis/root/specification.json", {"openapi": "3.0.1", "paths": {p: {"get": {"operationId": i}} for p, i in {
        "/a/{x}/c": "middle", "/a/b/*": "literal-first", "/a/{x}.json": "mixed", "/q": "plain", "/q?f={f}": "one", "/q?f={f}&g=1": "two",
        "/deep/{*all}": "all"}.items()}})
    a.product("starter", ["orders"])
    a.product("free", ["open"])
    a.put("products/free/productInformation.json", {"properties": {"state": "published", "subscriptionRequired": False}})
    a.put("apis/orders/policy.xml", BASE % HEADER)
    a.put("policy.xml", BASE % "")
    a.subscription("acme", "/products/starter", "k1")
    a.subscription("other", "/apis/deeper", "k2")
    c.start()
    yield c
    c.stop()


def ctl(control, *words):
    return subprocess.run([os.path.join(BIN, "egretctl"), "--socket", control.socket_path, *words], capture_output=True,
                          text=True)


def explain(control, method, url, key=None):
    done = ctl(control, "-o", "json", "route", "explain", method, url, *(["--key-id", key] if key else []))
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows[-1]["what"] == "answer"
    return rows, {r["what"]: r["is"] for r in rows}


@pytest.mark.parametrize("method, url, key, expected", [
    ("GET", "/orders/items", "acme", {"api": "apis/orders;rev=1", "operation": "get-items", "product": "products/starter",
                                      "backend": "apis/orders;rev=1/backend", "cluster": "http/10.1.2.3:3001",
                                      "egress": "direct", "answer": "backend"}),
    ("GET", "https://Test.azure-api.net:443/ORDERS/items/", "acme", {"operation": "get-items", "answer": "backend"}),
    ("GET", "/orders/items/top?x=1", "acme", {"operation": "get-items-top"}),
    ("GET", "/orders/items/7", "acme", {"operation": "get-items-{id}"}),
    ("GET", "/orders/items/7/8", "acme", {"operation": "get-{*rest}"}),
    ("POST", "/orders", "acme", {"operation": "post"}),
    ("DELETE", "/orders/items", "acme", {"api": "apis/orders;rev=1", "answer": "404"}),
    ("HEAD", "/orders/items", "acme", {"answer": "404"}),
    ("GET", "/orders;rev=2/items", "acme", {"api": "apis/orders;rev=2", "revision": "2", "answer": "backend"}),
    ("GET", "/orders;rev=3/items", "acme", {"answer": "404"}),
    ("GET", "/orders/v7/items", "acme", {"api": "apis/versioned;rev=1", "answer": "401"}),
    ("GET", "/orders/items", None, {"key": "none", "answer": "401"}),
    ("GET", "/orders/items", "other", {"key": "other", "answer": "401"}),
    ("GET", "/orders/items", "nobody", {"answer": "401"}),
    ("GET", "/orders/deep/items", None, {"api": "apis/deeper;rev=1", "product": "none", "egress": "eu", "pool": "blue",
                                         "cluster": "https/conf.partner.test:443@eu", "answer": "backend"}),
    ("GET", "http://test.azure-api.net/orders/deep/items", None, {"answer": "404"}),
    ("GET", "/open/items", None, {"product": "products/free", "answer": "backend"}),
    ("POST", "/graph", None, {"operation": "graphql-post", "answer": "backend"}),
    ("GET", "/graph?query={a}", None, {"operation": "graphql-get", "answer": "backend"}),
    ("GET", "/nowhere", "acme", {"api": "apis/root;rev=1", "answer": "404"}),
    ("GET", "/by/q/items", None, {"api": "apis/q-old;rev=1", "answer": "backend"}),
    ("GET", "/by/q/items?V=v2", None, {"api": "apis/q-new;rev=1", "answer": "backend"}),
    ("GET", "/by/q/items?v=v3", None, {"api": None, "answer": "404"}),
    ("GET", "/by/h/items", None, {"api": None, "answer": "404"}),  # and never the root's
    ("GET", "wss://localhost/chat/any", None, {"api": "apis/chat;rev=1", "operation": "onHandshake", "answer": "backend"}),
    ("GET", "https://localhost/chat", None, {"api": "apis/chat;rev=1", "answer": "404"}),
    ("GET", "https://elsewhere.test/orders/items", None, {"host": None, "answer": "404"}),
    ("GET", "/a/b/c", None, {"operation": "literal-first"}),
    ("GET", "/a/x/c", None, {"operation": "middle"}),
    ("GET", "/a/x.json", None, {"operation": "mixed"}),
    ("GET", "/A/%42/d", None, {"operation": "literal-first"}),
    ("GET", "/a/x%2Fy/c", None, {"operation": "middle"}),
    ("GET", "/q", None, {"operation": "plain"}),
    ("GET", "/q?g=1&F=x", None, {"operation": "two"}),
    ("GET", "/q?g=2&f=x", None, {"operation": "one"}),
    ("GET", "/deep", None, {"operation": "all"}),
    ("GET", "/none/../deep/a/b", None, {"operation": "all"}),
])
def test_a_route_is_explained(control, method, url, key, expected):
    _, got = explain(control, method, url, key)
    assert {k: got.get(k) for k in expected} == expected


def test_a_version_in_a_header_and_the_gateways_are_told(control):
    def asked(*more):
        return {r["what"]: r["is"] for r in json.loads(ctl(control, "-o", "json", "route", "explain", "GET", "/by/h/items", *more).stdout)}
    assert asked("-H", "x-v:  v2 ")["api"] == "apis/h-new;rev=1"
    assert asked("-H", "Accept: */*", "--header", "X-V: v9")["answer"] == "404"
    assert asked("-H", "X-V: v2", "--gateway", "anything")["answer"] == "backend"  # the folder has no gateways
    assert ctl(control, "status", "-H", "a: b").returncode == 2


def test_policy_steps_are_told_with_their_places_and_a_closed_api_with_its_reason(control):
    rows, _ = explain(control, "GET", "/orders/items", "acme")
    steps = [(r["what"], r["is"], r["why"]) for r in rows if r["what"].endswith("step")]
    assert ("inbound step", "set_header", "apis/orders/policy.xml:4") in steps
    assert ("backend step", "forward-request", "what stands behind the widest document's <base/>") in steps
    rows, _ = explain(control, "GET", "/closed/items", "acme")
    assert rows[-1]["is"] in ("401", "501")
    text = ctl(control, "route", "explain", "GET", "/orders/items", "--key-id", "acme").stdout
    assert text.startswith("WHAT") and "apis/orders/apiInformation.json" in text


def test_apis_are_listed_and_wrong_usage_is_refused(control):
    rows = {r["name"]: r for r in json.loads(ctl(control, "-o", "json", "apis").stdout)}
    assert rows["apis/orders;rev=1"]["open"] == 6 and rows["apis/orders;rev=1"]["closed"] is None
    assert rows["apis/closed;rev=1"]["open"] == 0 and "odata" in rows["apis/closed;rev=1"]["closed"]
    assert "apis/orders;rev=2" in ctl(control, "apis").stdout
    assert ctl(control, "route", "explain", "GET").returncode == 2
    assert ctl(control, "apis", "more").returncode == 2
    assert ctl(control, "route", "explain", "GET", "%zz").returncode == 0


# ---- validate ----

def validate(folder, *more):
    return subprocess.run([os.path.join(BIN, "egret-control"), "--mode", "validate", "--folder", folder, *more],
                          capture_output=True, text=True)


SHARED = os.path.join(os.environ.get("EGRET_SHARED", os.path.join(ROOT, "..", "shared")), "apim-folders")
def test_what_the_official_folder_leaves_out_adds_up_to_its_apis():
    folder = os.path.join(SHARED, "official")
    if not os.path.isdir(folder):
        pytest.skip(f"SKIPPED: {folder} is not there")
    counts = json.loads(validate(folder, "-o", "json").stdout)["counts"]
    files = [f for _, _, names in os.walk(folder) for f in names if f == "apiInformation.json"]
    assert counts["apis"] + counts["left_out"] == len(files)
    answer = json.loads(validate(folder, "-o", "json").stdout)
    closing = validate(folder).stdout.splitlines()[-1]
    assert closing == (f"{counts['apis']} apis, {counts['operations']} operations, {counts['products']} products, "
                       f"{counts['subscriptions']} subscriptions served, {counts['left_out']} apis left out")
    assert all(p["line"] > 0 for p in answer["problems"])


def test_a_good_folder_is_silent_but_for_its_closing_line(control):
    a = Control(os.path.join(control.folder, "good")).artifacts
    a.api("x", "http://10.0.0.1")
    done = validate(a.folder, "--strict")
    assert done.stdout == "1 apis, 2 operations, 0 products, 0 subscriptions served, 0 apis left out\n"
    assert done.returncode == 0


DEEP = 10000
BAD = {  # what: (files, beginning of the line that names it)
    "broken JSON": ({"apis/x/apiInformation.json": '{"properties": {"path": }}'}, "apis/x/apiInformation.json:1:25: "),
    "broken YAML": ({"apis/x/specification.json": None, "apis/x/specification.yaml": "openapi: [\n"},
                    "apis/x/specification.yaml:2:1: "),
    "broken XML": ({"apis/x/policy.xml": "<policies>\n<inbound></policies>"}, "apis/x/policy.xml:2:"),
    "product names no API": ({"products/p/productInformation.json": '{"properties": {}}',
                              "products/p/apis.json": '[\n{"name": "gone"}]'}, "products/p/apis.json:2: "),
    "no such backend": ({"apis/x/policy.xml": BASE % "<set-backend-service backend-id='gone'/>\n"}, "apis/x/policy.xml:4: "),
    "no such fragment": ({"apis/x/policy.xml": BASE % "<include-fragment fragment-id='gone'/>\n"}, "apis/x/policy.xml:4: "),
    "no such version set": ({"apis/x/apiInformation.json": '{"properties": {"path": "x", "serviceUrl": "http://h",\n'
                             '"apiVersion": "1", "apiVersionSetId": "gone"}}'}, "apis/x/apiInformation.json:2:"),
    "two APIs in one place": ({"apis/y/apiInformation.json": '{"properties": {"path": "/X/", "serviceUrl": "http://h"}}'},
                              "apis/x/apiInformation.json:3:13: apis/y;rev=1 has the same path and version"),
    "a policy of no operation": ({"apis/x/operations/gone/policy.xml": "<policies/>"},
                                 "apis/x/operations/gone/policy.xml:1: the API has no operation gone"),
    "cyclic fragment": ({"policy fragments/a/policy.xml": "<fragment>\n<include-fragment fragment-id='b'/></fragment>",
                         "policy fragments/b/policy.xml": "<fragment>\n\n<include-fragment fragment-id='A'/></fragment>",
                         "apis/x/policy.xml": BASE % "<include-fragment fragment-id='a'/>\n"},
                        "policy fragments/b/policy.xml:3: "),
    "fragment that includes itself": ({"policy fragments/a/policy.xml": "<fragment>\n<include-fragment fragment-id='a'/></fragment>",
                                       "apis/x/policy.xml": BASE % "<include-fragment fragment-id='a'/>\n"},
                                      "policy fragments/a/policy.xml:2: "),
    "no such named value": ({"apis/x/policy.xml": BASE % HEADER.replace(">b<", ">{{gone}}<")}, "apis/x/policy.xml:4:"),
    "a subscription of nothing": ({"subscriptions/s/subscriptionInformation.json": '{"properties": {"state": "active",\n"scope": "/products/gone"}}'},
                                  "subscriptions/s/subscriptionInformation.json:2:10: its scope products/gone does not exist"),
    "a gateway of no API": ({"gateways/g/gatewayInformation.json": '{"properties": {}}', "gateways/g/apis/gone/gatewayApiInformation.json": "{}",
                             "gateways/g/apis.json": '[{"name": "x"}, {"name": "neighbour"}]'},
                            "gateways/g/apis/gone/gatewayApiInformation.json:1: "),
    "a release of no revision": ({"apis/x/releases/r/apiReleaseInformation.json": '{"properties":\n{"apiId": "/apis/x;rev=4"}}'},
                                 "apis/x/releases/r/apiReleaseInformation.json:2:11: the release names a revision that does not exist: x;rev=4"),
    "a folder without its file": ({"apis/y/specification.json": "{}"}, "apis/y/specification.json:1: the API's folder has no apiInformation.json"),
    "the same revision twice": ({"apis/x;rev=1/apiInformation.json": '{"properties": {"path": "x", "serviceUrl": "http://h"}}'},
                                "apis/x;rev=1/apiInformation.json:1: apis/x/apiInformation.json is the same revision; that one counts"),
    "one key twice in JSON": ({"apis/x/apiInformation.json": '{"properties": {"path": "x",\n"path": "y"}}'}, "apis/x/apiInformation.json:2:"),
    "an empty file": ({"apis/x/apiInformation.json": ""}, "apis/x/apiInformation.json:1:"),
    "an empty specification": ({"apis/x/specification.json": ""}, "apis/x/specification.json:1:"),
    "no UTF-8": ({"apis/x/apiInformation.json": b'{"properties":\n{"path": "\xff"}}'}, "apis/x/apiInformation.json:2:"),
    "no UTF-8 in XML": ({"apis/x/policy.xml": b"<policies>\n<inbound><!-- \xff --></inbound></policies>"}, "apis/x/policy.xml:2:"),
    "a list in place of an object": ({"apis/x/apiInformation.json": "[]"}, "apis/x/apiInformation.json:1:1: expected an object"),
    "properties that are none": ({"apis/x/apiInformation.json": '{"properties":\n7}'}, "apis/x/apiInformation.json:2:1: "),
    "one template twice": ({"apis/x/specification.json": '{"openapi": "3.0.1", "paths": {"/a/{b}": {"get": {"operationId": "one"}},\n"/A/{c}": '
                            '{"get": {"operationId": "two"}}, "/ok": {"get": {"operationId": "1"}}, "/ok/2": {"get": {"operationId": "2"}}}}'},
                           "apis/x/specification.json:2:"),
    "nested JSON": ({"apis/x/specification.json": "[" * DEEP + "]" * DEEP}, "apis/x/specification.json:1:"),
    "nested XML": ({"apis/x/policy.xml": "<policies><inbound>" + "<choose>" * DEEP + "</choose>" * DEEP + "</inbound></policies>"},
                   "apis/x/policy.xml:1:"),
    "nested YAML": ({"apis/x/specification.json": None, "apis/x/specification.yaml": "a: " + "[" * DEEP + "]" * DEEP},
                    "apis/x/specification.yaml:1:"),
}


@pytest.mark.parametrize("what", sorted(BAD))
def test_what_is_bad_is_named_with_its_place_and_all_else_is_served(tmp_path, what):
    files, begin = BAD[what]
    c = Control(tmp_path)
    c.artifacts.api("x", "http://10.0.0.1")
    c.artifacts.api("neighbour", "http://10.0.0.2")
    for path, text in files.items():
        if text is None:
            c.artifacts.remove(path)
        else:
            c.artifacts.put(path, text)
    done = validate(c.artifacts.folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert any(line.startswith(begin) for line in done.stdout.splitlines()), done.stdout[-2000:]
    assert done.stdout.splitlines()[-1].startswith(("1 apis, 2 operations,", "2 apis, 4 operations,"))
    assert "neighbour" not in done.stdout
    assert done.stderr == ""


def test_two_subscriptions_with_one_key_are_both_named_and_neither_is_served(tmp_path):
    c = Control(tmp_path)
    c.artifacts.api("x", "http://10.0.0.1")
    c.artifacts.subscription("one", "/apis", "the same key")
    c.artifacts.subscription("two", "/apis", None, "the same key")
    c.artifacts.subscription("three", "/apis", "another key")
    c.artifacts.save_overrides()
    done = validate(c.artifacts.folder, "--overrides", c.artifacts.overrides)
    lines = done.stdout.splitlines()
    assert any(line.endswith("subscriptions/two has the same key") for line in lines)
    assert any(line.endswith("subscriptions/one has the same key") for line in lines)
    assert lines[-1] == "1 apis, 2 operations, 0 products, 1 subscriptions served, 0 apis left out"
    assert "the same key\n" not in done.stdout.replace("has the same key", "") and done.returncode == 0
