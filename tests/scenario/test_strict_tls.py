"""One address, two names with certificates of their own: neither sessions nor requests cross from one to the other."""
import os
import re
import subprocess

import pytest

from configs import T, address, bootstrap, cluster, downstream_tls, hcm
from harness import curl, free_port
from raw_kit import Recorder, peer, world  # noqa: F401


@pytest.fixture(scope="module")
def port(world, peer, pki):
    b = world.add(Recorder())
    port = free_port()
    h = hcm(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "b"}}])
    inspector = {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": T + "filters.listener.tls_inspector.v3.TlsInspector"}}
    world.proxy(peer, bootstrap([{"name": "l", "address": address(port), "listener_filters": [inspector], "filter_chains": [
        {"name": "one", "filter_chain_match": {"server_names": ["localhost", "server.test"]}, "filters": [h], "transport_socket": downstream_tls(pki, "server", ["h2", "http/1.1"])},
        {"name": "two", "filter_chain_match": {"server_names": ["third.test"]}, "filters": [h], "transport_socket": downstream_tls(pki, "third", ["h2", "http/1.1"])}]}], [cluster("b", b.port)]), port)
    return port


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_request_for_the_other_certificate_is_misdirected(port, pki, version):
    for sni, host, status in (("localhost", "localhost", 200), ("localhost", "server.test", 200), ("localhost", "third.test", 421), ("third.test", "third.test", 200), ("third.test", "localhost", 421)):
        got = curl(f"https://{sni}:{port}/", version, "--connect-to", f"::127.0.0.1:{port}", "--cacert", pki.path("ca.pem"), "-H", f"Host: {host}")[0]
        assert got == status, (sni, host, got)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_resumes_under_its_own_certificate_only(port, tmp_path, version):
    ticket = str(tmp_path / "session")

    def visit(name, *options):
        p = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-ign_eof", version, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
        out = p.communicate(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n", timeout=20)[0]
        assert "HTTP/1.1 200" in out
        return "Reused" if re.search(r"^Reused", out, re.M) else "New"
    assert visit("localhost", "-sess_out", ticket) == "New" and os.path.exists(ticket)
    assert visit("localhost", "-sess_in", ticket) == "Reused"
    assert visit("server.test", "-sess_in", ticket) == "Reused"
    assert visit("third.test", "-sess_in", ticket) == "New"
