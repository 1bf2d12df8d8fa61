"""Folders as nobody should write them and somebody does: legal but unusual. What can be served is served as written, the rest
is closed by name; and what `egretctl route explain` says is what the sidecar does."""
import json
import os
import subprocess
import urllib.parse

import pytest

from chain import INTERNAL, Chain
from harness import wait_for

ITEMS = """openapi: '3.1.0'
info: {title: t}
servers:
  - url: https://one.example/a
  - url: '{scheme}://two.example/{base}'
    variables: {scheme: {default: https}, base: {default: v2}}
x-ok: &ok {'200': {description: ok}}
paths:
  # a comment
  /items/:
    parameters: [{name: q, in: query}]
    x-note: {get: {operationId: not-an-operation}}
    get: {operationId: List Items, responses: *ok}
    head: {operationId: HEAD-items, responses: *ok}
    options: {operationId: opt}
  "/items/{item-id}":
    get: {operationId: get/item}
    delete: {}
  '/items/{item-id}/files/{name}.{ext}':
    get: {operationId: file}
  /items/{item-id}:archive:
    post: {operationId: archive}
  /items/latest:
    get: {operationId: latest}
  /find?kind={kind}&sort=asc:
    get: {operationId: find-asc}
  /find?kind={kind}:
    get: {operationId: find}
  /odata('{key}'):
    get: {operationId: odata}
  /files/*:
    get: {operationId: star}
  /deep/{*rest}:
    get: {operationId: rest}
  /Größe/ä:
    get: {operationId: unicode}
  /with%20space:
    get: {operationId: encoded}
  /a/{x}/{x}:
    get: {operationId: twice}
  /nothing: null
"""
POLICY = "<policies>\n<inbound><base/><set-header name='X-P' exists-action='override'><value>list</value></set-header></inbound></policies>"
ODD = {"/{a}{b}": "two parameters of the path stand side by side", "/x/{": "the braces of the path do not fit",
       "/y/}": "the braces of the path do not fit", "/z/{}": "a parameter of the path has no name",
       "/w/{*r}/more": "a catch-all is not the last segment of the path", "/v/*/more": "a catch-all is not the last segment of the path",
       "/#frag": "the path holds a blank, a control character or '#'", "/a b": "the path holds a blank, a control character or '#'",
       "/../up": "the path holds a dot segment", "/{x*}": "a parameter's name holds one of \"/?*=&\"",
       "/r/{p}?p={p}": "two parameters of the path have one name", "/k?a={b}&A={c}": "the path asks for one query parameter twice",
       "/" + "l" * 1000: "the path is longer than 1000 bytes", "/m/x{*y}": "a catch-all is not a whole segment of the path",
       "/n?{a}=b": "a query parameter of the path has no literal name", "/o?a=b{c}": "a query value of the path is neither one parameter nor literal",
       "/p?a={*b}": "a catch-all stands in the query of the path"}


class Nasty(Chain):
    def file(self, path, text, bom=False, crlf=False):
        path = os.path.join(self.artifacts.folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = (text if isinstance(text, str) else json.dumps(text, indent=2, ensure_ascii=False)).encode()
        with open(path, "wb") as f:
            f.write((b"\xef\xbb\xbf" if bom else b"") + (data.replace(b"\n", b"\r\n") if crlf else data))

    def api(self, name, paths=None, bom=False, crlf=False, **props):
        """paths: {template: operationId} of GET operations, or a whole path object."""
        self.file(f"apis/{name}/apiInformation.json", {"properties": {
            "displayName": name, "protocols": ["http", "https"], "serviceUrl": f"http://{INTERNAL}:{self.internal.port}/b", "isCurrent": True,
            "apiRevision": "1", "subscriptionRequired": False, **props}}, bom, crlf)
        if paths is not None:
            whole = {p: i if isinstance(i, dict) else {"get": {"operationId": i}} for p, i in paths.items()}
            self.file(f"apis/{name}/specification.json", {"openapi": "3.0.1", "info": {}, "paths": whole}, bom)

    def make_artifacts(self, a):
        self.artifacts = a
        self.api("My Orders API", bom=True, crlf=True, path="/Orders/V1.0/", description=None, apiVersion=None, apiVersionSetId=None,
                 subscriptionKeyParameterNames=None, authenticationSettings=None, type=None, apiVersionDescription=None, unknown={"a": [1, None]})
        self.file("apis/My Orders API/specification.yaml", ITEMS, bom=True, crlf=True)
        self.file("apis/My Orders API/operations/LIST items/policy.xml", POLICY, bom=True, crlf=True)
        self.api("swagger", path="sw")
        self.file("apis/swagger/specification.json", {
            "swagger": "2.0", "host": "elsewhere", "basePath": "/not/me", "schemes": ["https"], "x-items": {
                "pet": {"get": {"operationId": "pet"}, "trace": {"operationId": "tr"}}},
            "paths": {"/": {"get": {"operationId": "root"}}, "/*": {"post": {"operationId": "any"}}, "x-ext": {"get": {}},
                      "pets": {"get": {"operationId": "noslash"}, "parameters": []}, "/pets/{petId}": {"$ref": "#/x-items/pet"}}}, bom=True)
        self.api("root", {"/": "home", "/robots.txt": "robots", "": {"post": {"operationId": "empty"}}}, path="")
        self.api("none", path="none")
        self.file("apis/none/specification.yaml", "openapi: 3.0.0\ninfo: {title: x}\npaths:\n")
        self.api("nospec", path="nospec")
        self.api("dup", {"/a/{x}": "A", "/a/{y}": "B", "/c": "c1", "/C": "c2", "/e": "e1", "/e/": "e2", "/f/": "f2", "/d%2De": "d1", "/d-e": "d2", "/q?a={x}&b=1": "q1",
                         "/q?B=1&A={y}": "q2", "/fine": "fine"}, path="dup")
        self.api("yamldup", path="yamldup")
        self.file("apis/yamldup/specification.yaml", "openapi: 3.0.0\npaths:\n  /a: {get: {operationId: a}}\n  /a: {get: {operationId: b}}\n")
        self.api("nothing-behind", {"/a": "a"}, path="nothing-behind", serviceUrl=None)
        self.api("spaced", {"/a": "a"}, path="spaced", serviceUrl=f" HTTP://{INTERNAL}:{self.internal.port}/x/ ")
        self.api("space path", {"/a": "a"}, path="With space")
        self.api("pct path", {"/a": "a"}, path="pct%2Dpath/x")
        self.api("uni", {"/a": "a"}, path="größe")
        self.api("semi;colon", {"/a": "a"}, path="semi")
        self.api("tmpl", {"/a": "a"}, path="t/{x}")
        self.api("dots", {"/a": "a"}, path="t/../dots")
        self.api("long", {"/a": "a"}, path="l/" + "o" * 1000)
        self.api("rev", {"/a": "a"}, path="rev")
        self.api("rev;rev=2", {"/a": "a"}, path="rev", isCurrent=False, apiRevision="2", serviceUrl=f"http://{INTERNAL}:{self.internal.port}/two")
        self.api("rev;rev=3", {"/a": "a"}, path="rev", isCurrent=None, apiRevision="3", isOnline=False)
        self.file("version sets/Set One/versionSetInformation.json", {"properties": {
            "displayName": "x", "versioningScheme": "query", "versionQueryName": "Api-Version", "versionHeaderName": None}})
        self.api("v", {"/a": "old"}, path="ver", apiVersionSetId="/apiVersionSets/Set One")
        self.api("v-2024", {"/a": "new"}, path="ver", apiVersion="2024-01-01-Preview", apiVersionSetId="/subscriptions/0/resourceGroups/"
                 "x/providers/Microsoft.ApiManagement/service/s/apiVersionSets/set one")
        self.api("methods", {"/a": {m: {"operationId": m} for m in ("get", "put", "post", "delete", "options", "head", "patch", "trace")}}, path="m")
        self.api("odd", {**{t: f"odd-{i}" for i, t in enumerate(ODD)}, "/u//d": "empty-segment", "/s?a={b}&": "trailing", "/*": "star"}, path="odd")
        self.api("fall", {"/*": "all", "/a/{b}/c": "abc", "/a/*": "a-star", "/a/{b}": "ab", "/a/b/{*c}": "ab-rest"}, path="fall/through")
        self.api("fall-short", {"/*": "short"}, path="fall")
        # both layouts at once
        for product, name in (("p1", "rev"), ("P 2", "dup")):
            self.file(f"products/{product}/productInformation.json", {"properties": {"displayName": None, "state": "published", "subscriptionRequired": True}})
            self.file(f"products/{product}/apis.json", [{"name": name}, {"name": name.upper(), "extra": 1}], bom=True)
            self.file(f"products/{product}/apis/{name}/productApiInformation.json", "{}", crlf=True)
        a.save()

    def start(self):
        self.start_control()
        self.start_proxy("app", *self.ports["app"])
        wait_for(lambda: self.call("/sw/", key=None)[0] == 200, "the sidecar serves")
        return self


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    n = Nasty(tmp_path_factory.mktemp("nasty"))
    try:
        yield n.start()
    finally:
        n.stop()


O = "/Orders/V1.0"
CALLS = [  # method, target, what the backend sees, or the status; the operation
    ("GET", f"{O}/items", "/b/items", "List Items"),
    ("GET", "/orders/v1.0/ITEMS/?Q=%20", "/b/ITEMS/?Q=%20", "List Items"),
    ("HEAD", f"{O}/items", "/b/items", "HEAD-items"),
    ("OPTIONS", f"{O}/items", "/b/items", "opt"),
    ("GET", f"{O}/items/caf%C3%A9%2Fx", "/b/items/caf%C3%A9%2Fx", "get/item"),
    ("GET", f"{O}/items/latest", "/b/items/latest", "latest"),
    ("DELETE", f"{O}/items/latest", "/b/items/latest", "delete-items-item-id"),
    ("GET", f"{O}/items/1/files/a.b.c", "/b/items/1/files/a.b.c", "file"),
    ("GET", f"{O}/items/1/files/nodot", 404, None),
    ("POST", f"{O}/items/1:archive", "/b/items/1:archive", "archive"),
    ("POST", f"{O}/items/:archive", 404, None),
    ("GET", f"{O}/find?kind=x", "/b/find?kind=x", "find"),
    ("GET", f"{O}/find?SORT=ASC&more=1&KIND=", "/b/find?SORT=ASC&more=1&KIND=", "find-asc"),
    ("GET", f"{O}/find?kin=x", 404, None),
    ("GET", f"{O}/odata('k%201')", "/b/odata('k%201')", "odata"),
    ("GET", f"{O}/files", "/b/files", "star"),
    ("GET", f"{O}/files/a//b/?x", "/b/files/a//b/?x", "star"),
    ("GET", f"{O}/deep/a/b/c", "/b/deep/a/b/c", "rest"),
    ("GET", f"{O}/Gr%C3%B6%C3%9Fe/%C3%A4", "/b/Gr%C3%B6%C3%9Fe/%C3%A4", "unicode"),
    ("GET", f"{O}/with%20space", "/b/with%20space", "encoded"),
    ("GET", f"{O}/nothing", 404, None),
    ("GET", f"{O}/a/1/2", 404, None),
    ("GET", "/Orders/items", 501, None),  # the empty path is closed
    ("GET", "/sw/", "/b/", "root"), ("GET", "/sw", "/b", "root"), ("POST", "/sw", "/b", "any"), ("POST", "/sw/x/y", "/b/x/y", "any"),
    ("GET", "/sw/pets", "/b/pets", "noslash"), ("GET", "/sw/pets/7", "/b/pets/7", "pet"), ("TRACE", "/sw/pets/7", "/b/pets/7", "tr"),
    ("GET", "/sw/x-ext", 404, None), ("GET", "/sw/not/me/pets", 404, None),
    ("GET", "/", 501, None), ("GET", "/robots.txt", 501, None), ("POST", "/", 501, None),  # it would answer for two whose paths are unusable
    ("GET", "/none/a", 404, None), ("GET", "/nospec/a", 501, None), ("GET", "/yamldup/a", 501, None),
    ("GET", "/nothing-behind/a", 501, "a"),
    ("GET", "/dup/a/1", 501, "A"), ("GET", "/dup/c", 501, "c1"), ("GET", "/dup/d-e", 501, "d1"), ("GET", "/dup/q?a=1&b=1", 501, "q1"),
    ("GET", "/dup/e", "/b/e", "e1"), ("GET", "/dup/e/", "/b/e/", "e2"), ("GET", "/dup/f", "/b/f", "f2"), ("GET", "/dup/f/", "/b/f/", "f2"),
    ("GET", "/dup/fine", "/b/fine", "fine"),
    ("GET", "/spaced/a", "/x/a", "a"),
    ("GET", "/with%20SPACE/a", "/b/a", "a"), ("GET", "/pct-path/x/a", "/b/a", "a"), ("GET", "/pct%2dpath/X/a", "/b/a", "a"),
    ("GET", "/gr%C3%B6%C3%9Fe/a", "/b/a", "a"), ("GET", "/semi/a", "/b/a", "a"),
    ("GET", "/rev/a", "/b/a", "a"), ("GET", "/rev;rev=2/a", "/two/a", "a"), ("GET", "/rev;rev=1/a", "/b/a", "a"), ("GET", "/rev;rev=3/a", 404, None),
    ("GET", "/ver/a", "/b/a", "old"), ("GET", "/ver/a?api-version=2024-01-01-preview", "/b/a?api-version=2024-01-01-preview", "new"),
    ("GET", "/ver/a?api-version=", "/b/a?api-version=", "old"), ("GET", "/ver/a?api-version=1", 404, None),
    *[(m, "/m/a", "/b/a", m.lower()) for m in ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")],
    ("PURGE", "/m/a", 404, None), ("get", "/m/a", 404, None),
    ("GET", "/odd/u//d", "/b/u//d", "empty-segment"), ("GET", "/odd/s?a=1", "/b/s?a=1", "trailing"), ("GET", "/odd/x/y", "/b/x/y", "star"),
    ("GET", "/fall/through", "/b", "all"), ("GET", "/fall/through/x/y", "/b/x/y", "all"), ("GET", "/fall/through/a/x/c", "/b/a/x/c", "abc"),
    ("GET", "/fall/through/a/b", "/b/a/b", "ab-rest"), ("GET", "/fall/through/a/b/c", "/b/a/b/c", "ab-rest"),
    ("GET", "/fall/through/a/x", "/b/a/x", "ab"), ("GET", "/fall/through/a/x/d", "/b/a/x/d", "a-star"), ("GET", "/fall/through/a", "/b/a", "a-star"),
    ("POST", "/fall/through/a", 404, None), ("GET", "/fall/x", "/b/x", "short"), ("GET", "/fall", "/b", "short"),
    ("GET", "/t/dots/a", 501, None), ("GET", "/dots/a", 501, None),
]


@pytest.mark.parametrize("method, target, expected, operation", CALLS, ids=lambda v: str(v)[:40])
def test_a_call_is_answered_as_written_and_as_explained(nasty, method, target, expected, operation):
    number = f"n{len(nasty.internal.requests)}"
    args = ["--head"] if method == "HEAD" else ["-X", method]
    status, _, body, _ = nasty.call(target, *args, "--path-as-is", "-H", f"X-Number: {number}", key=None)
    sent = [r for r in nasty.internal.requests if r.header("x-number") == number]
    assert status == (expected if isinstance(expected, int) else 200), body
    assert [(r.method, r.path) for r in sent] == ([] if isinstance(expected, int) else [(method, expected)])
    if operation == "List Items":
        assert sent[0].header("x-p") == "list"
    rows = {r["what"]: r["is"] for r in nasty.get("/explain/" + method + "/" + urllib.parse.quote(target, safe=""))}
    assert rows["answer"] == (str(expected) if isinstance(expected, int) else "backend"), rows
    if operation and expected != 501:
        assert rows["operation"] == operation
        record = nasty.record(lambda r: r["url"].endswith(target) and r["method"] == method)
        assert (record["operationId"], record["apiId"]) == (operation, rows["api"].split("/")[1].split(";rev=")[0].replace("my orders api", "My Orders API"))


def test_the_sidecar_takes_all_of_it_and_every_oddity_is_named(nasty):
    nasty.wait_synced()
    faults = nasty.ctl("faults").stdout
    for template, reason in ODD.items():
        assert reason in faults, template
    for name in ("apis/dup/specification.json", "apis/yamldup/specification.yaml:4", "apis/tmpl/", "apis/dots/", "apis/long/", "apis/nospec/"):
        assert name in faults
    assert "apis/root/apiInformation.json" in faults
