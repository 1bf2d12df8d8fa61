"""The demo as a test: every verdict of deploy/demo, with the binaries under test. Times have a generous bound here."""
import os
import re
import subprocess

from harness import BUILD, ROOT


def test_every_verdict_of_the_demo_is_pass():
    env = {**os.environ, "EGRET_BIN": os.path.join(BUILD, "bin"),
           "LSAN_OPTIONS": "suppressions=" + os.path.join(ROOT, "tests/lsan.supp")}
    run = subprocess.run([os.path.join(ROOT, "deploy/demo"), "--check", "--no-build", "--rate", "5", "--bound", "20"], env=env,
                         capture_output=True, text=True, timeout=300)
    lines = run.stdout.strip().split("\n")
    failed = [line for line in lines if line.startswith("FAIL")]
    assert run.returncode == 0 and not failed, "\n".join(failed or lines[-5:]) + run.stderr
    assert re.fullmatch(r"[1-9]\d+ passed, 0 failed", lines[-1])
