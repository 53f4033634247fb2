"""The sandbox keeps what runs in it away from the host, and leaves nothing behind."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefactory.core.errors import Cancelled, CommandFailed, ToolMissing
from imagefactory.engine import sandbox as module
from imagefactory.engine.command import Cancellation, Tools
from imagefactory.engine.layers import Layers
from imagefactory.engine.plan import Build
from imagefactory.engine.sandbox import Sandbox
from imagefactory.engine.tree import Tree

pytestmark = pytest.mark.integration

COPY_OF_HOST = """
set -e
mkdir -p usr/bin usr/lib etc proc dev tmp run root sys
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
mkdir -p usr/sbin usr/lib64
for program in sh cat ls id rm mkdir chown chmod dirname stat touch ln sleep mknod grep dmesg; do
    path=$(command -v $program) || continue
    cp "$path" usr/bin/
    ldd "$path" | grep -o '/[^ ]*' | while read library; do cp -n "$library" usr/lib/ || true; done
done
cp -L /lib64/ld-linux-x86-64.so.2 usr/lib64/
echo 'root:x:0:0:root:/root:/bin/sh' > etc/passwd
"""


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    state = tmp_path / "state"  # below a folder that only its owner may enter
    state.mkdir(mode=0o711)
    scratch = state / "scratch" / "b"
    made = Build(
        id="b",
        state=state,
        scratch=scratch,
        cache=state / "cache",
        artifacts=state / "artifacts",
        tools=Tools(),
        report=lambda _percent, _activity=None: None,
    )
    sandbox = Sandbox(state=state, tools=made.tools)
    sandbox.own(scratch)
    sandbox.own(made.cache)
    yield made
    for folder in (scratch, made.cache / "layers"):
        sandbox.remove(folder)


@pytest.fixture
def tree(build: Build) -> Tree:
    with Layers(build=build).create("system") as folder:
        assert folder is not None
        sandbox = Sandbox(state=build.state, tools=build.tools)
        sandbox.host(["sh", "-c", COPY_OF_HOST], cwd=folder / "tree")
    found = Layers(build=build).find("system")
    assert found is not None
    return Tree.load(build).adopt(found)


def test_the_guest_sees_its_own_tree_and_nothing_of_the_host(tree: Tree, build: Build) -> None:
    assert tree.run(["id", "-u"]) == "0\n"
    assert set(tree.run(["ls", "/"]).split()) >= {"etc", "proc", "usr"}
    assert "work" not in tree.run(["ls", "/"]).split()
    with pytest.raises(CommandFailed, match="No such file"):
        tree.run(["ls", str(build.state)])


def test_the_inner_root_is_nobody_of_importance_outside(tree: Tree, build: Build) -> None:
    with tree.change("owned") as change:
        change.write("/etc/secret", b"x", mode=0o600, owner=(33, 44))
    inside = Tree.load(build).run(["stat", "-c", "%u:%g %a", "/etc/secret"])
    assert inside == "33:44 600\n"
    outside = (Tree.load(build).layers[-1] / "etc/secret").stat()
    assert outside.st_uid not in {0, 33, os.geteuid()}


def test_privileges_that_package_scripts_do_not_need_are_not_there(tree: Tree) -> None:
    status = tree.run(["grep", "-E", "CapEff|NoNewPrivs", "/proc/self/status"])
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    assert not effective & (1 << 21), "CAP_SYS_ADMIN"
    assert not effective & (1 << 16), "CAP_SYS_MODULE"
    assert not effective & (1 << 12), "CAP_NET_ADMIN"
    assert "NoNewPrivs:\t1" in status


def test_dangerous_system_calls_are_refused_and_others_work(tree: Tree) -> None:
    assert "Seccomp:\t2" in tree.run(["grep", "Seccomp:", "/proc/self/status"])
    with pytest.raises(CommandFailed, match="Operation not permitted"):
        tree.run(["dmesg"])


def test_the_network_is_there_only_when_asked_for(tree: Tree) -> None:
    interfaces = tree.run(["cat", "/proc/net/dev"])
    assert interfaces.count(":") == 1, "loopback alone"
    assert (
        tree.run(["cat", "/etc/resolv.conf"], network=True) == Path("/etc/resolv.conf").read_text()
    )
    assert tree.read("/etc/resolv.conf") is None, "the mount point does not stay"


def test_a_change_is_sealed_when_whole_and_dropped_when_it_fails(tree: Tree, build: Build) -> None:
    with tree.change("good") as change:
        change.run(["touch", "/etc/good"])
        change.run(["rm", "/etc/passwd"])
    tree = Tree.load(build)
    assert tree.read("/etc/good") == b""
    assert tree.read("/etc/passwd") is None
    with pytest.raises(CommandFailed), tree.change("bad") as change:
        change.run(["sh", "-c", "touch /etc/bad; exit 1"])
    assert Tree.load(build).layers == tree.layers
    assert Tree.load(build).read("/etc/bad") is None
    assert sorted(path.name for path in (build.scratch / "layers").iterdir()) == ["good"]


def test_a_step_that_runs_again_replaces_its_layer_and_all_above(tree: Tree, build: Build) -> None:
    for name in ("one", "two"):
        with Tree.load(build).change(name) as change:
            change.run(["touch", f"/etc/{name}"])
    with Tree.load(build).change("one") as change:
        change.run(["touch", "/etc/again"])
    tree = Tree.load(build)
    assert [layer.name for layer in tree.layers] == ["tree", "one"]
    assert (tree.read("/etc/one"), tree.read("/etc/two"), tree.read("/etc/again")) == (
        None,
        None,
        b"",
    )


def test_the_root_folder_of_a_change_stays_open_to_all(tree: Tree, build: Build) -> None:
    with tree.change("any") as change:
        change.run(["touch", "/etc/any"])
    assert Tree.load(build).run(["stat", "-c", "%a %u", "/"]) == "755 0\n"


def test_host_programs_see_the_merged_tree_read_only(tree: Tree, build: Build) -> None:
    with tree.change("more") as change:
        change.write("/etc/more", b"more")
    tree = Tree.load(build)
    sandbox = tree.sandbox
    listing = sandbox.host(["ls", "tree/etc"], cwd=build.scratch, layers=tree.layers)
    assert {"more", "passwd"} <= set(listing.split())
    for layers in (tree.layers, tree.layers[:1]):
        with pytest.raises(CommandFailed, match="Read-only"):
            sandbox.host(["touch", "tree/etc/x"], cwd=build.scratch, layers=layers)
    assert not list((build.scratch / "tree").iterdir()), "mounted in the sandbox only"


def test_nothing_of_a_cancelled_sandbox_lives_on(tree: Tree, build: Build) -> None:
    cancellation = Cancellation()
    marker = "86399"

    def log(line: str) -> None:
        if line == "started":
            cancellation.request()

    tools = Tools(log=log, cancellation=cancellation)
    sandbox = Sandbox(state=build.state, tools=tools)
    work = build.scratch / "work"
    sandbox.own(work)
    mounts = Path("/proc/self/mounts").read_text()
    with pytest.raises(Cancelled):
        sandbox.guest(
            ["sh", "-c", f"sleep {marker} & echo started; wait"],
            layers=tree.layers,
            upper=None,
            work=work,
        )
    end = time.monotonic() + 2
    while (left := _running(marker)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left
    assert Path("/proc/self/mounts").read_text() == mounts


def test_a_sandbox_dies_with_the_process_that_opened_it(tree: Tree) -> None:
    marker = "86398"
    child = os.fork()
    if child == 0:
        tree.run(["sleep", marker])
        os._exit(0)
    while not _running(marker):
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(child, 9)
    os.waitpid(child, 0)
    end = time.monotonic() + 2
    while (left := _running(marker)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


def test_half_a_shared_layer_is_neither_used_nor_kept(build: Build) -> None:
    layers = Layers(build=build)
    with pytest.raises(ZeroDivisionError), layers.create("k"):
        _ = 1 // 0
    assert layers.find("k") is None
    left = build.cache / "layers" / ".k.partial" / "tree" / "half"
    left.mkdir(parents=True)  # as kill -9 leaves it
    with layers.create("k") as folder:
        assert folder is not None
        assert not (folder / "tree" / "half").exists()
    assert layers.find("k") is not None
    with layers.create("k") as folder:
        assert folder is None, "made by somebody else meanwhile"


def test_a_user_without_subordinate_ids_is_told_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as caught:
        module._first(tmp_path / "subuid", "alice")
    assert str(caught.value).startswith('The user "alice" has no 65,536 subordinate ids')
    assert caught.value.hint is not None
    assert "alice:100000:65536" in caught.value.hint


def _running(word: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if word.encode() in b" ".join(command) and b"sleep" in b" ".join(command):
                found.append(folder.name)
    return found
