"""What a client asks of a container image, read from its parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import Template

Compression = Literal["none", "gzip", "bzip2", "xz"]

#: the flavours of the original's archives, oldest first; beside them there is today's, OCI's
VERSIONS: Final = ("0.11.1", "1.0.0", "1.7.0", "1.10.1")
_COMPRESSIONS: Final = ("gzip", "bzip2", "xz")
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7hl": "armhfp"}
#: what the archive has in any case
_NEEDLESS: Final = ("--numeric-owner", "--xattrs", "--acls", "--selinux", "--one-file-system")
_ID_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A container image that is to be made."""

    name: str  #: the template's
    repository: str
    tag: str
    architecture: str
    os: str
    comment: str
    metadata: bool  #: an archive that `docker load` takes; else the files alone
    compression: Compression
    excludes: tuple[str, ...]
    version: (
        str | None
    )  #: of Docker, whose flavour it has; None is OCI's and what Docker reads today
    id: str | None  #: 64 hex digits
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    environment: tuple[str, ...] | None
    labels: Mapping[str, str] | None = field(default=None)


def read(template: Template, parameters: Parameters) -> Wanted:
    """All parameters of the target; `RequestError` names one that is wrong, the original's words first."""
    compress = parameters.text("compress")
    if compress is not None and compress not in _COMPRESSIONS:
        msg = f"Passed unknown compression type ({compress}) for Docker plugin"
        raise RequestError(msg, hint="Known are gzip, bzip2 and xz")
    version = parameters.text("dockerversion")
    if version is not None and version not in VERSIONS:
        msg = f"No docker JSON template available for specified docker version ({version})"
        raise RequestError(msg, hint=f"Known are {', '.join(VERSIONS)}; without one it is OCI's")
    id = parameters.text("docker_image_id")
    if id is not None and (len(id) != 64 or not set(id) <= _ID_DIGITS):
        msg = f'The parameter "docker_image_id" is "{id}", which is not 64 hex digits'
        raise RequestError(msg)
    excludes = [*_listed(parameters, "tar_excludes", "./etc/fstab"), *_from_options(parameters)]
    return Wanted(
        name=template.name,
        repository=(parameters.text("repository") or template.name).lower(),
        tag=parameters.text("tag") or "latest",
        architecture=_ARCHITECTURES.get(template.os.arch, template.os.arch),
        os=parameters.text("os") or "linux",
        comment=parameters.text("comment") or "Created by Image Factory",
        metadata=parameters.boolean("create_docker_metadata", default=True),
        compression=cast("Compression", compress or "none"),
        excludes=tuple(excludes),
        version=version,
        id=id,
        command=_texts(parameters, "docker_cmd"),
        entrypoint=_texts(parameters, "docker_entrypoint"),
        environment=_texts(parameters, "docker_env"),
        labels=_labels(template, parameters),
    )


def _listed(parameters: Parameters, key: str, default: str) -> list[str]:
    text = parameters.text(key, default=default) or ""
    return [word.strip() for word in text.split(",") if word.strip()]


def _from_options(parameters: Parameters) -> list[str]:
    """The patterns of tar's own options; others would make another archive, or run programs."""
    patterns = []
    for option in _listed(parameters, "tar_options", ""):
        if option.startswith("--exclude="):
            patterns.append(option.removeprefix("--exclude="))
        elif option not in _NEEDLESS:
            msg = f'The option "{option}" of the parameter "tar_options" is not known here'
            raise RequestError(msg, hint="Take tar_excludes to leave files out")
    return patterns


def _texts(parameters: Parameters, key: str) -> tuple[str, ...] | None:
    match _json(parameters, key):
        case None:
            return None
        case list() as words if all(isinstance(word, str) for word in words):
            return tuple(words)
        case _:
            msg = f'The parameter "{key}" is not a JSON list of texts'
            raise RequestError(msg, hint='Such as ["/bin/bash"]')


def _labels(template: Template, parameters: Parameters) -> Mapping[str, str] | None:
    match _json(parameters, "docker_label"):
        case None:
            labels: dict[str, str] = {}
        case dict() as given if all(isinstance(value, str) for value in given.values()):
            labels = given
        case _:
            msg = 'The parameter "docker_label" is not a JSON object of texts'
            raise RequestError(msg, hint='Such as {"version": "1"}')
    if parameters.boolean("docker_set_arch_label", default=False):
        labels = {**labels, "architecture": template.os.arch}
    return labels or None


def _json(parameters: Parameters, key: str) -> Any:
    """JSON text, as the original takes it; or the value itself, from those who send JSON anyway."""
    given = parameters.given.get(key)
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given or "null")
    except json.JSONDecodeError as error:
        msg = f'The parameter "{key}" is not JSON: line {error.lineno}, column {error.colno}'
        raise RequestError(msg) from None
