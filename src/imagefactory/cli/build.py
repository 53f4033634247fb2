"""The sub-commands that build: they run the work in this process, and wait for it."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imagefactory.builds import settings
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.cli.main import flags
from imagefactory.cli.watch import follow
from imagefactory.core.errors import RequestError
from imagefactory.core.images import Image, ProviderImage, Status
from imagefactory.core.secret import Secret

Create = Callable[[Factory, dict[str, Any]], Image]


def base_image(options: argparse.Namespace) -> int:
    """`imagefactory base_image TEMPLATE`."""
    template = _template(options.template)

    def create(factory: Factory, parameters: dict[str, Any]) -> Image:
        if options.lock:
            parameters["lock"] = _text(options.lock)
        return factory.create_base_image(template=template, parameters=parameters)

    return _build(options, create)


def target_image(options: argparse.Namespace) -> int:
    """`imagefactory target_image TARGET (--id UUID | --template FILE)`."""
    template = _template(options.template) if options.template else None

    def create(factory: Factory, parameters: dict[str, Any]) -> Image:
        return factory.create_target_image(
            target=options.target,
            base_image_id=options.id,
            template=template,
            parameters=parameters,
        )

    return _build(options, create)


def provider_image(options: argparse.Namespace) -> int:
    """`imagefactory provider_image TARGET PROVIDER CREDENTIALS (--id UUID | --template FILE)`."""
    template = _template(options.template) if options.template else None
    named = options.provider.startswith("@")
    provider = options.provider[1:] if named else _text(Path(options.provider)).rstrip()
    credentials = Secret(_text(Path(options.credentials)).rstrip())

    def create(factory: Factory, parameters: dict[str, Any]) -> Image:
        parameters.setdefault("snapshot", options.snapshot)
        return factory.create_provider_image(
            provider=provider,
            credentials=credentials,
            target=options.target,
            target_image_id=options.id,
            template=template,
            parameters=parameters,
        )

    return _build(options, create)


def parameters_of(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters: JSON file < `--parameter` < `--file-parameter`."""
    parameters: dict[str, Any] = {}
    if options.parameters:
        try:
            parameters = json.loads(_text(options.parameters))
        except ValueError as error:
            msg = f'The file "{options.parameters}" is not JSON: {error}'
            raise RequestError(msg) from error
        if not isinstance(parameters, dict):
            msg = f'The file "{options.parameters}" does not hold an object'
            raise RequestError(msg)
    parameters |= dict(options.parameter)
    return parameters | {key: _text(Path(file)) for key, file in options.file_parameter}


def _build(options: argparse.Namespace, create: Create) -> int:
    parameters = parameters_of(options)
    config = settings.load(file=options.config, flags=flags(options))
    with open_factory(config, in_process=True) as factory:
        image = create(factory, parameters)
        shown = options.output == "log"
        image = follow(factory, image.id, shown=shown)
        if shown:
            return _show_details(factory, image, options.command)
        from imagefactory.cli.images import metadata  # noqa: PLC0415 - small, and used in JSON mode only

        sys.stdout.write(json.dumps(metadata(factory, image), indent=2) + "\n")
    return 0 if image.status is Status.COMPLETE else 1


def _show_details(factory: Factory, image: Image, command: str) -> int:
    """The block that programs scrape; not a byte of it may change."""
    write = sys.stdout.write
    if image.status is Status.FAILED:
        write(f"\nImage build FAILED with error: {image.error}\n")
        return 1
    write("\n============ Final Image Details ============\n")
    write(f"UUID: {image.id}\nType: {command}\nImage filename: {factory.body(image.id)}\n")
    if image.status is not Status.COMPLETE:
        write("WARNING - Reached end of build with an unexpected status - this should not happen\n")
        write(f"Status: {image.status}\nStatus Details: {image.activity}\n")
        return 1
    if isinstance(image, ProviderImage):
        write(f"Image ID on provider: {image.identifier_on_provider}\n")
    write("Image build completed SUCCESSFULLY!\n")
    return 0


def _template(name: str) -> str:
    return sys.stdin.read() if name == "-" else _text(Path(name))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f'The file "{file}" cannot be read: {reason}'
        raise RequestError(msg) from error
