"""HTTP/1.1 from clients: what two parsers could read in two ways is refused, and nothing of it goes further."""
import pytest

from configs import bootstrap, cluster, hcm, listener
from envoy_differs import some, unexplained
from harness import free_port
from raw_kit import Recorder, is_one_sound_request, stats, statuses, talk, peer, world  # noqa: F401

SECOND = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
H = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ROUTES = [{"match": {"prefix": "/"}, "route": {"cluster": "b"}}, {"match": {"connect_matcher": {}}, "route": {"cluster": "b"}}]


@pytest.fixture(scope="module")
def rig(world, peer):
    b = world.add(Recorder())
    port, admin = free_port(), free_port()
    world.proxy(peer, bootstrap([listener(port, hcm(routes=ROUTES))], [cluster("b", b.port)], admin=admin), port, admin)
    world.admin = admin
    return b, port


def codings():
    """Transfer-Encoding lines that are not exactly `chunked`."""
    odd = [b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1f", b"\x7f", b"\x80", b"\xa0", b"\xff", b"\xc2\xa0", b'"', b"'", b",", b";", b"\\", b"_"]
    for c in odd:
        yield b"Transfer-Encoding: " + c + b"chunked"
        yield b"Transfer-Encoding: chunked" + c
        yield b"Transfer-Encoding:" + c + b"chunked"
        yield b"Transfer-Encoding" + c + b": chunked"
        if c not in (b"'", b"_"):  # a token of its own, another field
            yield c + b"Transfer-Encoding: chunked"
            yield b"Transfer" + c + b"Encoding: chunked"
    for v in (b"identity", b"gzip", b"deflate", b"compress", b"cow", b"x-chunked", b"chunkedx", b"chunke", b"chunk", b"", b" ", b"\t",
              b"chunked, chunked", b"chunked,chunked", b"gzip, chunked", b"chunked, gzip", b"chunked, identity", b"identity, chunked",
              b"chunked;q=1", b"chunked;a=b", b"chunked; ", b'"chunked"', b"'chunked'", b"chunked,", b",chunked", b", chunked", b"chunked ,",
              b"chunked\t,", b"chun ked", b"chun\tked", b"c hunked", b"trailers", b"0", b"true", b"chunked chunked", b"chunked\r", b"\rchunked",
              b"CHUNKED\x00", b"chunKed, x", b"\xe2\x80\x8bchunked", b"chunked\xe2\x80\x8b", b"\xef\xbb\xbfchunked", b"(x)chunked", b"chunked(x)"):
        yield b"Transfer-Encoding: " + v
    for n in (b"Transfer_Encoding", b"transfer.encoding", b"TransferEncoding", b"Transfer-Encoding-", b"-Transfer-Encoding", b"Transfer--Encoding",
              b"Transfer-Encoding_", b"_Transfer-Encoding", b"Transfer-_Encoding", b"Transfer+Encoding", b"Transfer~Encoding", b"transfer`encoding",
              b"Transfer!Encoding", b"Transfer-Encoding'", b"Transfer Encoding", b" Transfer-Encoding", b"\tTransfer-Encoding", b"Transfer-Encoding ",
              b"Transfer-Encoding\t", b"Transfer\\Encoding", b"X: y\rTransfer-Encoding", b"X: y\nTransfer-Encoding", b"X: \x00\r\nTransfer-Encoding"):
        yield n + b": chunked"
    for fold in (b"\r\n ", b"\r\n\t", b"\n ", b"\r ", b"\n", b"\r"):
        yield b"Transfer-Encoding:" + fold + b"chunked"
        yield b"Transfer-Encoding: x" + fold + b"chunked"
        yield b"X: y" + fold + b"Transfer-Encoding: chunked"
        yield b"Transfer-Encoding: chunked" + fold + b"x"
    yield b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"
    yield b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"
    yield b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"
    yield b"Transfer-Encoding: chunked\r\ntransfer-encoding:"
    yield b"Transfer-Encoding"
    yield b"Transfer-Encoding chunked"
    yield b"Transfer-Encoding : chunked"
    yield b": chunked"


def lengths():
    for v in (b"+5", b"-5", b"-0", b"+0", b"0x5", b"0X5", b"5.0", b"5e0", b"1e1", b"5,5", b"5, 5", b"5,6", b"5;5", b"5 5", b"5\t5", b"", b" ", b"five", b"05x",
              b"5\x00", b"\x005", b"5\x0b", b"\x0b5", b"\x0c5", b"5\x0c", b"\xa05", b"5\xa0", b"'5'", b'"5"', b"5,", b",5", b"0b101", b"0o5", b"5_0", b"1_0",
              b"18446744073709551616", b"18446744073709551621", b"99999999999999999999999999", b"9223372036854775808", b"4294967301" * 4, b"\xef\xbc\x95",
              b"5\r", b"5\r\n 5", b"5\r\n\t5", b"\r\n 5", b"\n5", b"5\n", b"NaN", b"inf", b"5 ;", b"5/5", b"(5)", b"$5", b"5%", b"%35"):
        yield b"Content-Length: " + v
    for n in (b"Content_Length", b"Content.Length", b"ContentLength", b"Content--Length", b"Content-Length-", b"-Content-Length", b"Content-Length_", b"_Content-Length",
              b"Content Length", b" Content-Length", b"Content-Length ", b"Content-Length\t", b"\x0bContent-Length", b"Content-Length\x00", b"Content\x00-Length",
              b"Content-Length\x0b", b"Content~Length", b"content+length", b"Content\\Length", b"Content-Length\xa0", b"\xffContent-Length"):
        yield n + b": 5"
    for a, b in ((b"5", b"5"), (b"5", b"6"), (b"0", b"5"), (b"5", b"0"), (b"5", b""), (b"", b"5"), (b"5", b"05")):
        yield b"Content-Length: " + a + b"\r\nContent-Length: " + b
        yield b"Content-Length: " + a + b"\r\nX: y\r\ncontent-length: " + b


def chunks():
    """Bodies behind Transfer-Encoding: chunked that are none."""
    for size in (b"+5", b"-5", b"0x5", b"0X5", b" 5", b"\t5", b"5 ", b"5\t", b"5_0", b"", b"g", b"5g", b"5,5", b"5.", b"\x005", b"5\x00", b"\x0b5", b"5\x0b", b"5\x0c", b'"5"',
                 b"1" + b"0" * 16, b"f" * 16, b"f" * 17, b"8" + b"0" * 15, b"0" * 17 + b"5", b"10000000000000005", b"FFFFFFFFFFFFFFFB", b"\xef\xbc\x95", b"5\r", b"5h", b"-0", b"+0"):
        yield size + b"\r\nhello\r\n0\r\n\r\n"
    for line in (b"5\n", b"5\r", b"5\r\r\n", b"5\n\r\n", b"5;\n", b"5;a\n", b"5;a=b\n", b"5;a\rb\r\n", b"5;a\x00\r\n", b'5;a="b\n"\r\n', b'5;a="\r\n', b"5;=\r\n", b"5;a=\r\n", b"5 ;a\r\n",
                 b"5;;\r\n", b"5;a b\r\n", b"5;a=b c\r\n", b"5;" + b"a" * 20000 + b"\r\n", b"5;a=\x7f\r\n", b"5;\x01\r\n", b'5;a="b"c\r\n', b"5;,\r\n", b"5;a\x0b\r\n", b"5;\r\n"):
        yield line + b"hello\r\n0\r\n\r\n"
    for rest in (b"hello\n0\r\n\r\n", b"hello0\r\n\r\n", b"helloX\r\n0\r\n\r\n", b"hell\r\n0\r\n\r\n", b"hello\r0\r\n\r\n", b"hello\r\n\r\n0\r\n\r\n", b"hello\r\nX\r\n\r\n", b"hello \r\n0\r\n\r\n"):
        yield b"5\r\n" + rest
    for trailer in (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"X : y\r\n", b"X\r\n", b": y\r\n", b" X: y\r\n", b"X: y\r\n z\r\n", b"X: y\n", b"X: \x00\r\n", b"X: \x01y\r\n",
                    b"X: y\rz\r\n", b"Content_Length: 5\r\n", b"Authorization: x\r\n", b"X: " + b"a" * 70000 + b"\r\n", b"X\x00: y\r\n", b"Connection: x\r\n", b"TE: x\r\n", b"Trailer: x\r\n"):
        yield b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n"
    yield b"5\r\nhello\r\n0\n\r\n"
    yield b"5\r\nhello\r\n0\r\n\n"
    yield b"5\r\nhello\r\n0\r\r\n\r\n"
    yield b"5\r\nhello\r\n00000000000000000000000000\r\n\r\n"
    yield b"5\r\nhello\r\n-0\r\n\r\n"
    yield b"5\r\nhello\r\n0;\r\n\r\n"


def hosts():
    for v in (b"", b" ", b"a b", b"a\tb", b"a,b", b"a;b", b"a/b", b"a/", b"/a", b"http://a", b"u@a", b"u:p@a", b"@a", b"a@", b"a#b", b"a?b", b"a\\b", b"a:b", b"a:80:80", b"a:-1", b"a:65536", b"a:99999", b"a:8o",
              b"a: 80", b"a:+80", b"[::1", b"::1]", b"[::1]x", b"[]", b"[g::1]", b"[::1]:x", b"[::1]80", b"[fe80::1%25eth0]", b":80", b":", b"a\x00", b"a\x00b", b"a\x01", b"a\x7f", b"a\xff", b"\xc3\xa4", b"a\"b", b"<a>", b"a|b",
              b"{a}", b"a^b", b"a`b", b"%61", b"a%00b", b"a%2fb", b"a%0d%0ax", b"a" * 300, b"a\x0b", b"a\x0cb", b"'a'", b"a!b", b"a$b", b"a&b", b"(a)", b"a*b", b"a+b", b"a=b"):
        yield b"GET / HTTP/1.1\r\nHost: " + v + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nX: y\r\n\r\n"
    for two in (b"Host: a\r\nHost: a", b"Host: a\r\nHost: b", b"Host: a\r\nhost: a", b"Host: a\r\nX: y\r\nHOST: b", b"Host:\r\nHost: a", b"Host: a\r\n Host: b", b"Host : a", b"Host\t: a", b" Host: a", b"\tHost: a", b"Host: a\r\n b", b"Ho\x00st: a", b"Host\x00: a",
                b"Host: a\nHost: b", b"Host: a\rHost: b", b"X: y\r\n Host: a", b"Host a", b"Host"):
        yield b"GET / HTTP/1.1\r\n" + two + b"\r\n\r\n"
    for target in (b"http://u@a/", b"http://u:p@a/", b"http://@a/", b"http:///", b"http://", b"http:/a", b"http:a", b"//", b"http://b/", b"https://b/", b"http://a:81/", b"ftp://a/", b"ws://a/", b"file:///x", b"gopher://a/", b"a", b"a/b", b"*", b"", b"?x", b"#", b"http://a#b",
                   b"http://a b/", b"http://a\\b/", b"http://a@b/", b"http://b@a/", b"http://a%00/", b"http://a\x00/", b"http://[::1/", b"http://a:b/", b"httpx://a/", b"://a/", b"a:80", b"http//a/", b"HTTP/1.1"):
        if target != b"//":
            yield b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def lines():
    for v in (b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b" GET / HTTP/1.1", b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1", b"GET / HTTP/1.1 ", b"GET / HTTP/1.1\t", b"GET /HTTP/1.1", b"GET / ", b"GET /", b"GET", b"GET / HTTP", b"GET / HTTP/", b"GET / HTTP/1",
              b"GET / HTTP/1.", b"GET / HTTP/.1", b"GET / HTTP/11", b"GET / HTTP/1.1.1", b"GET / HTTP/1.10", b"GET / HTTP/01.1", b"GET / HTTP/1.01", b"GET / http/1.1", b"GET / Http/1.1", b"GET / HTTP /1.1", b"GET / HTTP/ 1.1", b"GET / HTTP/1 .1", b"GET / HTTP/a.b",
              b"GET / HTTP-1.1", b"GET / HTTP\\1.1", b"GET / ICE/1.1", b"GET / HTTPS/1.1", b"GET / HTTP/+1.1", b"GET / HTTP/1,1", b"GET / x HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /\x01 HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET /\x80 HTTP/1.1",
              b"GET /\xc3\xa4 HTTP/1.1", b"GET /a#b HTTP/1.1", b"GET /\x0b HTTP/1.1", b"GET /\x0cHTTP/1.1", b"GET / HTTP/1.1\x00", b"G\x00ET / HTTP/1.1", b"G(ET / HTTP/1.1", b"G/T / HTTP/1.1", b'"GET" / HTTP/1.1', b"GET: / HTTP/1.1", b"G\xc3\x84T / HTTP/1.1", b"{GET} / HTTP/1.1",
              b"G@T / HTTP/1.1", b"GET,GET / HTTP/1.1", b"\x16\x03\x01 / HTTP/1.1", b"\x00GET / HTTP/1.1", b"\r\n\r\nGET / HTTP/1.1", b"\n\nGET / HTTP/1.1", b"\nGET / HTTP/1.1", b"\rGET / HTTP/1.1", b"GET / HTTP/1.1\r", b"GET\n/ HTTP/1.1", b"GET /\rHTTP/1.1", b"GET /\r\n HTTP/1.1", b"HTTP/1.1 200 OK"):
        yield v + b"\r\nHost: a\r\n\r\n"
    yield b"GET / HTTP/1.1\nHost: a\n\n"
    yield b"GET / HTTP/1.1\nHost: a\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\n\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n"
    yield b"GET / HTTP/1.1\rHost: a\r\r"  b"\r\n\r\n"
    yield b"GET /\r\n\r\n"
    yield b"GET\r\n\r\n"


def fields():
    names = [bytes([c]) for c in (*range(0, 9), *range(11, 13), *range(14, 33), *b'"(),/;<=>?@[\\]{}', *range(127, 161), 255)]
    for c in names:
        yield b"X" + c + b"Y: z"
        yield b"X" + c + b": z"
    for c in (*range(0, 9), 11, 12, *range(14, 32), 127):
        yield b"X: a" + bytes([c]) + b"b"
        yield b"X: a" + bytes([c])
    for v in (b": z", b" : z", b"X", b"X y", b" X: y", b"\tX: y", b"X : y", b"X: y\r\n z", b"X: y\r\n\tz", b"X: y\rZ: w", b"X: y\nZ: w", b"X: y\r\r", b"X\r\n: y", b"X:y\r", b"Connection: @", b"Connection: close\x00", b"Connection: host", b"Connection: content-length",
              b"Connection: transfer-encoding", b"Connection: authorization", b"Connection: cookie", b"Connection: x-forwarded-for", b"Connection: :path", b"Connection: a b"):
        yield v


def cases():
    groups = {
        # both framings: nothing that names Transfer-Encoding is taken beside a length, nor anything odd without one
        "te-with-cl": [H + b"Content-Length: 5\r\n" + x + b"\r\n\r\n0\r\n\r\n" for x in (b"Transfer-Encoding: chunked", *codings())],
        "te-before-cl": [H + x + b"\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" for x in (b"Transfer-Encoding: chunked", *codings())],
        "te": [H + x + b"\r\n\r\n0\r\n\r\n" for x in codings()],
        "te-beside-chunked": [H + CHUNKED + x + b"\r\n\r\n0\r\n\r\n" for x in codings()],
        "te-old": [b"POST / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n0\r\n\r\n"],
        "cl": [H + x + b"\r\n\r\nhello" for x in lengths()],
        "cl-get": [b"GET / HTTP/1.1\r\nHost: a\r\n" + x + b"\r\n\r\nhello" for x in lengths()],
        "cl-chunked": [H + CHUNKED + x + b"\r\n\r\n0\r\n\r\n" for x in lengths()],
        "host": list(hosts()),
        "line": list(lines()),
        "field": [b"GET / HTTP/1.1\r\nHost: a\r\n" + x + b"\r\n\r\n" for x in fields()],
    }
    return groups


CASES = cases()
EXPECTED = (400, 408, 414, 417, 426, 431, 501, 505)


def answer_to(peer, port, raw):
    """Who takes a request for sound answers and waits for the next: nobody has to wait along for seconds."""
    if peer == "egret":
        return talk(port, raw, 3.0)
    return talk(port, raw, 0.4, enough=lambda got: got.count(b"\r\n\r\nok") >= 2)


@pytest.mark.parametrize("group", CASES)
def test_a_refused_head_gets_its_answer_and_reaches_nobody(rig, peer, group):
    b, port = rig
    wrong = []
    for raw in some(peer, CASES[group]):
        b.clear()
        got, ended = answer_to(peer, port, raw + SECOND)
        codes = statuses(got)
        if not ended or len(codes) != 1 or codes[0] not in EXPECTED or b.bytes():
            wrong.append((raw[:90], codes, "" if ended else "left open", b.bytes()[:60]))
    wrong = unexplained(peer, f"strict_h1.{group}", wrong)
    assert not wrong, f"{len(wrong)} of {len(CASES[group])}: " + "\n".join(map(str, wrong))


@pytest.mark.parametrize("group", CASES)
def test_the_same_in_single_bytes(rig, peer, group):
    """The verdict does not depend on how the bytes arrive: a sample, cut at every place that matters."""
    import random
    import socket
    b, port = rig
    rng = random.Random(group)
    for raw in rng.sample(CASES[group], min(8, len(CASES[group]))):
        raw = raw[:400]
        b.clear()
        with socket.create_connection(("127.0.0.1", port), 3) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(3)
            got = b""
            try:
                for i in range(len(raw)):
                    s.send(raw[i:i + 1])
                s.sendall(SECOND)
                while more := s.recv(65536):
                    got += more
            except ConnectionError:
                pass
        assert len(statuses(got)) <= 1 and not b"".join([b.bytes()]) and b" 200 " not in got, raw


def test_a_bad_chunked_body_ends_the_connection(rig, peer):
    """Its head has gone upstream: the answer is 400 and the upstream connection is cut, its message never completed."""
    b, port = rig
    wrong = []
    for body in chunks():
        b.clear()
        got, ended = answer_to(peer, port, H + CHUNKED + b"\r\n" + body + SECOND)
        codes = statuses(got)
        seen = b.bytes()
        if not ended or 200 in codes or len(codes) > 1 or b"/second" in seen or b"0\r\n\r\n" in seen:
            wrong.append((body[:60], codes, "" if ended else "left open", seen[-60:]))
    wrong = unexplained(peer, "strict_h1.chunks", wrong)
    assert not wrong, f"{len(wrong)}: " + "\n".join(map(str, wrong))


GOOD = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHOST:a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a:80\r\nX: \r\nY:\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET HTTP://A/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /?a=b&c[]=d%00 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    b"PURGE / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\xc3\xa4\xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-_y!#$%&'*+.^`|~: z\r\n\r\n",
    H + b"Content-Length: 5\r\n\r\nhello",
    H + b"Content-Length:\t5 \r\n\r\nhello",
    H + b"Content-Length: 0\r\n\r\n",
    H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    H + b"TRANSFER-ENCODING:  Chunked \r\n\r\n5;a=b;c=\"d e\"\r\nhello\r\n000\r\nX: y\r\n\r\n",
    H + b"Transfer-Encoding: chunked\r\n\r\n005\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-one, , keep-alive\r\nX-One: 1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
]


def test_sound_requests_pass_as_one_sound_message_and_the_next_is_served(rig):
    b, port = rig
    for raw in GOOD:
        b.clear()
        got, _ = talk(port, raw + SECOND, 5.0, enough=lambda g: g.count(b"\r\n\r\nok") == 2)
        assert statuses(got) == [200, 200], (raw, got)
        assert is_one_sound_request(b.bytes()) is None and b"GET /second HTTP/1.1" in b.bytes(), (raw, b.bytes())
        assert b"x-one" not in b.bytes().lower() and b"a=b;c=" not in b.bytes() and b"h2c" not in b.bytes()


def test_exact_statuses(rig):
    _, port = rig
    table = [
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 426),
        (b"A" * 100 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
        (b"A" * 33, 501),  # at once, not at the timeout
        (b"GET,", 400),
        (b"\x16\x03\x01", 400),
        (H + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417),
        (b"GET / HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n", 400),
    ]
    for raw, status in table:
        got, ended = talk(port, raw + (b"" if len(raw) < 40 else SECOND), 5.0)
        assert (statuses(got), ended) == ([status], True), raw[:60]
        assert b"\r\nconnection: close\r\n" in got.lower()


def test_a_body_cut_short_is_no_request(rig):
    """FIN within a body: the upstream never sees an end, and the client no success."""
    import socket
    b, port = rig
    for raw in (H + b"Content-Length: 10\r\n\r\nhello", H + CHUNKED + b"\r\n5\r\nhel", H + CHUNKED + b"\r\n5\r\nhello\r\n", H + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n",
                H + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX: y\r\n", H + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r", H + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\xf8",
                b"GET / HTTP/1.1\r\nHost:"):
        b.clear()
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(5)
            s.sendall(raw)
            s.shutdown(socket.SHUT_WR)
            got = b""
            try:
                while more := s.recv(65536):
                    got += more
            except ConnectionError:
                pass  # a timeout fails: nobody waits for what cannot come
        assert 200 not in statuses(got), raw
        assert b"\r\n0\r\n\r\n" not in b.bytes()


def test_what_was_answered_before_a_request_was_cut_short_still_arrives(rig):
    import socket
    _, port = rig
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(5)
            s.sendall(SECOND + H + b"Content-Length: 10\r\n\r\nhello")
            s.shutdown(socket.SHUT_WR)
            got = b""
            while more := s.recv(65536):
                got += more
        assert statuses(got) == [200] and got.endswith(b"ok"), got


TOKENS = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"chunked", CHUNKED, b"Content-Length: 3\r\n", b"Host: b\r\n", b"0", b"1", b"+", b"-", b"0x", b"\x0b", b"\x80", b"\xff", b"HTTP/1.0",
          b"0\r\n\r\n", SECOND, b"_", b'"', b"\\"]


def mutated(rng):
    raw = bytearray(rng.choice(GOOD) + rng.choice(GOOD))
    for _ in range(rng.randint(1, 4)):
        at, what = rng.randrange(len(raw) + 1), rng.randrange(4)
        if what == 0:
            raw[at:at] = rng.choice(TOKENS)
        elif what == 1:
            del raw[at:at + rng.randint(1, 3)]
        elif what == 2 and at < len(raw):
            raw[at] = rng.randrange(256)
        else:
            raw[at:at] = raw[at:at + rng.randint(1, 40)]
    return bytes(raw)


def test_whatever_of_a_damaged_request_goes_on_is_sound_and_nothing_stays_behind(rig, world):
    """Pairs of requests with random damage, then FIN: what goes upstream is sound or visibly cut, and every request ends."""
    import random
    import socket
    import time
    b, port = rig
    rng, wrong, went_on = random.Random(20), [], 0
    for _ in range(1500):
        raw = mutated(rng)
        b.clear()
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(8)
            try:
                s.sendall(raw)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except ConnectionError:
                pass
            except OSError as e:
                wrong.append((raw, repr(e)))
        for session in list(b.sessions):
            problem = is_one_sound_request(bytes(session))
            cut = problem and ("bytes of body" in problem or problem.startswith("chunk b''") or problem == "trailers")
            odd_method = problem and problem.startswith("request line")  # any token is a method
            went_on += bool(session)
            if problem and not cut and not odd_method:
                wrong.append((raw, bytes(session), problem))
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"
    assert went_on > 200
    time.sleep(0.3)
    left = {k: v for k, v in stats(world.admin).items() if k.endswith(("downstream_rq_active", "upstream_rq_active")) and v}
    assert not left, left
