"""The order of things in a message: pipelines, interim and early answers, expectations, trailers, ends by halves."""
import re
import socket
import threading
import time

import pytest

from configs import bootstrap, cluster, h2_options, hcm, listener
from harness import free_port
from raw_kit import (DATA, END_STREAM, H2Client, H2Server, Recorder, frame, headers, request, statuses, talk, peer, world)  # noqa: F401

ROUTES = [{"match": {"prefix": "/h2"}, "route": {"cluster": "h2"}}, {"match": {"prefix": "/hang"}, "route": {"cluster": "hang", "timeout": "0s"}}, {"match": {"prefix": "/"}, "route": {"cluster": "b", "timeout": "5s"}}]
OK = b"HTTP/1.1 200 OK\r\n"


def answer(head, body):
    path = head.split(b" ")[1]
    if path.startswith(b"/early-hints"):
        return b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK + b"content-length: 2\r\n\r\nok"
    if path.startswith(b"/hundred"):
        return b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 2\r\n\r\nok"
    if path.startswith(b"/trailers"):
        return OK + b"transfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n"
    if path.startswith(b"/until-close"):
        return OK + b"connection: close\r\n\r\nok"
    if path.startswith(b"/slow"):
        time.sleep(0.3)
    return OK + b"content-length: %d\r\n\r\n" % (len(path) + len(body)) + path + body


class Early(Recorder):
    """Answers as soon as it has the head and reads no body; then keeps or ends the connection as the path says."""

    def body(self, s, log, head, data):
        return b"", b""


@pytest.fixture(scope="module")
def rig(world, peer):
    b = world.add(Recorder(answer))
    early = world.add(Early(lambda head, body: b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig"))
    hang = world.add(Recorder(silent=True))

    def h2_answer(n, fields):
        path = dict(fields).get(":path")
        if path == "/h2/hints":
            return headers(n, [(":status", "103"), ("link", "</a>")], end=False) + headers(n, [(":status", "204")])
        return headers(n, [(":status", "200")], end=False) + frame(DATA, 0, n, b"ok") + headers(n, [("x-t", "1")])
    h2 = world.add(H2Server(h2_answer))
    port = free_port()
    routes = [{"match": {"prefix": "/too-big"}, "route": {"cluster": "early"}}, {"match": {"prefix": "/here"}, "direct_response": {"status": 403, "body": {"inline_string": "no"}}}, *ROUTES]
    world.proxy(peer, bootstrap([listener(port, hcm(routes=routes))], [cluster("b", b.port), cluster("early", early.port), cluster("hang", hang.port), cluster("h2", h2.port, **h2_options())]), port)
    return {"b": b, "early": early, "hang": hang, "h2": h2, "port": port}


def test_a_pipeline_is_answered_in_order(rig):
    raw = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nPOST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcHEAD /three HTTP/1.1\r\nHost: a\r\n\r\n" \
          b"POST /four HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\nGET /five HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /six HTTP/1.1\r\nHost: a\r\n\r\n"
    got, ended = talk(rig["port"], raw)
    assert statuses(got) == [200] * 5 and ended
    order = [got.find(x) for x in (b"/slow", b"/twoabc", b"/four", b"/five")]
    assert order == sorted(order) and -1 not in order and b"/six" not in got


def test_interim_answers_pass_but_a_100_nobody_waits_for(rig):
    got, _ = talk(rig["port"], b"GET /early-hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert statuses(got) == [103, 102, 200] and b"link: </a.css>" in got and b"x-hop" not in got
    got, _ = talk(rig["port"], b"GET /hundred HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert statuses(got) == [200]
    c = H2Client(rig["port"])
    st = c.ask(request(path="/early-hints"))
    assert [h[0][1] for h in st["heads"]] == ["103", "102", "200"] and st["body"] == b"ok"
    st = c.ask(request(path="/h2/hints"))
    assert [h[0][1] for h in st["heads"]] == ["103", "204"]
    got, _ = talk(rig["port"], b"GET /h2/hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert statuses(got) == [103, 204]


def test_trailers_pass_in_all_four_combinations(rig):
    c = H2Client(rig["port"])
    for path in ("/trailers", "/h2/trailers"):
        got, _ = talk(rig["port"], f"GET {path} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n".encode())
        assert b"2\r\nok\r\n0\r\nx-t: 1\r\n\r\n" in got, got
        st = c.ask(request("GET", path, "a", "http", ("te", "trailers")))
        assert st["body"] == b"ok" and st["trailers"] == [("x-t", "1")], st


def test_expect_is_answered_when_the_body_is_wanted(rig):
    head = b"Host: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with socket.create_connection(("127.0.0.1", rig["port"]), 5) as s:
        s.sendall(b"POST /e HTTP/1.1\r\n" + head)
        assert s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"abc")
        assert b"/eabc" in s.recv(65536)
    assert b"\r\nexpect:" not in rig["b"].bytes().lower()
    # refused here, without a 100; whether a body follows cannot be known, so nothing else is read
    got, ended = talk(rig["port"], b"POST /here HTTP/1.1\r\n" + head + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert statuses(got) == [403] and ended
    # the body comes at once: no 100 is owed
    got, _ = talk(rig["port"], b"POST /e HTTP/1.1\r\nConnection: close\r\n" + head + b"abc")
    assert statuses(got)[-1] == 200 and got.endswith(b"/eabc")
    c = H2Client(rig["port"])
    n = c.id()
    c.send(headers(n, request("POST", "/e", "a", "http", ("expect", "100-continue")), end=False))
    assert c.until(lambda: c.stream(n)["heads"]) and c.status(n) == 100
    c.send(frame(DATA, END_STREAM, n, b"abc"))
    assert c.until(lambda: c.over(n)) and b"\r\nabc\r\n" in c.stream(n)["body"]


def test_an_early_answer_arrives_whole_and_its_upstream_connection_is_not_used_again(rig):
    before = len(rig["early"].sessions)
    for size in (3, 1000, 1 << 20):
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", rig["port"]), 10) as s:
                s.settimeout(10)
                s.sendall(b"POST /too-big HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (50 << 20) + b"x" * 3)
                time.sleep(0.05)
                try:
                    s.sendall(b"x" * size)
                except OSError:
                    pass
                got = b""
                try:
                    while more := s.recv(65536):
                        got += more
                except ConnectionError:
                    pass
                assert statuses(got) == [413] and got.endswith(b"big")
    assert len(rig["early"].sessions) == before + 9
    assert all(x.count(b"POST /too-big") <= 1 for x in rig["early"].sessions)


def test_a_short_rest_of_an_upload_is_read_and_the_connection_lives_on(rig):
    for how in (b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", rig["port"]), 5) as s:
            s.settimeout(5)
            s.sendall(b"POST /here HTTP/1.1\r\nHost: a\r\n" + how[:30])
            got = s.recv(65536)
            assert statuses(got) == [403]
            s.sendall(how[30:] + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            got = b""
            while not got.endswith(b"/next"):
                more = s.recv(65536)
                assert more, got
                got += more


def test_an_early_answer_over_http2_stops_a_long_upload_and_lets_a_short_one_end(rig):
    c = H2Client(rig["port"])
    n = c.id()
    c.send(headers(n, request("POST", "/here"), end=False))
    assert c.until(lambda: c.stream(n)["end"]) and c.stream(n)["body"] == b"no" and c.stream(n)["reset"] is None
    c.send(frame(DATA, END_STREAM, n, b"x" * 1000))
    n = c.id()
    c.send(headers(n, request("POST", "/here"), end=False))
    for _ in range(6):
        c.send(frame(DATA, 0, n, b"x" * 16000))
    assert c.until(lambda: c.stream(n)["reset"] is not None, 5) and c.stream(n)["reset"] == 0 and c.stream(n)["body"] == b"no"
    begun = time.monotonic()
    n = c.id()
    c.send(headers(n, request("POST", "/here"), end=False))
    assert c.until(lambda: c.stream(n)["reset"] is not None, 5) and c.stream(n)["reset"] == 0 and time.monotonic() - begun > 0.5
    assert c.ask(request(path="/x"))["body"] == b"/x"


def test_a_fin_behind_a_whole_request_still_gets_its_answer(rig):
    for raw in (b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"):
        with socket.create_connection(("127.0.0.1", rig["port"]), 5) as s:
            s.settimeout(5)
            s.sendall(raw)
            s.shutdown(socket.SHUT_WR)
            got = b""
            while more := s.recv(65536):
                got += more
        assert statuses(got) == [200]


def test_a_client_that_goes_away_takes_its_request_along(rig):
    ended = threading.Event()

    class Watch(Recorder):
        def recv(self, s, log):
            more = super().recv(s, log)
            if not more:
                ended.set()
            return more
    # the shared one is silent: its connection must end when the client's does
    before = len(rig["hang"].sessions)
    s = socket.create_connection(("127.0.0.1", rig["port"]))
    s.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    deadline = time.monotonic() + 5
    while len(rig["hang"].sessions) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()
    assert len(rig["hang"].sessions) == before + 1


def test_an_answer_until_close_is_whole_and_marked(rig):
    b = rig["b"]
    got, ended = talk(rig["port"], b"GET /until-close HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 0.5)
    assert statuses(got) == [200] and b"connection: close" in got.lower()
    assert b


def test_head_and_empty_statuses_over_both(rig):
    c = H2Client(rig["port"])
    st = c.ask(request("HEAD", "/abc"))
    assert st["end"] and st["body"] == b"" and ("content-length", "4") in st["head"]
    got, _ = talk(rig["port"], b"HEAD /abc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert got.endswith(b"\r\n\r\n") and b"content-length: 4" in got


def test_upper_limits_of_a_connection_are_kept(world):
    b = world.add(Recorder(answer))
    port = free_port()
    options = {"common_http_protocol_options": {"max_requests_per_connection": 3}, "http2_protocol_options": {"max_concurrent_streams": 5}}
    world.egret(bootstrap([listener(port, hcm(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "b"}}], **options))], [cluster("b", b.port)]), port)
    got, ended = talk(port, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
    assert statuses(got) == [200] * 3 and ended and got.lower().count(b"connection: close") == 1
    c = H2Client(port)
    assert c.ask(request(path="/x"))["body"] == b"/x" and c.goaway is None
    c.ask(request(path="/x"))
    c.ask(request(path="/x"))
    assert c.until(lambda: c.closed or c.goaway is not None, 5) and c.goaway == 0
    c = H2Client(port)
    c.until(lambda: c.frames)
    ids = [c.id() for _ in range(8)]
    c.send(b"".join(headers(n, request("POST", "/x"), end=False) for n in ids))
    c.until(lambda: c.closed or c.goaway is not None or sum(c.stream(n)["reset"] is not None for n in ids) >= 3, 5)
    assert c.goaway is not None or [c.stream(n)["reset"] for n in ids[5:]] == [7, 7, 7]


def test_a_refused_request_is_logged_with_its_flag_and_counted(world):
    from raw_kit import stats
    b = world.add(Recorder(answer))
    port, admin = free_port(), free_port()
    log = world.folder / "access.log"
    line = {"name": "file", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(log),
                                             "log_format": {"text_format_source": {"inline_string": "%RESPONSE_CODE% %RESPONSE_FLAGS%\n"}}}}
    world.egret(bootstrap([listener(port, hcm(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "b"}}], access_log=[line]))], [cluster("b", b.port)], admin=admin), port, admin)
    before = stats(admin)
    for raw in (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n"):
        assert statuses(talk(port, raw)[0])[0] in (400, 431)
    c = H2Client(port)
    assert c.ask(request() + [("x", "y")] * 101)["head"][0][1] == "431"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (not log.exists() or len(log.read_text().splitlines()) < 4):
        time.sleep(0.1)
    assert sorted(log.read_text().splitlines()) == ["400 DPE", "400 DPE", "431 DPE", "431 DPE"]
    after = stats(admin)
    assert sum(v for k, v in after.items() if k.endswith("downstream_rq_4xx")) - sum(v for k, v in before.items() if k.endswith("downstream_rq_4xx")) == 4
    assert sum(v for k, v in after.items() if k.endswith("downstream_rq_refused")) == 4
