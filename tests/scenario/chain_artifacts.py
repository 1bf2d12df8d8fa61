"""An APIOps folder of the tests, written as editors and git do it, with its overrides and keys."""
import json
import os
import re
import secrets
import subprocess


def replace(path, content):
    """As editors and git do it: a new file, then a rename."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new~", "w") as f:
        f.write(content if isinstance(content, str) else json.dumps(content, indent=2))
    os.rename(path + ".new~", path)


class Artifacts:
    """An APIOps folder and its overrides."""

    def __init__(self, folder):
        self.folder, self.overrides = os.path.join(folder, "apim"), os.path.join(folder, "configuration.test.yaml")
        os.makedirs(self.folder)
        self.keys, self.named, self.old = {}, {}, []

    def put(self, path, content):
        replace(os.path.join(self.folder, path), content)

    def remove(self, path):
        subprocess.run(["rm", "-rf", os.path.join(self.folder, path)], check=True)

    def api(self, name, url, ops=(("get", "/items"),), **properties):
        """ops: (method, path template[, operation id])."""
        props = {"path": name, "displayName": name, "protocols": ["http", "https"], "isCurrent": True, "apiRevision": "1",
                 "subscriptionRequired": True, "serviceUrl": url, **properties}
        self.put(f"apis/{name}/apiInformation.json", {"properties": props})
        paths = {}
        for method, path, *more in ops:
            names = re.findall(r"{\*?(\w+)}", path)
            op = {"operationId": more[0] if more else f"{method}{re.sub('[^a-zA-Z0-9]+', '-', path)}",
                  "responses": {"200": {"description": "ok"}}}
            if names:
                op["parameters"] = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
            paths.setdefault(path, {})[method] = op
        self.put(f"apis/{name}/specification.json",
                 {"openapi": "3.0.1", "info": {"title": name, "version": "1"}, "paths": paths})

    def policy(self, where, text):
        self.put(f"{where}/policy.xml".lstrip("/"), text)

    def product(self, name, apis, required=True):
        self.put(f"products/{name}/productInformation.json",
                 {"properties": {"displayName": name, "state": "published", "subscriptionRequired": required}})
        for api in apis:
            self.put(f"products/{name}/apis/{api}/productApiInformation.json", {})

    def subscription(self, name, scope, state="active"):
        self.put(f"subscriptions/{name}/subscriptionInformation.json",
                 {"properties": {"displayName": name, "scope": scope, "state": state}})
        self.keys[name] = [secrets.token_hex(16), secrets.token_hex(16)]

    def rotate(self, name, which=0):
        """A new key in place of one; returns the old one."""
        old = self.keys[name][which]
        self.old.append(old)
        self.keys[name][which] = secrets.token_hex(16)
        self.save()
        return old

    def version_set(self, name, scheme, **properties):
        self.put(f"version sets/{name}/versionSetInformation.json",
                 {"properties": {"displayName": name, "versioningScheme": scheme, **properties}})

    def gateway(self, name, apis, region):
        self.put(f"gateways/{name}/gatewayInformation.json", {"properties": {"locationData": {"name": region}}})
        for api in apis:
            self.put(f"gateways/{name}/apis/{api}/gatewayApiInformation.json", {})

    def apis(self):
        return sorted(n for n in os.listdir(os.path.join(self.folder, "apis")) if ";rev=" not in n)

    def save(self):
        """Overrides as JSON, which is YAML too."""
        replace(self.overrides, {
            "apimServiceName": "test",
            "subscriptions": [{"name": n, "properties": {"primaryKey": k[0], "secondaryKey": k[1]}}
                              for n, k in self.keys.items()],
            "namedValues": [{"name": n, "properties": {"value": v}} for n, v in self.named.items()]})
