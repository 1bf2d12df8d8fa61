"""Static configuration: the same bootstrap, requests and expectations for Egret and for Envoy."""
import concurrent.futures

from configs import bootstrap, cluster, hcm, listener
from harness import curl, free_port, raw_request


def start(stage, kind, routes, backends, **more):
    port = free_port()
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=routes, **more))],
                                [cluster(name, b.port) for name, b in backends.items()]), port)
    return port


def to(name, **more):
    return {"cluster": name, **more}


def test_a_get_and_a_post_pass_through_unchanged(stage, kind):
    b = stage.backend(lambda r: ("200 OK", [("content-type", "text/x"), ("x-from", "backend")], b"[" + r.body + b"]"))
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": to("b")}], {"b": b})
    status, headers, body, _ = curl(f"http://127.0.0.1:{port}/a/b?c=d", "-H", "X-Mine: 1")
    assert (status, body) == (200, b"[]")
    assert headers["x-from"] == "backend" and headers["server"] == "envoy" and "date" in headers
    assert "x-envoy-upstream-service-time" in headers
    seen = b.requests[-1]
    assert seen.line == "GET /a/b?c=d HTTP/1.1"
    assert seen.header("host") == f"127.0.0.1:{port}" and seen.header("x-mine") == "1"
    assert seen.header("x-forwarded-proto") == "http" and len(seen.header("x-request-id")) == 36
    assert seen.header("x-envoy-expected-rq-timeout-ms") == "15000"
    status, _, body, _ = curl(f"http://127.0.0.1:{port}/post", "-d", "x" * 100000)
    assert (status, len(body)) == (200, 100002)
    assert b.requests[-1].header("content-length") == "100000"


def test_a_chunked_body_stays_chunked_both_ways(stage, kind):
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    b = stage.backend(lambda r: answer)
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": to("b")}], {"b": b})
    status, headers, body, _ = curl(f"http://127.0.0.1:{port}/", "-H", "Transfer-Encoding: chunked", "-d", "some text")
    assert (status, body) == (200, b"hello world")
    assert headers.get("transfer-encoding") == "chunked"
    assert b.requests[-1].header("transfer-encoding") == "chunked" and b.requests[-1].body == b"some text"


def test_large_bodies_stream_both_ways(stage, kind):
    big = b"0123456789abcdef" * (4 << 16)
    b = stage.backend(lambda r: ("200 OK", [], r.body if r.method == "POST" else big))
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": to("b")}], {"b": b})
    status, _, body, _ = curl(f"http://127.0.0.1:{port}/get")
    assert status == 200 and body == big
    file = stage.path / "big"
    file.write_bytes(big)
    status, _, body, _ = curl(f"http://127.0.0.1:{port}/post", "-H", "Expect:", "--data-binary", f"@{file}")
    assert status == 200 and body == big


def test_expect_100_continue_is_answered_here(stage, kind):
    b = stage.backend(lambda r: ("200 OK", [], r.body))
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": to("b")}], {"b": b})
    got = raw_request(port, b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n", 1.0)
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert b.requests == []


def test_routes_match_in_order_by_prefix_path_and_headers(stage, kind):
    a, b = stage.backend(), stage.backend()
    routes = [
        {"match": {"path": "/exact"}, "direct_response": {"status": 418, "body": {"inline_string": "teapot"}}},
        {"match": {"prefix": "/", "headers": [{"name": "x-to", "string_match": {"exact": "a"}}]}, "route": to("a")},
        {"match": {"prefix": "/old/"}, "redirect": {"prefix_rewrite": "/new/", "https_redirect": True}},
        {"match": {"prefix": "/pre/"}, "route": to("b", prefix_rewrite="/")},
        {"match": {"prefix": "/b"}, "route": to("b")},
    ]
    port = start(stage, kind, routes, {"a": a, "b": b})
    url = f"http://127.0.0.1:{port}"
    status, headers, body, _ = curl(url + "/exact")
    assert (status, body, headers["content-type"]) == (418, b"teapot", "text/plain")
    assert curl(url + "/b", "-H", "x-to: a")[0] == 200 and len(a.requests) == 1 and not b.requests
    assert curl(url + "/b/c")[0] == 200 and b.requests[-1].path == "/b/c"
    assert curl(url + "/pre/x?y")[0] == 200 and b.requests[-1].path == "/x?y"
    assert b.requests[-1].header("x-envoy-original-path") == "/pre/x?y"
    status, headers, _, _ = curl(url + "/old/x?q=1")
    assert (status, headers["location"]) == (301, f"https://127.0.0.1:{port}/new/x?q=1")
    status, headers, body, _ = curl(url + "/none")
    assert (status, body) == (404, b"") and headers["content-length"] == "0"


def test_virtual_hosts_exact_suffix_prefix_and_default(stage, kind):
    port = free_port()

    def host(name, *domains):
        return {"name": name, "domains": list(domains), "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": name}}}]}

    vhosts = [host("exact", "www.foo.com"), host("suffix", "*.foo.com"), host("long", "*.bar.foo.com"),
              host("prefix", "www.*"), host("default", "*")]
    stage.proxy(kind, bootstrap([listener(port, hcm(vhosts=vhosts))], []), port)
    for name, expected in [("www.foo.com", "exact"), ("WWW.FOO.com", "exact"), ("a.foo.com", "suffix"),
                           ("a.bar.foo.com", "long"), ("www.baz.org", "prefix"), ("x.org", "default"),
                           ("foo.com", "default")]:
        assert curl(f"http://127.0.0.1:{port}/", "-H", f"Host: {name}")[2].decode() == expected, name


def test_weighted_clusters_share_by_weight(stage, kind):
    a, b = stage.backend(), stage.backend()
    weights = {"clusters": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]}
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": {"weighted_clusters": weights}}], {"a": a, "b": b})
    out = curl(*[f"http://127.0.0.1:{port}/{i}" for i in range(200)])
    assert out[0] == 200
    assert len(a.requests) + len(b.requests) == 200 and 100 < len(a.requests) < 190


def test_a_dead_backend_is_503_and_a_slow_one_504(stage, kind):
    dead = free_port()

    def slow(r):
        import time
        time.sleep(1.5)
        return "200 OK", [], b""

    b = stage.backend(slow)
    port = free_port()
    routes = [{"match": {"prefix": "/slow"}, "route": {"cluster": "b", "timeout": "0.3s"}},
              {"match": {"prefix": "/"}, "route": {"cluster": "dead"}}]
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=routes))], [cluster("b", b.port), cluster("dead", dead)]), port)
    status, _, body, _ = curl(f"http://127.0.0.1:{port}/x")
    assert status == 503 and body.startswith(b"upstream connect error or disconnect/reset before headers.")
    status, _, body, _ = curl(f"http://127.0.0.1:{port}/slow")
    assert (status, body) == (504, b"upstream request timeout")


def test_hop_by_hop_fields_end_here(stage, kind):
    b = stage.backend(lambda r: ("200 OK", [("connection", "x-private"), ("x-private", "1"), ("keep-alive", "timeout=5"),
                                            ("x-public", "2")], b""))
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": to("b")}], {"b": b})
    got = raw_request(port, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, x-secret\r\nx-secret: 1\r\n"
                            b"keep-alive: 3\r\nx-kept: 1\r\n\r\n", 1.0)
    names = b.requests[-1].names()
    assert "x-kept" in names and not {"connection", "x-secret", "keep-alive"} & set(names)
    assert b"x-public: 2" in got and b"keep-alive: timeout" not in got


def test_many_at_once_all_succeed_and_connections_are_kept(stage, kind):
    b = stage.backend()
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": to("b")}], {"b": b})

    def one(i):
        return curl(*[f"http://127.0.0.1:{port}/{i}/{n}" for n in range(20)])[0]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(16))) == {200}
    assert len(b.requests) == 320
    assert b.connections < 100


def test_head_204_and_304_have_no_body(stage, kind):
    answers = {"/204": b"HTTP/1.1 204 No Content\r\n\r\n", "/304": b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n"}
    b = stage.backend(lambda r: answers.get(r.path, ("200 OK", [("content-length", "5")], b"hello")))
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": to("b")}], {"b": b})
    for path, status in (("/204", 204), ("/304", 304)):
        for _ in range(2):
            assert curl(f"http://127.0.0.1:{port}{path}")[0] == status
    status, headers, body, _ = curl("-I", f"http://127.0.0.1:{port}/x")
    assert (status, headers["content-length"], body) == (200, "5", b"")


def test_a_head_longer_than_what_is_read_ahead_still_comes_whole(stage, kind):
    """In two pieces, the first beyond 64 KiB and without the head's end."""
    import socket
    import time
    value = b"v" * 70000
    b = stage.backend(lambda r: ("200 OK", [("x-size", str(len(r.header("x-long") or ""))), ("x-big", value.decode())], b"ok"))
    port = start(stage, kind, [{"match": {"prefix": "/"}, "route": to("b")}], {"b": b}, max_request_headers_kb=96)
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + value)
        time.sleep(0.3)
        s.sendall(b"\r\nconnection: close\r\n\r\n")
        got = b""
        while more := s.recv(65536):
            got += more
    assert got.startswith(b"HTTP/1.1 200 ") and b"x-size: 70000" in got.lower() and got.endswith(b"ok")
