"""The demo: see deploy/demo --help and docs/demo.md."""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import traceback

import acts_calls
import acts_load
import acts_proof
from setup import BIN, HERE, Demo, check_tools
from transcript import Transcript
from world import Failed, namespaces_possible


def interrupted(number, frame):
    raise KeyboardInterrupt


def can_use_namespaces(folder):
    rules = os.path.join(folder, "try.nft")
    with open(os.path.join(HERE, "templates", "third-party.nft")) as template, open(rules, "w") as f:
        f.write(template.read().replace("@listed_address@", "10.77.3.77"))
    return namespaces_possible(rules)


def play(demo, out, args):
    calls = acts_calls.Calls(demo, out)
    acts_calls.allow_list(calls)
    demo.capture("third", "third", "tcp")
    demo.capture("backend", "backend", "tcp")
    demo.capture("gateway", "gateway", "tcp")
    acts_calls.names(calls)
    acts_calls.documents(calls)
    acts_calls.keys(calls)
    acts_calls.dead(calls)
    acts_load.under_traffic(calls, args.rate, args.bound)
    acts_proof.captures(calls)
    acts_proof.operators(calls)
    acts_proof.search(calls)
    acts_proof.table(calls)
    acts_proof.last_line(calls)


def keep(demo, out):
    app = demo.host("app")
    p = demo.place
    base = p.base("http", "nnapi-external.azure-api.net")
    resolve = "" if demo.namespaces else f" --resolve nnapi-external.azure-api.net:{p.app_http}:{p.app[0]}"
    ctl = f"{BIN}/egretctl --socket $D/state/control/control.sock"
    call = (f"curl -i{resolve} {base}/conference/sessions --header "
            '"Ocp-Apim-Subscription-Key: $(cat $D/keys/starter-acme.primary)"')
    print(f"""
Everything runs on. To play with it, in another {'root ' if demo.namespaces else ''}shell:

  D={demo.folder}
  {app.shown(call)}
  $EDITOR $D/apim/apis/conference/apiInformation.json      # change an API, call again
  $EDITOR $D/configuration.demo.yaml                       # rotate a key
  {ctl} status
  {ctl} faults
  {app.shown(f"curl -s http://{p.admin['app']}/stats")}
  tail -f $D/logs/app-gatewaylogs.log

Ctrl-C here ends it and removes everything.""", flush=True)
    while True:
        signal.pause()


def main():
    parser = argparse.ArgumentParser(prog="deploy/demo")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--loopback", action="store_true")
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--bound", type=float, default=1, help="seconds in which a change must be live")
    args = parser.parse_args()
    out = Transcript(args.check)
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    folder = tempfile.mkdtemp(prefix="egret-demo.")
    why_not = "--loopback was given" if args.loopback else can_use_namespaces(folder)
    demo, crashed, interrupted_by_user = None, False, False
    try:
        check_tools()
        demo = Demo(folder, why_not is None, out.say)
        if why_not is not None:
            print(f"No network namespaces ({why_not}): loopback addresses 127.0.0.x are the hosts. Packet captures and the packet "
                  "filter are replaced by what the peers record.", flush=True)
        out.say(f"D={folder}   (keys, logs, states of this run; the commands below use it)")
        demo.start()
        play(demo, out, args)
        if args.keep:
            keep(demo, out)
    except KeyboardInterrupt:
        interrupted_by_user = True
        print("interrupted: ending what was started", file=sys.stderr)
    except Failed as e:
        crashed = True
        print(f"error: {e}", file=sys.stderr)
    except Exception:
        crashed = True
        traceback.print_exc()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if demo is not None:
            demo.close()
    failed = out.failed + crashed
    finished = not crashed and (not interrupted_by_user or args.keep)
    print(f"{out.passed} passed, {failed} failed", flush=True)
    if failed and not os.environ.get("EGRET_DEMO_CLEAN"):
        print(f"logs are left in {folder}", file=sys.stderr)
        for name in ("keys", "pki", "configuration.demo.yaml"):
            path = os.path.join(folder, name)
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if finished and failed == 0 and out.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
