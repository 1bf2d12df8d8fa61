"""Folders damaged at random: whatever a file holds, validation ends in order and counts every API."""
import os
import random
import shutil
import subprocess

import pytest

from harness import CONTROL, SANITIZER, SHARED
from test_nasty import Nasty

ROUNDS = int(os.environ.get("EGRET_DAMAGE_ROUNDS", "40"))
PIECES = [b"\x00", b"\xff\xfe", b"{", b"}", b"]", b'"', b"\\u0000", b"<", b">", b"<!--", b"]]>", b"{{", b"}}", b"@(", b"@{", b"&#0;", b"&x;", b"- ", b": ",
          b"*x", b"&x ", b"\t", b"%00", b"{#x#}", b"null", b"[" * 300, b"{\"a\":" * 300, b"<a>" * 300, b"9" * 400, b"\xf0\x9f\x98\x80", b"/../", b";rev=2"]


def damage(r, data):
    kind = r.randrange(6)
    at, to = sorted((r.randrange(len(data) + 1), r.randrange(len(data) + 1)))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[to:]
    if kind == 2:
        return data[:at] + data[at:to] * 2 + data[to:]
    if kind == 3:
        return bytes(b ^ (1 << r.randrange(8)) if r.randrange(40) == 0 else b for b in data)
    return data[:at] + r.choice(PIECES) + data[at:]


def files_of(folder):
    return sorted(os.path.join(w, n) for w, _, names in os.walk(folder) for n in names)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The unusual folder of the tests, and the published ones where they are."""
    work = tmp_path_factory.mktemp("damage")
    unusual = Nasty(work / "nasty")
    out = [unusual.artifacts.folder]
    unusual.stop()
    shared = os.path.join(SHARED, "apim-folders")
    return out + [os.path.join(shared, n) for n in ("official", "lab") if os.path.isdir(os.path.join(shared, n))]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_damaged_folder_is_validated_without_a_crash(tmp_path, folders, seed):
    r = random.Random(seed)
    folder = str(tmp_path / "folder")
    shutil.copytree(folders[seed % len(folders)], folder)
    files = files_of(folder)
    for path in r.sample(files, r.randint(1, min(12, len(files)))):
        if r.randrange(10) == 0:
            os.remove(path)
        elif r.randrange(10) == 0:
            shutil.copy(r.choice([f for f in files if os.path.exists(f) and f != path]), path)
        else:
            with open(path, "rb") as f:
                data = f.read()
            with open(path, "wb") as f:
                f.write(damage(r, data))
    done = subprocess.run([CONTROL, "--mode", "validate", "--folder", folder], capture_output=True, timeout=60)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode in (0, 1) and not SANITIZER.search(text), (seed, text[-3000:])
    words = done.stdout.decode(errors="replace").splitlines()[-1].replace(",", "").split()
    count = sum(os.path.basename(f) == "apiInformation.json" for f in files_of(folder))
    assert words[1::2][0] == "apis" and int(words[0]) + int(words[-4]) == count, (seed, words)
