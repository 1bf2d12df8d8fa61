"""Fields that are easily read and then forgotten: each must do what Envoy does with it."""
import re
import socket
import ssl
import time

import pytest

from configs import T, bootstrap, cluster, downstream_tls, hcm, listener, upstream_tls
from harness import curl, free_port, openssl, wait_for
from raw_kit import H2Server, Recorder, stats, statuses, talk

ALL = [{"match": {"prefix": "/"}, "route": {"cluster": "b"}}]


# ---- who the client is ----

def mesh_pki(pki):
    if not hasattr(pki, "mesh"):
        pki.issue("named", "URI:spiffe://egret/one", "DNS:named.test", "DNS:other.test", "URI:spiffe://egret/two")
        pki.issue("nameless", "DNS:nameless.test")
        pki.issue("front", "DNS:localhost", "URI:spiffe://egret/front", "URI:spiffe://egret/front-two")
        pki.mesh = True
    return pki


DETAILS = {
    "nothing": {},
    "all": {"subject": True, "uri": True, "dns": True},
    "uri": {"uri": True},
}


@pytest.mark.parametrize("how", ["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"])
def test_what_the_upstream_hears_of_the_clients_certificate(stage, kind, pki, how):
    p, b, ports = mesh_pki(pki), stage.backend(), [free_port() for _ in DETAILS]
    tls = downstream_tls(p, "front", require=True)
    listeners = [listener(port, hcm(routes=ALL, forward_client_cert_details=how, set_current_client_cert_details=details), tls=tls, name=name)
                 for port, (name, details) in zip(ports, DETAILS.items())]
    stage.proxy(kind, bootstrap(listeners, [cluster("b", b.port)]), *ports)
    for port, name in zip(ports, DETAILS):
        for cert in ("named", "nameless"):
            digest = re.sub(r"[:\s]", "", openssl("x509", "-in", p.path(f"{cert}.pem"), "-noout", "-fingerprint", "-sha256").split("=")[1]).lower()
            own = f"By=spiffe://egret/front;By=spiffe://egret/front-two;Hash={digest}"
            if name == "all":
                own += f';Subject="CN={cert}"'
            if name in ("all", "uri"):
                own += ";URI=spiffe://egret/one;URI=spiffe://egret/two" if cert == "named" else ";URI="
            if name == "all":
                own += ";DNS=named.test;DNS=other.test" if cert == "named" else ";DNS=nameless.test"
            expected = {"SANITIZE": None, "FORWARD_ONLY": "Hash=1", "APPEND_FORWARD": "Hash=1," + own, "SANITIZE_SET": own, "ALWAYS_FORWARD_ONLY": "Hash=1"}[how]
            status = curl(f"https://localhost:{port}/", "--cacert", p.path("ca.pem"), "--cert", p.path(f"{cert}.pem"), "--key", p.path(f"{cert}.key"),
                          "-H", "x-forwarded-client-cert: Hash=1")[0]
            assert (status, b.requests[-1].header("x-forwarded-client-cert")) == (200, expected), (name, cert)


# ---- whom the upstream's certificate names ----

def test_auto_san_validation_holds_the_upstream_to_the_name_that_was_asked_for(stage, kind, pki):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pki.path("third.pem"), pki.path("third.key"))
    b, port = stage.backend(tls=c), free_port()
    options = {"@type": T + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http_protocol_options": {}}}
    san = {"match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"suffix": "third.test"}}]}

    def one(name, auto_san, **tls):
        socket_ = upstream_tls(pki, "")
        del socket_["typed_config"]["sni"]
        socket_["typed_config"]["common_tls_context"]["validation_context"].update(san)
        socket_["typed_config"].update(tls)
        upstream = {"auto_sni": True, **({"auto_san_validation": True} if auto_san else {})}
        return cluster(name, b.port, transport_socket=socket_, typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {**options, "upstream_http_protocol_options": upstream}})
    clusters = [one("sans", False), one("both", True), one("instead", False, auto_sni_san_validation=True)]
    routes = [{"match": {"prefix": f"/{x['name']}"}, "route": {"cluster": x["name"]}} for x in clusters]
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=routes))], clusters), port)
    for path, host, status in (("sans", "third.test", 200), ("sans", "another.test", 200), ("both", "third.test", 200), ("both", "another.test", 503),
                               ("instead", "third.test", 200), ("instead", "another.test", 503)):
        assert curl(f"http://127.0.0.1:{port}/{path}", "-H", f"Host: {host}")[0] == status, (path, host)


# ---- filters of some routes ----

def test_a_filter_may_be_off_by_default_and_off_for_some_routes(stage):
    """With Egret's own filter, which answers 404 to calls of hosts that nobody serves, and CORS-like nothing else."""
    port = free_port()
    apim = {"name": "egret.apim", "typed_config": {"@type": "type.googleapis.com/egret.apim.v1.ApimFilter"}}
    table = {"egret.apim": {"@type": "type.googleapis.com/egret.apim.v1.ApiTable"}}
    off = {"egret.apim": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}}
    vhosts = [{"name": "apis", "domains": ["apis.test"], "routes": [], "typed_per_filter_config": table}]
    more = hcm(vhosts=vhosts)
    more["typed_config"]["http_filters"].insert(0, apim)
    more["typed_config"]["route_config"]["typed_per_filter_config"] = off
    on = free_port()
    plain = hcm(vhosts=vhosts)
    plain["typed_config"]["http_filters"].insert(0, apim)
    stage.proxy("egret", bootstrap([listener(port, more), listener(on, plain, name="on")], []), port, on)
    assert b"Resource not found" in curl(f"http://127.0.0.1:{on}/x", "-H", "Host: other.test")[2]
    assert curl(f"http://127.0.0.1:{port}/x", "-H", "Host: other.test")[2] == b""


# ---- balancing ----

def test_least_request_heeds_weights(stage, kind):
    a, b, port = stage.backend(), stage.backend(), free_port()
    c = cluster("b", a.port, b.port, lb_policy="LEAST_REQUEST")
    for e, weight in zip(c["load_assignment"]["endpoints"][0]["lb_endpoints"], (9, 1)):
        e["load_balancing_weight"] = weight
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=ALL))], [c]), port)
    assert curl(*[f"http://127.0.0.1:{port}/{i}" for i in range(200)])[0] == 200
    assert len(a.requests) + len(b.requests) == 200 and 150 < len(a.requests) < 195


# ---- raw sessions ----

def tcp_proxy(**more):
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": {"@type": T + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "raw", **more}}


def test_raw_sessions_are_counted_and_bounded(stage, kind):
    b = Recorder(lambda head, body: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    stage.things.append(b)
    port, admin, nowhere = free_port(), free_port(), free_port()
    breaker = {"circuit_breakers": {"thresholds": [{"max_connections": 2}]}}
    stage.proxy(kind, bootstrap([listener(port, tcp_proxy(cluster="b", idle_timeout="3s")), listener(nowhere, tcp_proxy(cluster="nobody"), name="nowhere")],
                                [cluster("b", b.port, **breaker)], admin=admin), port, admin, nowhere)
    gone = "cluster.b.upstream_cx_active"
    wait_for(lambda: stats(admin).get(gone) == 0, "the connection that looked for the port to be gone")
    before = stats(admin)
    ask = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(2)]
    for s in held:
        s.sendall(ask)
        assert s.recv(1000).endswith(b"ok")
    assert stats(admin)[gone] == 2
    assert talk(port, ask, 3)[0] == b""  # one too many
    assert talk(nowhere, ask, 3)[0] == b""
    after = stats(admin)
    assert after["cluster.b.upstream_cx_overflow"] - before["cluster.b.upstream_cx_overflow"] == 1
    assert after["tcp.raw.downstream_cx_total"] - before["tcp.raw.downstream_cx_total"] == 4
    wait_for(lambda: stats(admin)[gone] == 0, "idle_timeout to end them")
    after = stats(admin)
    assert after["tcp.raw.idle_timeout"] - before["tcp.raw.idle_timeout"] == 2
    assert after["tcp.raw.downstream_cx_rx_bytes_total"] - before["tcp.raw.downstream_cx_rx_bytes_total"] >= 2 * len(ask)
    assert after["tcp.raw.downstream_cx_no_route"] - before["tcp.raw.downstream_cx_no_route"] == 1
    assert statuses(talk(port, ask, 3, lambda got: got.endswith(b"ok"))[0]) == [200]


# ---- the end of a connection ----

def test_delayed_close_timeout_is_how_long_a_client_may_go_on_sending(stage):
    b, ports = stage.backend(), [free_port(), free_port()]
    listeners = [listener(port, hcm(routes=ALL, delayed_close_timeout=t), name=t) for port, t in zip(ports, ("0.1s", "30s"))]
    stage.proxy("egret", bootstrap(listeners, [cluster("b", b.port)]), *ports)
    cut = []
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.settimeout(5)
            s.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            while s.recv(65536):
                pass
            time.sleep(0.6)
            try:
                for _ in range(5):
                    s.sendall(b"x")
                    time.sleep(0.05)
                cut.append(False)
            except OSError:
                cut.append(True)
    assert cut == [True, False]


# ---- what is counted ----

def test_clusters_counts_what_came_of_each_request(stage, kind):
    def answer(head, body):
        if b"/cut" in head:
            raise OSError("cut")
        return b"HTTP/1.1 " + head.split(b" ")[1][1:] + b" X\r\ncontent-length: 0\r\n\r\n"
    b = Recorder(answer)
    stage.things.append(b)
    port, admin = free_port(), free_port()
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "b", "timeout": "2s"}}]))], [cluster("b", b.port)], admin=admin), port, admin)
    for path in ("cut", "200", "204", "404", "500", "503", "200"):
        curl(f"http://127.0.0.1:{port}/{path}")
    text = curl(f"http://127.0.0.1:{admin}/clusters")[2].decode()
    got = {k: int(v) for k, v in re.findall(rf"^b::127\.0\.0\.1:{b.port}::(rq_(?!pending)\w+)::(\d+)$", text, re.M)}
    assert got == {"rq_active": 0, "rq_success": 4, "rq_error": 3, "rq_timeout": 0, "rq_total": 7}


def test_a_body_that_is_refused_half_way_is_one_request(stage):
    b, port, admin, log = stage.backend(), free_port(), free_port(), stage.path / "access.log"
    line = {"name": "file", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(log),
                                             "log_format": {"text_format_source": {"inline_string": "%RESPONSE_CODE% %RESPONSE_FLAGS%\n"}}}}
    stage.proxy("egret", bootstrap([listener(port, hcm(routes=ALL, access_log=[line]))], [cluster("b", b.port)], admin=admin), port, admin)
    assert statuses(talk(port, b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nZ\r\n")[0]) == [400]
    wait_for(lambda: stats(admin)["http.test.downstream_rq_active"] == 0, "the request to end")
    counted = stats(admin)
    assert (counted["http.test.downstream_rq_total"], counted["http.test.downstream_rq_4xx"], counted["http.test.downstream_rq_completed"]) == (1, 1, 1)
    assert [v for k, v in counted.items() if k.endswith("downstream_rq_refused")] == [1]
    wait_for(lambda: log.exists() and log.read_text() == "400 DPE\n", "one line")


# ---- clusters and listeners ----

def typed(options, **more):
    return {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": T + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": options, **more}}}


def test_clusters_do_what_is_said_of_their_connections(stage, kind):
    big = b"HTTP/1.1 200 OK\r\nx: " + b"a" * 20000 + b"\r\ncontent-length: 0\r\n\r\n"
    few, large = Recorder(), Recorder(lambda head, body: big)
    a, b, silent = stage.backend(), stage.backend(), H2Server(lambda n, fields: b"")
    for thing in (few, large, silent):
        stage.things.append(thing)
    policy = {"policies": [{"typed_extension_config": {"name": "rr", "typed_config": {"@type": T + "load_balancing_policies.round_robin.v3.RoundRobin"}}}]}
    clusters = [
        cluster("few", few.port, alt_stat_name="known", **typed({"http_protocol_options": {}}, common_http_protocol_options={"max_requests_per_connection": 2})),
        cluster("large", large.port, **typed({"http_protocol_options": {}}, common_http_protocol_options={"max_response_headers_kb": 8})),
        cluster("two", a.port, b.port, load_balancing_policy=policy),
        cluster("silent", silent.port, **typed({"http2_protocol_options": {"connection_keepalive": {"interval": "0.2s", "timeout": "0.2s"}}})),
    ]
    port, admin = free_port(), free_port()
    routes = [{"match": {"prefix": f"/{c['name']}"}, "route": {"cluster": c["name"], "timeout": "10s"}} for c in clusters]
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=routes))], clusters, admin=admin), port, admin)
    url = f"http://127.0.0.1:{port}"
    assert curl(*[f"{url}/few/{i}" for i in range(6)])[0] == 200 and len(few.sessions) == 3
    assert stats(admin)["cluster.known.upstream_rq_total"] == 6
    assert curl(url + "/large")[0] == 502
    assert curl(*[f"{url}/two/{i}" for i in range(20)])[0] == 200 and (len(a.requests), len(b.requests)) == (10, 10)
    begun = time.monotonic()
    assert curl(url + "/silent")[0] == 503 and time.monotonic() - begun < 8


def test_listeners_do_not_wait_for_ever(stage, kind, pki):
    b = Recorder(lambda head, body: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    stage.things.append(b)
    dead = free_port()
    ports = {name: free_port() for name in ("sniffs", "goes on", "handshake", "duration", "attempts")}
    inspector = [{"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": T + "filters.listener.tls_inspector.v3.TlsInspector"}}]
    handshake = listener(ports["handshake"], hcm(routes=ALL), tls=downstream_tls(pki, "server"), name="handshake")
    handshake["filter_chains"][0]["transport_socket_connect_timeout"] = "0.3s"
    listeners = [listener(ports["sniffs"], hcm(routes=ALL), name="sniffs", listener_filters=inspector, listener_filters_timeout="0.3s"),
                 listener(ports["goes on"], hcm(routes=ALL), name="on", listener_filters=inspector, listener_filters_timeout="0.3s", continue_on_listener_filters_timeout=True),
                 handshake,
                 listener(ports["duration"], tcp_proxy(cluster="b", max_downstream_connection_duration="0.3s"), name="duration"),
                 listener(ports["attempts"], tcp_proxy(cluster="dead", max_connect_attempts=3), name="attempts")]
    admin = free_port()
    stage.proxy(kind, bootstrap(listeners, [cluster("b", b.port), cluster("dead", dead)], admin=admin),
                admin, ports["sniffs"], ports["goes on"], ports["handshake"])
    for name in ("sniffs", "handshake"):
        assert talk(ports[name], b"", 5) == (b"", True), name
    with socket.create_connection(("127.0.0.1", ports["goes on"]), 5) as s:
        time.sleep(0.7)
        s.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 200")
    got, ended = talk(ports["duration"], b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 5)
    assert got.endswith(b"ok") and ended
    assert talk(ports["attempts"], b"x", 5)[1]
    wait_for(lambda: stats(admin)["cluster.dead.upstream_cx_connect_fail"] == 3, "three attempts")
    assert stats(admin)["tcp.raw.max_downstream_connection_duration"] == 1
