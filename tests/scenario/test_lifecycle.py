"""Starting, validating, ending, taking over; what the admin interface shows."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest

import harness
from configs import bootstrap, cluster, hcm, listener
from harness import EGRET, admin_json, curl, free_port, wait_for

ALL = [{"match": {"prefix": "/"}, "route": {"cluster": "b"}}]


def validate(stage, text, suffix=".yaml"):
    path = stage.path / f"bad{suffix}"
    path.write_text(text)
    out = subprocess.run([EGRET, "--mode", "validate", "-c", str(path)], capture_output=True, text=True, timeout=30)
    return out.returncode, out.stderr + out.stdout, path


BAD = [
    ("unknown field", "static_resources:\n  clusters:\n  - name: a\n    colour: red\n", ":4:5: static_resources.clusters[0].colour"),
    ("wrong type", "static_resources:\n  clusters:\n  - name: a\n    connect_timeout: soon\n", ":4:22: static_resources.clusters[0].connect_timeout"),
    ("not built", "static_resources:\n  clusters:\n  - name: a\n    type: STATIC\n    outlier_detection: {}\n", ":5:"),
    ("read but not carried out", "static_resources:\n  clusters:\n  - name: a\n    common_lb_config: { healthy_panic_threshold: { value: 10 } }\n", ":4:"),
    ("unknown enum", "static_resources:\n  clusters:\n  - name: a\n    lb_policy: BEST\n", ":4:16: static_resources.clusters[0].lb_policy"),
    ("duplicate key", "admin: {}\nadmin: {}\n", ":2:1:"),
    ("syntax", "static_resources: [\n", ":2:1"),
]


@pytest.mark.parametrize("what,text,where", BAD, ids=[b[0] for b in BAD])
def test_a_bad_static_config_is_refused_with_file_line_column_and_field(stage, what, text, where):
    status, output, path = validate(stage, text)
    assert status == 1 and f"{path}{where}" in output, output
    assert harness.SANITIZER.search(output) is None


def test_a_missing_file_and_a_wrong_flag_say_so(stage):
    for args, words in ((["-c", "/nowhere.yaml"], "/nowhere.yaml"), (["--colour"], "--colour"), ([], "--config-path"),
                        (["-c", "x.yaml", "--concurrency", "many"], "--concurrency")):
        out = subprocess.run([EGRET, *args], capture_output=True, text=True, timeout=30)
        assert out.returncode == 1 and words in out.stderr, out.stderr


@pytest.mark.parametrize("sample", ["sidecar.yaml", "gateway.yaml"])
def test_the_sample_bootstraps_are_valid(stage, pki, sample):
    path = harness.shared("samples", sample)
    os.symlink(pki.folder, stage.path / "pki")
    out = subprocess.run([EGRET, "--mode", "validate", "-c", os.path.abspath(path)], capture_output=True, text=True,
                         cwd=stage.path, timeout=30)
    assert out.returncode == 0, out.stderr


def test_yaml_and_config_yaml_are_merged(stage):
    b, port = stage.backend(), free_port()
    text = json.dumps({"static_resources": {"listeners": [listener(port, hcm(routes=ALL))]}})
    config = stage.config({"static_resources": {"clusters": [cluster("b", b.port)]}})
    stage.process([EGRET, "-c", config, "--config-yaml", text, "--disable-hot-restart"], port)
    assert curl(f"http://127.0.0.1:{port}/")[0] == 200


def test_admin_shows_what_there_is_and_commands_need_post(stage):
    b, port, admin = stage.backend(), free_port(), free_port()
    p = stage.proxy("egret", bootstrap([listener(port, hcm(routes=ALL))], [cluster("b", b.port)], admin), port, admin)
    for _ in range(3):
        assert curl(f"http://127.0.0.1:{port}/")[0] == 200
    url = f"http://127.0.0.1:{admin}"
    status, _, body, _ = curl(url + "/ready")
    assert (status, body.strip()) == (200, b"LIVE")
    text = curl(url + "/stats")[2].decode()
    assert "cluster.b.upstream_rq_total: 3" in text and "http.test.downstream_rq_2xx: 3" in text
    prom = curl(url + "/stats/prometheus")[2].decode()
    assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="b"} 3' in prom
    assert f"127.0.0.1:{port}" in curl(url + "/listeners")[2].decode()
    assert f"b::127.0.0.1:{b.port}::" in curl(url + "/clusters")[2].decode()
    dump = admin_json(admin, "/config_dump")
    assert any("ClustersConfigDump" in c["@type"] for c in dump["configs"])
    assert curl(url + "/quitquitquit")[0] == 405
    assert curl(url + "/quitquitquit", "-X", "POST")[0] == 200
    wait_for(lambda: not p.alive(), "egret ending")
    assert p.proc.returncode == 0


def test_sigterm_drains_and_a_request_in_flight_is_answered(stage):
    def slow(r):
        time.sleep(1.0)
        return "200 OK", [], b"late"

    b, port = stage.backend(slow), free_port()
    p = stage.proxy("egret", bootstrap([listener(port, hcm(routes=ALL))], [cluster("b", b.port)]), port)
    result = []
    t = threading.Thread(target=lambda: result.append(curl(f"http://127.0.0.1:{port}/")))
    t.start()
    wait_for(lambda: b.requests, "the request at the backend")
    p.proc.send_signal(signal.SIGTERM)
    t.join()
    assert result[0][0] == 200 and result[0][2] == b"late" and result[0][1].get("connection") == "close"
    wait_for(lambda: not p.alive(), "egret ending")
    assert p.proc.returncode == 0


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh connections", "kept connections"])
def test_a_new_process_takes_over_and_no_request_fails(stage, fresh):
    b, port, admin = stage.backend(), free_port(), free_port()
    config = stage.config(bootstrap([listener(port, hcm(routes=ALL))], [cluster("b", b.port)], admin))
    base = str(port)
    first = stage.process([EGRET, "-c", config, "--base-id", base, "--drain-time-s", "8"], port, admin)
    stop, counts = threading.Event(), {"ok": 0, "bad": []}
    lock = threading.Lock()

    def client():
        import http.client
        conn = None
        while not stop.is_set():
            try:
                if conn is None or fresh:
                    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                conn.request("GET", "/x")
                r = conn.getresponse()
                r.read()
                with lock:
                    counts["ok" if r.status == 200 else "bad"] = counts["ok"] + 1 if r.status == 200 else counts["bad"] + [r.status]
                if r.getheader("connection") == "close" or fresh:
                    conn.close()
                    conn = None
            except Exception as e:  # every failure counts: nothing is tried again
                with lock:
                    counts["bad"].append(repr(e))
                conn = None
            time.sleep(0.002)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    try:
        time.sleep(0.5)
        second = stage.process([EGRET, "-c", config, "--base-id", base, "--restart-epoch", "1", "--drain-time-s", "8"])
        wait_for(lambda: not first.alive(), "the first process ending", 20)
        third = stage.process([EGRET, "-c", config, "--base-id", base, "--restart-epoch", "2", "--drain-time-s", "8"])
        wait_for(lambda: not second.alive(), "the second process ending", 20)
        time.sleep(0.3)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert counts["bad"] == [] and counts["ok"] > 200, counts
    assert first.proc.returncode == 0 and second.proc.returncode == 0 and third.alive()


def test_taking_over_from_nobody_is_an_error(stage):
    config = stage.config(bootstrap([], []))
    out = subprocess.run([EGRET, "-c", config, "--base-id", "4000001", "--restart-epoch", "1"], capture_output=True, text=True,
                         timeout=30)
    assert out.returncode == 1 and "--restart-epoch 1" in out.stderr
