"""Memory of an idle connection: the slope between two numbers of them, each of which has had one answer."""
import socket
import ssl
import time

from . import http, system
from .peers import Case

FEW, MANY = 200, 1200
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def h2_request(path, authority):
    text = lambda s: bytes([len(s)]) + s
    block = b"\x82\x86" + b"\x04" + text(path) + b"\x01" + text(authority)  # GET, http, :path, :authority
    return frame(1, 5, 1, block)


def read_h2_answer(s):
    """Until the stream ends; the peer's SETTINGS and PINGs are acknowledged."""
    data = b""
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
            more = s.recv(65536)
            if not more:
                raise OSError("closed")
            data += more
        n, kind, flags, stream = int.from_bytes(data[:3], "big"), data[3], data[4], int.from_bytes(data[5:9], "big")
        data = data[9 + n:]
        if kind == 4 and not flags & 1:
            s.sendall(frame(4, 1, 0))
        if kind in (3, 7):
            raise OSError("reset")
        if kind in (0, 1) and flags & 1 and stream == 1:
            return


def read_h1_answer(s):
    data = b""
    while b"\r\n\r\n" not in data:
        data += s.recv(65536)
    head, body = data.split(b"\r\n\r\n", 1)
    n = int([line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")][0].split(b":")[1])
    while len(body) < n:
        body += s.recv(65536)


def connect(port, case, context):
    s = socket.create_connection(("127.0.0.1", port), 10)
    if case.tls:
        s = context.wrap_socket(s, server_hostname="localhost")
    if case.front == "h2":
        s.sendall(PREFACE + frame(4, 0, 0) + h2_request(b"/1024", b"localhost"))
        read_h2_answer(s)
    else:
        s.sendall(b"GET /1024 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_h1_answer(s)
    return s


def slope(running, case):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2" if case.front == "h2" else "http/1.1"])
    held, pids = [], running.pids()
    try:
        held += [connect(running.port, case, context) for _ in range(FEW)]
        time.sleep(0.6)
        before = system.resident_kb(pids)
        held += [connect(running.port, case, context) for _ in range(MANY - FEW)]
        time.sleep(0.6)
        return (system.resident_kb(pids) - before) / (MANY - FEW)
    finally:
        for s in held:
            s.close()


def idle(bench):
    system.many_files()
    for name, case in (("HTTP/1", Case()), ("HTTP/1 over TLS", Case(tls=True)), ("HTTP/2", Case("h2")),
                       ("HTTP/2 over TLS", Case("h2", tls=True))):
        running = http.start_all(bench, case)
        cost, failed = {k: [] for k in running}, set()
        for kind, r in running.items():
            try:
                cost[kind].append(slope(r, case))
            except OSError as e:
                failed.add(kind)
                print(f"  {kind}: {e}")
        system.table(f"idle {name}: KB a connection, {FEW} to {MANY} of them", cost, failed)
        bench.procs.end([r.proc for r in running.values()])
