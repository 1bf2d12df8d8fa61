"""The whole chain on loopback: artifact folder, control server, sidecars, egress gateway, backends; keys of this run."""
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time

import harness
from chain_artifacts import Artifacts, replace
from harness import CONTROL, CTL, EGRET, Backend, Pki, Process, curl, free_port, wait_for

LISTED, THIRD, INTERNAL, GATEWAY = "127.0.0.77", "127.0.0.15", "127.0.0.14", "127.0.0.2"
PREFIX = "type.googleapis.com/"
TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
HEADER = "Ocp-Apim-Subscription-Key"


def refused_port(host):
    """A port that nobody listens on for as long as the socket lives."""
    s = socket.socket()
    s.bind((host, 0))
    return s, s.getsockname()[1]


def policy(inbound="<base />", backend="<base />", outbound="<base />"):
    return (f"<policies>\n  <inbound>{inbound}</inbound>\n  <backend>{backend}</backend>\n"
            f"  <outbound>{outbound}</outbound>\n  <on-error><base /></on-error>\n</policies>\n")


def seen(request):
    """The answer of the backends: what they saw, and the body as it came."""
    head = json.dumps({"line": request.line, "peer": request.peer[0], "host": request.header("host")})
    return "200 OK", [("content-type", "text/plain"), ("x-seen", head)], b"echo " + request.body


class Wire:
    """A listener in front of a server that keeps every byte of both directions; the server sees the peer's own address."""

    def __init__(self, host, target):
        self.bytes, self.peers, self.target = bytearray(), [], target
        self.acceptor = harness.Acceptor(self.carry, host)
        self.port, self.stop = self.acceptor.port, self.acceptor.stop

    def carry(self, near, peer):
        far = socket.create_connection(self.target, 5, source_address=(peer[0], 0))
        far.settimeout(None)
        self.peers.append(peer[0])
        threading.Thread(target=self.copy, args=(far, near), daemon=True).start()
        self.copy(near, far)

    def copy(self, a, b):
        try:
            while data := a.recv(65536):
                if len(self.bytes) < 1 << 24:
                    self.bytes += data
                b.sendall(data)
        except OSError as e:
            print(f"wire {a}: {e!r}", file=sys.stderr)
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Chain:
    """Everything of one run; stop() ends it and searches what was written for every key and secret."""
    api_type = "DELTA_GRPC"  # of the proxies' ADS

    def __init__(self, folder):
        self.folder = str(folder)
        self.things, self.sockets, self.processes = [], [], {}
        os.makedirs(self.path("logs"))
        self.make_pki()
        self.mac_key = secrets.token_bytes(32)
        self.state_key = secrets.token_bytes(32)
        for name, content in (("mac.key", self.mac_key), ("state.key", self.state_key)):
            with open(self.path(name), "wb") as f:
                f.write(content)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.pki.path("third.pem"), self.pki.path("third.key"))
        self.internal, self.third = self.backend(host=INTERNAL), self.backend(host=THIRD, tls=tls)
        self.third_tls, self.wire = tls, Wire(THIRD, (THIRD, self.third.port))
        self.third_port = self.wire.port
        self.things.append(self.wire)
        self.other = self.backend(host=INTERNAL, answer=lambda r: ("200 OK", [("x-backend", "other")], b"other"))
        self.spare_third = harness.free_port(THIRD)
        self.dead_direct, self.dead_third = self.refused(INTERNAL), self.refused(THIRD)
        self.control_port, self.second_port, self.gateway_port = free_port(), free_port(), free_port()
        self.ports = {n: (free_port(), free_port()) for n in ("app", "ops")}
        self.admin = {n: free_port() for n in ("app", "ops", "gateway")}
        self.artifacts = Artifacts(self.folder)
        self.function_key = secrets.token_urlsafe(24)
        self.make_artifacts(self.artifacts)
        self.settings = ""

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def backend(self, answer=seen, **more):
        b = Backend(answer, **more)
        self.things.append(b)
        return b

    def refused(self, host):
        s, port = refused_port(host)
        self.sockets.append(s)
        return port

    def make_pki(self):
        p = self.pki = Pki(self.path("pki"))
        p.issue("control", "DNS:localhost", "IP:127.0.0.1")
        p.issue("app", "URI:spiffe://egret/gateway/app/app-1")
        p.issue("ops", "URI:spiffe://egret/gateway/ops/ops-1")
        p.issue("gateway", "DNS:gateway.test", "URI:spiffe://egret/gateway/egress/main")
        p.issue("third", f"IP:{THIRD}", "DNS:localhost")
        p.issue("api", "DNS:api.contoso.test", "IP:127.0.0.1")
        p.issue("other", "DNS:other.contoso.test")

    def make_artifacts(self, a):
        inner, third = f"http://{INTERNAL}:{self.internal.port}", f"https://{THIRD}:{self.third_port}"
        users = (("get", "/listUsers", "list-users"), ("get", "/users/{id}", "get-user"), ("post", "/echo", "echo"),
                 ("get", "/closed/{*rest}", "swallows"))
        a.api("internal", inner + "/base", users)
        a.api("internal;rev=2", f"http://{INTERNAL}:{self.other.port}", users, path="internal", apiRevision="2", isCurrent=False)
        a.api("conference", third + "/conf", (("get", "/speakers", "speakers"), ("post", "/echo", "echo")))
        a.api("renamed", inner, subscriptionKeyParameterNames={"header": "X-Contoso-Key", "query": "contoso-key"})
        a.api("weather", inner)
        a.api("public", inner, subscriptionRequired=False)
        a.api("alone", inner)
        a.api("https-only", inner, protocols=["https"])
        a.api("function", inner, (("get", "/greet", "greet"),))
        a.policy("apis/function", policy('<base /><set-backend-service backend-id="function-app" />'))
        a.put("backends/function-app/backendInformation.json", {"properties": {
            "protocol": "http", "url": inner + "/api", "credentials": {"header": {"x-functions-key": ["{{function-key}}"]}}}})
        a.put("named values/function-key/namedValueInformation.json",
              {"properties": {"displayName": "function-key", "secret": True}})
        a.named["function-key"] = self.function_key
        closed = (("get", "/one", "one"), ("get", "/two", "two"))
        a.api("closed", inner, closed, path="internal/closed")
        a.policy("apis/closed/operations/one", policy('<base /><no-such-policy />'))
        a.api("limited", inner)
        a.policy("apis/limited", policy('<base />\n    <no-such-policy />'))
        a.api("dead-direct", f"http://{INTERNAL}:{self.dead_direct}")
        a.api("dead-third", f"https://{THIRD}:{self.dead_third}")
        for scheme, more in (("Segment", {}), ("Header", {"versionHeaderName": "Api-Version"}),
                             ("Query", {"versionQueryName": "api-version"})):
            low = scheme.lower()
            a.version_set(low, scheme, **more)
            versioned = {"path": f"by-{low}", "apiVersionSetId": f"/apiVersionSets/{low}"}
            a.api(f"by-{low}", inner + "/original", **versioned)
            a.api(f"by-{low}-v2", inner + "/second", apiVersion="v2", **versioned)
        a.product("starter", [n for n in a.apis() if n not in ("weather", "public", "alone")])
        a.product("open", ["weather"], required=False)
        a.subscription("every", "/apis")
        a.subscription("starter", "/products/starter")
        a.subscription("alone-only", "/apis/alone")
        a.subscription("internal-only", "/apis/internal")
        for state in ("suspended", "expired", "submitted", "rejected", "cancelled"):
            a.subscription(state, "/apis", state)
        a.policy("", "<policies><inbound /><backend><forward-request /></backend><outbound /><on-error /></policies>")
        for name in ("app", "ops"):
            a.gateway(name, a.apis(), f"{name} region")
        a.save()

    # ---- programs

    def control_settings(self, port=None):
        p = self.pki.path
        sidecars = [{"gateway_id": n, "address": "127.0.0.1", "http_port": h, "https_port": s,
                     "access_log": self.path("logs", f"{n}.gatewaylogs"),
                     "access_log_format": "json" if n == "ops" else "text"} for n, (h, s) in self.ports.items()]
        return {
            "ads": {"address": "127.0.0.1", "port": port or self.control_port, "certificate": p("control.pem"),
                    "private_key": p("control.key"), "client_ca": p("ca.pem")},
            "state_folder": self.path("state-control"), "mac_keys": [{"id": "k1", "file": self.path("mac.key")}],
            "service_name": "test", "backend_ca": p("ca.pem"), "sidecars": sidecars,
            "host_names": [{"name": "api.contoso.test", "certificate": p("api.pem"), "private_key": p("api.key"), "is_default": True},
                           {"name": "other.contoso.test", "certificate": p("other.pem"), "private_key": p("other.key")}],
            "gateways": [{"name": "main", "address": GATEWAY, "port": self.gateway_port, "certificate": p("gateway.pem"),
                          "private_key": p("gateway.key"), "client_ca": p("ca.pem"), "sni": "gateway.test",
                          "sidecar_certificate": p("app.pem"), "sidecar_private_key": p("app.key"), "sidecar_ca": p("ca.pem")}],
            "pools": [{"name": "listed", "addresses": [LISTED]}],
            "egress": [{"hosts": [THIRD, "localhost"], "ports": [self.third_port, self.dead_third, self.spare_third], "gateway": "main", "pool": "listed"}]}

    def process(self, name, args, *ports):
        count = sum(1 for n in os.listdir(self.path("logs")) if n.startswith(name + "-"))
        p = self.processes[name] = Process([str(a) for a in args], self.path("logs", f"{name}-{count}.log"))
        self.things.append(p)
        if ports:
            p.wait_ready(*ports)
        return p

    def stop_process(self, name, **more):
        p = self.processes.pop(name)
        self.things.remove(p)
        return p.stop(**more)

    def start_control(self, wait=True, **settings):
        replace(self.path("control.yaml"), {**self.control_settings(), **settings})
        self.process("control", [CONTROL, "--config", self.path("control.yaml"), "--folder", self.artifacts.folder, "--overrides",
                                 self.artifacts.overrides, "-l", "debug"])
        if wait:
            wait_for(lambda: self.get("/status"), "the control server's status")

    def bootstrap(self, name, cluster, certificate):
        p = self.pki.path
        tls = {"@type": PREFIX + TLS, "sni": "localhost", "common_tls_context": {
            "alpn_protocols": ["h2"], "validation_context": {"trusted_ca": {"filename": p("ca.pem")}},
            "tls_certificates": [{"certificate_chain": {"filename": p(f"{certificate}.pem")},
                                  "private_key": {"filename": p(f"{certificate}.key")}}]}}
        http2 = {"@type": PREFIX + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                 "explicit_http_config": {"http2_protocol_options": {}}}
        endpoints = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                     for port in (self.control_port, self.second_port)]
        return {
            "node": {"id": f"{name}-1", "cluster": cluster},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": self.admin[name]}}},
            "bootstrap_extensions": [{"name": "envoy.bootstrap.internal_listener", "typed_config": {
                "@type": PREFIX + "envoy.extensions.bootstrap.internal_listener.v3.InternalListener"}}],
            "dynamic_resources": {
                "ads_config": {"api_type": self.api_type, "transport_api_version": "V3",
                               "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}]},
                "lds_config": {"ads": {}, "resource_api_version": "V3"},
                "cds_config": {"ads": {}, "resource_api_version": "V3"}},
            "static_resources": {
                "secrets": [{"name": "mac/k1", "generic_secret": {"secret": {"filename": self.path("mac.key")}}}],
                "clusters": [{
                    "name": "control", "type": "STATIC", "connect_timeout": "1s",
                    "load_assignment": {"cluster_name": "control", "endpoints": [{"lb_endpoints": endpoints}]},
                    "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
                    "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls}}]}}

    def start_proxy(self, name, *ports, cluster=None, args=()):
        config = self.path(f"{name}.json")
        replace(config, self.bootstrap(name, cluster or name, name))
        base = 100000 + self.gateway_port * 10 + list(self.admin).index(name)
        return self.process(name, [EGRET, "-c", config, "--concurrency", 2, "--base-id", base, "--state-dir", self.path(f"state-{name}"),
                                   "--state-key-file", self.path("state.key"), "--drain-time-s", 5, *args], *ports)

    def start_gateway(self):
        self.start_proxy("gateway", cluster="egress/main")
        wait_for(lambda: self.processes["gateway"].alive() and harness.port_open(self.gateway_port, GATEWAY), "the egress gateway listening")

    def start(self, *names):
        self.start_control()
        self.start_gateway()
        for name in names or ("app",):
            # one of them says all it can: nothing of it may hold a key
            self.start_proxy(name, *self.ports[name], args=("-l", "trace") if name == "ops" else ())
            wait_for(lambda: self.call("/internal/listUsers", name=name)[0] == 200, f"{name} serves", 30)
        return self

    def restart(self, name, *ports, **more):
        self.stop_process(name)
        return self.start_proxy(name, *ports, **more)

    # ---- asking

    def key(self, subscription="every", which=0):
        return self.artifacts.keys[subscription][which]

    def url(self, path, scheme="http", host="127.0.0.1", name="app"):
        return f"{scheme}://{host}:{self.ports[name][scheme == 'https']}{path}"

    def call(self, path, *args, key="every", name="app", scheme="http", host="127.0.0.1", seconds=20):
        """key: a subscription, (subscription, 1) for its secondary key, or None. Returns curl()'s four."""
        headers = []
        if key is not None:
            headers = ["-H", f"{HEADER}: {self.key(key) if isinstance(key, str) else self.key(*key)}"]
        if host != "127.0.0.1":
            args = (*args, "--resolve", f"{host}:{self.ports[name][scheme == 'https']}:127.0.0.1")
        if scheme == "https":
            args = (*args, "--cacert", self.pki.path("ca.pem"))
        return curl(self.url(path, scheme, host, name), *headers, *args, seconds=seconds)

    def get(self, path):
        out = subprocess.run(["curl", "-sS", "--max-time", "10", "--unix-socket", self.path("state-control", "control.sock"),
                              f"http://control{path}"], capture_output=True, text=True)
        return json.loads(out.stdout) if out.returncode == 0 and out.stdout.strip() else None

    def ctl(self, *args):
        return subprocess.run([CTL, "--socket", self.path("state-control", "control.sock"), *args], capture_output=True,
                              text=True, timeout=20)

    def states(self, node="app-1"):
        """{type: state} of a proxy, as the control server sees it."""
        for row in self.get("/proxies") or []:
            if row["node"] == node:
                return {t["type"]: t["state"] for t in row["types"]}
        return {}

    def synced(self, node="app-1"):
        s = self.states(node)
        return s and set(s.values()) <= {"SYNCED", "NOT SENT"} and "SYNCED" in s.values()

    def wait_synced(self, *nodes):
        for node in nodes or ("app-1",):
            wait_for(lambda: self.synced(node), f"{node} SYNCED ({self.states(node)})")

    def admin_text(self, path, name="app"):
        status, headers, body, _ = curl(f"http://127.0.0.1:{self.admin[name]}{path}")
        return status, body.decode()

    def records(self, name="app"):
        """The GatewayLogs so far, each a dict: text records parsed by their layout, JSON ones as they are."""
        path = self.path("logs", f"{name}.gatewaylogs")
        if not os.path.exists(path):
            return []
        with open(path) as f:
            text = f.read()
        if name == "ops":
            return [json.loads(line) for line in text.splitlines()]
        return [parse_record(r) for r in re.split(r"(?m)^(?=\[Info\] )", text) if r.strip()]

    def record(self, where, name="app"):
        """The record that fits, waited for."""
        def find():
            return [r for r in self.records(name) if where(r)]
        return wait_for(find, "a GatewayLogs record")[-1]

    # ---- the end

    def secrets(self):
        a = self.artifacts
        keys = [k for pair in a.keys.values() for k in pair] + a.old + list(a.named.values()) + [self.function_key]
        return [k.encode() for k in keys] + [self.mac_key, self.mac_key.hex().encode(), self.state_key]

    def leaks(self):
        """(file, secret) for every secret found in what the programs wrote. Their inputs are left out."""
        inputs = {self.path("mac.key"), self.path("state.key"), self.artifacts.overrides}
        found = []
        for where, _, names in os.walk(self.folder):
            for n in names:
                path = os.path.join(where, n)
                if path in inputs or not os.path.isfile(path):
                    continue
                with open(path, "rb") as f:
                    content = f.read()
                found += [(path, s) for s in self.secrets() if s in content]
        return found

    def dump(self, name="app"):
        """Keeps what the admin interface says, for the search at the end."""
        for path in ("/config_dump", "/stats", "/clusters", "/listeners", "/server_info", "/stats/prometheus"):
            with open(self.path("logs", f"dump-{name}-{path.replace('/', '-')}-{time.monotonic_ns()}"), "w") as f:
                f.write(self.admin_text(path, name)[1])

    def stop(self):
        problems = []
        for name in ("app", "ops", "gateway"):
            if name in self.processes and self.processes[name].alive():
                self.dump(name)
        for thing in reversed(self.things):
            try:
                thing.stop()
            except AssertionError as e:
                problems.append(e)
        for s in self.sockets:
            s.close()
        if problems:
            raise problems[0]
        leaks = self.leaks()
        assert not leaks, leaks


def parse_record(text):
    """One record of the text layout (v2): a prefix, then ", key: value"; lastError and errors are JSON over lines."""
    m = re.match(r"\[Info\] (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}) \[GatewayLogs\], ", text)
    assert m, text
    out, rest, decoder = {"prefix-time": m.group(1)}, text[m.end():].rstrip("\n"), json.JSONDecoder()
    while rest:
        name, _, rest = rest.partition(": ")
        if rest[:1] in "[{":
            out[name], end = decoder.raw_decode(rest)
        else:
            end = re.search(r"(?=, [a-zA-Z]+: )|$", rest).start()
            value = rest[:end]
            out[name] = int(value) if re.fullmatch(r"\d+", value) else {"True": True, "False": False}.get(value, value)
        assert rest[end:end + 2] in (", ", ""), rest
        rest = rest[end + 2:]
    return out
