"""The act under traffic: an API changed, a key rotated, the control server gone and back elsewhere, the sidecar replaced."""
import json
import os
import shlex
import signal
import subprocess
import time

from acts_calls import BAD_KEY, turned_away
from setup import BIN, CUSTOM_NAME, DEFAULT_NAME, APP


class Generator:
    def __init__(self, calls, name, scheme, host, path, key, *flags):
        demo, p = calls.demo, calls.demo.place
        self.name, self.result, self.demo = name, None, demo
        self.output = demo.path("dumps", f"load-{len(os.listdir(demo.path('dumps')))}.json")
        port = p.app_https if scheme == "https" else p.app_http
        address = "127.0.0.1" if demo.namespaces else p.app[0]
        args = ["--url", p.base(scheme, host) + path, "--connect", f"{address}:{port}", "--cacert", demo.path("pki", "ca.pem"), *flags]
        self.shown = (f"egret-load {' '.join(args[:4])} {' '.join(shlex.quote(f) for f in flags)} --cacert $D/pki/ca.pem --header "
                      f'"Ocp-Apim-Subscription-Key: $(cat $D/keys/{key[0]}.{key[1]})"')
        with open(self.output, "wb") as f:
            self.process = demo.host("app").spawn(
                "egret-load", f"{BIN}/egret-load", *args, "--collect", '"peer": "([^"]*)"', "--header",
                f"Ocp-Apim-Subscription-Key: {demo.keys[key]}", output=f)

    def finish(self):
        """Ends the sending, waits for the last answers, reads the line of JSON."""
        self.process.send(signal.SIGINT)
        if self.process.wait(20) is None:
            self.process.stop(signal.SIGKILL)
        self.demo.world.processes.remove(self.process)
        with open(self.output) as f:
            text = f.read()
        self.result = json.loads(text) if text.strip() else {
            "sent": 0, "ok": 0, "failed": 1, "reasons": {"no result": {"n": 1}}, "statuses": {}, "collected": {}, "longest_gap_ms": 0,
            "watch": {"first_unix_ms": 0}, "latency_ms": {}, "failures": []}
        return self.result


class Load:
    def __init__(self, calls, rate, bound=1):
        self.bound = bound
        self.calls, self.demo, self.out = calls, calls.demo, calls.out
        self.steady, self.others, self.rate = [], [], str(rate)
        self.probes, self.change_live_ms = 0, None

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
            self.out.show("run", f"{g.shown}   # {g.name}")

    def do(self, command):
        """Shows a command, runs it, returns when it was done."""
        self.out.show("run", command)
        subprocess.run(["bash", "-c", command], env={**os.environ, **self.calls.env}, check=True, stdin=subprocess.DEVNULL)
        return time.time()

    def by_hand(self, path, key="starter-acme.primary"):
        """One call besides the traffic, shown like any other; the query finds its record."""
        self.probes += 1
        probe = f"probe={self.probes}"
        return self.calls.call(None, f"{self.calls.url('http', DEFAULT_NAME, f'{path}?{probe}')} {self.calls.key(key)}", probe=probe)

    def alive(self, what):
        self.out.verdict(all(g.process.alive() for g in (*self.steady, self.secondary)), f"traffic flows on while {what}")


def change_api(load):
    demo, out, calls = load.demo, load.out, load.calls
    number = out.step("An API is changed in the folder")
    calls.step_of.setdefault("change", []).append(number)
    p = demo.place
    load.changed_at = load.do(demo.change_url("internal", p.urls["internal-new"]))
    load.changed_tunnel_at = load.do(demo.change_url("conference", p.urls["conference"] + "/v2"))
    time.sleep(2)
    answer, fields = load.by_hand("/internal/listUsers")
    calls.good(answer, fields, p.private, "internal", "list-users")
    calls.check(answer.json.get("host") == "users-new", f"it is the new service that answers (is {answer.json.get('host')})")
    answer, fields = load.by_hand("/conference/sessions")
    calls.good(answer, fields, p.listed, "conference", "GetSessions")
    calls.check(answer.json.get("path") == "/v2/sessions", f"under the new path (is {answer.json.get('path')})")
    load.alive("the change spreads")


def rotate_key(load):
    demo, out, calls = load.demo, load.out, load.calls
    out.step("A key is rotated: clients are on the secondary while the primary changes")
    old_key = demo.keys["load-acme", "primary"]
    probe = load.generate("old primary key", "http", DEFAULT_NAME, "/conference/sessions", "--kept", "--expect", "200,401",
                          key=("load-acme", "primary"))
    time.sleep(1)
    demo.write_secret("load-acme.primary.old", old_key)
    changed = load.do(demo.rotate_key("load-acme", "primary"))
    demo.read_key("load-acme", "primary")
    time.sleep(2)
    renewed = load.generate("new primary key", "http", DEFAULT_NAME, "/conference/sessions", "--kept",
                            key=("load-acme", "primary"))
    time.sleep(1)
    old, new = probe.finish(), renewed.finish()
    answer, fields = load.by_hand("/conference/sessions", "load-acme.primary.old")
    calls.refused(answer, fields, 401, "Access Denied", BAD_KEY, source="authorization", reason="SubscriptionKeyInvalid")
    answer, fields = load.by_hand("/conference/sessions", "load-acme.primary")
    calls.good(answer, fields, demo.place.listed, "conference", "GetSessions", apimSubscriptionId="load-acme")
    first_401 = old["statuses"].get("401", {}).get("first_unix_ms", 0) / 1000 - changed
    last_200 = old["statuses"].get("200", {}).get("last_unix_ms", 0) / 1000 - changed
    out.verdict("200" in old["statuses"] and old["failed"] == 0, f"the old primary was good before: {counts(old)}")
    out.verdict(-0.1 < first_401 < load.bound and last_200 < load.bound, f"the old primary gets 401 after {first_401 * 1000:.0f} ms, and never 200 again")
    out.verdict(new["ok"] > 0 and new["failed"] == 0, f"the new primary is served: {counts(new)}")
    load.alive("the key changes")
    load.others += [old, new]


def move_control(load):
    demo, out, calls, p = load.demo, load.out, load.calls, load.demo.place
    number = out.step("The control server is killed and comes back at another address")
    calls.step_of.setdefault("control-away", []).append(number)
    demo.world.processes.remove(demo.control)
    out.show("run", f"kill -9 {demo.control.pid}")
    demo.control.stop(signal.SIGKILL)
    time.sleep(2)
    answer, fields = load.by_hand("/conference/sessions")
    calls.good(answer, fields, p.listed, "conference", "GetSessions")
    load.alive("there is no control server")
    demo.start_control(p.control[1])
    out.show("run", f"{demo.control.shown}   # its settings say {p.control[1]} now, and said {p.control[0]} before")
    began = time.monotonic()
    demo.wait("proxies at the new address", demo.all_synced, seconds=60)
    back = time.monotonic() - began
    peers = {r["cluster"]: r["peer"] for r in demo.control_status("/proxies") if r["connected"]}
    out.verdict(len(peers) == 3, f"sidecars and gateway are connected and SYNCED {back * 1000:.0f} ms after it listened: {peers}")
    again = load.generate("seen after the move", "http", DEFAULT_NAME, "/weather/now", "--kept", "--mark", '"path": "/v3/')
    time.sleep(0.3)
    changed = load.do(demo.change_url("weather", p.urls["weather"].rsplit("/", 1)[0] + "/v3"))
    time.sleep(1.5)
    result = again.finish()
    live = result["watch"]["first_unix_ms"] / 1000 - changed
    out.verdict(-0.1 < live < load.bound, f"a change made now is live after {live * 1000:.0f} ms")
    load.others.append(result)


def replace_sidecar(load):
    demo, out, calls = load.demo, load.out, load.calls
    number = out.step("The sidecar is replaced by a new process (--restart-epoch 1)")
    calls.step_of.setdefault("redeploy", []).append(number)
    old = demo.app
    demo.app = demo.start_proxy("app", "app", "app-1", APP, epoch=1)
    out.show("run", demo.app.shown)
    out.show("pids", f"{demo.app.pid} takes over from {old.pid}")
    demo.wait("the new sidecar", lambda: demo.is_live("app"), demo.app)
    code = old.wait(20)
    out.verdict(code == 0, f"the old process ended by itself, status {code}")
    if code is not None:
        demo.world.processes.remove(old)
    time.sleep(2)
    answer, fields = load.by_hand("/conference/sessions")
    calls.good(answer, fields, demo.place.listed, "conference", "GetSessions")
    out.verdict(demo.app.alive() and demo.is_live("app"), "the new one is LIVE")
    load.alive("the process changes")


def clock(unix_ms):
    return time.strftime("%H:%M:%S", time.gmtime(unix_ms / 1000)) + f".{int(unix_ms) % 1000:03d}"


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
    out.verdict(load.change_live_ms is not None and load.change_live_ms < load.bound * 1000,
                f"the changed API was live for every one of {len(times)} generators within "
                f"{load.change_live_ms:.0f} ms" if load.change_live_ms is not None else
                f"the changed API was never seen by {len(times) - len(seen)} of {len(times)} generators")


def under_traffic(calls, rate, bound):
    demo, out, p = calls.demo, calls.out, calls.demo.place
    out.act("6  Under continuous traffic")
    number = out.step(f"Traffic begins: open loop, {rate:g} requests a second each, no request is ever sent twice")
    calls.step_of.setdefault("no-round-trip", []).append(number)
    load = Load(calls, rate, bound)
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
        out.show("", f"{g.name:<34}sent {r['sent']:>5}, failed {r['failed']}, longest gap {r['longest_gap_ms']:.0f} ms"
                     f" (till {clock(r.get('longest_gap_end_unix_ms', 0))}), "
                     f"p99 {r['latency_ms'].get('p99', 0):.1f} ms, {counts(r)}")
        for f in r["failures"][:3]:
            out.show("", f"     failure at {clock(f['unix_ms'])}: {f['reason']}")
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
