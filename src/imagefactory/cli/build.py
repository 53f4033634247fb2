"""The sub-commands that build: they have the work done, and wait for it."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from imagefactory.builds import program_log
from imagefactory.cli.files import (
    credentials_of,
    parameters_of,
    provider_of,
    template_of,
    text_of,
)
from imagefactory.cli.service import Service, open_service
from imagefactory.cli.show import write_json
from imagefactory.cli.watch import Detail, cancelled_when_interrupted, follow
from imagefactory.core.config import Config
from imagefactory.core.images import Image, ProviderImage, Status
from imagefactory.store.meta import metadata

Create = Callable[[Service], Image]


def base_image(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory base_image TEMPLATE`."""
    template, parameters = template_of(options.template), parameters_of(options)
    if options.lock:
        parameters["lock"] = text_of(options.lock)

    def create(service: Service) -> Image:
        return service.create_base_image(template=template, parameters=parameters)

    return build(options, config, create)


def target_image(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory target_image TARGET (--id UUID | --template FILE)`."""
    template = template_of(options.template) if options.template else None
    parameters = parameters_of(options)

    def create(service: Service) -> Image:
        return service.create_target_image(
            target=options.target,
            base_image_id=options.id,
            template=template,
            parameters=parameters,
        )

    return build(options, config, create)


def provider_image(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory provider_image TARGET PROVIDER CREDENTIALS (--id UUID | --template FILE)`."""
    template = template_of(options.template) if options.template else None
    provider = provider_of(options.provider)
    credentials = credentials_of(Path(options.credentials))
    parameters: dict[str, Any] = {"snapshot": options.snapshot, **parameters_of(options)}

    def create(service: Service) -> Image:
        return service.create_provider_image(
            provider=provider,
            credentials=credentials,
            target=options.target,
            target_image_id=options.id,
            template=template,
            parameters=parameters,
        )

    return build(options, config, create)


def build(options: argparse.Namespace, config: Config, create: Create) -> int:
    """Create an image, wait for it and show what has become of it; 0 when it is COMPLETE."""
    quiet = options.output == "json"
    if quiet:
        file = program_log.log_file(config, "imagefactory.log")
        program_log.start(verbose=config.verbose, debug=config.debug, file=file)
    os.umask(0o022)  # the user's is for the user's files; in a guest it would shut users out
    with _terminable(), open_service(config, builds=True) as service:
        detail = Detail.NONE if quiet else Detail.of(config)
        image, parents = create(service), getattr(options, "template", None) is not None
        with cancelled_when_interrupted(service, image, parents=parents):
            image = follow(service, image.id, parents=parents, detail=detail)
        if quiet:
            write_json(metadata(image, body=service.body(image.id)), config)
        else:
            show_details(service, image)
    return 0 if image.status is Status.COMPLETE else 1


def show_details(service: Service, image: Image) -> None:
    """The block that programs scrape; not a byte of it may change (spec 3.4)."""
    write = sys.stdout.write
    if image.status is Status.FAILED:
        write(f"\nImage build FAILED with error: {image.error}\n")
        return
    write("\n============ Final Image Details ============\n")
    write(f"UUID: {image.id}\nType: {image.noun}\nImage filename: {service.body(image.id)}\n")
    if image.status is not Status.COMPLETE:
        write("WARNING - Reached end of build with an unexpected status - this should not happen\n")
        write(f"Status: {image.status}\nStatus Details: {image.activity}\n")
        return
    if isinstance(image, ProviderImage):
        write(f"Image ID on provider: {image.identifier_on_provider}\n")
    write("Image build completed SUCCESSFULLY!\n")


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block in good order, as Ctrl-C does: the build is cancelled, nothing is left."""

    def stop(number: int, _frame: object) -> NoReturn:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
