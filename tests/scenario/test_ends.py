"""How things end: slow peers, limits, tunnels, connections that are cut, and a process that is told to go."""
import concurrent.futures
import signal
import socket
import time

from configs import T, bootstrap, cluster, downstream_tls, h2_options, hcm, listener, upstream_tls
from harness import Acceptor, curl, free_port, raw_request, wait_for

ANY = {"match": {"prefix": "/"}, "route": {"cluster": "b"}}


def tcp_proxy(**more):
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
        "@type": T + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "raw", **more}}


def start(stage, kind, port_of_b, routes=(ANY,), cluster_more=None, **more):
    port = free_port()
    proxy = stage.proxy(kind, bootstrap([listener(port, hcm(routes=list(routes), **more))],
                                        [cluster("b", port_of_b, **(cluster_more or {}))]), port)
    return port, proxy


class Server:
    """A TCP server whose connections are handled by a function of the test."""

    def __init__(self, handle):
        self.handle = handle
        self.acceptor = Acceptor(self.one)
        self.port = self.acceptor.port

    def one(self, s, _):
        with s:
            try:
                self.handle(s)
            except OSError:
                pass


def read_head(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            raise OSError("ended within a head")
        data += more
    return data


def read_all(s):
    data = b""
    while more := s.recv(65536):
        data += more
    return data


def test_the_routes_timeout_runs_from_the_end_of_the_request(stage, kind):
    b = stage.backend(lambda r: time.sleep(float(r.header("x-wait") or 0)) or ("200 OK", [], r.body))
    port, _ = start(stage, kind, b.port, [{**ANY, "route": {"cluster": "b", "timeout": "1s"}}])
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\nconnection: close\r\n\r\n")
        for c in b"slowly":
            time.sleep(0.3)
            s.sendall(bytes([c]))
        answer = read_all(s)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"slowly")
    assert curl(f"http://127.0.0.1:{port}/", "-H", "x-wait: 3")[0] == 504


def test_a_request_that_does_not_arrive_in_time_is_408(stage, kind):
    b = stage.backend()
    port, _ = start(stage, kind, b.port, request_timeout="0.5s")
    answer = raw_request(port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 408") and answer.endswith(b"request timeout")


def test_no_answer_while_dialling_is_504_with_the_routes_timeout(stage, kind):
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    stuck = []
    for _ in range(4):  # fills the queue of a server that never accepts: further dials hang
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(full.getsockname())
        stuck.append(s)
    port, _ = start(stage, kind, full.getsockname()[1], [{**ANY, "route": {"cluster": "b", "timeout": "0.5s"}}],
                    {"connect_timeout": "5s"})
    status, _, body, _ = curl(f"http://127.0.0.1:{port}/")
    assert (status, body) == (504, b"upstream request timeout")
    for s in [full, *stuck]:
        s.close()


def test_a_client_cannot_say_whose_certificate_it_has(stage, kind):
    b = stage.backend()
    port, _ = start(stage, kind, b.port)
    assert curl(f"http://127.0.0.1:{port}/", "-H", "x-forwarded-client-cert: URI=spiffe://forged")[0] == 200
    assert b.requests[-1].header("x-forwarded-client-cert") is None


def test_connections_past_the_breaker_wait_for_one_that_is_there(stage, kind):
    b = stage.backend(lambda r: time.sleep(0.1) or ("200 OK", [], b"ok"))
    breaker = {"circuit_breakers": {"thresholds": [{"max_connections": 1}]}}
    port, _ = start(stage, kind, b.port, cluster_more=breaker)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda i: curl(f"http://127.0.0.1:{port}/{i}")[0], range(6)))
    assert got == [200] * 6
    assert b.connections <= 2  # of two workers each may keep one


def test_a_failed_dial_fails_all_who_waited_for_it(stage, kind):
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    stuck = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(full.getsockname())
        stuck.append(s)
    more = {"connect_timeout": "1s", "circuit_breakers": {"thresholds": [{"max_connections": 1}]}}
    port, _ = start(stage, kind, full.getsockname()[1], [{**ANY, "route": {"cluster": "b", "timeout": "0s"}}], more)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda i: curl(f"http://127.0.0.1:{port}/{i}")[0], range(6)))
    assert got == [503] * 6
    for s in [full, *stuck]:
        s.close()


def test_an_early_answer_reaches_a_client_that_is_still_sending(stage, kind):
    def handle(s):
        read_head(s)
        s.sendall(b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig")
        time.sleep(1)
    port, _ = start(stage, kind, Server(handle).port)
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 20000)
        head = read_head(s)
        assert head.startswith(b"HTTP/1.1 413")


def test_a_101_nobody_asked_for_is_no_answer(stage):
    def handle(s):
        read_head(s)
        s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        time.sleep(1)
    port, _ = start(stage, "egret", Server(handle).port)
    assert curl(f"http://127.0.0.1:{port}/")[0] == 502


def test_an_upgrade_carries_every_byte_up_to_the_end_of_each_side(stage):
    size = 3 << 20

    def handle(s):
        rest = read_head(s).split(b"\r\n\r\n", 1)[1]
        s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: bytes\r\n\r\n")
        got = rest + read_all(s)  # the client's half-close comes through
        s.sendall(b"%d:" % len(got) + b"y" * size)
    port, _ = start(stage, "egret", Server(handle).port, upgrade_configs=[{"upgrade_type": "bytes"}])
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: bytes\r\n\r\n")
        assert read_head(s).startswith(b"HTTP/1.1 101")
        s.sendall(b"x" * size)
        s.shutdown(socket.SHUT_WR)
        answer = read_all(s)
    assert answer == b"%d:" % size + b"y" * size


def test_a_raw_session_carries_every_byte_and_half_closes(stage, kind):
    size = 3 << 20

    def handle(s):
        got = read_all(s)
        s.sendall(b"%d:" % len(got) + b"y" * size)
    port, server = free_port(), Server(handle)
    stage.proxy(kind, bootstrap([listener(port, tcp_proxy(weighted_clusters={"clusters": [{"name": "b", "weight": 1}]}))],
                                [cluster("b", server.port)]), port)
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(b"x" * size)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == b"%d:" % size + b"y" * size


def test_a_listener_can_tunnel_raw_bytes_through_a_gateway(stage, kind, pki):
    server = Server(lambda s: s.sendall(b"got " + read_all(s)))
    gateway, port = free_port(), free_port()
    hosts = [{"name": "t", "domains": ["far.test:443"], "routes": [
        {"match": {"connect_matcher": {}},
         "route": {"cluster": "far", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}}]}]
    manager = hcm(vhosts=hosts, codec_type="HTTP2", http2_protocol_options={"allow_connect": True},
                  upgrade_configs=[{"upgrade_type": "CONNECT"}])
    stage.proxy("egret", bootstrap([listener(gateway, manager, tls=downstream_tls(pki, "gateway", ["h2"], require=True))],
                                   [cluster("far", server.port)]), gateway)
    towards = cluster("gateway", gateway, transport_socket=upstream_tls(pki, "gateway.test", cert="sidecar", alpn=["h2"]),
                      **h2_options())
    tunnel = tcp_proxy(cluster="gateway", tunneling_config={"hostname": "far.test:443"})
    stage.proxy(kind, bootstrap([listener(port, tunnel)], [towards]), port)
    assert raw_request(port, b"some bytes", half_close=True) == b"got some bytes"


def test_the_second_sigterm_cuts_what_is_open_and_leaves_nothing_behind(stage):
    def handle(s):
        data = read_head(s)
        if b"upgrade" in data:
            s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        s.recv(1)
    server, http, raw, log = Server(handle), free_port(), free_port(), stage.path / "access.log"
    file_log = [{"name": "envoy.access_loggers.file", "typed_config": {
        "@type": T + "access_loggers.file.v3.FileAccessLog", "path": str(log)}}]
    manager = hcm(routes=[ANY], upgrade_configs=[{"upgrade_type": "websocket"}], access_log=file_log)
    proxy = stage.proxy("egret", bootstrap([listener(http, manager), listener(raw, tcp_proxy(cluster="b", access_log=file_log),
                                                                               name="raw")],
                                           [cluster("b", server.port)]), http, raw)
    clients = []
    for port, text in [(http, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"), (http, b"POST / HTTP/1.1\r\nhost: x\r\n"),
                       (http, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
                       (http, b""), (raw, b"GET / HTTP/1.1\r\n\r\n"), (raw, b"")]:
        s = socket.create_connection(("127.0.0.1", port), 5)
        s.sendall(text)
        clients.append(s)
    time.sleep(0.5)
    proxy.proc.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    proxy.proc.send_signal(signal.SIGTERM)
    wait_for(lambda: not proxy.alive(), "the end of the process", 10)
    for s in clients:
        s.close()
    lines = log.read_text().splitlines()
    assert len([x for x in lines if '"GET / HTTP/1.1"' in x]) == 2 and len(lines) >= 4


def test_a_lower_priority_serves_only_when_the_one_above_has_nobody(stage, kind):
    first, second = stage.backend(), stage.backend()

    def level(backend, priority, health):
        return {"priority": priority, "lb_endpoints": [{"health_status": health, "endpoint": {"address": {
            "socket_address": {"address": "127.0.0.1", "port_value": backend.port}}}}]}
    for health, expected in [("HEALTHY", (6, 0)), ("UNHEALTHY", (6, 6))]:
        load = {"cluster_name": "b", "endpoints": [level(first, 0, health), level(second, 1, "HEALTHY")]}
        port, _ = start(stage, kind, 1, cluster_more={"load_assignment": load})
        assert [curl(f"http://127.0.0.1:{port}/")[0] for _ in range(6)] == [200] * 6
        assert (len(first.requests), len(second.requests)) == expected


def test_connections_of_a_certain_age_are_not_used_any_more(stage, kind):
    b = stage.backend()
    aged = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": T + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"max_connection_duration": "0.5s"}}}}
    port, _ = start(stage, kind, b.port, cluster_more=aged, common_http_protocol_options={"max_connection_duration": "1.5s"})
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        heads = []
        for _ in range(3):
            s.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            heads.append(read_head(s).lower())
            time.sleep(0.8)
    assert b.connections == 3
    assert b"connection: close" not in heads[0] + heads[1] and b"connection: close" in heads[2]
