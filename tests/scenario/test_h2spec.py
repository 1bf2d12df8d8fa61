"""The conformance battery summerwind/h2spec, all cases with --strict, against Egret in clear and over TLS."""
import os
import re
import subprocess

import pytest

from configs import bootstrap, downstream_tls, hcm, listener
from harness import ROOT, free_port

INSTALL = os.path.join(ROOT, "tests/conformance/install_h2spec.sh")
H2SPEC = os.path.join(ROOT, "build/go/h2spec")


@pytest.fixture(scope="module")
def h2spec():
    out = subprocess.run([INSTALL], capture_output=True, text=True, timeout=600)
    if out.returncode != 0 and not os.access(H2SPEC, os.X_OK):
        pytest.skip(f"SKIPPED: h2spec cannot be built here: {out.stderr.strip().splitlines()[-1:]}")
    return re.search(r"h2spec (v\S+)", out.stdout).group(1)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_every_strict_case_of_h2spec_passes(stage, pki, h2spec, tls, capsys):
    port = free_port()
    routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello world" * 50}}}]
    tls_socket = downstream_tls(pki, "server", ["h2", "http/1.1"]) if tls else None
    # In clear the listener is for prior knowledge: with AUTO, a preface that is none is an HTTP/1 request and gets its 400.
    more = {} if tls else {"codec_type": "HTTP2"}
    stage.proxy("egret", bootstrap([listener(port, hcm(routes=routes, **more), tls=tls_socket)], []), port)
    out = subprocess.run([H2SPEC, "--strict", "-p", str(port), *(["-t", "-k"] if tls else [])],
                         capture_output=True, text=True, timeout=300).stdout
    tests, passed, skipped, failed = map(int, re.search(
        r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", out).groups())
    with capsys.disabled():
        print(f"\nh2spec {h2spec} --strict {'over TLS' if tls else 'in clear'}: {passed} of {tests} passed, {skipped} skipped")
    assert tests >= 146 and passed == tests, out[out.find("Failures:"):]
