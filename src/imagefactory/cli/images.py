"""The sub-commands that look at images and plugins, or end them."""

import argparse
import json
import sys
import time
from typing import Any

from imagefactory.builds import settings
from imagefactory.builds.factory import Factory, open_factory
from imagefactory.cli.main import flags
from imagefactory.core.errors import NotFound, RequestError
from imagefactory.core.images import Image, ProviderImage, TargetImage
from imagefactory.core.secret import Secret


def images(options: argparse.Namespace) -> int:
    """`imagefactory images [FETCH_SPEC]`: one match is an object, several are `{"images": […]}`."""
    try:
        wanted = json.loads(options.fetch_spec)
    except ValueError as error:
        msg = f'The fetch spec "{options.fetch_spec}" is not JSON: {error}'
        raise RequestError(msg) from error
    if not isinstance(wanted, dict):
        msg = f'The fetch spec "{options.fetch_spec}" is not a JSON object'
        raise RequestError(msg)
    with _open(options) as factory:
        found = [metadata(factory, image) for image in factory.query(wanted)]
    if options.output == "json":
        answer = found[0] if len(found) == 1 else {"images": found} if found else {}
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return 0
    for one in found:
        name = one["name"] or "-"
        line = f"{one['identifier']}  {one['type']:13}  {one['status']:10}  {one['percent_complete']:3} %"
        sys.stdout.write(f"{line}  {name}\n")
    return 0


def delete(options: argparse.Namespace) -> int:
    """`imagefactory delete ID`: waits until the image is gone."""
    credentials = Secret(options.credentials.read_text().rstrip()) if options.credentials else None
    config = settings.load(file=options.config, flags=flags(options))
    with open_factory(config, in_process=True) as factory:
        image = factory.find(options.id)
        if image is None:
            msg = f"No image found with id: {options.id}"
            raise NotFound(msg)
        sys.stdout.write(f"Deleting image with id {options.id}\n")
        factory.delete(options.id, credentials=credentials)
        while (image := factory.find(options.id)) is not None:
            if image.status == "DELETEFAILED":
                sys.stdout.write(f"Failed to delete image {options.id}: {image.error}\n")
                return 1
            time.sleep(0.1)
    return 0


def plugins(options: argparse.Namespace) -> int:
    """`imagefactory plugins [--id ID]`."""
    with _open(options) as factory:
        found = [factory.plugin(options.id)] if options.id else list(factory.plugins())
    if options.output == "json":
        answer = found[0] if options.id else {"plugins": found}
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return 0
    for info in found:
        text = info.get("description") or f"not usable: {info.get('ERROR')}"
        sys.stdout.write(f"{info['id']:12} {info.get('type', '-'):6} {text}\n")
    return 0


def log(options: argparse.Namespace) -> int:
    """`imagefactory log ID [--follow]`."""
    with _open(options) as factory:
        if factory.find(options.id) is None:
            msg = f"No image found with id: {options.id}"
            raise NotFound(msg)
        _show_log(factory, options.id, following=options.follow)
    return 0


def cancel(options: argparse.Namespace) -> int:
    """`imagefactory cancel ID`."""
    with _open(options) as factory:
        factory.cancel(options.id)
    return 0


def metadata(factory: Factory, image: Image) -> dict[str, Any]:
    """An image with the keys of its `.meta` file."""
    view: dict[str, Any] = {
        "type": image.kind,
        "identifier": image.id,
        "name": image.name,
        "data": str(factory.body(image.id)),
        "template": image.template,
        "icicle": image.icicle,
        "status": image.status.value,
        "status_detail": {"activity": image.activity, "error": image.error},
        "percent_complete": image.percent,
        "parameters": None if image.parameters is None else dict(image.parameters),
        "properties": dict(image.properties),
    }
    match image:
        case TargetImage():
            view |= {"base_image_id": image.base_image_id, "target": image.target}
        case ProviderImage():
            view |= {
                "target_image_id": image.target_image_id,
                "provider": image.provider,
                "identifier_on_provider": image.identifier_on_provider,
                "provider_account_identifier": image.provider_account_identifier,
            }
    return view


def _open(options: argparse.Namespace) -> Any:
    return open_factory(settings.load(file=options.config, flags=flags(options)))


def _show_log(factory: Factory, image_id: str, *, following: bool) -> None:
    file, offset = factory.log_file(image_id), 0
    while True:
        image = factory.find(image_id)
        ended = image is None or image.settled
        if file.exists():
            with file.open("rb") as stream:
                stream.seek(offset)
                data = stream.read()
            offset += len(data)
            sys.stdout.write(data.decode(errors="replace"))
            sys.stdout.flush()
        if ended or not following:
            return
        time.sleep(0.2)
