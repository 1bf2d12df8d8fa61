"""Processes, CPU time, memory and system calls of what is measured."""
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
CPUS = sorted(os.sched_getaffinity(0))
PROXY_CPU, LOAD_CPU = CPUS[0], CPUS[-1]
TICK = os.sysconf("SC_CLK_TCK")


def which(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, seconds=20, host="127.0.0.1"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection((host, port), 0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def tree(pid):
    """A process and its children: nginx and nghttpx work in a child."""
    pids, all_parents = [pid], {}
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                with open(f"/proc/{p}/stat") as f:
                    all_parents[int(p)] = int(f.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    for p in pids:
        pids += [child for child, parent in all_parents.items() if parent == p]
    return pids


def cpu_seconds(pids):
    """User and system time of all their threads; in nanoseconds where the kernel counts so."""
    total = 0.0
    for p in pids:
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[0]) / 1e9
        except (OSError, ValueError, IndexError):
            with open(f"/proc/{p}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICK
    return total


def resident_kb(pids):
    """What is resident, pages shared among these processes counted once (Pss)."""
    total = 0
    for p in pids:
        try:
            with open(f"/proc/{p}/smaps_rollup") as f:
                total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
        except (OSError, AttributeError):
            with open(f"/proc/{p}/status") as f:
                m = re.search(r"VmRSS:\s+(\d+)", f.read())
            total += int(m.group(1)) if m else 0
    return total


class Procs:
    """Every process of the bench; all end with it."""

    def __init__(self, folder):
        self.dir, self.all, self.started = folder, [], 0

    def spawn(self, args, cpu, log=None):
        self.started += 1
        path = log or os.path.join(self.dir, f"log-{self.started}")
        with open(path, "ab") as out:
            p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=self.dir,
                                 preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
        p.log_path, p.began = path, time.monotonic()
        self.all.append(p)
        return p

    def end(self, procs):
        for p in procs:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in procs:
            try:
                p.wait(3)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
            self.all.remove(p)

    def end_all(self):
        self.end(list(self.all))


def is_traced(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as f:
            if "TracerPid:\t0\n" in f.read():
                return False
    return True


def syscalls(folder, pids, work, count):
    """System calls of one piece of work, in a run of its own: strace slows what it watches."""
    if not which("strace"):
        return None
    path = os.path.join(folder, "strace")
    args = ["strace", "-f", "-c", "-o", path]
    for p in pids:
        args += ["-p", str(p)]
    tracer = subprocess.Popen(args, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not all(map(is_traced, pids)):
        if time.monotonic() > end:
            tracer.kill()
            tracer.wait()
            return None
        time.sleep(0.05)
    work()
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    with open(path) as f:
        total = re.search(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*total$", f.read(), re.M)  # %, seconds, µs a call, calls
    return int(total.group(1)) / count if total else None


def spread(values, digits=1):
    """median (least–most)"""
    return f"{statistics.median(values):8.{digits}f}  ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratios(cost, failed):
    """Of each peer to the best one of the same run; rounds are paired, the median of the pairs counts."""
    sound = [p for p in cost if p not in failed and cost[p]]
    others = [p for p in sound if p != "egret"]
    best = min(others, key=lambda p: statistics.median(cost[p])) if others else None
    if best is None:
        return None, {}
    return best, {p: statistics.median(a / b for a, b in zip(cost[p], cost[best])) for p in sound}


def table(title, cost, failed, notes=None, digits=1):
    """One block of the output: no figure and no ratio for a peer with a failed request."""
    best, ratio = ratios(cost, failed)
    print(f"\n{title}" + (f"; ratios are to {best}" if best else ""))
    for p, values in cost.items():
        if p in failed or not values:
            print(f"  {p:8} failed: no figure")
            continue
        line = f"  {p:8} {spread(values, digits):26}"
        line += f"  ratio {ratio[p]:.2f}" if p in ratio else ""
        print(line + (f"  {notes[p]}" if notes and notes.get(p) else ""), flush=True)
