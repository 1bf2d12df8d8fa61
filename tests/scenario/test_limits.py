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
