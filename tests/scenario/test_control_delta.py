"""egret-control over incremental xDS: only what changed goes over the wire, and who comes back gets the difference."""
import shutil

import pytest

from test_control_kit import (API, BACKEND, CDS, LDS, PRODUCT, PROGRAM, RDS, SUBSCRIPTION, Control, DeltaClient,
                              eventually, protos)

SETTINGS = "service_name: test\n"
WILDCARDS = (CDS, LDS, BACKEND, PROGRAM, PRODUCT, API, SUBSCRIPTION)


@pytest.fixture(scope="session")
def pb(tmp_path_factory):
    return protos(str(tmp_path_factory.mktemp("protos")))


@pytest.fixture
def control(tmp_path):
    c = Control(tmp_path, SETTINGS)
    for i in range(20):
        c.artifacts.api(f"api-{i}", f"http://10.1.2.{i + 1}:3001/v1")
    c.artifacts.product("starter", ["api-1", "api-2"])
    for i in range(50):
        c.artifacts.subscription(f"sub-{i}", "/products/starter", f"primary-{i}", f"secondary-{i}")
    yield c.start()
    c.stop()


@pytest.fixture
def connect(control, pb):
    clients = []

    def make(of=control, **more):
        clients.append(DeltaClient(of, pb, "shop", **more))
        return clients[-1]
    yield make
    for c in clients:
        c.close()


def everything(client, held=None):
    """Subscribes to all types at once, as a proxy does; returns {type: {name: version}} of what came."""
    for t in WILDCARDS:
        client.send(t, () if t in (CDS, LDS) else ["*"], held=(held or {}).get(t))
    client.send(RDS, ["apim"], held=(held or {}).get(RDS))
    out = {}
    while set(WILDCARDS) - set(out) or (held is None and RDS not in out):
        r = client.next()
        client.ack(r)
        assert r.type_url not in out and not r.removed_resources, r
        out[r.type_url] = {i.name: i.version for i in r.resources}
    return out


def sent(control):
    return {t["type"]: t["sent"] for t in control.get("/proxies")[0]["types"]}


def test_a_change_of_one_api_sends_that_api_only(control, connect):
    c = connect()
    first = everything(c)
    assert len(first[API]) == 20 and len(first[SUBSCRIPTION]) == 50
    before = sent(control)
    control.artifacts.api("api-7", "http://10.1.2.8:3001/v1", path="elsewhere")
    r = c.next(API)
    assert [i.name for i in r.resources] == ["apis/api-7;rev=1"] and not r.removed_resources
    assert r.resources[0].version != first[API]["apis/api-7;rev=1"]
    size = len(r.resources[0].resource.value)
    c.ack(r)
    assert c.silent()
    after = sent(control)
    assert {t: after[t]["resources"] - before[t]["resources"] for t in after} == {**dict.fromkeys(after, 0), "Api": 1}
    assert after["Api"]["bytes"] - before["Api"]["bytes"] == size and after["Api"]["responses"] - before["Api"]["responses"] == 1


def test_a_change_of_one_subscription_sends_that_one_only_and_a_deleted_one_is_named(control, connect):
    c = connect()
    everything(c)
    control.artifacts.subscription("sub-9", "/products/starter", "another-primary", "secondary-9")
    control.artifacts.save_overrides()
    r = c.next(SUBSCRIPTION)
    assert [i.name for i in r.resources] == ["subscriptions/sub-9"]
    c.ack(r)
    control.artifacts.remove("subscriptions/sub-4")
    del control.artifacts.keys["sub-4"]
    control.artifacts.save_overrides()
    r = c.next(SUBSCRIPTION)
    assert not r.resources and list(r.removed_resources) == ["subscriptions/sub-4"]
    c.ack(r)
    assert c.silent()


def test_who_comes_back_gets_the_difference(control, connect):
    c = connect()
    held = everything(c)
    c.close()
    control.artifacts.api("api-3", "http://10.1.2.4:3001/v1", path="elsewhere")
    control.artifacts.remove("apis/api-5")
    eventually(lambda: control.get("/status")["served"]["apis"] == 19)
    c = connect()
    for t in WILDCARDS:
        c.send(t, () if t in (CDS, LDS) else ["*"], held=held[t])
    c.send(RDS, ["apim"], held=held[RDS])
    changes = {}
    while "apis/api-5;rev=1" not in changes.get(API, ([], []))[1]:
        r = c.next()
        c.ack(r)
        rows = changes.setdefault(r.type_url, ([], []))
        rows[0].extend(i.name for i in r.resources)
        rows[1].extend(r.removed_resources)
    assert changes[API][0] == ["apis/api-3;rev=1"]
    assert not any(rows[0] for t, rows in changes.items() if t != API) and RDS not in changes


def test_another_replica_holds_the_same_versions(control, connect, pb, tmp_path):
    """Nothing but empty answers from a second server that reads the same folder at the same time."""
    held = everything(connect())
    other = Control(tmp_path / "other", SETTINGS)
    other.artifacts.folder, other.artifacts.overrides = control.artifacts.folder, control.artifacts.overrides
    other.artifacts.save_overrides = lambda: None
    shutil.copy(control.mac_key, other.mac_key)
    other.start()
    try:
        c = connect(of=other)
        again = everything(c, held)
        assert not any(again.values()), again
        assert c.silent()
        assert sum(t["bytes"] for t in sent(other).values()) == 0
        assert {t["state"] for t in other.get("/proxies")[0]["types"] if t["type"] not in ("EDS", "SDS")} == {"SYNCED"}
        c.close()
    finally:
        other.stop()


def test_a_refusal_is_shown_and_only_that_resource_is_sent_again(control, connect):
    c = connect()
    everything(c)
    control.artifacts.api("api-7", "http://10.1.2.8:3001/v1", path="bad")
    c.nack(c.next(API), "apis/api-7;rev=1: path: not to my taste")

    def state():
        return next((t["state"], t["reason"]) for t in control.get("/proxies")[0]["types"] if t["type"] == "Api")
    eventually(lambda: state() == ("REJECTED", "apis/api-7;rev=1: path: not to my taste"))
    control.artifacts.api("api-8", "http://10.1.2.9:3001/v1", path="good")
    r = c.next(API)
    assert [i.name for i in r.resources] == ["apis/api-8;rev=1"]
    c.ack(r)
    assert state()[0] == "REJECTED"
    control.artifacts.api("api-7", "http://10.1.2.8:3001/v1", path="better")
    r = c.next(API)
    assert [i.name for i in r.resources] == ["apis/api-7;rev=1"]
    c.ack(r)
    eventually(lambda: state()[0] == "SYNCED")


def test_names_that_do_not_exist_are_said_to_be_removed(control, connect):
    c = connect()
    c.send(RDS, ["apim", "nothing"])
    r = c.next(RDS)
    assert [i.name for i in r.resources] == ["apim"] and list(r.removed_resources) == ["nothing"]
    c.ack(r)
    c.send(RDS, unsubscribe=["nothing"])
    assert c.silent()
    c.send(RDS, ["apim"])
    assert [i.name for i in c.next(RDS).resources] == ["apim"]
