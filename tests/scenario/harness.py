"""What the scenario tests share: real processes on loopback ports, recording backends, certificates."""
import json
import os
import random
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("EGRET_BUILD", os.path.join(ROOT, "build/dev"))
EGRET = os.path.join(BUILD, "bin/egret")
CONTROL = os.path.join(os.environ.get("EGRET_CONTROL_BUILD", BUILD), "bin/egret-control")
CTL = os.path.join(BUILD, "bin/egretctl")
ENVOY = os.path.join(ROOT, "build/venv/bin/envoy")
SHARED = os.environ.get("EGRET_SHARED", os.path.join(ROOT, "../shared"))
SANITIZER = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|ThreadSanitizer|runtime error:")


PORTS = random.SystemRandom().sample(range(10240, 32768), 22528)


def free_port(host="127.0.0.1"):
    """For a program that is still to start: no port twice, and none that the kernel may give to a connection meanwhile."""
    while True:
        port = PORTS.pop()
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((host, port))
            except OSError:
                continue
        return port


def wait_for(condition, what, seconds=20.0):
    """Waits for an event under a generous bound; returns what the condition gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def port_open(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 0.5).close()
        return True
    except OSError:
        return False


class Acceptor:
    """A listening socket, a thread that accepts, and handle(connection, peer) on a thread of its own for each, or in their order
    on the accepting one. A socket that is only closed leaves its thread in accept(), which may go on with the next socket of that
    descriptor number: stop() ends it first."""

    def __init__(self, handle, host="127.0.0.1", port=0, in_order=False):
        self.handle, self.in_order = handle, in_order
        self.sock = socket.create_server((host, port), backlog=512)
        self.port = self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                accepted = self.sock.accept()
            except OSError:
                return
            if self.in_order:
                self.handle(*accepted)
            else:
                threading.Thread(target=self.handle, args=accepted, daemon=True).start()

    def stop(self):
        if self.sock.fileno() >= 0:
            self.sock.shutdown(socket.SHUT_RDWR)
            self.thread.join(10)
            self.sock.close()


class Process:
    """A program under test. stop() ends it by its id and fails on a sanitizer's report."""

    def __init__(self, args, log, env=None):
        self.args, self.log_path = args, str(log)
        if os.path.basename(args[0]) == "egret-control":
            env = {"LSAN_OPTIONS": "suppressions=" + os.path.join(ROOT, "tests/lsan.supp"), **(env or {})}
        self.log = open(self.log_path, "wb")
        self.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                     env={**os.environ, **(env or {})})

    def output(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.proc.poll() is None

    def wait_ready(self, *ports):
        def ready():
            if not self.alive():
                raise AssertionError(f"{self.args[0]} ended with {self.proc.returncode}:\n{self.output()[-4000:]}")
            return all(port_open(p) for p in ports)
        wait_for(ready, f"{self.args[0]} listening on {ports}")

    def stop(self, sig=signal.SIGTERM, seconds=20):
        if self.alive():
            self.proc.send_signal(sig)
            try:
                self.proc.wait(seconds)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
                raise AssertionError(f"{self.args[0]} did not end on signal {sig}:\n{self.output()[-4000:]}")
        self.log.close()
        text = self.output()
        assert not SANITIZER.search(text), text[-8000:]
        return self.proc.returncode


class Request:
    def __init__(self, raw_head, body, peer):
        lines = raw_head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.method, self.path, self.version = (lines[0].split(" ") + ["", ""])[:3]
        self.headers = [tuple(x.split(": ", 1)) if ": " in x else (x.rstrip(":"), "") for x in lines[1:] if x]
        self.body, self.peer, self.raw = body, peer, raw_head

    def header(self, name):
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ",".join(values) if values else None

    def names(self):
        return sorted(k.lower() for k, _ in self.headers)


class Backend:
    """An HTTP/1.1 server that records what it receives, byte for byte, and answers as `answer(request)` says:
    (status line text, headers, body), bytes to be sent as they are, or a function that sends. tls: an ssl.SSLContext."""

    def __init__(self, answer=None, tls=None, host="127.0.0.1", port=0):
        self.requests, self.connections = [], 0
        self.answer = answer or (lambda r: ("200 OK", [("content-type", "text/plain")], b"hello"))
        backend = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                backend.connections += 1
                sock = self.request
                if tls is not None:
                    sock = tls.wrap_socket(sock, server_side=True)
                try:
                    backend.serve(sock, self.client_address)
                except (OSError, ValueError):
                    pass
                finally:
                    sock.close()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, request, client_address):
                print(f"backend {self.server_address}: {client_address}: {sys.exc_info()[1]!r}", file=sys.stderr)

        self.server = Server((host, port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def serve(self, sock, peer):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            request = Request(head, b"", peer)
            request.body, data = self.read_body(sock, request, data)
            self.requests.append(request)
            reply = self.answer(request)
            if callable(reply):
                reply(sock)
                continue
            if isinstance(reply, bytes):
                sock.sendall(reply)
                if b"close" in reply[:200].lower():
                    return
                continue
            status, headers, body = reply
            text = f"HTTP/1.1 {status}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers)
            if not any(k.lower() == "content-length" for k, _ in headers):
                text += f"content-length: {len(body)}\r\n"
            sock.sendall(text.encode() + b"\r\n" + (b"" if request.method == "HEAD" else body))

    @staticmethod
    def read_body(sock, request, data):
        def need(n):
            nonlocal data
            while len(data) < n:
                more = sock.recv(65536)
                if not more:
                    raise ValueError("the peer ended within its body")
                data += more

        if request.header("transfer-encoding") == "chunked":
            body = b""
            while True:
                while b"\r\n" not in data:
                    need(len(data) + 1)
                line, data = data.split(b"\r\n", 1)
                size = int(line.split(b";")[0], 16)
                need(size + 2)
                body, data = body + data[:size], data[size + 2:]
                if size == 0:
                    return body, data
        length = int(request.header("content-length") or 0)
        need(length)
        return data[:length], data[length:]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def curl(*args, seconds=20):
    """status, headers (lower-case names), body, the whole response head as text."""
    out = subprocess.run(["curl", "-sS", "-i", "--max-time", str(seconds), *args], capture_output=True, timeout=seconds + 5)
    if out.returncode != 0:
        return out.returncode * -1, {}, out.stderr, ""
    data = out.stdout
    while True:
        head, _, rest = data.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        if status >= 200 and not (b"connection established" in head.lower()[:60]):
            break
        data = rest
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        k, _, v = line.partition(":")
        headers[k.lower()] = v.strip()
    return status, headers, rest, head.decode("latin-1")


def raw_request(port, data, seconds=5.0, host="127.0.0.1", half_close=False):
    """Sends bytes as they are and reads until the peer closes or is silent."""
    with socket.create_connection((host, port), seconds) as s:
        s.settimeout(seconds)
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except OSError:
            pass
        return got


def openssl(*args, cwd=None):
    out = subprocess.run(["openssl", *args], cwd=cwd, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return out.stdout


class Pki:
    """A certificate authority in a folder: ca.pem, and for each name NAME.pem, NAME.key."""

    def __init__(self, folder):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.key("ca")
        openssl("req", "-x509", "-new", "-key", self.path("ca.key"), "-days", "30", "-subj", "/CN=Egret test CA",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
                "-out", self.path("ca.pem"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def key(self, name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(f"{name}.key"))

    def issue(self, name, *sans, days=30):
        self.key(name)
        openssl("req", "-new", "-key", self.path(f"{name}.key"), "-subj", f"/CN={name}", "-out", self.path(f"{name}.csr"))
        with open(self.path(f"{name}.ext"), "w") as f:
            f.write("basicConstraints=CA:FALSE\nsubjectAltName=" + ",".join(sans) + "\n")
        openssl("x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"),
                "-CAcreateserial", "-days", str(days), "-extfile", self.path(f"{name}.ext"), "-out", self.path(f"{name}.pem"))
        return self.path(f"{name}.pem"), self.path(f"{name}.key")


def shared(*parts):
    """A path in the shared data, or a skip that says so."""
    import pytest
    path = os.path.join(SHARED, *parts)
    if not os.path.exists(path):
        pytest.skip(f"SKIPPED: {path} is not here")
    return path


def have_envoy():
    return os.access(ENVOY, os.X_OK) or shutil.which("envoy") is not None


def admin_json(port, path):
    status, _, body, _ = curl(f"http://127.0.0.1:{port}{path}")
    assert status == 200, (status, body)
    return json.loads(body)
