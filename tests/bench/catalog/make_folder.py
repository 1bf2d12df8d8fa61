#!/usr/bin/env python3
"""tests/bench/catalog/make_folder.py DIR [apis] [operations] [subscriptions]: an APIOps folder of a large service.

Always the same bytes for the same numbers. DIR/artifacts is the folder, DIR/configuration.bench.yaml gives the keys.
"""
import json
import os
import sys

PRODUCTS = 40
POLICY = """<policies>
  <inbound><base /><set-header name="x-api" exists-action="override"><value>%s</value></set-header></inbound>
  <backend><base /></backend><outbound><base /></outbound><on-error><base /></on-error>
</policies>
"""
PLAIN = """<policies>
  <inbound><base /></inbound><backend><forward-request /></backend><outbound><base /></outbound><on-error />
</policies>
"""


def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(content if isinstance(content, str) else json.dumps(content, indent=2))


def operation(api, i):
    text = {"type": "string"}
    return {"operationId": f"operation-{i}", "summary": f"Operation {i} of API {api}",
            "description": "What the caller reads in the developer portal before the first call is made.",
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": text},
                           {"name": "expand", "in": "query", "schema": text}],
            "responses": {"200": {"description": "what was asked for",
                                  "content": {"application/json": {"schema": {"type": "object", "properties": {
                                      "id": text, "name": text, "state": text}}}}},
                          "404": {"description": "there is none"}}}


def specification(api, operations):
    methods = ("get", "put", "post", "delete")
    paths = {}
    for i in range(operations):
        paths.setdefault(f"/things-{i // 4}/{{id}}", {})[methods[i % 4]] = operation(api, i)
    return {"openapi": "3.0.1", "info": {"title": f"api {api}", "version": "1"}, "paths": paths}


def make(folder, apis=2000, operations=75000, subscriptions=75000, service=None):
    """service: all APIs have this one behind them, and every subscription is for all of them."""
    root = os.path.join(folder, "artifacts")
    write(os.path.join(root, "policy.xml"), PLAIN)
    for a in range(apis):
        where = os.path.join(root, "apis", f"api-{a}")
        write(os.path.join(where, "apiInformation.json"), {"properties": {
            "displayName": f"API {a}", "path": f"team-{a % 50}/api-{a}", "protocols": ["https", "http"], "apiRevision": "1",
            "isCurrent": True, "subscriptionRequired": True, "serviceUrl": service or f"http://10.1.{a // 250}.{a % 250 + 1}:8080/v1"}})
        n = (a + 1) * operations // apis - a * operations // apis
        write(os.path.join(where, "specification.json"), specification(a, n))
        write(os.path.join(where, "policy.xml"), POLICY % a)
        write(os.path.join(where, "operations", "operation-0", "policy.xml"), POLICY % f"{a}-0")
        write(os.path.join(root, "products", f"product-{a % PRODUCTS}", "apis", f"api-{a}", "productApiInformation.json"), {})
    for p in range(min(PRODUCTS, apis)):
        write(os.path.join(root, "products", f"product-{p}", "productInformation.json"), {"properties": {
            "displayName": f"Product {p}", "state": "published", "subscriptionRequired": True}})
    keys = ["apimServiceName: bench", "subscriptions:"]
    for s in range(subscriptions):
        write(os.path.join(root, "subscriptions", f"subscription-{s}", "subscriptionInformation.json"), {"properties": {
            "displayName": f"subscription {s}", "scope": "/apis" if service else f"/products/product-{s % PRODUCTS}", "state": "active",
            "ownerId": f"/users/user-{s % 9000}", "allowTracing": False}})
        keys.append(f"- name: subscription-{s}\n  properties:\n    primaryKey: primary-key-of-{s:08}\n"
                    f"    secondaryKey: secondary-key-of-{s:08}")
    write(os.path.join(folder, "configuration.bench.yaml"), "\n".join(keys) + "\n")
    return root


if __name__ == "__main__":
    make(sys.argv[1], *(int(n) for n in sys.argv[2:5]))
