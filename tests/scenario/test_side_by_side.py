"""Fields of HTTP connection managers and routes, one case each, side by side: the same bootstrap and request for Egret and for
Envoy, and the answer and what the upstream saw must be the same, header by header. DIFFERS says where not, and why."""
import re

import pytest

from configs import bootstrap, cluster, hcm, listener
from harness import free_port, have_envoy
from raw_kit import Recorder, quick_to_close, talk


def get(path="/", *more, host="a.test", version="1.1", method="GET", body=b""):
    fields = "".join(f"{x}\r\n" for x in more)
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/{version}\r\nhost: {host}\r\n{fields}{length}\r\n".encode("latin-1") + body


def header(key, value, **more):
    return {"header": {"key": key, "value": value}, **more}


ANY = {"prefix": "/"}
XFF = "x-forwarded-for: 1.2.3.4, 5.6.7.8"
EDITS = {"request_headers_to_add": [header("x-add", "1"), header("x-set", "2", append_action="OVERWRITE_IF_EXISTS_OR_ADD"), header("x-absent", "3", append_action="ADD_IF_ABSENT"),
                                    header("x-only", "4", append_action="OVERWRITE_IF_EXISTS"), header("x-empty", "", keep_empty_value=True), header("x-gone", ""), header("x-percent", "5%%")],
         "request_headers_to_remove": ["x-remove"], "response_headers_to_add": [header("x-r", "1"), header("x-b", "2", append_action="OVERWRITE_IF_EXISTS_OR_ADD")],
         "response_headers_to_remove": ["x-from"]}
LEVELS = {"request_headers_to_add": [header("x-level", "%s")], "response_headers_to_add": [header("x-level", "%s", append_action="OVERWRITE_IF_EXISTS_OR_ADD")]}


def level(name):
    return {"request_headers_to_add": [header("x-level", name), header("x-last", name, append_action="OVERWRITE_IF_EXISTS_OR_ADD")],
            "response_headers_to_add": [header("x-last", name, append_action="OVERWRITE_IF_EXISTS_OR_ADD")]}


def one(*requests, hcm=None, route=None, routes=None, vhost=None, table=None):
    routes = routes or [{"match": ANY, "route": {"cluster": "b", **(route or {})}}]
    return {"requests": requests or (get(),), "hcm": hcm or {}, "vhosts": [{"name": "v", "domains": ["*"], "routes": routes, **(vhost or {})}], "table": table or {}}


def matching(match, *requests):
    return one(*requests, routes=[{"match": {**ANY, **match}, "direct_response": {"status": 200, "body": {"inline_string": "yes"}}}])


def redirecting(*requests, **redirect):
    return one(*(requests or (get("/old/x?q=1", host="a.test:8080"),)), routes=[{"match": {"prefix": "/old"}, "redirect": redirect}])


def header_match(**m):
    return matching({"headers": [{"name": "x-h", **m}]}, get(), get("/", "x-h:"), get("/", "x-h: abc"), get("/", "x-h: ABC"), get("/", "x-h: 5"), get("/", "x-h: -7"), get("/", "x-h: abc", "x-h: def"))


CASES = {
    # the connection manager
    "server_name": one(hcm={"server_name": "mine"}),
    "server APPEND_IF_ABSENT": one(get(), get("/server"), hcm={"server_header_transformation": "APPEND_IF_ABSENT"}),
    "server PASS_THROUGH": one(get(), get("/server"), hcm={"server_header_transformation": "PASS_THROUGH"}),
    "server OVERWRITE": one(get("/server")),
    "via": one(get("/", "via: 1.1 x"), hcm={"via": "1.1 here"}),
    "use_remote_address": one(get(), get("/", XFF), get("/", "x-forwarded-proto: https"), hcm={"use_remote_address": True}),
    "without use_remote_address": one(get("/", XFF), get("/", "x-forwarded-proto: https"), get("/", "x-forwarded-proto: gopher")),
    "skip_xff_append": one(get(), get("/", XFF), hcm={"use_remote_address": True, "skip_xff_append": True}),
    "generate_request_id": one(get(), get("/", "x-request-id: mine"), hcm={"generate_request_id": False}),
    "a request id from outside": one(get("/", "x-request-id: mine")),
    "a request id from outside, at the edge": one(get("/", "x-request-id: mine"), hcm={"use_remote_address": True}),
    "preserve_external_request_id": one(get("/", "x-request-id: mine"), hcm={"use_remote_address": True, "preserve_external_request_id": True}),
    "always_set_request_id_in_response": one(get("/", "x-request-id: mine"), hcm={"always_set_request_id_in_response": True}),
    "proxy_100_continue": one(get("/continue"), hcm={"proxy_100_continue": True}),
    "accept_http_10": one(get(version="1.0"), get("/", "connection: keep-alive", version="1.0"), hcm={"http_protocol_options": {"accept_http_10": True}}),
    "without accept_http_10": one(get(version="1.0")),
    "normalize_path": one(get("/a/../b"), get("/a/./b"), get("/%61/%2e%2e/b"), get("/a%2Fb"), get("/../../x"), get("/a//b"), get("/a\\b"), hcm={"normalize_path": True}),
    "without normalize_path": one(get("/a/../b//c/%2e"), hcm={"normalize_path": False}),
    "normalize_path unset": one(get("/a/../b")),
    "merge_slashes": one(get("//a///b?c=//d"), hcm={"merge_slashes": True}),
    "slashes REJECT_REQUEST": one(get("/a%2fb"), get("/a%5Cb"), get("/a?b=%2f"), hcm={"path_with_escaped_slashes_action": "REJECT_REQUEST"}),
    "slashes UNESCAPE_AND_REDIRECT": one(get("/a%2fb%5Cc?d=%2f"), hcm={"path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"}),
    "slashes UNESCAPE_AND_FORWARD": one(get("/a%2fb%5Cc?d=%2f"), hcm={"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}),
    "slashes UNESCAPE_AND_FORWARD, normalised": one(get("/a%2f..%2fc"), hcm={"path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD", "normalize_path": True}),
    "strip_any_host_port": one(get(host="a.test:1234"), get(host="[::1]:80"), hcm={"strip_any_host_port": True}),
    "strip_trailing_host_dot": one(get(host="a.test."), get(host="a.test.:80"), hcm={"strip_trailing_host_dot": True}),
    "upgrade enabled false": one(get("/", "connection: upgrade", "upgrade: websocket"), hcm={"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}),
    "upgrade off by route": one(get("/", "connection: upgrade", "upgrade: websocket"), hcm={"upgrade_configs": [{"upgrade_type": "websocket"}]},
                                route={"upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}]}),
    "suppress_envoy_headers": one(get("/pre/x"), get("/dead"), route={"prefix_rewrite": "/"}, hcm={"suppress": True}),
    "max_requests_per_connection": one(get() * 3, hcm={"common_http_protocol_options": {"max_requests_per_connection": 2}}),
    # header edits
    "edits": one(get("/", "x-add: 0", "x-set: 0", "x-absent: 0", "x-only: 0", "x-remove: 0", "x-gone: 0"), get(), table=EDITS),
    "edits of a route": one(get("/", "x-remove: 0"), routes=[{"match": ANY, "route": {"cluster": "b"}, **EDITS}]),
    "edits of an answer of ours": one(get(), routes=[{"match": ANY, "direct_response": {"status": 200}, **EDITS}], table=level("table")),
    "the order of scopes": one(get(), routes=[{"match": ANY, "route": {"weighted_clusters": {"clusters": [{"name": "b", "weight": 1, **level("cluster")}]}}, **level("route")}], vhost=level("host"),
                               table=level("table")),
    "the order of scopes, most specific wins": one(get(), routes=[{"match": ANY, "route": {"weighted_clusters": {"clusters": [{"name": "b", "weight": 1, **level("cluster")}]}}, **level("route")}],
                                                   vhost=level("host"), table={**level("table"), "most_specific_header_mutations_wins": True}),
    # where it goes
    "host_rewrite_literal": one(route={"host_rewrite_literal": "b.test", "append_x_forwarded_host": True}),
    "host_rewrite_literal, suppressed": one(route={"host_rewrite_literal": "b.test"}, hcm={"suppress": True}),
    "host_rewrite_header": one(get("/", "x-host: c.test"), get(), route={"host_rewrite_header": "x-host"}),
    "auto_host_rewrite": one(route={"auto_host_rewrite": True}),
    "a weighted cluster's host": one(route={"cluster": None, "weighted_clusters": {"clusters": [{"name": "b", "weight": 1, "host_rewrite_literal": "w.test"}], "total_weight": 1}}),
    "regex_rewrite": one(get("/a/b/c?d"), route={"regex_rewrite": {"pattern": {"regex": "^/([^/]+)/([^/]+)"}, "substitution": r"/\2/\1"}}),
    "prefix_rewrite": one(get("/pre"), get("/pre/"), get("/pre/x"), get("/prefix"), routes=[{"match": {"prefix": "/pre"}, "route": {"cluster": "b", "prefix_rewrite": "/new"}}]),
    "path rewritten": one(get("/p?q=1"), routes=[{"match": {"path": "/p"}, "route": {"cluster": "b", "prefix_rewrite": "/new"}}]),
    "cluster_header": one(get("/", "x-to: b"), get("/", "x-to: nobody"), get(), route={"cluster": None, "cluster_header": "x-to"}),
    "cluster_not_found": one(get("/", "x-to: nobody"), route={"cluster": None, "cluster_header": "x-to", "cluster_not_found_response_code": "NOT_FOUND"}),
    "cluster_not_found 500": one(get("/", "x-to: nobody"), route={"cluster": None, "cluster_header": "x-to", "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR"}),
    "timeout 0": one(route={"timeout": "0s"}),
    "require_tls": one(get(), get("/", "x-forwarded-proto: https"), vhost={"require_tls": "ALL"}),
    "require_tls EXTERNAL_ONLY": one(get(), vhost={"require_tls": "EXTERNAL_ONLY"}),
    "ignore_port_in_host_matching": {**one(get(host="a.test:99"), get(host="b.test:99"), table={"ignore_port_in_host_matching": True}),
                                     "vhosts": [{"name": "a", "domains": ["a.test"], "routes": [{"match": ANY, "direct_response": {"status": 200}}]}]},
    "ports in host matching": {**one(get(host="a.test:99"), get(host="a.test:98"), get(host="a.test")),
                               "vhosts": [{"name": "a", "domains": ["a.test:99"], "routes": [{"match": ANY, "direct_response": {"status": 200}}]}]},
    # which route
    "path_separated_prefix": one(get("/a"), get("/a/"), get("/a/b"), get("/ab"), get("/a?x"), routes=[{"match": {"path_separated_prefix": "/a"}, "direct_response": {"status": 200}}]),
    "case_sensitive": one(get("/ABC/d"), get("/abc"), routes=[{"match": {"prefix": "/aBc", "case_sensitive": False}, "direct_response": {"status": 200}}]),
    "case_sensitive path": one(get("/ABC"), get("/abcd"), routes=[{"match": {"path": "/aBc", "case_sensitive": False}, "direct_response": {"status": 200}}]),
    "safe_regex": one(get("/b1"), get("/b12"), get("/xb1"), get("/b1?y"), routes=[{"match": {"safe_regex": {"regex": "/b[0-9]"}}, "direct_response": {"status": 200}}]),
    "both lines": header_match(exact_match="abc,def"), "exact_match": header_match(exact_match="abc"), "prefix_match": header_match(prefix_match="ab"), "suffix_match": header_match(suffix_match="bc"), "contains_match": header_match(contains_match="b"),
    "safe_regex_match": header_match(safe_regex_match={"regex": "[a-c]+"}), "range_match": header_match(range_match={"start": -10, "end": 5}), "present_match": header_match(present_match=True),
    "present_match false": header_match(present_match=False), "no specifier": header_match(), "no specifier, inverted": header_match(invert_match=True),
    "invert_match": header_match(string_match={"exact": "abc"}, invert_match=True), "treat_missing_header_as_empty": header_match(string_match={"exact": ""}, treat_missing_header_as_empty=True),
    "treat_missing_header_as_empty, inverted": header_match(string_match={"exact": "abc"}, treat_missing_header_as_empty=True, invert_match=True),
    "ignore_case": header_match(string_match={"exact": "AbC", "ignore_case": True}), "contains": header_match(string_match={"contains": "B", "ignore_case": True}),
    "query_parameters": matching({"query_parameters": [{"name": "q", "string_match": {"exact": "1"}}]}, get("/?q=1"), get("/?q=2"), get("/"), get("/?q=2&q=1"), get("/?Q=1"), get("/?q=%31"), get("/?x&q=1")),
    "query present": matching({"query_parameters": [{"name": "q", "present_match": True}]}, get("/?q"), get("/?q="), get("/?x=q"), get("/")),
    "pseudo headers": matching({"headers": [{"name": ":method", "string_match": {"exact": "PUT"}}]}, get(method="PUT"), get()),
    # redirects
    "https_redirect": redirecting(https_redirect=True), "scheme_redirect": redirecting(scheme_redirect="https"), "host_redirect": redirecting(host_redirect="b.test"),
    "port_redirect": redirecting(port_redirect=9000), "path_redirect": redirecting(path_redirect="/new"), "path_redirect with a query": redirecting(path_redirect="/new?x=y"),
    "prefix_rewrite redirect": redirecting(prefix_rewrite="/new"), "regex redirect": redirecting(regex_rewrite={"pattern": {"regex": "old"}, "substitution": "new"}),
    "strip_query": redirecting(strip_query=True, path_redirect="/new"), "response_code": redirecting(response_code="TEMPORARY_REDIRECT", host_redirect="b.test"),
    "redirect https and port": redirecting(https_redirect=True, port_redirect=8443), "redirect http default port": redirecting(get("/old", host="a.test:80"), https_redirect=True),
    # answers of ours
    "direct_response": one(get(), get(method="HEAD"), get(method="POST", body=b"x"), routes=[{"match": ANY, "direct_response": {"status": 503, "body": {"inline_string": "closed"}}}]),
    "direct_response without a body": one(get(), routes=[{"match": ANY, "direct_response": {"status": 200}}]),
    "no route": one(get("/x"), routes=[{"match": {"prefix": "/y"}, "route": {"cluster": "b"}}]),
    "no host": {**one(get()), "vhosts": [{"name": "v", "domains": ["b.test"], "routes": []}]},
    "gRPC, no route": one(get("/x", "content-type: application/grpc", method="POST"), routes=[{"match": {"prefix": "/y"}, "route": {"cluster": "b"}}]),
    "gRPC, dead": one(get("/dead", "content-type: application/grpc+proto", method="POST"), routes=[{"match": ANY, "route": {"cluster": "dead"}}]),
    "dead": one(get(), routes=[{"match": ANY, "route": {"cluster": "dead"}}]),
    "no endpoint": one(get(), routes=[{"match": ANY, "route": {"cluster": "empty"}}]),
    "cut": one(get("/cut")),
    # what passes
    "cookies": one(get("/", "cookie: a=b", "cookie: c=d")),
    "te": one(get("/", "te: trailers", "connection: te"), get("/", "te: gzip", "connection: te")),
    "x-envoy headers": one(get("/", "x-envoy-internal: true", "x-envoy-downstream-service-cluster: x", "x-envoy-original-path: /y", "x-envoy-expected-rq-timeout-ms: 5")),
    "x-envoy headers at the edge": one(get("/", "x-envoy-internal: true", "x-envoy-downstream-service-cluster: x", "x-envoy-original-path: /y", "x-envoy-expected-rq-timeout-ms: 5"),
                                       hcm={"use_remote_address": True}),
    "expect": one(get("/", "expect: 100-continue", method="POST", body=b"x")),
    "no content": one(get("/204"), get("/304")),
    "OPTIONS": one(get("*", method="OPTIONS")),
}
DIFFERS = {
    "via": "two lines are the same list as one",
    "accept_http_10": "a server says its own version (RFC 9110 2.5); HTTP/1.0 clients can read it",
    "without accept_http_10": "what the codec refuses it answers without date and server",
    "upgrade enabled false": "a refused upgrade does not cost the connection",
    "upgrade off by route": "a refused upgrade does not cost the connection",
    "the order of scopes, most specific wins": "a weighted cluster is more specific than its route",
    "cut": "a request whose kept connection turned out closed is sent once more",
    "te": "TE is for one hop and named so in Connection (RFC 9110 10.1.4)",
    "expect": "the body has come: no 100 is owed",
    "no content": "an upstream's reason phrase passes",
}


def answer(head, body):
    path = head.split(b" ")[1]
    if path.endswith(b"/cut"):
        raise OSError("cut")
    if path.startswith(b"/continue"):
        return b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    if path.startswith((b"/204", b"/304")):
        return b"HTTP/1.1 " + path[1:4] + b" X\r\n\r\n"
    extra = b"server: theirs\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" if b"/server" in path else b""
    return b"HTTP/1.1 200 OK\r\nx-from: backend\r\nx-b: backend\r\nx-last: backend\r\n" + extra + b"content-length: 2\r\n\r\nok"


def start(stage, kind, b):
    listeners, free = [], set()
    while len(free) < len(CASES):
        free.add(free_port())
    ports = dict(zip(CASES, free))
    for i, (name, c) in enumerate(CASES.items()):
        options = dict(c["hcm"])
        suppress = options.pop("suppress", False)
        for route in c["vhosts"][0]["routes"]:
            if route.get("route", {}).get("cluster", 0) is None:
                route["route"] = {k: v for k, v in route["route"].items() if k != "cluster"}
        manager = hcm(vhosts=c["vhosts"], **options)
        manager["typed_config"]["route_config"].update({"validate_clusters": False, **c["table"]})
        if suppress:
            manager["typed_config"]["http_filters"][-1]["typed_config"]["suppress_envoy_headers"] = True
        listeners.append(listener(ports[name], manager, name=f"l{i}"))
    config = bootstrap(listeners, [cluster("b", b.port), cluster("dead", 1), cluster("empty")])
    stage.proxy(kind, quick_to_close(config) if kind == "envoy" else config, *ports.values())
    return ports


def shape(raw):
    """Start line, the fields in order of their names, the body; without what differs from one moment to the next. Envoy appends
    the machine's own address to X-Forwarded-For where a client comes over loopback."""
    raw = re.sub(rb"(x-forwarded-for: (?:.*,)?)[\d.:a-f]+\r\n", rb"\1*\r\n", raw)
    out = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        lines = [re.sub(rb"^(date|x-envoy-upstream-service-time|x-request-id): (?!mine).*", rb"\1: *", x) for x in head.split(b"\r\n")]
        out.append((lines[0], tuple(sorted(lines[1:]))))
        m = re.search(rb"\r\ncontent-length: (\d+)", head)
        no_body = b"HEAD" in head or re.match(rb"HTTP/1.1 (204|304|1)", head)
        n = int(m.group(1)) if m and not no_body else 0
        out.append(raw[:n])
        raw = raw[n:]
    return out


def test_both_do_the_same(stage):
    if not have_envoy():
        pytest.skip("SKIPPED: no envoy in build/venv (tests/requirements.txt installs it)")
    b = Recorder(lambda head, body: answer(head, body))
    stage.things.append(b)
    ports = {kind: start(stage, kind, b) for kind in ("egret", "envoy")}
    wrong, unused = [], dict(DIFFERS)
    for name, c in CASES.items():
        for i, raw in enumerate(c["requests"]):
            seen = {}
            for kind in ports:
                b.clear()
                ask = raw.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1) if raw.count(b"\r\n\r\n") == 1 and b"connection:" not in raw else raw
                got, _ = talk(ports[kind][name], ask, 0.7)
                seen[kind] = (shape(got), shape(b.bytes()))
            if seen["egret"] != seen["envoy"]:
                unused.pop(name, None)
                if name not in DIFFERS:
                    wrong.append((name, i, *(diff(seen["egret"][k], seen["envoy"][k]) for k in (0, 1))))
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(map(str, wrong))
    assert not unused, f"no longer different: {sorted(unused)}"


def diff(ours, theirs):
    def flat(x):
        return [line for part in x for line in ((part[0], *part[1]) if isinstance(part, tuple) else (b"body " + part,))]
    a, b = flat(ours), flat(theirs)
    return {"egret": [x for x in a if x not in b], "envoy": [x for x in b if x not in a]} if sorted(a) != sorted(b) else ("order" if a != b else "same")
