"""How two images differ: in size, packages, files and kernel arguments."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from imagefactory.core.inventory import Inventory
from imagefactory.core.lock import Lock

Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What is known of one of the two; None is what its build has left no record of."""

    id: str
    size: int | None  #: bytes of the body
    lock: Lock | None
    inventory: Inventory | None


def difference(old: Compared, new: Compared) -> Facts:
    """All that differs, as plain values; null where one of the two has no record of it.

    What is `from` one and `to` the other; null stands for what that one does not have.
    """
    packages = files = arguments = None
    if old.lock and new.lock:
        changes = _changes(_versions(old.lock), _versions(new.lock))
        packages = [{"package": {"name": name, **change}} for name, change in changes]
    if old.inventory and new.inventory:
        changes = _changes(_entries(old.inventory), _entries(new.inventory))
        files = [{"file": {"path": path, **change}} for path, change in changes]
        lists = (old.inventory.kernel_arguments, new.inventory.kernel_arguments)
        changes = _changes(*(dict.fromkeys(words, True) for words in lists))
        arguments = [{"kernel_argument": {"argument": word, **change}} for word, change in changes]
    return {
        "from": {"id": old.id, "size": old.size},
        "to": {"id": new.id, "size": new.size},
        "kernel_arguments": arguments,
        "packages": packages,
        "files": files,
    }


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[tuple[str, Facts]]:
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield key, {"from": old.get(key), "to": new.get(key)}


def _versions(lock: Lock) -> dict[str, str]:
    return {f"{package.name}:{package.arch}": package.version for package in lock.packages}


def _entries(inventory: Inventory) -> dict[str, Facts]:
    return {path: asdict(entry) for path, entry in inventory.files.items()}
