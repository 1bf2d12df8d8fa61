"""The acts of single calls: the allow-list, names, every API of the documents, keys, dead backends."""
import json
import os

from backend import digest
from setup import CHAIN, CUSTOM_NAME, DEFAULT_NAME
from transcript import Answer, GatewayLog, parse_record, run_shell

NO_KEY = ('{ "statusCode": 401, "message": "Access denied due to missing subscription key. Make sure to include subscription key '
          'when making requests to an API." }')
BAD_KEY = ('{ "statusCode": 401, "message": "Access denied due to invalid subscription key. Make sure to provide a valid key for '
           'an active subscription." }')
NOT_FOUND = '{ "statusCode": 404, "message": "Resource not found" }'


class Calls:
    def __init__(self, demo, out):
        self.demo, self.out = demo, out
        self.logs = {"app": GatewayLog(demo.path("logs", "app-gatewaylogs.log")),
                     "onprem": GatewayLog(demo.path("logs", "onprem-gatewaylogs.log"))}
        self.addresses_seen = set()
        self.step_of = {}  # name of a line of the founding documents -> numbers of steps
        self.env = {"D": demo.folder}

    def shell(self, host, text, seconds=30):
        return run_shell(self.demo.host(host), text, self.env, seconds)

    def key(self, name):
        return f'--header "Ocp-Apim-Subscription-Key: $(cat $D/keys/{name})"'

    def url(self, scheme, name, path):
        """The URL, and what curl needs to find the sidecar where no DNS says so."""
        p = self.demo.place
        port = p.app_https if scheme == "https" else p.app_http
        base = p.base(scheme, name)
        extra = "" if self.demo.namespaces else f" --resolve {name}:{port}:{p.app[0]}"
        return f"'{base}{path}'{extra}"

    def call(self, title, text, founding=(), host="app", probe=""):
        """Prints a step: command, status, body, address seen, log line. Returns the answer and the record's fields.
        title None: it belongs to the step before. probe: stands in the URL, and so finds the record among others."""
        number = self.out.step(title) if title else self.out.number
        for name in founding:
            self.step_of.setdefault(name, []).append(number)
        log = self.logs[host]
        log.mark()
        command = f"curl -sS -i --max-time 20 {text}"
        self.out.show("run", self.demo.host(host).shown(command))
        answer = Answer(self.shell(host, command))
        record = log.next(probe) if answer.status else None
        self.out.show("status", answer.line if answer.status else f"none: {answer.error}")
        if answer.body:
            self.out.show("body", answer.body if len(answer.body) < 700 else answer.body[:700] + " …")
        if answer.json.get("peer"):
            self.out.show("seen", f"{answer.json['peer']} (what the backend saw as the caller's address)")
        if answer.status:
            self.out.show("log", record or "no GatewayLogs record")
        return answer, parse_record(record)

    def check(self, ok, text):
        return self.out.verdict(ok, text)

    def good(self, answer, fields, peer, api, operation, **more):
        out = self.out
        out.verdict(answer.status == 200, f"answered 200 (is {answer.status or answer.error})")
        seen = answer.json.get("peer")
        if peer == self.demo.place.listed and seen:
            self.addresses_seen.add(seen)
        out.verdict(seen == peer, f"the backend saw {peer} (is {seen})")
        want = {"isRequestSuccess": "True", "responseCode": "200", "backendResponseCode": "200", "apiId": api,
                "operationId": operation, **more}
        wrong = {k: (v, fields.get(k)) for k, v in want.items() if fields.get(k) != v}
        out.verdict(not wrong, f"GatewayLogs names {api}/{operation}" + (f" (wanted, is: {wrong})" if wrong else ""))

    def refused(self, answer, fields, status, reason_phrase, body, **last_error):
        out = self.out
        out.verdict(answer.status == status and answer.body == body,
                    f"status {status} and APIM's exact body (is {answer.status}, {len(answer.body)} bytes)")
        out.verdict(answer.line.split(" ", 2)[-1] == reason_phrase, f"reason phrase \"{reason_phrase}\" (is \"{answer.line}\")")
        seen = fields.get("lastError", {})
        wrong = {k: (v, seen.get(k)) for k, v in last_error.items() if seen.get(k) != v}
        out.verdict(not wrong, f"lastError says {last_error.get('reason')}" + (f" (wanted, is: {wrong})" if wrong else ""))


# ---- the allow-list

def turned_away(calls):
    """How many SYNs the third party dropped."""
    demo = calls.demo
    if demo.namespaces:
        out = demo.host("third").run("nft", "-j", "list", "counter", "inet", "thirdparty", "turned_away").stdout
        return next(x["counter"]["packets"] for x in json.loads(out)["nftables"] if "counter" in x)
    with open(demo.path("records", "third-party.jsonl")) as f:
        return sum('"refused"' in line for line in f)

# Something to send: a file that is there wherever the demo is.
BODY = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "LICENSE")


def allow_list(calls):
    demo, out, p = calls.demo, calls.out, calls.demo.place
    out.act("1  The third party lets one address in, and it is not ours")
    where = f"{p.conference_host}:{p.third_port}"
    resolve = f"--resolve {where}:{p.third[0]} " if demo.namespaces else ""
    direct = f"curl -sS -i --max-time 2 --cacert $D/pki/ca.pem {resolve}https://{where}/sessions"

    def attempt(title, host, text, source):
        number = out.step(title)
        calls.step_of.setdefault("whitelist", []).append(number)
        before = turned_away(calls)
        out.show("run", demo.host(host).shown(text))
        answer = Answer(calls.shell(host, text))
        after = turned_away(calls)
        out.show("status", answer.line or f"none: {answer.error}")
        if answer.body:
            out.show("body", answer.body)
            out.show("seen", answer.json.get("peer"))
        out.show("counter", f"turned away: {before} → {after}")
        return answer, before, after

    if demo.namespaces:
        calls.step_of["routes"] = [out.step("Every host has a real route to the third party")]
        rows = [(h, demo.host(h).run("ip", "route", "get", p.third[0]).stdout.split("\n")[0].strip())
                for h in ("app", "control", "gateway", "backend", "onprem")]
        for host, row in rows:
            out.show(host, row)
        calls.check(all(" via 10.77." in row for _, row in rows), "five hosts, five routes by way of the router")
    answer, before, after = attempt("The call, sent directly by the application's host", "app", direct, None)
    calls.check(answer.status == 0 and after > before, "no answer; the third party counted and dropped it")
    if demo.namespaces:
        answer, before, after = attempt("The call from the gateway's host, from its primary address", "gateway",
                                        direct + f" --interface {p.gateway[0]}", None)
        calls.check(answer.status == 0 and after > before, "dropped as well: the primary address is not listed")
        answer, before, after = attempt("The call from the gateway's host, from its listed, secondary address", "gateway",
                                        direct + f" --interface {p.listed}", None)
        calls.check(answer.status == 200 and answer.json.get("peer") == p.listed, f"let in, seen as {p.listed}")
    calls.turned_away = turned_away(calls)
    calls.check(calls.turned_away > 0, f"the counter stands at {calls.turned_away}: it must not move from here on")


# ---- names

def names(calls):
    demo, out, p = calls.demo, calls.out, calls.demo.place
    out.act("2  Names")
    if not demo.namespaces:
        out.step("Names")
        out.say("   Without namespaces there is no resolver of our own: backends are given by address, host names by curl --resolve.")
        return

    def dig(title, host, name, founding):
        number = out.step(title)
        calls.step_of.setdefault(founding, []).append(number)
        out.show("run", demo.host(host).shown(f"dig +short {name}"))
        result = calls.shell(host, f"dig +short {name}").stdout.split()
        out.show("answer", "\n".join(result) or "(nothing)")
        return result

    result = dig("The custom host name is a chain of names that ends at the sidecar", "app", CUSTOM_NAME, "dig")
    calls.check(result == [n + "." for n in CHAIN] + [p.app[0]], f"four names, then {p.app[0]}")
    result = dig("The default host name", "app", DEFAULT_NAME, "default-hostnames")
    calls.check(result == [n + "." for n in CHAIN[1:]] + [p.app[0]], f"three names, then {p.app[0]}")
    result = dig("A third party's name, asked on the application's host", "app", p.conference_host, "gateway-names")
    calls.check(result == [], "unknown there")
    result = dig("The same name, asked on the gateway's host", "gateway", p.conference_host, "gateway-names")
    calls.check(result == p.third, f"known there: {p.third[0]}")


# ---- the calls of the documents

def documents(calls):
    out, p, key = calls.out, calls.demo.place, calls.key
    out.act("3  The calls of the documents")
    log = {"apimSubscriptionId": "starter-acme", "productId": "starter"}
    for scheme, name, founding in (("http", DEFAULT_NAME, "internal-default"), ("http", CUSTOM_NAME, "internal-custom")):
        answer, fields = calls.call(
            f"Internal API, {'default' if name == DEFAULT_NAME else 'custom'} host name, {scheme}",
            f"--location --request GET {calls.url(scheme, name, '/internal/listUsers')} {key('starter-acme.primary')}", [founding])
        calls.good(answer, fields, p.private, "internal", "list-users", **log)
    for scheme, name, founding in (("https", DEFAULT_NAME, "conference-default"), ("https", CUSTOM_NAME, "conference-custom")):
        answer, fields = calls.call(
            f"Conference API over TLS through the gateway, {'default' if name == DEFAULT_NAME else 'custom'} host name",
            f"--location --request GET {calls.url(scheme, name, '/conference/sessions')} --cacert $D/pki/ca.pem "
            f"{key('starter-acme.primary')}", [founding, "external-routable"])
        calls.good(answer, fields, p.listed, "conference", "GetSessions", **log)
        calls.check(answer.line.startswith("HTTP/2"), f"HTTP/2 was agreed on (is {answer.line})")
    answer, fields = calls.call(
        "Internal API over https, key in the query, HTTP/1.1 asked for",
        f"--http1.1 --cacert $D/pki/ca.pem --get --data-urlencode \"subscription-key=$(cat $D/keys/starter-acme.secondary)\" "
        f"{calls.url('https', DEFAULT_NAME, '/internal/users/2')}")
    calls.good(answer, fields, p.private, "internal", "get-user", **log)
    calls.check("***" in fields.get("url", ""), f"the key in the URL is masked in the log (is {fields.get('url')})")
    on_prem(calls)
    own_apis_only(calls)
    function_app(calls)
    by_address(calls)


def on_prem(calls):
    p, key = calls.demo.place, calls.key
    answer, fields = calls.call(
        "Products API on premises, by the sidecar there, as https://127.0.0.1:7002",
        f"--insecure --location --request GET 'https://127.0.0.1:7002/self/api/products' "
        f"{key('nehali-all-product-subscription.primary')}", ["self-products", "self-log"], host="onprem")
    onprem = p.onprem[0] if calls.demo.namespaces else "127.0.0.1"
    calls.good(answer, fields, onprem, "self-hosted-api", "wsl-linux-get-products", region="nn-onprem-east",
               apimSubscriptionId="nehali-all-product-subscription", callerIpAddress="127.0.0.1", method="GET", cache="none",
               url="https://127.0.0.1:7002/self/api/products", backendUrl=f"http://{p.onprem[0]}:3001/api/products")
    answer, fields = calls.call(
        "Echo API, an external one, by the same sidecar through the gateway",
        f"--insecure --location --request GET 'https://127.0.0.1:7002/echo/resource?param1=sample' "
        f"{key('nehali-all-product-subscription.primary')}", ["self-echo"], host="onprem")
    calls.good(answer, fields, p.listed, "echo-api", "retrieve-resource", url="https://127.0.0.1:7002/echo/resource?param1=sample")
    calls.check(answer.json.get("query") == "param1=sample", "the query arrived")
    answer, fields = calls.call(
        "Echo API with a body, by the application's sidecar",
        f"--request POST --data-binary @{BODY} {calls.url('http', DEFAULT_NAME, '/echo/resource')} "
        f"{key('starter-acme.primary')}", ["self-echo"])
    calls.good(answer, fields, p.listed, "echo-api", "create-resource")
    calls.check(answer.json.get("received") == os.path.getsize(BODY), "every byte of the body arrived")


def own_apis_only(calls):
    answer, fields = calls.call(
        "An API that this gateway was not given (it serves products and echo only)",
        f"--insecure 'https://127.0.0.1:7002/internal/listUsers' {calls.key('nehali-all-product-subscription.primary')}",
        ["gateway-apis"], host="onprem")
    calls.check(answer.status == 404 and answer.body == NOT_FOUND, f"404, as if it did not exist (is {answer.status})")


def function_app(calls):
    demo, p = calls.demo, calls.demo.place
    answer, fields = calls.call(
        "Function App: its host key is a secret named value that the sidecar adds",
        f"{calls.url('http', DEFAULT_NAME, '/function/greet?name=Ada')} {calls.key('starter-acme.primary')}", ["function-app"])
    calls.good(answer, fields, p.private, "function-app", "greet")
    seen = answer.json.get("headers", {}).get("x-functions-key")
    calls.check(seen == digest(demo.secrets["host key of the Function App"].decode()), "the Function App got its key")
    calls.out.step("The Function App without its key")
    command = f"curl -sS -i --max-time 5 --cacert $D/pki/ca.pem {p.urls['function-app']}/api/greet"
    calls.out.show("run", demo.host("app").shown(command))
    answer = Answer(calls.shell("app", command))
    calls.out.show("status", answer.line)
    calls.out.show("body", answer.body)
    calls.check(answer.status == 401, "it refuses: the header above was needed")


def by_address(calls):
    p = calls.demo.place
    address = "127.0.0.1" if calls.demo.namespaces else p.app[0]
    base = p.base("https", address)
    answer, fields = calls.call("Conference API by address instead of name",
                                f"--insecure '{base}/conference/sessions' {calls.key('starter-acme.primary')}", ["by-address"])
    calls.good(answer, fields, p.listed, "conference", "GetSessions", url=f"{base}/conference/sessions")


# ---- keys

def keys(calls):
    out, p, key, url = calls.out, calls.demo.place, calls.key, calls.url
    out.act("4  Keys")
    sessions = url("http", DEFAULT_NAME, "/conference/sessions")
    missing = {"source": "authorization", "reason": "SubscriptionKeyNotFound", "section": "inbound"}
    invalid = {"source": "authorization", "reason": "SubscriptionKeyInvalid", "section": "inbound"}
    answer, fields = calls.call("No key", sessions, ["key-required"])
    calls.refused(answer, fields, 401, "Access Denied", NO_KEY, **missing)
    realm = answer.headers.get("www-authenticate", "")
    calls.check(realm.startswith('AzureApiManagementKey realm="http://nnapi-external.azure-api.net') and
                realm.endswith('/conference",name="Ocp-Apim-Subscription-Key",type="header"'), f"WWW-Authenticate: {realm}")
    for title, name in (("A wrong key", "wrong"), ("The key of a suspended subscription", "starter-suspended.primary")):
        answer, fields = calls.call(title, f"{sessions} {key(name)}", ["key-required"])
        calls.refused(answer, fields, 401, "Access Denied", BAD_KEY, **invalid)
    answer, fields = calls.call("The key of a subscription to one API, on another API",
                                f"{url('http', DEFAULT_NAME, '/internal/listUsers')} {key('conference-only.primary')}")
    calls.refused(answer, fields, 401, "Access Denied", BAD_KEY, **invalid)
    answer, fields = calls.call("The same key on its own API", f"{sessions} {key('conference-only.primary')}")
    calls.good(answer, fields, p.listed, "conference", "GetSessions", apimSubscriptionId="conference-only")
    answer, fields = calls.call("The secondary key", f"{sessions} {key('starter-acme.secondary')}")
    calls.good(answer, fields, p.listed, "conference", "GetSessions", apimSubscriptionId="starter-acme")
    answer, fields = calls.call("An API in an open product, without a key", url("http", DEFAULT_NAME, "/weather/now"),
                                ["open-apis", "local-call"])
    calls.good(answer, fields, p.listed, "weather", "weather-now", productId="open")
    answer, fields = calls.call("An API that needs no key, without one", url("http", DEFAULT_NAME, "/calendar/days"),
                                ["open-apis", "local-call"])
    calls.good(answer, fields, p.listed, "calendar", "list-days")
    answer, fields = calls.call("An operation that does not exist", f"{url('http', DEFAULT_NAME, '/conference/nothing')}")
    calls.refused(answer, fields, 404, "Resource Not Found", NOT_FOUND, source="configuration", reason="OperationNotFound")
    calls.check(fields.get("responseSize") == "130", f"responseSize 130, as APIM logs it (is {fields.get('responseSize')})")


# ---- dead backends

def unreachable(calls, title, text, target, host="app", founding="self-failed"):
    answer, fields = calls.call(title, text, [founding], host=host)
    body = answer.json
    calls.check(answer.status == 500 and body.get("message") == "Internal server error" and len(answer.body) == 111 and
                body.get("activityId") == fields.get("correlationId"),
                f"500 with APIM's body, 111 bytes, and the correlation id (is {answer.status}, {len(answer.body)} bytes)")
    e = fields.get("lastError", {})
    want = {"source": "request-forwarder", "path": "forward-request\\forward-request", "reason": "BackendConnectionFailure",
            "section": "backend", "transportErrorCode": 111, "message": f"LogError connecting to {target}"}
    wrong = {k: (v, e.get(k)) for k, v in want.items() if e.get(k) != v}
    calls.check(not wrong, "lastError: BackendConnectionFailure, 111" + (f" (wanted, is: {wrong})" if wrong else ""))
    want = {"isRequestSuccess": "False", "responseCode": "500", "responseSize": "191", "backendResponseCode": None}
    wrong = {k: (v, fields.get(k)) for k, v in want.items() if fields.get(k) != v}
    calls.check(not wrong, "responseSize 191, no backendResponseCode, as in the document's log" +
                (f" (wanted, is: {wrong})" if wrong else ""))


def dead(calls):
    demo, p = calls.demo, calls.demo.place
    calls.out.act("5  Backends that are not running")
    key = calls.key("starter-acme.primary")
    unreachable(calls, "A dead internal backend", f"{calls.url('http', DEFAULT_NAME, '/dead/call')} {key}",
                p.urls["dead-internal"].split("//")[1])
    unreachable(calls, "A dead backend behind the gateway", f"{calls.url('http', DEFAULT_NAME, '/dead-external/call')} {key}",
                p.urls["dead-external"].split("//")[1])
    demo.stop_backend("products")
    text = ("--insecure --location --request GET 'https://127.0.0.1:7002/self/api/products' "
            f"{calls.key('nehali-all-product-subscription.primary')}")
    unreachable(calls, "The products API on premises, its backend stopped", text, f"{p.onprem[0]}:3001", host="onprem")
    demo.start_backend("products")
    answer, fields = calls.call("The same, its backend running again", text, host="onprem")
    calls.good(answer, fields, p.onprem[0] if demo.namespaces else "127.0.0.1", "self-hosted-api", "wsl-linux-get-products")
