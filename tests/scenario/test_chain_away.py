"""The chain while parts of it are away, killed or replaced: control server, gateway, sidecar."""
import os
import random
import shutil
import signal
import time

import pytest

from chain import EGRET, HEADER, INTERNAL, LISTED, THIRD, Chain
from chain_traffic import Traffic, inner, serves, with_gateway
from harness import free_port, wait_for


@pytest.fixture
def own(tmp_path):
    """A chain of its own, not started."""
    c = Chain(tmp_path)
    yield c
    c.stop()


def test_while_the_control_server_is_away_all_goes_on_and_it_takes_up_where_it_left(own):
    own.start()
    with Traffic(own, "/internal/listUsers"), Traffic(own, "/conference/speakers"):
        own.stop_process("control", sig=signal.SIGKILL)
        old = own.artifacts.rotate("every", 0)
        own.artifacts.api("later", inner(own))
        with_gateway(own, "later")
        time.sleep(0.5)
        assert own.call("/internal/listUsers", "-H", f"{HEADER}: {old}", key=None)[0] == 200
        own.start_control()
        wait_for(lambda: own.call("/internal/listUsers", "-H", f"{HEADER}: {old}", key=None)[0] == 401, "live again", 30)
        serves(own, "/later/items")
        own.wait_synced("app-1", "gateway-1")


def test_a_sidecar_and_a_gateway_start_from_disk_when_the_control_server_is_away(own):
    own.start()
    own.wait_synced("app-1", "gateway-1")
    time.sleep(1.5)  # the state is written once a second at most
    own.stop_process("control")
    own.restart("app", *own.ports["app"])
    own.stop_process("gateway")
    own.start_gateway()
    serves(own, "/internal/listUsers")
    assert own.call("/internal/listUsers", key=None)[0] == 401
    assert own.call("/conference/speakers")[0] == 200
    assert own.call("/function/greet")[0] == 200 and own.internal.requests[-1].header("x-functions-key") == own.function_key
    status, text = own.admin_text("/ready")
    assert status == 200, text
    own.start_control()
    own.wait_synced("app-1", "gateway-1")
    own.artifacts.api("alone", f"http://{INTERNAL}:{own.other.port}")
    wait_for(lambda: own.call("/alone/items")[1].get("x-backend") == "other", "live again")


def test_a_damaged_state_file_is_named_and_never_fatal(own):
    own.start()
    own.wait_synced()
    time.sleep(1.5)
    own.stop_process("control")
    own.stop_process("app")
    for name in os.listdir(own.path("state-app")):
        path = own.path("state-app", name)
        if os.path.isfile(path) and "api" in name.lower():
            with open(path, "r+b") as f:
                f.seek(os.path.getsize(path) // 2)
                f.write(b"\0\0damaged\0\0")
    own.start_proxy("app")
    wait_for(lambda: own.admin_text("/ready")[0] in (200, 503), "the admin interface")
    wait_for(lambda: "state-app" in own.processes["app"].output() or "damaged" in own.processes["app"].output(), "its name")
    own.start_control()
    serves(own, "/internal/listUsers")


def test_a_proxy_that_left_is_shown_as_disconnected(own):
    own.start()
    own.wait_synced("app-1", "gateway-1")
    own.stop_process("app")
    row = wait_for(lambda: [x for x in own.ctl("status").stdout.splitlines() if x.startswith("app-1") and "DISCONNECTED" in x],
                   "DISCONNECTED")
    assert row and "SYNCED" in next(x for x in own.ctl("status").stdout.splitlines() if x.startswith("gateway-1"))


def test_a_proxy_replaced_by_a_take_over_loses_no_call(own):
    own.start()
    own.wait_synced()
    with Traffic(own, "/internal/listUsers"), Traffic(own, "/conference/speakers"):
        old = own.processes["app"]
        own.start_proxy("app", args=("--restart-epoch", 1))
        wait_for(lambda: not old.alive(), "the old process gone", 40)
        own.things.remove(old)
        assert old.stop() == 0
        own.wait_synced()


def test_a_second_process_of_the_same_base_id_says_so_and_ends(own):
    own.start()
    own.admin["app"] = free_port()
    first = own.processes["app"]
    second = own.start_proxy("app")
    wait_for(lambda: not second.alive(), "the second one's end")
    own.things.remove(second)
    assert second.stop() == 1 and "choose another --base-id" in second.output()
    own.processes["app"] = first
    assert own.call("/internal/listUsers")[0] == 200
    del own.processes["app"]  # its admin interface is elsewhere


def test_a_gateway_replaced_by_a_take_over_loses_no_call(own):
    own.start()
    own.wait_synced("app-1", "gateway-1")
    with Traffic(own, "/conference/speakers"):
        old = own.processes["gateway"]
        own.start_proxy("gateway", cluster="egress/main", args=("--restart-epoch", 1))
        wait_for(lambda: not old.alive(), "the old process gone", 40)
        own.things.remove(old)
        assert old.stop() == 0
        own.wait_synced("gateway-1")
    assert {r.peer[0] for r in own.third.requests} == {LISTED}


def test_a_kept_tunnel_is_not_used_again_once_its_gateway_drains(own):
    own.start()
    own.wait_synced("app-1", "gateway-1")
    for _ in range(12):  # every worker of the sidecar keeps a tunnel
        assert own.call("/conference/speakers")[0] == 200
    before, old = own.third.connections, own.processes["gateway"]
    own.start_proxy("gateway", cluster="egress/main", args=("--restart-epoch", 1))
    wait_for(lambda: "draining" in old.output(), "the old gateway drains")
    time.sleep(0.3)
    assert old.alive()
    assert own.call("/conference/echo", "-d", "not to be sent twice")[0] == 200
    assert own.third.connections == before + 1
    wait_for(lambda: not old.alive(), "the old process gone", 40)
    own.things.remove(old)
    assert old.stop() == 0


def test_a_gateway_that_was_away_is_dialled_again(own):
    own.start()
    assert own.call("/conference/speakers")[0] == 200
    own.stop_process("gateway", sig=signal.SIGKILL)
    answer = own.call("/conference/speakers")
    assert answer[0] == 500 and b"activityId" in answer[2]
    assert own.call("/internal/listUsers")[0] == 200
    own.start_gateway()
    serves(own, "/conference/speakers")


def test_without_a_state_key_secrets_are_not_on_disk_and_ready_says_so(own):
    own.start_control()
    config = own.path("app.json")
    own.start_proxy("app", *own.ports["app"])
    own.stop_process("app")
    shutil.rmtree(own.path("state-app"))

    def start():
        own.process("app", [EGRET, "-c", config, "--concurrency", 1, "--disable-hot-restart", "--state-dir", own.path("state-app")],
                    *own.ports["app"])
    start()
    wait_for(lambda: own.call("/function/greet")[0] == 200 and own.synced(), "everything")
    time.sleep(1.5)
    own.stop_process("control")
    own.stop_process("app")
    start()
    serves(own, "/internal/listUsers")
    status, _, body, _ = own.call("/function/greet")
    assert status == 501 and b"secret" in body, (status, body)
    assert "namedvalues/function-key" in own.admin_text("/ready")[1], own.admin_text("/ready")
    own.start_control()
    serves(own, "/function/greet")


def test_every_kind_of_change_one_after_the_other_fails_no_call(own):
    """What the tests above do one by one, mixed: the order is another one at every run, and printed."""
    own.start()
    own.wait_synced("app-1", "gateway-1")
    seed, epochs = time.time_ns() % 100000, {"app": 0, "gateway": 0}
    order = random.Random(seed)
    print("seed", seed)

    def replace_process(name):
        own.wait_synced(f"{name}-1")
        old = own.processes[name]
        epochs[name] += 1
        own.start_proxy(name, cluster="egress/main" if name == "gateway" else None, args=("--restart-epoch", epochs[name]))
        wait_for(lambda: not old.alive(), f"the old {name} gone", 40)
        own.things.remove(old)
        assert old.stop() == 0

    def new_control():
        own.stop_process("control", sig=order.choice([signal.SIGKILL, signal.SIGTERM]))
        own.start_control()

    def comes_and_goes():
        own.artifacts.api("passing", order.choice([inner(own), f"https://{THIRD}:{own.spare_third}"]))
        with_gateway(own, "passing")
        time.sleep(0.3)
        own.artifacts.remove("gateways/app/apis/passing")
        own.artifacts.remove("apis/passing")

    changes = [lambda: own.artifacts.api("alone", inner(own, f"/{order.random()}")), lambda: own.artifacts.rotate("every", 0),
               comes_and_goes, new_control, lambda: replace_process("app"), lambda: replace_process("gateway"),
               lambda: own.artifacts.api("conference", f"https://{THIRD}:{own.third_port}/conf", (
                   ("get", "/speakers", "speakers"), ("post", "/echo", "echo")), displayName=str(order.random()))] * 2
    order.shuffle(changes)
    with Traffic(own, "/internal/echo", lambda: ("-d", "x")), Traffic(own, "/conference/echo", lambda: ("-d", "x")), \
            Traffic(own, "/conference/speakers", lambda: ("--http2-prior-knowledge",), threads=1):
        for change in changes:
            change()
            time.sleep(order.random() / 2)
    assert {r.peer[0] for r in own.third.requests} == {LISTED}


def test_two_control_servers_publish_the_same_versions(own):
    own.start()
    own.wait_synced()

    def versions():
        rows = {r["node"]: {t["type"]: t.get("version", t.get("acked")) for t in r["types"]} for r in own.get("/proxies")}
        return rows["app-1"]
    first = versions()
    assert any(first.values()), own.get("/proxies")
    own.stop_process("control")
    shutil.rmtree(own.path("state-control"))
    own.start_control()
    own.wait_synced()
    assert versions() == first
