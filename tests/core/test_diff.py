"""Two images compared by their records."""

from imagefactory.core.diff import Compared, difference
from imagefactory.core.inventory import Entry, Inventory
from imagefactory.core.lock import Lock, LockedPackage


def lock(**versions: str) -> Lock:
    packages = tuple(
        LockedPackage(
            name=name, version=version, arch="all", url="u", size=1, sha256="0" * 64, origin="o"
        )
        for name, version in versions.items()
    )
    return Lock(system="Debian", version="12", arch="x86_64", epoch=0, packages=packages)


def inventory(*arguments: str, **modes: str) -> Inventory:
    files = {
        f"/{name}": Entry(type="f", mode=mode, owner="0:0", size=1, sha256="a" * 64)
        for name, mode in modes.items()
    }
    return Inventory(kernel_arguments=arguments, files=files)


def test_what_was_added_changed_and_taken_away_is_told() -> None:
    old = Compared(
        id="a",
        size=10,
        lock=lock(bash="5.1", dash="1", zsh="2"),
        inventory=inventory("quiet", "console=tty0", same="644", mode="644", gone="600"),
    )
    new = Compared(
        id="b",
        size=20,
        lock=lock(bash="5.2", dash="1", fish="3"),
        inventory=inventory("console=tty0", "ro", same="644", mode="4755", new="600"),
    )
    facts = difference(old, new)
    assert (facts["from"], facts["to"]) == ({"id": "a", "size": 10}, {"id": "b", "size": 20})
    assert facts["packages"] == [
        {"package": {"name": "bash:all", "from": "5.1", "to": "5.2"}},
        {"package": {"name": "fish:all", "from": None, "to": "3"}},
        {"package": {"name": "zsh:all", "from": "2", "to": None}},
    ]
    assert facts["kernel_arguments"] == [
        {"kernel_argument": {"argument": "quiet", "from": True, "to": None}},
        {"kernel_argument": {"argument": "ro", "from": None, "to": True}},
    ]
    files = {entry["file"]["path"]: entry["file"] for entry in facts["files"]}
    assert list(files) == ["/gone", "/mode", "/new"]
    assert (files["/mode"]["from"]["mode"], files["/mode"]["to"]["mode"]) == ("644", "4755")
    assert (files["/gone"]["to"], files["/new"]["from"]) == (None, None)
    same = difference(old, old)
    assert not any(same[key] for key in ("packages", "files", "kernel_arguments"))


def test_what_was_not_recorded_is_null() -> None:
    bare = Compared(id="a", size=None, lock=None, inventory=None)
    full = Compared(id="b", size=1, lock=lock(), inventory=inventory())
    facts = difference(bare, full)
    assert (facts["packages"], facts["files"], facts["kernel_arguments"]) == (None, None, None)


def test_an_inventory_is_read_as_it_was_written() -> None:
    written = inventory("quiet", **{"odd \n name \udc80": "644"})
    link = Entry(type="l", mode="777", owner="0:0", size=3, link="usr")
    written = Inventory(
        kernel_arguments=written.kernel_arguments, files={**written.files, "/lib": link}
    )
    assert Inventory.loads(written.dumps()) == written
