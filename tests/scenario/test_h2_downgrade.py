"""HTTP/2 requests towards an HTTP/1 upstream: what would not be one sound HTTP/1 message goes nowhere."""
import pytest

from configs import bootstrap, cluster, h2_options, hcm, listener
from envoy_differs import some, unexplained
from harness import free_port
from raw_kit import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, RST, H2Client, H2Server, Recorder, block, frame, headers, is_one_sound_request,
                     request, peer, world)  # noqa: F401

ROUTES = [{"match": {"prefix": "/h2"}, "route": {"cluster": "h2"}}, {"match": {"prefix": "/"}, "route": {"cluster": "b"}},
          {"match": {"connect_matcher": {}}, "route": {"cluster": "b"}}]


@pytest.fixture(scope="module")
def rig(world, peer):
    b = world.add(Recorder())
    h2 = world.add(H2Server(lambda n, fields: headers(n, [(":status", "200")], end=False) + frame(DATA, END_STREAM, n, b"ok")))
    port = free_port()
    world.proxy(peer, bootstrap([listener(port, hcm(routes=ROUTES))], [cluster("b", b.port), cluster("h2", h2.port, **h2_options())]), port)
    return b, h2, port


GET = request()


def without(name):
    return [f for f in GET if f[0] != name]


def put(name, value):
    return [(k, value if k == name else v) for k, v in GET]


def fields():
    """Field lines that are none in HTTP/1, or mean something about framing or the connection there."""
    smuggled = "b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a"
    for c in ("\r", "\n", "\r\n", "\0", "\r\n ", "\n\t", "\x01", "\x08", "\x0b", "\x0c", "\x0e", "\x1f", "\x7f"):
        yield "x", "a" + c + "b"
        yield "x", c + "a"
        yield "x", "a" + c
        yield "x" + c + "y", "a"
        yield c + "x", "a"
        yield "x" + c, "a"
        yield "x", "a" + c + "transfer-encoding: chunked"
        yield "x" + c + "transfer-encoding", "chunked"
        yield "x: y" + c + "transfer-encoding", "chunked"
        yield "cookie", "a=b" + c
        yield "content-type", "a" + c + "content-length: 0"
    yield "x", smuggled
    yield "x: " + smuggled, "y"
    yield "x\r\n\r\nGET /smuggled HTTP/1.1\r\nx", "y"
    for n in ("transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings"):
        for v in ("chunked", "close", "x", ""):
            yield n, v
    for n in ("Transfer-Encoding", "X", "xY", "CONTENT-LENGTH", "Host", "transfer-Encoding", "", " ", ":", ":x", ":status", "x y", " x", "x ", "x:", "x:y", "x\t", "(x)", "x@", "x/y", "x[", "x=", "x,y", 'x"', "\xe4", "x\xff", "x;y", "{x}", "transfer_encoding", "content_length",
              "content.length", "transfer-encoding ", " transfer-encoding", "transfer-encoding:", "transfer\x00-encoding", "content-length ", "content--length", "contentlength", "transferencoding", "transfer-encoding\x0b", "x<y", "x>y", "x?y", "x\\y"):
        yield n, "1"
    for v in ("gzip", "trailers, gzip", "chunked", "deflate;q=0.5", "trailers\r\nx: y"):
        yield "te", v
    for v in ("5", "-1", "+0", "0x0", "0, 0", "0,1", "", " 0", "0 ", "zero", "18446744073709551616", "99999999999999999999999", "0\r\nx: y", "0;", "00x", "0\0"):
        yield "content-length", v
    yield "host", "b"
    yield "host", "a\r\nx: y"
    yield "host", "a b"
    yield "host", ""


def heads():
    for v in ("", " ", "a b", "a\r\nb", "/a b", "/a\r\nb", "/ HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled", "/\n", "/\r", "/\0", "/\x01", "/\t", "/\x7f", "/\xe4", "/#x", "x", "x/y", "*", "?", "//a b", "http://a/", "/a\x0bb", " /", "/ ", "/\x0c", "\\", "/\x80"):
        yield put(":path", v)
    for v in ("", " ", "GET ", " GET", "G ET", "GET\r\n", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET", "GET\0", "G(T", "GET:", "G\xe4T", "GET\t", "GET/", "{GET}", "GET,POST", "\x01", "G\x7fT", '"GET"', "GET\n"):
        yield put(":method", v)
    for v in ("", " ", "a b", "u@a", "u:p@a", "a\r\nx: y", "a\0", "a/", "a/b", "a?b", "a#b", "a,b", "a:b", "a:80:80", "a:99999", "a:-1", "[::1", "a\\b", "a\xe4", "@", "a@", "a%00", "a\x01", "a\t", " a", "a ", "a;b", "<a>", "a" * 300, "a|b", "a\n", "a\r", "[g::1]", "[]", "[::1]x"):
        yield put(":authority", v)
        yield without(":authority") + [("host", v)]
    for v in ("", " ", "ht tp", "http\r\nx: y", "http:", "http://a", "1http", "ftp", "javascript", "http\0", "ht\ntp", "https ", "HTTP/1.1"):
        yield put(":scheme", v)
    for n in (":method", ":path", ":scheme"):
        yield without(n)
        yield GET + [(n, dict(GET)[n])]
        yield without(n) + [("x", "y"), (n, dict(GET)[n])]
    yield without(":authority")
    yield GET + [(":authority", "a")]
    yield GET + [("x", "y"), (":authority", "a")]
    yield [("x", "y")] + GET
    for n in (":status", ":x", ":", ":Path", ":path ", ":host", ":version", ":method\0", ":protocol"):
        yield GET + [(n, "websocket" if n == ":protocol" else "200")]
        yield [(n, "x")] + GET
    yield GET + [("host", "a"), ("host", "a")]
    yield GET + [("host", "a"), ("host", "b")]
    yield put(":method", "CONNECT")
    yield [(":method", "CONNECT"), (":authority", "a")]
    yield [(":method", "CONNECT"), (":authority", "u@a:1")]
    yield [(":method", "CONNECT"), (":authority", "a:1/x")]
    yield [(":method", "CONNECT"), (":authority", "a:1 x")]
    yield [(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")]
    yield [(":method", "CONNECT"), (":authority", "a:1"), (":scheme", "http")]
    yield [(":method", "CONNECT")]


def reset_of(c, n, data):
    """The stream's reset code, or its status, after it was sent; and whether the connection still serves."""
    alive = c.send(data) and c.until(lambda: c.over(n) or c.closed, 5)
    st = c.stream(n)
    return st["reset"] if alive and st["reset"] is not None else c.status(n)


def run(rig, peer, name, tables, expect=(1,), allow_goaway=False):
    b, _, port = rig
    wrong, c = [], H2Client(port)
    tables = some(peer, tables)
    for i, (what, make) in enumerate(tables):
        if c.closed or c.goaway is not None or i % 200 == 199:
            c.close()
            c = H2Client(port)
        b.clear()
        n = c.id()
        verdict = reset_of(c, n, make(n))
        seen = b.bytes()
        if (verdict not in expect and not (allow_goaway and c.goaway)) or b"HTTP/1.1" in seen:
            wrong.append((what, verdict, c.goaway, seen[:80]))
        if not (c.closed or c.goaway is not None) and i % 10 == 0:
            m = c.id()
            c.send(headers(m, GET))
            if not c.until(lambda: c.over(m), 5) or c.status(m) != 200:
                wrong.append((what, "the connection is dead", c.goaway))
    c.close()
    wrong = unexplained(peer, name, wrong)
    assert not wrong, f"{len(wrong)} of {i + 1}: " + "\n".join(map(str, wrong))


def test_a_malformed_field_resets_its_stream_only(rig, peer):
    def body(f):
        return lambda n: headers(n, request("POST") + [f], end=False) + frame(DATA, END_STREAM, n, b"x")
    run(rig, peer, "h2_downgrade.fields", [(f, lambda n, f=f: headers(n, GET + [f])) for f in fields()])
    run(rig, peer, "h2_downgrade.fields", [(f, body(f)) for f in fields()])


def test_a_malformed_pseudo_field_resets_its_stream_only(rig, peer):
    run(rig, peer, "h2_downgrade.heads", [(h, lambda n, h=h: headers(n, h)) for h in heads()])


def test_the_declared_length_is_the_length(rig):
    post = request("POST")

    def sized(length, *parts):
        return lambda n: headers(n, post + [("content-length", length)], end=False) + b"".join(
            frame(DATA, END_STREAM if i == len(parts) - 1 else 0, n, p) for i, p in enumerate(parts))
    table = [("5 of 3", sized("5", b"abc")), ("2 of 3", sized("2", b"abc")), ("0 of 1", sized("0", b"a")), ("1 of 0", sized("1", b"")), ("5 of 3+1", sized("5", b"abc", b"d")), ("3 of 3+1", sized("3", b"abc", b"d")),
             ("5 ended by HEADERS", lambda n: headers(n, post + [("content-length", "5")])),
             ("two lengths", lambda n: headers(n, post + [("content-length", "1"), ("content-length", "1")], end=False) + frame(DATA, END_STREAM, n, b"a")),
             ("short, with trailers", lambda n: headers(n, post + [("content-length", "5")], end=False) + frame(DATA, 0, n, b"abc") + headers(n, [("x", "y")]))]
    b, _, port = rig
    for what, make in table:
        c = H2Client(port)
        b.clear()
        n = c.id()
        assert reset_of(c, n, make(n)) == 1, (what, c.stream(n))
        assert b"/second" not in b.bytes() and is_one_sound_request(b.bytes()) is not None or b.bytes() == b"", what
        assert c.ask(GET)["body"] == b"ok", what
        c.close()


def test_malformed_trailers_reset_their_stream(rig):
    b, _, port = rig
    bad = [(":method", "GET"), (":x", "y"), ("X", "y"), ("x", "a\r\nb"), ("x", "a\0"), ("x y", "z"), ("connection", "close"), ("transfer-encoding", "chunked"), ("content-length", "1"), ("host", "a"), ("content_length", "1"), ("", "x"), ("x:", "y"),
           ("te", "gzip"), ("x", " y"), ("x", "\x01")]
    for f in bad:
        c = H2Client(port)
        n = c.id()
        b.clear()
        c.send(headers(n, request("POST"), end=False) + frame(DATA, 0, n, b"abc") + headers(n, [f]))
        c.until(lambda: c.over(n) or c.closed, 5)
        assert c.stream(n)["reset"] == 1 and b"\r\n0\r\n" not in b.bytes(), (f, c.stream(n), b.bytes())
        c.close()


def test_sound_requests_become_one_sound_message(rig):
    b, _, port = rig
    c = H2Client(port)
    good = [GET, request("POST"), GET + [("x", "\xe4\xff")], GET + [("x", "")], GET + [("cookie", "a=b"), ("cookie", "c=d")], GET + [("te", "trailers")], GET + [("host", "a")], without(":authority") + [("host", "a")], GET + [("content-length", "0")],
            put(":path", "/a?b=c%00"), put(":authority", "[::1]:80"), put(":method", "PURGE"), put(":scheme", "https"), GET + [("x-" + "y" * 200, "z" * 5000)]]
    for h in good:
        b.clear()
        st = c.ask(h)
        assert st["body"] == b"ok", (h, st)
        assert is_one_sound_request(b.bytes()) is None, (h, b.bytes())
    b.clear()
    c.ask(GET + [("cookie", "a=b"), ("cookie", "c=d")])
    assert b"\r\ncookie: a=b; c=d\r\n" in b.bytes()
    b.clear()
    n = c.id()
    c.send(headers(n, request("POST"), end=False) + frame(DATA, 0, n, b"hello") + headers(n, [("x-t", "1")]))
    assert c.until(lambda: c.over(n)) and b"transfer-encoding: chunked\r\n" in b.bytes() and b"5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n" in b.bytes()


def test_continuation_may_cut_a_head_anywhere(rig):
    b, _, port = rig
    c = H2Client(port)
    whole = block(GET + [("x", "y" * 50)])
    for cut in range(0, len(whole), 7):
        n = c.id()
        c.send(frame(HEADERS, END_STREAM, n, whole[:cut]) + frame(CONTINUATION, END_HEADERS, n, whole[cut:]))
        assert c.until(lambda: c.over(n)) and c.stream(n)["body"] == b"ok", cut


def test_the_same_bad_heads_reach_no_http2_upstream(rig, peer):
    _, h2, port = rig
    before = len(h2.requests)
    wrong = []
    c = H2Client(port)
    for i, f in enumerate(some(peer, fields())):
        if i % 150 == 149:
            c.close()
            c = H2Client(port)
        n = c.id()
        if reset_of(c, n, headers(n, request(path="/h2") + [f])) != 1:
            wrong.append((f, c.stream(n)))
    came = len(wrong)
    wrong = unexplained(peer, "h2_downgrade.fields", wrong)
    assert not wrong and len(h2.requests) <= before + came, wrong
    assert c.ask(request(path="/h2"))["body"] == b"ok" and (came or len(h2.requests) == before + 1)
