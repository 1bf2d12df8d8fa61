"""Limits with a name, a counter and an answer each (egret.limits), and Envoy's own where it has them."""
import socket

from configs import bootstrap, cluster, hcm, listener
from harness import curl, free_port, raw_request, wait_for

ALL = [{"match": {"prefix": "/"}, "route": {"cluster": "b"}}]


def start(stage, limits, answer=None, **more):
    b, port, admin = stage.backend(answer), free_port(), free_port()
    extension = [{"name": "egret.limits", "typed_config": {"@type": "type.googleapis.com/egret.config.v1.Limits", **limits}}]
    stage.proxy("egret", bootstrap([listener(port, hcm(routes=ALL, **more))], [cluster("b", b.port)], admin,
                                   bootstrap_extensions=extension), port, admin)

    def counter(name):
        for line in curl(f"http://127.0.0.1:{admin}/stats")[2].decode().splitlines():
            if line.split(": ")[0].endswith(name):
                return int(line.split(": ")[1])
        raise AssertionError(f"no statistic {name}")

    return b, port, counter


def test_a_process_near_its_memory_limit_answers_503(stage):
    b, port, counter = start(stage, {"max_memory_bytes": "4096"})
    assert raw_request(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1.0) == b""  # over the limit: connections are closed
    assert counter("downstream_cx_overload_reject") >= 1 and counter("overload.memory.pressure_percent") > 100
    assert not b.requests


def test_a_process_below_its_memory_limit_serves(stage):
    b, port, counter = start(stage, {"max_memory_bytes": str(64 << 30)})
    assert curl(f"http://127.0.0.1:{port}/")[0] == 200 and counter("downstream_rq_overload_close") == 0


def test_a_request_body_beyond_the_limit_is_413(stage):
    b, port, counter = start(stage, {"max_request_body_bytes": "1000"})
    url = f"http://127.0.0.1:{port}/"
    assert curl(url, "-d", "x" * 1000)[0] == 200
    assert curl(url, "-d", "x" * 1001)[0] == 413
    assert len(b.requests) == 1
    assert curl(url, "-H", "Transfer-Encoding: chunked", "-d", "x" * 100000)[0] == 413
    assert len(b.requests) == 1 and counter("downstream_rq_too_large") == 2
    assert curl(url, "--http2-prior-knowledge", "-d", "x" * 1001)[0] == 413


def test_a_response_body_beyond_the_limit_is_502_or_cut(stage):
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n" + b"0\r\n\r\n"
    b, port, counter = start(stage, {"max_response_body_bytes": "1000"},
                             lambda r: chunked if r.path == "/chunked" else ("200 OK", [], b"x" * (1001 if r.path == "/big" else 1000)))
    url = f"http://127.0.0.1:{port}"
    assert curl(url + "/fits")[0] == 200
    assert curl(url + "/big")[0] == 502
    assert curl(url + "/chunked")[0] < 0  # the head had gone: the connection is cut, so that nobody takes it for whole
    assert curl(url + "/fits")[0] == 200 and counter("upstream_rs_too_large") == 2


def test_requests_a_second_of_one_connection(stage):
    b, port, counter = start(stage, {"requests_per_second": 5})
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.settimeout(5)
        statuses = []
        for _ in range(12):
            s.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            data = b""
            while b"\r\n\r\n" not in data:
                data += s.recv(65536)
            statuses.append(int(data.split(b" ")[1]))
    assert statuses[:5] == [200] * 5 and 429 in statuses
    assert counter("downstream_rq_rate_limited") == statuses.count(429)
    assert curl(f"http://127.0.0.1:{port}/")[0] == 200  # another connection has its own budget


def test_connections_of_the_process(stage):
    b, port, counter = start(stage, {"max_connections": 2})
    wait_for(lambda: counter("downstream_cx_active") == 0, "the connection that looked for the port to be gone")
    held = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(2)]
    for s in held:
        s.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 200")
    assert raw_request(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 2.0) == b""
    for s in held:
        s.close()
    assert counter("downstream_cx_overflow") >= 1


def test_head_and_target_limits(stage):
    b, port, _ = start(stage, {"max_uri_bytes": 100})
    url = f"http://127.0.0.1:{port}"
    assert curl(url + "/" + "a" * 200)[0] == 414
    assert curl(url + "/", *[x for i in range(101) for x in ("-H", f"x-{i}: 1")])[0] == 431
    assert curl(url + "/", "-H", "x: " + "a" * 70000)[0] == 431
    assert not b.requests


# ---- Envoy's own, with Envoy beside ----

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab"
WAITS = {  # what is waited for: options of the connection manager, of the route, the request, the answer: status, body, flags and details
    "the answer, in silence": ({"stream_idle_timeout": "0.3s"}, {}, GET, (504, b"stream timeout", "SI stream_idle_timeout")),
    "the body, in silence": ({"stream_idle_timeout": "0.3s"}, {}, POST, (408, b"stream timeout", "SI stream_idle_timeout")),
    "the answer, in silence, by route": ({}, {"idle_timeout": "0.3s"}, GET, (504, b"stream timeout", "SI stream_idle_timeout")),
    "the whole request": ({"request_timeout": "0.3s"}, {}, POST, (408, b"request timeout", "- request_overall_timeout")),
    "the head": ({"request_headers_timeout": "0.3s"}, {}, b"GET / HTTP/1.1\r\nhost:", (408, None, None)),
    "all of it, the request is there": ({"common_http_protocol_options": {"max_stream_duration": "0.3s"}}, {}, GET, (504, b"downstream duration timeout", "- max_duration_timeout")),
    "all of it": ({"common_http_protocol_options": {"max_stream_duration": "0.3s"}}, {}, POST, (408, b"downstream duration timeout", "- max_duration_timeout")),
    "all of it, by route": ({}, {"max_stream_duration": {"max_stream_duration": "0.3s"}}, GET, (504, b"downstream duration timeout", "- max_duration_timeout")),
    "the answer": ({}, {"timeout": "0.3s"}, GET, (504, b"upstream request timeout", "UT response_timeout")),
}


def test_who_waits_too_long_gets_the_same_answer(stage, kind):
    from raw_kit import Recorder, statuses, talk
    b = Recorder(silent=True)
    stage.things.append(b)
    ports, listeners, logs = {}, [], {}
    for i, (name, (options, route, _, _)) in enumerate(WAITS.items()):
        ports[name], logs[name] = free_port(), stage.path / f"log-{i}"
        line = {"name": "file", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(logs[name]),
                                                 "log_format": {"text_format_source": {"inline_string": "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"}}}}
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "b", "timeout": "30s", **route}}]
        listeners.append(listener(ports[name], hcm(routes=routes, access_log=[line], **options), name=f"l{i}"))
    stage.proxy(kind, bootstrap(listeners, [cluster("b", b.port)]), *ports.values())
    wrong = []
    for name, (_, _, raw, (status, body, line)) in WAITS.items():
        got = talk(ports[name], raw, 5, enough=lambda g, end=body: b"\r\n\r\n" in g and g.endswith(end or b""))[0]
        text = wait_for(lambda: logs[name].exists() and logs[name].read_text(), "a log line").strip() if line else None
        if statuses(got) != [status] or (body is not None and got.partition(b"\r\n\r\n")[2] != body) or text != line:
            wrong.append((name, got[:15], got[-30:], text))
    assert not wrong, "\n".join(map(str, wrong))


def test_heads_beyond_envoys_limits_are_431(stage, kind):
    b, port = stage.backend(), free_port()
    options = {"max_request_headers_kb": 4, "common_http_protocol_options": {"max_headers_count": 20}}
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=ALL, **options))], [cluster("b", b.port)]), port)
    url = f"http://127.0.0.1:{port}/"
    assert curl(url, "-H", "x: " + "a" * 3000)[0] == 200 and curl(url, *[x for i in range(15) for x in ("-H", f"x-{i}: 1")])[0] == 200
    assert curl(url, "-H", "x: " + "a" * 5000)[0] == 431 and curl(url, *[x for i in range(25) for x in ("-H", f"x-{i}: 1")])[0] == 431
    assert len(b.requests) == 2


def test_breakers_answer_alike(stage, kind):
    import concurrent.futures
    import threading
    gate = threading.Event()

    def answer(r):
        gate.wait(10)
        return "200 OK", [], b"ok"
    b, port, admin = stage.backend(answer), free_port(), free_port()
    breaker = {"circuit_breakers": {"thresholds": [{"max_requests": 2, "max_connections": 10, "max_pending_requests": 10}]}}
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=ALL))], [cluster("b", b.port, **breaker)], admin=admin), port, admin)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        held = [pool.submit(curl, f"http://127.0.0.1:{port}/{i}") for i in range(2)]
        wait_for(lambda: len(b.requests) == 2, "two requests")
        status, headers, body, _ = curl(f"http://127.0.0.1:{port}/x")
        gate.set()
        assert [x.result()[0] for x in held] == [200, 200]
    assert (status, body) == (503, b"upstream connect error or disconnect/reset before headers. reset reason: overflow")
    assert headers.get("x-envoy-overloaded") == "true" and len(b.requests) == 2
