"""egret-control over the wire: a real gRPC client with a certificate, a real folder, a real process."""
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess

import grpc
import pytest

from test_control_kit import (API, BACKEND, CDS, EDS, LDS, PRODUCT, PROGRAM, RDS, SDS, SUBSCRIPTION, Client,
                              Control, Pki, eventually, free_port, protos, write, BIN, WAIT)

SETTINGS = """
service_name: test
backend_ca: /pki/backend-ca.pem
host_names:
- { name: api.contoso.test, certificate: /pki/api.pem, private_key: /pki/api.key, is_default: true }
- { name: other.contoso.test, certificate: /pki/other.pem, private_key: /pki/other.key }
sidecars:
- { address: 127.0.0.1, http_port: 7001, https_port: 7002, access_log: /var/log/gateway.log, access_log_format: json }
gateways:
- { name: eu, address: gateway.test, port: 15008, certificate: /pki/gw.pem, private_key: /pki/gw.key,
    client_ca: /pki/ca.pem, sni: gateway.test, sidecar_certificate: /pki/sc.pem, sidecar_private_key: /pki/sc.key,
    sidecar_ca: /pki/ca.pem, listen_address: 0.0.0.0 }
pools:
- { name: blue, addresses: [ 192.0.2.7, 192.0.2.8, 192.0.2.9 ] }
egress:
- { hosts: [ "*.partner.test", fixed.partner.test ], ports: [ 443 ], gateway: eu, pool: blue }
"""


@pytest.fixture(scope="session")
def pb(tmp_path_factory):
    return protos(str(tmp_path_factory.mktemp("protos")))


@pytest.fixture
def control(tmp_path):
    c = Control(tmp_path, SETTINGS)
    a = c.artifacts
    a.api("orders", "http://10.1.2.3:3001/v1")
    a.api("conference", "https://conf.partner.test/api")
    a.product("starter", ["orders"])
    a.subscription("acme", "/products/starter", "acme-primary-key", "acme-secondary-key")
    a.subscription("all", "/apis", "all-primary-key")
    yield c
    c.stop()
    text = c.log_text()
    for secret in ("acme-primary-key", "acme-secondary-key", "all-primary-key", "0123456789abcdef0123456789abcdef"):
        assert secret not in text


@pytest.fixture
def connect(control, pb):
    clients = []

    def make(cluster="shop", **more):
        clients.append(Client(control, pb, cluster, **more))
        return clients[-1]
    yield make
    for c in clients:
        c.close()


def mac(key, k=b"0123456789abcdef0123456789abcdef"):
    return hmac.new(k, key.encode(), hashlib.sha256).digest()


def test_a_sidecar_gets_all_it_needs_and_silence_after_its_acks(control, connect):
    control.start()
    c = connect()
    clusters = c.subscribe(CDS)
    listeners = c.subscribe(LDS)
    routes = c.subscribe(RDS, ["apim"])
    backends = c.subscribe(BACKEND, ["*"])
    programs = c.subscribe(PROGRAM, ["*"])
    products = c.subscribe(PRODUCT, ["*"])
    apis = c.subscribe(API, ["*"])
    subscriptions = c.subscribe(SUBSCRIPTION, ["*"])
    assert c.silent()

    assert set(listeners) == {"http", "https", "tunnel/eu/conf.partner.test:443"}
    assert listeners["http"].address.socket_address.port_value == 7001
    chains = listeners["https"].filter_chains
    assert [list(x.filter_chain_match.server_names) for x in chains] == [["api.contoso.test"], ["other.contoso.test"], []]
    assert set(clusters) == {"http/10.1.2.3:3001", "https/conf.partner.test:443@eu", "gateway/eu"}
    tunnel = clusters["https/conf.partner.test:443@eu"]
    endpoint = tunnel.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address
    assert endpoint.envoy_internal_address.server_listener_name == "tunnel/eu/conf.partner.test:443"
    host = routes["apim"].virtual_hosts[0]
    assert sorted(host.domains) == ["127.0.0.1", "[::1]", "api.contoso.test", "localhost", "other.contoso.test",
                                    "test.azure-api.net"]
    assert "egret.apim" in host.typed_per_filter_config
    assert set(apis) == {"apis/orders;rev=1", "apis/conference;rev=1"}
    orders = apis["apis/orders;rev=1"]
    assert orders.path == "orders" and [o.id for o in orders.operations] == ["list", "one"]
    assert list(orders.products) == ["products/starter"] and set(products) == {"products/starter"}
    backend = backends[orders.backend]
    assert backend.cluster == "http/10.1.2.3:3001" and backend.base_path == "/v1" and not backend.closed
    assert set(subscriptions) == {"subscriptions/acme", "subscriptions/all"}
    acme = subscriptions["subscriptions/acme"]
    assert [m.mac for m in acme.primary] == [mac("acme-primary-key")]
    assert [m.mac for m in acme.secondary] == [mac("acme-secondary-key")]
    assert acme.primary[0].mac_key_id == "k1" and acme.scope_name == "products/starter"
    assert isinstance(programs, dict)
    rows = eventually(lambda: [p for p in control.get("/proxies") if all(
        t["state"] == "SYNCED" for t in p["types"] if t["type"] in ("CDS", "LDS", "RDS", "Api", "Subscription"))])
    assert rows[0]["node"] == "node-1" and rows[0]["cluster"] == "shop"
    assert {t["type"]: t["state"] for t in rows[0]["types"]}["SDS"] == "NOT SENT"


def test_an_egress_gateway_gets_one_host_for_each_target_with_its_fixed_address(control, connect):
    control.start()
    c = connect("egress/eu")
    clusters, listeners, routes = c.subscribe(CDS), c.subscribe(LDS), c.subscribe(RDS, ["egress"])
    assert set(clusters) == {"conf.partner.test:443@blue", "fixed.partner.test:443@blue"}
    assert {tuple(h.domains) for h in routes["egress"].virtual_hosts} == {
        ("conf.partner.test:443",), ("fixed.partner.test:443",)}
    assert set(listeners) == {"egress"}
    rows = {d["host"]: d["address"] for d in control.get("/egress-ips")["destinations"]}
    for name, cluster in clusters.items():
        address = cluster.upstream_bind_config.source_address.address
        assert address in ("192.0.2.7", "192.0.2.8", "192.0.2.9")
        assert rows[name.split(":")[0]] == address


def test_a_changed_file_is_live_and_only_what_changed_is_sent(control, connect):
    control.start()
    c = connect()
    for type_url, names in ((CDS, []), (LDS, []), (BACKEND, ["*"]), (API, ["*"]), (SUBSCRIPTION, ["*"])):
        c.subscribe(type_url, names)
    control.artifacts.api("orders", "http://10.1.2.3:3001/v1", displayName="renamed")
    r = c.next(API)
    assert c.open(r)["apis/orders;rev=1"].display_name == "renamed"
    c.ack(r, ["*"])
    assert c.silent()


def test_a_rotated_and_a_removed_key_take_effect(control, connect):
    control.start()
    c = connect()
    c.subscribe(SUBSCRIPTION, ["*"])
    control.artifacts.keys["acme"] = ("acme-new-key", "acme-secondary-key")
    control.artifacts.save_overrides()
    r = c.next(SUBSCRIPTION)
    assert [m.mac for m in c.open(r)["subscriptions/acme"].primary] == [mac("acme-new-key")]
    c.ack(r, ["*"])
    control.artifacts.remove("subscriptions/acme")
    del control.artifacts.keys["acme"]
    control.artifacts.save_overrides()
    r = c.next(SUBSCRIPTION)
    assert set(c.open(r)) == {"subscriptions/all"}


def test_a_cluster_is_withdrawn_only_after_its_backend_moved(control, connect):
    control.start()
    c = connect()
    for type_url, names in ((CDS, []), (BACKEND, ["*"]), (API, ["*"])):
        c.subscribe(type_url, names)
    control.artifacts.api("orders", "http://10.9.9.9:3001/v1")
    r = c.next(CDS)
    assert {"http/10.1.2.3:3001", "http/10.9.9.9:3001"} <= set(c.open(r))
    c.ack(r)
    r = c.next(BACKEND)
    c.ack(r, ["*"])
    r = c.next(CDS)
    assert "http/10.1.2.3:3001" not in c.open(r) and "http/10.9.9.9:3001" in c.open(r)


def test_a_refused_state_is_shown_not_repeated_and_mended_by_a_change(control, connect):
    control.start()
    c = connect()
    c.send(CDS)
    first = c.next(CDS)
    c.ack(first)
    control.artifacts.api("orders", "http://10.9.9.9:1/v1")
    r = c.next(CDS)
    c.nack(r, "http/10.9.9.9:1: connect_timeout: no", first.version_info)
    assert c.silent()
    row = [t for t in control.get("/proxies")[0]["types"] if t["type"] == "CDS"][0]
    assert row["state"] == "REJECTED" and "connect_timeout: no" in row["reason"]
    control.artifacts.api("orders", "http://10.1.2.3:3001/v1")
    again = c.next(CDS)
    assert again.version_info == first.version_info
    c.ack(again)
    eventually(lambda: [t for t in control.get("/proxies")[0]["types"] if t["type"] == "CDS"][0]["state"] == "SYNCED")


def test_who_may_not_is_told_so(control, connect):
    control.artifacts.gateway("shop", ["orders"])
    control.start()
    other = control.pki.issue("other", "URI:spiffe://egret/gateway/other")
    none = control.pki.issue("none", "DNS:node.test")
    for cluster, certificate in (("shop", other), ("shop", none), ("nowhere", None), ("egress/us", None),
                                 ("egress", control.pki.issue("e", "URI:spiffe://egret/gateway/egress"))):
        c = connect(cluster, certificate=certificate)
        c.send(CDS)
        code, text = c.status()
        assert code == grpc.StatusCode.PERMISSION_DENIED, (cluster, code, text)
        assert cluster in text


def test_a_gateway_gets_only_its_apis_and_the_keys_that_reach_them(control, connect):
    control.artifacts.subscription("conf-only", "/apis/conference", "conf-only-key")
    control.artifacts.gateway("shop", ["orders"])
    control.start()
    c = connect("shop")
    assert set(c.subscribe(API, ["*"])) == {"apis/orders;rev=1"}
    assert set(c.subscribe(SUBSCRIPTION, ["*"])) == {"subscriptions/acme", "subscriptions/all"}
    control.artifacts.remove("gateways/shop")
    control.artifacts.gateway("elsewhere", ["orders"])
    code, text = c.status()
    assert code == grpc.StatusCode.PERMISSION_DENIED and "shop" in text


def test_a_foreign_certificate_does_not_get_in(control, connect, tmp_path):
    control.start()
    foreign = Pki(str(tmp_path / "foreign")).issue("shop", "URI:spiffe://egret/gateway/shop")
    c = connect("shop", certificate=foreign)
    c.send(CDS)
    assert c.status()[0] == grpc.StatusCode.UNAVAILABLE


def test_certificates_are_exchanged_under_a_running_stream(control, connect, pb):
    control.start()
    old = connect()
    old.subscribe(CDS)
    before = control.log_text().count("certificates read again")
    new = Pki(control.pki.folder + "-new")
    control.pki.ca_key, bundle = control.pki.ca_key, open(control.pki.ca).read() + open(new.ca).read()
    write(control.pki.ca, bundle)
    eventually(lambda: control.log_text().count("certificates read again") > before)
    c = connect("shop", certificate=new.issue("shop", "URI:spiffe://egret/gateway/shop"), node_id="node-2")
    c.subscribe(CDS)
    control.artifacts.api("third", "http://10.3.3.3")
    assert "http/10.3.3.3:80" in old.open(old.next(CDS))


def test_what_is_not_built_is_refused_and_bad_requests_end_the_stream(control, connect):
    control.start()
    c = connect(method="/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters")
    c.send(CDS)
    assert c.status()[0] == grpc.StatusCode.UNIMPLEMENTED
    c = connect()
    c.out.put(b"\x0a\xff\xff\xff")
    assert c.status()[0] == grpc.StatusCode.INVALID_ARGUMENT
    c = connect()
    c.send("")
    assert c.status()[0] == grpc.StatusCode.INVALID_ARGUMENT
    c = connect(node_id="")
    c.send(CDS)
    assert c.status()[0] == grpc.StatusCode.INVALID_ARGUMENT
    c = connect()
    c.send(CDS, ["x" * 1000] * 5000)
    assert c.status()[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_plain_envoy_gets_no_egret_types(control, connect):
    control.start()
    c = connect(features=())
    c.send(API, ["*"])
    c.subscribe(CDS)
    assert c.silent()


def test_an_unreadable_file_changes_nothing_else_and_is_named(control, connect):
    control.start()
    c = connect()
    c.subscribe(API, ["*"])
    control.artifacts.put("apis/orders/apiInformation.json", '{"properties": {')
    fault = eventually(lambda: [f for f in control.get("/faults")
                                if f["file"] == "apis/orders/apiInformation.json"])[0]
    assert fault["kind"] == "STALE" and fault["line"] == 1
    assert c.silent()
    control.artifacts.api("fourth", "http://10.4.4.4")
    r = c.next(API)
    assert {"apis/orders;rev=1", "apis/fourth;rev=1"} <= set(c.open(r))
    assert not c.open(r)["apis/orders;rev=1"].closed


def test_last_good_forms_survive_a_restart_and_no_key_stands_in_the_state_folder(control, connect, pb):
    control.start()
    c = connect()
    c.subscribe(API, ["*"])
    c.subscribe(SUBSCRIPTION, ["*"])
    control.stop()
    assert c.status()[0] == grpc.StatusCode.UNAVAILABLE
    for name in os.listdir(os.path.join(control.folder, "state")):
        with open(os.path.join(control.folder, "state", name), "rb") as f:
            content = f.read()
        for secret in (b"acme-primary-key", b"all-primary-key", b"0123456789abcdef"):
            assert secret not in content
    control.artifacts.put("apis/orders/apiInformation.json", '{"properties": ')
    overrides = open(control.artifacts.overrides).read()
    control.artifacts.save_overrides = lambda: write(control.artifacts.overrides, "subscriptions: [")
    control.start()
    c = connect(node_id="node-2")
    assert set(c.subscribe(API, ["*"])) == {"apis/orders;rev=1", "apis/conference;rev=1"}
    again = c.subscribe(SUBSCRIPTION, ["*"])
    assert [m.mac for m in again["subscriptions/acme"].primary] == [mac("acme-primary-key")]
    kinds = {f["file"]: f["kind"] for f in control.get("/faults")}
    assert kinds["apis/orders/apiInformation.json"] == "STALE"
    write(control.artifacts.overrides, overrides)


def test_a_killed_server_comes_back_and_a_damaged_database_is_named(control, connect):
    control.start()
    connect().subscribe(API, ["*"])
    control.stop(signal.SIGKILL)
    control.start()
    assert not any("renamed" in f["reason"] for f in control.get("/faults"))
    control.stop()
    with open(os.path.join(control.folder, "state", "control.db"), "wb") as f:
        f.write(b"not a database at all, but long enough to be looked at" * 20)
    control.start()
    assert connect(node_id="node-2").subscribe(API, ["*"])
    assert any("renamed" in f["reason"] for f in control.get("/faults"))


def test_a_node_that_left_is_shown_as_disconnected(control, connect):
    control.start()
    c = connect()
    c.subscribe(CDS)
    c.close()
    row = eventually(lambda: [p for p in control.get("/proxies") if not p["connected"]])[0]
    assert row["node"] == "node-1" and {t["state"] for t in row["types"]} == {"DISCONNECTED"}


def test_wrong_settings_are_named_with_their_place(tmp_path):
    control = Control(tmp_path)
    rows = (("adz: {}\n", "control.yaml:6:1: adz"), ("service_name: [a]\n", "service_name"),
            ("egress: [ { hosts: [ a.test ], gateway: none } ]\n", "egress[0].gateway"),
            ("pools: [ { name: p, addresses: [ not-an-ip ] } ]\n", "pools[0].addresses"),
            ("host_names: [ { name: a.test, certificate: /x } ]\n", "host_names[0].private_key"))
    for settings, expected in rows:
        control.settings = settings
        control.port = free_port()
        control.start(wait=False)
        assert control.process.wait(WAIT) == 1
        control.process = None
        last = control.log_text().strip().splitlines()[-1]
        assert expected in last and "control.yaml" in last, last


def test_command_line_mistakes_end_with_status_1():
    program = os.path.join(BIN, "egret-control")
    for args, expected in ((["--frobnicate"], "--frobnicate"), (["--folder"], "--folder"), (["--mode", "x"], "mode"),
                           (["--folder", "/x"], "--config"), (["--config", "/x"], "--folder"), (["-l", "loud"], "level"),
                           (["--folder", "/x", "--config", "/x", "extra"], "extra")):
        done = subprocess.run([program, *args], capture_output=True, text=True, timeout=WAIT)
        assert done.returncode == 1 and expected in done.stderr, (args, done)
    for flag in ("--version", "--help"):
        assert subprocess.run([program, flag], capture_output=True, timeout=WAIT).returncode == 0


def egretctl(control, *args, **env):
    return subprocess.run([os.path.join(BIN, "egretctl"), *args], capture_output=True, text=True, timeout=WAIT,
                          env={**os.environ, "EGRET_CONTROL_SOCKET": control.socket_path, **env})


def test_egretctl_shows_proxies_faults_and_addresses(control, connect):
    control.start()
    c = connect()
    c.subscribe(API, ["*"])
    c.send(CDS)
    c.nack(c.next(CDS), "no such thing")
    eventually(lambda: "REJECTED" in egretctl(control, "status").stdout)
    text = egretctl(control, "status").stdout
    assert "2 apis, 4 operations, 1 products, 2 subscriptions served" in text
    row = [line for line in text.splitlines() if line.startswith("node-1")][0]
    assert "shop" in row and "SYNCED" in row and "NOT SENT" in row
    assert "REJECTED by node-1: CDS: no such thing" in text
    assert egretctl(control, "faults").stdout == "no faults\n"
    control.artifacts.put("apis/orders/apiInformation.json", "{")
    eventually(lambda: "STALE" in egretctl(control, "faults").stdout)
    assert "apis/orders/apiInformation.json:1:" in egretctl(control, "faults").stdout
    text = egretctl(control, "egress", "ips").stdout
    assert "conf.partner.test" in text and "192.0.2." in text and "blue" in text
    for command in (["status"], ["faults"], ["egress", "ips"]):
        json.loads(egretctl(control, "-o", "json", *command).stdout)


def test_egretctl_tells_by_its_status_what_went_wrong(control):
    nobody = egretctl(control, "status", EGRET_CONTROL_SOCKET="/nowhere/control.sock")
    assert nobody.returncode == 1 and "/nowhere/control.sock" in nobody.stderr
    for args in (["--socket"], ["--what"], ["nonsense"], [], ["-o", "xml", "status"]):
        assert egretctl(control, *args).returncode == 2
    assert "egress ips" in egretctl(control, "--help").stdout


def test_nothing_is_answered_until_the_folder_is_there(control, connect):
    away = control.artifacts.folder + "-away"
    os.rename(control.artifacts.folder, away)
    control.start()
    assert any("no proxy is answered" in f["reason"] for f in control.get("/faults"))
    c = connect()
    c.send(API, ["*"])
    assert c.silent()
    os.rename(away, control.artifacts.folder)
    assert set(c.open(c.next(API))) == {"apis/orders;rev=1", "apis/conference;rev=1"}
    assert control.get("/faults") == []


def test_a_port_in_use_and_an_unusable_certificate_are_named(control):
    with socket.create_server(("127.0.0.1", control.port)):
        control.start(wait=False)
        assert control.process.wait(WAIT) == 1
    control.process = None
    assert f"cannot listen on 127.0.0.1:{control.port}" in control.log_text()
    control.port = free_port()
    write(control.pki.path("control.pem"), "no certificate at all")
    control.start(wait=False)
    assert control.process.wait(WAIT) == 1
    control.process = None
    assert "ads.certificate" in control.log_text().strip().splitlines()[-1]
