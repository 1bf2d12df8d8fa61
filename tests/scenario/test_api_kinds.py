"""APIs that are not plain HTTP, what a release makes current, and workspaces: through control server and sidecar."""
import base64
import hashlib
import json
import os
import re
import socket
import ssl
import urllib.parse

import pytest

from chain import HEADER, INTERNAL, THIRD, Chain, policy
from chain_traffic import inner, serves
from harness import Acceptor, wait_for

KEY, GUID = b"dGhlIHNhbXBsZSBub25jZQ==", b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ENVELOPE = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><Add/></s:Body></s:Envelope>'
SET = '<base/><set-header name="X-Scope" exists-action="append"><value>{}</value></set-header>'


class Echo:
    """Takes any handshake and echoes bytes; keeps the heads."""

    def __init__(self, host, tls=None):
        self.heads, self.tls = [], tls
        self.acceptor = Acceptor(self.serve, host)
        self.port, self.stop = self.acceptor.port, self.acceptor.stop

    def serve(self, s, _):
        try:
            s = self.tls.wrap_socket(s, server_side=True) if self.tls else s
            data = b""
            while b"\r\n\r\n" not in data:
                data += s.recv(65536) or b"\r\n\r\n"
            self.heads.append(data.decode())
            key = re.search(rb"sec-websocket-key: (\S+)", data, re.I).group(1)
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            while more := s.recv(65536):
                s.sendall(more)
        except (OSError, AttributeError):
            pass
        s.close()


class Kinds(Chain):
    def make_artifacts(self, a):
        self.echo, self.wss = Echo(INTERNAL), Echo(THIRD, self.third_tls)
        self.things += [self.echo, self.wss]
        websocket = {"type": "websocket", "protocols": ["ws", "wss"]}
        a.api("internal", inner(self, "/base"), (("get", "/listUsers", "list"), ("get", "/socket", "socket")))
        for name, url, more in (("chat", f"ws://{INTERNAL}:{self.echo.port}/live", websocket),
                                ("secure", f"wss://{THIRD}:{self.wss.port}/live/", {"type": "websocket", "protocols": ["wss"]}),
                                ("open-chat", f"ws://{INTERNAL}:{self.echo.port}", {**websocket, "subscriptionRequired": False}),
                                ("graph", inner(self, "/graphql"), {"type": "graphql", "protocols": ["http", "https"]}),
                                ("graph-live", inner(self, "/graphql"), {"type": "graphql", "protocols": ["http", "ws"]}),
                                ("soap", inner(self, "/service.asmx"), {"type": "soap"}),
                                ("odata", inner(self), {"type": "odata"})):
            a.api(name, url, **more)
            a.remove(f"apis/{name}/specification.json")
        a.put("apis/graph/specification.graphql", "type Query { hello: String }")
        a.put("apis/soap/specification.wsdl", "<definitions/>")
        a.policy("apis/chat/operations/onHandshake", policy('<base/><set-header name="X-From" exists-action="override"><value>policy</value></set-header>'))
        a.api("revised", inner(self, "/one"))
        a.api("revised;rev=2", inner(self, "/two"), path="revised", apiRevision="2", isCurrent=False)
        self.make_workspace(a)
        a.subscription("every", "/apis")
        a.subscription("chat-only", "/apis/chat")
        a.policy("", "<policies><inbound>" + SET.replace("<base/>", "").format("service") + "</inbound><backend><forward-request/></backend><outbound/><on-error/></policies>")
        a.save()

    def make_workspace(self, a):
        """A whole tree below workspaces/, and a second, empty-handed one."""
        for space, url in (("Team A", inner(self, "/team-a")), ("b", inner(self, "/team-b"))):
            properties = {"path": f"spaces/{space[-1].lower()}", "displayName": "orders", "protocols": ["http"], "serviceUrl": url}
            a.put(f"workspaces/{space}/apis/orders/apiInformation.json", {"properties": properties})
            a.put(f"workspaces/{space}/apis/orders/specification.json", {"openapi": "3.0.1", "paths": {"/items": {
                "get": {"operationId": "get"}, "post": {"operationId": "post"}}}})
        w = "workspaces/Team A"
        a.put(f"{w}/workspaceInformation.json", {"properties": {"displayName": "Team A"}})
        a.policy(w, policy(SET.format("{{who}}")))
        a.put(f"{w}/named values/who/namedValueInformation.json", {"properties": {"displayName": "who", "value": "workspace"}})
        a.policy(f"{w}/apis/orders", policy(SET.format("api")))
        a.policy(f"{w}/apis/orders/operations/post", policy(SET.format("operation").replace("<base/>", "")))
        a.put(f"{w}/products/gold/productInformation.json", {"properties": {"displayName": "gold", "state": "published"}})
        a.put(f"{w}/products/gold/apis/orders/productApiInformation.json", {})
        a.policy(f"{w}/products/gold", policy(SET.format("product")))
        for name, scope in (("team", "/apis"), ("gold", "/products/gold"), ("orders", "/apis/orders")):
            a.subscription(name, scope)
            os.makedirs(os.path.join(a.folder, f"{w}/subscriptions"), exist_ok=True)
            os.rename(os.path.join(a.folder, "subscriptions", name), os.path.join(a.folder, f"{w}/subscriptions", name))
        a.save_top = a.save
        a.save = lambda: self.save(a)

    def save(self, a):
        """Keys of the workspace's subscriptions stand in its own section."""
        a.save_top()
        with open(a.overrides) as f:
            over = json.load(f)
        own = [s for s in over["subscriptions"] if s["name"] in ("team", "gold", "orders")]
        over["subscriptions"] = [s for s in over["subscriptions"] if s not in own]
        over["workspaces"] = [{"name": "team a", "subscriptions": own}]
        with open(a.overrides, "w") as f:
            json.dump(over, f)

    def start(self, *names):
        self.start_control()
        self.start_proxy("app", *self.ports["app"])
        serves(self, "/internal/listUsers")
        return self


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    k = Kinds(tmp_path_factory.mktemp("kinds"))
    try:
        yield k.start()
    finally:
        k.stop()


def handshake(chain, path, *headers, scheme="ws"):
    """The connection, the answer's head."""
    s = socket.create_connection(("127.0.0.1", chain.ports["app"][scheme == "wss"]), 10)
    s.settimeout(10)
    if scheme == "wss":
        s = ssl.create_default_context(cafile=chain.pki.path("ca.pem")).wrap_socket(s, server_hostname="api.contoso.test")
    lines = [f"GET {path} HTTP/1.1", "Host: api.contoso.test", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             f"Sec-WebSocket-Key: {KEY.decode()}", *headers]
    s.sendall("\r\n".join(lines + ["", ""]).encode())
    got = b""
    while b"\r\n\r\n" not in got:
        more = s.recv(65536)
        if not more:
            break
        got += more
    return s, got.decode()


def echoes(s):
    data = os.urandom(3000)
    s.sendall(data)
    got = b""
    while len(got) < len(data):
        got += s.recv(65536)
    s.close()
    return got == data


# ---- WebSocket

@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_websocket_is_opened_with_a_key_and_carries_bytes_both_ways(kinds, scheme):
    s, head = handshake(kinds, "/chat/room/7?q=1", f"{HEADER}: {kinds.key()}", scheme=scheme)
    assert head.startswith("HTTP/1.1 101 ") and echoes(s)
    sent = kinds.echo.heads[-1]
    assert sent.startswith("GET /live/room/7?q=1 HTTP/1.1\r\n") and f"host: {INTERNAL}:{kinds.echo.port}\r\n" in sent.lower()
    assert "x-from: policy\r\n" in sent.lower() and f"{HEADER}: {kinds.key()}\r\n".lower() in sent.lower()


def test_browsers_give_the_key_in_the_url(kinds):
    s, head = handshake(kinds, f"/chat?subscription-key={kinds.key('chat-only')}")
    assert head.startswith("HTTP/1.1 101 ") and echoes(s)
    assert kinds.echo.heads[-1].startswith(f"GET /live?subscription-key={kinds.key('chat-only')} HTTP/1.1\r\n")


def test_a_secure_websocket_backend_is_reached_with_tls(kinds):
    s, head = handshake(kinds, "/secure", f"{HEADER}: {kinds.key()}", scheme="wss")
    assert head.startswith("HTTP/1.1 101 ") and echoes(s)
    assert kinds.wss.heads[-1].startswith("GET /live/ HTTP/1.1\r\n")


def test_a_handshake_without_a_valid_key_is_401_and_reaches_no_backend(kinds):
    before = len(kinds.echo.heads) + len(kinds.wss.heads)
    for path, headers, text in (("/chat", (), "missing"), ("/chat", (f"{HEADER}: wrong",), "invalid"),
                                ("/chat?subscription-key=wrong", (), "invalid")):
        s, head = handshake(kinds, path, *headers)
        s.close()
        assert head.startswith("HTTP/1.1 401 Access Denied\r\n") and text in head, head
    s, head = handshake(kinds, "/secure", f"{HEADER}: {kinds.key('chat-only')}", scheme="wss")
    s.close()
    assert head.startswith("HTTP/1.1 401 ")
    assert len(kinds.echo.heads) + len(kinds.wss.heads) == before


def test_an_api_without_keys_takes_any_handshake(kinds):
    s, head = handshake(kinds, "/open-chat")
    assert head.startswith("HTTP/1.1 101 ") and echoes(s)


def test_schemes_are_kept_apart(kinds):
    """A handshake is for WebSocket APIs, an ordinary request for the others: everything else fits no API."""
    key = f"{HEADER}: {kinds.key()}"
    for path, scheme in (("/internal/socket", "ws"), ("/secure", "ws"), ("/graph", "ws"), ("/nothing", "ws")):
        s, head = handshake(kinds, path, key, scheme=scheme)
        s.close()
        assert head.startswith("HTTP/1.1 404 Resource Not Found\r\n"), (path, head)
    assert kinds.call("/chat")[0] == 404 and kinds.call("/chat", scheme="https")[0] == 404


# ---- GraphQL, SOAP, others

def test_graphql_is_passed_through(kinds):
    query = b'{"query": "{ hello }"}'
    status, _, body, _ = kinds.call("/graph", "-H", "Content-Type: application/json", "--data-binary", query.decode())
    r = kinds.internal.requests[-1]
    assert (status, body) == (200, b"echo " + query) and (r.line, r.body) == ("POST /graphql HTTP/1.1", query)
    assert r.header("content-type") == "application/json" and r.header("x-scope") == "service"
    assert kinds.call("/graph?query=%7Bhello%7D")[0] == 200
    assert kinds.internal.requests[-1].line == "GET /graphql?query=%7Bhello%7D HTTP/1.1"
    assert kinds.call("/graph", "-d", "x", key=None)[0] == 401
    for path, method in (("/graph/more", "POST"), ("/graph", "PUT"), ("/graph", "DELETE")):
        assert kinds.call(path, "-X", method)[0] == 404


def test_a_graphql_api_may_take_handshakes_for_its_subscriptions(kinds):
    s, head = handshake(kinds, "/graph-live")
    s.close()
    assert head.startswith("HTTP/1.1 401 ")
    assert kinds.call("/graph-live", "-d", "x")[0] == 200


def test_soap_is_passed_through_envelope_and_action_as_they_came(kinds):
    args = ("-H", "Content-Type: text/xml; charset=utf-8", "-H", 'SOAPAction: "http://tempuri.org/Add"', "--data-binary", ENVELOPE.decode())
    status, _, body, _ = kinds.call("/soap?x=1", *args)
    r = kinds.internal.requests[-1]
    assert (status, body) == (200, b"echo " + ENVELOPE)
    assert (r.line, r.body, r.header("soapaction")) == ("POST /service.asmx?x=1 HTTP/1.1", ENVELOPE, '"http://tempuri.org/Add"')
    assert kinds.call("/soap", *args, key=None)[0] == 401
    assert kinds.call("/soap")[0] == 404


def test_a_kind_that_is_not_served_is_closed_by_name(kinds):
    status, _, body, _ = kinds.call("/odata/items")
    assert status == 501 and json.loads(body)["message"] == "apis/odata/apiInformation.json:13: APIs of type odata are not supported yet"
    assert kinds.call("/odata/items", key=None)[0] == 401


# ---- releases

def test_a_release_makes_a_revision_current_while_calls_go_on(kinds):
    def path():
        return kinds.call("/revised/items")[0] == 200 and kinds.internal.requests[-1].path
    assert path() == "/one/items"
    kinds.artifacts.put("apis/revised/releases/r1/apiReleaseInformation.json", {"properties": {
        "apiId": "/subscriptions/0/resourceGroups/r/providers/Microsoft.ApiManagement/service/s/apis/revised;rev=2", "notes": ""}})
    serves(kinds, "/revised/items")
    wait_for(lambda: path() == "/two/items", "revision 2 is the current one")
    assert kinds.call("/revised;rev=1/items")[0] == 200 and kinds.internal.requests[-1].path == "/one/items"
    assert "it makes this revision the current one" in kinds.ctl("faults").stdout


# ---- workspaces

def scopes(chain, path, *args, key):
    status = chain.call(path, *args, key=key)[0]
    return status if status != 200 else chain.internal.requests[-1].header("x-scope")


def test_a_workspaces_policy_stands_between_product_and_service(kinds):
    path = "/spaces/a/items"
    assert scopes(kinds, path, key="every") == "service,workspace,api"
    assert kinds.internal.requests[-1].path == "/team-a/items"
    assert scopes(kinds, path, key="team") == "service,workspace,api"
    assert scopes(kinds, path, key="orders") == "service,workspace,api"
    assert scopes(kinds, path, key="gold") == "service,workspace,product,api"
    assert scopes(kinds, path, "-d", "x", key="gold") == "operation"
    assert scopes(kinds, "/spaces/b/items", key="every") == "service"


def test_a_workspaces_keys_open_that_workspace_only(kinds):
    for key in ("team", "gold", "orders"):
        for path in ("/spaces/b/items", "/internal/listUsers"):
            assert scopes(kinds, path, key=key) == 401, (key, path)
    assert scopes(kinds, "/spaces/a/items", key="chat-only") == 401
    record = kinds.record(lambda r: r.get("apimSubscriptionId") == "gold")
    assert (record["apiId"], record["productId"]) == ("orders", "gold")


def test_route_explain_follows_a_workspaces_key_through_its_policies(kinds):
    def asked(key, path="/spaces/a/items"):
        return [(r["what"], r["is"], r["why"]) for r in kinds.get("/explain/GET/" + urllib.parse.quote(path, safe="") + "/" + key)]
    rows = asked("gold")
    assert ("product", "workspaces/team a/products/gold", "the scope of the key") in rows
    steps = [why for what, _, why in rows if what == "inbound step"]
    assert steps == [f"{f}:2" if f else "policy.xml:1" for f in (
        "", "workspaces/Team A/policy.xml", "workspaces/Team A/products/gold/policy.xml", "workspaces/Team A/apis/orders/policy.xml")]
    assert rows[-1][:2] == ("answer", "backend")
    assert asked("team", "/spaces/b/items")[-1][:2] == ("answer", "401") and asked("team")[-1][1] == "backend"
