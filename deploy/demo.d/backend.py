"""A backend of the demo: answers every request with who it is, whom it saw, and what it was sent.

Values of headers that carry keys are answered and recorded as a hash, so that no secret leaves this process.
"""
import argparse
import hashlib
import json
import os
import re
import socket
import socketserver
import ssl
import sys
import threading
import urllib.parse

SECRET_HEADERS = ("ocp-apim-subscription-key", "x-functions-key", "authorization")


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:16]


class State:
    def __init__(self, args):
        self.args, self.lock = args, threading.Lock()
        self.record = open(args.record, "a", buffering=1) if args.record else None
        self.function_key = open(args.function_key).read().strip() if args.function_key else None

    def note(self, row):
        if self.record:
            with self.lock:
                self.record.write(json.dumps(row) + "\n")


USERS = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}, {"id": 3, "name": "Radia"}]
SESSIONS = [{"id": 100, "title": "Egress with one address", "marker": "plaintext-marker-8f21"},
            {"id": 101, "title": "Keys as hashes", "marker": "plaintext-marker-8f21"}]
PRODUCTS = [{"id": 7, "name": "Penguin"}, {"id": 8, "name": "Trail map"}]


def content(path):
    last = path.rstrip("/").rsplit("/", 1)[-1]
    return {"listUsers": USERS, "sessions": SESSIONS, "products": PRODUCTS}.get(last)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        state, peer = self.server.state, self.client_address[0]
        args = state.args
        if args.only_from and peer != args.only_from:
            state.note({"refused": peer})  # in the place of the third party's packet filter
            return
        sock = self.request
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        state.note({"connection_from": peer})
        try:
            if self.server.tls:
                sock = self.server.tls.wrap_socket(sock, server_side=True)
            sock.settimeout(300)
            self.serve(sock, state, peer)
        except (OSError, ValueError):
            pass
        finally:
            try:
                sock.close()
            except OSError:
                pass

    def serve(self, sock, state, peer):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            head, data = data.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            body, data = self.body(sock, headers, data)
            sock.sendall(self.answer(state, peer, method, target, headers, body))
            if headers.get("connection", "").lower() == "close":
                return

    @staticmethod
    def body(sock, headers, data):
        def fill(n):
            nonlocal data
            while len(data) < n:
                more = sock.recv(65536)
                if not more:
                    raise ValueError("ended within the body")
                data += more
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                while b"\r\n" not in data:
                    fill(len(data) + 1)
                line, data = data.split(b"\r\n", 1)
                size = int(line.split(b";")[0], 16)
                fill(size + 2)
                body, data = body + data[:size], data[size + 2:]
                if size == 0:
                    return body, data
        n = int(headers.get("content-length", 0))
        fill(n)
        return data[:n], data[n:]

    @staticmethod
    def answer(state, peer, method, target, headers, body):
        url = urllib.parse.urlsplit(target)
        seen = {k: digest(v) if k in SECRET_HEADERS else v for k, v in headers.items()}
        query = re.sub(r"(subscription-key=)([^&]*)", lambda m: m.group(1) + digest(m.group(2)), url.query)
        answer = {"host": state.args.name, "peer": peer, "method": method, "path": url.path, "query": query,
                  "headers": seen}
        data = content(url.path)
        if data is not None:
            answer["data"] = data
        if body:
            answer["received"] = len(body)
        status = "200 OK"
        if state.function_key is not None and headers.get("x-functions-key") != state.function_key:
            status, answer = "401 Unauthorized", {"host": state.args.name, "error": "x-functions-key is needed"}
        state.note({"peer": peer, "method": method, "path": url.path, "status": status[:3], "headers": sorted(seen)})
        text = json.dumps(answer).encode()
        return (f"HTTP/1.1 {status}\r\nContent-Type: application/json; charset=utf-8\r\n"
                f"Content-Length: {len(text)}\r\n\r\n").encode() + text


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        pass


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--name", required=True)
    p.add_argument("--listen", required=True, help="ADDRESS:PORT")
    p.add_argument("--tls", help="FOLDER/NAME of NAME.pem and NAME.key")
    p.add_argument("--record", help="file: one line of JSON per connection and request")
    p.add_argument("--function-key", help="file: the x-functions-key that is asked for")
    p.add_argument("--only-from", help="serve this peer address only")
    args = p.parse_args()
    host, port = args.listen.rsplit(":", 1)
    server = Server((host, int(port)), Handler, bind_and_activate=True)
    server.state, server.tls = State(args), None
    if args.tls:
        server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(args.tls + ".pem", args.tls + ".key")
    print(f"{args.name} on {args.listen} pid {os.getpid()}", flush=True)
    try:
        server.serve_forever(0.5)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
