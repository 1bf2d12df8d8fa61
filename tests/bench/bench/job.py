"""
The main job: a call enters the sidecar, travels in a tunnel under mTLS to the gateway and inside it in TLS to the third
party. Two processes; CPU of both counts. The same two bootstraps for Egret and for Envoy.
"""
from . import http, peers, system
from .peers import Case, T, cluster, hcm, h2_upstream


def tls(kind, pki, name, alpn=None, client=False, sni=None):
    common = {"alpn_protocols": alpn} if alpn else {}
    if name:
        common["tls_certificates"] = [{"certificate_chain": {"filename": pki.cert(name)}, "private_key": {"filename": pki.key(name)}}]
    if client or sni:
        common["validation_context"] = {"trusted_ca": {"filename": pki.cert("ca")}}
    more = {"sni": sni} if sni else {"require_client_certificate": True} if client else {}
    return {"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": T + f"transport_sockets.tls.v3.{kind}TlsContext", "common_tls_context": common, **more}}


def gateway(pki, port, third):
    routes = [{"match": {"connect_matcher": {}}, "route": {"cluster": "third", "upgrade_configs": [
        {"upgrade_type": "CONNECT", "connect_config": {}}]}}]
    manager = hcm(routes, codec_type="HTTP2", http2_protocol_options={"allow_connect": True},
                  upgrade_configs=[{"upgrade_type": "CONNECT"}])
    chain = {"filters": [manager], "transport_socket": tls("Downstream", pki, "gateway", ["h2"], client=True)}
    return peers.bootstrap([{"name": "l", "address": peers.address(port), "filter_chains": [chain]}], [cluster("third", third)])


def sidecar(pki, port, gateway_port):
    tunnel = {"name": "tunnel", "internal_listener": {}, "filter_chains": [{"filters": [{
        "name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": T + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tunnel", "cluster": "gateway",
            "tunneling_config": {"hostname": "third.test:443"}}}]}]}
    third = cluster("third", 1, transport_socket=tls("Upstream", pki, None, sni="third.test"))
    third["load_assignment"]["endpoints"] = [{"lb_endpoints": [
        {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "tunnel"}}}}]}]
    gw = cluster("gateway", gateway_port, transport_socket=tls("Upstream", pki, "sidecar", ["h2"], sni="gateway.test"), **h2_upstream())
    entry = {"name": "l", "address": peers.address(port), "filter_chains": [
        {"filters": [hcm([{"match": {"prefix": "/"}, "route": {"cluster": "third"}}])]}]}
    return peers.bootstrap([entry, tunnel], [third, gw], bootstrap_extensions=[
        {"name": "envoy.bootstrap.internal_listener",
         "typed_config": {"@type": T + "bootstrap.internal_listener.v3.InternalListener"}}])


class Pair:
    def __init__(self, bench, kind, third):
        gateway_port, self.port = system.free_port(), system.free_port()
        self.gateway = bench.peers.bootstrap(kind, gateway(bench.pki, gateway_port, third))
        system.wait_port(gateway_port)
        self.sidecar = bench.peers.bootstrap(kind, sidecar(bench.pki, self.port, gateway_port))
        system.wait_port(self.port)

    def pids(self):
        return system.tree(self.gateway.pid) + system.tree(self.sidecar.pid)


def job(bench):
    third = bench.third_party()
    kinds = [k for k in ("egret", "envoy") if k in bench.peers.found()]
    for size, count in ((1024, 20000), (65536, 4000)):
        count = max(500, int(count * bench.opt.scale))
        pairs = {k: Pair(bench, k, third) for k in kinds}
        cost, parts, failed, case = {k: [] for k in kinds}, {k: [0.0, 0.0] for k in kinds}, set(), Case()
        for p in pairs.values():
            http.h2load(p.port, case, f"/{size}", 1000)
        for _ in range(bench.opt.rounds):
            for kind, p in pairs.items():
                each = [system.tree(p.sidecar.pid), system.tree(p.gateway.pid)]
                before = [system.cpu_seconds(e) for e in each]
                http.measured(p, lambda p=p: http.h2load(p.port, case, f"/{size}", count), count, cost[kind], failed, kind)
                for i, e in enumerate(each):
                    parts[kind][i] += (system.cpu_seconds(e) - before[i]) / count / bench.opt.rounds * 1e6
        notes = {k: f"sidecar {v[0]:.1f} + gateway {v[1]:.1f}" for k, v in parts.items()}
        system.table(f"main job, {size} bytes: CPU µs a request of both proxies, {bench.opt.rounds} rounds of {count}", cost, failed, notes)
        bench.procs.end([x for p in pairs.values() for x in (p.sidecar, p.gateway)])
