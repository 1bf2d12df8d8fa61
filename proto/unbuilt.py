#!/usr/bin/env python3
"""Writes proto/unbuilt.txt: every field that Envoy has in a message we take and that our .proto leaves out.

usage: proto/unbuilt.py TABLE.md > proto/unbuilt.txt

TABLE.md lists Envoy's messages ("#### `package` — file", "- **`Message`**", "  - number `field`: type …").
Run it when a .proto changes; the build reads only unbuilt.txt.
"""
import pathlib
import re
import sys


def our_fields(root):
    """{full message name: {field number}} of every .proto under root."""
    messages = {}
    for path in sorted(root.rglob("*.proto")):
        text = re.sub(r"//[^\n]*", "", path.read_text())
        package = re.search(r"^package ([\w.]+);", text, re.M)[1]
        stack = []
        for token in re.finditer(r"(message|enum|oneof|service)\s+(\w+)\s*\{|(\})|=\s*(\d+)\s*;", text):
            kind, name, close, number = token.groups()
            if kind:
                stack.append((kind, name))
                if kind == "message":
                    messages[full_name(package, stack)] = set()
            elif close:
                stack.pop()
            elif stack[-1][0] in ("message", "oneof"):
                messages[full_name(package, stack)].add(int(number))
    return messages


def full_name(package, stack):
    return ".".join([package] + [name for kind, name in stack if kind == "message"])


def envoy_fields(table):
    """Yields (full message name, number, field) of every field in the table."""
    package = message = None
    for line in table.read_text().splitlines():
        if match := re.match(r"#### `([^`]+)`", line):
            package, message = match[1], None
        elif match := re.match(r"- \*\*`([^`]+)`\*\*", line):
            message = f"{package}.{match[1]}"
        elif message and (match := re.match(r"  - (\d+) `(\w+)`:", line)):
            yield message, int(match[1]), match[2]


def main():
    ours = our_fields(pathlib.Path(__file__).parent)
    rows = {row for row in envoy_fields(pathlib.Path(sys.argv[1])) if row[0] in ours and row[1] not in ours[row[0]]}
    for row in sorted(rows):
        print(*row)


if __name__ == "__main__":
    main()
