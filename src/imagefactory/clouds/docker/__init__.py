"""Containers as a target: a disk's files as an image that is loaded, or pushed to any registry."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from imagefactory.clouds.docker import archived, documents, login, wanted
from imagefactory.clouds.docker.archived import Archived
from imagefactory.clouds.docker.login import DockerLogin
from imagefactory.clouds.docker.registry import Registry, connected
from imagefactory.clouds.docker.wrap import WrapFiles
from imagefactory.core.config import Config
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.disk.wanted import filesystems
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.progress import Progress
from imagefactory.plugins.rest import ASKING

#: in the manifest, so that no two images share one, and a delete takes its own
_TOKEN: Final = "imagefactory.token"  # noqa: S105 - an annotation's name

_UNDOING: Final = 10.0  # seconds that a failed push tries to remove what it has named


class Docker:
    """The target `docker`. An image's files are its base image's; its kernel is that of the host."""

    def __init__(self, _config: Config) -> None:
        pass

    @property
    def info(self) -> Info:
        return info("Docker", "cloud", "Containers: OCI images, for docker load and any registry")

    @property
    def targets(self) -> Sequence[str]:
        return ("docker",)

    def login(self, provider: str, credentials: Secret) -> DockerLogin:
        return login.read(provider, credentials)

    def customization(self, template: Template) -> Customization:
        return Customization()

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        disks = filesystems(template.additions, parameters)
        if disks.beside or disks.root != "ext4":
            msg = 'The target "docker" takes the files of one "ext4" filesystem, and the template has others'
            raise RequestError(msg, hint="Leave <filesystems> out for container images")
        return (WrapFiles(wanted=wanted.read(template, parameters)),)

    def check(self, login: DockerLogin) -> None:
        with connected(login, seconds=ASKING) as registry:
            registry.check()

    def push(self, image: ProviderImage, disk: Path, login: DockerLogin, report: Report) -> Pushed:
        progress = Progress(report, size=100)
        with (
            connected(login, proceed=progress.proceed) as registry,
            archived.opened(disk) as content,
        ):
            if digest := registry.manifest(_tag(image.id)):
                progress(100)
                return _pushed(digest, login)
            manifest = _bring(image, content, registry, login, progress)
            return _publish(image, manifest, registry, login, progress)

    def find(self, token: str, login: DockerLogin) -> Pushed | None:
        with connected(login) as registry:
            digest = registry.manifest(_tag(token))
            return _pushed(digest, login) if digest else None

    def delete(self, identifier: str, login: DockerLogin) -> None:
        place, _, digest = identifier.partition("@")
        if place != login.place or not digest:
            msg = f'The image "{identifier}" is not in the repository "{login.place}"'
            raise CloudError(msg)
        with connected(login) as registry:
            registry.delete_manifest(digest)


def _bring(
    image: ProviderImage,
    content: Archived,
    registry: Registry,
    login: DockerLogin,
    progress: Progress,
) -> bytes:
    """Upload layer and configuration, which nobody sees yet; the manifest that will name them."""
    progress(0, "Compressing the layer")
    digest, size = content.measure()
    progress(5, f'Uploading the layer to "{login.place}"')

    def pieces() -> Iterator[bytes]:
        sent = 0
        for piece in content.compressed():
            progress(5 + 90 * sent // size)
            yield piece
            sent += len(piece)

    registry.upload(digest, size, pieces)
    config = content.config
    registry.upload(documents.digest(config), len(config), lambda: iter([config]))
    return documents.dumps(
        {
            "schemaVersion": 2,
            "mediaType": documents.MANIFEST,
            "config": documents.described(documents.CONFIG, config),
            "layers": [{"mediaType": documents.LAYER, "digest": digest, "size": size}],
            "annotations": {_TOKEN: image.id},
        }
    )


def _publish(
    image: ProviderImage,
    manifest: bytes,
    registry: Registry,
    login: DockerLogin,
    progress: Progress,
) -> Pushed:
    """Name the image; the token's tag comes last: by it a push is found, and then it is complete."""
    digest = documents.digest(manifest)
    progress(95, f'Tagging the image in "{login.place}"')
    try:
        for tag in (*login.tags, _tag(image.id)):
            registry.put_manifest(tag, manifest, digest=digest)
        progress(100)
    except BaseException:
        _undo(login, digest)
        raise
    return _pushed(digest, login)


def _undo(login: DockerLogin, digest: str) -> None:
    """Remove what is half named, if the registry still answers; the fault is told by another.

    By a connection of its own: that of a push that is cancelled makes no more requests.
    """
    with suppress(CloudError), connected(login, seconds=_UNDOING) as registry:
        registry.delete_manifest(digest)


def _tag(token: str) -> str:
    return f"imagefactory-{token}"


def _pushed(digest: str, login: DockerLogin) -> Pushed:
    return Pushed(identifier=f"{login.place}@{digest}", account=login.username or "anonymous")
