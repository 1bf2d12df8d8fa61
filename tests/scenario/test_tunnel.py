"""The egress tunnel in Envoy's shape: sidecar and gateway, each of them Egret or Envoy, TLS to the third party inside."""
import ssl

import pytest

from configs import T, address, bootstrap, cluster, downstream_tls, h2_options, hcm, listener, upstream_tls
from harness import curl, free_port, have_envoy

LISTED = "127.0.0.77"
PAIRS = [("egret", "egret"), ("egret", "envoy"), ("envoy", "egret"), ("envoy", "envoy")]


def gateway(pki, port, third):
    vhosts = [{"name": "third", "domains": ["third.test:443"], "routes": [
        {"match": {"connect_matcher": {}},
         "route": {"cluster": "third", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]}}]}]
    manager = hcm(vhosts=vhosts, codec_type="HTTP2", http2_protocol_options={"allow_connect": True},
                  upgrade_configs=[{"upgrade_type": "CONNECT"}])
    bind = {"upstream_bind_config": {"source_address": {"address": LISTED, "port_value": 0}}}
    return bootstrap([listener(port, manager, tls=downstream_tls(pki, "gateway", ["h2"], require=True))],
                     [cluster("third", third, **bind)])


def sidecar(pki, port, gateway_port, hostname="third.test:443"):
    tunnel = {"name": "tunnel", "internal_listener": {}, "filter_chains": [{"filters": [{
        "name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": T + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tunnel", "cluster": "gateway",
            "tunneling_config": {"hostname": hostname}}}]}]}
    third = {"name": "third", "load_assignment": {"cluster_name": "third", "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "tunnel"}}}}]}]},
        "transport_socket": upstream_tls(pki, "third.test")}
    gw = cluster("gateway", gateway_port, transport_socket=upstream_tls(pki, "gateway.test", cert="sidecar", alpn=["h2"]),
                 **h2_options())
    return bootstrap([listener(port, hcm(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "third"}}])), tunnel],
                     [third, gw],
                     bootstrap_extensions=[{"name": "envoy.bootstrap.internal_listener", "typed_config": {
                         "@type": T + "bootstrap.internal_listener.v3.InternalListener"}}])


def third_party(stage, pki, answer=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pki.path("third.pem"), pki.path("third.key"))
    return stage.backend(answer, tls=c)


def start(stage, pki, pair, third_port, hostname="third.test:443"):
    if "envoy" in pair and not have_envoy():
        pytest.skip("SKIPPED: no envoy in build/venv (tests/requirements.txt installs it)")
    gateway_port, port = free_port(), free_port()
    stage.proxy(pair[1], gateway(pki, gateway_port, third_port), gateway_port)
    stage.proxy(pair[0], sidecar(pki, port, gateway_port, hostname), port)
    return port


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_a_call_reaches_the_third_party_from_the_listed_address(stage, pki, pair):
    third = third_party(stage, pki, lambda r: ("200 OK", [], b"echo " + r.body))
    port = start(stage, pki, pair, third.port)
    for i in range(5):
        status, _, body, _ = curl(f"http://127.0.0.1:{port}/{i}", "-d", f"n{i}", "-H", "Host: third.test")
        assert (status, body) == (200, f"echo n{i}".encode())
    assert {r.peer[0] for r in third.requests} == {LISTED}
    assert third.requests[0].header("host") == "third.test"


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_large_bodies_pass_the_tunnel_both_ways(stage, pki, pair):
    third = third_party(stage, pki, lambda r: ("200 OK", [], r.body))
    port = start(stage, pki, pair, third.port)
    file = stage.path / "big"
    file.write_bytes(b"0123456789abcdef" * (3 << 16))
    status, _, body, _ = curl(f"http://127.0.0.1:{port}/", "-H", "Expect:", "--data-binary", f"@{file}", seconds=60)
    assert status == 200 and body == file.read_bytes()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_a_destination_that_is_not_allowed_is_refused(stage, pki, pair):
    third = third_party(stage, pki)
    port = start(stage, pki, pair, third.port, hostname="other.test:443")
    assert curl(f"http://127.0.0.1:{port}/")[0] == 503
    assert third.connections == 0


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_a_dead_third_party_behind_the_gateway_is_503(stage, pki, pair):
    port = start(stage, pki, pair, free_port())
    assert curl(f"http://127.0.0.1:{port}/")[0] == 503


def test_a_client_without_a_certificate_gets_no_tunnel(stage, kind, pki):
    third = third_party(stage, pki)
    port = free_port()
    stage.proxy(kind, gateway(pki, port, third.port), port)
    assert curl(f"https://localhost:{port}/", "-k", "--http2")[0] < 0


def test_the_gateway_says_why_a_dial_failed(stage, pki):
    import h2.config
    import h2.connection
    import h2.events
    import socket
    port = free_port()
    stage.proxy("egret", gateway(pki, port, free_port()), port)
    c = ssl.create_default_context(cafile=pki.path("ca.pem"))
    c.load_cert_chain(pki.path("sidecar.pem"), pki.path("sidecar.key"))
    c.set_alpn_protocols(["h2"])
    with c.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="gateway.test") as s:
        s.settimeout(5)
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        conn.initiate_connection()
        conn.send_headers(1, [(":method", "CONNECT"), (":authority", "third.test:443")])
        s.sendall(conn.data_to_send())
        headers = None
        while headers is None:
            for event in conn.receive_data(s.recv(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    headers = dict(event.headers)
            s.sendall(conn.data_to_send())
    text = {(k if isinstance(k, str) else k.decode()): (v if isinstance(v, str) else v.decode()) for k, v in headers.items()}
    assert text[":status"] == "503" and "error=connection_refused" in text["proxy-status"]
