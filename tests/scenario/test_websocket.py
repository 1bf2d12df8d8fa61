"""WebSockets: the bytes of both directions are the same behind the proxy, over HTTP/1 and over HTTP/2 (RFC 8441)."""
import base64
import hashlib
import os
import random
import re
import socket
import struct
import threading
import time

import pytest

from configs import bootstrap, cluster, h2_options, hcm, listener
from harness import Acceptor, free_port
from raw_kit import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, RST, SETTINGS, WINDOW, H2Client, block, frame, headers, request, statuses, talk, peer, world)  # noqa: F401

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


class Echo:
    """An upstream that takes the upgrade and echoes raw bytes; /refuse answers 403, /ok 200, /slow waits, /wrong lies. It
    records what came before its answer, and whether the peer half-closed."""

    def __init__(self):
        self.early, self.heads, self.ended = [], [], []
        self.gate = threading.Event()
        self.acceptor = Acceptor(self.serve)
        self.port, self.stop = self.acceptor.port, self.acceptor.stop

    def serve(self, s, _):
        data = b""
        while b"\r\n\r\n" not in data:
            more = s.recv(65536)
            if not more:
                return
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        self.heads.append(head)
        path = head.split(b" ")[1]
        if path == b"/slow":
            self.gate.wait(10)
            s.setblocking(False)
            try:
                rest += s.recv(65536)
            except BlockingIOError:
                pass
            s.setblocking(True)
        self.early.append(rest)
        key = re.search(rb"sec-websocket-key: (\S+)", head, re.I)
        answers = {b"/refuse": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", b"/ok": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}
        if path in answers:
            s.sendall(answers[path])
            s.recv(1)
            s.close()
            return
        accept = b"x" * 28 if path == b"/wrong" else accept_of(key.group(1) if key else b"")
        s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n" + rest)
        if path == b"/first":
            s.sendall(b"server speaks first")
        try:
            while more := s.recv(65536):
                s.sendall(more)
            self.ended.append(path)
            if path == b"/half":
                time.sleep(0.2)
                s.sendall(b"after your end")
        except OSError:
            pass
        s.close()


@pytest.fixture(scope="module")
def rig(world, peer):
    b = world.add(Echo())
    port, plain, two = free_port(), free_port(), free_port()
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "b", "timeout": "0s"}}]
    more = {"upgrade_configs": [{"upgrade_type": "websocket"}], "http2_protocol_options": {"allow_connect": True}}
    # a second listener in front of the first: an HTTP/2 upstream that takes extended CONNECT is the proxy itself
    both = h2_options()
    both["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]["explicit_http_config"]["http2_protocol_options"] = {"allow_connect": True}
    over = [{"match": {"prefix": "/"}, "route": {"cluster": "self", "timeout": "0s"}}]
    world.proxy(peer, bootstrap([listener(port, hcm(routes=routes, **more)), listener(plain, hcm(routes=routes), name="plain"), listener(two, hcm(routes=over, **more), name="two")],
                          [cluster("b", b.port), cluster("self", port, **both)]), port, plain, two)
    return b, {"h1": port, "plain": plain, "h1-h2": two}


def open_h1(port, path=b"/ws"):
    s = socket.create_connection(("127.0.0.1", port), 20)
    s.sendall(UPGRADE.replace(b"/ws", path))
    got = b""
    while b"\r\n\r\n" not in got:
        more = s.recv(65536)
        if not more:
            break
        got += more
    head, _, rest = got.partition(b"\r\n\r\n")
    return s, head, rest


def echo_all(s, data, rest=b""):
    thread = threading.Thread(target=lambda: s.sendall(data))
    thread.start()
    got = rest
    while len(got) < len(data):
        more = s.recv(1 << 18)
        if not more:
            break
        got += more
    thread.join()
    return got


@pytest.mark.parametrize("way", ["h1", "h1-h2"])
def test_bytes_are_the_same_over_http1(rig, way):
    b, ports = rig
    s, head, rest = open_h1(ports[way])
    assert head.startswith(b"HTTP/1.1 101 ") and b"sec-websocket-accept: " + accept_of(KEY) in re.sub(rb"(?i)sec-websocket-accept", b"sec-websocket-accept", head)
    assert b"content-length" not in head.lower() and b"transfer-encoding" not in head.lower()
    data = random.Random(1).randbytes(4 << 20)
    assert echo_all(s, data, rest) == data
    for n in (1, 2, 125, 126, 65535, 65536):
        assert echo_all(s, data[:n]) == data[:n]
    s.close()
    if way == "h1":
        assert b"\r\nupgrade: websocket" in b.heads[-1].lower() and KEY in b.heads[-1]


@pytest.mark.parametrize("way", ["h1", "h1-h2"])
def test_halves_close_on_their_own(rig, way):
    _, ports = rig
    s, _, _ = open_h1(ports[way], b"/half")
    assert echo_all(s, b"ping") == b"ping"
    s.shutdown(socket.SHUT_WR)
    got = b""
    while more := s.recv(100):
        got += more
    assert got == b"after your end"
    s, _, rest = open_h1(ports[way], b"/first")
    while len(rest) < 19:
        rest += s.recv(100)
    assert rest == b"server speaks first"
    s.close()


def test_nothing_goes_upstream_before_101(rig):
    b, ports = rig
    b.gate.clear()
    s = socket.create_connection(("127.0.0.1", ports["h1"]), 20)
    s.sendall(UPGRADE.replace(b"/ws", b"/slow") + b"early bytes")
    time.sleep(0.3)
    b.gate.set()
    got = b""
    while not got.endswith(b"early bytes"):
        more = s.recv(65536)
        assert more, got
        got += more
    assert b.early[-1] == b""  # they came only behind the answer
    s.close()


def test_a_refused_upgrade_is_an_ordinary_answer(rig):
    b, ports = rig
    for path, status in ((b"/refuse", 403), (b"/ok", 200)):
        got, ended = talk(ports["h1"], UPGRADE.replace(b"/ws", path) + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", 5)
        assert statuses(got) == [status] and ended, got
        assert not any(b"/smuggled" in h for h in b.heads) and b"smuggled" not in b.early[-1]
    got, _ = talk(ports["h1"], UPGRADE.replace(b"/ws", b"/refuse"), 5, enough=lambda g: g.endswith(b"no"))
    assert statuses(got) == [403]


def test_only_configured_upgrades_are_followed(rig):
    b, ports = rig
    before = len(b.heads)
    got, _ = talk(ports["plain"], UPGRADE, 5, enough=lambda g: b"\r\n\r\n" in g)
    assert statuses(got) == [403]
    got, _ = talk(ports["h1"], UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: foo"), 5, enough=lambda g: b"\r\n\r\n" in g)
    assert statuses(got) == [403] and len(b.heads) == before


# ---- over HTTP/2 ----

class Tunnel:
    """One extended CONNECT stream with flow control of its own."""

    def __init__(self, port, path="/ws", window=65535):
        self.c = H2Client(port, settings=struct.pack(">HI", 4, window))
        assert self.c.until(lambda: any(f[0] == SETTINGS for f in self.c.frames))
        self.n = self.c.id()
        self.c.send(headers(self.n, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", path), ("sec-websocket-version", "13")], end=False))
        self.c.until(lambda: self.c.stream(self.n)["head"] or self.c.over(self.n))

    def echo(self, data):
        st, sent = self.c.stream(self.n), 0
        start, credited = len(st["body"]), 0
        while len(st["body"]) - start < len(data):
            while sent < len(data) and sent - (len(st["body"]) - start) < 32768:
                part = data[sent:sent + 8192]
                self.c.send(frame(DATA, 0, self.n, part))
                sent += len(part)
            if self.c.take(10) is None:
                break
            fresh = len(st["body"]) - start - credited
            if fresh > 16384:
                credited += fresh
                self.c.send(frame(WINDOW, 0, self.n, struct.pack(">I", fresh)) + frame(WINDOW, 0, 0, struct.pack(">I", fresh)))
        fresh = len(st["body"]) - start - credited
        if fresh:
            self.c.send(frame(WINDOW, 0, self.n, struct.pack(">I", fresh)) + frame(WINDOW, 0, 0, struct.pack(">I", fresh)))
        return st["body"][start:]


@pytest.mark.parametrize("way", ["h1", "h1-h2"])
def test_bytes_are_the_same_over_http2(rig, way):
    b, ports = rig
    t = Tunnel(ports[way])
    st = t.c.stream(t.n)
    assert st["head"][0] == (":status", "200"), st
    names = {k for k, _ in st["head"]}
    assert not names & {"upgrade", "connection", "sec-websocket-accept", "content-length"}
    head = b.heads[-1].lower()
    assert head.startswith(b"get /ws http/1.1") and b"\r\nupgrade: websocket" in head and b"\r\nsec-websocket-key: " in head and b"protocol" not in head
    data = random.Random(2).randbytes(2 << 20)
    assert t.echo(data) == data
    t.c.send(frame(DATA, END_STREAM, t.n, b"bye"))
    assert t.c.until(lambda: st["end"]) and st["body"].endswith(b"bye") and st["reset"] in (None, 0)
    t.c.close()


def test_refusals_over_http2(rig):
    _, ports = rig
    assert Tunnel(ports["h1"], "/refuse").c.status(1) == 403
    assert Tunnel(ports["h1"], "/ok").c.status(1) not in (200, None)  # a 2xx would open the tunnel
    assert Tunnel(ports["h1"], "/wrong").c.status(1) == 502
    t = Tunnel(ports["plain"])
    assert t.c.stream(t.n)["reset"] == 1 or t.c.goaway == 1 or t.c.status(t.n) == 403


def test_a_reset_ends_the_other_side(rig):
    b, ports = rig
    t = Tunnel(ports["h1"], "/reset")
    assert t.echo(b"x") == b"x"
    before = len(b.ended)
    t.c.send(frame(RST, 0, t.n, b"\0\0\0\x08"))
    assert t.c.ask(request(path="/ok"))["head"][0][1] == "200"
    deadline = time.monotonic() + 5
    while len(b.ended) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    t.c.close()


def test_99_tunnels_run_at_full_speed_beside_one_that_is_stuck(rig):
    """All on one connection: one never reads, its window is zero; the others each get their bytes, as fast as without it."""
    _, ports = rig
    c = H2Client(ports["h1"], settings=struct.pack(">HI", 4, 65535))
    c.until(lambda: any(f[0] == SETTINGS for f in c.frames))

    def open_one():
        n = c.id()
        c.send(headers(n, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", "/ws"), ("sec-websocket-version", "13")], end=False))
        return n
    c.send(frame(WINDOW, 0, 0, struct.pack(">I", 1 << 30)))

    def round_trip(ids, size):
        start = {n: len(c.stream(n)["body"]) for n in ids}
        begun = time.monotonic()
        for n in ids:
            for _ in range(size // 16384):
                c.send(frame(DATA, 0, n, b"x" * 16384))
        done = c.until(lambda: all(len(c.stream(n)["body"]) - start[n] >= size for n in ids), 30)
        for n in ids:
            c.send(frame(WINDOW, 0, n, struct.pack(">I", size)))
        return done, time.monotonic() - begun
    ids = [open_one() for _ in range(99)]
    assert c.until(lambda: all(c.stream(n)["head"] for n in ids), 20)
    round_trip(ids, 32768)
    done, alone = round_trip(ids, 32768)
    assert done
    stuck = open_one()
    assert c.until(lambda: c.stream(stuck)["head"])
    for _ in range(60):  # its echo fills our window of 65535 and stays there; more than that waits in the proxy
        c.send(frame(DATA, 0, stuck, b"x" * 16384))
    times = []
    for _ in range(3):
        done, beside = round_trip(ids, 32768)
        assert done
        times.append(beside)
    assert len(c.stream(stuck)["body"]) == 65535 and c.goaway is None
    assert min(times) < 3 * alone + 0.2, (alone, times)
    c.close()
