"""Folders that people published, served as they are: what validation says of each, and every operation called through
control server and sidecar, compared with what APIM would send and answer (apim_oracle.py)."""
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import urllib.parse

import pytest

from apim_oracle import KEY_HEADER, Service, Unreadable
from chain import Chain, replace
from harness import CONTROL, Backend, shared, wait_for

BACKENDS = "127.0.0.16"
BODY = b'{"text": "legacy code", "n": [1, 2]}'
REPLY = (203, b"a legacy answer")
# What a hop sets for itself; the values are tested elsewhere.
OWN = {"content-length", "transfer-encoding", "x-forwarded-proto", "x-request-id"}

# What validation says of each folder as it was published: the closing line, then every problem.
SAID = {
    "official": ("8 apis, 11 operations, 2 products, 0 subscriptions served, 0 apis left out", [
        "policy fragments/policyFragment1/policy.xml:4: expression in <set-header> is not evaluated yet",
        "subscriptions/subscription1/subscriptionInformation.json:1: no key of it is known; the overrides give them",
        "subscriptions/subscription2/subscriptionInformation.json:1: no key of it is known; the overrides give them"]),
    "lab": ("3 apis, 16 operations, 1 products, 0 subscriptions served, 5 apis left out", [
        "apis/helloworldfromfuncapp/apiInformation.json:12:19: the URL does not begin with http:// or https://",
        "apis/helloworldfromfuncapp/specification.yaml:7:25: did not find expected key, while parsing a block mapping that began at line 7",
        "apis/helloworldfromlogicapp/apiInformation.json:12:20: expected a value",
        "apis/helloworldfromlogicapp/specification.yaml:7:25: did not find expected key, while parsing a block mapping that began at line 7",
        "apis/myversionedapi-v2/apiInformation.json:5:25: expected a value",
        "apis/myversionedapi/apiInformation.json:9:13: it would answer for apis/myversionedapi-v2;rev=1, whose version is not known",
        "backends/LogicApp_helloworldfromlogicapp_rg-apim-lab_77fadbdc74f14ce88962b34400a1f170/backendInformation.json:6:12: "
        "the URL does not begin with http:// or https://",
        "backends/helloworldfromfuncapp/backendInformation.json:5:28: named value {{helloworldfromfuncapp-key}}: "
        "it is secret and the overrides give no value",
        "policy fragments/ForwardContext/policy.xml:3: expression in <set-header> is not evaluated yet"]),
    "function-app": ("0 apis, 0 operations, 0 products, 0 subscriptions served, 1 apis left out", [
        "apis/dev1-api/policy.xml:16: its backend backends/dev1-api-backend is closed: backends/dev1-api-backend/backendInformation.json:5: "
        "named value {{dev1-api-function-app-key}}: its value stands in a key vault; the overrides may give it",
        "backends/dev1-api-backend/backendInformation.json:5:28: named value {{dev1-api-function-app-key}}: "
        "its value stands in a key vault; the overrides may give it"]),
}
# What its authors blacked out before they published the lab's folder, filled in again.
BLACKED_OUT = {
    "- url: [url goes here]]": "- url: https://unused.test",
    '"serviceUrl": [url goes here]': '"serviceUrl": "https://logic.test/workflows/1/triggers"',
    '"apiVersionSetId": [subscription id]': '"apiVersionSetId": "/apiVersionSets/6286439d9a310d01468c083c"',
    "[your function url goes here]": "https://function.test/api",
    "[url]]/workflows": "https://logic.test/workflows",
}


def mended(folder, copy):
    shutil.copytree(folder, copy)
    for where, _, names in os.walk(copy):
        for name in names:
            path = os.path.join(where, name)
            with open(path) as f:
                text = f.read()
            for black, white in BLACKED_OUT.items():
                text = text.replace(black, white)
            with open(path, "w") as f:
                f.write(text)
    return str(copy)


def validate(folder, *args):
    out = subprocess.run([CONTROL, "--mode", "validate", "--folder", folder, *args], capture_output=True, text=True, timeout=60)
    lines = out.stdout.splitlines()
    return lines[-1], sorted(lines[:-1]), out.returncode


class FolderChain(Chain):
    """A published folder behind a sidecar: every backend it names is played here, by way of the overrides."""

    def __init__(self, work, root):
        self.root, self.backends = root, {}
        super().__init__(work)

    def make_artifacts(self, a):
        a.folder = self.root
        self.pki.issue("backend", f"IP:{BACKENDS}")
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.pki.path("backend.pem"), self.pki.path("backend.key"))
        self.overrides = {"apis": [], "backends": [], "namedValues": [], "subscriptions": []}
        service = Service(self.root, {})
        for api in service.apis:
            if api and "serviceUrl" in api.props:
                self.redirect("apis", api.folder, "serviceUrl", api.props["serviceUrl"])
        for name, props in service.backends.items():
            self.redirect("backends", name, "url", props["url"])
        for name, props in service.objects("named values", "namedValues", "namedValueInformation.json"):
            if "value" not in props:
                a.named[name] = secrets.token_urlsafe(24)
                self.overrides["namedValues"].append({"name": name, "properties": {"value": a.named[name]}})
            elif props["value"].startswith("https://httpbin"):
                self.redirect("namedValues", name, "value", props["value"])
        for name, scope in [("of-all", "/apis")] + [(f"of-{p}", f"/products/{p}") for p in service.products]:
            self.overrides["subscriptions"].append({"name": name, "properties": {"scope": scope, "state": "active"}})
        for name in service.subscriptions:
            self.overrides["subscriptions"].append({"name": name, "properties": {}})
        for s in self.overrides["subscriptions"]:
            a.keys[s["name"]] = [secrets.token_hex(16), secrets.token_hex(16)]
            s["properties"].update({"primaryKey": a.keys[s["name"]][0], "secondaryKey": a.keys[s["name"]][1]})
        replace(a.overrides, self.overrides)

    def redirect(self, section, name, field, url):
        parts = urllib.parse.urlsplit(url) if url.startswith("http") else urllib.parse.urlsplit("https://unknown.test/")
        if parts.netloc not in self.backends:
            self.backends[parts.netloc] = self.backend(
                host=BACKENDS, tls=self.tls, answer=lambda r: (f"{REPLY[0]} Read", [("x-response-source", "the backend")], REPLY[1]))
        url = parts._replace(netloc=f"{BACKENDS}:{self.backends[parts.netloc].port}").geturl()
        self.overrides[section].append({"name": name, "properties": {field: url}})

    def start(self):
        self.start_control()
        self.start_proxy("app", *self.ports["app"])
        wait_for(lambda: self.admin_text("/ready")[0] == 200, "the sidecar is ready")
        return self

    def requests(self):
        return [r for b in self.backends.values() for r in b.requests]


def sample(template):
    return re.sub(r"{\*?(\w+)}", lambda m: f"{m.group(1)}-caf%C3%A9%207", template).replace("/*", "/any/thing")


def calls_of(service):
    """(API, operation, method, target): each operation of each revision, by its URL."""
    for api in service.apis:
        if api is None or api.operations is None:
            continue
        versioned = "/" + api.version if api.version else ""
        own = f"/{api.path}{versioned}".rstrip("/") + ("" if api.current else f";rev={api.revision}")
        for op, method, template in api.operations:
            yield api, op, method, own + sample(template) + "?q=a%20b&empty=&legacy"


def check_call(chain, service, call, who, number):
    """Returns the status."""
    api, op, method, target = call
    headers = [("Accept", "*/*"), ("User-Agent", "tests"), ("X-Call", str(number)), ("X-Twice", "one"), ("X-Twice", "two"),
               ("X-Scenario-Environment", "the caller's")]
    key = {None: None, "wrong": "no-such-key"}.get(who) or (chain.key(who) if who else None)
    headers += [(KEY_HEADER, key)] if key else []
    body = BODY if method in ("POST", "PUT", "PATCH") else b""
    headers += [("Content-Type", "application/json")] if body else []
    scheme = "https" if "https" in api.props.get("protocols", ["https"]) else "http"
    expected = service.answer(scheme, method, target, headers, body, who, key is not None, REPLY)
    args = [x for n, v in headers for x in ("-H", f"{n}: {v}")] + (["--data-binary", body.decode()] if body else [])
    args += ["--http1.1"] if number % 2 else ["--http2"]
    status, got, text, _ = chain.call(target, "-X", method, "--path-as-is", *args, key=None, scheme=scheme)
    sent = [r for r in chain.requests() if r.header("x-call") == str(number)]
    what = (api.folder, op, who, target)
    if status == 501:
        assert not sent, what
        return status, json.loads(text)["message"]
    assert status == expected["status"], (what, status, text, expected)
    assert expected["body"] is None or text == expected["body"], (what, text, expected)
    assert len(sent) == (1 if "sent" in expected else 0), what
    if sent:
        compare(expected["sent"], sent[0], what)
    for name, value in expected.get("headers", []):
        assert got.get(name.lower()) == value, (what, name, got)
    return status, None


def compare(expected, r, what):
    path, _, query = r.path.partition("?")
    assert (r.method, path, query) == (expected["method"], expected["path"], expected["query"]), (what, r.line, expected)
    assert r.header("host") == expected["authority"], (what, r.headers)
    assert r.body == expected["body"], (what, r.body)
    names = {n.lower() for n, v in expected["headers"] if v == "<any>"}
    for name in names:
        assert r.header(name), (what, name)
    wanted = sorted((n.lower(), v) for n, v in expected["headers"] if n.lower() not in OWN | names)
    got = sorted((n.lower(), v) for n, v in r.headers if n.lower() not in OWN | names | {"host"})
    assert got == wanted, (what, got, wanted)


@pytest.mark.parametrize("name", SAID)
def test_validation_names_every_problem_of_a_published_folder(name):
    line, problems, status = validate(shared("apim-folders", name))
    assert line == SAID[name][0] and problems == sorted(SAID[name][1])
    assert status == (1 if line.startswith("0 apis") else 0)
    assert validate(shared("apim-folders", name), "--strict")[2] == 1


@pytest.mark.parametrize("name", [*SAID, "lab, mended"])
def test_every_operation_of_a_published_folder_reaches_its_backend_as_apim_would_send_it(tmp_path, name):
    folder = shared("apim-folders", name.split(",")[0])
    if "mended" in name:
        folder = mended(folder, tmp_path / "mended")
    chain = FolderChain(tmp_path / "run", folder)
    try:
        check_folder(chain.start())
    finally:
        chain.stop()


def check_folder(chain):
    service = Service(chain.root, chain.overrides)
    line, problems, _ = validate(chain.root, "--overrides", chain.artifacts.overrides)
    open_operations, number = set(), 0
    for call in calls_of(service):
        for who in (None, "wrong", *sorted(service.subscriptions)):
            number += 1
            status, reason = check_call(chain, service, call, who, number)
            if status == 501:
                assert any(reason.split(": ", 1)[-1] in p for p in problems), (call, reason, problems)
            elif status != 401:
                open_operations.add((call[0].folder, call[1]))
    assert line.split(", ")[1] == f"{len(open_operations)} operations", (line, sorted(open_operations))
