"""Answers from upstreams: a malformed one becomes 502, none of it reaches the client, its connection is not used again."""
import pytest

from configs import bootstrap, cluster, h2_options, hcm, listener
from envoy_differs import unexplained
from harness import free_port
from raw_kit import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PUSH, RST, SETTINGS, WINDOW, H2Server, Recorder, block, frame, headers, statuses,
                     talk, peer, world)  # noqa: F401

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def bad_heads():
    for line in (b"HTTP/1.1  200 OK", b"HTTP/1.1 200OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 +20 OK", b"HTTP/1.1 2x0 OK", b"HTTP/1.1 0x2 OK", b"HTTP/1.1 000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 600 OK", b"HTTP/1.1 999 OK",
                 b"HTTP/1.1\t200 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\x01K", b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 OK\r", b" HTTP/1.1 200 OK", b"http/1.1 200 OK", b"HTTP/1.1", b"HTTP/1.2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200 OK",
                 b"HTTP/0.9 200 OK", b"HTTP/1.10 200 OK", b"HTTP/01.1 200 OK", b"HTTP/1 200 OK", b"ICY 200 OK", b"HTTPS/1.1 200 OK", b"HTTP /1.1 200 OK", b"HTTP/1.1 -00 OK", b"200 OK", b"garbage", b"\x00", b"\x15\x03\x01\x00\x02\x02\x46", b"SSH-2.0-x", b"220 ftp", b"<html>", b"\r\nHTTP/1.1 200 OK",
                 b"HTTP/1.1 101 Switching Protocols"):
        yield line + b"\r\nContent-Length: 5\r\n\r\nhello"
    for field in (b"X : y", b" X: y", b"X: y\r\n z", b"X: y\r\n\tz", b": y", b"X", b"X y: z", b"X: \x00", b"X: a\x01b", b"X: a\x7fb", b"X: a\rb", b"X: a\nb", b"X\x00: y", b"X(: y", b"X\xff: y", b"X: y\r\r", b"Content_Length: 5", b"transfer.encoding: chunked",
                  b"Connection: @", b"Connection: content-length", b"Connection: set-cookie", b"Transfer-Encoding : chunked"):
        yield OK + field + b"\r\nContent-Length: 5\r\n\r\nhello"
    for length in (b"+5", b"-5", b"0x5", b"5,5", b"5, 6", b"5 5", b"", b"five", b"5\x00", b"\x0b5", b"5.0", b"18446744073709551621", b"9" * 30, b"5\r\nContent-Length: 5", b"5\r\nContent-Length: 6", b"5\r\nX: y\r\ncontent-length: 4", b"5\r\n 5", b"5_0"):
        yield OK + b"Content-Length: " + length + b"\r\n\r\nhello"
    for coding in (b"Chunked, chunked", b"gzip", b"identity", b"gzip, chunked", b"chunked, gzip", b"chunked;q=1", b"xchunked", b"", b"\x0bchunked", b"chunked\x00", b'"chunked"', b"chunked,", b"chunked\r\nTransfer-Encoding: chunked", b"chunked\r\nTransfer-Encoding: x", b"chunked\r\nContent-Length: 5",
                   b"x\r\n chunked", b"\xa0chunked", b"chun ked"):
        yield OK + b"Transfer-Encoding: " + coding + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    yield OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    yield b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\nhello"
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello"
    yield OK + b"X: " + b"a" * 100000 + b"\r\n\r\n"
    yield OK + b"X: y\r\n" * 101 + b"Content-Length: 5\r\n\r\nhello"
    yield b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello"
    yield b"HTTP/1.1 100 Continue\r\n\r\n" * 100 + OK + b"Content-Length: 5\r\n\r\nhello"
    yield b"HTTP/1.1 103 Early Hints\r\nX: \x00\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello"


def bad_bodies():
    for body in (b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhell\r\n0\r\n\r\n", b"g\r\n", b"\r\n", b"f" * 17 + b"\r\n", b"5;\x00\r\nhello\r\n0\r\n\r\n",
                 b"5;" + b"a" * 20000 + b"\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n", b"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n", b"5\r\nhello\r\n0\n\n", b"5\r\nhello\r\n0\r\nX: y\r\n", b"5\r\nhello\r\n0\r\n\r", b"5\r\nhello\r\n", b"5\r\nhel", b""):
        yield CHUNKED + b"\r\n" + body
    yield OK + b"Content-Length: 10\r\n\r\nhello"
    yield OK + b"Content-Length: 10\r\nX"
    yield b"HTTP/1.1 2"
    yield OK + b"Content-Length: 1000000\r\n\r\n"


def start(world, peer, upstream, **more):
    port = free_port()
    world.proxy(peer, bootstrap([listener(port, hcm(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "b"}}]))], [cluster("b", upstream.port, **more)]), port)
    return port


def test_a_malformed_answer_becomes_502(world, peer):
    answer = {}
    b = world.add(Recorder(lambda head, body: answer["raw"]))
    port = start(world, peer, b)
    wrong = []
    for raw in bad_heads():
        answer["raw"] = raw
        before = len(b.sessions)
        got, ended = talk(port, GET)
        fresh = len(b.sessions) == before + 1 or peer == "envoy"  # which keeps a connection whose answer it understood
        if statuses(got) != [502] or not ended or b"hello" in got or not fresh:
            wrong.append((raw[:80], got[:90], len(b.sessions) - before))
    wrong = unexplained(peer, "strict_upstream.heads", wrong)
    assert not wrong, f"{len(wrong)}: " + "\n".join(map(str, wrong))
    answer["raw"] = OK + b"Content-Length: 2\r\n\r\nok"
    assert talk(port, GET)[0].endswith(b"\r\n\r\nok")


def test_a_body_that_breaks_is_seen_to_break(world, peer):
    """Its head has gone to the client: the message ends without its end, never as if it were whole."""
    answer = {}
    b = world.add(Recorder(lambda head, body: answer["raw"], close=True))
    port = start(world, peer, b)
    wrong = []
    for raw in bad_bodies():
        answer["raw"] = raw
        got, ended = talk(port, GET)
        whole = b"\r\n0\r\n\r\n" in got or (b"content-length: 10\r\n" in got and len(got.partition(b"\r\n\r\n")[2]) == 10)
        if not ended or (statuses(got) not in ([502], [503]) and (whole or statuses(got) not in ([200], []))):
            wrong.append((raw[-60:], got[-60:], ended))
    wrong = unexplained(peer, "strict_upstream.bodies", wrong)
    assert not wrong, f"{len(wrong)}: " + "\n".join(map(str, wrong))


def test_bytes_behind_an_answer_end_its_connection(world, peer):
    extra = [OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", OK + b"Content-Length: 0\r\n\r\npoison", b"HTTP/1.1 204 No Content\r\n\r\npoison",
             b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison", CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\npoison", b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison",
             b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n"]
    answer = {}
    b = world.add(Recorder(lambda head, body: answer["raw"]))
    port = start(world, peer, b)
    for raw in extra:
        answer["raw"] = raw
        before = len(b.sessions)
        for _ in range(3):
            got, _ = talk(port, GET)
            assert b"poison" not in got and len(statuses(got)) == 1, (raw, got)
        assert len(b.sessions) == before + 3, raw


def test_an_answer_to_head_has_no_body_whatever_it_says(world, peer):
    b = world.add(Recorder(lambda head, body: OK + b"Content-Length: 5\r\n\r\n"))
    port = start(world, peer, b)
    for _ in range(3):
        got, _ = talk(port, b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"content-length: 5\r\n" in got.lower() and got.endswith(b"\r\n\r\n")
    assert len(b.sessions) <= 2  # one for each worker


def test_an_unasked_answer_is_nobodys(world, peer):
    """Bytes on an idle upstream connection: it is thrown away, and nobody reads them as an answer."""
    import socket
    import threading
    ready, gone = threading.Event(), threading.Event()

    class Eager(Recorder):
        def serve(self, s, log):
            data = b""
            while b"\r\n\r\n" not in data:
                data += s.recv(65536)
            s.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            if ready.is_set():  # only the first does it, while nobody asks
                s.close()
                return
            ready.wait(5)
            try:
                s.sendall(OK + b"Content-Length: 6\r\n\r\npoison")
                s.shutdown(socket.SHUT_WR)
                s.recv(100)
            except OSError:
                pass
            s.close()
            gone.set()
    b = world.add(Eager())
    port = start(world, peer, b)
    assert talk(port, GET)[0].endswith(b"ok")
    ready.set()
    assert gone.wait(10)  # the proxy has thrown the connection away: no request of ours can meet the bytes on it
    for _ in range(5):
        assert b"poison" not in talk(port, GET)[0]


H2_BAD = {
    "no status": [("x", "y")],
    "status not first": [("x", "y"), (":status", "200")],
    "status twice": [(":status", "200"), (":status", "200")],
    "status empty": [(":status", "")],
    "status of letters": [(":status", "abc")],
    "status of two digits": [(":status", "20")],
    "status of four digits": [(":status", "2000")],
    "status with a sign": [(":status", "+20")],
    "status 101": [(":status", "101")],
    "status 099": [(":status", "099")],
    "status 600": [(":status", "600")],
    "a request's pseudo field": [(":status", "200"), (":path", "/")],
    "an unknown pseudo field": [(":status", "200"), (":x", "/")],
    "upper case": [(":status", "200"), ("X-Y", "z")],
    "an empty name": [(":status", "200"), ("", "z")],
    "a name with a space": [(":status", "200"), ("x y", "z")],
    "a name with a colon": [(":status", "200"), ("x:y", "z")],
    "a name with CRLF": [(":status", "200"), ("x\r\ny", "z")],
    "a value with CRLF": [(":status", "200"), ("x", "y\r\nset-cookie: z")],
    "a value with LF": [(":status", "200"), ("x", "y\nz")],
    "a value with CR": [(":status", "200"), ("x", "y\rz")],
    "a value with NUL": [(":status", "200"), ("x", "y\0z")],
    "a value with a control byte": [(":status", "200"), ("x", "y\x01z")],
    "a value with DEL": [(":status", "200"), ("x", "y\x7fz")],
    "a value that begins with a space": [(":status", "200"), ("x", " y")],
    "a value that ends in a tab": [(":status", "200"), ("x", "y\t")],
    "connection": [(":status", "200"), ("connection", "close")],
    "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "keep-alive": [(":status", "200"), ("keep-alive", "1")],
    "upgrade": [(":status", "200"), ("upgrade", "x")],
    "proxy-connection": [(":status", "200"), ("proxy-connection", "x")],
    "content-length twice": [(":status", "200"), ("content-length", "0"), ("content-length", "1")],
    "content-length with a sign": [(":status", "200"), ("content-length", "+0")],
    "content-length list": [(":status", "200"), ("content-length", "0, 0")],
    "content-length of letters": [(":status", "200"), ("content-length", "x")],
    "a length without a body": [(":status", "200"), ("content-length", "5")],
    "a name like a framing field": [(":status", "200"), ("content_length", "5")],
    "too many fields": [(":status", "200")] + [("x", "y")] * 101,
    "too many bytes": [(":status", "200"), ("x", "y" * 100000)],
}


def h2_frames(n):
    ok = [(":status", "200")]
    return {
        "DATA before HEADERS": frame(DATA, END_STREAM, n, b"x"),
        "1xx that ends": headers(n, [(":status", "103")], end=True),
        "trailers with a status": headers(n, ok, end=False) + headers(n, ok),
        "trailers without an end": headers(n, ok, end=False) + headers(n, [("x", "y")], end=False),
        "more than its length": headers(n, ok + [("content-length", "1")], end=False) + frame(DATA, END_STREAM, n, b"hello"),
        "less than its length": headers(n, ok + [("content-length", "9")], end=False) + frame(DATA, END_STREAM, n, b"hello"),
        "a window too large": frame(WINDOW, 0, n, b"\x7f\xff\xff\xff") * 2,
        "a reset": frame(RST, 0, n, b"\0\0\0\2"),
        "a goaway": frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\1"),
        "a push": frame(PUSH, END_HEADERS, n, b"\0\0\0\2" + block(ok)),
        "a frame too large": frame(DATA, 0, n, b"x" * 20000),
        "broken HPACK": frame(HEADERS, END_HEADERS | END_STREAM, n, b"\xff\xff\xff\xff\xff"),
        "HEADERS then something else": frame(HEADERS, END_STREAM, n, block(ok)) + frame(SETTINGS, 0, 0),
        "CONTINUATION alone": frame(CONTINUATION, END_HEADERS, n, block(ok)),
        "many 1xx": headers(n, [(":status", "103")], end=False) * 100 + headers(n, ok),
        "a stream of its own": headers(2, ok),
    }


def test_a_malformed_http2_answer_becomes_502(world, peer):
    answer = {}

    def reply(n, fields):
        return answer["make"](n)
    b = world.add(H2Server(reply))
    port = start(world, peer, b, **h2_options())
    wrong = []
    table = {name: (lambda n, f=f: headers(n, f)) for name, f in H2_BAD.items()}
    table.update({name: (lambda n, name=name: h2_frames(n)[name]) for name in h2_frames(1)})
    started = {"trailers with a status", "trailers without an end", "more than its length", "less than its length"}
    for name, make in table.items():
        answer["make"] = make
        got, ended = talk(port, GET)
        codes = statuses(got)
        sound = name in ("a reset", "a goaway") and codes in ([502], [503])
        cut = name in started and codes in ([200], []) and not got.endswith(b"0\r\n\r\n")
        if not ended or not (codes[-1:] == [502] or sound or cut) or b"set-cookie" in got:
            wrong.append((name, got[:120], ended))
        answer["make"] = lambda n: headers(n, [(":status", "204")])
        got, _ = talk(port, GET)
        if statuses(got) != [204]:
            wrong.append((name, "the next", got[:90]))
    wrong = unexplained(peer, "strict_upstream.http2", wrong)
    assert not wrong, f"{len(wrong)}: " + "\n".join(map(str, wrong))


def test_an_upstream_that_floods_is_cut_and_costs_one_request(world, peer):
    """The same budgets hold towards upstreams; the client gets an answer, and the next request a new connection."""
    import struct
    from raw_kit import PING, PRIORITY
    ok = [(":status", "200")]
    floods = {
        "ping": lambda n: frame(PING, 0, 0, b"12345678") * 20000,
        "settings": lambda n: frame(SETTINGS, 0, 0) * 20000,
        "settings, large": lambda n: frame(SETTINGS, 0, 0, struct.pack(">HI", 99, 1) * 100) * 3000,
        "priority": lambda n: frame(PRIORITY, 0, n, b"\0\0\0\0\1") * 20000,
        "window updates": lambda n: frame(WINDOW, 0, 0, b"\0\0\0\1") * 20000,
        "unknown": lambda n: frame(0x77, 0, 0, b"x") * 20000,
        "empty data": lambda n: headers(n, ok, end=False) + frame(DATA, 0, n) * 20000,
        "padding": lambda n: headers(n, ok, end=False) + frame(DATA, 8, n, b"\0") * 20000,
        "continuation": lambda n: frame(HEADERS, 0, n, block(ok)) + frame(CONTINUATION, 0, n) * 20000,
        "1xx": lambda n: headers(n, [(":status", "103")], end=False) * 20000,
        "header bomb": lambda n: frame(HEADERS, END_HEADERS, n, block(ok) + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 12000),
        "resets": lambda n: frame(RST, 0, n, b"\0\0\0\x08") * 20000,
    }
    answer = {}
    b = world.add(H2Server(lambda n, fields: answer["make"](n)))
    port = start(world, peer, b, **h2_options())
    wrong = []
    for name, make in floods.items():
        answer["make"] = make
        before = b.connections
        got, ended = talk(port, GET, 10 if peer == "egret" else 2)
        if not ended or (statuses(got)[-1:] not in ([502], [503]) and got.endswith(b"0\r\n\r\n")) or b.connections > before + 2:
            wrong.append((name, got[-120:], ended, b.connections - before))
        answer["make"] = lambda n: headers(n, [(":status", "204")])
        if statuses(talk(port, GET)[0]) != [204]:
            wrong.append((name, "the next"))
    wrong = unexplained(peer, "strict_upstream.floods", wrong)
    assert not wrong, "\n".join(map(str, wrong))
