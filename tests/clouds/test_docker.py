"""What clients ask of container images, and where they push them, is read without asking anybody."""

import bz2
import gzip
import hashlib
import json
import lzma
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from contract import CloudContract, made_with, template
from fakes.build import a_build
from imagefactory.clouds.docker import Docker, wanted
from imagefactory.clouds.docker.login import DockerLogin
from imagefactory.core.additions import Additions, Filesystem
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret

_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
XML: Final = """<provider_credentials><docker_credentials>
  <username>me</username><password>hunter2</password>
</docker_credentials></provider_credentials>"""


class TestDocker(CloudContract[DockerLogin]):
    provider: ClassVar[str] = "registry.example.com:5000/team/web:1"
    credentials: ClassVar[str] = XML
    secrets: ClassVar[Collection[str]] = ("hunter2",)
    needs_credentials: ClassVar[bool] = False
    broken_providers: ClassVar[Collection[str]] = (
        *("{}", "{", "<", "[]", "registry", "registry/UPPER", "/web", "registry/web:-"),
        '{"registry": "ftp://example.com", "repository": "web"}',
        '{"registry": "https://me:secret@example.com", "repository": "web"}',
        '{"registry": "example.com", "repository": "web", "tags": [3]}',
    )
    wrong_parameters: ClassVar[Mapping[str, object]] = {
        "docker_cmd": "/bin/sh",
        "docker_env": '{"A": "b"}',
        "docker_label": "[]",
        "docker_image_id": "abc",
        "create_docker_metadata": "perhaps",
        "tag": ["latest"],
    }

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        return Docker(made_with(tmp_path))


def test_files_of_several_file_systems_are_refused(tmp_path: Path) -> None:
    apart = Additions(filesystems=(Filesystem(mount="/home", size=1 << 30),))
    wanted = replace(template(name="Debian", version="12"), additions=apart)
    with pytest.raises(RequestError, match='one "ext4" filesystem'):
        Docker(made_with(tmp_path)).plan_target(wanted, Parameters())


def test_a_reference_or_json_names_the_repository(tmp_path: Path) -> None:
    read = Docker(made_with(tmp_path)).login
    one = read("registry.example.com:5000/team/web:1", Secret(""))
    assert (one.registry, one.repository, one.tags) == (
        "https://registry.example.com:5000",
        "team/web",
        ("1",),
    )
    assert one.place == "registry.example.com:5000/team/web"
    given = {"registry": "http://127.0.0.1:5000", "repository": "web", "tags": "1, latest"}
    two = read(json.dumps(given), Secret('{"token": "hunter2"}'))
    assert (two.registry, two.tags) == ("http://127.0.0.1:5000", ("1", "latest"))
    assert two.token is not None
    assert two.token.reveal() == "hunter2"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"compress": "zip"}, "Passed unknown compression type (zip) for Docker plugin"),
        (
            {"dockerversion": "2.0"},
            "No docker JSON template available for specified docker version (2.0)",
        ),
        (
            {"tar_options": "--numeric-owner,--to-command=sh"},
            'The option "--to-command=sh" of the parameter "tar_options" is not known here',
        ),
    ],
)
def test_the_originals_refusals(tmp_path: Path, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as error:
        Docker(made_with(tmp_path)).plan_target(template(), Parameters(parameters))
    assert error.value.brief == said


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw disk with two files."""
    if shutil.which("mkfs.ext4", path=_PATH) is None:
        pytest.skip("e2fsprogs is not installed")
    folder = tmp_path_factory.mktemp("docker")
    (folder / "tree" / "etc").mkdir(parents=True)
    for name in ("fstab", "passwd"):
        (folder / "tree" / "etc" / name).write_text("seven b")
    command: list[str | Path] = ["mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256"]
    command += ["-d", folder / "tree", "-E", "root_owner=0:0", folder / "disk", "8M"]
    subprocess.run(command, check=True, env={"PATH": _PATH})
    return folder / "disk"


def made(tmp_path: Path, disk: Path, **parameters: Any) -> Path:
    build = a_build(tmp_path, source=disk)
    for step in Docker(made_with(tmp_path)).plan_target(template(), Parameters(parameters)):
        step.run(build)
    assert {path.name for path in build.scratch.iterdir()} == {"disk", "notes.json"}
    return build.disk


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        files = {name: tar.extractfile(name) for name in tar.getnames()}
        return {name: file.read() if file else b"" for name, file in files.items()}


#: what a layer's JSON has in each version of Docker
KEYS: Final = {
    "0.11.1": "id comment created container_config docker_version architecture os Size",
    "1.0.0": "Comment Container DockerVersion Parent Author Os Created Architecture ContainerConfig Config Id Size",
    "1.7.0": "id comment created config container_config docker_version architecture os Size",
    "1.10.1": "id comment created config container_config docker_version architecture os Size",
}


@pytest.mark.parametrize("version", KEYS)
def test_old_archives_have_the_members_of_old(tmp_path: Path, disk: Path, version: str) -> None:
    id = "ab" * 32
    found = members(
        made(
            tmp_path,
            disk,
            dockerversion=version,
            docker_image_id=id,
            docker_cmd='["/bin/bash"]',
            docker_env='["A=b"]',
            docker_label='{"one": "1"}',
            docker_set_arch_label="true",
            comment="by hand",
            os="plan9",
            repository="Team/Web",
            tag="1",
        )
    )
    old = [id, f"{id}/json", f"{id}/VERSION", f"{id}/layer.tar", "repositories"]
    assert list(found)[:5] == old
    assert found[f"{id}/VERSION"] == b"1.0"
    assert json.loads(found["repositories"]) == {"team/web": {"1": id}}
    told = json.loads(found[f"{id}/json"])
    assert told["Size"] == 7
    key = {"0.11.1": "container_config", "1.0.0": "ContainerConfig"}.get(version, "config")
    assert told[key]["Cmd"] == ["/bin/bash"]
    assert told[key]["Env"] == ["A=b"]
    assert told[key]["Labels"] == {"one": "1", "architecture": "x86_64"}
    assert set(KEYS[version].split()) <= set(told)
    named = {name.lower().replace("_", ""): value for name, value in told.items()}
    assert (named["comment"], named["os"], named["dockerversion"]) == ("by hand", "plan9", version)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", named["created"])
    assert told["Id" if version == "1.0.0" else "id"] == id
    assert told["Architecture" if version == "1.0.0" else "architecture"] == "amd64"
    if version != "1.10.1":
        assert len(found) == 5
        return
    config, manifest = list(found)[5:]
    assert config == f"{hashlib.sha256(found[config]).hexdigest()}.json"
    assert manifest == "manifest.json"
    assert json.loads(found[manifest]) == [
        {"Config": config, "RepoTags": ["team/web:1"], "Layers": [f"{id}/layer.tar"]}
    ]
    layer = hashlib.sha256(found[f"{id}/layer.tar"]).hexdigest()
    assert json.loads(found[config])["rootfs"]["diff_ids"] == [f"sha256:{layer}"]
    assert not {"Size", "id"} & set(json.loads(found[config]))


@pytest.mark.parametrize(
    ("arch", "shown"),
    [("x86_64", "amd64"), ("armv7hl", "armhfp"), ("aarch64", "arm64"), ("ppc64le", "ppc64le")],
)
def test_processors_are_called_as_docker_calls_them(arch: str, shown: str) -> None:
    other = replace(template(), os=replace(template().os, arch=arch))
    assert wanted.read(other, Parameters({})).architecture == shown


def test_todays_archive_is_an_oci_layout_too(tmp_path: Path, disk: Path) -> None:
    found = members(made(tmp_path, disk))
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    [entry] = json.loads(found["index.json"])["manifests"]
    for name, content in found.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    manifest = json.loads(found[f"blobs/sha256/{entry['digest'].partition(':')[2]}"])
    [layer] = manifest["layers"]
    [docker] = json.loads(found["manifest.json"])
    assert docker["RepoTags"] == ["web-server:latest"]
    assert docker["Layers"] == [f"blobs/{layer['digest'].replace(':', '/')}"]
    config = json.loads(found[docker["Config"]])
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    assert config["config"] == {}
    [link] = [name for name in found if name.endswith("/layer.tar")]
    assert found[link] == found[docker["Layers"][0]]


@pytest.mark.parametrize(
    ("compress", "plain"),
    [("gzip", gzip.decompress), ("bzip2", bz2.decompress), ("xz", lzma.decompress)],
)
def test_compressed_archives_hold_the_same(
    tmp_path: Path, disk: Path, compress: str, plain: Callable[[bytes], bytes]
) -> None:
    if shutil.which(compress) is None and compress == "xz":
        pytest.skip("xz is not installed (xz-utils)")
    whole = made(tmp_path / "plain", disk).read_bytes()
    packed = made(tmp_path / "packed", disk, compress=compress).read_bytes()
    assert len(packed) < len(whole)
    assert plain(packed) == whole


def test_the_files_alone_are_a_tar_without_fstab(tmp_path: Path, disk: Path) -> None:
    archive = made(tmp_path, disk, create_docker_metadata="no")
    assert set(members(archive)) == {"etc", "etc/passwd"}
    both = made(tmp_path / "both", disk, create_docker_metadata=False, tar_excludes="nothing")
    assert set(members(both)) == {"etc", "etc/passwd", "etc/fstab"}


def test_the_same_disk_is_the_same_image(tmp_path: Path, disk: Path) -> None:
    assert made(tmp_path / "one", disk).read_bytes() == made(tmp_path / "two", disk).read_bytes()
