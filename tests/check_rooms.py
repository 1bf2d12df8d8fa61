#!/usr/bin/env python3
"""Reads every #include under base/, proto/, proxy/ and xds/ and fails on one that tests/rooms.txt does not grant."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
LIBRARY = ("uthash.h", "xxhash.h", "yaml.h", "jansson.h", "openssl/", "protobuf-c/", "event2/", "ares.h", "nghttp2/",
           "pcre2.h", "curl/", "libxml/", "sqlite3.h", "grpc/", "event.h", "hiredis/", "cjose/")


def read_grants():
    grants, order = {}, []
    with open(os.path.join(ROOT, "tests/rooms.txt")) as f:
        for line in f:
            line = line.split("#")[0].strip()
            if not line:
                continue
            room, rest = line.split(":", 1)
            rooms, libs = rest.split("|")
            grants[room] = (set(rooms.split()), tuple(libs.split()))
            order.append(room)
    problems = []
    for i, room in enumerate(order):
        for granted in grants[room][0] - {"pb"}:
            if granted not in order[:i]:
                problems.append(f"tests/rooms.txt: {room}: is granted {granted}, which is not a lower room")
    return grants, problems


def check_file(path, room, grants):
    rooms, libs = grants[room]
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            kind, target = m.groups()
            if kind == '"':
                other = "pb" if target.startswith("pb/") else os.path.dirname(target)
                if other != room and other not in rooms:
                    yield f'{path}:{number}: room {room} includes "{target}" but is not granted {other or "bare names"}'
            elif target.startswith(LIBRARY) and not target.startswith(libs or ("\0",)):
                yield f"{path}:{number}: room {room} includes <{target}>, a library of another room"


def main():
    grants, problems = read_grants()
    files = 0
    for top in ("base", "proto", "proxy", "xds"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            room = os.path.relpath(folder, ROOT)
            for name in sorted(names):
                if not name.endswith((".c", ".h")):
                    continue
                files += 1
                if room not in grants:
                    problems.append(f"{room}/{name}: tests/rooms.txt has no line for {room}")
                    continue
                problems += check_file(f"{room}/{name}", room, grants)
    for p in problems:
        print(p)
    print(f"rooms: {files} files read, {len(problems)} problems")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())
