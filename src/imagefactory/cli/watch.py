"""Waiting for an image while showing on standard error how far it is."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Final, Protocol, Self

from imagefactory.cli.service import Service
from imagefactory.core.config import Config
from imagefactory.core.errors import FactoryError, NotFound
from imagefactory.core.images import Image

_PERIOD: Final = 0.2  # seconds between looks at the record
_AT_FIRST: Final = 0.05  # for a second: an image may be there already in all but its name


class Detail(Enum):
    """How much of a build is shown."""

    NONE = auto()
    ACTIVITIES = auto()
    LOG = auto()

    @classmethod
    def of(cls, config: Config) -> Self:
        """What an operator wants to see: a terminal has room for a bar, a file for everything."""
        on_terminal = sys.stderr.isatty()
        return cls.LOG if config.verbose or (config.debug and not on_terminal) else cls.ACTIVITIES


class Display(Protocol):
    """Where progress is shown."""

    def tell(self, image: Image) -> None:
        """This is what is being worked on, and how far it is."""
        ...

    def write(self, text: str) -> None:
        """This has been added to its log: whole lines."""
        ...


def follow(
    service: Service, image_id: str, *, parents: bool = False, detail: Detail = Detail.NONE
) -> Image:
    """Wait until no worker has the image. While its parent is being built, that is what is shown.

    With `parents` they were begun with the image, and are shown however fast they were.
    """
    began = time.monotonic()
    chain = _chain(service, image_id, parents=parents)
    logs = {link: Tail(service, link) for link in chain}
    with _display(detail) as display:
        while True:
            image = _found(service, image_id)
            for link in chain:
                current = image if link == image_id else service.find(link)
                if detail is Detail.LOG and (news := logs[link].read()):
                    display.write(news)
                if current is not None and not current.settled:
                    display.tell(current)
                    break
            if image.settled:
                display.tell(image)
                return image
            time.sleep(_AT_FIRST if time.monotonic() < began + 1 else _PERIOD)


@contextmanager
def cancelled_when_interrupted(service: Service, image: Image, *, parents: bool) -> Iterator[None]:
    """Whoever ends the block before its time ends the build, too; that of its `parents` if they are ours."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        for link in _chain(service, image.id, parents=True) if parents else (image.id,):
            with suppress(FactoryError):
                service.cancel(link)
        raise


class Tail:
    """The end of a log that grows."""

    def __init__(self, service: Service, image_id: str) -> None:
        self._service = service
        self._image_id = image_id
        self._offset = 0

    def read(self) -> str:
        """What has been added since the last look, up to the last whole line."""
        try:
            data = self._service.log(self._image_id, offset=self._offset)
        except NotFound:
            return ""  # the image was deleted, and its log with it
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.decode(errors="replace")


class _Nothing:
    def tell(self, image: Image) -> None:
        pass

    def write(self, text: str) -> None:
        pass


class _Lines:
    """Lines for a file or a pipe: one for each activity, where the log does not say it."""

    def __init__(self, detail: Detail) -> None:
        self._detail = detail
        self._told: tuple[str, str] | None = None

    def tell(self, image: Image) -> None:
        news = image.id, image.activity
        if news != self._told and self._detail is Detail.ACTIVITIES:
            self.write(f"{image.percent:3d} % {image.title}: {image.activity}\n")
        self._told = news

    def write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def _display(detail: Detail) -> Iterator[Display]:
    if detail is Detail.NONE:
        yield _Nothing()
    elif not sys.stderr.isatty():
        yield _Lines(detail)
    else:
        from imagefactory.cli.bar import bar  # noqa: PLC0415 - rich takes its time

        with bar() as display:
            yield display


def _chain(service: Service, image_id: str, *, parents: bool) -> tuple[str, ...]:
    """The ids of what is or, with `parents`, was to be built, eldest first: the image, and its origins."""
    image = _found(service, image_id)
    parent = service.find(image.parent_id) if image.parent_id else None
    if parent is None or (parent.settled and not parents):
        return (image_id,)
    return (*_chain(service, parent.id, parents=parents), image_id)


def _found(service: Service, image_id: str) -> Image:
    image = service.find(image_id)
    if image is None:
        msg = f'The image "{image_id}" was deleted while it was being built'
        raise NotFound(msg)
    return image
