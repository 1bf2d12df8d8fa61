"""Folders that change under the server, in every way that people and programs change them."""
import json
import os
import shutil
import time

import pytest

from test_control_kit import Control, eventually


@pytest.fixture
def control(tmp_path):
    c = Control(tmp_path, "service_name: test\n")
    c.artifacts.api("first", "http://10.0.0.1")
    c.artifacts.api("second", "http://10.0.0.2")
    yield c
    c.stop()


def apis(control):
    return {a["name"]: a for a in control.get("/apis") or []}


def becomes(control, *names):
    want = {f"apis/{n};rev=1" for n in names}
    eventually(lambda: set(apis(control)) == want, f"{want}, not {set(apis(control))}")


def path_of(control, name="first"):
    return apis(control).get(f"apis/{name};rev=1", {}).get("path")


def information(path, url="http://10.0.0.1"):
    return json.dumps({"properties": {"path": path, "serviceUrl": url}})


def place(control, *parts):
    return os.path.join(control.artifacts.folder, *parts)


def test_a_new_directory_is_read_file_by_file_as_it_fills(control):
    control.start()
    becomes(control, "first", "second")
    os.makedirs(place(control, "apis/new"))
    time.sleep(0.3)
    with open(place(control, "apis/new/apiInformation.json"), "w") as f:
        f.write(information("new"))
    becomes(control, "first", "second", "new")
    assert "no specification" in apis(control)["apis/new;rev=1"]["closed"]
    shutil.copy(place(control, "apis/first/specification.json"), place(control, "apis/new/specification.json"))
    eventually(lambda: apis(control)["apis/new;rev=1"]["open"] == 2)
    os.makedirs(place(control, "workspaces/w/apis"))
    time.sleep(0.2)
    shutil.copytree(place(control, "apis/new"), place(control, "workspaces/w/apis/inner"))
    eventually(lambda: "workspaces/w/apis/inner;rev=1" in apis(control))


def test_renamed_files_and_directories_are_followed(control):
    control.start()
    becomes(control, "first", "second")
    os.rename(place(control, "apis/first"), place(control, "apis/third"))
    becomes(control, "third", "second")
    os.rename(place(control, "apis"), place(control, "apis-away"))
    eventually(lambda: apis(control) == {})
    os.rename(place(control, "apis-away"), place(control, "apis"))
    becomes(control, "third", "second")
    os.rename(place(control, "apis/second/apiInformation.json"), place(control, "apis/second/apiInformation.json.bak"))
    becomes(control, "third")
    os.rename(place(control, "apis/second/apiInformation.json.bak"), place(control, "apis/second/apiInformation.json"))
    becomes(control, "third", "second")
    shutil.rmtree(place(control, "apis/third"))
    becomes(control, "second")
    shutil.move(place(control, "apis/second"), os.path.join(control.folder, "elsewhere"))
    eventually(lambda: apis(control) == {})
    shutil.move(os.path.join(control.folder, "elsewhere"), place(control, "apis/back"))
    becomes(control, "back")


def test_a_mounted_volume_that_swaps_its_data_link_is_followed(control):
    """As a kubelet does it: entries are links through ..data, which is renamed over."""
    root, over = control.artifacts.folder, control.artifacts.overrides
    for version in ("..v1", "..v2"):
        shutil.copytree(place(control, "apis"), place(control, version, "apis"))
    with open(place(control, "..v2/apis/first/apiInformation.json"), "w") as f:
        f.write(information("swapped"))
    os.remove(place(control, "..v2/apis/second/apiInformation.json"))
    shutil.rmtree(place(control, "apis"))
    os.symlink("..v1", place(control, "..data"))
    os.symlink("..data/apis", place(control, "apis"))
    control.start()
    becomes(control, "first", "second")
    os.symlink("..v2", place(control, "..data_tmp"))
    os.rename(place(control, "..data_tmp"), place(control, "..data"))
    shutil.rmtree(place(control, "..v1"))
    eventually(lambda: path_of(control) == "swapped" and len(apis(control)) == 1)
    with open(place(control, "..v2/apis/first/apiInformation.json"), "w") as f:
        f.write(information("and-watched"))
    eventually(lambda: path_of(control) == "and-watched")
    assert root in place(control) and over


def test_overrides_in_a_mounted_volume_are_followed(control):
    volume = os.path.join(control.folder, "volume")
    for version, path in (("..v1", "one"), ("..v2", "two")):
        os.makedirs(os.path.join(volume, version))
        with open(os.path.join(volume, version, "configuration.yaml"), "w") as f:
            f.write(f"apis:\n- name: first\n  properties: {{path: {path}}}\n")
    os.symlink("..v1", os.path.join(volume, "..data"))
    os.symlink("..data/configuration.yaml", os.path.join(volume, "configuration.yaml"))
    control.artifacts.overrides = os.path.join(volume, "configuration.yaml")
    control.artifacts.save_overrides = lambda: None
    control.start()
    eventually(lambda: path_of(control) == "one")
    os.symlink("..v2", os.path.join(volume, "..data_tmp"))
    os.rename(os.path.join(volume, "..data_tmp"), os.path.join(volume, "..data"))
    eventually(lambda: path_of(control) == "two")


def test_a_link_to_a_file_elsewhere_is_followed_when_it_is_replaced(control):
    target = os.path.join(control.folder, "shared.json")
    for path in ("linked", "replaced"):
        with open(target + path, "w") as f:
            f.write(information(path))
    os.rename(target + "linked", target)
    os.remove(place(control, "apis/first/apiInformation.json"))
    os.symlink(target, place(control, "apis/first/apiInformation.json"))
    control.start()
    eventually(lambda: path_of(control) == "linked")
    os.rename(target + "replaced", target)
    eventually(lambda: path_of(control) == "replaced")


def test_overrides_that_are_a_link_to_elsewhere_are_followed(control):
    target = os.path.join(control.folder, "shared.yaml")

    def write(path):
        with open(target + ".new", "w") as f:
            f.write(f"apis:\n- name: first\n  properties: {{path: {path}}}\n")
        os.rename(target + ".new", target)
    write("one")
    control.artifacts.overrides = os.path.join(control.folder, "mounted", "configuration.yaml")
    os.makedirs(os.path.dirname(control.artifacts.overrides))
    os.symlink("../shared.yaml", control.artifacts.overrides)
    control.artifacts.save_overrides = lambda: None
    control.start()
    eventually(lambda: path_of(control) == "one")
    write("two")
    eventually(lambda: path_of(control) == "two")


def test_a_half_written_file_is_never_published_and_named_until_it_is_whole(control):
    control.start()
    becomes(control, "first", "second")
    text = information("changed")
    with open(place(control, "apis/first/apiInformation.json"), "w") as f:
        for i in range(0, len(text), 7):  # slower than the server looks
            f.write(text[i:i + 7])
            f.flush()
            os.fsync(f.fileno())
            time.sleep(0.05)
            assert path_of(control) in ("first", "changed") and apis(control)["apis/first;rev=1"]["closed"] is None
    eventually(lambda: path_of(control) == "changed")
    with open(place(control, "apis/first/apiInformation.json"), "w") as f:
        f.write(text[:-3])
    eventually(lambda: any(p["kind"] == "STALE" and p["line"] == 1 for p in control.get("/faults")))
    assert path_of(control) == "changed" and apis(control)["apis/first;rev=1"]["stale"]
    control.artifacts.put("apis/first/apiInformation.json", information("mended"))
    eventually(lambda: path_of(control) == "mended" and not control.get("/faults"))


def test_leftovers_of_editors_are_nothing(control):
    control.start()
    becomes(control, "first", "second")
    for name in ("specification.json.tmp~", "specification.json~", "specification.json.swp", "specification.bak", ".specification.yaml.swp",
                 "specification.yaml.orig", "#specification.yaml#", "4913", "apiInformation.json.bak", "policy.xml~", "specification"):
        with open(place(control, "apis/first", name), "w") as f:
            f.write("{broken")
    control.artifacts.put("apis/second/apiInformation.json", information("seen"))
    eventually(lambda: path_of(control, "second") == "seen")
    assert control.get("/faults") == [] and apis(control)["apis/first;rev=1"]["open"] == 2
