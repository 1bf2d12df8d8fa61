"""Two control servers on one folder, and one that moves: proxies go over without receiving anything again, and soon."""
import json
import os
import signal
import subprocess
import time

import pytest

from chain import HEADER, Chain
from chain_artifacts import replace
from chain_traffic import Traffic
from harness import CONTROL, wait_for


class Replicas(Chain):
    """A second control server beside the first, with its own state folder."""

    def start_second(self):
        settings = {**self.control_settings(self.second_port), "state_folder": self.path("state-second")}
        replace(self.path("second.yaml"), settings)
        self.process("second", [CONTROL, "--config", self.path("second.yaml"), "--folder", self.artifacts.folder, "--overrides",
                                self.artifacts.overrides, "-l", "debug"])
        wait_for(lambda: self.ask("second", "/status"), "the second control server's status")

    def ask(self, which, path):
        socket = self.path("state-" + which, "control.sock")
        out = subprocess.run(["curl", "-sS", "--max-time", "10", "--unix-socket", socket, f"http://control{path}"],
                             capture_output=True, text=True)
        return json.loads(out.stdout) if out.returncode == 0 and out.stdout.strip() else None

    def seat(self, node):
        """Which of the two serves this node: (its name, the row of its status)."""
        for which in ("control", "second"):
            for row in (self.ask(which, "/proxies") or []) if which in self.processes else []:
                if row["node"] == node and row["connected"]:
                    return which, row
        return None, None

    def received(self, name="app"):
        rows = (line.split(": ") for line in self.admin_text("/stats", name)[1].splitlines() if "resources_received" in line)
        return {k: int(v) for k, v in rows}

    def settled(self, node):
        row = self.seat(node)[1]
        return row and all(t["state"] in ("SYNCED", "NOT SENT") for t in row["types"]) and any(t["state"] == "SYNCED" for t in row["types"])


@pytest.fixture
def own(tmp_path):
    c = Replicas(tmp_path)
    yield c
    c.stop()


def versions(row):
    return {t["type"]: t["version"] for t in row["types"] if t["state"] == "SYNCED"}


def test_a_proxy_goes_over_to_the_other_replica_and_receives_nothing_again(own):
    own.start_second()
    own.start()
    wait_for(lambda: own.settled("app-1"), "app-1 settled")
    first, before = own.seat("app-1")
    other = "second" if first == "control" else "control"
    held = own.received()
    assert sum(held.values()) > 20, held
    with Traffic(own, "/internal/listUsers"), Traffic(own, "/conference/speakers"):
        own.stop_process(first, sig=signal.SIGKILL)
        begin = time.monotonic()
        wait_for(lambda: own.seat("app-1")[0] == other and own.settled("app-1"), "app-1 at the other replica")
        print(f"SYNCED with the other replica {time.monotonic() - begin:.2f} s after the first was killed")
        assert own.received() == held
        row = own.seat("app-1")[1]
        assert sum(t["sent"]["resources"] for t in row["types"]) == 0, row
        assert versions(row) == versions(before)
        old = own.artifacts.rotate("every")
        wait_for(lambda: own.call("/internal/listUsers", "-H", f"{HEADER}: {old}", key=None)[0] == 401, "live from the other one")
    now = own.received()
    assert {k: now[k] - held[k] for k in now if now[k] != held[k]} == {"xds.egret.apim.v1.Subscription.resources_received": 1}


def test_both_replicas_publish_the_same_versions_at_once(own):
    own.start_second()
    own.start("app", "ops")
    wait_for(lambda: own.settled("app-1"), "app-1 settled")
    which, row = own.seat("app-1")
    other = "second" if which == "control" else "control"
    own.stop_process(which)
    wait_for(lambda: own.seat("app-1")[0] == other and own.settled("app-1"), "app-1 at the other replica")
    assert versions(own.seat("app-1")[1]) == versions(row)


class Moving(Replicas):
    """The sidecar knows the control server by name only; its /etc/hosts is a file of the test."""

    def hosts(self, address):
        with open(self.path("hosts"), "w") as f:  # the same file: it is mounted
            f.write(f"127.0.0.1 localhost\n{address} control.test\n")

    def bootstrap(self, name, cluster, certificate):
        config = super().bootstrap(name, cluster, certificate)
        if name == "app":
            control = config["static_resources"]["clusters"][0]
            control["type"], control["dns_lookup_family"], control["dns_refresh_rate"] = "STRICT_DNS", "V4_ONLY", "600s"
            control["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
                "address": "control.test", "port_value": self.control_port}}}}]}]
        return config

    def process(self, name, args, *ports):
        if name == "app":
            mount = f'mount --bind {self.path("hosts")} /etc/hosts && exec "$@"'
            args = ["unshare", "-m", "sh", "-c", mount, "sh", *args]
        return super().process(name, args, *ports)


def may_mount():
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0 and os.geteuid() == 0


@pytest.mark.skipif(not may_mount(), reason="SKIPPED: no mount namespace without root")
def test_a_control_server_that_moves_is_found_by_its_name_at_the_next_attempt(tmp_path):
    own = Moving(tmp_path)
    try:
        own.hosts("127.0.0.1")
        own.start()
        wait_for(lambda: own.settled("app-1"), "app-1 settled")
        held = own.received()
        own.stop_process("control", sig=signal.SIGKILL)
        time.sleep(4)  # some attempts fail: the waits between them have grown
        own.start_control(ads={**own.control_settings()["ads"], "address": "127.0.0.3"})
        own.hosts("127.0.0.3")
        begin = time.monotonic()
        wait_for(lambda: own.settled("app-1"), "app-1 at the new address")
        print(f"SYNCED {time.monotonic() - begin:.2f} s after the name had the new address")
        assert own.received() == held
    finally:
        own.stop()
