"""The sub-commands that look at images and plugins."""

import argparse
import json
import sys
from typing import Any, Final

from imagefactory.cli.service import open_service
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.images import KINDS
from imagefactory.store.meta import metadata

_KINDS: Final = tuple(kind.kind for kind in KINDS.values())


def images(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory images [FETCH_SPEC]`: one match is an object, several are `{"images": […]}`."""
    wanted = _spec(options.fetch_spec)
    with open_service(config) as service:
        found = sorted(service.query(wanted), key=lambda image: _KINDS.index(image.kind))
        shown = [metadata(image, body=service.body(image.id)) for image in found]
    if options.output == "json":
        write_json(shown[0] if len(shown) == 1 else {"images": shown} if shown else {}, config)
        return 0
    for image in found:
        state = f"{image.status:12} {image.percent:3} %"
        sys.stdout.write(f"{image.id}  {image.kind:13}  {state}  {image.name or '-'}\n")
    return 0


def plugins(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory plugins [--id ID]`."""
    with open_service(config) as service:
        found = [service.plugin(options.id)] if options.id else list(service.plugins())
    if options.output == "json":
        write_json(found[0] if options.id else {"plugins": found}, config)
        return 0
    for info in found:
        text = info.get("description") or f"not usable: {info.get('ERROR')}"
        sys.stdout.write(f"{info['id']:12} {info.get('type', '-'):6} {text}\n")
    return 0


def _spec(text: str) -> dict[str, Any]:
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f'The fetch spec "{text}" is not JSON: {error}'
        raise RequestError(msg) from error
    if not isinstance(wanted, dict):
        msg = f'The fetch spec "{text}" is not a JSON object'
        raise RequestError(msg)
    return wanted
