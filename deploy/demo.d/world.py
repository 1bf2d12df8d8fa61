"""The hosts of the demo: network namespaces joined by a router, or, without the right to make them, loopback addresses.

A Host runs programs and knows its addresses. Whatever is made here (namespaces, /etc/netns folders, processes) is
removed by World.close(), which runs at every way out; processes are ended by their ids.
"""
import os
import signal
import subprocess
import time


class Failed(Exception):
    """The demo cannot go on; the text says why."""


def sh(*args, check=True, **kw):
    out = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, **kw)
    if check and out.returncode != 0:
        raise Failed(f"{' '.join(args)}: {out.stderr.strip() or out.returncode}")
    return out


class Process:
    def __init__(self, name, popen, log, shown=""):
        self.name, self.popen, self.log, self.shown = name, popen, log, shown

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def wait(self, seconds):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, number=signal.SIGTERM, seconds=5):
        self.send(number)
        if self.wait(seconds) is None:
            self.popen.kill()
            self.popen.wait()
        return self.popen.returncode

    def tail(self, lines=15):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])


class Host:
    def __init__(self, world, name, title, addresses):
        self.world, self.name, self.title, self.addresses = world, name, title, addresses
        self.ns = f"{world.prefix}-{name}" if world.namespaces else None

    @property
    def address(self):
        return self.addresses[0]

    def command(self, *args):
        return (["ip", "netns", "exec", self.ns] if self.ns else []) + [str(a) for a in args]

    def shown(self, text):
        """The command as one pastes it into a root shell."""
        return f"ip netns exec {self.ns} {text}" if self.ns else text

    def run(self, *args, check=False, seconds=30, env=None):
        return subprocess.run(self.command(*args), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
                              env={**os.environ, **(env or {})}, check=check)

    def spawn(self, name, *args, output=None, **env):
        """Starts a program; its output goes to logs/<name>.log (or `output` gets its standard output)."""
        log = os.path.join(self.world.folder, "logs", f"{name}.log")
        with open(log, "ab") as f:
            p = subprocess.Popen(self.command(*args), stdin=subprocess.DEVNULL, stdout=output or f, stderr=f,
                                 start_new_session=True, env={**os.environ, **env})
        process = Process(name, p, log, self.shown(" ".join(str(a) for a in args)).replace(self.world.folder, "$D"))
        self.world.processes.append(process)
        return process


class World:
    """folder: where logs, keys and states of this run go. subnet: "10.77" (namespaces)."""

    def __init__(self, folder, namespaces):
        self.folder, self.namespaces = folder, namespaces
        self.prefix = f"egret{os.getpid()}"
        self.hosts, self.processes, self.made = {}, [], []
        os.makedirs(os.path.join(folder, "logs"), exist_ok=True)

    def add_host(self, name, title, *addresses, resolver=None):
        host = self.hosts[name] = Host(self, name, title, list(addresses))
        if self.namespaces:
            self.make_namespace(host, resolver)
        return host

    def make_namespace(self, host, resolver):
        sh("ip", "netns", "add", host.ns)
        self.made.append(host.ns)
        etc = f"/etc/netns/{host.ns}"
        os.makedirs(etc, exist_ok=True)
        with open(f"{etc}/resolv.conf", "w") as f:
            f.write(f"nameserver {resolver}\noptions timeout:1 attempts:1\n" if resolver else "# no names are known here\n")
        # The demo's hosts see one route each, not the machine's files of names.
        with open(f"{etc}/hosts", "w") as f:
            f.write("127.0.0.1 localhost\n")
        self.ip(host, "link", "set", "lo", "up")

    @staticmethod
    def ip(host, *args):
        sh("ip", "-n", host.ns, *args)

    def join(self, router, host):
        """One veth pair; the router's end is the host's network's .1."""
        network = host.address.rsplit(".", 1)[0]
        inside = f"to-{host.name}"[:15]
        sh("ip", "link", "add", "eth0", "netns", host.ns, "type", "veth", "peer", "name", inside, "netns", router.ns)
        self.ip(router, "addr", "add", f"{network}.1/24", "dev", inside)
        self.ip(router, "link", "set", inside, "up")
        for address in host.addresses:
            self.ip(host, "addr", "add", f"{address}/24", "dev", "eth0")
        self.ip(host, "link", "set", "eth0", "up")
        self.ip(host, "route", "add", "default", "via", f"{network}.1", "src", host.address)

    def route(self, router):
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", check=True)

    def forget(self, process):
        process.stop()
        self.processes.remove(process)

    def close(self):
        for process in reversed(self.processes):
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + 5
        for process in reversed(self.processes):
            if process.wait(max(0.05, deadline - time.monotonic())) is None:
                process.popen.kill()
                process.popen.wait()
        self.processes = []
        for ns in reversed(self.made):
            sh("ip", "netns", "del", ns, check=False)
            for name in ("resolv.conf", "hosts"):
                path = f"/etc/netns/{ns}/{name}"
                if os.path.exists(path):
                    os.unlink(path)
            if os.path.isdir(f"/etc/netns/{ns}"):
                os.rmdir(f"/etc/netns/{ns}")
        if self.made and os.path.isdir("/etc/netns") and not os.listdir("/etc/netns"):
            os.rmdir("/etc/netns")
        self.made = []


def namespaces_possible(rules):
    """None, or why not: by trying all that the demo needs in a namespace that is removed again. rules: for nft."""
    if os.geteuid() != 0:
        return "this is not root"
    name = f"egret{os.getpid()}-try"
    inside = ["ip", "netns", "exec", name]
    tries = (["ip", "link", "add", "try0", "netns", name, "type", "veth", "peer", "name", "try1", "netns", name],
             ["ip", "-n", name, "link", "set", "lo", "up"],
             [*inside, "nft", "-f", rules],
             [*inside, "timeout", "0.3", "tcpdump", "-Z", "root", "-i", "lo", "-w", "/dev/null"])
    try:
        made = sh("ip", "netns", "add", name, check=False)
        if made.returncode != 0:
            return f"ip netns add: {made.stderr.strip()}"
        for command in tries:
            out = sh(*command, check=False)
            if out.returncode not in (0, 124):  # 124: tcpdump listened until its time was over
                return f"{' '.join(command)}: {out.stderr.strip()}"
        return None
    except OSError as e:
        return str(e)
    finally:
        sh("ip", "netns", "del", name, check=False)
