"""The proxies and how each is told to do the same work: one worker, kept connections to the origin, the same features."""
import json
import os

from .system import PROXY_CPU, which

T = "type.googleapis.com/envoy.extensions."
BIG = 1 << 20
STREAM_MODULE = os.path.join(os.environ.get("NGINX_MODULES", "/usr/lib/nginx/modules"), "ngx_stream_module.so")


class Case:
    """front: "h1" or "h2"; tls: towards the client; back: "h1" or "h2"; features: access log and request ids."""

    def __init__(self, front="h1", tls=False, back="h1", features=False, routes=0):
        self.front, self.tls, self.back, self.features, self.routes = front, tls, back, features, routes


def address(port, host="127.0.0.1"):
    return {"socket_address": {"address": host, "port_value": port}}


def h2_upstream():
    return {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": T + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}}


def cluster(name, port, **more):
    return {"name": name, "type": "STATIC", "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [{"max_connections": BIG, "max_pending_requests": BIG, "max_requests": BIG,
                                                 "max_retries": BIG}]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]},
            **more}


def hcm(routes, log=None, **more):
    config = {"@type": T + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "bench",
              "generate_request_id": log is not None,
              "http_filters": [{"name": "envoy.filters.http.router",
                                "typed_config": {"@type": T + "filters.http.router.v3.Router"}}],
              "route_config": {"name": "r", "virtual_hosts": [{"name": "a", "domains": ["*"], "routes": routes}]}, **more}
    if log:
        config["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": T + "access_loggers.file.v3.FileAccessLog", "path": log}}]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def bootstrap(listeners, clusters, **more):
    return {"node": {"id": "bench", "cluster": "bench"}, "static_resources": {"listeners": listeners, "clusters": clusters}, **more}


def route_list(n):
    routes = [{"match": {"path": f"/r/{i}"}, "route": {"cluster": "o", "prefix_rewrite": "/1024"}} for i in range(n)]
    return routes + [{"match": {"prefix": "/"}, "route": {"cluster": "o"}}]


class Peers:
    def __init__(self, procs, folder, pki, egret, envoy):
        self.procs, self.dir, self.pki = procs, folder, pki
        self.paths = {"egret": egret, "nginx": which("nginx"), "haproxy": which("haproxy"), "nghttpx": which("nghttpx"),
                      "envoy": envoy}
        self.n, self.wanted = 0, list(self.paths)

    def found(self):
        return [p for p, path in self.paths.items() if p in self.wanted and path and os.access(path, os.X_OK)]

    def missing(self):
        return [p for p in self.paths if p not in self.found()]

    def file(self, suffix, text):
        self.n += 1
        path = os.path.join(self.dir, f"{self.n}{suffix}")
        with open(path, "w") as f:
            f.write(text)
        return path

    def bootstrap(self, kind, config, cpu=PROXY_CPU):
        path = self.file(".json", json.dumps(config))
        return self.procs.spawn([self.paths[kind], "-c", path, "--concurrency", "1", "-l", "warning", "--disable-hot-restart"], cpu)

    def http(self, kind, port, origin, case):
        """Starts that proxy for that case; a text instead of a process: why it cannot."""
        if kind in ("egret", "envoy"):
            return self.bootstrap(kind, self.envoy_http(kind, port, origin, case))
        return getattr(self, kind)(port, origin, case)

    def envoy_http(self, kind, port, origin, case):
        log = os.path.join(self.dir, f"{kind}-{port}.log") if case.features else None
        chain = {"filters": [hcm(route_list(case.routes), log)]}
        if case.tls:
            chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": T + "transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {
                    "alpn_protocols": ["h2" if case.front == "h2" else "http/1.1"],
                    "tls_certificates": [{"certificate_chain": {"filename": self.pki.cert("server")},
                                          "private_key": {"filename": self.pki.key("server")}}]}}}
        upstream = h2_upstream() if case.back == "h2" else {}
        return bootstrap([{"name": "l", "address": address(port), "filter_chains": [chain]}], [cluster("o", origin, **upstream)])

    def nginx_conf(self, http="", stream=""):
        self.n += 1
        d, n = self.dir, self.n
        load = f"load_module {STREAM_MODULE};" if stream and os.path.exists(STREAM_MODULE) else ""
        temp = " ".join(f"{k}_temp_path {d}/{n}-{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        http = f"http {{ {temp} {http} }}" if http else ""
        stream = f"stream {{ {stream} }}" if stream else ""
        return self.file(".conf", f"""{load} {"user root;" if os.getuid() == 0 else ""} daemon off; worker_processes 1;
            pid {d}/{n}.pid; error_log {d}/{n}.err; worker_rlimit_nofile 20000; events {{ worker_connections 16384; }} {http} {stream}""")

    def run_nginx(self, conf, cpu=PROXY_CPU):
        return self.procs.spawn([self.paths["nginx"], "-c", conf, "-p", self.dir], cpu)

    def nginx(self, port, origin, case):
        if case.back == "h2":
            return "no HTTP/2 towards an origin"
        flags = ("ssl " if case.tls else "") + ("http2 " if case.front == "h2" else "")
        tls = f"ssl_certificate {self.pki.cert('server')}; ssl_certificate_key {self.pki.key('server')};" if case.tls else ""
        log = f"access_log {self.dir}/nginx-{port}.log combined buffer=64k flush=1s;" if case.features else "access_log off;"
        up = 'proxy_http_version 1.1; proxy_set_header Connection "";'
        up += " proxy_set_header X-Request-ID $request_id;" if case.features else ""
        routes = "".join(f"location = /r/{i} {{ proxy_pass http://o/1024; {up} }}\n" for i in range(case.routes))
        return self.run_nginx(self.nginx_conf(http=f"""{log} keepalive_timeout 300; keepalive_requests 100000000;
            upstream o {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 100000000; }}
            server {{ listen 127.0.0.1:{port} {flags} backlog=1024; {tls} {routes}
              location / {{ proxy_pass http://o; {up} }} }}"""))

    def haproxy_run(self, text, log=None):
        return self.procs.spawn([self.paths["haproxy"], "-db", "-f", self.file(".cfg", text)], PROXY_CPU, log)

    def haproxy(self, port, origin, case):
        alpn = "h2" if case.front == "h2" else "http/1.1"
        bind = f"ssl crt {self.pki.both('server')} alpn {alpn}" if case.tls else ("proto h2" if case.front == "h2" else "")
        log = os.path.join(self.dir, f"haproxy-{port}.log") if case.features else None
        features = ("  log stdout format raw local0\n  option httplog\n  unique-id-format %[uuid()]\n"
                    "  unique-id-header X-Request-ID\n") if case.features else ""
        rules = "".join(f"  use_backend r if {{ path /r/{i} }}\n" for i in range(case.routes))
        proto = " proto h2" if case.back == "h2" else ""
        return self.haproxy_run(f"""global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  http-reuse always
frontend f
  bind 127.0.0.1:{port} {bind}
{features}{rules}  default_backend b
backend b
  server s 127.0.0.1:{origin}{proto}
backend r
  http-request set-path /1024
  server s 127.0.0.1:{origin}{proto}
""", log)

    def nghttpx(self, port, origin, case):
        if case.routes:
            return "no path rewriting without a script"
        front = f"-f127.0.0.1,{port}" + ("" if case.tls else ";no-tls")
        args = [self.paths["nghttpx"], "--conf=/dev/null", "-n1", "--single-process", front,
                f"-b127.0.0.1,{origin};;proto={'h2' if case.back == 'h2' else 'http/1.1'}", "--frontend-keep-alive-timeout=300s",
                "--frontend-http2-max-concurrent-streams=100", "--no-ocsp",
                f"--accesslog-file={self.dir}/nghttpx-{port}.log" if case.features else "--accesslog-file=/dev/null"]
        if case.front == "h2" and case.tls:
            args.append("--npn-list=h2")
        elif case.tls:
            args.append("--npn-list=http/1.1")
        if not case.features:
            args.append("--accesslog-format=")
        args += [self.pki.key("server"), self.pki.cert("server")] if case.tls else []
        return self.procs.spawn(args, PROXY_CPU)

    def tcp(self, kind, port, origin):
        if kind in ("egret", "envoy"):
            return self.bootstrap(kind, bootstrap(
                [{"name": "l", "address": address(port), "filter_chains": [{"filters": [{
                    "name": "envoy.filters.network.tcp_proxy", "typed_config": {
                        "@type": T + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "o"}}]}]}],
                [cluster("o", origin)]))
        if kind == "nginx" and not os.path.exists(STREAM_MODULE):
            return "no stream module (libnginx-mod-stream; NGINX_MODULES says where)"
        if kind == "nginx":
            return self.run_nginx(self.nginx_conf(stream=f"server {{ listen 127.0.0.1:{port} backlog=1024; proxy_pass 127.0.0.1:{origin}; }}"))
        if kind == "haproxy":
            return self.haproxy_run(f"""global
  nbthread 1
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen l
  bind 127.0.0.1:{port}
  server s 127.0.0.1:{origin}
""")
        return "no raw TCP"


class Pki:
    """A CA and a certificate a name, made with the openssl tool."""

    def __init__(self, folder):
        import subprocess
        self.dir = folder
        run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        run("req", "-x509", *key, "-days", "30", "-subj", "/CN=bench-ca", "-keyout", self.key("ca"), "-out", self.cert("ca"))
        for name, host in (("server", "localhost"), ("sidecar", "sidecar.test"), ("gateway", "gateway.test"), ("third", "third.test")):
            run("req", *key, "-subj", f"/CN={host}", "-keyout", self.key(name), "-out", f"{folder}/{name}.csr")
            with open(f"{folder}/{name}.ext", "w") as f:
                f.write(f"subjectAltName=DNS:{host}\n")
            run("x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", self.cert("ca"), "-CAkey", self.key("ca"),
                "-CAcreateserial", "-days", "30", "-extfile", f"{folder}/{name}.ext", "-out", self.cert(name))
            with open(self.both(name), "w") as f:
                f.write(open(self.cert(name)).read() + open(self.key(name)).read())

    def cert(self, name):
        return f"{self.dir}/{name}.pem"

    def key(self, name):
        return f"{self.dir}/{name}.key"

    def both(self, name):
        return f"{self.dir}/{name}-both.pem"
