"""The JSON documents of a container image: OCI's (image-spec 1.1), and those of Docker's old archives."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from imagefactory.clouds.docker.wanted import Wanted
from imagefactory.engine.formats.layer import Layer

CONFIG: Final = "application/vnd.oci.image.config.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
PLAIN_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"

Document = dict[str, Any]


def dumps(document: Mapping[str, Any] | list[Any]) -> bytes:
    """The same document is the same bytes."""
    return json.dumps(document, separators=(",", ":")).encode()


def digest(data: bytes) -> str:
    """SHA-256, as registries write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def described(kind: str, data: bytes) -> Document:
    """A descriptor of a document."""
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def created(layer: Layer) -> str:
    """When the image was made: the time of its newest file."""
    return datetime.fromtimestamp(layer.newest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def id_of(wanted: Wanted, layer: Layer) -> str:
    """The image's id in old archives, derived where none is asked for."""
    return wanted.id or hashlib.sha256(f"{wanted.name} {layer.digest}".encode()).hexdigest()


def config(wanted: Wanted, layer: Layer) -> Document:
    """OCI's image configuration; Docker reads it as its own."""
    run = {
        "Entrypoint": _list(wanted.entrypoint),
        "Cmd": _list(wanted.command),
        "Env": _list(wanted.environment),
        "Labels": wanted.labels,
    }
    return {
        "created": created(layer),
        "architecture": wanted.architecture,
        "os": wanted.os,
        "comment": wanted.comment,
        "config": {key: value for key, value in run.items() if value is not None},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}"]},
        "history": [{"created": created(layer), "comment": wanted.comment}],
    }


def old_json(wanted: Wanted, layer: Layer) -> Document:
    """`<id>/json` as a version of Docker had it; today's archives have that of 1.10.1."""
    match wanted.version:
        case "0.11.1":
            return _of_0_11_1(wanted, layer)
        case "1.0.0":
            return _of_1_0_0(wanted, layer)
        case _:
            return _of_1_7_0(wanted, layer)


def config_of_1_10_1(wanted: Wanted, layer: Layer) -> Document:
    """The configuration that stands beside the old members."""
    document = old_json(wanted, layer)
    del document["Size"], document["id"]
    return {
        **document,
        "history": [{"comment": wanted.comment, "created": created(layer)}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}"]},
    }


def _of_0_11_1(wanted: Wanted, layer: Layer) -> Document:
    return {
        "id": id_of(wanted, layer),
        "comment": wanted.comment,
        "created": created(layer),
        "container_config": _container(wanted),
        "docker_version": wanted.version,
        "architecture": wanted.architecture,
        "os": wanted.os,
        "Size": layer.content,
    }


def _of_1_0_0(wanted: Wanted, layer: Layer) -> Document:
    return {
        "Comment": wanted.comment,
        "Container": "",
        "DockerVersion": wanted.version,
        "Parent": "",
        "Author": "",
        "Os": wanted.os,
        "Created": created(layer),
        "Architecture": wanted.architecture,
        "ContainerConfig": _container(wanted),
        "Config": None,
        "Id": id_of(wanted, layer),
        "Size": layer.content,
    }


def _of_1_7_0(wanted: Wanted, layer: Layer) -> Document:
    empty = dict.fromkeys(("Cmd", "Env", "Labels"))
    return {
        "id": id_of(wanted, layer),
        "comment": wanted.comment,
        "created": created(layer),
        "config": _container(wanted),
        "container_config": {**_container(wanted), **empty},
        "docker_version": wanted.version or "1.10.1",
        "architecture": wanted.architecture,
        "os": wanted.os,
        "Size": layer.content,
    }


def _container(wanted: Wanted) -> Document:
    return {
        "Cmd": _list(wanted.command),
        "Env": _list(wanted.environment),
        "Labels": wanted.labels,
        "Entrypoint": _list(wanted.entrypoint),
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "Image": "",
        "Volumes": None,
        "WorkingDir": "",
        "OnBuild": None,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
    }


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)
