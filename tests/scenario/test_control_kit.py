"""What the control server's scenario tests share: a PKI, an artifact folder, the server process, an xDS client."""
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from harness import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("EGRET_BIN", os.path.join(ROOT, "build", "dev", "bin"))
SOTW = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
PREFIX = "type.googleapis.com/"
CDS = PREFIX + "envoy.config.cluster.v3.Cluster"
EDS = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = PREFIX + "envoy.config.listener.v3.Listener"
RDS = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SDS = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
API, PRODUCT, SUBSCRIPTION, BACKEND, PROGRAM = (
    PREFIX + "egret.apim.v1." + n for n in ("Api", "Product", "Subscription", "Backend", "PolicyProgram"))
WAIT = 20  # generous: the tests wait for events, they do not measure


def protos(folder):
    """Python classes of our own .proto files, by full name (no modules: "envoy" is also the name of a wheel)."""
    out, source, files = os.path.join(folder, "descriptors.pb"), os.path.join(ROOT, "proto"), []
    for top in ("envoy", "egret"):
        for where, _, names in os.walk(os.path.join(source, top)):
            files += [os.path.relpath(os.path.join(where, n), source) for n in names if n.endswith(".proto")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", source, "--include_imports",
                    "--descriptor_set_out", out, *sorted(files)], check=True)
    with open(out, "rb") as f:
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


class Pki:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.ca_key, self.ca = self.path("ca.key"), self.path("ca.pem")
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                 "-subj", "/CN=test ca", "-keyout", self.ca_key, "-out", self.ca)

    def path(self, name):
        return os.path.join(self.folder, name)

    @staticmethod
    def run(*args):
        subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def issue(self, name, san):
        """Writes <name>.pem and <name>.key; returns both paths."""
        key, csr, cert, ext = (self.path(name + e) for e in (".key", ".csr", ".pem", ".ext"))
        with open(ext, "w") as f:
            f.write(f"subjectAltName={san}\n" if san else "")
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", key + ".new", "-out", csr)
        self.run("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-days", "30",
                 "-extfile", ext, "-out", cert + ".new")
        os.rename(key + ".new", key)
        os.rename(cert + ".new", cert)
        return cert, key


def write(path, content):
    """As editors and git do it: a temporary file, then a rename."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp~", "wb") as f:
        f.write(content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content, indent=2)).encode())
    os.rename(path + ".tmp~", path)


class Artifacts:
    """A small APIOps folder with its overrides."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "artifacts")
        self.overrides = os.path.join(folder, "configuration.test.yaml")
        os.makedirs(self.folder, exist_ok=True)
        self.keys, self.named = {}, {}

    def put(self, path, content):
        write(os.path.join(self.folder, path), content)

    def remove(self, path):
        subprocess.run(["rm", "-rf", os.path.join(self.folder, path)], check=True)

    def api(self, name, url, **properties):
        props = {"path": name, "displayName": name, "protocols": ["http", "https"], "isCurrent": True,
                 "apiRevision": "1", "subscriptionRequired": True, "serviceUrl": url, **properties}
        self.put(f"apis/{name}/apiInformation.json", {"properties": props})
        self.put(f"apis/{name}/specification.json", {
            "openapi": "3.0.1", "info": {"title": name, "version": "1"},
            "paths": {"/items": {"get": {"operationId": "list", "responses": {"200": {"description": "ok"}}}},
                      "/items/{id}": {"get": {"operationId": "one", "responses": {"200": {"description": "ok"}},
                                              "parameters": [{"name": "id", "in": "path", "required": True,
                                                              "schema": {"type": "string"}}]}}}})

    def product(self, name, apis):
        self.put(f"products/{name}/productInformation.json",
                 {"properties": {"displayName": name, "state": "published", "subscriptionRequired": True}})
        for api in apis:
            self.put(f"products/{name}/apis/{api}/productApiInformation.json", {})

    def subscription(self, name, scope, primary=None, secondary=None):
        self.put(f"subscriptions/{name}/subscriptionInformation.json",
                 {"properties": {"displayName": name, "scope": scope, "state": "active"}})
        self.keys[name] = (primary, secondary)

    def gateway(self, name, apis):
        self.put(f"gateways/{name}/gatewayInformation.json",
                 {"properties": {"locationData": {"name": "test region"}}})
        for api in apis:
            self.put(f"gateways/{name}/apis/{api}/gatewayApiInformation.json", {})

    def save_overrides(self):
        text = "apimServiceName: test\nsubscriptions:\n"
        for name, (primary, secondary) in self.keys.items():
            text += f"- name: {name}\n  properties:\n"
            text += f"    primaryKey: {primary}\n" if primary else ""
            text += f"    secondaryKey: {secondary}\n" if secondary else ""
        if not self.keys:
            text = "apimServiceName: test\n"
        if self.named:
            text += "namedValues:\n"
            for name, value in self.named.items():
                text += f"- name: {name}\n  properties:\n    value: {value}\n"
        write(self.overrides, text)


class Control:
    """The server process with all that it needs in one folder."""

    def __init__(self, folder, settings=""):
        self.folder = str(folder)
        self.pki = Pki(os.path.join(self.folder, "pki"))
        self.artifacts = Artifacts(self.folder)
        self.port = free_port()
        self.settings = settings
        self.log_path = os.path.join(self.folder, "control.log")
        self.socket_path = os.path.join(self.folder, "state", "control.sock")
        self.mac_key = os.path.join(self.folder, "mac.key")
        with open(self.mac_key, "wb") as f:
            f.write(b"0123456789abcdef0123456789abcdef")
        self.pki.issue("control", "DNS:localhost,IP:127.0.0.1")
        self.process = None

    def config(self):
        return f"""
ads: {{ address: 127.0.0.1, port: {self.port}, certificate: {self.pki.path('control.pem')},
       private_key: {self.pki.path('control.key')}, client_ca: {self.pki.ca} }}
state_folder: {self.folder}/state
mac_keys: [ {{ id: k1, file: {self.mac_key} }} ]
{self.settings}
"""

    def start(self, wait=True):
        write(os.path.join(self.folder, "control.yaml"), self.config())
        self.artifacts.save_overrides()
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [os.path.join(BIN, "egret-control"), "--config", os.path.join(self.folder, "control.yaml"), "--folder",
             self.artifacts.folder, "--overrides", self.artifacts.overrides, "-l", "debug"],
            stdout=self.log, stderr=self.log,
            env={**os.environ, "LSAN_OPTIONS": "suppressions=" + os.path.join(ROOT, "tests", "lsan.supp")})
        if wait:
            eventually(lambda: self.process.poll() is None and self.get("/status") is not None)
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(sig)
            status = self.process.wait(WAIT)
            self.process = None
            self.log.close()
            if sig == signal.SIGTERM:
                assert status == 0, self.log_text()[-6000:]

    def log_text(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def get(self, path):
        class Connection(http.client.HTTPConnection):
            def connect(conn):
                conn.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                conn.sock.settimeout(WAIT)
                conn.sock.connect(self.socket_path)
        try:
            c = Connection("control")
            c.request("GET", path)
            r = c.getresponse()
            return json.loads(r.read()) if r.status == 200 else None
        except OSError:
            return None


def eventually(check, what=None):
    until = time.monotonic() + WAIT
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"did not happen in {WAIT} s: {what or check}")
        time.sleep(0.02)


class Client:
    """One ADS stream over mTLS. Responses are taken with next(); each is acknowledged only when told so."""

    def __init__(self, control, pb, cluster, certificate=None, node_id="node-1", features=("egret.apim.v1",),
                 method=SOTW):
        self.pb, self.cluster, self.node_id, self.features = pb, cluster, node_id, features
        cert, key = certificate or control.pki.issue(
            "client-" + cluster.replace("/", "-"), f"URI:spiffe://egret/gateway/{cluster}/{node_id}")
        read = lambda p: open(p, "rb").read()  # noqa: E731
        credentials = grpc.ssl_channel_credentials(read(control.pki.ca), read(key), read(cert))
        self.channel = grpc.secure_channel(f"localhost:{control.port}", credentials,
                                           options=[("grpc.max_receive_message_length", -1),
                                                    ("grpc.enable_retries", 0)])
        self.out, self.responses, self.latest, self.error = queue.Queue(), queue.Queue(), {}, None
        self.first = True
        stream = self.channel.stream_stream(method, request_serializer=None, response_deserializer=None)
        self.call = stream(iter(self.out.get, None))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for raw in self.call:
                r = self.pb("envoy.service.discovery.v3.DiscoveryResponse")()
                r.ParseFromString(raw)
                self.responses.put(r)
        except grpc.RpcError as e:
            self.error = e
        self.responses.put(None)

    def send(self, type_url, names=(), version="", nonce="", error=None):
        r = self.pb("envoy.service.discovery.v3.DiscoveryRequest")()
        r.type_url, r.version_info, r.response_nonce = type_url, version, nonce
        r.resource_names.extend(names)
        if self.first:
            r.node.id, r.node.cluster = self.node_id, self.cluster
            r.node.client_features.extend(self.features)
            self.first = False
        if error is not None:
            r.error_detail.code, r.error_detail.message = 13, error
        self.out.put(r.SerializeToString())

    def next(self, type_url=None, timeout=WAIT):
        try:
            r = self.responses.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no response within {timeout} s") from None
        assert r is not None, f"the stream ended: {self.error}"
        assert type_url is None or r.type_url == type_url, f"{r.type_url} instead of {type_url}"
        for any_ in r.resources:
            assert any_.type_url == r.type_url
        return r

    def silent(self, seconds=0.7):
        try:
            r = self.responses.get(timeout=seconds)
        except queue.Empty:
            return True
        raise AssertionError(f"unexpected: {r.type_url if r else self.error}")

    def ack(self, r, names=()):
        self.send(r.type_url, names, r.version_info, r.nonce)

    def nack(self, r, reason, version="", names=()):
        self.send(r.type_url, names, version, r.nonce, reason)

    def subscribe(self, type_url, names=()):
        """Asks, takes the answer, acknowledges; returns it as {name: message}."""
        self.send(type_url, names)
        r = self.next(type_url)
        self.ack(r, names)
        return self.open(r)

    def open(self, r):
        out = {}
        for any_ in r.resources:
            m = self.pb(r.type_url[len(PREFIX):])()
            m.ParseFromString(any_.value)
            out[getattr(m, "name", None) or m.cluster_name] = m
        return out

    def status(self):
        """The status with which the server ended the stream."""
        while self.responses.get(timeout=WAIT) is not None:
            pass
        return self.error.code(), self.error.details()

    def close(self):
        self.out.put(None)
        self.call.cancel()
        self.channel.close()


class DeltaClient(Client):
    """The same over an incremental stream: next() gives what changed and what went."""

    def __init__(self, control, pb, cluster, **more):
        super().__init__(control, pb, cluster, method=DELTA, **more)

    def read(self):
        try:
            for raw in self.call:
                r = self.pb("envoy.service.discovery.v3.DeltaDiscoveryResponse")()
                r.ParseFromString(raw)
                self.responses.put(r)
        except grpc.RpcError as e:
            self.error = e
        self.responses.put(None)

    def send(self, type_url, names=(), unsubscribe=(), held=None, nonce="", error=None):
        r = self.pb("envoy.service.discovery.v3.DeltaDiscoveryRequest")()
        r.type_url, r.response_nonce = type_url, nonce
        r.resource_names_subscribe.extend(names)
        r.resource_names_unsubscribe.extend(unsubscribe)
        r.initial_resource_versions.update(held or {})
        if self.first:
            r.node.id, r.node.cluster = self.node_id, self.cluster
            r.node.client_features.extend(self.features)
            self.first = False
        if error is not None:
            r.error_detail.code, r.error_detail.message = 13, error
        self.out.put(r.SerializeToString())

    def next(self, type_url=None, timeout=WAIT):
        try:
            r = self.responses.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no response within {timeout} s") from None
        assert r is not None, f"the stream ended: {self.error}"
        assert type_url is None or r.type_url == type_url, f"{r.type_url} instead of {type_url}"
        for item in r.resources:
            assert item.resource.type_url == r.type_url and item.name and item.version
        return r

    def ack(self, r, names=()):
        self.send(r.type_url, names, nonce=r.nonce)

    def nack(self, r, reason):
        self.send(r.type_url, nonce=r.nonce, error=reason)

    def subscribe(self, type_url, names=(), held=None):
        """Asks, takes the answer, acknowledges; returns {name: version}."""
        self.send(type_url, names, held=held)
        r = self.next(type_url)
        self.ack(r)
        return {i.name: i.version for i in r.resources}
