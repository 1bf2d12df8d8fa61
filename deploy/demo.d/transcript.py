"""What the demo prints and counts: steps with their verdicts. Also reads GatewayLogs records."""
import json
import os
import re
import subprocess
import sys
import time

FIELDS = ("isRequestSuccess totalTime category callerIpAddress timeGenerated region correlationId method url backendResponseCode "
          "responseCode responseSize cache backendTime requestSize apiId operationId productId userId apimSubscriptionId "
          "clientTime clientProtocol backendProtocol apiRevision clientTlsVersion backendMethod backendUrl").split()


class Transcript:
    """brief: one line a verdict, nothing else (--check)."""

    def __init__(self, brief):
        self.brief, self.passed, self.failed = brief, 0, 0
        self.steps = {}  # number -> every verdict passed
        self.number = 0
        self.colour = sys.stdout.isatty()
        self.text = []  # all that was printed: it is searched for secrets too

    def paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def say(self, text=""):
        self.text.append(text)
        if not self.brief:
            print(text, flush=True)

    def act(self, title):
        self.say("\n" + self.paint("1", f"== {title} " + "=" * max(0, 110 - len(title))))

    def step(self, title):
        self.number += 1
        self.steps[self.number] = True
        self.say("\n" + self.paint("1", f"{self.number}. {title}"))
        return self.number

    def show(self, label, text):
        lines = str(text).rstrip("\n").split("\n")
        self.say(f"   {label:<8} {lines[0]}")
        for line in lines[1:]:
            self.say(f"            {line}")

    def verdict(self, ok, text):
        self.passed += bool(ok)
        self.failed += not ok
        if not ok:
            self.steps[self.number] = False
        word = self.paint("32", "PASS") if ok else self.paint("31", "FAIL")
        print(f"   {word}     {text}" if not self.brief else f"{word}  {self.number}. {text}", flush=True)
        return ok


class GatewayLog:
    """The access log of one sidecar, from where it stood."""

    def __init__(self, path):
        self.path, self.at = path, 0

    def mark(self):
        self.at = os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def fresh(self):
        if not os.path.exists(self.path):
            return ""
        with open(self.path, "rb") as f:
            f.seek(self.at)
            return f.read().decode(errors="replace")

    def next(self, probe="", seconds=5):
        """The first record since mark() that holds `probe`, or None."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            records = [r for r in records_of(self.fresh()) if probe in r]
            if records:
                return records[0]
            time.sleep(0.03)
        return None


def records_of(text):
    if not text.endswith("\n"):
        text = text[:text.rfind("\n") + 1]
    parts = re.split(r"^(?=\[Info\] )", text, flags=re.M)
    return [p.rstrip("\n") for p in parts if p.startswith("[Info] ")]


def parse_record(record):
    """The fields of a record as texts; lastError as an object."""
    out = {}
    if record is None:
        return out
    text = record
    at = record.find("lastError: ")
    if at >= 0:
        try:
            out["lastError"], end = json.JSONDecoder().raw_decode(record[at + len("lastError: "):])
            text = record[:at]
        except ValueError:
            pass
    for name in FIELDS:
        m = re.search(rf"(?:^|[ ,]){name}: (.*?)(?=, [a-zA-Z]+: |,? ?$|\n)", text if name != "backendUrl" else record)
        if m:
            out[name] = m.group(1).rstrip(",")
    return out


class Answer:
    """An HTTP answer as curl -i printed it. code: curl's own status when there was none."""

    def __init__(self, run):
        self.code, self.error = run.returncode, run.stderr.strip()
        text = run.stdout  # with its CRs: run_shell does not touch line ends
        self.line, self.status, self.headers, self.body = "", 0, {}, ""
        while text.startswith("HTTP/"):
            head, _, text = text.partition("\r\n\r\n")
            lines = head.split("\r\n")
            self.line = lines[0]
            self.status = int(lines[0].split(" ")[1])
            self.headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                self.headers[name.lower()] = value.strip()
            if self.status >= 200:
                break
        self.body = text

    @property
    def json(self):
        try:
            value = json.loads(self.body)
            return value if isinstance(value, dict) else {}
        except ValueError:
            return {}


def run_shell(host, text, env, seconds=30):
    """Runs what was shown, word for word, on a host."""
    run = subprocess.run(["bash", "-c", host.shown(text)], stdin=subprocess.DEVNULL, capture_output=True,
                         timeout=seconds, env={**os.environ, **env})
    run.stdout, run.stderr = run.stdout.decode(errors="replace"), run.stderr.decode(errors="replace")
    return run
