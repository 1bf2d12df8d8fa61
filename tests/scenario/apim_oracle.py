"""What APIM does with a request, stated for the tests: an artifact folder and its overrides are read and evaluated here
without any of Egret's code or output. It knows what the folders of the tests use, and fails loudly on anything else."""
import copy
import json
import os
import re
import urllib.parse
import xml.etree.ElementTree as Xml

KEY_HEADER, KEY_QUERY = "Ocp-Apim-Subscription-Key", "subscription-key"
MISSING = "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API."
INVALID = "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."
NOT_ALLOWED = "Caller IP address 127.0.0.1 is not allowed. Access denied."
SECTIONS = ("inbound", "backend", "outbound", "on-error")
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class Unreadable(Exception):
    pass


def error(status, message):
    return {"status": status, "body": f'{{ "statusCode": {status}, "message": "{message}" }}'.encode()}


def read_json(path):
    with open(path, encoding="utf-8-sig") as f:
        try:
            return json.load(f)
        except json.JSONDecodeError:
            raise Unreadable(path)


def merge(base, over):
    """Deep for maps, everything else replaces."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    out = dict(base)
    for k, v in over.items():
        out[k] = merge(base[k], v) if k in base else v
    return out


def openapi_operations(path):
    """[(operationId, method, template)]; of YAML only the lines that say these, by their indentation."""
    with open(path, encoding="utf-8-sig") as f:
        text = f.read()
    if path.endswith(".json"):
        paths = json.loads(text)["paths"]
        return [(op["operationId"], m.upper(), t) for t, item in paths.items() for m, op in item.items() if m in METHODS]
    if re.search(r"^ *- url: \[.*\]\]", text, re.M):
        raise Unreadable(path)
    found, inside, template, method = [], False, None, None
    for line in text.splitlines():
        if re.match(r"\S", line):
            inside = line.startswith("paths:")
        elif inside and (m := re.match(r"  ['\"]?(/[^'\"]*?)['\"]?:\s*$", line)):
            template = m.group(1)
        elif inside and (m := re.match(r"    (\w+):\s*$", line)):
            method = m.group(1)
        elif inside and method in METHODS and (m := re.match(r"      operationId: *['\"]?([^'\"]+?)['\"]?\s*$", line)):
            found.append((m.group(1), method.upper(), template))
    return found


class Api:
    def __init__(self, folder, props, operations, where):
        self.id, _, named = folder.partition(";rev=")
        self.folder, self.props, self.operations, self.where = folder, props, operations, where
        self.revision = named or props.get("apiRevision", "1")
        self.current = props.get("isCurrent", not named)
        self.path = props.get("path", "").strip("/")
        self.version = props.get("apiVersion") or ""


class Service:
    def __init__(self, root, overrides):
        self.root, self.overrides = root, overrides
        self.values = {}
        for _, props in self.objects("named values", "namedValues", "namedValueInformation.json"):
            self.values[props["displayName"]] = props.get("value")
        self.sets = {i.lower(): p for i, p in self.objects("version sets", "versionSets", "versionSetInformation.json",
                                                           "apiVersionSetInformation.json")}
        self.backends = {i.lower(): p for i, p in self.objects("backends", "backends", "backendInformation.json")}
        self.products = dict(self.objects("products", "products", "productInformation.json"))
        self.members = {p: self.linked(p) for p in self.products}
        self.subscriptions = dict(self.objects("subscriptions", "subscriptions", "subscriptionInformation.json"))
        for s in overrides.get("subscriptions", []):
            self.subscriptions.setdefault(s["name"], s["properties"])
        self.apis = [self.read_api(n) for n in self.names("apis")]
        self.calls = {}

    # ---- reading

    def names(self, section):
        path = os.path.join(self.root, section)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def objects(self, folder, section, *files):
        for name in self.names(folder):
            path = next((p for p in (os.path.join(self.root, folder, name, f) for f in files) if os.path.exists(p)), None)
            if path is None:
                continue
            props = read_json(path)["properties"]
            for o in self.overrides.get(section, []):
                if o["name"].lower() == name.lower():
                    props = merge(props, o["properties"])
            yield name, props

    def linked(self, product):
        path, out = os.path.join(self.root, "products", product), set()
        if os.path.exists(os.path.join(path, "apis.json")):
            out |= {x["name"] for x in read_json(os.path.join(path, "apis.json"))}
        if os.path.isdir(os.path.join(path, "apis")):
            out |= set(os.listdir(os.path.join(path, "apis")))
        return out

    def read_api(self, folder):
        where = os.path.join("apis", folder)
        try:
            props = read_json(os.path.join(self.root, where, "apiInformation.json"))["properties"]
            for o in self.overrides.get("apis", []):
                if o["name"].lower() == folder.lower():
                    props = merge(props, o["properties"])
            return Api(folder, props, self.read_operations(where, props), where)
        except Unreadable:
            return None

    def read_operations(self, where, props):
        if props.get("type") == "graphql":
            return [("graphql-post", "POST", "/"), ("graphql-get", "GET", "/")]
        if props.get("type") == "soap":
            return [("soap", "POST", "/")]
        if props.get("type") == "websocket":
            return [("onHandshake", "GET", "/*")]
        for name in ("specification.yaml", "specification.json"):
            path = os.path.join(self.root, where, name)
            if os.path.exists(path):
                return openapi_operations(path)
        path = os.path.join(self.root, where, "specification.wadl")
        if os.path.exists(path):
            w = "{http://wadl.dev.java.net/2009/02}"
            return [(m.get("id"), m.get("name"), r.get("path")) for r in Xml.parse(path).iter(w + "resource") for m in r.iter(w + "method")]
        return [("soap", "POST", "/")] if props.get("type") == "soap" else None

    def document(self, where):
        path = os.path.join(self.root, where, "policy.xml")
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8-sig") as f:
            return self.parse(f.read())

    def parse(self, text):
        def value(m):
            if self.values.get(m.group(1).strip()) is None:
                raise Unreadable(m.group(0))
            return self.values[m.group(1).strip()].replace("&", "&amp;").replace('"', "&quot;")
        return Xml.fromstring(re.sub(r"{{([^{}]+)}}", value, text))

    # ---- matching (refs: URL matching)

    def match(self, scheme, method, target):
        path, _, query = target.partition("?")
        best = None
        for api in self.apis:
            fitting = api is not None and self.rest_of(api, path)
            if not fitting or scheme not in api.props.get("protocols", ["https"]):
                continue
            if best is None or fitting[0] > best[0]:
                best = (*fitting, api)
        if best is None or best[2].operations is None:
            return None
        found = None
        for op_id, op_method, template in best[2].operations:
            m = op_method == method and re.fullmatch(self.pattern(template), best[1].rstrip("/"))
            rank = [0 if "{" not in s and "*" not in s else 1 for s in template.split("/")]
            if m and (found is None or rank < found[0]):
                found = (rank, op_id, m.groupdict())
        return found and {"api": best[2], "operation": found[1], "params": found[2], "rest": best[1], "query": query}

    def rest_of(self, api, path):
        """(length of what is taken off, the rest of the path) or None."""
        segments = [s for s in api.path.split("/") if s]
        versioned = api.props.get("apiVersionSetId")
        if versioned:
            if self.sets[versioned.rsplit("/", 1)[1].lower()]["versioningScheme"] != "Segment":
                raise NotImplementedError("versions other than by segment")
            segments += [api.version] if api.version else []
        got = path.strip("/").split("/") if path.strip("/") else []
        head, named = got[:len(segments)], ""
        if head and ";rev=" in head[-1]:
            head[-1], _, named = head[-1].partition(";rev=")
        if [s.lower() for s in head] != [s.lower() for s in segments]:
            return None
        if named != api.revision if named else not api.current:
            return None
        rest = "/" + "/".join(got[len(segments):]) if len(got) > len(segments) else ""
        return len(segments), rest + ("/" if path.endswith("/") and path.strip("/") else "")

    @staticmethod
    def pattern(template):
        names = iter(range(100))
        out = re.escape(template.rstrip("/")).replace(r"/\*", "(?:/.*)?")
        return re.sub(r"\\{(\w+)\\}", lambda m: f"(?P<{m.group(1)}>[^/]+)", out) if names else out

    # ---- the key decision

    def context(self, api, subscription, has_key):
        """(product or None, refusal or None)"""
        required = api.props.get("subscriptionRequired", True)
        opened = next((p for p, props in sorted(self.products.items())
                       if props.get("subscriptionRequired", True) is False and api.id in self.members[p]), None)
        s = self.subscriptions.get(subscription)
        if s is not None and s.get("state") == "active":
            kind, _, name = s["scope"].strip("/").rpartition("/")
            if s["scope"].strip("/") == "apis":
                return None, None
            if kind == "apis" and name == api.id:
                return None, None
            if kind == "products" and api.id in self.members[name]:
                return name, None
        if opened is not None:
            return opened, None
        if has_key:
            return None, error(401, INVALID)
        return (None, None) if not required else (None, error(401, MISSING))

    # ---- policies

    def sections(self, api, operation, product):
        """{section: [policy element]}: the documents of all scopes put together."""
        documents = [self.document(f"{api.where}/operations/{operation}"), self.document(api.where),
                     self.document(f"products/{product}") if product else None, self.document("")]
        documents = [d for d in documents if d is not None]
        return {s: self.put_together(documents, s) for s in SECTIONS}

    def put_together(self, documents, section):
        if not documents:
            return [Xml.Element("forward-request")] if section == "backend" else []
        own = documents[0].find(section)
        if own is None:
            return self.put_together(documents[1:], section)
        out = []
        for e in own:
            if e.tag == "base":
                out += self.put_together(documents[1:], section)
            elif e.tag == "include-fragment":
                out += self.document(f"policy fragments/{e.get('fragment-id')}")
            else:
                out.append(e)
        return out

    def answer(self, scheme, method, target, headers, body, subscription, has_key, reply):
        """What comes of a request: {"status", "body", "headers"}, and "sent" (url, method, headers, body) when a backend is
        called. headers: [(name, value)]; reply: what each backend answers, (status, body)."""
        m = self.match(scheme, method, target)
        if m is None:
            return error(404, "Resource not found")
        api = m["api"]
        product, refused = self.context(api, subscription, has_key)
        if refused:
            return refused
        call = Call(self, m, method, headers, body, subscription)
        sections = self.sections(api, m["operation"], product)
        ended = call.run(sections["inbound"])
        if ended:
            return ended
        if not any(e.tag == "forward-request" for e in sections["backend"]):
            raise NotImplementedError("no forward-request")
        out = {"sent": call.sent(), "status": reply[0], "body": reply[1], "headers": []}
        for e in sections["outbound"]:
            if e.tag == "set-header":
                change(out["headers"], e, call)
            elif e.tag == "find-and-replace":
                out["body"] = out["body"].replace(e.get("from").encode(), e.get("to").encode())
            else:
                raise NotImplementedError(e.tag)
        return out


def change(headers, e, call):
    name, action = e.get("name"), e.get("exists-action", "override")
    values = [call.evaluate(v.text or "") for v in e.findall("value")]
    old = [v for n, v in headers if n.lower() == name.lower()]
    if action == "skip" and old:
        return
    headers[:] = [(n, v) for n, v in headers if n.lower() != name.lower()]
    if action != "delete":
        headers.append((name, ",".join((old if action == "append" else []) + values)))


class Call:
    """One request on its way through inbound."""

    def __init__(self, service, match, method, headers, body, subscription):
        self.service, self.match, self.api, self.subscription = service, match, match["api"], subscription
        self.method, self.headers, self.body = method, copy.deepcopy(headers), body
        self.base = self.api.props.get("serviceUrl")
        self.backend = {}
        self.path, self.query = match["rest"], match["query"]

    def evaluate(self, text):
        known = {"@(context.RequestId.ToString())": "<any>", "@(context.User.Id)": "<any>", "@(context.Deployment.Region)": "<any>"}
        if text.strip().startswith("@"):
            return known[text.strip()]
        return text

    def run(self, policies):
        for e in policies:
            ended = self.step(e)
            if ended:
                return ended
        return None

    def step(self, e):
        if e.tag == "set-header":
            change(self.headers, e, self)
        elif e.tag == "set-query-parameter":
            self.set_query(e)
        elif e.tag == "set-method":
            self.method = e.text.strip()
        elif e.tag == "set-backend-service":
            self.set_backend(e)
        elif e.tag == "rewrite-uri":
            self.rewrite(e)
        elif e.tag == "find-and-replace":
            self.body = self.body.replace(e.get("from").encode(), e.get("to").encode())
        elif e.tag == "ip-filter":
            if "127.0.0.1" not in [a.text for a in e.findall("address")]:
                return error(403, NOT_ALLOWED)
        elif e.tag in ("rate-limit", "quota"):
            return self.count(e)
        elif e.tag not in ("set-variable", "cors"):
            raise NotImplementedError(e.tag)
        return None

    def count(self, e):
        if self.subscription is None:
            return None
        counter = (e.tag, e.get("calls"), self.subscription)
        self.service.calls[counter] = self.service.calls.get(counter, 0) + 1
        if self.service.calls[counter] > int(e.get("calls")):
            return {"status": 429 if e.tag == "rate-limit" else 403, "body": None}
        return None

    def set_query(self, e):
        pairs = [p for p in self.query.split("&") if p] if self.query else []
        name = e.get("name")
        if e.get("exists-action", "override") != "override":
            raise NotImplementedError("set-query-parameter")
        pairs = [p for p in pairs if urllib.parse.unquote(p.partition("=")[0]).lower() != name.lower()]
        self.query = "&".join(pairs + [f"{name}={v.text}" for v in e.findall("value")])

    def set_backend(self, e):
        self.base = e.get("base-url")
        if e.get("backend-id"):
            self.backend = self.service.backends[e.get("backend-id").lower()]
            self.base = self.backend["url"]

    def rewrite(self, e):
        template = re.sub(r"{(\w+)}", lambda m: self.match["params"][m.group(1)], e.get("template"))
        path, _, query = template.partition("?")
        kept = self.query if e.get("copy-unmatched-params", "true") == "true" else ""
        self.path, self.query = path, "&".join(x for x in (query, kept) if x)

    def sent(self):
        url = urllib.parse.urlsplit(self.base)
        headers = [(n, v) for n, v in self.headers if n.lower() != "host"]
        credentials = self.backend.get("credentials", {})
        value = re.compile(r"{{([^{}]+)}}")
        for name, values in credentials.get("header", {}).items():
            text = ",".join(value.sub(lambda m: self.service.values[m.group(1)], v) for v in values)
            headers = [(n, v) for n, v in headers if n.lower() != name.lower()] + [(name, text)]
        path = url.path[:-1] + self.path if url.path.endswith("/") and self.path else url.path + self.path
        return {"authority": url.netloc, "method": self.method, "path": path or "/", "query": self.query, "headers": headers,
                "body": self.body}
