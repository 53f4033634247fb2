"""The engine of oVirt, as far as a push asks it, before a real ovirt-imageio: no server of it can be run.

Written from the API's model, version 4; it refuses what the engine would refuse, and answers that it
works on a thing before it has done so.
"""

import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx2

from fakes.services import Answer, Asked, serving
from servers.imageio import ImageIO

USER: Final = "admin@internal"
PASSWORD: Final = "not-to-be-shown"
CENTER: Final = "dc-1"
_ROOT: Final = "/ovirt-engine"
_API: Final = f"{_ROOT}/api/"
_BLANK: Final = "00000000-0000-0000-0000-000000000000"
_WORK: Final = 2  # requests that a task takes
_EXTENT: Final = 128 << 20  # bytes of which devices are made
_NOISE: Final = b"what lay here before" * 4096

Thing = dict[str, Any]


def _domain(name: str, kind: str, storage: Thing, **more: Any) -> Thing:
    return {
        "id": f"sd-{name}",
        "name": name,
        "type": kind,
        "status": "active",
        "available": str(1 << 40),
        "storage": storage,
        "data_centers": {"data_center": [{"id": CENTER}]},
        **more,
    }


def _nfs(path: str) -> Thing:
    return {"type": "nfs", "address": "nfs.example.com", "path": path}


_DOMAINS: Final[tuple[Thing, ...]] = (
    _domain("export", "export", _nfs("/home/rhev/export")),
    _domain("other", "data", _nfs("/home/rhev/other"), master="false"),
    _domain("data", "data", _nfs("/home/rhev/data"), master="true"),
    _domain("san", "data", {"type": "iscsi"}, master="false"),
    _domain("full", "data", _nfs("/home/rhev/full"), available="0"),
    _domain("asleep", "data", _nfs("/home/rhev/asleep"), status="maintenance"),
    {**_domain("loose", "data", _nfs("/home/rhev/loose")), "data_centers": {}},
)
_CLUSTERS: Final[list[Thing]] = [
    {"id": "cluster-1", "name": "Default"},
    {"id": "cluster-2", "name": "Second"},
]
_NETWORKS: Final[list[Thing]] = [
    {"id": "net-2", "name": "storage", "usages": {"usage": ["vm"]}},
    {"id": "net-1", "name": "ovirtmgmt", "usages": {"usage": ["management", "vm"]}},
]
_PLACES: Final[dict[str, list[Thing]]] = {
    f"datacenters/{CENTER}/clusters": _CLUSTERS,
    **{f"clusters/{cluster['id']}/networks": _NETWORKS for cluster in _CLUSTERS},
    "networks/net-1/vnicprofiles": [{"id": "profile-1", "name": "ovirtmgmt"}],
    "networks/net-2/vnicprofiles": [],
}


@dataclass
class FakeEngine:
    """What a data center holds, by ids. Keys with an underscore are not shown."""

    folder: Path
    imageio: ImageIO
    url: str = ""
    imageio_url: str = ""  #: how clients reach it
    reached: bool = True  #: whether they reach the host itself, not only the proxy
    sessions: set[str] = field(default_factory=set)
    fail_next: bool = False  #: the next template comes to nothing
    domains: list[Thing] = field(default_factory=lambda: [dict(domain) for domain in _DOMAINS])
    things: dict[str, dict[str, Thing]] = field(
        default_factory=lambda: {
            kind: {} for kind in ("disks", "vms", "templates", "imagetransfers")
        }
    )
    tasks: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    asked: int = 0

    def names(self) -> list[str]:
        """All that is there when the engine has done its work."""
        while self.tasks:
            self._work()
        return [
            f"{kind}: {thing.get('name', thing['id'])}"
            for kind, things in self.things.items()
            for thing in things.values()
        ]

    def read(self, template: str) -> bytes:
        """The disk of a template, by way of ovirt-imageio."""
        while self.tasks:
            self._work()
        file = self.folder / self.things["templates"][template]["_disk"]
        ticket = self._ticket(file, file.stat().st_size, "read")
        content = (
            httpx2.get(self.imageio.admit(ticket), timeout=60, verify=self.imageio.trusted)
            .raise_for_status()
            .content
        )
        self.imageio.dismiss(ticket["uuid"])
        return content

    def answer(self, asked: Asked) -> Answer:
        self._work()
        if asked.path == f"{_ROOT}/sso/oauth/token":
            return self._login(asked)
        if asked.path == f"{_ROOT}/services/sso-logout":
            self.sessions.discard(asked.form()["token"])
            return Answer(content={})
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.sessions:
            return _fault(401, "Unauthorized")
        assert asked.headers["accept"] == "application/json"
        assert asked.path.startswith(_API)
        path = asked.path.removeprefix(_API)
        match asked.method:
            case "GET":
                return self._get(path, asked.query.get("search"))
            case "POST":
                return self._post(path, asked.json())
        assert asked.method == "DELETE"
        kind, identifier = path.split("/")
        return self._delete(kind, identifier)

    def _get(self, path: str, search: str | None) -> Answer:
        if path.endswith("storagedomains"):
            assert path in {"storagedomains", f"datacenters/{CENTER}/storagedomains"}
            return _list("storage_domain", self.domains)
        if path in _PLACES:
            return _list("place", _PLACES[path])
        kind, *words = path.split("/")
        match words:
            case []:
                return self._search(kind, search)
            case [identifier]:
                thing = self.things[kind].get(identifier)
                return _fault(404, "not found") if thing is None else _shown(thing)
        machine, below = words
        return _list(below, self.things[kind][machine][f"_{below}"])

    def _post(self, path: str, body: Thing) -> Answer:
        match path.split("/"):
            case ["disks"]:
                return self._add_disk(body)
            case ["imagetransfers"]:
                return self._add_transfer(body)
            case ["imagetransfers", identifier, action]:
                return self._end_transfer(identifier, action)
            case ["vms"]:
                return self._add_machine(body)
            case ["vms", machine, "nics"]:
                return self._add_nic(machine, body)
            case ["vms", machine, "diskattachments"]:
                return self._attach(machine, body)
        assert path == "templates"
        return self._add_template(body)

    def _login(self, asked: Asked) -> Answer:
        form = asked.form()
        assert (form["grant_type"], form["scope"]) == ("password", "ovirt-app-api")
        if (form["username"], form["password"]) != (USER, PASSWORD):
            message = f"Cannot authenticate user '{form['username']}': {form['password']} is wrong."
            words = {"error_code": "access_denied", "error": message}
            return Answer(status=400, content=words)
        token = uuid4().hex
        self.sessions.add(token)
        return Answer(content={"access_token": token, "exp": "9223372036854775807"})

    def _search(self, kind: str, words: str | None) -> Answer:
        found = list(self.things[kind].values())
        if words is not None:
            key, _, name = words.partition("=")
            assert key == "name"
            found = [thing for thing in found if thing["name"] == name]
        return _list(kind[:-1], found)

    def _delete(self, kind: str, identifier: str) -> Answer:
        thing = self.things[kind].get(identifier)
        if thing is None:
            return _fault(404, "not found")
        attached = kind == "disks" and any(
            identifier in _disks(machine) for machine in self.things["vms"].values()
        )
        if thing["status"].endswith("locked") or attached:
            return _fault(409, f"[Cannot remove {thing['name']}. It is locked.]")
        thing["status"] = "image_locked" if kind == "vms" else "locked"
        self._later(lambda: self._drop(kind, identifier))
        return Answer(content={"status": "complete"})

    def _drop(self, kind: str, identifier: str) -> None:
        thing = self.things[kind].pop(identifier)
        for disk in [*_disks(thing), *([thing["_disk"]] if "_disk" in thing else [])]:
            self.things["disks"].pop(disk, None)
            (self.folder / disk).unlink(missing_ok=True)

    def _add_disk(self, body: Thing) -> Answer:
        [place] = body["storage_domains"]["storage_domain"]
        [domain] = [domain for domain in self.domains if domain["id"] == place["id"]]
        assert (domain["type"], domain["status"]) == ("data", "active")
        device = domain["storage"]["type"] == "iscsi"
        if body["format"] == "raw" and body["sparse"] and device:
            return _fault(409, "[Disk configuration (RAW Sparse) is incompatible.]")
        assert body["provisioned_size"] % 512 == 0
        disk = {**body, "id": str(uuid4()), "status": "locked", "_disk": None}
        disk["_disk"] = disk["id"]
        size = int(body["initial_size"] if body["format"] == "cow" else body["provisioned_size"])
        with (self.folder / disk["id"]).open("wb") as file:
            if device:
                file.write(_NOISE * (size // len(_NOISE)))
                size = -(-size // _EXTENT) * _EXTENT
            file.truncate(size)
        return self._begun("disks", disk, "ok")

    def _add_transfer(self, body: Thing) -> Answer:
        disk = self.things["disks"][body["disk"]["id"]]
        if disk["status"] != "ok":
            return _fault(409, "[Cannot transfer Virtual Disk: The disk is locked.]")
        assert (body["direction"], body["format"]) == ("upload", disk["format"])
        file = self.folder / disk["id"]
        ticket = self._ticket(file, file.stat().st_size, "write")
        path = self.imageio.admit(ticket).removeprefix(self.imageio.url)
        transfer = {**body, "id": str(uuid4()), "phase": "initializing", "_ticket": ticket["uuid"]}
        disk["status"] = "locked"
        self.things["imagetransfers"][transfer["id"]] = transfer
        host = self.imageio_url if self.reached else "http://127.0.0.1:1"

        def begin() -> None:
            transfer["transfer_url"], transfer["proxy_url"] = host + path, self.imageio_url + path
            transfer["phase"] = "transferring"

        shown = _shown(transfer)
        self._later(begin)
        return shown

    def _end_transfer(self, identifier: str, action: str) -> Answer:
        transfer = self.things["imagetransfers"].get(identifier)
        if transfer is None:
            return _fault(404, "not found")
        if action == "resume":
            assert transfer["phase"] == "paused_system"
            transfer["phase"] = "resuming"
            self._later(lambda: transfer.update(phase="transferring"))
            return Answer(content={"status": "complete"})
        if transfer["phase"] not in {"initializing", "transferring"}:
            return _fault(409, "[Cannot end the transfer: it is ending.]")
        self.imageio.dismiss(transfer["_ticket"])
        done = action == "finalize"
        transfer["phase"] = "finalizing_success" if done else "finalizing_cleanup"
        self._later(lambda: self._ended(transfer, done=done))
        return Answer(content={"status": "complete"})

    def _ended(self, transfer: Thing, *, done: bool) -> None:
        disk = self.things["disks"][transfer["disk"]["id"]]
        if not done:
            transfer["phase"] = "finished_cleanup"
            self._drop("disks", disk["id"])
        elif self._is_sound(disk):
            transfer["phase"], disk["status"] = "finished_success", "ok"
        else:
            transfer["phase"], disk["status"] = "finished_failure", "illegal"
        self._later(lambda: self._forget(transfer["id"]))

    def _forget(self, transfer: str) -> None:
        del self.things["imagetransfers"][transfer]

    def _is_sound(self, disk: Thing) -> bool:
        if disk["format"] == "raw":
            return True
        with (self.folder / disk["id"]).open("rb") as file:
            magic, size = struct.unpack(">4s20xQ", file.read(32))
        return (magic, size) == (b"QFI\xfb", disk["provisioned_size"])

    def _add_machine(self, body: Thing) -> Answer:
        assert body["template"] == {"id": _BLANK}
        assert body["cluster"]["id"] in {cluster["id"] for cluster in _CLUSTERS}
        assert body["memory_policy"]["guaranteed"] <= body["memory"] <= body["memory_policy"]["max"]
        if any(machine["name"] == body["name"] for machine in self.things["vms"].values()):
            return _fault(409, "[VM name is already in use.]")
        own: Thing = {"id": str(uuid4()), "status": "image_locked"}
        machine = {**body, **own, "_nics": [], "_diskattachments": []}
        return self._begun("vms", machine, "down")

    def _add_nic(self, machine: str, body: Thing) -> Answer:
        nics = self.things["vms"][machine]["_nics"]
        if any(nic["name"] == body["name"] for nic in nics):
            return _fault(409, "[Network interface name is already in use.]")
        nics.append({**body, "id": str(uuid4())})
        return Answer(status=201, content=nics[-1])

    def _attach(self, machine: str, body: Thing) -> Answer:
        there = self.things["vms"][machine]
        disk = body["disk"]["id"]
        if there["status"] != "down" or self.things["disks"][disk]["status"] != "ok":
            return _fault(409, "[Cannot attach Virtual Disk: it is locked.]")
        if disk in _disks(there):
            return _fault(409, "[Cannot attach Virtual Disk: it is attached already.]")
        assert body["bootable"]
        there["_diskattachments"].append({**body, "id": disk})
        return Answer(status=201, content=there["_diskattachments"][-1])

    def _add_template(self, body: Thing) -> Answer:
        machine = self.things["vms"][body["vm"]["id"]]
        if any(template["name"] == body["name"] for template in self.things["templates"].values()):
            return _fault(409, "[Template name is already in use.]")
        [attachment] = body["vm"]["disk_attachments"]["disk_attachment"]
        source = attachment["disk"]["id"]
        assert machine["status"] == "down"
        assert _disks(machine) == [source]
        [nic] = machine["_nics"]
        copy = {
            **self.things["disks"][source],
            "id": str(uuid4()),
            "name": attachment["disk"]["name"],
        }
        copy["_disk"] = copy["id"]
        self.things["disks"][copy["id"]] = copy
        shutil.copyfile(self.folder / source, self.folder / copy["id"])
        machine["status"] = "image_locked"
        self._later(lambda: machine.update(status="down"))
        own = {"id": str(uuid4()), "status": "locked", "_disk": copy["id"], "_nic": nic}
        ends = "illegal" if self.fail_next else "ok"
        self.fail_next = False
        return self._begun("templates", {**body, **own, "memory": machine["memory"]}, ends)

    def _begun(self, kind: str, thing: Thing, ends: str) -> Answer:
        """A thing that is locked, and has a status in the end."""
        self.things[kind][thing["id"]] = thing
        shown = _shown(thing, status=202)
        self._later(lambda: thing.update(status=ends))
        return shown

    def _ticket(self, file: Path, size: int, right: str) -> Thing:
        return {
            "uuid": str(uuid4()),
            "size": size,
            "url": f"file://{file}",
            "timeout": 3600,
            "ops": [right],
            "sparse": True,
        }

    def _later(self, task: Callable[[], None]) -> None:
        self.tasks.append((self.asked + _WORK, task))

    def _work(self) -> None:
        """Some time passes."""
        self.asked += 1
        due = [task for task in self.tasks if task[0] <= self.asked]
        self.tasks = [task for task in self.tasks if task not in due]
        for _when, task in due:
            task()


@contextmanager
def engine(folder: Path, imageio: ImageIO) -> Iterator[FakeEngine]:
    """A data center without a disk."""
    fake = FakeEngine(folder=folder, imageio=imageio, imageio_url=imageio.url)
    with serving(fake.answer) as url:
        fake.url = url
        yield fake


def _disks(machine: Thing) -> list[str]:
    return [attachment["id"] for attachment in machine.get("_diskattachments", ())]


def _shown(thing: Mapping[str, Any], *, status: int = 200) -> Answer:
    shown = {key: value for key, value in thing.items() if not key.startswith("_")}
    return Answer(status=status, content=shown)


def _list(kind: str, things: list[Thing]) -> Answer:
    """A collection; one without things has no key."""
    shown = [_shown(thing).content for thing in things]
    return Answer(content={kind: shown} if shown else {})


def _fault(status: int, detail: str) -> Answer:
    return Answer(status=status, content={"reason": "Operation Failed", "detail": detail})
