"""gRPC through the proxy, foreign client and server (grpcio): every kind of call, statuses, metadata, cancellation."""
import concurrent.futures
import threading
import time

import pytest

from configs import bootstrap, cluster, downstream_tls, h2_options, hcm, listener
from harness import free_port
from raw_kit import peer, world  # noqa: F401

grpc = pytest.importorskip("grpc")


class Service:
    """Bytes in, bytes out; what a call does is in its name."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)])
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary), "Upload": grpc.stream_unary_rpc_method_handler(self.upload),
            "Download": grpc.unary_stream_rpc_method_handler(self.download), "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail), "FailLate": grpc.unary_stream_rpc_method_handler(self.fail_late), "Sleep": grpc.unary_unary_rpc_method_handler(self.sleep),
            "Early": grpc.stream_unary_rpc_method_handler(self.early),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def unary(self, request, context):
        meta = dict(context.invocation_metadata())
        if "x-echo-initial" in meta:
            context.send_initial_metadata((("x-echo-initial", meta["x-echo-initial"]),))
        if "x-echo-trailing-bin" in meta:
            context.set_trailing_metadata((("x-echo-trailing-bin", meta["x-echo-trailing-bin"]),))
        return request[::-1] if len(request) < 1000 else b"z" * 314159

    def upload(self, requests, context):
        return str(sum(len(r) for r in requests)).encode()

    def download(self, request, context):
        for size in request.split(b","):
            yield b"d" * int(size)

    def chat(self, requests, context):
        context.add_callback(self.cancelled.set)
        for r in requests:
            yield r + b"!"

    def fail(self, request, context):
        context.set_trailing_metadata((("x-why", "because"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())

    def fail_late(self, request, context):
        yield b"first"
        context.abort(grpc.StatusCode.DATA_LOSS, "late")

    def sleep(self, request, context):
        context.add_callback(self.cancelled.set)
        time.sleep(float(request))
        return b""

    def early(self, requests, context):
        next(requests)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")

    def stop(self):
        self.server.stop(0)


@pytest.fixture(scope="module")
def rig(world, peer, pki):
    s = world.add(Service())
    port, tls, admin = free_port(), free_port(), free_port()
    routes = [{"match": {"prefix": "/dead"}, "route": {"cluster": "dead"}}, {"match": {"prefix": "/test.Service/"}, "route": {"cluster": "b", "timeout": "0s"}}]
    world.proxy(peer, bootstrap([listener(port, hcm(routes=routes)), listener(tls, hcm(routes=routes), tls=downstream_tls(pki, "server", ["h2"]), name="tls")],
                          [cluster("b", s.port, **h2_options()), cluster("dead", free_port(), **h2_options())], admin=admin), port, tls, admin)
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    clear = grpc.insecure_channel(f"127.0.0.1:{port}", options)
    with open(pki.path("ca.pem"), "rb") as f:
        secure = grpc.secure_channel(f"localhost:{tls}", grpc.ssl_channel_credentials(f.read()), options)
    yield {"clear": clear, "tls": secure, "service": s}
    clear.close()
    secure.close()


@pytest.fixture(params=["clear", "tls"])
def channel(rig, request):
    return rig[request.param]


def call(channel, kind, name, service="test.Service"):
    return getattr(channel, kind)(f"/{service}/{name}")


def test_unary_small_empty_and_large(channel):
    unary = call(channel, "unary_unary", "Unary")
    assert unary(b"abc", timeout=20) == b"cba" and unary(b"", timeout=20) == b""
    assert unary(b"y" * 271828, timeout=20) == b"z" * 314159
    assert unary(b"y" * (20 << 20), timeout=60) == b"z" * 314159


def test_client_streaming(channel):
    upload = call(channel, "stream_unary", "Upload")
    assert upload(iter([b"a" * n for n in (27182, 8, 1828, 45904)]), timeout=20) == b"74922"
    assert upload(iter([]), timeout=20) == b"0"
    assert upload((b"x" * 65536 for _ in range(200)), timeout=60) == str(200 * 65536).encode()


def test_server_streaming(channel):
    download = call(channel, "unary_stream", "Download")
    assert [len(x) for x in download(b"31415,9,2653,58979", timeout=20)] == [31415, 9, 2653, 58979]
    assert [len(x) for x in download(b",".join([b"65536"] * 200), timeout=60)] == [65536] * 200


def test_ping_pong_one_message_at_a_time(channel):
    chat = call(channel, "stream_stream", "Chat")
    gate, got = threading.Semaphore(1), []

    def messages():
        for i in range(100):
            assert gate.acquire(timeout=10)
            yield b"%d" % i
    for reply in chat(messages(), timeout=60):
        got.append(reply)
        gate.release()
    assert got == [b"%d!" % i for i in range(100)]
    assert list(chat(iter([]), timeout=20)) == []


def test_metadata_of_both_kinds_passes(channel):
    raw = bytes(range(256))
    reply, c = call(channel, "unary_unary", "Unary").with_call(b"abc", timeout=20, metadata=(("x-echo-initial", "test_initial_metadata_value"), ("x-echo-trailing-bin", raw)))
    assert reply == b"cba" and dict(c.initial_metadata())["x-echo-initial"] == "test_initial_metadata_value"
    assert dict(c.trailing_metadata())["x-echo-trailing-bin"] == raw


@pytest.mark.parametrize("text", ["plain", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n", ""])
def test_status_and_message_pass(channel, text):
    with pytest.raises(grpc.RpcError) as e:
        call(channel, "unary_unary", "Fail")(text.encode(), timeout=20)
    assert e.value.code() == grpc.StatusCode.FAILED_PRECONDITION and e.value.details() == text
    assert dict(e.value.trailing_metadata())["x-why"] == "because"


def test_a_status_behind_messages_passes(channel):
    got = []
    with pytest.raises(grpc.RpcError) as e:
        for x in call(channel, "unary_stream", "FailLate")(b"", timeout=20):
            got.append(x)
    assert got == [b"first"] and (e.value.code(), e.value.details()) == (grpc.StatusCode.DATA_LOSS, "late")


def test_an_early_status_ends_an_upload(channel):
    with pytest.raises(grpc.RpcError) as e:
        call(channel, "stream_unary", "Early")((b"x" * 65536 for _ in range(2000)), timeout=30)
    assert (e.value.code(), e.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


def test_unimplemented_methods_say_so(channel):
    with pytest.raises(grpc.RpcError) as e:
        call(channel, "unary_unary", "Missing")(b"", timeout=20)
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_cancellation_reaches_the_server(rig, channel):
    rig["service"].cancelled.clear()
    gate = threading.Event()

    def messages():
        yield b"one"
        gate.wait(10)
    c = call(channel, "stream_stream", "Chat")(messages())
    assert next(c) == b"one!"
    c.cancel()
    gate.set()
    assert rig["service"].cancelled.wait(10)


def test_a_deadline_reaches_the_server(rig, channel):
    rig["service"].cancelled.clear()
    with pytest.raises(grpc.RpcError) as e:
        call(channel, "unary_unary", "Sleep")(b"2", timeout=0.3)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert rig["service"].cancelled.wait(10)


def test_answers_made_here_are_trailers_only(channel):
    for service, code in (("dead", grpc.StatusCode.UNAVAILABLE), ("no.Route", grpc.StatusCode.UNIMPLEMENTED)):
        with pytest.raises(grpc.RpcError) as e:
            call(channel, "unary_unary", "Unary", service)(b"abc", timeout=20)
        assert e.value.code() == code, e.value


def test_many_calls_at_once(channel):
    unary = call(channel, "unary_unary", "Unary")
    futures = [unary.future(b"%d" % i, timeout=60) for i in range(300)]
    assert [f.result() for f in futures] == [(b"%d" % i)[::-1] for i in range(300)]
