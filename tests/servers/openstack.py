"""A real Keystone and a real Glance on loopback, with a state of their own."""

import getpass
import grp
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from keystoneauth1.exceptions import ClientException
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from servers.environment import FOLDER, programs

HERE: Final = Path(__file__).resolve().parent
_KEPT: Final = FOLDER / "prepared"
_STARTING: Final = 90.0  # seconds; neighbours may be busy
_LIMIT: Final = 1800  # seconds that a server lives at most
ADMIN: Final = "admin"
USER: Final = "demo"


@dataclass(frozen=True, kw_only=True)
class OpenStackServers:
    """Two servers that run, an administrator, and a user who may push."""

    keystone: str  #: URL, without a version
    glance: str  #: URL, without a version
    store: Path  #: where Glance puts what it is sent
    passwords: Mapping[str, str] = field(repr=False)

    def session(self, user: str = USER) -> Session:
        """A client of the user's own project, to look from beside what the tested code does."""
        auth = v3.Password(
            f"{self.keystone}/v3",
            username=user,
            password=self.passwords[user],
            project_name=user,
            user_domain_name="Default",
            project_domain_name="Default",
        )
        return Session(auth=auth, timeout=30)

    def images(self) -> list[dict[str, Any]]:
        """All images there are, in whatever state."""
        answer = self.session(ADMIN).get(
            f"{self.glance}/v2/images", params={"visibility": "all", "limit": 100}
        )
        found: list[dict[str, Any]] = answer.json()["images"]
        return found

    def application_credential(self) -> Mapping[str, str]:
        """A new application credential of the user's: `id`, `name` and `secret`."""
        session = self.session()
        answer = session.post(
            f"{self.keystone}/v3/users/{session.get_user_id()}/application_credentials",
            json={"application_credential": {"name": f"push-{secrets.token_hex(4)}"}},
        )
        made: dict[str, str] = answer.json()["application_credential"]
        return {key: made[key] for key in ("id", "name", "secret")}


@contextmanager
def running(state: Path) -> Iterator[OpenStackServers]:
    """Both servers, set up from nothing in some seconds, and gone at the end of the block."""
    binaries = programs()
    with ExitStack() as stack:
        identity, image = (stack.enter_context(listening()) for _ in range(2))
        servers = OpenStackServers(
            keystone=address(identity),
            glance=address(image),
            store=state / "images",
            passwords={name: secrets.token_urlsafe(12) for name in (ADMIN, USER, "glance")},
        )
        _configure(servers, state)
        _prepare(servers, state, binaries)
        stack.enter_context(serving("keystone", identity, state, binaries))
        _fill_keystone(servers)
        stack.enter_context(serving("glance", image, state, binaries))
        yield servers


def listening() -> socket.socket:
    """A socket on a free port of loopback, to be handed to a server."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # The server sets it on the sockets that it makes itself; without it every answer waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.listen(64)
    return listener


def address(listener: socket.socket) -> str:
    """The URL of a server that listens there."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _configure(servers: OpenStackServers, state: Path) -> None:
    for folder in ("images", "staging", "tasks", "locks"):
        (state / folder).mkdir(parents=True)
    words = {
        "@STATE@": str(state),
        "@KEYSTONE@": servers.keystone,
        "@GLANCE@": servers.glance,
        "@PASSWORD@": servers.passwords["glance"],
        "@PASTE@": str(FOLDER / "etc" / "glance" / "glance-api-paste.ini"),
    }
    for name in ("keystone.conf", "glance-api.conf"):
        text = (HERE / f"{name}.in").read_text()
        for word, value in words.items():
            text = text.replace(word, value)
        (state / name).write_text(text)


def _prepare(servers: OpenStackServers, state: Path, binaries: Path) -> None:
    """Empty databases and keys, kept for the next time beside the programs, and an administrator."""
    keystone = [str(binaries / "keystone-manage"), "--config-file", str(state / "keystone.conf")]
    if not _KEPT.exists():
        glance = [str(binaries / "glance-manage"), "--config-file", str(state / "glance-api.conf")]
        group = grp.getgrgid(os.getgid()).gr_name
        owner = ["--keystone-user", getpass.getuser(), "--keystone-group", group]
        _run([*keystone, "db_sync"], state)
        _run([*keystone, "fernet_setup", *owner], state)
        _run([*keystone, "credential_setup", *owner], state)
        _run([*glance, "db_sync"], state)
        unfinished = Path(tempfile.mkdtemp(dir=_KEPT.parent))
        for name in ("keystone.db", "glance.db"):
            shutil.copy(state / name, unfinished)
        for name in ("fernet", "credential"):
            shutil.copytree(state / name, unfinished / name)
        with suppress(OSError):  # another session has been faster
            unfinished.rename(_KEPT)
    else:
        shutil.copytree(_KEPT, state, dirs_exist_ok=True)
    bootstrap = ["bootstrap", "--bootstrap-region-id", "RegionOne"]
    for interface in ("admin", "internal", "public"):
        bootstrap += [f"--bootstrap-{interface}-url", f"{servers.keystone}/v3"]
    password = {"OS_BOOTSTRAP_PASSWORD": servers.passwords[ADMIN]}
    _run([*keystone, *bootstrap], state, env=password)


def _fill_keystone(servers: OpenStackServers) -> None:
    """Projects, users and the catalogue's entry for Glance."""
    session = servers.session(ADMIN)

    def post(path: str, kind: str, **content: Any) -> str:
        answer = session.post(f"{servers.keystone}/v3/{path}", json={kind: content})
        return str(answer.json()[kind]["id"])

    roles = session.get(f"{servers.keystone}/v3/roles").json()["roles"]
    role_ids = {role["name"]: role["id"] for role in roles}
    for user, project, role in (("glance", "service", "admin"), (USER, USER, "member")):
        project_id = post("projects", "project", name=project, domain_id="default")
        user_id = post(
            "users", "user", name=user, password=servers.passwords[user], domain_id="default"
        )
        grant = f"projects/{project_id}/users/{user_id}/roles/{role_ids[role]}"
        session.put(f"{servers.keystone}/v3/{grant}")
    service = post("services", "service", name="glance", type="image")
    for interface in ("admin", "internal", "public"):
        where = {"interface": interface, "url": servers.glance, "region_id": "RegionOne"}
        post("endpoints", "endpoint", service_id=service, **where)


@contextmanager
def serving(name: str, listener: socket.socket, state: Path, binaries: Path) -> Iterator[None]:
    """One of the servers that `serve.py` knows, in a process of its own."""
    handle, url, log = listener.fileno(), address(listener), state / f"{name}.out"
    # Isolated, or modules that lie beside the script would hide the servers' own.
    python = [str(binaries / "python"), "-I", "-W", "ignore", str(HERE / "serve.py")]
    config = {"OS_KEYSTONE_CONFIG_DIR": state, "OS_GLANCE_CONFIG_DIR": state}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*python, name, str(handle), str(_LIMIT)],
            cwd=state,
            env={**os.environ, **{key: str(value) for key, value in config.items()}},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[handle],
        ) as process,
    ):
        listener.close()  # or a dead server's port would still take connections
        try:
            _await(url, process, log)
            yield
        finally:
            process.kill()


def _await(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    ends = time.monotonic() + _STARTING
    session = Session(timeout=5)
    while process.poll() is None and time.monotonic() < ends:
        try:
            session.get(url, authenticated=False, raise_exc=False)
        except ClientException:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{url} does not answer:\n{output.read_text(errors='replace')[-4000:]}")


def _run(command: Sequence[str], state: Path, *, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=state,
        env={**os.environ, **(env or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=_STARTING,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
