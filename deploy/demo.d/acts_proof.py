"""The acts that look from outside: packet captures, what operators see, the search for secrets, the table."""
import base64
import json
import os
import re
import urllib.parse

from acts_calls import turned_away
from founding import LINES


# ---- captures

def sources_of_syns(demo, pcap, target):
    """Source address -> how many connections it began towards target."""
    out = demo.host("router").run("tcpdump", "-nr", pcap, f"tcp[13] & 0x12 = 0x02 and dst host {target}").stdout
    found = {}
    for address in re.findall(r"IP (\d+\.\d+\.\d+\.\d+)\.\d+ > ", out):
        found[address] = found.get(address, 0) + 1
    return found


def captures(calls):
    demo, out, p = calls.demo, calls.out, calls.demo.place
    out.act("7  What the wire shows")
    if not demo.namespaces:
        recorded(calls)
        return
    number = out.step("tcpdump at the third party: who began connections, since the first act")
    calls.step_of.setdefault("capture-external", []).append(number)
    third = demo.end_capture("third")
    found = sources_of_syns(demo, third, p.third[0])
    out.show("run", f"tcpdump -nr {third} 'tcp[13] & 0x12 = 0x02 and dst host {p.third[0]}'")
    out.show("SYNs", found)
    calls.check(found.get(p.listed, 0) > 0 and set(found) == {p.listed}, f"every SYN, {sum(found.values())} of them, is from {p.listed}")
    number = out.step("tcpdump at the internal backend")
    calls.step_of.setdefault("capture-internal", []).append(number)
    internal = demo.end_capture("backend")
    found = sources_of_syns(demo, internal, p.backend[0])
    out.show("SYNs", found)
    calls.check(set(found) == {p.private}, f"the private source address {p.private} only ({sum(found.values())} SYNs)")
    number = out.step("The gateway's own capture, both sides of it: is there anything of the calls to read?")
    calls.step_of.setdefault("no-plaintext", []).append(number)
    with open(demo.end_capture("gateway"), "rb") as f:
        data = f.read()
    needles = {"path /sessions": b"/sessions", "key header": b"ocp-apim-subscription-key", "key header (2)": b"Ocp-Apim-Subscription-Key",
               "text of the answer": b"plaintext-marker", "request line": b"GET /"}
    needles.update({t: s for t, s in demo.secrets.items() if len(s) >= 16})
    hits = [title for title, needle in needles.items() if needle in data]
    calls.check(len(data) > 100000 and not hits, f"{len(data)} bytes, {len(needles)} things looked for, found: {hits or 'nothing'}")
    with open(internal, "rb") as f:
        calls.check(b"/listUsers" in f.read(), "the same search does find the plain calls at the internal backend (so it can find)")


def recorded(calls):
    """Without namespaces: what the peers wrote down takes the place of captures."""
    demo, out, p = calls.demo, calls.out, calls.demo.place

    def peers(name):
        with open(demo.path("records", f"{name}.jsonl")) as f:
            rows = [json.loads(line) for line in f if line.strip()]
        return {r["connection_from"] for r in rows if "connection_from" in r}, len(rows)
    out.step("Who connected, as the third party recorded it (in place of tcpdump, which needs namespaces)")
    found, n = peers("third-party")
    calls.check(found == {p.listed} and n > 0, f"only {p.listed}: {found}, {n} records")
    out.step("Who connected, as the internal backend recorded it")
    found, n = peers("users")
    calls.check(found == {p.private} and n > 0, f"{found}, {n} records")
    out.say("   Not shown without namespaces: that the gateway's wire holds no plaintext.")


# ---- operators

def operators(calls):
    demo, out = calls.demo, calls.out
    out.act("8  What an operator sees")
    for args, want in ((("status",), "SYNCED"), (("faults",), None), (("egress", "ips"), demo.place.listed)):
        number = out.step(f"egretctl {' '.join(args)}")
        name = {"egress": "whitelist", "status": "online", "faults": "faults"}[args[0]]
        calls.step_of.setdefault(name, []).append(number)
        run = demo.egretctl(*args)
        out.show("answer", run.stdout.rstrip() or run.stderr.rstrip() or "(nothing)")
        calls.check(run.returncode == 0 and (want is None or want in run.stdout), f"answered" + (f", names {want}" if want else ""))
    out.step("The proxies' own pages")
    for host in ("app", "onprem", "gateway"):
        sizes = {}
        for path in ("/ready", "/stats", "/stats/prometheus", "/clusters", "/listeners", "/config_dump", "/server_info", "/certs", "/status"):
            text = demo.admin(host, path)
            sizes[path] = len(text or "")
            if text is not None:
                with open(demo.path("dumps", f"{host}{path.replace('/', '_')}"), "w") as f:
                    f.write(text)
        empty = [k for k, v in sizes.items() if v == 0]
        calls.check(not empty, f"{host}: {', '.join(f'{k} {v} B' for k, v in sizes.items())}")
    for name in ("/status", "/faults", "/proxies", "/egress-ips"):
        with open(demo.path("dumps", f"control{name.replace('/', '_')}"), "w") as f:
            json.dump(demo.control_status(name), f)


# ---- secrets

def forms(secret):
    """The ways in which a secret could stand somewhere."""
    out = {secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret).rstrip(b"="),
           base64.urlsafe_b64encode(secret).rstrip(b"="), urllib.parse.quote_from_bytes(secret).encode(),
           json.dumps(secret.decode("latin-1"))[1:-1].encode()}
    return [f for f in out if len(f) >= 8]


def search(calls):
    demo, out = calls.demo, calls.out
    out.act("9  Are keys or secrets anywhere they should not be?")
    number = out.step("Search of all logs, dumps and state folders")
    calls.step_of.setdefault("secrets", []).append(number)
    hits, files, size = [], 0, 0
    for top in ("logs", "dumps", "state", "records"):
        for where, _, names in os.walk(demo.path(top)):
            for name in names:
                path = os.path.join(where, name)
                if not os.path.isfile(path):
                    continue
                with open(path, "rb") as f:
                    data = f.read()
                files, size = files + 1, size + len(data)
                hits += [f"{title} in {os.path.relpath(path, demo.folder)}" for title, secret in demo.secrets.items()
                         if any(form in data for form in forms(secret))]
    printed = "\n".join(out.text).encode()
    hits += [f"{title} in this transcript" for title, secret in demo.secrets.items() if any(f in printed for f in forms(secret))]
    for hit in hits:
        out.show("HIT", hit)
    with open(demo.path("configuration.demo.yaml"), "rb") as f:
        data = f.read()
    able = [title for title, secret in demo.secrets.items() if any(form in data for form in forms(secret))]
    calls.check(len(able) >= 11, f"the same search finds {len(able)} of them in the overrides file, where they are meant to be")
    calls.check(files > 10 and not hits, f"{len(hits)} hits: {len(demo.secrets)} keys and secrets, in several encodings each, "
                                         f"in {files} files and this transcript, {size} bytes")


# ---- the table

def table(calls):
    out = calls.out
    out.act("10  The founding documents, line by line")
    for document, text, key in LINES:
        if key.startswith("not yet") or key.startswith("outside"):
            said = key
        else:
            numbers = calls.step_of.get(key, [])
            said = "step " + ", ".join(str(n) for n in numbers) if numbers else "not yet: needs namespaces"
            if any(not calls.out.steps[n] for n in numbers):
                said += " (FAILED)"
        out.say(f"   {document}  {text[:100]:<100}  {said}")


def last_line(calls):
    t, out = calls.total, calls.out
    live = calls.load.change_live_ms
    out.say()
    out.say(f"sent {t['sent']}, failed {t['failed']}, longest gap {t['gap']:.0f} ms, addresses seen "
            f"{{{', '.join(sorted(t['addresses']))}}}, change live after {'%.0f ms' % live if live is not None else 'never'}")
    return turned_away(calls)
