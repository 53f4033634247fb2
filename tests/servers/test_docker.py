"""The target `docker` against a real registry; skopeo, which others wrote, reads what is there."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, urlsplit

import pytest

from contract import TOKEN, Interrupted, PushContract, made_with, template
from fakes.build import Told, a_build
from fakes.faulty import Call, Fault, Faulty
from fakes.proxy import line_to
from fault_contract import FaultContract, Life
from imagefactory.clouds.docker import Docker
from imagefactory.clouds.docker.login import DockerLogin
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.plugins.contract import Pushed
from servers.registry import PASSWORD, USER, RunningRegistry, running_registry

pytestmark = pytest.mark.integration

REPOSITORY: Final = "tests/web"
CREDENTIALS: Final = json.dumps({"username": USER, "password": PASSWORD})
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def a_filesystem(folder: Path, *, content: bytes) -> Path:
    """A raw disk that is one ext4 file system with a shell in it."""
    tree, disk = folder / "tree", folder / "base.body"
    for name in ("bin", "etc", "proc", "dev"):
        (tree / name).mkdir(parents=True)
    shutil.copy(_busybox(), tree / "bin" / "sh")
    (tree / "etc" / "fstab").write_text("not for containers")
    (tree / "etc" / "random").write_bytes(content)
    command = ["mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", "-O", "64bit,metadata_csum"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    command += ["-E", "root_owner=0:0", "-d", str(tree), str(disk), "64M"]
    subprocess.run(command, check=True, env=environment)
    shutil.rmtree(tree)
    return disk


def _busybox() -> str:
    found = shutil.which("busybox")
    if found is None:
        pytest.skip("busybox, the shell of the tests' containers, is not installed")
    return found


def an_archive(folder: Path, *, content: bytes, **parameters: Any) -> Path:
    """A target image, made by the plugin's own plan."""
    folder.mkdir(exist_ok=True)
    build = a_build(folder, source=a_filesystem(folder, content=content))
    for step in Docker(made_with(folder)).plan_target(template(), Parameters(parameters)):
        step.run(build)
    return build.disk


def provider(url: str, **more: Any) -> str:
    return json.dumps({"registry": url, "repository": REPOSITORY, **more})


def names(registry: RunningRegistry) -> list[str]:
    """Tags, and the digests that they name."""
    named = registry.tags(REPOSITORY)
    digests = [
        registry.get(f"{REPOSITORY}/manifests/{tag}", Accept=MANIFEST).headers[
            "Docker-Content-Digest"
        ]
        for tag in named
    ]
    return [*named, *digests]


class TestDocker(PushContract[DockerLogin]):
    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Docker:
        return Docker(made_with(tmp_path))

    @pytest.fixture
    def login(self, cloud: Docker, registry: RunningRegistry) -> Iterator[DockerLogin]:
        self.registry = registry
        login = cloud.login(provider(registry.url), Secret(CREDENTIALS))
        yield login
        if found := cloud.find(TOKEN, login):
            cloud.delete(found.identifier, login)

    @pytest.fixture
    def refused(self, cloud: Docker, registry: RunningRegistry) -> DockerLogin:
        wrong = json.dumps({"username": USER, "password": "wrong"})
        return cloud.login(provider(registry.url), Secret(wrong))

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Path:
        return an_archive(tmp_path / "made", content=os.urandom(20 << 20))

    def things(self, login: DockerLogin) -> Collection[str]:  # noqa: ARG002
        return names(self.registry)


class TestDockerWithFaults(FaultContract[DockerLogin]):
    stride: ClassVar[int] = 4  # a push makes some twenty requests

    @pytest.fixture
    def cloud(self, tmp_path: Path) -> Docker:
        return Docker(made_with(tmp_path))

    @pytest.fixture
    def through(self, cloud: Docker, faulty: Faulty, registry: RunningRegistry) -> DockerLogin:
        self.registry = registry
        self.front = faulty.front(registry.url)
        return cloud.login(provider(self.front), Secret(CREDENTIALS))

    @pytest.fixture
    def small(self, tmp_path: Path) -> Path:
        return an_archive(tmp_path / "made", content=os.urandom(9 << 20))

    def things(self, login: DockerLogin) -> Collection[str]:  # noqa: ARG002
        return names(self.registry)

    def requests(self, faulty: Faulty, push: Life, fault: Fault) -> list[Call]:
        self.registry.forget_layers()
        calls = super().requests(faulty, push, fault)
        self.registry.forget_layers()
        return calls

    def expect_one(
        self, pushed: Pushed, push: Life, login: DockerLogin, before: Collection[str], call: Call
    ) -> None:
        super().expect_one(pushed, push, login, before, call)
        self.registry.forget_layers()

    def is_good(self, pushed: Pushed, disk: Path) -> bool:
        digest = pushed.identifier.partition("@")[2]
        answer = self.registry.get(f"{REPOSITORY}/manifests/{digest}", Accept=MANIFEST)
        return answer.status_code == 200 and layer_of(self.registry, answer.json()) == plain(disk)


def layer_of(registry: RunningRegistry, manifest: dict[str, Any]) -> str:
    """SHA-256 of the one layer's tar, as it lies at the registry."""
    [layer] = manifest["layers"]
    packed = registry.get(f"{REPOSITORY}/blobs/{layer['digest']}").content
    assert f"sha256:{hashlib.sha256(packed).hexdigest()}" == layer["digest"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert "etc/fstab" not in tar.getnames()
    return hashlib.sha256(_gunzip(packed)).hexdigest()


def _gunzip(data: bytes) -> bytes:
    return subprocess.run(["gzip", "-dc"], input=data, check=True, capture_output=True).stdout


def plain(archive: Path) -> str:
    """SHA-256 of the layer's tar in an archive."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile("manifest.json")
        assert file
        [entry] = json.load(file)
        layer = tar.extractfile(entry["Layers"][0])
        assert layer
        return hashlib.file_digest(layer, "sha256").hexdigest()  # type: ignore[arg-type]


@pytest.fixture
def image() -> ProviderImage:
    return ProviderImage(id=TOKEN, name="web-server", provider="{}", target="docker")


def skopeo(*words: str | Path) -> str:
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo, which reads images as others do, is not installed")
    done = subprocess.run(["skopeo", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_what_was_pushed_and_its_shell_runs(
    registry: RunningRegistry, tmp_path: Path, image: ProviderImage
) -> None:
    cloud = Docker(made_with(tmp_path))
    made = an_archive(
        tmp_path / "made",
        content=b"x",
        docker_cmd='["/bin/sh"]',
        docker_env='["A=b"]',
        docker_label='{"one": "1"}',
        docker_set_arch_label=True,
    )
    login = cloud.login(provider(registry.url, tags=["1", "latest"]), Secret(CREDENTIALS))
    pushed = cloud.push(image, made, login, Told())
    assert registry.tags(REPOSITORY) == ["1", f"imagefactory-{TOKEN}", "latest"]
    source = f"docker://{pushed.identifier}"
    told = json.loads(
        skopeo("inspect", "--config", "--tls-verify=false", "--creds", f"{USER}:{PASSWORD}", source)
    )
    assert (told["architecture"], told["os"]) == ("amd64", "linux")
    assert told["config"] == {
        "Cmd": ["/bin/sh"],
        "Env": ["A=b"],
        "Labels": {"one": "1", "architecture": "x86_64"},
    }
    out = tmp_path / "copied"
    login_words = ("--src-tls-verify=false", "--src-creds", f"{USER}:{PASSWORD}")
    skopeo("--insecure-policy", "copy", *login_words, source, f"dir:{out}")
    manifest = json.loads((out / "manifest.json").read_text())
    root = tmp_path / "root"
    root.mkdir()
    blob = out / manifest["layers"][0]["digest"].partition(":")[2]
    subprocess.run(["tar", "-xzpf", blob, "-C", root], check=True)
    words: list[str | Path] = [
        "--unshare-user",
        "--unshare-pid",
        "--uid",
        "0",
        "--bind",
        root,
        "/",
        "--dev",
        "/dev",
    ]
    run: list[str | Path] = ["bwrap", *words, "--proc", "/proc", "/bin/sh", "-c", "echo it runs"]
    said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert said == "it runs\n"
    cloud.delete(pushed.identifier, login)
    assert registry.tags(REPOSITORY) == []


def test_a_layer_that_is_there_is_not_sent_again(
    registry: RunningRegistry, tmp_path: Path, image: ProviderImage
) -> None:
    cloud = Docker(made_with(tmp_path))
    content = os.urandom(6 << 20)
    first = an_archive(tmp_path / "one", content=content)
    second = an_archive(tmp_path / "two", content=content, docker_cmd='["/bin/other"]')
    with line_to(registry.url) as line:
        login = cloud.login(provider(line.url), Secret(CREDENTIALS))
        before = cloud.push(image, first, login, Told())
        assert line.passed > 6 << 20
        sent = line.passed
        if plain(first) == plain(second):
            other = ProviderImage(id="other", name="web", provider="{}", target="docker")
            after = cloud.push(other, second, login, Told())
            assert line.passed - sent < 64 << 10
            assert after.identifier != before.identifier
            cloud.delete(after.identifier, login)
            assert cloud.find(image.id, login) == before
        cloud.delete(before.identifier, login)


@pytest.mark.parametrize("last", [95, 100])
def test_a_push_that_is_cancelled_at_its_end_leaves_no_tag(
    registry: RunningRegistry, tmp_path: Path, image: ProviderImage, last: int
) -> None:
    cloud = Docker(made_with(tmp_path))
    made = an_archive(tmp_path / "made", content=b"x")

    def interrupt(percent: int, activity: str | None = None) -> None:
        if percent >= last and activity is None:
            raise Interrupted

    login = cloud.login(provider(registry.url), Secret(CREDENTIALS))
    with pytest.raises(Interrupted):
        cloud.push(image, made, login, interrupt)
    assert registry.tags(REPOSITORY) == []


def test_a_layer_is_taken_from_another_repository(
    registry: RunningRegistry, tmp_path: Path, image: ProviderImage
) -> None:
    cloud = Docker(made_with(tmp_path))
    made = an_archive(tmp_path / "made", content=os.urandom(6 << 20))
    first = cloud.login(provider(registry.url), Secret(CREDENTIALS))
    pushed = cloud.push(image, made, first, Told())
    with line_to(registry.url) as line:
        given = {"registry": line.url, "repository": "tests/other", "mount_from": REPOSITORY}
        login = cloud.login(json.dumps(given), Secret(CREDENTIALS))
        mounted = cloud.push(image, made, login, Told())
        assert line.passed < 64 << 10
        cloud.delete(mounted.identifier, login)
    cloud.delete(pushed.identifier, first)


class TokenRegistry(BaseHTTPRequestHandler):
    """A registry that wants a token for the right repository, and gives it to one user."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        query = parse_qs(urlsplit(self.path).query)
        scope = f"repository:{REPOSITORY}:pull,push,delete"
        right = self.headers["Authorization"] == f"Basic {word}" and query["scope"] == [scope]
        right = right and query["service"] == ["tests"]
        self._answer(200 if right else 401, body=b'{"token": "given"}' if right else b"{}")

    def do_POST(self) -> None:
        if self.headers.get("Authorization") != "Bearer given":
            realm = f"http://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="tests",scope="repository:other:pull"'
            self._answer(401, headers={"WWW-Authenticate": challenge})
            return
        self._answer(202, headers={"Location": f"/v2/{REPOSITORY}/blobs/uploads/1"})

    def do_DELETE(self) -> None:
        assert self.headers["Authorization"] == "Bearer given"
        self._answer(204)

    def _answer(
        self, status: int, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_token_is_asked_for_where_the_registry_says(tmp_path: Path) -> None:
    cloud = Docker(made_with(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), TokenRegistry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = provider(f"http://127.0.0.1:{server.server_port}")
        cloud.check(cloud.login(place, Secret(CREDENTIALS)))
        assert len(TokenRegistry.asked) == 1
        wrong = Secret(json.dumps({"username": USER, "password": "hunter3"}))
        with pytest.raises(CloudError, match="does not let this login write"):
            cloud.check(cloud.login(place, wrong))
        cloud.check(cloud.login(place, Secret('{"token": "given"}')))
        assert len(TokenRegistry.asked) == 2
        server.shutdown()


def test_a_registry_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    cloud = Docker(made_with(tmp_path))
    with line_to("http://127.0.0.1:9") as line:
        nowhere = line.url
    before = time.monotonic()
    with pytest.raises(CloudError, match="could not be reached, or broke off"):
        cloud.check(cloud.login(provider(nowhere), Secret(CREDENTIALS)))
    assert time.monotonic() - before < 10


def test_a_wrong_password_is_told_and_not_shown(registry: RunningRegistry, tmp_path: Path) -> None:
    cloud = Docker(made_with(tmp_path))
    wrong = Secret(json.dumps({"username": USER, "password": "hunter3"}))
    with pytest.raises(CloudError, match="does not let this login write") as error:
        cloud.check(cloud.login(provider(registry.url), wrong))
    assert "hunter3" not in f"{error.value!r} {error.value.__cause__!r} {error.value.hint}"


@pytest.mark.parametrize("version", ["1.10.1", None])
@pytest.mark.parametrize("compress", ["none", "gzip", "xz", "bzip2"])
def test_skopeo_reads_the_archives(tmp_path: Path, version: str | None, compress: str) -> None:
    parameters = {"dockerversion": version, "compress": None if compress == "none" else compress}
    made = an_archive(tmp_path / "made", content=b"x", **parameters)
    kinds = ["docker-archive", *(["oci-archive"] if (version, compress) == (None, "none") else [])]
    for kind in kinds:
        out = tmp_path / kind
        readable = made
        if compress == "gzip":  # skopeo 1.9 reads no archive that is gzipped, whoever wrote it
            readable = tmp_path / "plain.tar"
            readable.write_bytes(_gunzip(made.read_bytes()))
        skopeo("--insecure-policy", "copy", f"{kind}:{readable}", f"dir:{out}")
        assert json.loads((out / "manifest.json").read_text())["layers"]
