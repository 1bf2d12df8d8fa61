"""Bootstraps as the tests need them: Envoy's shape, nothing of Egret's own."""

T = "type.googleapis.com/envoy.extensions."


def address(port, host="127.0.0.1"):
    return {"socket_address": {"address": host, "port_value": port}}


def router():
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": T + "filters.http.router.v3.Router"}}


def hcm(routes=None, vhosts=None, **more):
    vhosts = vhosts or [{"name": "all", "domains": ["*"], "routes": routes}]
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": T + "filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "test",
            "http_filters": [router()],
            "route_config": {"name": "local", "virtual_hosts": vhosts},
            **more,
        },
    }


def listener(port, *filters, tls=None, name="listener", **more):
    chain = {"filters": list(filters)}
    if tls:
        chain["transport_socket"] = tls
    return {"name": name, "address": address(port), "filter_chains": [chain], **more}


def cluster(name, *ports, **more):
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(p)}} for p in ports]}],
        },
        **more,
    }


def bootstrap(listeners, clusters, admin=None, **more):
    b = {"node": {"id": "test", "cluster": "tests"},
         "static_resources": {"listeners": listeners, "clusters": clusters}, **more}
    if admin:
        b["admin"] = {"address": address(admin)}
    return b


def h2_options():
    return {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": T + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}}


def downstream_tls(pki, name, alpn=None, require=False):
    common = {"tls_certificates": [{"certificate_chain": {"filename": pki.path(f"{name}.pem")},
                                    "private_key": {"filename": pki.path(f"{name}.key")}}]}
    if alpn:
        common["alpn_protocols"] = alpn
    if require:
        common["validation_context"] = {"trusted_ca": {"filename": pki.path("ca.pem")}}
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": T + "transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": common,
        **({"require_client_certificate": True} if require else {})}}


def upstream_tls(pki, sni, cert=None, alpn=None):
    common = {"validation_context": {"trusted_ca": {"filename": pki.path("ca.pem")}}}
    if alpn:
        common["alpn_protocols"] = alpn
    if cert:
        common["tls_certificates"] = [{"certificate_chain": {"filename": pki.path(f"{cert}.pem")},
                                       "private_key": {"filename": pki.path(f"{cert}.key")}}]
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": T + "transport_sockets.tls.v3.UpstreamTlsContext", "sni": sni, "common_tls_context": common}}
