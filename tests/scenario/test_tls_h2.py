"""TLS and HTTP/2 towards both sides, from the same bootstrap for Egret and Envoy."""
import ssl
import subprocess

import pytest

from configs import bootstrap, cluster, downstream_tls, h2_options, hcm, listener, upstream_tls
from harness import curl, free_port

ALL = [{"match": {"prefix": "/"}, "route": {"cluster": "b"}}]


def server_context(pki, name, client_ca=False):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pki.path(f"{name}.pem"), pki.path(f"{name}.key"))
    if client_ca:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(pki.path("ca.pem"))
    return c


def nginx_h2(stage, location):
    """A real HTTP/2 server in clear (prior knowledge)."""
    port = free_port()
    conf = stage.path / f"nginx-{port}.conf"
    conf.write_text(f"""daemon off; worker_processes 1; pid {stage.path}/nginx-{port}.pid; error_log stderr;
        events {{ }} http {{ access_log off; client_body_temp_path {stage.path}/b; proxy_temp_path {stage.path}/p;
        fastcgi_temp_path {stage.path}/f; uwsgi_temp_path {stage.path}/u; scgi_temp_path {stage.path}/s;
        server {{ listen 127.0.0.1:{port} http2; location / {{ {location} }} }} }}""")
    stage.process(["/usr/sbin/nginx", "-c", str(conf), "-p", str(stage.path)], port)
    return port


@pytest.mark.parametrize("alpn,version", [(["h2", "http/1.1"], "2"), (["http/1.1"], "1.1")])
def test_tls_is_terminated_and_alpn_chooses_the_protocol(stage, kind, pki, alpn, version):
    b = stage.backend(lambda r: ("200 OK", [], r.body or b"hello"))
    port = free_port()
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=ALL), tls=downstream_tls(pki, "server", alpn))],
                                [cluster("b", b.port)]), port)
    status, _, body, head = curl(f"https://localhost:{port}/x", "--cacert", pki.path("ca.pem"))
    assert (status, body) == (200, b"hello") and head.startswith(f"HTTP/{version} ")
    assert b.requests[-1].header("x-forwarded-proto") == "https"
    big = stage.path / "big"
    big.write_bytes(b"0123456789" * 200000)
    status, _, body, _ = curl(f"https://localhost:{port}/x", "--cacert", pki.path("ca.pem"), "--data-binary", f"@{big}")
    assert status == 200 and body == big.read_bytes()


def test_a_client_certificate_is_required_when_told_so(stage, kind, pki):
    b = stage.backend()
    port = free_port()
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=ALL), tls=downstream_tls(pki, "server", require=True))],
                                [cluster("b", b.port)]), port)
    ca = ["--cacert", pki.path("ca.pem")]
    assert curl(f"https://localhost:{port}/", *ca)[0] < 0
    assert curl(f"https://localhost:{port}/", *ca, "--cert", pki.path("sidecar.pem"), "--key", pki.path("sidecar.key"))[0] == 200
    assert len(b.requests) == 1


def test_tls_towards_the_upstream_is_verified(stage, kind, pki, tmp_path):
    import harness
    other = harness.Pki(tmp_path / "other")
    other.issue("third", "DNS:third.test")
    good = stage.backend(tls=server_context(pki, "third"))
    bad = stage.backend(tls=server_context(other, "third"))
    port = free_port()
    routes = [{"match": {"prefix": "/bad"}, "route": {"cluster": "bad"}}, {"match": {"prefix": "/"}, "route": {"cluster": "good"}}]
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=routes))],
                                [cluster("good", good.port, transport_socket=upstream_tls(pki, "third.test")),
                                 cluster("bad", bad.port, transport_socket=upstream_tls(pki, "third.test"))]), port)
    assert curl(f"http://127.0.0.1:{port}/")[0] == 200
    assert curl(f"http://127.0.0.1:{port}/bad")[0] == 503
    assert not bad.requests


def test_mtls_towards_the_upstream(stage, kind, pki):
    b = stage.backend(tls=server_context(pki, "third", client_ca=True))
    port = free_port()
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=ALL))],
                                [cluster("b", b.port, transport_socket=upstream_tls(pki, "third.test", cert="sidecar"))]), port)
    assert curl(f"http://127.0.0.1:{port}/")[0] == 200


@pytest.mark.parametrize("front", ["h1", "h2"])
def test_http2_upstream(stage, kind, front):
    up = nginx_h2(stage, 'add_header x-proto $server_protocol; return 200 "from h2 $request_uri";')
    port = free_port()
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=ALL))], [cluster("b", up, **h2_options())]), port)
    flag = ["--http2-prior-knowledge"] if front == "h2" else []
    status, headers, body, head = curl(f"http://127.0.0.1:{port}/a?b", *flag)
    assert (status, body, headers["x-proto"]) == (200, b"from h2 /a?b", "HTTP/2.0")
    assert head.startswith("HTTP/2 " if front == "h2" else "HTTP/1.1 ")


def test_http2_downstream_many_streams(stage, kind):
    b = stage.backend(lambda r: ("200 OK", [], b"x" * 5000))
    port = free_port()
    stage.proxy(kind, bootstrap([listener(port, hcm(routes=ALL))], [cluster("b", b.port)]), port)
    out = subprocess.run(["h2load", "-n", "400", "-c", "4", "-m", "20", f"http://127.0.0.1:{port}/"],
                         capture_output=True, text=True, timeout=60).stdout
    assert "400 succeeded, 0 failed" in out and "status codes: 400 2xx" in out, out
    assert len(b.requests) == 400


def test_a_rotated_certificate_is_served_without_a_restart(stage, pki, tmp_path):
    import os
    import shutil
    from harness import Pki, wait_for
    mine = Pki(tmp_path / "rotating")
    mine.issue("server", "DNS:localhost")
    b, port = stage.backend(), free_port()
    stage.proxy("egret", bootstrap([listener(port, hcm(routes=ALL), tls=downstream_tls(mine, "server"))], [cluster("b", b.port)]), port)

    def serial():
        out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"], input=b"",
                             capture_output=True, timeout=10).stdout
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=out, capture_output=True).stdout

    before = serial()
    mine.issue("next", "DNS:localhost")
    for end in ("key", "pem"):
        shutil.copy(mine.path(f"next.{end}"), mine.path(f"new.{end}"))
        os.replace(mine.path(f"new.{end}"), mine.path(f"server.{end}"))
    wait_for(lambda: serial() not in (before, b""), "the new certificate")
    assert curl(f"https://localhost:{port}/", "--cacert", mine.path("ca.pem"))[0] == 200


def test_a_request_for_another_names_certificate_is_misdirected(stage, pki):
    """421 only if it makes a difference: a.test and b.test have certificates of their own, c.test shares a.test's."""
    for name in ("a.test", "b.test"):
        pki.issue(name, f"DNS:{name}")
    b, port = stage.backend(), free_port()

    def chain(names, cert):
        return {"filter_chain_match": {"server_names": names}, "filters": [hcm(routes=ALL)],
                "transport_socket": downstream_tls(pki, cert, ["h2", "http/1.1"])}

    config = bootstrap([{"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                         "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": {
                             "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
                         "filter_chains": [chain(["a.test"], "a.test"), chain(["b.test"], "b.test"), chain(["c.test"], "a.test")]}],
                       [cluster("b", b.port)])
    stage.proxy("egret", config, port)

    def ask(sni, host, *more):
        return curl(f"https://{sni}:{port}/", "--resolve", f"{sni}:{port}:127.0.0.1", "-k", "-H", f"Host: {host}", *more)[0]

    for more in ([], ["--http1.1"]):
        assert ask("a.test", "a.test", *more) == 200
        assert ask("a.test", f"A.Test:{port}", *more) == 200
        assert ask("a.test", "b.test", *more) == 421
        assert ask("b.test", "a.test", *more) == 421
        assert ask("a.test", "c.test", *more) == 200
        assert ask("a.test", "elsewhere.test", *more) == 200
    assert all(r.header("host") != "b.test" for r in b.requests)
