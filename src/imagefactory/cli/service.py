"""What the commands ask of a factory, wherever it is: in this process, or behind a daemon's API."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from imagefactory.builds.artifacts import Artifact
from imagefactory.core.config import Config
from imagefactory.core.images import Image
from imagefactory.core.lock import Lock
from imagefactory.core.secret import Secret
from imagefactory.core.verdict import Verdict
from imagefactory.store.rows import Event

Given = Mapping[str, Any] | None
Faults = Sequence[tuple[int, str]]  #: line and message of each thing that is wrong in a template


class Service(Protocol):
    """A factory; `builds.factory.Factory` says what each call does, and raises."""

    def create_base_image(self, *, template: object, parameters: Given = None) -> Image: ...

    def create_target_image(
        self,
        *,
        target: object,
        base_image_id: object = None,
        template: object = None,
        parameters: Given = None,
    ) -> Image: ...

    def create_provider_image(
        self,
        *,
        provider: object,
        credentials: Secret | None,
        target: object,
        target_image_id: object = None,
        template: object = None,
        parameters: Given = None,
    ) -> Image: ...

    def find(self, image_id: str) -> Image | None: ...

    def query(self, spec: Mapping[str, Any]) -> Sequence[Image]: ...

    def events(
        self, *, after: int = 0, image_id: str | None = None, limit: int = 1000
    ) -> Sequence[Event]: ...

    def body(self, image_id: str) -> Path | str: ...

    def log(self, image_id: str, *, offset: int = 0) -> bytes: ...

    def artifacts(self, image_id: str) -> Sequence[Artifact]: ...

    def artifact(self, image_id: str, name: str) -> AbstractContextManager[Iterator[bytes]]: ...

    def diff(self, image_id: str, other_id: str) -> Mapping[str, Any]: ...

    def verify(self, image_id: str) -> Verdict: ...

    def verify_file(self, sha256: str) -> Verdict: ...

    def plugins(self) -> Sequence[Mapping[str, Any]]: ...

    def plugin(self, plugin_id: str) -> Mapping[str, Any]: ...

    def cancel(self, image_id: str) -> None: ...

    def retry(self, image_id: str) -> Image: ...

    def delete(
        self,
        image_id: str,
        *,
        credentials: Secret | None = None,
        provider: object = None,
        forget: bool = False,
    ) -> None: ...


class Drafts(Protocol):
    """What is done with templates without building anything."""

    def check(self, template: bytes) -> Faults:
        """What is wrong in a template; nothing when it is valid."""
        ...

    def lock(
        self, template: str, parameters: Mapping[str, Any], *, log: Callable[[str], None]
    ) -> Lock:
        """The exact packages that it resolves to; `RequestError`, or what the steps raise."""
        ...


@contextmanager
def open_service(config: Config, *, builds: bool = False) -> Iterator[Service]:
    """The factory of this state folder, or the daemon that the configuration names.

    With `builds` this process does the work itself if no daemon does.
    """
    if config.server:
        from imagefactory.cli.connection import connect  # noqa: PLC0415 - only for a daemon
        from imagefactory.cli.remote import Remote  # noqa: PLC0415

        with connect(config) as connection:
            yield Remote(connection=connection)
        return
    from imagefactory.builds.factory import open_factory  # noqa: PLC0415 - only without a daemon

    with open_factory(config, in_process=builds) as factory:
        yield factory


@contextmanager
def open_drafts(config: Config) -> Iterator[Drafts]:
    """The same for templates, which need no state folder."""
    if config.server:
        from imagefactory.cli.connection import connect  # noqa: PLC0415 - only for a daemon
        from imagefactory.cli.remote_drafts import RemoteDrafts  # noqa: PLC0415

        with connect(config) as connection:
            yield RemoteDrafts(connection=connection)
        return
    from imagefactory.cli.drafts import LocalDrafts  # noqa: PLC0415 - only without a daemon

    yield LocalDrafts(config=config)
