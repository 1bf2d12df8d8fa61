"""Policies that count, forward, mock and change bodies, through the control server and a sidecar."""
import json
import socket
import ssl
import struct
import threading

import pytest

from chain import INTERNAL, Chain, replace
from harness import Process, free_port, port_open, wait_for
from raw_kit import H2Client, frame, headers, request
from test_policy import document, header

SOAP = ("<?xml version=\"1.0\"?>\n<soap:Envelope xmlns=\"http://example.com/\" xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">\n"
        "  <soap:Body><GetOrders><Customer>1234567</Customer></GetOrders></soap:Body>\n</soap:Envelope>")
AS_JSON = {"version": "1.0", "soap$Envelope": {"@xmlns": "http://example.com/", "@xmlns$soap": "http://schemas.xmlsoap.org/soap/envelope/",
                                               "soap$Body": {"GetOrders": {"Customer": "1234567"}}}}
TO_XML = "<json-to-xml apply='always' consider-accept-header='false'/>"
TO_JSON = "<xml-to-json kind='direct' apply='always' consider-accept-header='false'/>"


def forward(attributes):
    return document(backend=f"<forward-request {attributes}/>")


DOCUMENTS = {
    "plain": document(),
    "replace": document(outbound="<find-and-replace from='old text' to='new'/><find-and-replace from='new' to='{{shared-secret}}'/>"),
    "replace-up": document("<find-and-replace from='old text' to='new and longer'/>"),
    "replace-own": document("<set-body>one two</set-body><find-and-replace from='two' to='three'/>",
                            outbound="<set-body>a b</set-body><find-and-replace from='b' to='c'/>"),
    "replace-error": document("<ip-filter action='forbid'><address>127.0.0.1</address></ip-filter>",
                              on_error="<find-and-replace from='statusCode' to='code'/>"),
    "grows": document(f"<find-and-replace from='x' to='{'x' * 4000}'/><find-and-replace from='x' to='{'x' * 4000}'/>"),
    "urls": document("<redirect-content-urls/>", outbound="<redirect-content-urls/>"),
    "jsonp": document(outbound="<jsonp callback-parameter-name='cb'/>"),
    "to-xml": document(outbound=TO_XML),
    "to-xml-accept": document(outbound="<json-to-xml apply='content-type-json'/>"),
    "to-xml-up": document(TO_XML),
    "to-json": document(outbound=TO_JSON),
    "to-json-caught": document(outbound=TO_JSON, on_error=header("X-Caught", "yes")),
    "timeout": forward("timeout-ms='300'"),
    "fails": document(backend="<forward-request fail-on-error-status-code='true'/>", outbound=header("X-Out", "yes"),
                      on_error=header("X-Caught", "yes")),
    "fails-changed": document(backend="<forward-request fail-on-error-status-code='true'/>",
                              on_error="<find-and-replace from='away' to='gone'/>"),
    "head": document("<set-method>HEAD</set-method>"),
    "follow": forward("follow-redirects='true'"),
    "stays": forward("follow-redirects='false'"),
    "h2": document(backend="<forward-request http-version='2'/>", outbound="<find-and-replace from='an old' to='a'/>"),
    "buffered": forward("buffer-request-body='true' buffer-response='false'"),
    "limited": document(backend="<limit-concurrency key='one-{{plain}}' max-count='2'><forward-request/></limit-concurrency>",
                        on_error=header("X-Caught", "yes")),
    "limited-too": document(backend="<limit-concurrency key='one-{{plain}}' max-count='2'><forward-request/></limit-concurrency>"),
    "limited-inside": document("<limit-concurrency key='two' max-count='1'><return-response/></limit-concurrency>"),
    "mock": document("<mock-response/>" + header("X-Late", "no")),
    "mock-xml": document("<mock-response content-type='application/xml'/>"),
    "mock-404": document("<mock-response status-code='404' content-type='application/json'/>"),
    "mock-none": document("<mock-response status-code='418' content-type='text/plain'/>"),
    "mock-out": document(outbound="<mock-response status-code='202'/>"),
    "narrow": document(),
}
PET = {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string", "example": "Rex"},
                                        "tags": {"type": "array", "items": {"type": "string", "format": "date"}},
                                        "parent": {"$ref": "#/components/schemas/Pet"}}}
SPECIFICATION = {
    "openapi": "3.0.1", "info": {"title": "m", "version": "1"}, "components": {
        "schemas": {"Pet": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"properties": {"good": {"type": "boolean"}}}]},
                    "Base": {"properties": {"id": {"type": "integer"}, "kind": {"enum": ["dog", "cat"]}}}},
        "responses": {"Gone": {"description": "", "content": {"application/json": {"example": {"error": "gone"}}}}}},
    "paths": {"/items/{id}": {"get": {
        "operationId": "get", "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {
            "200": {"description": "", "content": {
                "text/made": {"schema": {"type": "string"}},
                "application/json": {"examples": {"first": {"value": {"id": 7, "name": "\u00e9"}}, "second": {"value": 2}}},
                "application/xml": {"example": "<pet/>"}}},
            "202": {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}},
            "404": {"$ref": "#/components/responses/Gone"}}}}}}


class ConnectProxy:
    """An HTTP proxy that knows CONNECT only, and who asked for what."""

    def __init__(self):
        self.sock, self.asked, self.refuse = socket.create_server((INTERNAL, 0)), [], False
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                near, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        head = b""
        while b"\r\n\r\n" not in head:
            head += near.recv(4096)
        self.asked.append(head.split(b"\r\n")[0].decode())
        if self.refuse:
            near.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return near.close()
        host, port = head.split()[1].decode().rsplit(":", 1)
        far = socket.create_connection((host, int(port)))
        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self.copy, args=(far, near), daemon=True).start()
        self.copy(near, far)

    def copy(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def stop(self):
        self.sock.close()


class StepChain(Chain):
    def make_artifacts(self, a):
        self.pki.issue("inner", f"IP:{INTERNAL}")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.pki.path("inner.pem"), self.pki.path("inner.key"))
        self.secure, self.proxy = self.backend(host=INTERNAL, tls=tls), ConnectProxy()
        self.things.append(self.proxy)
        for name, url in (("proxied", f"https://{INTERNAL}:{self.secure.port}"), ("proxied-plain", f"http://{INTERNAL}:{self.internal.port}")):
            a.api(name, url, (("get", "/items/{id}", "get"),))
            a.policy(f"apis/{name}", document(f"<proxy url='http://{INTERNAL}:{self.proxy.port}'/>"))
        inner = f"http://{INTERNAL}:{self.internal.port}"
        for name, text in DOCUMENTS.items():
            a.api(name, inner + "/base", (("get", "/items/{id}", "get"), ("post", "/items/{id}", "post")))
            a.policy(f"apis/{name}", text)
            if name.startswith("mock"):
                a.put(f"apis/{name}/specification.json", SPECIFICATION)
        a.api("internal", inner, (("get", "/listUsers", "list"),))
        for name, value in (("shared-secret", None), ("plain", "key")):
            a.put(f"named values/{name}/namedValueInformation.json",
                  {"properties": {"displayName": name, **({"secret": True} if value is None else {"value": value})}})
        a.named["shared-secret"] = self.function_key
        a.product("narrow", ["narrow", "plain"])
        a.policy("products/narrow", document(
            "<base/><rate-limit calls='100' renewal-period='300'><api name='narrow' calls='4' renewal-period='300'>"
            "<operation id='POST' calls='1' renewal-period='300'/></api></rate-limit>"))
        a.subscription("every", "/apis")
        a.subscription("narrow", "/products/narrow")
        a.policy("", "<policies><inbound/><backend><forward-request/></backend><outbound/><on-error/></policies>")
        for name in ("app", "ops"):
            a.gateway(name, a.apis(), f"{name} region")
        a.save()


class Answers:
    """What the backend says next; what it saw is in its own list."""

    def __init__(self, chain):
        self.chain, self.gate, self.waiting = chain, threading.Event(), 0
        self.text, self.type, self.more = b"", "text/plain", []
        chain.internal.answer = self

    def __call__(self, request):
        if "slow" in request.path:
            self.waiting += 1
            self.gate.wait(20)
        if "status" in request.path:
            return "503 Away", [("content-type", "text/plain")], b"away"
        return "200 OK", [("content-type", self.type)] + self.more, self.text or request.body

    def say(self, text, kind="text/plain", more=()):
        self.text, self.type, self.more = text.encode() if isinstance(text, str) else text, kind, list(more)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    c = StepChain(tmp_path_factory.mktemp("steps"))
    c.answers = Answers(c)
    try:
        c.start("app")
        yield c
    finally:
        c.answers.gate.set()
        c.stop()


@pytest.fixture(autouse=True)
def fresh(chain):
    chain.answers.say("")
    chain.answers.gate.clear()


def post(chain, api, body, *args, path="/items/7"):
    return chain.call(f"/{api}{path}", "-H", "content-type: text/plain", "--data-binary", body, *args)


def last(chain):
    return chain.internal.requests[-1]


# ---- bodies ----

def test_texts_are_replaced_in_responses_short_and_long(chain):
    chain.answers.say("an old text, another old text")
    status, headers, body, _ = chain.call("/replace/items/7", "-H", "accept-encoding: gzip")
    secret = chain.function_key
    assert (status, body.decode()) == (200, f"an {secret}, another {secret}") and headers["content-length"] == str(len(body))
    assert last(chain).header("accept-encoding") is None  # what is compressed could not be read
    chain.answers.say("x" * 70_000 + "old text" + "y" * 3_000_000 + "old tex")
    status, headers, body, _ = chain.call("/replace/items/7")
    assert status == 200 and body.decode() == "x" * 70_000 + secret + "y" * 3_000_000 + "old tex"
    assert "content-length" not in headers
    status, headers, body, _ = chain.call("/replace/items/7", "-I", "-X", "GET")
    assert (status, body) == (200, b"") and "content-length" not in headers


def test_texts_are_replaced_in_requests(chain):
    status, _, body, _ = post(chain, "replace-up", "an old text")
    assert (status, body) == (200, b"an new and longer") and last(chain).header("content-length") == "17"
    replace(chain.path("upload"), "old text" * 400_000)
    status, _, body, _ = post(chain, "replace-up", "@" + chain.path("upload"))
    assert (status, body) == (200, b"new and longer" * 400_000) and last(chain).header("transfer-encoding") == "chunked"
    assert chain.call("/replace-up/items/7")[0] == 200 and last(chain).header("transfer-encoding") is None


def test_the_end_of_a_response_comes_even_if_there_was_no_room_when_it_came(chain):
    """The windows are closed: what is made of each body waits. In one of them its last piece fills the room to the brim,
    and the end comes by itself."""
    over, sizes = threading.Event(), range(1, 65)

    def answer(seen):
        body = b"old text" * (128 * int(seen.path.rsplit("/", 1)[1]))

        def send(sock):
            sock.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body))
            over.wait(20)
            sock.sendall(b"0\r\n\r\n")
        return send

    chain.internal.answer = answer
    c = H2Client(chain.ports["app"][0], settings=b"\0\4" + bytes(4))
    try:
        ids = [c.id() for _ in sizes]
        for n, size in zip(ids, sizes):
            c.send(headers(n, request("GET", f"/replace/items/{size}", "127.0.0.1", "http",
                                      ("ocp-apim-subscription-key", chain.key()))))
        assert c.until(lambda: all(c.stream(n)["head"] for n in ids)), "heads"
        over.set()
        # Afterwards each stream gets its window, and the connection more than all of them need.
        c.until(lambda: False, 1)
        c.send(frame(8, 0, 0, (1 << 30).to_bytes(4, "big")))
        for n in ids:
            c.send(frame(8, 0, n, (1 << 30).to_bytes(4, "big")))
        c.until(lambda: all(c.over(n) for n in ids))
        assert [size for n, size in zip(ids, sizes) if not c.stream(n)["end"]] == []
        secret = chain.function_key.encode()
        assert all(c.stream(n)["body"] == secret * (128 * size) for n, size in zip(ids, sizes))
    finally:
        over.set()
        c.close()
        chain.internal.answer = chain.answers


def test_an_answer_that_has_no_body_tells_no_length_of_one(chain):
    for status in ("304 Not Modified", "204 No Content"):
        chain.internal.answer = lambda r: f"HTTP/1.1 {status}\r\netag: \"x\"\r\n\r\n".encode()
        try:
            for version in ("--http1.1", "--http2-prior-knowledge"):
                for api in ("plain", "replace"):
                    got, fields, body, _ = chain.call(f"/{api}/items/7", version)
                    assert (got, body, fields.get("etag")) == (int(status[:3]), b"", '"x"')
                    assert "content-length" not in fields, (status, version, api)
        finally:
            chain.internal.answer = chain.answers


def test_a_policys_own_body_goes_through_what_follows(chain):
    status, headers, body, _ = post(chain, "replace-own", "ignored")
    assert (status, body, headers["content-length"]) == (200, b"a c", "3") and last(chain).body == b"one three"
    status, _, body, _ = chain.call("/replace-error/items/7")
    assert status == 403 and body.startswith(b'{ "code": 403, ')


def test_urls_point_to_the_gateway_on_the_way_out_and_to_the_backend_on_the_way_in(chain):
    backend, gateway = f"http://{INTERNAL}:{chain.internal.port}/base", chain.url("/urls")
    chain.answers.say(f'{{"a": "{backend}/x", "b": "{backend}", "c": "{backend}ment/y"}}', more=[("location", backend + "/z")])
    status, headers, body, _ = post(chain, "urls", f"{gateway}/items {gateway}x")
    assert json.loads(body) == {"a": f"{gateway}/x", "b": gateway, "c": f"{backend}ment/y"}
    assert headers["location"] == backend + "/z"
    assert last(chain).body.decode() == f"{backend}/items {gateway}x"


def test_a_callback_gets_the_json_as_its_argument(chain):
    chain.answers.say('{"a": 1}', "application/json")
    status, headers, body, _ = chain.call("/jsonp/items/7?CB=app.show")
    assert (status, body, headers["content-type"]) == (200, b'app.show({"a": 1});', "text/javascript")
    assert chain.call("/jsonp/items/7")[2] == b'{"a": 1}'
    status, _, body, _ = chain.call("/jsonp/items/7?cb=alert(1)")
    assert status == 400
    assert json.loads(body)["message"] == "Value of callback parameter cb is not a valid JavaScript identifier."


def test_json_becomes_xml_and_back(chain):
    chain.answers.say('{"firstName": "John", "isAlive": true, "spouse": null, "phones": [{"n": 1}, {"n": 2}], "kids": []}', "application/json")
    status, headers, body, _ = chain.call("/to-xml/items/7")
    assert (status, headers["content-type"], headers["content-length"]) == (200, "text/xml", str(len(body)))
    assert body.decode() == ('<Document><firstName>John</firstName><isAlive>True</isAlive><spouse xsi:nil="true" '
                             'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" /><phones><n>1</n></phones><phones><n>2</n></phones><kids /></Document>')
    assert chain.call("/to-xml-accept/items/7")[1]["content-type"] == "application/json"
    assert chain.call("/to-xml-accept/items/7", "-H", "accept: text/html, application/xml;q=0.9")[1]["content-type"] == "text/xml"
    chain.answers.say("plain")
    assert chain.call("/to-xml-accept/items/7", "-H", "accept: text/xml")[2] == b"plain"
    chain.answers.say(SOAP, "text/xml; charset=utf-8")
    status, headers, body, _ = chain.call("/to-json/items/7")
    assert (status, headers["content-type"]) == (200, "application/json") and json.loads(body) == AS_JSON
    chain.answers.say("")
    assert post(chain, "to-xml-up", '{"a": {"b": "<"}}')[2] == b"<a><b>&lt;</b></a>"
    assert last(chain).header("content-type") == "text/xml"


def test_a_body_that_cannot_be_converted_fails_before_the_answer_begins(chain):
    for text, more in (("<a>", []), ("{}", []), (SOAP, [("content-encoding", "gzip")]), ("<a>" + "x" * 2_200_000 + "</a>", [])):
        chain.answers.say(text, "text/xml", more)
        status, headers, body, _ = chain.call("/to-json-caught/items/7")
        assert status == 500 and headers["x-caught"] == "yes" and "activityId" in json.loads(body)
    chain.answers.say("")
    before = len(chain.internal.requests)
    assert post(chain, "to-xml-up", "{")[0] == 500
    replace(chain.path("upload"), '{"a": "' + "x" * 2_200_000 + '"}')
    status, _, body, _ = post(chain, "to-xml-up", "@" + chain.path("upload"))
    assert status == 413 and json.loads(body)["message"] == "the body is larger than 2097152 bytes, which is what json-to-xml may hold"
    assert len(chain.internal.requests) == before
    assert chain.call("/plain/items/7")[0] == 200


def test_a_request_that_grows_without_end_is_cut_even_when_its_answer_has_begun(chain):
    assert post(chain, "grows", "xxxx")[0] == 413
    server = socket.create_server((INTERNAL, 0))
    chain.artifacts.api("grows", f"http://{INTERNAL}:{server.getsockname()[1]}/base", (("post", "/items/{id}", "post"),))
    wait_for(lambda: f"{INTERNAL}:{server.getsockname()[1]}" in chain.admin_text("/clusters")[1], "the edit")
    s = socket.create_connection(("127.0.0.1", chain.ports["app"][0]), 10)
    s.sendall(f"POST /grows/items/7 HTTP/1.1\r\nHost: 127.0.0.1\r\nOcp-Apim-Subscription-Key: {chain.key()}\r\n"
              "Content-Length: 100000\r\n\r\n".encode() + b"a" * 5000)
    backend, _ = server.accept()
    assert backend.recv(65536).startswith(b"POST /base/items/7")
    backend.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nearly")  # more is announced than comes
    got = b""
    while b"early" not in got:
        got += s.recv(65536)
    s.sendall(b"x" * 5000)
    while data := s.recv(65536):
        got += data
    assert got.startswith(b"HTTP/1.1 200 OK") and got.endswith(b"early")  # cut, and said so by its length
    for one in (s, backend, server):
        one.close()
    assert chain.call("/plain/items/7")[0] == 200


def test_a_part_of_a_body_is_neither_asked_for_nor_changed(chain):
    chain.answers.say("an old text", more=[("etag", '"x"'), ("accept-ranges", "bytes"), ("content-md5", "eA=="), ("digest", "sha-256=x")])
    status, headers, _, _ = chain.call("/replace/items/7", "-H", "range: bytes=0-3", "-H", 'if-range: "x"')
    assert status == 200 and last(chain).header("range") is None and last(chain).header("if-range") is None
    assert headers["etag"] == 'W/"x"' and not {"accept-ranges", "content-md5", "digest"} & set(headers)
    status, headers, _, _ = chain.call("/plain/items/7", "-H", "range: bytes=0-3")
    assert last(chain).header("range") == "bytes=0-3" and headers["etag"] == '"x"' and headers["content-md5"] == "eA=="
    chain.answers.say("old text", more=[("content-range", "bytes 0-7/20")])
    status, _, body, _ = chain.call("/replace/items/7")
    assert status == 500 and b"old text" not in body


def test_a_body_that_on_error_could_not_change_stays_here(chain):
    assert chain.call("/fails-changed/items/status")[::2][:2] == (503, b"gone")
    chain.internal.answer = lambda r: ("503 Away", [("content-encoding", "br")], b"away")
    try:
        for version in ("--http1.1", "--http2-prior-knowledge"):
            status, headers, body, _ = chain.call("/fails-changed/items/7", version)
            assert (status, body) == (500, b"") and "content-encoding" not in headers
    finally:
        chain.internal.answer = chain.answers


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_a_head_that_a_policy_made_carries_no_body_and_waits_for_none(chain, version):
    def answer(seen):
        return b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" if seen.line.startswith("HEAD") else chain.answers(seen)

    chain.internal.answer = answer
    try:
        replace(chain.path("upload"), "z" * 300_000)
        for upload in ("short", "@" + chain.path("upload")):
            status, headers, body, _ = post(chain, "head", upload, version, "--max-time", "5")
            assert (status, body, headers.get("content-length")) == (200, b"", "0")
            assert last(chain).line.startswith("HEAD ") and last(chain).body == b""
            assert [last(chain).header(n) for n in ("content-length", "transfer-encoding", "content-type")] == [None] * 3
            assert post(chain, "plain", "next", version)[2] == b"next"  # nothing of it was left on the connection
    finally:
        chain.internal.answer = chain.answers


# ---- forward-request ----

def test_the_backend_has_so_many_milliseconds_for_its_head(chain):
    status, _, body, _ = chain.call("/timeout/items/slow")
    assert status == 500 and "activityId" in json.loads(body)


def test_an_error_status_goes_by_way_of_on_error_where_that_is_asked_for(chain):
    status, headers, body, _ = chain.call("/fails/items/status")
    assert (status, body, headers["x-caught"]) == (503, b"away", "yes") and "x-out" not in headers
    chain.answers.say("fine")
    status, headers, body, _ = chain.call("/fails/items/7")
    assert (status, body, headers["x-out"]) == (200, b"fine", "yes") and "x-caught" not in headers


def test_redirects_within_the_backends_origin_are_followed(chain):
    def redirected(status, where, *args):
        chain.internal.answer = lambda r: (
            (f"{status} Moved", [("location", where)], b"moved") if r.path == "/base/items/7"
            else ("200 OK", [("x-line", r.line)], r.body))
        return chain.call("/follow/items/7", *args)

    here = f"http://{INTERNAL}:{chain.internal.port}"
    try:
        for where, line in (("/other?a=b", "GET /other?a=b"), (here + "/abs", "GET /abs"), ("next", "GET /base/items/next"),
                            ("?q", "GET /base/items/7?q"), (f"//{INTERNAL}:{chain.internal.port}/x#f", "GET /x"), (here, "GET /")):
            status, headers, _, _ = redirected(302, where)
            assert (status, headers.get("x-line")) == (200, line + " HTTP/1.1"), where
        for code, line, body in ((303, "GET /n", b""), (302, "GET /n", b""), (307, "POST /n", b"upload"), (308, "POST /n", b"upload")):
            status, headers, got, _ = redirected(code, "/n", "-d", "upload")
            assert (status, headers.get("x-line"), got) == (200, line + " HTTP/1.1", body), code
            assert last(chain).header("content-type") == (None if line.startswith("GET") else "application/x-www-form-urlencoded")
        replace(chain.path("upload"), "x" * 3_000_000)
        assert redirected(307, "/n", "--data-binary", "@" + chain.path("upload"))[0] == 500
        assert redirected(303, "/n", "--data-binary", "@" + chain.path("upload"))[0] == 200
        for where in ("http://other.example/x", f"https://{INTERNAL}:{chain.internal.port}/x", "/a b"):
            status, _, body, _ = redirected(302, where)
            assert status == 500 and "activityId" in json.loads(body)
        status, headers, body, _ = redirected(302, "/base/items/7")  # for ever: the redirect is the answer
        assert (status, body, headers["location"]) == (302, b"moved", "/base/items/7")
        assert redirected(304, "/x")[0] == 304 and redirected(300, "/x")[0] == 300
        chain.internal.answer = lambda r: ("302 Found", [("location", "/x")], b"moved")
        assert chain.call("/stays/items/7")[0] == 302
    finally:
        chain.internal.answer = chain.answers


def test_a_buffered_body_is_sent_again_on_a_connection_that_still_works(chain):
    assert post(chain, "buffered", "first")[2] == b"first"
    replace(chain.path("upload"), "y" * 3_000_000)
    assert post(chain, "buffered", "@" + chain.path("upload"))[2] == b"y" * 3_000_000


def test_another_http_version_is_another_cluster(chain, tmp_path):
    clusters = chain.admin_text("/clusters")[1]
    assert f"http/{INTERNAL}:{chain.internal.port};h2::" in clusters
    assert chain.call("/h2/items/7")[0] == 500  # this backend speaks HTTP/1 only
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "7").write_text("an old text by HTTP/2")
    port = free_port(INTERNAL)
    server = Process(["nghttpd", "--no-tls", "-a", INTERNAL, "-d", str(tmp_path), str(port)], tmp_path / "nghttpd.log")
    server.wait_ready()
    try:
        wait_for(lambda: port_open(port, INTERNAL), "nghttpd")
        replace_url(chain, "h2", f"http://{INTERNAL}:{port}")
        wait_for(lambda: chain.call("/h2/items/7")[0] == 200, "the other backend")
        for version in ("--http1.1", "--http2-prior-knowledge"):
            status, headers, body, _ = chain.call("/h2/items/7", version)
            assert (status, body) == (200, b"a text by HTTP/2")
    finally:
        server.stop()


def replace_url(chain, api, url):
    chain.artifacts.api(api, url, (("get", "/items/{id}", "get"),))


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_bodies_change_in_both_versions(chain, version):
    chain.answers.say("an old text " * 1000)
    assert chain.call("/replace/items/7", version)[2].decode() == f"an {chain.function_key} " * 1000
    chain.answers.say("")
    for size in (10, 300_000):
        replace(chain.path("upload"), "old text" * size)
        status, _, body, _ = post(chain, "replace-up", "@" + chain.path("upload"), version)
        assert (status, body) == (200, b"new and longer" * size)
    chain.answers.say("<a>", "text/xml")
    assert chain.call("/to-json/items/7", version)[0] == 500


def test_a_backend_is_reached_through_the_policys_proxy_or_not_at_all(chain):
    for _ in range(2):
        status, headers, _, _ = chain.call("/proxied/items/7")
        assert status == 200 and json.loads(headers["x-seen"])["line"] == "GET /items/7 HTTP/1.1"
    rows = {r["what"]: r["is"] for r in json.loads(chain.ctl("-o", "json", "route", "explain", "GET", "http://127.0.0.1/proxied/items/7", "--key-id", "every").stdout)}
    assert rows["cluster"] == f"https/{INTERNAL}:{chain.secure.port};through={INTERNAL}:{chain.proxy.port}" and rows["egress"] == "proxy"
    assert rows["cluster"] + "::" in chain.admin_text("/clusters")[1]
    assert set(chain.proxy.asked) == {f"CONNECT {INTERNAL}:{chain.secure.port} HTTP/1.1"}
    status, _, body, _ = chain.call("/proxied-plain/items/7")
    assert status == 501 and json.loads(body)["message"].endswith("policy <proxy>: a backend without TLS is not reached through a proxy")
    chain.proxy.refuse = True
    chain.artifacts.policy("apis/proxied", document(f"<proxy url='http://{INTERNAL}:{chain.refused(INTERNAL)}'/>"))
    wait_for(lambda: chain.call("/proxied/items/7")[0] == 500, "the proxy that is not there")


# ---- limit-concurrency ----

def test_so_many_calls_at_a_time_are_under_way_by_key(chain):
    results = []

    def run(api):
        results.append(chain.call(f"/{api}/items/slow"))

    before = chain.answers.waiting
    threads = [threading.Thread(target=run, args=(api,)) for api in ("limited", "limited-too")]
    for t in threads:
        t.start()
    wait_for(lambda: chain.answers.waiting == before + 2, "two calls under way")
    status, headers, body, head = chain.call("/limited/items/7")
    assert status == 429 and headers["x-caught"] == "yes" and head.startswith("HTTP/1.1 429 Too Many Requests")
    assert json.loads(body) == {"statusCode": 429, "message": "Too many requests are under way."}
    chain.answers.gate.set()
    for t in threads:
        t.join()
    assert [r[0] for r in results] == [200, 200]
    assert [chain.call("/limited/items/7")[0] for _ in range(3)] == [200] * 3
    assert [chain.call("/limited-inside/items/7")[0] for _ in range(3)] == [200] * 3


def test_a_caller_who_goes_away_is_not_under_way_any_more(chain):
    for _ in range(3):
        before = chain.answers.waiting
        s = socket.create_connection(("127.0.0.1", chain.ports["app"][0]))
        s.sendall(f"GET /limited/items/slow HTTP/1.1\r\nHost: 127.0.0.1\r\nOcp-Apim-Subscription-Key: {chain.key()}\r\n\r\n".encode())
        wait_for(lambda: chain.answers.waiting == before + 1, "a call under way")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset: an end would still be answered
        s.close()
    chain.answers.gate.set()
    wait_for(lambda: chain.call("/limited/items/7")[0] == 200, "a free place")


# ---- mock-response, rate-limit for one API ----

def test_mocked_responses_come_from_the_specification(chain):
    before = len(chain.internal.requests)
    status, headers, body, _ = chain.call("/mock/items/7")
    assert (status, headers["content-type"]) == (200, "application/json") and json.loads(body) == {"id": 7, "name": "\u00e9"}
    status, headers, body, _ = chain.call("/mock-xml/items/7")
    assert (status, headers["content-type"], body) == (200, "application/xml", b"<pet/>")
    status, _, body, _ = chain.call("/mock-404/items/7")
    assert status == 404 and json.loads(body) == {"error": "gone"}
    status, headers, body, _ = chain.call("/mock-none/items/7")
    assert (status, headers["content-type"], body) == (418, "text/plain", b"")
    assert len(chain.internal.requests) == before
    status, headers, body, _ = chain.call("/mock-out/items/7")
    assert (status, headers["content-type"]) == (202, "application/json")
    assert json.loads(body) == {"id": 0, "kind": "dog", "good": True} and len(chain.internal.requests) == before + 1


def test_an_edited_example_is_live(chain):
    edited = json.loads(json.dumps(SPECIFICATION))
    edited["paths"]["/items/{id}"]["get"]["responses"]["200"]["content"]["application/json"] = {"example": {"edited": True}}
    chain.artifacts.put("apis/mock/specification.json", edited)
    wait_for(lambda: b"edited" in chain.call("/mock/items/7")[2], "the edited example")


def test_one_api_and_one_operation_have_limits_of_their_own(chain):
    def ask(api, *args):
        return chain.call(f"/{api}/items/7", *args, key="narrow")[0]

    assert ask("narrow", "-d", "x") == 200 and ask("narrow", "-d", "x") == 429  # the operation
    assert [ask("narrow") for _ in range(3)] == [200, 200, 429]                  # the API: two were posts
    assert ask("plain") == 200
