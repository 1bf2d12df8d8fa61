"""The act under traffic: an API changed, a key rotated, the control server gone and back elsewhere, the sidecar replaced."""
import json
import os
import signal
import subprocess
import time

from acts_calls import turned_away
from setup import BIN, CUSTOM_NAME, DEFAULT_NAME, APP


class Generator:
    def __init__(self, calls, name, scheme, host, path, key, *flags):
        demo, p = calls.demo, calls.demo.place
        self.name, self.result = name, None
        self.output = demo.path("dumps", f"load-{len(os.listdir(demo.path('dumps')))}.json")
        port = p.app_https if scheme == "https" else p.app_http
        key_header = f"Ocp-Apim-Subscription-Key: {demo.keys[key]}"
        self.shown = f"egret-load --url {p.base(scheme, host)}{path} {' '.join(flags)}"
        address = "127.0.0.1" if demo.namespaces else p.app[0]
        with open(self.output, "wb") as f:
            self.process = demo.host("app").spawn(
                "egret-load", f"{BIN}/egret-load", "--url", p.base(scheme, host) + path, "--connect", f"{address}:{port}",
                "--cacert", demo.path("pki", "ca.pem"), "--header", key_header, "--collect", '"peer": "([^"]*)"', *flags,
                output=f)
        self.demo = demo

    def finish(self):
        """Ends the sending, waits for the last answers, reads the line of JSON."""
        self.process.send(signal.SIGINT)
        if self.process.wait(20) is None:
            self.process.stop(signal.SIGKILL)
        self.demo.world.processes.remove(self.process)
        with open(self.output) as f:
            text = f.read()
        self.result = json.loads(text) if text.strip() else {"sent": 0, "ok": 0, "failed": 1, "reasons": {"no result": {"n": 1}},
                                                             "statuses": {}, "collected": {}, "longest_gap_ms": 0,
                                                             "watch": {"first_unix_ms": 0}, "latency_ms": {}, "failures": []}
        return self.result


class Load:
    def __init__(self, calls, rate):
        self.calls, self.demo, self.out = calls, calls.demo, calls.out
        self.steady, self.rate = [], str(rate)
        self.change_live_ms = None

    def generate(self, name, scheme, host, path, *flags, key=("starter-acme", "primary")):
        return Generator(self.calls, name, scheme, host, path, key, "--rate", self.rate, *flags)

    def start(self):
        tunnel, direct = "/conference/sessions", "/internal/listUsers"
        mark = ("--mark", '"host": "users-new"')
        path_mark = ("--mark", '"path": "/v2/')
        rows = (
            ("h1 kept, tunnel", "http", DEFAULT_NAME, tunnel, "--kept", *path_mark),
            ("h1 fresh, tunnel, TLS", "https", CUSTOM_NAME, tunnel, "--fresh", *path_mark),
            ("h2 kept, tunnel, TLS", "https", DEFAULT_NAME, tunnel, "--h2", "--kept", "--connections", "2", *path_mark),
            ("h2 fresh, tunnel, TLS", "https", CUSTOM_NAME, tunnel, "--h2", "--fresh", *path_mark),
            ("h1 kept, direct", "http", CUSTOM_NAME, direct, "--kept", *mark),
            ("h1 fresh, direct", "http", DEFAULT_NAME, direct, "--fresh", *mark),
            ("h2 kept, direct, TLS", "https", CUSTOM_NAME, direct, "--h2", "--kept", "--connections", "2", *mark),
            ("h2 fresh, direct, TLS", "https", DEFAULT_NAME, direct, "--h2", "--fresh", *mark),
        )
        self.steady = [self.generate(*row) for row in rows]
        self.secondary = self.generate("secondary key of the rotated one", "http", DEFAULT_NAME, tunnel, "--kept",
                                       key=("load-acme", "secondary"))
        for g in (*self.steady, self.secondary):
            self.out.show(g.name[:8], g.shown) if False else None
        self.out.say("   " + "\n   ".join(f"{g.name:<34}{g.shown}" for g in (*self.steady, self.secondary)))

    def alive(self, what):
        self.out.verdict(all(g.process.alive() for g in (*self.steady, self.secondary)), f"traffic flows on while {what}")


def change_api(load):
    demo, out = load.demo, load.out
    number = out.step("An API is changed in the folder")
    load.calls.step_of.setdefault("change", []).append(number)
    p = demo.place
    old = p.urls["conference"]
    load.changed_at = demo.change_api("internal", serviceUrl=p.urls["internal-new"])
    load.changed_tunnel_at = demo.change_api("conference", serviceUrl=old + "/v2")
    out.show("changed", "internal: serviceUrl to the new users service; conference: serviceUrl + /v2")
    time.sleep(2)
    load.alive("the change spreads")


def rotate_key(load):
    demo, out = load.demo, load.out
    out.step("A key is rotated: clients are on the secondary while the primary changes")
    probe = load.generate("old primary key", "http", DEFAULT_NAME, "/conference/sessions", "--kept", "--expect", "200,401",
                          key=("load-acme", "primary"))
    time.sleep(1)
    demo.new_key("load-acme", "primary")
    changed = time.time()
    demo.write_overrides()
    time.sleep(0.3)
    time.sleep(1.7)
    renewed = load.generate("new primary key", "http", DEFAULT_NAME, "/conference/sessions", "--kept",
                            key=("load-acme", "primary"))
    time.sleep(1)
    old, new = probe.finish(), renewed.finish()
    first_401 = old["statuses"].get("401", {}).get("first_unix_ms", 0) / 1000 - changed
    last_200 = old["statuses"].get("200", {}).get("last_unix_ms", 0) / 1000 - changed
    load.key_live_ms = first_401 * 1000
    out.verdict("200" in old["statuses"] and old["failed"] == 0, f"the old primary was good before: {counts(old)}")
    out.verdict(0 < first_401 < 1 and last_200 < 1, f"the old primary gets 401 after {first_401 * 1000:.0f} ms, and never 200 again")
    out.verdict(new["ok"] > 0 and new["failed"] == 0, f"the new primary is served: {counts(new)}")
    load.alive("the key changes")
    load.others = [old, new]


def move_control(load):
    demo, out, p = load.demo, load.out, load.demo.place
    number = out.step("The control server is killed and comes back at another address")
    load.calls.step_of.setdefault("control-away", []).append(number)
    out.show("kill -9", f"pid {demo.control.pid}, at {p.control[0]}")
    demo.world.processes.remove(demo.control)
    demo.control.stop(signal.SIGKILL)
    time.sleep(2)
    load.alive("there is no control server")
    demo.start_control(p.control[1])
    began = time.monotonic()
    demo.wait("proxies at the new address", demo.all_synced, seconds=30)
    back = time.monotonic() - began
    peers = {r["cluster"]: r["peer"] for r in demo.control_status("/proxies") if r["connected"]}
    out.show("back", f"at {p.control[1]}; sidecars and gateway SYNCED {back * 1000:.0f} ms after it listened: {peers}")
    out.verdict(len(peers) == 3, "both sidecars and the gateway are connected and SYNCED")
    again = load.generate("seen after the move", "http", DEFAULT_NAME, "/weather/now", "--kept", "--mark", '"path": "/v3/')
    changed = demo.change_api("weather", serviceUrl=p.urls["weather"] + "/v3")
    time.sleep(1.5)
    result = again.finish()
    live = result["watch"]["first_unix_ms"] / 1000 - changed
    out.verdict(0 < live < 1, f"a change made now is live after {live * 1000:.0f} ms")
    load.others.append(result)


def replace_sidecar(load):
    demo, out = load.demo, load.out
    number = out.step("The sidecar is replaced by a new process (--restart-epoch 1)")
    load.calls.step_of.setdefault("redeploy", []).append(number)
    old = demo.app
    demo.app = demo.start_proxy("app", "app", "app-1", APP, epoch=1)
    out.show("run", f"egret … --restart-epoch 1 --base-id 7701: pid {demo.app.pid} takes over from pid {old.pid}")
    demo.wait("the new sidecar", lambda: demo.is_live("app"), demo.app)
    code = old.wait(20)
    out.verdict(code == 0, f"the old process ended by itself, status {code}")
    if code is not None:
        demo.world.processes.remove(old)
    time.sleep(2)
    out.verdict(demo.app.alive() and demo.is_live("app"), "the new one is LIVE")
    load.alive("the process changes")


def counts(result):
    return ", ".join(f"{s}: {c['n']}" for s, c in sorted(result["statuses"].items())) or str(result["reasons"])


def change_verdicts(load):
    out = load.out
    times = []
    for g in load.steady:
        since = load.changed_tunnel_at if "tunnel" in g.name else load.changed_at
        first = g.result["watch"]["first_unix_ms"]
        times.append((first / 1000 - since) * 1000 if first else None)
    seen = [t for t in times if t is not None]
    load.change_live_ms = max(seen) if len(seen) == len(times) else None
    out.verdict(load.change_live_ms is not None and load.change_live_ms < 1000,
                f"the changed API was live for every one of {len(times)} generators within "
                f"{load.change_live_ms:.0f} ms" if load.change_live_ms is not None else
                f"the changed API was never seen by {len(times) - len(seen)} of {len(times)} generators")


def under_traffic(calls, rate):
    demo, out, p = calls.demo, calls.out, calls.demo.place
    out.act("6  Under continuous traffic")
    number = out.step(f"Traffic begins: open loop, {rate} requests a second each, no request is ever sent twice")
    calls.step_of.setdefault("no-round-trip", []).append(number)
    load = Load(calls, rate)
    load.start()
    time.sleep(2)
    load.alive("nothing changes yet")
    change_api(load)
    rotate_key(load)
    move_control(load)
    replace_sidecar(load)
    number = out.step("The sum")
    calls.step_of.setdefault("one-address", []).append(number)
    total = {"sent": 0, "failed": 0, "gap": 0.0, "addresses": {}}
    for g in (*load.steady, load.secondary):
        r = g.finish()
        total["gap"] = max(total["gap"], r["longest_gap_ms"])
        out.show("", f"{g.name:<34}sent {r['sent']:>5}, failed {r['failed']}, longest gap {r['longest_gap_ms']:.0f} ms, "
                     f"p99 {r['latency_ms'].get('p99', 0):.1f} ms, {counts(r)}")
        for f in r["failures"][:3]:
            out.show("", f"     failure at {time.strftime('%H:%M:%S', time.gmtime(f['unix_ms'] / 1000))}: {f['reason']}")
    results = [g.result for g in (*load.steady, load.secondary)] + load.others
    for g in (*load.steady, load.secondary):
        if "tunnel" in g.name or g is load.secondary:
            for address, c in g.result["collected"].items():
                total["addresses"][address] = total["addresses"].get(address, 0) + c["n"]
    total["sent"], total["failed"] = sum(r["sent"] for r in results), sum(r["failed"] for r in results)
    out.verdict(total["failed"] == 0 and total["sent"] > 0, f"no request failed, of {total['sent']}")
    out.verdict(set(total["addresses"]) == {p.listed}, f"the third party saw one address: {total['addresses']}")
    change_verdicts(load)
    now = turned_away(calls)
    out.verdict(now == calls.turned_away, f"the third party's counter still stands at {calls.turned_away} (is {now})")
    calls.addresses_seen |= set(total["addresses"])
    calls.total, calls.load = total, load
