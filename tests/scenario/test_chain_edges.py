"""The chain at its edges: bodies that are refused, peers that close or lie, certificates, folders replaced as a whole."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from chain import HEADER, INTERNAL, THIRD, Chain, replace
from harness import Acceptor, curl, free_port, raw_request, wait_for


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    c = Chain(tmp_path_factory.mktemp("edges"))
    try:
        yield c.start()
    finally:
        c.stop()


@pytest.fixture
def own(tmp_path):
    c = Chain(tmp_path)
    yield c
    c.stop()


class Raw:
    """A backend that answers each connection by a function of the test; with TLS when a context is given."""

    def __init__(self, chain, host, handle, tls=None, port=0):
        self.handle, self.tls, self.connections = handle, tls, 0
        self.acceptor = Acceptor(self.one, host, port)
        self.port, self.stop = self.acceptor.port, self.acceptor.stop
        chain.things.append(self)

    def one(self, s, _):
        self.connections += 1
        try:
            if self.tls is not None:
                s = self.tls.wrap_socket(s, server_side=True)
            self.handle(s)
            s.close()
        except (OSError, ssl.SSLError):
            s.close()


def head(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            raise OSError("closed")
        data += more
    return data


def add_api(chain, name, url, ops=(("get", "/items"), ("post", "/items"))):
    chain.artifacts.api(name, url, ops)
    chain.artifacts.put(f"gateways/app/apis/{name}/gatewayApiInformation.json", {})
    wait_for(lambda: chain.call(f"/{name}/items", key=None)[0] == 401, f"the API {name}")


def add_raw(chain, name, handle, third=False):
    """An API whose backend is a Raw: direct, or behind the gateway in place of the third party's own port."""
    if not third:
        r = Raw(chain, INTERNAL, handle)
        add_api(chain, name, f"http://{INTERNAL}:{r.port}")
        return r
    r = Raw(chain, THIRD, handle, chain.third_tls, chain.spare_third)
    add_api(chain, name, f"https://{THIRD}:{r.port}")
    return r


# ---- requests

def test_a_refused_upload_is_answered_at_once(chain):
    file = chain.path("upload")
    with open(file, "wb") as f:
        f.write(b"x" * (4 << 20))
    for args in ((), ("-H", "Expect:"), ("-H", "Expect:", "-H", "Transfer-Encoding: chunked")):
        before = len(chain.internal.requests)
        answer = chain.call("/internal/echo", *args, "--data-binary", f"@{file}", key=None)
        assert answer[0] == 401 and b"missing subscription key" in answer[2], answer
        assert len(chain.internal.requests) == before
    assert chain.call("/internal/echo", "--http2", "--data-binary", f"@{file}", key=None, scheme="https")[0] == 401


@pytest.mark.parametrize("path", ["/internal/echo", "/conference/echo"])
def test_expect_100_continue_passes_the_chain(chain, path):
    answer = chain.call(path, "-H", "Expect: 100-continue", "-d", "body")
    assert answer[0] == 200 and answer[2] == b"echo body"


def test_an_absolute_target_and_other_spellings(chain):
    port, key = chain.ports["app"][0], chain.key("every")

    def status(text):
        got = raw_request(port, text.replace("KEY", f"{HEADER}: {key}").encode(), 2)
        return int(got.split(b" ")[1])
    assert status("GET http://api.contoso.test/internal/listUsers HTTP/1.1\r\nHost: api.contoso.test\r\nKEY\r\nConnection: close\r\n\r\n") == 200
    assert status("GET /internal/listUsers HTTP/1.1\r\nHost: API.Contoso.TEST:80\r\nKEY\r\nConnection: close\r\n\r\n") == 200
    assert status("GET /Internal/listUsers HTTP/1.1\r\nHost: localhost\r\nKEY\r\nConnection: close\r\n\r\n") == 200
    assert status("GET /internal/listUsers HTTP/1.1\r\nKEY\r\nConnection: close\r\n\r\n") == 400
    assert status("GET /none/../internal/listUsers HTTP/1.1\r\nHost: localhost\r\nKEY\r\nConnection: close\r\n\r\n") == 200
    assert status("GET /internal/%2e%2e/alone/items HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") == 401
    assert status("GET /internal%2flistUsers HTTP/1.1\r\nHost: localhost\r\nKEY\r\nConnection: close\r\n\r\n") == 404


def test_two_keys_in_one_request_open_nothing(chain):
    good = f"{HEADER}: {chain.key('every')}"
    for pair in ((good, f"{HEADER}: wrong"), (f"{HEADER}: wrong", good)):
        assert chain.call("/internal/listUsers", "-H", pair[0], "-H", pair[1], key=None)[0] == 401


def test_a_key_never_opens_by_its_mac_prefix_case_or_spaces_inside(chain):
    key = chain.key("every")
    for wrong in (key.upper(), key[:-1], key + "0", key + " " + key):
        if wrong != key:
            assert chain.call("/internal/listUsers", "-H", f"{HEADER}: {wrong}", key=None)[0] == 401


def test_the_callers_hop_by_hop_fields_do_not_reach_the_backend(chain):
    chain.call("/internal/listUsers", "-H", "Connection: x-mine, keep-alive", "-H", "X-Mine: 1", "-H", "Proxy-Authorization: Basic Zm9v",
               "-H", "TE: trailers", "-H", "Keep-Alive: 5")
    names = chain.internal.requests[-1].names()
    assert not {"x-mine", "keep-alive", "proxy-connection"} & set(names), names


# ---- backends that close

@pytest.mark.parametrize("third", [False, True], ids=["direct", "tunnel"])
def test_a_backend_that_closes_kept_connections_fails_no_call(own, third):
    own.start()

    def handle(s):
        head(s)
        s.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")  # and closes, having announced nothing
    r = add_raw(own, "closing", handle, third)
    for i in range(40):
        method = ("-d", "x") if i % 2 else ()
        assert own.call("/closing/items", *method)[::2] == (200, b"ok"), i
        time.sleep(0.01 * (i % 3))
    assert r.connections >= 40


@pytest.mark.parametrize("third", [False, True], ids=["direct", "tunnel"])
def test_a_body_that_breaks_off_is_not_passed_as_whole(own, third):
    own.start()

    def handle(s):
        head(s)
        s.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
    add_raw(own, "breaks", handle, third)
    assert own.call("/breaks/items")[0] in (-18, -56)  # curl: closed, or reset, with outstanding data
    record = own.record(lambda r: r.get("apiId") == "breaks" and r["responseCode"] == 200)
    assert record["lastError"]["reason"] == "BackendConnectionFailure", record
    assert own.call("/internal/listUsers")[0] == 200 and own.call("/conference/speakers")[0] == 200


@pytest.mark.parametrize("third", [False, True], ids=["direct", "tunnel"])
def test_a_backend_that_is_no_http_server_is_500(own, third):
    own.start()

    def handle(s):
        head(s)
        s.sendall(b"SSH-2.0-nonsense\r\n\r\n\r\n")
    add_raw(own, "nonsense", handle, third)
    status, _, body, _ = own.call("/nonsense/items")
    assert status == 500 and b"activityId" in body, (status, body)
    record = own.record(lambda r: r.get("apiId") == "nonsense" and r["responseCode"] == 500)
    assert record["lastError"]["source"] == "request-forwarder"


def test_a_third_party_with_a_foreign_certificate_gets_no_call(own):
    foreign = own.pki.__class__(own.path("foreign"))
    foreign.issue("bad", f"IP:{THIRD}")
    own.pki.issue("misnamed", "DNS:somebody.else")
    own.start()
    for name, folder in (("bad", foreign), ("misnamed", own.pki)):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder.path(f"{name}.pem"), folder.path(f"{name}.key"))
        got = []
        r = Raw(own, THIRD, lambda s: got.append(head(s)), tls, own.spare_third)
        add_api(own, name, f"https://{THIRD}:{own.spare_third}")
        status, _, body, _ = own.call(f"/{name}/items")
        assert status == 500 and b"activityId" in body and got == []
        error = own.record(lambda x: x.get("apiId") == name and x["responseCode"] == 500)["lastError"]
        assert error["reason"] == "BackendConnectionFailure" and re.search("certificate|verif", error["message"], re.I), error
        r.stop()


# ---- certificates, MAC keys

def test_a_host_names_certificate_replaced_on_disk_is_served(own):
    own.start()

    def serial():
        with socket.create_connection(("127.0.0.1", own.ports["app"][1])) as raw:
            c = ssl.create_default_context(cafile=own.pki.path("ca.pem"))
            with c.wrap_socket(raw, server_hostname="api.contoso.test") as s:
                return s.getpeercert()["serialNumber"]
    before = serial()
    own.pki.issue("fresh", "DNS:api.contoso.test", "IP:127.0.0.1")
    for ext in ("key", "pem"):
        shutil.copy(own.pki.path(f"fresh.{ext}"), own.pki.path(f"api.{ext}.new"))
        os.rename(own.pki.path(f"api.{ext}.new"), own.pki.path(f"api.{ext}"))
    wait_for(lambda: serial() != before, "the new certificate")
    assert own.call("/internal/listUsers", scheme="https")[0] == 200


def test_an_unknown_mac_key_is_refused_by_name_and_the_old_keys_go_on(own):
    own.start()
    own.stop_process("control")
    with open(own.path("mac2.key"), "wb") as f:
        f.write(os.urandom(32))
    own.start_control(mac_keys=[{"id": "k2", "file": own.path("mac2.key")}])
    text = wait_for(lambda: (lambda t: "REJECTED by app-1" in t and t)(own.ctl("status").stdout), "REJECTED")
    assert "Subscription" in text and "k2" in text
    assert own.call("/internal/listUsers")[0] == 200
    own.stop_process("control")
    own.start_control(mac_keys=[{"id": "k2", "file": own.path("mac2.key")}, {"id": "k1", "file": own.path("mac.key")}])
    time.sleep(0.5)
    assert own.call("/internal/listUsers")[0] == 200
    os.remove(own.path("mac2.key"))


# ---- starting

def test_without_control_server_and_state_a_sidecar_is_not_ready_and_serves_as_soon_as_it_may(own):
    own.start_proxy("app")
    status, text = wait_for(lambda: own.processes["app"].alive() and (lambda a: a[0] > 0 and a)(own.admin_text("/ready")), "the admin")
    assert status == 503 and "INITIALIZING" in text and "no answer yet" in text, text
    own.start_control()
    own.start_gateway()
    wait_for(lambda: own.call("/internal/listUsers")[0] == 200, "serving")
    assert own.admin_text("/ready") == (200, "LIVE\n")


def test_the_state_of_another_node_is_not_served(own):
    own.start()
    own.wait_synced()
    time.sleep(1.5)
    own.stop_process("app")
    own.stop_process("control")
    shutil.copytree(own.path("state-app"), own.path("state-ops"))
    own.start_proxy("ops")
    wait_for(lambda: own.admin_text("/ready", "ops")[0] == 503, "not ready")
    time.sleep(0.3)
    assert own.call("/internal/listUsers", name="ops")[0] == -7
    assert oct(os.stat(own.path("state-app")).st_mode & 0o777) == "0o700"


def test_the_control_server_comes_back_at_another_address(own):
    own.start()
    own.stop_process("control", sig=signal.SIGKILL)
    own.start_control(ads={**own.control_settings()["ads"], "port": own.second_port})
    old = own.artifacts.rotate("every")
    wait_for(lambda: own.call("/internal/listUsers", "-H", f"{HEADER}: {old}", key=None)[0] == 401, "live again", 30)
    assert own.call("/internal/listUsers")[0] == 200


# ---- folders

def test_a_folder_that_never_rests_is_published_all_the_same(own):
    own.start()
    stopping = threading.Event()

    def restless():
        n = 0
        while not stopping.wait(0.02):
            n += 1
            own.artifacts.put("tags/restless/tagInformation.json", {"properties": {"displayName": f"n{n}"}})
    t = threading.Thread(target=restless)
    t.start()
    try:
        own.artifacts.api("alone", f"http://{INTERNAL}:{own.other.port}")
        wait_for(lambda: own.call("/alone/items")[1].get("x-backend") == "other", "live under unrest")
    finally:
        stopping.set()
        t.join()


def test_a_folder_exchanged_by_its_link_is_read_anew(own):
    """As git-sync and mounted volumes do it: the folder is a symbolic link that is renamed over."""
    first, second = own.artifacts.folder + "-1", own.artifacts.folder + "-2"
    os.rename(own.artifacts.folder, first)
    os.symlink(first, own.artifacts.folder)
    own.start()
    shutil.copytree(first, second)
    path = os.path.join(second, "apis/alone/apiInformation.json")
    doc = json.load(open(path))
    doc["properties"]["serviceUrl"] = f"http://{INTERNAL}:{own.other.port}"
    replace(path, doc)
    os.symlink(second, own.artifacts.folder + ".new")
    os.rename(own.artifacts.folder + ".new", own.artifacts.folder)
    wait_for(lambda: own.call("/alone/items")[1].get("x-backend") == "other", "the new folder")
    own.artifacts.api("alone", f"http://{INTERNAL}:{own.internal.port}")
    wait_for(lambda: "x-seen" in own.call("/alone/items")[1], "and it is watched")
    assert len(own.ctl("faults").stdout.splitlines()) == 2  # what is closed from the start


def test_a_folder_that_goes_away_deletes_nothing(own):
    own.start()
    away = own.artifacts.folder + "-away"
    os.rename(own.artifacts.folder, away)
    time.sleep(1.2)
    assert own.call("/internal/listUsers")[0] == 200 and own.call("/conference/speakers")[0] == 200
    assert own.ctl("faults").stdout != "no faults\n"
    os.rename(away, own.artifacts.folder)
    own.artifacts.api("alone", f"http://{INTERNAL}:{own.other.port}")
    wait_for(lambda: own.call("/alone/items")[1].get("x-backend") == "other", "live again")
