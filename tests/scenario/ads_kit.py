"""A control server of the tests' own: ADS over plain gRPC, state of the world and delta, resources as JSON."""
import hashlib
import queue
import threading
from concurrent import futures

import grpc
from google.protobuf import json_format

from configs import T, address
from test_control_kit import CDS, EDS, LDS, PREFIX, RDS, SDS  # noqa: F401


SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class DeltaType:
    """What one client of a delta stream wants of a type, and in which versions it was told of what."""

    def __init__(self, request):
        self.wildcard = not request.resource_names_subscribe and request.type_url in (CDS, LDS)
        self.names, self.told, self.due = set(), dict(request.initial_resource_versions), self.wildcard
        self.take(request, first=True)

    def take(self, request, first=False):
        for name in request.resource_names_subscribe:
            if name == "*":
                self.wildcard = self.due = True
                continue
            self.names.add(name)
            if not first or name not in self.told:
                self.told[name] = None
        for name in request.resource_names_unsubscribe:
            if name == "*":
                self.wildcard = False
            self.names.discard(name)
            if not self.wildcard:
                self.told.pop(name, None)

    def wants(self, name):
        return self.wildcard or name in self.names


class Ads:
    """put() resources; requests keeps what the client said, refusal(type) its last one; sent what it was told: rows of
    (type, names, removed names). api_type says what client() asks for; both are served."""

    def __init__(self, pb, api_type="GRPC"):
        self.api_type, self.sent = api_type, []
        self.pb, self.pool = pb, pb("envoy.service.discovery.v3.DiscoveryRequest").DESCRIPTOR.file.pool
        self.resources, self.version, self.requests, self.streams = {}, 0, [], []
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        make = lambda f: grpc.stream_stream_rpc_method_handler(f, request_deserializer=None, response_serializer=None)  # noqa: E731
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            SERVICE, {"StreamAggregatedResources": make(self.stream), "DeltaAggregatedResources": make(self.delta)}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def put(self, type_url, *resources):
        """Replaces a type's resources and sends them to who asked."""
        self.resources[type_url] = resources
        self.version += 1
        for s in list(self.streams):
            s.put(type_url)

    def message(self, type_url, resource):
        m = self.pb(type_url[len(PREFIX):])()
        json_format.ParseDict(resource, m, descriptor_pool=self.pool)
        return m

    def response(self, type_url, names):
        r = self.pb("envoy.service.discovery.v3.DiscoveryResponse")()
        r.version_info, r.nonce, r.type_url = f"v{self.version}", f"n{self.version}-{len(self.requests)}", type_url
        for resource in self.resources.get(type_url, ()):
            if isinstance(resource, bytes):
                r.resources.add(type_url=type_url, value=resource)
                continue
            name = resource.get("name") or resource.get("cluster_name")
            if not names or name in names:
                r.resources.add(type_url=type_url, value=self.message(type_url, resource).SerializeToString())
        return r

    def listen(self, incoming, message):
        """A queue of what happens on a stream: requests, types that were put, None at its end."""
        events = queue.Queue()

        def read():
            try:
                for raw in incoming:
                    m = self.pb("envoy.service.discovery.v3." + message)()
                    m.ParseFromString(raw)
                    events.put(m)
            except grpc.RpcError:
                pass
            events.put(None)
        threading.Thread(target=read, daemon=True).start()
        self.streams.append(events)
        return events

    def stream(self, incoming, context):
        events, asked = self.listen(incoming, "DiscoveryRequest"), {}
        while (event := events.get()) is not None:
            if isinstance(event, str):
                if event in asked:
                    yield self.response(event, asked[event]).SerializeToString()
                continue
            self.requests.append(event)
            names = sorted(event.resource_names)
            if asked.get(event.type_url) != names:
                asked[event.type_url] = names
                yield self.response(event.type_url, names).SerializeToString()
        self.streams.remove(events)

    def content(self, type_url):
        """name → (version, bytes); bytes that are no message are called "junk"."""
        out = {}
        for r in self.resources.get(type_url, ()):
            raw = r if isinstance(r, bytes) else self.message(type_url, r).SerializeToString(deterministic=True)
            name = "junk" if isinstance(r, bytes) else r.get("name") or r.get("cluster_name")
            out[name] = (hashlib.sha256(raw).hexdigest()[:12], raw)
        return out

    def difference(self, type_url, state):
        """None: there is nothing to say."""
        held = {n: c for n, c in self.content(type_url).items() if state.wants(n)}
        changed = [n for n in held if state.told.get(n) != held[n][0]]
        removed = [n for n in state.told if n not in held]
        if not (changed or removed or state.due):
            return None
        r = self.pb("envoy.service.discovery.v3.DeltaDiscoveryResponse")()
        r.system_version_info, r.nonce, r.type_url = f"v{self.version}", f"n{self.version}-{len(self.sent)}", type_url
        for n in changed:
            item = r.resources.add(name=n, version=held[n][0])
            item.resource.type_url, item.resource.value = type_url, held[n][1]
        r.removed_resources.extend(removed)
        self.sent.append((type_url, changed, removed))
        state.told, state.due = {n: v for n, (v, _) in held.items()}, False
        return r.SerializeToString()

    def delta(self, incoming, context):
        events, states = self.listen(incoming, "DeltaDiscoveryRequest"), {}
        while (event := events.get()) is not None:
            url = event if isinstance(event, str) else event.type_url
            if not isinstance(event, str):
                self.requests.append(event)
                if url in states:
                    states[url].take(event)
                else:
                    states[url] = DeltaType(event)
            elif url == EDS and url in states:  # after its cluster changed, Envoy waits for endpoints even if they did not
                states[url].told = dict.fromkeys(states[url].told)
            response = self.difference(url, states[url]) if url in states else None
            if response is not None:
                yield response
        self.streams.remove(events)

    def last(self, type_url):
        """The client's last word about this type; None: it never asked."""
        rows = [r for r in self.requests if r.type_url == type_url]
        return rows[-1] if rows else None

    def accepted(self, type_url):
        r = self.last(type_url)
        return r is not None and r.response_nonce.startswith(f"n{self.version}-") and not r.HasField("error_detail")

    def refusal(self, type_url):
        rows = [r for r in self.requests if r.type_url == type_url and r.HasField("error_detail")]
        return rows[-1].error_detail.message if rows else ""

    def stop(self):
        for s in self.streams:
            s.put(None)
        self.server.stop(0.2).wait()


def client(ads, admin=None):
    """The bootstrap of a proxy that takes everything from there."""
    port = ads.port
    http2 = {"@type": T + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "node": {"id": "test-1", "cluster": "tests"},
        **({"admin": {"address": address(admin)}} if admin else {}),
        "dynamic_resources": {
            "ads_config": {"api_type": ads.api_type, "transport_api_version": "V3",
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}]},
            "lds_config": {"ads": {}, "resource_api_version": "V3"}, "cds_config": {"ads": {}, "resource_api_version": "V3"}},
        "static_resources": {"clusters": [{
            "name": "control", "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": "control", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2}}]}}
