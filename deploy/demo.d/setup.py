"""Builds the demo's world: hosts and names, certificates and keys of this run, the artifact folder's copy, every program."""
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time

from world import Failed, World, sh

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BIN = os.environ.get("EGRET_BIN", os.path.join(ROOT, "build", "release", "bin"))

DEFAULT_NAME, CUSTOM_NAME = "nnapi-external.azure-api.net", "api-external.penguintrails.com"
SUBSCRIPTIONS = ("nehali-all-product-subscription", "starter-acme", "load-acme", "conference-only", "starter-suspended")
APP, ONPREM, EGRESS = "nn-app", "nnapi-external-self-hosted-gw", "egress-1"
CHAIN = ["nnapi-external.azure-api.net", "apimgmttmclcv1shygitnmegqrwzwkcqw2cjbklugm8iuvje1l.trafficmanager.net",
         "nnapi-external-eastus-01.regional.azure-api.net",
         "apimgmthsbkt9pesb7u9kyu94q3o8fn5nnanvvv8rykjsxmmxr.cloudapp.net"]


class Place:
    """Addresses, ports and URLs: with namespaces as on real hosts; without, loopback addresses and high ports."""

    def __init__(self, namespaces):
        n = namespaces
        self.app = ["10.77.1.2"] if n else ["127.0.0.11"]
        self.control = ["10.77.2.2", "10.77.2.3"] if n else ["127.0.0.12", "127.0.0.13"]
        self.gateway = ["10.77.3.2", "10.77.3.77"] if n else ["127.0.0.2", "127.0.0.77"]
        self.backend = ["10.77.4.2"] if n else ["127.0.0.14"]
        self.third = ["10.77.5.2"] if n else ["127.0.0.15"]
        self.onprem = ["10.77.6.232"] if n else ["127.0.0.16"]
        self.listed = self.gateway[1]
        self.private = self.app[0] if n else "127.0.0.1"  # what the internal backend sees of the sidecar
        self.app_listen = "0.0.0.0" if n else self.app[0]
        self.app_http, self.app_https = (80, 443) if n else (8080, 8443)
        self.admin = {"app": "127.0.0.1:9901" if n else "127.0.0.11:9901",
                      "onprem": "127.0.0.1:9901" if n else "127.0.0.16:9901",
                      "gateway": "127.0.0.1:9901" if n else "127.0.0.2:9901"}
        self.third_port = 443 if n else 7443
        self.dead_third_port = 8443 if n else 7999
        users, function = ("users.nn.internal", "function.nn.internal") if n else (self.backend[0],) * 2
        third = "thirdparty.example"
        port = "" if n else f":{self.third_port}"
        host = (lambda name: f"{name}.{third}") if n else (lambda name: self.third[0])
        self.conference_host = host("conference")
        self.urls = {
            "internal": f"http://{users}:3001", "internal-new": f"http://{users}:3002",
            "dead-internal": f"http://{users}:3999",
            "function-app": f"https://{function}:7071",
            "conference": f"https://{host('conference')}{port}", "echo-api": f"https://{host('echo')}{port}/api",
            "weather": f"https://{host('weather')}{port}/weather", "calendar": f"https://{host('weather')}{port}/calendar",
            "dead-external": f"https://{host('conference')}:{self.dead_third_port}",
            "self-hosted-api": f"http://{self.onprem[0]}:3001",
        }
        self.egress_hosts = '"*.thirdparty.example"' if n else self.third[0]
        self.egress_ports = f"{self.third_port}, {self.dead_third_port}"

    def base(self, scheme, name):
        """scheme://name[:port] of the application's sidecar."""
        port = self.app_https if scheme == "https" else self.app_http
        return f"{scheme}://{name}" + ("" if port in (80, 443) else f":{port}")


class Demo:
    """What every act works with."""

    def __init__(self, folder, namespaces, say):
        self.folder, self.place, self.say = folder, Place(namespaces), say
        self.world = World(folder, namespaces)
        self.namespaces = namespaces
        self.keys = {}      # (subscription, "primary" | "secondary") -> key
        self.secrets = {}   # title -> bytes that must be found nowhere
        self.captures = {}
        for name in ("keys", "logs", "state", "dumps", "captures", "records"):
            os.makedirs(self.path(name), mode=0o700, exist_ok=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def host(self, name):
        return self.world.hosts[name]

    # ---- hosts, routes, names

    def make_hosts(self):
        p, w = self.place, self.world
        router = w.add_host("router", "router", "10.77.0.1" if self.namespaces else "127.0.0.1")
        w.add_host("app", "application and its sidecar", *p.app, resolver="127.0.0.1")
        w.add_host("control", "control server", *p.control)
        w.add_host("gateway", "egress gateway", *p.gateway, resolver="127.0.0.1")
        w.add_host("backend", "internal backends", *p.backend)
        w.add_host("third", "third party", *p.third)
        w.add_host("onprem", "on-premises host with its sidecar", *p.onprem)
        if self.namespaces:
            w.route(router)
            for name, host in w.hosts.items():
                if name != "router":
                    w.join(router, host)

    def dns(self, host, name, *records):
        host.spawn(name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts",
                   "--user=root", "--log-facility=-", "--listen-address=127.0.0.1", "--bind-interfaces", "--local=/#/", *records)

    def start_names(self):
        if not self.namespaces:
            return
        chain = [CUSTOM_NAME, *CHAIN]
        last = f"--host-record={CHAIN[-1]},{self.place.app[0]}"
        aliases = [f"--cname={a},{b}" for a, b in zip(chain, chain[1:])]
        internal = [f"--host-record={n}.nn.internal,{self.place.backend[0]}" for n in ("users", "function")]
        self.dns(self.host("app"), "dns-app", last, *aliases, *internal)
        third = [f"--host-record={n}.thirdparty.example,{self.place.third[0]}" for n in ("conference", "echo", "weather")]
        self.dns(self.host("gateway"), "dns-gateway", *third)

    def guard_third_party(self):
        if self.namespaces:
            rules = self.path("third-party.nft")
            self.fill("third-party.nft", rules)
            out = self.host("third").run("nft", "-f", rules)
            if out.returncode != 0:
                raise Failed(f"nft: {out.stderr.strip()}")

    # ---- keys, certificates, files

    def make_pki(self):
        p = self.place
        ip = lambda address: f",IP:{address}"  # noqa: E731
        lines = [
            f"control DNS:control.nn.internal,URI:spiffe://egret/control",
            f"sidecar DNS:{DEFAULT_NAME},DNS:{CUSTOM_NAME},IP:127.0.0.1" + ("" if self.namespaces else ip(p.app[0])),
            f"app URI:spiffe://egret/gateway/{APP}/app-1",
            f"onprem URI:spiffe://egret/gateway/{ONPREM}/onprem-1",
            f"gateway DNS:egress-1.nn.internal,URI:spiffe://egret/gateway/egress/{EGRESS}",
            f"third DNS:conference.thirdparty.example,DNS:echo.thirdparty.example,DNS:weather.thirdparty.example" + ip(p.third[0]),
            f"function DNS:function.nn.internal" + ip(p.backend[0]),
        ]
        out = subprocess.run([os.path.join(HERE, "pki.sh"), self.path("pki")], input="\n".join(lines) + "\n", text=True,
                             capture_output=True)
        if out.returncode != 0:
            raise Failed(f"certificates: {out.stderr.strip()}")

    def new_key(self, subscription, which):
        key = secrets.token_hex(16)
        self.keys[subscription, which] = key
        self.secrets[f"key of {subscription} ({which})"] = key.encode()
        self.write_secret(f"{subscription}.{which}", key)

    def write_secret(self, name, text):
        with open(os.open(self.path("keys", name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)

    def make_keys(self):
        for s in SUBSCRIPTIONS:
            self.new_key(s, "primary")
            self.new_key(s, "secondary")
        self.write_secret("wrong", secrets.token_hex(16))
        function_key = secrets.token_urlsafe(24)
        self.write_secret("function", function_key)
        self.secrets["host key of the Function App"] = function_key.encode()
        mac, state = secrets.token_bytes(32), secrets.token_bytes(32)
        for name, value in (("mac.key", mac), ("state.key", state)):
            with open(os.open(self.path("keys", name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                f.write(value)
        self.secrets["MAC key"], self.secrets["state folder's key"] = mac, state

    def fill(self, template, target, **more):
        p = self.place
        words = {"folder": self.folder, "pki": self.path("pki"), "control_port": 18000, "control_first": p.control[0],
                 "control_second": p.control[1], "control_address": p.control[0], "app_listen": p.app_listen,
                 "app_http": p.app_http, "app_https": p.app_https, "onprem_listen": "127.0.0.1",
                 "gateway_address": p.gateway[0], "listed_address": p.listed, "egress_hosts": p.egress_hosts,
                 "egress_ports": p.egress_ports, **more}
        with open(os.path.join(HERE, "templates", template)) as f:
            text = f.read()
        text = re.sub(r"@(\w+)@", lambda m: str(words[m.group(1)]), text)
        self.replace(target, text)

    @staticmethod
    def replace(path, text):
        """As editors and git do it: a new file, then a rename. Owner only: some of these hold keys."""
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def write_overrides(self):
        """configuration.demo.yaml as APIOps has it (JSON is YAML): this environment's keys, secret values and, without names, URLs."""
        doc = {"apimServiceName": "nnapi-external",
               "subscriptions": [{"name": s, "properties": {"primaryKey": self.keys[s, "primary"],
                                                            "secondaryKey": self.keys[s, "secondary"]}}
                                 for s in SUBSCRIPTIONS],
               "namedValues": [{"name": "function-key",
                                "properties": {"value": self.secrets["host key of the Function App"].decode()}}]}
        if not self.namespaces:
            doc["apis"] = [{"name": n, "properties": {"serviceUrl": u}} for n, u in self.place.urls.items()
                           if n != "internal-new"]
            doc["backends"] = [{"name": "function-app", "properties": {"url": self.place.urls["function-app"] + "/api"}}]
        self.replace(self.path("configuration.demo.yaml"), json.dumps(doc, indent=1) + "\n")

    def api_file(self, name):
        """Where the URL of an API's backend stands: its own file, or without names the overrides."""
        return f"$D/apim/apis/{name}/apiInformation.json" if self.namespaces else "$D/configuration.demo.yaml"

    def change_url(self, name, new):
        """The command that gives an API another backend URL. sed -i writes a new file and renames it."""
        old, self.place.urls[name] = self.place.urls[name], new
        return f"sed -i 's#\"{old}\"#\"{new}\"#' {self.api_file(name)}"

    def rotate_key(self, subscription, which):
        """The command that replaces a key in the overrides; read_key() then tells this program."""
        key = f"$D/keys/{subscription}.{which}"
        return (f"openssl rand -hex 16 | tr -d '\\n' >{key}.new && "
                f'sed -i "s/$(cat {key})/$(cat {key}.new)/" $D/configuration.demo.yaml && mv {key}.new {key}')

    def read_key(self, subscription, which):
        with open(self.path("keys", f"{subscription}.{which}")) as f:
            key = f.read()
        self.keys[subscription, which] = key
        self.secrets[f"key of {subscription} ({which}), the new one"] = key.encode()

    # ---- programs

    def backends(self):
        """name -> (host, where it listens, further flags of backend.py)"""
        p, pki = self.place, self.path("pki")
        internal, third = p.backend[0], p.third[0]
        return {
            "users": ("backend", f"{internal}:3001"),
            "users-new": ("backend", f"{internal}:3002"),
            "function": ("backend", f"{internal}:7071", "--tls", f"{pki}/function", "--function-key", self.path("keys", "function")),
            "third-party": ("third", f"{third}:{p.third_port}", "--tls", f"{pki}/third",
                            *([] if self.namespaces else ["--only-from", p.listed])),
            "products": ("onprem", f"{p.onprem[0]}:3001"),
        }

    def start_backend(self, name):
        host, listen, *more = self.backends()[name]
        p = self.host(host).spawn(f"backend-{name}", sys.executable, os.path.join(HERE, "backend.py"), "--name", name, "--listen",
                                  listen, "--record", self.path("records", f"{name}.jsonl"), *more)
        self.wait(f"backend {name}", lambda: f"pid {p.pid}" in open(p.log).read(), p)

    def stop_backend(self, name):
        for p in [p for p in self.world.processes if p.name == f"backend-{name}"]:
            self.world.forget(p)

    def start_backends(self):
        for name in self.backends():
            self.start_backend(name)

    def start_control(self, address):
        config = self.path("control.yaml")
        self.fill("control.yaml", config, control_address=address)
        self.control = self.host("control").spawn(
            "egret-control", f"{BIN}/egret-control", "--config", config, "--folder", self.path("apim"), "--overrides",
            self.path("configuration.demo.yaml"))
        self.wait("control server", lambda: self.control_status() is not None, self.control)

    def control_status(self, path="/status"):
        out = subprocess.run(["curl", "-sS", "--unix-socket", self.path("state", "control", "control.sock"),
                              f"http://control{path}"], capture_output=True, text=True)
        try:
            return json.loads(out.stdout) if out.returncode == 0 else None
        except ValueError:
            return None

    def egretctl(self, *args):
        return subprocess.run([f"{BIN}/egretctl", "--socket", self.path("state", "control", "control.sock"), *args],
                              capture_output=True, text=True)

    def start_proxy(self, host, certificate, node_id, node_cluster, epoch=0):
        config = self.path(f"{host}.yaml")
        address, port = self.place.admin[host].split(":")
        self.fill("proxy.yaml", config, node_id=node_id, node_cluster=node_cluster, certificate=certificate,
                  admin_address=address, admin_port=port)
        base_id = {"app": 7701, "onprem": 7702, "gateway": 7703}[host]
        log = f"egret-{host}" + (f"-epoch{epoch}" if epoch else "")
        return self.host(host).spawn(
            log, f"{BIN}/egret", "-c", config, "--concurrency", "2", "--base-id", base_id, "--restart-epoch", epoch,
            "--state-dir", self.path("state", host), "--state-key-file", self.path("keys", "state.key"), "--drain-time-s", "5")

    def start_proxies(self):
        self.gateway = self.start_proxy("gateway", "gateway", "egress-1-a", f"egress/{EGRESS}")
        self.app = self.start_proxy("app", "app", "app-1", APP)
        self.onprem = self.start_proxy("onprem", "onprem", "onprem-1", ONPREM)
        for host, process in (("gateway", self.gateway), ("app", self.app), ("onprem", self.onprem)):
            self.wait(f"egret on {host}", lambda: self.is_live(host), process)
        self.wait("every proxy SYNCED", self.all_synced)

    def admin(self, host, path):
        out = self.host(host).run("curl", "-sS", "--max-time", "10", f"http://{self.place.admin[host]}{path}")
        return out.stdout if out.returncode == 0 else None

    def is_live(self, host):
        text = self.admin(host, "/ready")
        return text is not None and text.startswith("LIVE")

    def all_synced(self):
        rows = [r for r in self.control_status("/proxies") or [] if r["connected"]]
        states = {(r["cluster"], t["type"]): t["state"] for r in rows for t in r["types"]}
        needed = [(c, t) for c in (APP, ONPREM, f"egress/{EGRESS}") for t in ("CDS", "LDS", "RDS")]
        # A type that a proxy does not ask for (EDS, here) stays NOT SENT.
        return all(states.get(n) == "SYNCED" for n in needed) and set(states.values()) <= {"SYNCED", "NOT SENT"}

    def wait(self, what, condition, process=None, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process is not None and not process.alive():
                raise Failed(f"{what}: ended with {process.popen.returncode}:\n{process.tail()}")
            if condition():
                return
            time.sleep(0.05)
        raise Failed(f"{what}: not within {seconds} s" + (f"; its log ends:\n{process.tail()}" if process else ""))

    def start(self):
        shutil.copytree(os.path.join(HERE, "apim"), self.path("apim"))
        for title, step in (("hosts and routes", self.make_hosts), ("certificates", self.make_pki), ("keys", self.make_keys),
                            ("names", self.start_names), ("the third party's allow-list", self.guard_third_party),
                            ("backends", self.start_backends), ("configuration", self.write_overrides),
                            ("control server", lambda: self.start_control(self.place.control[0])),
                            ("egress gateway and sidecars", self.start_proxies)):
            self.say(f"  {title} …")
            step()

    def capture(self, name, host, *filter_words, snap=None):
        """Starts tcpdump on a host; nothing without namespaces."""
        if not self.namespaces:
            return
        path = self.path("captures", f"{name}.pcap")
        p = self.host(host).spawn(f"tcpdump-{name}", "tcpdump", "-i", "eth0", "-U", "--immediate-mode", "-Z", "root", "-w", path,
                                  *(["-s", snap] if snap else []), *filter_words)
        self.captures[name] = p
        self.wait(f"tcpdump on {host}", lambda: "listening on" in open(p.log).read(), p)

    def end_capture(self, name):
        p = self.captures.pop(name)
        time.sleep(0.3)
        p.stop(signal.SIGINT)
        self.world.processes.remove(p)
        return self.path("captures", f"{name}.pcap")

    def close(self):
        self.world.close()


def check_tools():
    missing = [t for t in ("openssl", "curl") if shutil.which(t) is None]
    if missing:
        raise Failed(f"not installed: {', '.join(missing)}")
    for name in ("egret", "egret-control", "egretctl", "egret-load"):
        if not os.access(os.path.join(BIN, name), os.X_OK):
            raise Failed(f"{BIN}/{name} is not built")
    sh("openssl", "version")
