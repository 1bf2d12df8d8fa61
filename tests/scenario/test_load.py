"""egret-load, on which the demo's claims rest: it counts what happens, and never sends a request twice."""
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from harness import BUILD, Backend, Pki, Process, free_port, port_open, wait_for

LOAD = os.path.join(BUILD, "bin/egret-load")


def load(*args, seconds=30):
    """The line of JSON, and the exit status."""
    run = subprocess.run([LOAD, *args], capture_output=True, text=True, timeout=seconds)
    assert run.stderr == "", run.stderr
    return json.loads(run.stdout), run.returncode


def ok(body=b"hello", **headers):
    return lambda r: ("200 OK", [(k, v) for k, v in headers.items()], body)


@pytest.mark.parametrize("mode", ["--kept", "--fresh"])
def test_each_request_is_sent_once_and_counted(mode):
    backend = Backend(ok())
    result, status = load("--url", f"http://127.0.0.1:{backend.port}/x?y=1", "--rate", "200", "--duration", "0.5", mode)
    assert (status, result["sent"], result["ok"], result["failed"]) == (0, 100, 100, 0)
    assert len(backend.requests) == 100 and backend.requests[0].path == "/x?y=1"
    assert result["statuses"]["200"]["n"] == 100
    assert backend.connections == (100 if mode == "--fresh" else result["connections"])
    backend.stop()


def test_an_answer_that_never_comes_counts_as_failed_and_is_not_asked_for_again():
    backend = Backend(lambda r: b"close")  # bytes that are no answer, then the end
    result, status = load("--url", f"http://127.0.0.1:{backend.port}/", "--rate", "50", "--duration", "0.2")
    assert (status, result["sent"], result["ok"], result["failed"]) == (2, 10, 0, 10)
    assert sum(r["n"] for r in result["reasons"].values()) == 10
    assert len(backend.requests) == 10
    backend.stop()


def test_a_port_where_nobody_listens_says_so():
    result, status = load("--url", f"http://127.0.0.1:{free_port()}/", "--rate", "50", "--duration", "0.1")
    assert status == 2 and result["reasons"]["connect: ECONNREFUSED"]["n"] == result["sent"] == 5


def test_another_status_fails_unless_it_was_expected():
    backend = Backend(lambda r: ("401 Access Denied", [], b"no"))
    url = f"http://127.0.0.1:{backend.port}/"
    result, status = load("--url", url, "--rate", "50", "--duration", "0.1")
    assert status == 2 and result["reasons"]["status_401"]["n"] == 5
    result, status = load("--url", url, "--rate", "50", "--duration", "0.1", "--expect", "200,401")
    assert status == 0 and result["ok"] == 5
    backend.stop()


def test_a_connection_that_the_server_closes_is_not_used_again():
    backend = Backend(lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    result, status = load("--url", f"http://127.0.0.1:{backend.port}/", "--rate", "50", "--duration", "0.4", "--connections", "1")
    assert status == 0 and result["ok"] == 20 and backend.connections == 20
    backend.stop()


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nmark: \"abc\"",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nmark\r\n7\r\n: \"abc\"\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nmark: \"abc\"",
]


@pytest.mark.parametrize("answer", ANSWERS, ids=["length", "chunked", "interim"])
def test_answers_are_read_whole_however_they_are_cut(answer):
    backend = Backend()
    cut = iter(range(1, len(answer)))

    def serve(sock, peer):
        while sock.recv(65536):
            at = next(cut, None)
            if at is None:
                sock.sendall(answer)
                continue
            sock.sendall(answer[:at])
            time.sleep(0.005)
            sock.sendall(answer[at:])
    backend.serve = serve
    n = len(answer)
    result, status = load("--url", f"http://127.0.0.1:{backend.port}/", "--rate", "100", "--duration", str(n / 100),
                          "--connections", "1", "--collect", 'mark: "([a-z]*)"', "--mark", 'k: "abc"')
    assert status == 0 and result["collected"]["abc"]["n"] == result["watch"]["matched"] == result["ok"] == result["sent"]
    assert result["sent"] >= n - 1
    backend.stop()


def test_a_request_without_an_answer_times_out():
    backend = Backend()
    backend.serve = lambda sock, peer: [None for _ in iter(lambda: sock.recv(65536), b"")]
    result, status = load("--url", f"http://127.0.0.1:{backend.port}/", "--rate", "50", "--duration", "0.1", "--timeout", "0.3")
    assert status == 2 and result["reasons"]["timeout"]["n"] == result["sent"] == 5
    backend.stop()


def test_http2_over_tls_shares_connections_and_ends_on_a_signal(tmp_path):
    pki = Pki(tmp_path / "pki")
    cert, key = pki.issue("server", "DNS:load.test")
    (tmp_path / "page").write_text("hello")
    port = free_port()
    nghttpd = shutil.which("nghttpd", path=os.environ["PATH"] + ":/usr/sbin")
    server = Process([nghttpd, "-d", str(tmp_path), str(port), key, cert], tmp_path / "nghttpd.log")
    wait_for(lambda: port_open(port), "nghttpd")
    args = [LOAD, "--url", f"https://load.test:{port}/page", "--connect", f"127.0.0.1:{port}", "--cacert", pki.path("ca.pem"), "--h2",
            "--rate", "200", "--connections", "2"]
    run = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    run.send_signal(signal.SIGINT)
    result = json.loads(run.communicate(timeout=20)[0])
    assert run.returncode == 0 and result["failed"] == 0 and result["ok"] == result["sent"] > 0 and result["connections"] <= 2
    args[2] = f"https://other.test:{port}/page"
    result, status = load(*args[1:], "--duration", "0.05")
    assert status == 2 and list(result["reasons"]) == ["certificate not accepted"]
    server.stop()
