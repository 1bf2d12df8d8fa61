"""Peers for the strictness tests: they record every byte, send whatever they are told, and check nothing themselves."""
import json
import os
import re
import socket
import ssl
import struct
import threading
import time

import hpack
import pytest

import harness

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+\Z", re.I)


# ---- HTTP/1 ----

def is_one_sound_request(raw):
    """None when raw is nothing but sound HTTP/1.1 requests every parser frames alike; else what is wrong."""
    while raw:
        head, sep, rest = raw.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if not sep or b"\0" in head or any(b"\r" in x or b"\n" in x for x in lines):
            return "a head that does not end, or has a bare CR, LF or NUL"
        if not re.match(rb"[A-Z]+ [!-~]+ HTTP/1\.1\Z", lines[0]):
            return f"request line {lines[0]!r}"
        lengths, codings, hosts = [], [], 0
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not TOKEN.match(name) or re.search(rb"[\0-\x08\x0a-\x1f\x7f]", value):
                return f"field {line!r}"
            low = name.lower()
            if re.sub(rb"[^a-z0-9]", b"", low) in (b"contentlength", b"transferencoding") and b"-" not in low:
                return f"field {line!r}"
            if low == b"content-length":
                lengths.append(value)
            elif low == b"transfer-encoding":
                codings.append(value)
            hosts += low == b"host"
        if hosts != 1 or len(lengths) + len(codings) > 1 or (codings and codings != [b"chunked"]):
            return f"hosts {hosts}, lengths {lengths}, codings {codings}"
        if lengths:
            if not re.match(rb"\d+\Z", lengths[0]) or len(rest) < int(lengths[0]):
                return f"length {lengths[0]!r}, {len(rest)} bytes of body"
            rest = rest[int(lengths[0]):]
        elif codings:
            while True:
                m = re.match(rb"([0-9a-fA-F]+)\r\n", rest)
                if not m:
                    return f"chunk {rest[:20]!r}"
                n = int(m.group(1), 16)
                rest = rest[m.end():]
                if n == 0:
                    break
                if rest[n:n + 2] != b"\r\n":
                    return "chunk end"
                rest = rest[n + 2:]
            trailers = re.match(rb"(?:[!#$%&'*+\-.^_`|~0-9a-zA-Z]+:[^\0-\x08\x0a-\x1f\x7f]*\r\n)*\r\n", rest)
            if not trailers:
                return "trailers"
            rest = rest[trailers.end():]
        raw = rest
    return None


class Recorder:
    """A server that keeps the bytes of each connection and answers each head (and body) it understands with
    `answer(head, body)`: bytes; close: after them the connection ends."""

    def __init__(self, answer=None, close=False, silent=False):
        self.sessions, self.lock = [], threading.Lock()
        self.answer = answer or (lambda head, body: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        self.close, self.silent = close, silent
        self.acceptor = harness.Acceptor(self.accepted, in_order=True)
        self.port, self.stop = self.acceptor.port, self.acceptor.stop

    def accepted(self, s, _):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        log = bytearray()
        with self.lock:
            self.sessions.append(log)
        threading.Thread(target=self.serve, args=(s, log), daemon=True).start()

    def recv(self, s, log):
        try:
            more = s.recv(65536)
        except OSError:
            more = b""
        log += more
        return more

    def serve(self, s, log):
        data = b""
        with s:
            while not self.silent:
                while b"\r\n\r\n" not in data:
                    more = self.recv(s, log)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                body, data = self.body(s, log, head, data)
                try:
                    s.sendall(self.answer(head, body))
                except OSError:
                    return
                if self.close:
                    return
            while self.recv(s, log):
                pass

    def body(self, s, log, head, data):
        m = re.search(rb"\r\ncontent-length: (\d+)", head, re.I)
        if m:
            n = int(m.group(1))
            while len(data) < n:
                more = self.recv(s, log)
                if not more:
                    break
                data += more
            return data[:n], data[n:]
        if re.search(rb"\r\ntransfer-encoding: chunked", head, re.I):
            end = re.compile(rb"(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n")
            while not (m := end.search(data)):
                more = self.recv(s, log)
                if not more:
                    return data, b""
                data += more
            return data[:m.end()], data[m.end():]
        return b"", data

    def bytes(self):
        with self.lock:
            return b"".join(bytes(x) for x in self.sessions)

    def clear(self):
        with self.lock:
            for x in self.sessions:
                x.clear()


def talk(port, data, seconds=5.0, enough=None):
    """Sends bytes and reads until the end, or until enough(got)."""
    with socket.create_connection(("127.0.0.1", port), seconds) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(seconds)
        got = b""
        ended = False
        try:
            s.sendall(data)
            while not (enough and enough(got)):
                more = s.recv(65536)
                if not more:
                    ended = True
                    break
                got += more
        except (ConnectionResetError, BrokenPipeError):
            ended = True
        except OSError:
            pass
        return got, ended


def statuses(got):
    return [int(x) for x in re.findall(rb"HTTP/1\.[01] (\d\d\d)", got)]


# ---- HTTP/2 ----

def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(fields):
    """Literal fields without indexing, whatever their bytes: nothing is changed or checked on the way."""
    def text(b):
        b = b.encode("latin-1") if isinstance(b, str) else b
        if len(b) < 127:
            return bytes([len(b)]) + b
        rest, out = len(b) - 127, b"\x7f"
        while rest >= 128:
            out, rest = out + bytes([rest % 128 + 128]), rest // 128
        return out + bytes([rest]) + b
    return b"".join(b"\0" + text(n) + text(v) for n, v in fields)


def request(method="GET", path="/", authority="a", scheme="http", *more):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


def headers(stream, fields, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


class H2Client:
    """One raw HTTP/2 connection. events: what came, as (type, flags, stream, payload)."""

    def __init__(self, port, settings=b"", seconds=10.0, tls=None, rcvbuf=None):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(seconds)
        self.s.connect(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            c = ssl.create_default_context(cafile=tls)
            c.set_alpn_protocols(["h2"])
            self.s = c.wrap_socket(self.s, server_hostname="localhost")
        self.data, self.closed, self.next_id = b"", False, 1
        self.decoder = hpack.Decoder()
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))
        self.streams = {}
        self.goaway = None
        self.frames = []

    def send(self, data):
        try:
            self.s.sendall(data)
            return True
        except OSError:
            self.closed = True
            return False

    def id(self):
        self.next_id += 2
        return self.next_id - 2

    def stream(self, n):
        return self.streams.setdefault(n, {"head": None, "heads": [], "body": b"", "trailers": None, "end": False, "reset": None})

    def take(self, seconds=10.0):
        """The next frame, or None at the end or when the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            if len(self.data) >= 9:
                n = int.from_bytes(self.data[:3], "big")
                if len(self.data) >= 9 + n:
                    kind, flags = self.data[3], self.data[4]
                    stream = int.from_bytes(self.data[5:9], "big") & 0x7fffffff
                    payload, self.data = self.data[9:9 + n], self.data[9 + n:]
                    self.note(kind, flags, stream, payload)
                    return kind, flags, stream, payload
            left = deadline - time.monotonic()
            if left <= 0 or self.closed:
                return None
            self.s.settimeout(left)
            try:
                more = self.s.recv(1 << 18)
            except (TimeoutError, ssl.SSLWantReadError):
                return None
            except OSError:
                more = b""
            if not more:
                self.closed = True
            self.data += more

    def note(self, kind, flags, stream, payload):
        self.frames.append((kind, flags, stream))
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == RST:
            self.stream(stream)["reset"] = int.from_bytes(payload, "big")
        elif kind == HEADERS:
            st = self.stream(stream)
            fields = self.decoder.decode(payload, raw=True)
            fields = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in fields]
            st["heads"].append(fields)
            if st["head"] is None or st["head"][0][1].startswith("1"):
                st["head"] = fields
            else:
                st["trailers"] = fields
        elif kind == DATA:
            self.stream(stream)["body"] += payload
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.stream(stream)["end"] = True

    def until(self, condition, seconds=10.0):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            if self.take(deadline - time.monotonic()) is None and self.closed:
                break
        return condition()

    def over(self, n):
        st = self.stream(n)
        return st["end"] or st["reset"] is not None

    def ask(self, fields, body=None, seconds=10.0):
        n = self.id()
        self.send(headers(n, fields, end=body is None) + (frame(DATA, END_STREAM, n, body) if body is not None else b""))
        self.until(lambda: self.over(n), seconds)
        return self.stream(n)

    def status(self, n):
        head = self.stream(n)["head"]
        return int(head[0][1]) if head else None

    def close(self):
        self.s.close()


class H2Server:
    """An HTTP/2 server that answers each request with the frames `answer(stream, fields)` gives."""

    def __init__(self, answer):
        self.answer, self.connections, self.requests = answer, 0, []
        self.acceptor = harness.Acceptor(self.serve)
        self.port, self.stop = self.acceptor.port, self.acceptor.stop

    def serve(self, s, _):
        self.connections += 1
        decoder, data = hpack.Decoder(), b""
        try:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(frame(SETTINGS, 0, 0, struct.pack(">HI", 8, 1)))
            while len(data) < 24:
                data += s.recv(65536) or self.end()
            data = data[24:]
            while True:
                while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
                    data += s.recv(65536) or self.end()
                n = int.from_bytes(data[:3], "big")
                kind, flags, stream = data[3], data[4], int.from_bytes(data[5:9], "big")
                payload, data = data[9:9 + n], data[9 + n:]
                if kind == SETTINGS and not flags & ACK:
                    s.sendall(frame(SETTINGS, ACK, 0))
                elif kind == HEADERS:
                    fields = decoder.decode(payload)
                    self.requests.append(fields)
                    s.sendall(self.answer(stream, dict(fields)))
        except (OSError, EOFError):
            pass
        finally:
            s.close()

    @staticmethod
    def end():
        raise EOFError


# ---- one proxy for the tests of a file ----

class World:
    """Programs and peers that live as long as a module's tests."""

    def __init__(self, folder):
        self.folder, self.things = folder, []

    def add(self, thing):
        self.things.append(thing)
        return thing

    def egret(self, config, *ports, concurrency=2):
        return self.proxy("egret", config, *ports, concurrency=concurrency)

    def proxy(self, kind, config, *ports, concurrency=2):
        path = self.folder / f"config-{len(self.things)}.json"
        base = str(os.getpid() * 10 + 7000000 + len(self.things))
        args = [harness.EGRET, "--base-id", base]
        if kind == "envoy":
            config = quick_to_close(config)
            args = [harness.ENVOY, "--disable-hot-restart", "--file-flush-interval-msec", "50", "-l", "warning"]
        path.write_text(json.dumps(config))
        p = self.add(harness.Process([*args, "-c", str(path), "--concurrency", str(concurrency)], self.folder / f"{kind}-{len(self.things)}.log"))
        p.wait_ready(*ports)
        return p

    def stop(self):
        problems = []
        for thing in reversed(self.things):
            try:
                thing.stop()
            except AssertionError as e:
                problems.append(e)
        if problems:
            raise problems[0]


def quick_to_close(config):
    """Envoy holds each refused connection for its delayed_close_timeout, by default a second: too long for thousands. And it ends
    a whole HTTP/2 connection over one malformed message, unless told not to."""
    if isinstance(config, list):
        return [quick_to_close(x) for x in config]
    if not isinstance(config, dict):
        return config
    config = {k: quick_to_close(v) for k, v in config.items()}
    if config.get("@type", "").endswith(".HttpConnectionManager"):
        h2 = {"override_stream_error_on_invalid_http_message": True, **config.get("http2_protocol_options", {})}
        return {"delayed_close_timeout": "0.02s", **config, "http2_protocol_options": h2}
    return config


@pytest.fixture(scope="module", params=["egret", "envoy"])
def peer(request):
    """As `kind`, for tests that share one proxy."""
    if request.param == "envoy" and not harness.have_envoy():
        pytest.skip("SKIPPED: no envoy in build/venv (tests/requirements.txt installs it)")
    return request.param


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("world"))
    yield w
    w.stop()


def stats(admin):
    """The proxy's counters by name."""
    text = harness.curl(f"http://127.0.0.1:{admin}/stats")[2].decode()
    return {k: int(v) for k, v in re.findall(r"^(\S+): (\d+)$", text, re.M)}


def cpu_seconds(process):
    with open(f"/proc/{process.proc.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process):
    with open(f"/proc/{process.proc.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
