"""retry_policy: the same bootstrap, requests, counters and log lines for Egret and for Envoy."""
import re
import socket
import time

from configs import bootstrap, cluster, h2_options, hcm, listener
from harness import curl, free_port, wait_for
from raw_kit import DATA, END_STREAM, RST, H2Server, Recorder, frame, headers, stats

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LOG = "%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %RESPONSE_CODE_DETAILS%\n"


class Moody(Recorder):
    """Answers with what its list holds, one after the other, then with 200: bytes; None: the connection is cut; a number: it
    waits that long before."""

    def __init__(self, *moods):
        self.moods = list(moods)
        self.seen = []
        super().__init__(self.next)

    def next(self, head, body):
        self.seen.append((head.split(b" ")[1], body))
        mood = self.moods.pop(0) if self.moods else OK
        if mood is None:
            raise OSError("cut")
        if isinstance(mood, float):
            time.sleep(mood)
            return OK
        return mood

    def serve(self, s, log):
        try:
            super().serve(s, log)
        except OSError:
            pass


def status(n, *fields):
    return b"HTTP/1.1 %d X\r\ncontent-length: 3\r\n" % n + b"".join(f + b"\r\n" for f in fields) + b"\r\nbad"


def logger(path):
    return {"name": "file", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(path),
                                             "log_format": {"text_format_source": {"inline_string": LOG}}}}


def log_lines(path, n):
    return wait_for(lambda: path.exists() and len(path.read_text().splitlines()) >= n and path.read_text().splitlines(), "log lines")


class Rig:
    def __init__(self, stage, kind, policy, *ports, cluster_more=None, route_more=None, **more):
        self.port, self.admin, self.log = free_port(), free_port(), stage.path / "access.log"
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "b", "retry_policy": policy, **(route_more or {})}}]
        stage.proxy(kind, bootstrap([listener(self.port, hcm(routes=routes, access_log=[logger(self.log)]), **more)],
                                    [cluster("b", *ports, **(cluster_more or {}))], admin=self.admin), self.port, self.admin)

    def get(self, path="/", *args):
        return curl(f"http://127.0.0.1:{self.port}{path}", *args)

    def counted(self, name):
        return stats(self.admin).get(f"cluster.b.{name}", 0)

    def lines(self, n):
        return log_lines(self.log, n)


def moody(stage, *moods):
    b = Moody(*moods)
    stage.things.append(b)
    return b


CASES = {
    "5xx": ({"retry_on": "5xx"}, [status(500)], 200, 2),
    "5xx, a cut connection": ({"retry_on": "5xx"}, [None], 200, 2),
    "5xx is not 404": ({"retry_on": "5xx"}, [status(404)], 404, 1),
    "gateway-error": ({"retry_on": "gateway-error"}, [status(503)], 200, 2),
    "gateway-error is not 500": ({"retry_on": "gateway-error"}, [status(500)], 500, 1),
    "reset": ({"retry_on": "reset"}, [None], 200, 2),
    "reset is not 503": ({"retry_on": "reset"}, [status(503)], 503, 1),
    "retriable-4xx": ({"retry_on": "retriable-4xx"}, [status(409)], 200, 2),
    "status codes": ({"retry_on": "retriable-status-codes", "retriable_status_codes": [418, 429]}, [status(429)], 200, 2),
    "status codes need their word": ({"retry_on": "5xx", "retriable_status_codes": [418]}, [status(418)], 418, 1),
    "words": ({"retry_on": "connect-failure, unheard-of,5xx"}, [status(502)], 200, 2),
    "connect-failure is not 500": ({"retry_on": "connect-failure"}, [status(500)], 500, 1),
    "num_retries": ({"retry_on": "5xx", "num_retries": 3}, [status(500), status(501), None], 200, 4),
    "num_retries is the most": ({"retry_on": "5xx", "num_retries": 2}, [status(500)] * 9, 500, 3),
    "num_retries 0": ({"retry_on": "5xx", "num_retries": 0}, [status(500)] * 9, 500, 1),
    "gRPC in the head": ({"retry_on": "unavailable"}, [status(200, b"grpc-status: 14")], 200, 2),
    "gRPC, another status": ({"retry_on": "unavailable"}, [status(200, b"grpc-status: 13")], 200, 1),
    "rate-limited upstreams are let alone": ({"retry_on": "5xx"}, [status(503, b"x-envoy-ratelimited: true")], 503, 1),
    "unless that is asked for": ({"retry_on": "envoy-ratelimited"}, [status(429, b"x-envoy-ratelimited: true")], 200, 2),
}


def test_what_is_repeated_and_how_often(stage, kind):
    """One proxy, a cluster and a route for each case."""
    peers = {f"c{i}": moody(stage, *CASES[name][1]) for i, name in enumerate(CASES)}
    port, admin, log = free_port(), free_port(), stage.path / "access.log"
    routes = [{"match": {"prefix": f"/c{i}/"}, "route": {"cluster": f"c{i}", "retry_policy": CASES[name][0]}} for i, name in enumerate(CASES)]
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=routes, access_log=[logger(log)]))], [cluster(c, b.port) for c, b in peers.items()], admin=admin), port, admin)
    got = [curl(f"http://127.0.0.1:{port}/c{i}/")[0] for i in range(len(CASES))]
    counted, lines, wrong = stats(admin), log_lines(log, len(CASES)), []
    for i, (name, (_, _, code, tries)) in enumerate(CASES.items()):
        limit = name in ("num_retries is the most", "num_retries 0")
        retries = [counted.get(f"cluster.c{i}.upstream_rq_retry{x}", 0) for x in ("", "_success", "_limit_exceeded")]
        expected = (code, tries, f"{code} {'URX' if limit else '-'} {tries}", [tries - 1, int(tries > 1 and code == 200), int(limit)])
        seen = (got[i], len(peers[f"c{i}"].seen), " ".join(lines[i].split(" ")[:3]), retries)
        if seen != expected:
            wrong.append((name, seen, expected))
    assert not wrong, "\n".join(map(str, wrong))


def test_bodies_are_sent_again_whole(stage, kind):
    b = moody(stage, status(503), status(503))
    rig = Rig(stage, kind, {"retry_on": "5xx", "num_retries": 2}, b.port)
    body = "0123456789" * 20000
    file = stage.path / "body"
    file.write_text(body)
    assert rig.get("/p", "--data-binary", f"@{file}", "-H", "Expect:")[0] == 200
    assert [x[1] for x in b.seen] == [body.encode()] * 3
    b.moods = [status(503)]
    assert rig.get("/c", "--data-binary", f"@{file}", "-H", "Expect:", "-H", "Transfer-Encoding: chunked")[0] == 200
    assert len(b.seen) == 5 and b.seen[4][1].count(b"0123456789") > 19900 and b.seen[4][1].endswith(b"0\r\n\r\n")


def test_a_body_beyond_the_buffer_is_sent_once(stage, kind):
    b = moody(stage, status(503))
    rig = Rig(stage, kind, {"retry_on": "5xx"}, b.port, per_connection_buffer_limit_bytes=32768)
    file = stage.path / "body"
    file.write_text("x" * 500000)
    assert rig.get("/", "--data-binary", f"@{file}", "-H", "Expect:")[0] == 503
    assert len(b.seen) == 1 and rig.counted("retry_or_shadow_abandoned") == 1


def test_a_try_has_its_own_time(stage, kind):
    b = moody(stage, 3.0)
    rig = Rig(stage, kind, {"retry_on": "5xx", "per_try_timeout": "0.3s"}, b.port)
    assert rig.get()[0] == 200
    assert len(b.seen) == 2 and rig.counted("upstream_rq_per_try_timeout") == 1
    b.moods = [3.0, 3.0]
    status, _, body, _ = rig.get()
    assert (status, body) == (504, b"upstream request timeout")
    assert rig.lines(2)[1].split(" ")[3] == "upstream_per_try_timeout"


def test_the_routes_timeout_is_for_all_tries(stage, kind):
    b = moody(stage, *[status(503)] * 50)
    rig = Rig(stage, kind, {"retry_on": "5xx", "num_retries": 40, "retry_back_off": {"base_interval": "0.4s", "max_interval": "0.4s"}}, b.port, route_more={"timeout": "1s"})
    begun = time.monotonic()
    code, _, body, _ = rig.get()
    assert (code, body) == (504, b"upstream request timeout") and 0.9 < time.monotonic() - begun < 10
    assert 1 < len(b.seen) < 41


def test_a_dead_endpoint_is_gone_round(stage, kind):
    b = moody(stage)
    policy = {"retry_on": "connect-failure", "num_retries": 3, "host_selection_retry_max_attempts": 5,
              "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {
                  "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}]}
    rig = Rig(stage, kind, policy, free_port(), b.port, free_port())
    assert [rig.get()[0] for _ in range(9)] == [200] * 9
    assert rig.counted("upstream_rq_retry") >= 3 and len(b.seen) == 9


def test_a_refused_stream_is_repeated(stage, kind):
    answers = [7, 7, 0, 2]

    def answer(n, fields):
        code = answers.pop(0)
        return frame(RST, 0, n, code.to_bytes(4, "big")) if code else headers(n, [(":status", "200")], end=False) + frame(DATA, END_STREAM, n, b"ok")
    b = H2Server(answer)
    stage.things.append(b)
    rig = Rig(stage, kind, {"retry_on": "refused-stream", "num_retries": 2}, b.port, cluster_more=h2_options())
    assert rig.get()[0] == 200 and len(b.requests) == 3
    assert rig.get()[0] >= 502 and len(b.requests) == 4  # an internal error is none


def test_the_breaker_bounds_how_many_are_repeated_at_once(stage, kind):
    b = moody(stage, *[status(503)] * 20)
    breakers = {"circuit_breakers": {"thresholds": [{"max_retries": 0}]}}
    rig = Rig(stage, kind, {"retry_on": "5xx", "num_retries": 5}, b.port, cluster_more=breakers)
    assert rig.get()[0] == 503 and len(b.seen) == 1
    assert rig.counted("upstream_rq_retry_overflow") == 1 and rig.counted("upstream_rq_retry") == 0
    assert "UO" in rig.lines(1)[0].split(" ")[1]


def test_the_virtual_hosts_policy_holds_where_a_route_has_none(stage, kind):
    b = moody(stage, status(503), status(503))
    port = free_port()
    routes = [{"match": {"prefix": "/own"}, "route": {"cluster": "b", "retry_policy": {"retry_on": "connect-failure"}}}, {"match": {"prefix": "/"}, "route": {"cluster": "b"}}]
    vhosts = [{"name": "all", "domains": ["*"], "routes": routes, "retry_policy": {"retry_on": "5xx"}}]
    stage.proxy(kind, bootstrap([listener(port, hcm(vhosts=vhosts))], [cluster("b", b.port)]), port)
    assert curl(f"http://127.0.0.1:{port}/own")[0] == 503 and len(b.seen) == 1
    assert curl(f"http://127.0.0.1:{port}/")[0] == 200 and len(b.seen) == 3


def test_no_clients_wish_repeats_a_request(stage):
    """Envoy takes policies from request headers; see docs/differences.md."""
    b = moody(stage, status(503))
    port = free_port()
    stage.proxy("egret", bootstrap([listener(port, hcm(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "b"}}]))], [cluster("b", b.port)]), port)
    assert curl(f"http://127.0.0.1:{port}/", "-H", "x-envoy-retry-on: 5xx", "-H", "x-envoy-max-retries: 3")[0] == 503 and len(b.seen) == 1


def test_a_client_that_leaves_ends_the_waiting(stage):
    b = moody(stage, *[status(503)] * 9)
    rig = Rig(stage, "egret", {"retry_on": "5xx", "num_retries": 9, "retry_back_off": {"base_interval": "600s"}}, b.port)
    s = socket.create_connection(("127.0.0.1", rig.port))
    s.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    wait_for(lambda: b.seen, "the first try")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()
    assert re.match(r"0 DC", rig.lines(1)[0])
    assert [v for k, v in stats(rig.admin).items() if k.endswith("http.test.downstream_rq_active")] == [0]
