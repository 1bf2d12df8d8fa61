"""The chain while it changes: files, keys, a control server that goes and comes, proxies that start from disk."""
import concurrent.futures
import json
import os
import random
import re
import shutil
import signal
import threading
import time

import pytest

from chain import HEADER, INTERNAL, LISTED, THIRD, Chain, policy
from harness import curl, free_port, wait_for


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    c = Chain(tmp_path_factory.mktemp("live"))
    try:
        yield c.start()
    finally:
        c.stop()


@pytest.fixture
def own(tmp_path):
    """A chain of its own, not started."""
    c = Chain(tmp_path)
    yield c
    c.stop()


class Traffic:
    """Calls one after the other on several threads, until told to stop; every answer is kept."""

    def __init__(self, chain, path, args=lambda: (), threads=2, key=("every", 1)):
        self.answers, self.stopping = [], False
        self.chain, self.path, self.args, self.key = chain, path, args, key
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopping:
            self.answers.append(self.chain.call(self.path, *self.args(), key=self.key)[0])

    def __enter__(self):
        wait_for(lambda: len(self.answers) > 2, "traffic")
        return self

    def __exit__(self, *_):
        n = len(self.answers)
        if _[0] is None:
            wait_for(lambda: len(self.answers) > n + 3, "traffic afterwards")
        self.stopping = True
        for t in self.threads:
            t.join()
        if _[0] is None:
            assert set(self.answers) == {200}, {a: self.answers.count(a) for a in set(self.answers)}


def inner(chain, path=""):
    return f"http://{INTERNAL}:{chain.internal.port}{path}"


def serves(chain, path, key="every", status=200, **more):
    return wait_for(lambda: (lambda a: a[0] == status and a)(chain.call(path, key=key, **more)), f"{path} answers {status}")


def with_gateway(chain, name):
    chain.artifacts.put(f"gateways/app/apis/{name}/gatewayApiInformation.json", {})


# ---- live changes

def test_a_changed_api_is_live_and_no_call_fails(chain):
    with Traffic(chain, "/internal/listUsers"), Traffic(chain, "/conference/speakers"):
        chain.artifacts.api("alone", f"http://{INTERNAL}:{chain.other.port}")
        wait_for(lambda: chain.call("/alone/items")[1].get("x-backend") == "other", "the new backend")
        chain.artifacts.api("alone", inner(chain))
        wait_for(lambda: "x-seen" in chain.call("/alone/items")[1], "the old backend again")


def test_a_new_api_appears_and_a_deleted_one_is_404(chain):
    a = chain.artifacts
    assert chain.call("/fresh/items")[0] == 404
    a.api("fresh", inner(chain))
    with_gateway(chain, "fresh")
    serves(chain, "/fresh/items")
    a.remove("gateways/app/apis/fresh")
    a.remove("apis/fresh")
    serves(chain, "/fresh/items", status=404)


def test_an_operation_appears_and_goes(chain):
    props = {"path": "public", "subscriptionRequired": False}
    chain.artifacts.api("public", inner(chain), (("get", "/items"), ("put", "/added/{id}")), **props)
    serves(chain, "/public/added/1", key=None, status=404)
    wait_for(lambda: chain.call("/public/added/1", "-X", "PUT", key=None)[0] == 200, "the new operation")
    chain.artifacts.api("public", inner(chain), **props)
    wait_for(lambda: chain.call("/public/added/1", "-X", "PUT", key=None)[0] == 404, "the operation gone")


def test_a_rotated_key_is_refused_and_the_secondary_works_throughout(chain):
    with Traffic(chain, "/internal/listUsers"):
        assert chain.call("/internal/listUsers", key="every")[0] == 200
        old = chain.artifacts.rotate("every", 0)
        wait_for(lambda: chain.call("/internal/listUsers", "-H", f"{HEADER}: {old}", key=None)[0] == 401, "the old key is refused")
        serves(chain, "/internal/listUsers")


def test_a_subscription_is_suspended_and_taken_up_again(chain):
    a = chain.artifacts

    def state(text):
        a.put("subscriptions/internal-only/subscriptionInformation.json",
              {"properties": {"displayName": "x", "scope": "/apis/internal", "state": text}})
    state("suspended")
    serves(chain, "/internal/listUsers", "internal-only", 401)
    state("active")
    serves(chain, "/internal/listUsers", "internal-only")


def test_an_api_leaves_a_product_and_its_keys_no_longer_open_it(chain):
    chain.artifacts.remove("products/starter/apis/renamed")
    wait_for(lambda: chain.call("/renamed/items", "-H", f"X-Contoso-Key: {chain.key('starter')}", key=None)[0] == 401, "401")
    chain.artifacts.put("products/starter/apis/renamed/productApiInformation.json", {})
    wait_for(lambda: chain.call("/renamed/items", "-H", f"X-Contoso-Key: {chain.key('starter')}", key=None)[0] == 200, "200")


def test_a_broken_file_changes_nothing_and_is_named_with_its_line(chain):
    path = "apis/alone/apiInformation.json"
    whole = open(os.path.join(chain.artifacts.folder, path)).read()
    with Traffic(chain, "/internal/listUsers"), Traffic(chain, "/alone/items"):
        chain.artifacts.put(path, '{\n "properties": {\n  "path": \n')
        wait_for(lambda: re.search(rf"{path}:[34]", chain.ctl("faults").stdout), "the fault")
        assert "STALE" in chain.ctl("faults").stdout
        chain.artifacts.api("weather", f"http://{INTERNAL}:{chain.other.port}")
        wait_for(lambda: chain.call("/weather/items", key=None)[1].get("x-backend") == "other", "a neighbour changes")
        chain.artifacts.put(path, whole)
        wait_for(lambda: path not in chain.ctl("faults").stdout, "the fault gone")


def test_a_broken_policy_closes_its_operations_and_only_those(chain):
    chain.artifacts.policy("apis/alone", "<policies><inbound><base />")
    message = json.loads(serves(chain, "/alone/items", status=501)[2])["message"]
    assert "apis/alone/policy.xml:" in message
    assert chain.call("/internal/listUsers")[0] == 200
    chain.artifacts.policy("apis/alone", policy())
    serves(chain, "/alone/items")


def test_a_base_url_in_a_policy_moves_the_calls(chain):
    chain.artifacts.policy("apis/alone", policy(f'<base /><set-backend-service base-url="http://{INTERNAL}:{chain.other.port}/x" />'))
    wait_for(lambda: chain.call("/alone/items")[1].get("x-backend") == "other", "the policy's backend")
    assert chain.other.requests[-1].path == "/x/items"
    chain.artifacts.remove("apis/alone/policy.xml")
    wait_for(lambda: "x-seen" in chain.call("/alone/items")[1], "the API's own again")


def test_a_changed_secret_reaches_the_backend(chain):
    old = chain.artifacts.named["function-key"]
    chain.artifacts.old.append(old)
    chain.artifacts.named["function-key"] = "new-" + old[::-1]
    chain.artifacts.save()

    def arrived():
        assert chain.call("/function/greet")[0] == 200
        return chain.internal.requests[-1].header("x-functions-key") == chain.artifacts.named["function-key"]
    wait_for(arrived, "the new secret")


def test_two_subscriptions_with_one_key_are_both_refused_and_both_named(chain):
    a = chain.artifacts
    key, own_key = a.keys["alone-only"][0], a.keys["internal-only"][0]
    a.keys["internal-only"][0] = key
    a.save()
    serves(chain, "/alone/items", "alone-only", 401)
    assert chain.call("/internal/listUsers", key="internal-only")[0] == 401
    text = wait_for(lambda: (lambda t: "alone-only" in t and "internal-only" in t and t)(chain.ctl("faults").stdout), "the fault")
    assert key not in text
    assert chain.call("/alone/items", key=("alone-only", 1))[0] in (200, 401)
    a.keys["internal-only"][0] = own_key
    a.save()
    serves(chain, "/alone/items", "alone-only")
    serves(chain, "/internal/listUsers", "internal-only")


def test_a_name_is_resolved_directly_and_behind_the_gateway(chain):
    near = chain.backend(host="127.0.0.1")
    far = chain.backend(host="127.0.0.1", port=chain.third_port, tls=chain.third_tls)
    chain.artifacts.api("near", f"http://localhost:{near.port}")
    chain.artifacts.api("far", f"https://localhost:{chain.third_port}")
    for name in ("near", "far"):
        with_gateway(chain, name)
        serves(chain, f"/{name}/items")
    assert {r.peer[0] for r in far.requests} == {LISTED} and {r.peer[0] for r in near.requests} == {"127.0.0.1"}
    assert far.requests[0].header("host") == f"localhost:{chain.third_port}"


def test_a_proxy_that_does_not_answer_is_shown_as_stale(chain):
    chain.wait_synced()
    chain.processes["app"].proc.send_signal(signal.SIGSTOP)
    try:
        chain.artifacts.api("weather", f"http://{INTERNAL}:{chain.other.port}", displayName="another name")
        wait_for(lambda: "STALE" in chain.states().values(), "STALE")
        assert "STALE" in chain.ctl("status").stdout
    finally:
        chain.processes["app"].proc.send_signal(signal.SIGCONT)
    chain.wait_synced()
    assert chain.call("/weather/items", key=None)[1]["x-backend"] == "other"


# ---- bodies, load

def test_large_bodies_pass_the_whole_chain_both_ways(chain):
    file = chain.path("big")
    with open(file, "wb") as f:
        f.write(os.urandom(1 << 20) * 8)
    for path in ("/internal/echo", "/conference/echo"):
        for args in ((), ("-H", "Transfer-Encoding: chunked")):
            answer = chain.call(path, "-H", "Expect:", *args, "--data-binary", f"@{file}", seconds=60)
            assert answer[0] == 200 and answer[2] == b"echo " + open(file, "rb").read(), (path, args, answer[:2])
        answer = chain.call(path, "--http2", "--data-binary", f"@{file}", scheme="https", seconds=60)
        assert answer[0] == 200 and len(answer[2]) == (8 << 20) + 5


def test_a_response_streams_through_the_whole_chain(chain):
    first, go = threading.Event(), threading.Event()

    def answer(request):
        go.wait(10)
        return b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond"
    import socket
    sock = socket.create_server((INTERNAL, 0))

    def serve():
        s, _ = sock.accept()
        s.recv(65536)
        s.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        first.set()
        go.wait(10)
        s.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
        s.close()
    threading.Thread(target=serve, daemon=True).start()
    chain.artifacts.api("streams", f"http://{INTERNAL}:{sock.getsockname()[1]}")
    with_gateway(chain, "streams")
    wait_for(lambda: chain.call("/streams/items", key=None)[0] == 401, "the API")
    with socket.create_connection(("127.0.0.1", chain.ports["app"][0]), 10) as s:
        s.sendall(f"GET /streams/items HTTP/1.1\r\nhost: localhost\r\n{HEADER}: {chain.key('every')}\r\n\r\n".encode())
        got = b""
        while b"first" not in got:
            got += s.recv(65536)
        assert b"second" not in got
        go.set()
        while b"0\r\n\r\n" not in got:
            got += s.recv(65536)
    assert b"second" in got
    sock.close()


@pytest.mark.parametrize("path", ["/internal/echo", "/conference/echo"])
def test_many_calls_at_once(chain, path):
    def one(i):
        extra = {"scheme": "https"} if i % 2 else {}
        return chain.call(path, "-d", f"n{i}", key=("every", i % 2), **extra)[::2]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for i, answer in enumerate(pool.map(one, range(120))):
            assert answer == (200, f"echo n{i}".encode()), (i, answer)


def test_many_streams_on_one_http2_connection(chain):
    out = __import__("subprocess").run(
        ["h2load", "-n", "400", "-c", "2", "-m", "40", "-H", f"{HEADER}: {chain.key('every')}",
         chain.url("/conference/speakers", "https", "localhost")], capture_output=True, text=True, timeout=60) \
        if shutil.which("h2load") else pytest.skip("SKIPPED: no h2load")
    assert "400 succeeded, 0 failed" in out.stdout and "400 2xx" in out.stdout, out.stdout


# ---- the control server goes and comes

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
        from chain import EGRET
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
