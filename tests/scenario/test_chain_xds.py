"""Egret and Envoy as clients of a control server of the tests' own; what Egret refuses, and how that is shown."""
import json
import os
import re
import time

import pytest

from ads_kit import CDS, EDS, LDS, RDS, Ads, client
from chain import Chain
from configs import T, address, cluster, hcm, listener
from harness import curl, free_port, wait_for
from test_control_kit import protos


@pytest.fixture(scope="session")
def pb(tmp_path_factory):
    return protos(str(tmp_path_factory.mktemp("ads-protos")))


@pytest.fixture(params=["GRPC", "DELTA_GRPC"])
def ads(request, stage, pb):
    a = Ads(pb, request.param)
    stage.things.append(a)
    return a


ADS = {"ads": {}, "resource_api_version": "V3"}


def rds_listener(port, name="one", **more):
    manager = hcm(vhosts=[{}])
    config = manager["typed_config"]
    del config["route_config"]
    config["rds"] = {"config_source": ADS, "route_config_name": "routes"}
    return listener(port, manager, name=name, **more)


def routes(**action):
    return {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, **action}]}]}


def eds(name):
    return {"name": name, "type": "EDS", "connect_timeout": "2s", "eds_cluster_config": {"eds_config": ADS}}


def endpoints(name, *ports):
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(p)}} for p in ports]}]}


def named(answer):
    return lambda r: ("200 OK", [], answer)


def body(port, path="/"):
    a = curl(f"http://127.0.0.1:{port}{path}")
    return a[2] if a[0] == 200 else a[0]


def test_everything_comes_over_ads_and_endpoints_change_live(stage, ads, kind):
    one, two, port = stage.backend(named(b"one")), stage.backend(named(b"two")), free_port()
    ads.put(CDS, eds("b"))
    ads.put(EDS, endpoints("b", one.port))
    ads.put(RDS, routes(route={"cluster": "b"}))
    ads.put(LDS, rds_listener(port))
    stage.proxy(kind, client(ads), port)
    wait_for(lambda: body(port) == b"one", "the first endpoint")
    ads.put(EDS, endpoints("b", two.port))
    wait_for(lambda: body(port) == b"two", "the second endpoint")
    ads.put(EDS, endpoints("b", one.port, two.port))
    wait_for(lambda: {body(port) for _ in range(8)} == {b"one", b"two"}, "both endpoints")
    ads.put(RDS, routes(direct_response={"status": 200, "body": {"inline_string": "direct"}}))
    wait_for(lambda: body(port) == b"direct", "the new route")
    ads.put(RDS, routes(route={"cluster": "b"}))
    ads.put(EDS, endpoints("b"))
    wait_for(lambda: body(port) == 503, "no endpoint")
    wait_for(lambda: ads.accepted(EDS), "its ACK")


def test_a_cluster_that_changes_keeps_its_endpoints(stage, ads, kind):
    b, port = stage.backend(named(b"here")), free_port()
    ads.put(CDS, eds("b"))
    ads.put(EDS, endpoints("b", b.port))
    ads.put(RDS, routes(route={"cluster": "b"}))
    ads.put(LDS, rds_listener(port))
    stage.proxy(kind, client(ads), port)
    wait_for(lambda: body(port) == b"here", "the endpoint")
    ads.put(CDS, {**eds("b"), "connect_timeout": "3s"})
    ads.put(EDS, endpoints("b", b.port))
    wait_for(lambda: ads.accepted(CDS) or ads.accepted(EDS), "the ACK")
    assert [body(port) for _ in range(5)] == [b"here"] * 5


def test_a_listener_appears_moves_and_goes(stage, ads, kind):
    b, first, second = stage.backend(named(b"here")), free_port(), free_port()
    ads.put(CDS, cluster("b", b.port))
    ads.put(RDS, routes(route={"cluster": "b"}))
    ads.put(LDS, rds_listener(first))
    stage.proxy(kind, client(ads), first)
    wait_for(lambda: body(first) == b"here", "the first listener")
    ads.put(LDS, rds_listener(first), rds_listener(second, "two"))
    wait_for(lambda: body(second) == b"here", "the second listener")
    ads.put(LDS, rds_listener(second, "two"))
    wait_for(lambda: body(first) == -7, "the first one gone")
    assert body(second) == b"here"


def dns(name, host, port):
    return {"name": name, "type": "STRICT_DNS", "connect_timeout": "2s", "dns_lookup_family": "V4_ONLY",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port, host)}}]}]}}


def test_a_name_is_resolved(stage, ads, kind):
    b, port = stage.backend(named(b"by name")), free_port()
    ads.put(CDS, dns("b", "localhost", b.port))
    ads.put(RDS, routes(route={"cluster": "b"}))
    ads.put(LDS, rds_listener(port))
    stage.proxy(kind, client(ads), port)
    wait_for(lambda: body(port) == b"by name", "the answer")
    ads.put(CDS, dns("b", "no-such-name.invalid", b.port))
    wait_for(lambda: body(port) == 503, "no address")


# ---- what is refused

def start(stage, ads, *clusters):
    port, admin = free_port(), free_port()
    ads.put(CDS, *clusters)
    ads.put(RDS, routes(route={"cluster": "good"}))
    ads.put(LDS, rds_listener(port))
    return port, admin, stage.proxy("egret", client(ads, admin), port)


def test_a_refused_cluster_is_named_with_its_field_and_its_neighbours_apply(stage, ads):
    one, two = stage.backend(named(b"one")), stage.backend(named(b"two"))
    port, _, _ = start(stage, ads, cluster("good", one.port), cluster("bad", one.port))
    wait_for(lambda: body(port) == b"one" and ads.accepted(LDS), "the first form")
    ads.put(CDS, cluster("good", two.port), {**cluster("bad", one.port), "outlier_detection": {"consecutive_5xx": 3}})
    reason = wait_for(lambda: ads.refusal(CDS), "the refusal")
    assert "bad" in reason and "outlier_detection" in reason and "good" not in reason, reason
    wait_for(lambda: body(port) == b"two", "the neighbour's new form")
    assert not ads.accepted(CDS)
    ads.put(RDS, routes(route={"cluster": "bad"}))
    wait_for(lambda: body(port) == b"one", "the refused one's old form serves")
    ads.put(CDS, cluster("good", two.port), cluster("bad", two.port))
    wait_for(lambda: ads.accepted(CDS) and body(port) == b"two", "mended")


def test_refused_listeners_and_routes_keep_their_old_form(stage, ads):
    b = stage.backend(named(b"here"))
    port, admin, _ = start(stage, ads, cluster("good", b.port))
    wait_for(lambda: body(port) == b"here", "the first form")
    bad = rds_listener(port)
    bad["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"].insert(
        0, {"name": "envoy.filters.http.router", "typed_config": {"@type": T + "filters.http.router.v3.Router"}})
    ads.put(LDS, bad)
    reason = wait_for(lambda: ads.refusal(LDS), "the refusal")
    assert reason.startswith("one") or "one:" in reason, reason
    assert body(port) == b"here"
    ads.put(RDS, {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"safe_regex": {"regex": "(unclosed"}}, "route": {"cluster": "good"}}]}]})
    reason = wait_for(lambda: ads.refusal(RDS), "the refusal")
    assert "routes" in reason and "regex" in reason, reason
    assert body(port) == b"here"
    states = curl(f"http://127.0.0.1:{admin}/config_dump")[2].decode()
    assert "error_state" in states and "regex" in states


def test_bytes_that_are_no_message_are_refused_and_change_nothing(stage, ads):
    b = stage.backend(named(b"here"))
    port, _, proxy = start(stage, ads, cluster("good", b.port))
    wait_for(lambda: body(port) == b"here", "the first form")
    nested = b""
    for _ in range(5000):
        nested = b"\x12" + bytes([len(nested) & 0x7f | 0x80, len(nested) >> 7 & 0x7f | 0x80, len(nested) >> 14]) + nested
    for junk in (b"\xff\xff\xff\xff", nested, b"\x0a\x03bad\x99"):
        ads.put(CDS, cluster("good", b.port), junk)
        wait_for(lambda: ads.last(CDS).HasField("error_detail") and ads.last(CDS).response_nonce.startswith(f"n{ads.version}-"),
                 "the refusal")
        assert body(port) == b"here" and proxy.alive()


def test_a_stream_that_ends_is_opened_again(stage, ads):
    one, two = stage.backend(named(b"one")), stage.backend(named(b"two"))
    port, _, _ = start(stage, ads, cluster("good", one.port))
    wait_for(lambda: body(port) == b"one", "the first form")
    for s in list(ads.streams):
        s.put(None)
    ads.put(CDS, cluster("good", two.port))
    wait_for(lambda: body(port) == b"two", "the new form over a new stream")


@pytest.fixture
def delta(stage, pb):
    a = Ads(pb, "DELTA_GRPC")
    stage.things.append(a)
    return a


def settled(ads):
    return wait_for(lambda: ads.accepted(LDS) or ads.accepted(RDS), "the last ACK")


def test_only_what_changed_is_sent_and_what_goes_is_named(stage, delta, kind):
    one, two, port = stage.backend(named(b"one")), stage.backend(named(b"two")), free_port()
    delta.put(CDS, cluster("a", one.port), cluster("b", two.port), cluster("c", two.port))
    delta.put(RDS, routes(route={"cluster": "a"}))
    delta.put(LDS, rds_listener(port))
    stage.proxy(kind, client(delta), port)
    wait_for(lambda: body(port) == b"one", "the first form")
    settled(delta)
    del delta.sent[:]
    delta.put(CDS, cluster("a", two.port), cluster("b", two.port))
    wait_for(lambda: body(port) == b"two" and delta.accepted(CDS), "the new form")
    assert delta.sent == [(CDS, ["a"], ["c"])]
    delta.put(CDS, cluster("b", two.port))
    wait_for(lambda: delta.accepted(CDS), "the ACK")
    assert delta.sent[1:] == [(CDS, [], ["a"])]


def test_who_comes_back_says_what_it_holds_and_gets_the_rest(stage, delta, kind):
    one, two, port = stage.backend(named(b"one")), stage.backend(named(b"two")), free_port()
    delta.put(CDS, cluster("a", one.port), cluster("b", two.port))
    delta.put(RDS, routes(route={"cluster": "a"}))
    delta.put(LDS, rds_listener(port))
    stage.proxy(kind, client(delta), port)
    wait_for(lambda: body(port) == b"one", "the first form")
    settled(delta)
    del delta.sent[:], delta.requests[:]
    streams, delta.streams = list(delta.streams), []
    delta.put(CDS, cluster("a", two.port), cluster("c", two.port))  # while nobody listens
    for s in streams:
        delta.streams.append(s)
        s.put(None)
    wait_for(lambda: body(port) == b"two", "the new form over a new stream")
    first = {}
    for r in delta.requests:
        first.setdefault(r.type_url, r)
    assert set(first[CDS].initial_resource_versions) == {"a", "b"} and set(first[LDS].initial_resource_versions) == {"one"}
    assert set(first[RDS].initial_resource_versions) == {"routes"} and list(first[RDS].resource_names_subscribe) == ["routes"]
    wait_for(lambda: delta.accepted(CDS), "the ACK")
    assert (CDS, ["a", "c"], ["b"]) in delta.sent
    assert not [row for row in delta.sent if row[0] in (LDS, RDS) and row[1]], delta.sent


def test_a_name_no_longer_needed_is_given_back(stage, delta, kind):
    b, port = stage.backend(named(b"here")), free_port()
    delta.put(CDS, eds("b"), eds("spare"))
    delta.put(EDS, endpoints("b", b.port), endpoints("spare", b.port))
    delta.put(RDS, routes(route={"cluster": "b"}))
    delta.put(LDS, rds_listener(port))
    stage.proxy(kind, client(delta), port)
    wait_for(lambda: body(port) == b"here", "the first form")
    settled(delta)
    delta.put(CDS, eds("b"))
    wait_for(lambda: any("spare" in r.resource_names_unsubscribe for r in delta.requests if r.type_url == EDS), "it is given back")
    assert body(port) == b"here"


def test_what_was_refused_is_asked_for_in_its_old_version(stage, delta):
    """And the answers say per type how much came: egret's own counters."""
    one, two = stage.backend(named(b"one")), stage.backend(named(b"two"))
    port, admin, _ = start(stage, delta, cluster("good", one.port), cluster("bad", one.port))
    wait_for(lambda: body(port) == b"one", "the first form")
    settled(delta)
    old = delta.content(CDS)["bad"][0]
    delta.put(CDS, cluster("good", two.port), {**cluster("bad", one.port), "outlier_detection": {"consecutive_5xx": 3}})
    reason = wait_for(lambda: delta.refusal(CDS), "the refusal")
    assert reason.startswith("bad: ") and "good" not in reason, reason
    wait_for(lambda: body(port) == b"two", "the neighbour's new form")
    received = "cluster_manager.cds.resources_received: 4"
    wait_for(lambda: received in curl(f"http://127.0.0.1:{admin}/stats")[2].decode().splitlines(), received)
    del delta.requests[:]
    for s in list(delta.streams):
        s.put(None)
    first = wait_for(lambda: [r for r in delta.requests if r.type_url == CDS], "the new stream")[0]
    held = dict(first.initial_resource_versions)
    assert held == {"bad": old, "good": delta.content(CDS)["good"][0]}


def test_a_proxy_that_refuses_is_shown_by_egretctl_with_the_reason(tmp_path):
    c = Chain(tmp_path)
    try:
        settings = c.control_settings()["host_names"] + [
            {"name": "third.contoso.test", "certificate": "/nowhere/third.pem", "private_key": "/nowhere/third.key"}]
        c.start_control(host_names=settings)
        c.start_gateway()
        c.start_proxy("app", c.ports["app"][0])
        text = wait_for(lambda: (lambda t: "REJECTED" in t and t)(c.ctl("status").stdout), "REJECTED")
        line = next(x for x in text.splitlines() if "REJECTED by app-1" in x)
        assert "LDS" in line and "https" in line and "/nowhere/third.pem" in line, text
        assert c.states()["CDS"] == "SYNCED"
        wait_for(lambda: c.call("/internal/listUsers")[0] == 200, "the neighbour serves")
        c.stop_process("control")
        c.start_control()
        wait_for(lambda: c.synced() and c.call("/internal/listUsers", scheme="https")[0] == 200, "mended")
    finally:
        c.stop()


# ---- Envoy's own access log and admin, from a static bootstrap

def test_an_access_log_in_envoys_format(stage, kind):
    b, port, log = stage.backend(named(b"hello")), free_port(), stage.path / f"access-{kind}.log"
    text = ("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% "
            "[%REQ(X-ONE)%] [%RESP(X-TWO)%] %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %RESPONSE_CODE_DETAILS% %REQ(X-LONG):3% "
            "%START_TIME(%Y)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %ROUTE_NAME%\n")
    access = {"name": "file", "typed_config": {"@type": T + "access_loggers.file.v3.FileAccessLog", "path": str(log),
                                               "log_format": {"text_format_source": {"inline_string": text}}}}
    rule = [{"name": "all-of-it", "match": {"prefix": "/a"}, "route": {"cluster": "b", "prefix_rewrite": "/b"}}]
    b.answer = lambda r: ("201 Created", [("x-two", "2")], b"hello")
    stage.proxy(kind, {"node": {"id": "x", "cluster": "y"}, "static_resources": {
        "listeners": [listener(port, hcm(routes=rule, access_log=[access]))], "clusters": [cluster("b", b.port)]}}, port)
    curl(f"http://127.0.0.1:{port}/a/x?y=z", "-d", "four", "-H", "X-One: 1", "-H", "X-Long: abcdef")
    curl(f"http://127.0.0.1:{port}/none")
    wait_for(lambda: log.exists() and log.read_text().count("\n") == 2, "two lines")
    year = time.gmtime().tm_year
    assert log.read_text().splitlines() == [
        f"POST /a/x?y=z HTTP/1.1 201 - 4 5 [1] [2] b 127.0.0.1:{b.port} via_upstream abc {year} 127.0.0.1 all-of-it",
        f"GET /none HTTP/1.1 404 NR 0 0 [-] [-] - - route_not_found - {year} 127.0.0.1 -"]


def test_the_admin_interface_of_a_static_bootstrap(stage, kind):
    b, port, admin = stage.backend(), free_port(), free_port()
    stage.proxy(kind, {"node": {"id": "x", "cluster": "y"}, "admin": {"address": address(admin)}, "static_resources": {
        "listeners": [listener(port, hcm(routes=[{"match": {"prefix": "/"}, "route": {"cluster": "b"}}]))],
        "clusters": [cluster("b", b.port)]}}, port, admin)
    curl(f"http://127.0.0.1:{port}/")
    base = f"http://127.0.0.1:{admin}"
    assert curl(base + "/ready")[::2] == (200, b"LIVE\n")
    assert f"listener::127.0.0.1:{port}\n" == curl(base + "/listeners")[2].decode()
    text = curl(base + "/clusters")[2].decode()
    assert f"b::127.0.0.1:{b.port}::cx_active::1" in text and f"b::127.0.0.1:{b.port}::health_flags::healthy" in text
    wait_for(lambda: "http.test.downstream_rq_2xx: 1\n" in curl(base + "/stats")[2].decode(), "the counter")
    stats = curl(base + "/stats")[2].decode()
    for line in ("cluster.b.upstream_rq_total: 1", "cluster.b.upstream_cx_total: 1", "http.test.downstream_rq_total: 1"):
        assert line in stats.splitlines(), line
    prometheus = curl(base + "/stats/prometheus")[2].decode()
    assert re.search(r'envoy_cluster_upstream_rq_total\{envoy_cluster_name="b"\} 1\b', prometheus)
    dump = json.loads(curl(base + "/config_dump")[2])
    kinds = [c["@type"].rsplit(".", 1)[1] for c in dump["configs"]]
    for k in ("BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump"):
        assert k in kinds
