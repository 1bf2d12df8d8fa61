"""CPU, system calls and latency of HTTP requests."""
import json
import os
import re
import subprocess

from . import system
from .peers import Case
from .system import LOAD_CPU

LOADS = {  # the clients' side: h2load arguments
    "h1": ["--h1", "-c", "64"],
    "h2": ["-c", "16", "-m", "10"],
}
CASES = {  # name: (case, bytes of a body, requests a round)
    "h1-1k": (Case(), 1024, 40000),
    "h1-64k": (Case(), 65536, 12000),
    "h2-1k": (Case("h2"), 1024, 40000),
    "tls-h1-1k": (Case(tls=True), 1024, 30000),
    "tls-h2-1k": (Case("h2", tls=True), 1024, 30000),
    "h2-h2-1k": (Case("h2", back="h2"), 1024, 40000),
}


def h2load(port, case, path, count, extra=()):
    url = f"{'https' if case.tls else 'http'}://127.0.0.1:{port}{path}"
    out = subprocess.run(["taskset", "-c", str(LOAD_CPU), "h2load", *LOADS[case.front], *extra, "-n", str(count), url],
                         capture_output=True, text=True, timeout=300).stdout
    m = re.search(r"requests: (\d+) total.* (\d+) succeeded, (\d+) failed", out)
    status = re.search(r"status codes: (\d+) 2xx", out)
    ok = m and int(m.group(2)) == count and int(m.group(3)) == 0 and status and int(status.group(1)) == count
    return bool(ok), out


class Running:
    """One proxy that serves one case."""

    def __init__(self, bench, kind, case):
        self.port, self.proc, self.why = system.free_port(), None, None
        origin = bench.origin_h2() if case.back == "h2" else bench.origin
        started = bench.peers.http(kind, self.port, origin, case)
        if isinstance(started, str):
            self.why = started
            return
        self.proc = started
        try:
            system.wait_port(self.port)
        except RuntimeError as e:
            self.why = f"does not start ({e}): {open(started.log_path, errors='replace').read()[-300:]}"

    def pids(self):
        return system.tree(self.proc.pid)


def start_all(bench, case):
    running = {}
    for kind in bench.peers.found():
        r = Running(bench, kind, case)
        if r.why:
            print(f"  {kind}: not measured: {r.why}")
            if r.proc:
                bench.procs.end([r.proc])
        else:
            running[kind] = r
    return running


def measured(running, work, count, cost, failed, name):
    """One round of one proxy: CPU microseconds a piece of work."""
    pids = running.pids()
    before = system.cpu_seconds(pids)
    ok, out = work()
    cost.append((system.cpu_seconds(pids) - before) / count * 1e6)
    if not ok:
        failed.add(name)
        print(f"  {name}: FAILED requests\n{out[:600]}")


def run_case(bench, name, features=False, path=None, routes=0):
    base, size, count = CASES[name]
    case = Case(base.front, base.tls, base.back, features, routes)
    count = max(1000, int(count * bench.opt.scale))
    path = path or f"/{size}"
    running = start_all(bench, case)
    cost, failed, notes = {k: [] for k in running}, set(), {}
    for r in running.values():
        h2load(r.port, case, path, 2000)  # warm: connections to the origin, pools
    for _ in range(bench.opt.rounds):
        for kind, r in running.items():
            measured(r, lambda r=r: h2load(r.port, case, path, count), count, cost[kind], failed, kind)
    for kind, r in running.items():
        notes[kind] = f"{system.resident_kb(r.pids()) / 1024:5.1f} MB"
        if not bench.opt.no_strace and kind not in failed:
            n = system.syscalls(bench.dir, r.pids(), lambda r=r: h2load(r.port, case, path, 4000), 4000)
            notes[kind] += f"  {n:.2f} syscalls" if n else ""
    what = f"{name}{', log and request ids on' if features else ''}{f', {routes} routes' if routes else ''}"
    system.table(f"{what}: CPU µs a request, {bench.opt.rounds} rounds of {count}", cost, failed, notes)
    bench.procs.end([r.proc for r in running.values()])


def cases(bench, names, features=False):
    for name in names:
        run_case(bench, name, features)


def memory(bench):
    """After load, with 1,000 routes of which the last but one thousandth is used; the peers that can rewrite a path."""
    run_case(bench, "h1-1k", path="/r/999", routes=1000)


def routes(bench):
    """One route of 1 against any of 75,000: the same requests, Egret only (the others' tables are not built for it)."""
    import random
    count, few, many = max(1000, int(20000 * bench.opt.scale)), 1, 75000
    pick, urls = random.Random(7), os.path.join(bench.dir, "urls")
    running, cost, failed = {}, {few: [], many: []}, set()
    for n in cost:
        r = running[n] = Running(bench, "egret", Case(routes=n))
        if r.why:
            print(f"  {n} routes: not measured: {r.why}")
            return
    for i in range(bench.opt.rounds + 1):
        for n, r in running.items():
            with open(f"{urls}-{n}", "w") as f:
                f.writelines(f"http://127.0.0.1:{r.port}/r/{pick.randrange(n)}\n" for _ in range(4000))
            work = lambda n=n: h2load_list(f"{urls}-{n}", count)  # noqa: E731
            measured(r, work, count, cost[n] if i else [], failed, n)  # the first one warms
    print(f"\nroutes: CPU µs a request (HTTP/1.1, 1 KB), any of the table's, {bench.opt.rounds} rounds of {count}")
    for n, values in cost.items():
        print(f"  {n:6} routes " + ("failed: no figure" if n in failed else system.spread(values)))
    if not failed:
        ratio = [a / b for a, b in zip(cost[many], cost[few])]
        print(f"  {many} to {few}: {system.spread(ratio, 3)}")
    bench.procs.end([r.proc for r in running.values()])


def h2load_list(path, count):
    out = subprocess.run(["taskset", "-c", str(LOAD_CPU), "h2load", *LOADS["h1"], "-n", str(count), "-i", path],
                         capture_output=True, text=True, timeout=300).stdout
    m = re.search(r"status codes: (\d+) 2xx", out)
    return bool(m) and int(m.group(1)) == count, out


def latency(bench):
    """Open loop: a request leaves when it is due, whatever the proxy does; latency counts from when it was due."""
    rate, seconds = 1500, max(2, int(6 * bench.opt.scale))
    if not bench.load:
        print("latency: not measured: no egret-load")
        return
    running = start_all(bench, Case())
    print(f"\nlatency, open loop, {rate} requests a second for {seconds} s, ms (median of {bench.opt.rounds} rounds)")
    got = {k: [] for k in running}
    for _ in range(bench.opt.rounds):
        for kind, r in running.items():
            out = subprocess.run(["taskset", "-c", str(LOAD_CPU), bench.load, "--url", f"http://127.0.0.1:{r.port}/1024", "--rate",
                                  str(rate), "--duration", str(seconds), "--connections", "32"], capture_output=True, text=True,
                                 timeout=120).stdout
            got[kind].append(json.loads(out))
    for kind, runs in got.items():
        if any(r["failed"] for r in runs):
            print(f"  {kind:8} failed: no figure")
            continue
        points = ("p50", "p90", "p99", "p999")
        print(f"  {kind:8} " + "  ".join(f"{p} {sorted(r['latency_ms'][p] for r in runs)[len(runs) // 2]:.3f}" for p in points))
    bench.procs.end([r.proc for r in running.values()])


def start(bench):
    """From exec to the first answer, with 10,000 routes."""
    import time
    import urllib.request
    case, kinds = Case(routes=10000), [k for k in bench.peers.found()]
    took, cpu, failed = {k: [] for k in kinds}, {k: [] for k in kinds}, set()
    for _ in range(bench.opt.rounds):
        for kind in list(took):
            port = system.free_port()
            began = time.monotonic()
            started = bench.peers.http(kind, port, bench.origin, case)
            if isinstance(started, str):
                print(f"  {kind}: not measured: {started}")
                del took[kind]
                continue
            while time.monotonic() - began < 60:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/r/9999", timeout=20).read()
                    took[kind].append((time.monotonic() - started.began) * 1000)
                    cpu[kind].append(system.cpu_seconds(system.tree(started.pid)) * 1000)
                    break
                except OSError:
                    time.sleep(0.002)
            else:
                failed.add(kind)
            bench.procs.end([started])
    system.table("start with 10,000 routes: ms from exec to the first answer", took, failed, digits=0)
    system.table("start with 10,000 routes: CPU ms until then", {k: v for k, v in cpu.items() if v}, failed, digits=0)

