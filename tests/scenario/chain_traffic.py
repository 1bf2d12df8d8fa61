"""Calls that go on while a test changes something, and what such tests share."""
import threading

from chain import INTERNAL
from harness import wait_for


class Traffic:
    """Calls one after the other on several threads, until told to stop; every answer is kept."""

    def __init__(self, chain, path, args=lambda: (), threads=2, key=("every", 1)):
        self.answers, self.stopping = [], False
        self.chain, self.path, self.args, self.key = chain, path, args, key
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopping:
            self.answers.append(self.chain.call(self.path, *self.args(), key=self.key)[0])

    def __enter__(self):
        wait_for(lambda: len(self.answers) > 2, "traffic")
        return self

    def __exit__(self, *_):
        n = len(self.answers)
        if _[0] is None:
            wait_for(lambda: len(self.answers) > n + 3, "traffic afterwards")
        self.stopping = True
        for t in self.threads:
            t.join()
        if _[0] is None:
            assert set(self.answers) == {200}, {a: self.answers.count(a) for a in set(self.answers)}


def inner(chain, path=""):
    return f"http://{INTERNAL}:{chain.internal.port}{path}"


def serves(chain, path, key="every", status=200, **more):
    return wait_for(lambda: (lambda a: a[0] == status and a)(chain.call(path, key=key, **more)), f"{path} answers {status}")


def with_gateway(chain, name):
    chain.artifacts.put(f"gateways/app/apis/{name}/gatewayApiInformation.json", {})
