"""Bodies that wait in streams share a budget (egret.limits.inbox_budget_bytes): many stalled readers stay within it, and nobody
else notices."""
import select
import socket
import struct
import time

import pytest

from configs import bootstrap, cluster, h2_options, hcm, listener
from harness import Acceptor, free_port
from raw_kit import ACK, DATA, END_HEADERS, HEADERS, PREFACE, RST, SETTINGS, WINDOW, H2Client, frame, headers, request, stats, talk, world  # noqa: F401

BODY = 10 << 20
BUDGET = 64 << 20
ROUTES = [{"match": {"prefix": "/"}, "route": {"cluster": "b", "timeout": "0s"}}]


class Fountain:
    """An HTTP/2 server that answers everything with BODY bytes, as fast as the windows allow."""

    def __init__(self):
        self.sent = 0
        self.acceptor = Acceptor(self.serve)
        self.port, self.stop = self.acceptor.port, self.acceptor.stop

    def serve(self, s, _):
        try:
            with s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Source(self, s).run()
        except (OSError, EOFError):
            pass


class Source:
    def __init__(self, owner, s):
        self.owner, self.s, self.data = owner, s, b""
        self.window, self.initial, self.streams = 65535, 65535, {}  # id: [window, bytes left]

    def run(self):
        self.s.sendall(frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 1000)))
        while len(self.data) < len(PREFACE):
            self.read()
        self.data = self.data[len(PREFACE):]
        while True:
            self.frames()
            if not self.pour() or select.select([self.s], [], [], 0)[0]:
                self.read()

    def read(self):
        more = self.s.recv(1 << 18)
        if not more:
            raise EOFError
        self.data += more

    def frames(self):
        while len(self.data) >= 9 and len(self.data) >= 9 + int.from_bytes(self.data[:3], "big"):
            n = int.from_bytes(self.data[:3], "big")
            kind, flags, stream = self.data[3], self.data[4], int.from_bytes(self.data[5:9], "big")
            payload, self.data = self.data[9:9 + n], self.data[9 + n:]
            if kind == SETTINGS and not flags & ACK:
                self.settings(payload)
            elif kind == HEADERS:
                self.s.sendall(frame(HEADERS, END_HEADERS, stream, b"\x88"))
                self.streams[stream] = [self.initial, BODY]
            elif kind == RST:
                self.streams.pop(stream, None)
            elif kind == WINDOW and stream == 0:
                self.window += int.from_bytes(payload, "big")
            elif kind == WINDOW and stream in self.streams:
                self.streams[stream][0] += int.from_bytes(payload, "big")

    def settings(self, payload):
        for at in range(0, len(payload), 6):
            name, value = struct.unpack(">HI", payload[at:at + 6])
            if name == 4:
                for st in self.streams.values():
                    st[0] += value - self.initial
                self.initial = value
        self.s.sendall(frame(SETTINGS, ACK, 0))

    def pour(self):
        """One frame on each stream that may send; whether there was one."""
        any_sent = False
        for n, st in list(self.streams.items()):
            size = min(st[0], self.window, st[1], 16384)
            if size <= 0:
                continue
            st[0], st[1], self.window, any_sent = st[0] - size, st[1] - size, self.window - size, True
            self.owner.sent += size
            self.s.sendall(frame(DATA, 0 if st[1] else 1, n, bytes(size)))
            if not st[1]:
                del self.streams[n]
        return any_sent


@pytest.fixture
def rig(world):
    b = world.add(Fountain())
    port, admin = free_port(), free_port()
    limits = {"name": "egret.limits", "typed_config": {"@type": "type.googleapis.com/egret.config.v1.Limits", "inbox_budget_bytes": str(BUDGET)}}
    world.egret(bootstrap([listener(port, hcm(routes=ROUTES))], [cluster("b", b.port, **h2_options())], admin=admin, bootstrap_extensions=[limits]),
                port, admin, concurrency=1)
    return b, port, admin


def settled(admin):
    """The gauge once it no longer grows, and its highest value."""
    most, last, since = 0, -1, time.monotonic()
    deadline = since + 40
    while time.monotonic() < deadline:
        now = stats(admin)["overload.inbox.bytes"]
        most = max(most, now)
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > 1.5:
            break
        time.sleep(0.1)
    return last, most


def body_of_a_neighbour(port):
    got = talk(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 30)[0]
    head, _, body = got.partition(b"\r\n\r\n")
    return head[:15], len(body)


def test_500_stalled_streams_stay_within_the_budget(rig):
    b, port, admin = rig
    clients = [H2Client(port) for _ in range(5)]
    for c in clients:
        c.send(b"".join(headers(c.id(), request()) for _ in range(100)))
    held, most = settled(admin)
    assert BUDGET / 4 < held and most <= BUDGET, (held, most)
    assert stats(admin)["overload.inbox.pressed"] >= 1
    head, n = body_of_a_neighbour(port)
    assert head.startswith(b"HTTP/1.1 200") and n >= BODY, (head, n)
    # A reader that comes back gets everything: nothing was lost, and its window opens again.
    c, total = clients[0], 0
    c.send(frame(WINDOW, 0, 0, struct.pack(">I", 0x7fff0000)) + frame(WINDOW, 0, 1, struct.pack(">I", BODY)))
    assert c.until(lambda: c.over(1), 30) and len(c.stream(1)["body"]) == BODY, len(c.stream(1)["body"])
    for c in clients:
        c.close()
    deadline = time.monotonic() + 10
    while stats(admin)["overload.inbox.bytes"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stats(admin)["overload.inbox.bytes"] == 0


def test_windows_grow_again_when_the_pressure_has_gone(rig):
    b, port, admin = rig
    clients = [H2Client(port) for _ in range(2)]
    for c in clients:
        c.send(b"".join(headers(c.id(), request()) for _ in range(100)))
    held, most = settled(admin)
    assert held > BUDGET / 4 and most <= BUDGET, (held, most)
    for c in clients:
        c.close()
    time.sleep(1.2)
    for _ in range(3):
        assert body_of_a_neighbour(port)[1] >= BODY
    before, c = b.sent, H2Client(port)
    c.send(headers(c.id(), request()))
    assert settled(admin)[0] > 900000 and b.sent - before < 3 << 20, (b.sent - before)  # one whole window of 1 MiB waits
    c.close()
