#!/usr/bin/env python3
"""No field of the configuration is accepted without effect: each that proxy/config/rules.c names is read by a builder, and
what the builders make of it is read by a room that acts on it. What may be left out stands in proto/ignored.txt instead."""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Fields whose effect is not a plain read of that name; why.
FIELDS = {
    "envoy.config.core.v3.Node": "goes to the control plane as it is",
    "envoy.config.core.v3.Locality": "goes to the control plane as it is",
    "envoy.config.core.v3.BuildVersion": "goes to the control plane as it is",
    "envoy.config.core.v3.Extension": "goes to the control plane as it is",
    "envoy.type.v3.SemanticVersion": "goes to the control plane as it is",
    "envoy.config.core.v3.Metadata": "inside the node, or of a field in ignored.txt",
}
MACROS = {"request_headers_to_add", "request_headers_to_remove", "response_headers_to_add", "response_headers_to_remove"}  # HEADER_LISTS
# Members that only the configuration itself needs.
MEMBERS = {
    "grave", "cleanups", "inline_endpoints", "prefix_len", "server_names", "n_server_names", "destination_port", "destinations", "n_destinations",
    "n_sources", "direct_sources", "n_direct_sources", "source_type", "source_ports", "n_source_ports", "direct_remote",  # listener_choose_chain
    "auto_san_validation", "max_chunk_extension_bytes", "has_idle_timeout", "lingering_close_ms",  # go into what is built from them
}


def strip(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


def read(pattern):
    out = ""
    for path in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True)):
        with open(path, encoding="utf-8") as f:
            out += f.read()
    return out


def messages():
    """Fields of each message of proto/envoy, by full name."""
    found = {}
    for path in glob.glob(os.path.join(ROOT, "proto/envoy/**/*.proto"), recursive=True):
        with open(path, encoding="utf-8") as f:
            text = strip(f.read())
        stack, kinds = [re.search(r"package ([\w.]+);", text).group(1)], []
        token = re.compile(r"\b(message|enum|oneof)\s+(\w+)\s*\{|(\{)|(\})|(?:[\w.]+|map<[^>]*>)\s+(\w+)\s*=\s*\d+\s*(?:\[[^\]]*\])?;")
        for m in token.finditer(text):
            kind, name, opens, closes, field = m.groups()
            if kind:
                kinds.append(kind)
                if kind != "oneof":
                    stack.append(name)
                if kind == "message":
                    found[".".join(stack)] = []
            elif opens:
                kinds.append("")
            elif closes:
                if kinds.pop() in ("message", "enum"):
                    stack.pop()
            elif kinds and kinds[-1] in ("message", "oneof"):
                found[".".join(stack)].append(field)
    return found


def rules():
    text = read("proxy/config/rules.c")
    names = dict(re.findall(r'#define (\w+) "([^"]*)"', text))
    body = text[text.index("rules[] = {"):]
    for macro, literal, fields in re.findall(r'\{(?:(\w+)\s*)?(?:"([^"]*)")?,\s*((?:"[^"]*"\s*)+)\}', body):
        yield names.get(macro, "") + literal, "".join(re.findall(r'"([^"]*)"', fields)).split()


def check_accepted(problems):
    all_messages, source, n = messages(), "", 0
    for path in glob.glob(os.path.join(ROOT, "proxy/config/*.c")):
        if not path.endswith("rules.c"):
            with open(path, encoding="utf-8") as f:
                source += strip(f.read())
    with open(os.path.join(ROOT, "proto/ignored.txt"), encoding="utf-8") as f:
        ignored = {tuple(line.split()[:2]) for line in f if line.strip() and not line.startswith("#")}
    for message, fields in rules():
        for field in all_messages[message] if fields == ["*"] else fields:
            n += 1
            one_of = re.search(rf"\b{field.upper()}\b|_{field.upper()}\b", source) and field not in MACROS
            seen = field in MACROS or one_of or re.search(rf"(->|\.)(n_)?{field}\b", source)
            if message not in FIELDS and not seen:
                problems.append(f"proxy/config/rules.c: {message} {field}: accepted, but no builder reads it")
            if (message, field) in ignored:
                problems.append(f"proto/ignored.txt: {message} {field}: stands in proxy/config/rules.c, too")
    return n


def check_members(problems):
    source, n = "", 0
    for path in glob.glob(os.path.join(ROOT, "proxy/**/*.[ch]"), recursive=True):
        if not path.startswith(os.path.join(ROOT, "proxy/config/")):
            with open(path, encoding="utf-8") as f:
                source += strip(f.read())
    for header in ("proxy/config/snapshot.h", "proxy/route/conf.h", "proxy/config/store.h"):
        for struct, body in re.findall(r"struct (\w+) \{(.*?)\n\}", strip(read(header)), re.S):
            for declaration in body.split(";"):
                if "(" in declaration:
                    continue
                for member in re.findall(r"(\w+)\s*(?:\[[^\]]*\]\s*)?(?:,|$)", declaration.strip()):
                    n += 1
                    if member not in MEMBERS and not re.search(rf"(->|\.){member}\b", source):
                        problems.append(f"{header}: {struct}.{member}: no room outside proxy/config reads it")
    return n


def main():
    problems = []
    fields, members = check_accepted(problems), check_members(problems)
    print("\n".join(problems) if problems else f"fields: {fields} accepted fields are read, {members} members of what they become are used")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
