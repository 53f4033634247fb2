"""The sub-commands that end a build, begin it anew, or remove an image."""

import argparse
import sys
import time
from typing import Final

from imagefactory.cli.build import build
from imagefactory.cli.files import credentials_of, parameters_of, provider_of
from imagefactory.cli.service import Service, open_service
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import Conflict
from imagefactory.core.images import Image, Status
from imagefactory.core.parameters import Parameters
from imagefactory.store.meta import metadata

_PERIOD: Final = 0.1  # seconds between looks at the record
_PATIENCE: Final = 30  # seconds; whoever builds an image stops within two


def cancel(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory cancel ID`: waits until the build has stopped."""
    with open_service(config, builds=True) as service:
        service.cancel(options.id)
        image = _settled(service, options.id)
        if image is not None and options.output == "json":
            write_json(metadata(image, body=service.body(image.id)), config)
        elif image is not None:
            sys.stdout.write(f"The {image.title} {image.id} is {image.status}: {image.error}\n")
    return 0


def retry(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory retry ID`: waits like the command of the first attempt."""

    def create(service: Service) -> Image:
        return service.retry(options.id)

    return build(options, config, create)


def delete(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory delete ID`: waits until the image is gone. One that is gone already is no fault."""
    credentials = credentials_of(options.credentials) if options.credentials else None
    provider = provider_of(options.provider) if options.provider else None
    forget = Parameters(parameters_of(options)).boolean("forget", default=False)
    with open_service(config, builds=True) as service:
        if service.find(options.id) is None:
            return _tell(options, config, status=None, text=f"No image found with id: {options.id}")
        if options.output == "log":
            sys.stdout.write(f"Deleting image with id {options.id}\n")
        service.delete(options.id, credentials=credentials, provider=provider, forget=forget)
        image = _settled(service, options.id)
    if image is None:
        return _tell(options, config, status=Status.DELETED)
    text = f"Failed to delete image {image.id}: {image.error}"
    _tell(options, config, status=image.status, text=text, error=image.error)
    return 1


def _tell(
    options: argparse.Namespace,
    config: Config,
    *,
    status: Status | None,
    text: str | None = None,
    error: str | None = None,
) -> int:
    if options.output == "json":
        write_json({"identifier": options.id, "status": status, "error": error}, config)
    elif text is not None:
        sys.stdout.write(f"{text}\n")
    return 0


def _settled(service: Service, image_id: str) -> Image | None:
    """The image when nobody works on it any more; None when it is gone."""
    ends = time.monotonic() + _PATIENCE
    while (image := service.find(image_id)) is not None and not image.settled:
        if image.status is not Status.DELETING and time.monotonic() > ends:
            msg = f'The build of "{image_id}" has not stopped within {_PATIENCE} s'
            raise Conflict(msg, hint="Look at its log")
        time.sleep(_PERIOD)
    return image
