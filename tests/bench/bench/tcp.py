"""Raw bytes: CPU for a gigabyte and for a new connection."""
import socket
import subprocess

from . import system
from .system import LOAD_CPU


class Raw:
    def __init__(self, port, proc):
        self.port, self.proc = port, proc

    def pids(self):
        return system.tree(self.proc.pid)


def start_all(bench):
    running = {}
    for kind in bench.peers.found():
        port = system.free_port()
        started = bench.peers.tcp(kind, port, bench.origin)
        if isinstance(started, str):
            print(f"  {kind}: not measured: {started}")
            continue
        try:
            system.wait_port(port)
            running[kind] = Raw(port, started)
        except RuntimeError:
            print(f"  {kind}: does not start: {open(started.log_path, errors='replace').read()[-300:]}")
            bench.procs.end([started])
    return running


def bulk(port, times):
    url = f"http://127.0.0.1:{port}/big"
    done = subprocess.run(["taskset", "-c", str(LOAD_CPU), "curl", "-sf", "-w", "%{size_download}\n", *sum((["-o", "/dev/null", url] for _ in range(times)), [])],
                          capture_output=True, text=True, timeout=120)
    return done.returncode == 0 and sum(map(int, done.stdout.split())) == times * (256 << 20), done.stdout + done.stderr


def connections(port, count):
    request = b"GET /16 HTTP/1.0\r\n\r\n"
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.sendall(request)
            data = b""
            while more := s.recv(4096):
                data += more
        if not data.endswith(b"x" * 16):
            return False, repr(data)
    return True, ""


def tcp(bench):
    running = start_all(bench)
    count, times = max(300, int(3000 * bench.opt.scale)), max(1, int(4 * bench.opt.scale))
    gb, new, failed = {k: [] for k in running}, {k: [] for k in running}, set()
    for _ in range(bench.opt.rounds):
        for kind, r in running.items():
            one(r, lambda r=r: bulk(r.port, times), times / 4 * 1e6, gb[kind], failed, kind)
            one(r, lambda r=r: connections(r.port, count), count, new[kind], failed, kind)
    system.table(f"raw TCP: CPU seconds a GB, rounds of {times * 256} MB", gb, failed, digits=2)
    system.table(f"raw TCP: CPU µs a new connection, rounds of {count}", new, failed)
    bench.procs.end([r.proc for r in running.values()])


def one(r, work, count, cost, failed, name):
    from .http import measured
    measured(r, work, count, cost, failed, name)
