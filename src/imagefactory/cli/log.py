"""The sub-commands that tell what a build says, and what has happened to images."""

import argparse
import sys
import time
from typing import Any, Final

from imagefactory.cli.service import Service, open_service
from imagefactory.cli.show import write_line
from imagefactory.cli.watch import Tail
from imagefactory.core.config import Config
from imagefactory.core.errors import NotFound
from imagefactory.store.rows import Event

_PERIOD: Final = 0.2  # seconds between looks
_PAGE: Final = 1000  # events that are read at a time


def log(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory log ID [--follow]`."""
    with open_service(config) as service:
        _check(service, options.id)
        tail = Tail(service, options.id)
        while True:
            image = service.find(options.id)
            ended = image is None or image.settled
            _write(tail.read(), output=options.output)
            if ended or not options.follow:
                return 0
            time.sleep(_PERIOD)


def events(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory events [ID] [--follow]`; those of one image end with it."""
    with open_service(config) as service:
        if options.id:
            _check(service, options.id)
        last = 0
        while True:
            image = service.find(options.id) if options.id else None
            ended = options.id is not None and (image is None or image.settled)
            while page := service.events(after=last, image_id=options.id, limit=_PAGE):
                last = page[-1].id
                for event in page:
                    _show(event, output=options.output)
            if ended or not options.follow:
                return 0
            time.sleep(_PERIOD)


def _write(text: str, *, output: str) -> None:
    if output == "log":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    for line in text.splitlines():
        moment, _, told = line.partition(" ")
        write_line({"time": moment, "text": told})


def _show(event: Event, *, output: str) -> None:
    if output == "json":
        write_line(_facts(event))
        return
    told = event.error or event.activity
    when = event.time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    line = f"{when}  {event.image_id}  {event.status:10} {event.percent:3} %  {told}"
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _facts(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "time": event.time.isoformat(),
        "type": event.kind,
        "identifier": event.image_id,
        "status": event.status,
        "status_detail": {"activity": event.activity, "error": event.error},
        "percent_complete": event.percent,
    }


def _check(service: Service, image_id: str) -> None:
    if service.find(image_id) is None:
        msg = f"No image found with id: {image_id}"
        raise NotFound(msg)
