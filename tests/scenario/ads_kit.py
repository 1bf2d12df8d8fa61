"""A control server of the tests' own: state-of-the-world ADS over plain gRPC, resources as JSON."""
import queue
import threading
from concurrent import futures

import grpc
from google.protobuf import json_format

from configs import T, address
from test_control_kit import CDS, EDS, LDS, PREFIX, RDS, SDS  # noqa: F401


class Ads:
    """put() resources, push() a type; requests keeps what the client said, nack(type) its last refusal."""

    def __init__(self, pb):
        self.pb, self.pool = pb, pb("envoy.service.discovery.v3.DiscoveryRequest").DESCRIPTOR.file.pool
        self.resources, self.version, self.requests, self.streams = {}, 0, [], []
        self.server = grpc.server(futures.ThreadPoolExecutor(8))
        handler = grpc.stream_stream_rpc_method_handler(self.stream, request_deserializer=None, response_serializer=None)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "envoy.service.discovery.v3.AggregatedDiscoveryService", {"StreamAggregatedResources": handler}),))
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

    def stream(self, incoming, context):
        events, asked = queue.Queue(), {}
        self.streams.append(events)

        def read():
            try:
                for raw in incoming:
                    m = self.pb("envoy.service.discovery.v3.DiscoveryRequest")()
                    m.ParseFromString(raw)
                    events.put(m)
            except grpc.RpcError:
                pass
            events.put(None)
        threading.Thread(target=read, daemon=True).start()
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

    def last(self, type_url):
        """The client's last word about this type; None: it never asked."""
        rows = [r for r in self.requests if r.type_url == type_url]
        return rows[-1] if rows else None

    def accepted(self, type_url):
        r = self.last(type_url)
        return r is not None and r.version_info == f"v{self.version}"

    def refusal(self, type_url):
        rows = [r for r in self.requests if r.type_url == type_url and r.HasField("error_detail")]
        return rows[-1].error_detail.message if rows else ""

    def stop(self):
        for s in self.streams:
            s.put(None)
        self.server.stop(0.2).wait()


def client(port, admin=None):
    """The bootstrap of a proxy that takes everything from there."""
    http2 = {"@type": T + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "node": {"id": "test-1", "cluster": "tests"},
        **({"admin": {"address": address(admin)}} if admin else {}),
        "dynamic_resources": {
            "ads_config": {"api_type": "GRPC", "transport_api_version": "V3",
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}]},
            "lds_config": {"ads": {}, "resource_api_version": "V3"}, "cds_config": {"ads": {}, "resource_api_version": "V3"}},
        "static_resources": {"clusters": [{
            "name": "control", "type": "STATIC", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": "control", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2}}]}}
