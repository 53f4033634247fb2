"""Images as the JSON objects of `<uuid>.meta` and of the command line, and back.

The keys are those of the original store (its file manager; `config-cli-store`, 4.1), no more.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from imagefactory.core.errors import StoreError
from imagefactory.core.images import (
    INITIAL_ACTIVITY,
    BaseImage,
    Image,
    ProviderImage,
    Status,
    TargetImage,
)
from imagefactory.core.masking import masked, masked_text
from imagefactory.core.redaction import redacted

_INTERRUPTED: Final = {
    Status.NEW: Status.FAILED,
    Status.PENDING: Status.FAILED,
    Status.BUILDING: Status.FAILED,
    Status.DELETING: Status.DELETEFAILED,
    Status.DELETED: Status.DELETEFAILED,
}


def metadata(image: Image, *, body: Path | str) -> dict[str, Any]:
    """What is shown of an image: secrets in its parameters and its provider are `REDACTED`.

    `body` is where its body lies: a path, or the address of a daemon's.
    """
    shown: dict[str, Any] = {
        "type": image.kind,
        "identifier": image.id,
        "data": str(body.absolute() if isinstance(body, Path) else body),
        "template": image.template,
        "icicle": image.icicle,
        "status_detail": {"activity": image.activity, "error": image.error},
        "status": str(image.status),
        "percent_complete": image.percent,
        "parameters": masked(image.parameters),
        "properties": masked(image.properties),
    }
    match image:
        case TargetImage():
            shown |= {"base_image_id": image.base_image_id, "target": image.target}
        case ProviderImage():
            shown |= {
                "target_image_id": image.target_image_id,
                "provider": masked_text(image.provider),
                "identifier_on_provider": image.identifier_on_provider,
                "provider_account_identifier": image.provider_account_identifier,
            }
        case _:
            pass
    return shown


def has(shown: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether metadata has exactly these values: the command line's fetch-spec."""
    return all(key in shown and shown[key] == value for key, value in spec.items())


def dumps(image: Image, *, body: Path) -> str:
    """The text of an image's `.meta` file.

    The original kept the template there as it was given. Here all who may read the folder may read the
    file, the database is the truth, and no program that watches the folder needs the root password:
    so that is taken out too.
    """
    shown = metadata(image, body=body)
    if image.template is not None:
        shown["template"] = redacted(image.template)
    return json.dumps(shown, indent=2) + "\n"


def loads(text: str, *, name: str, written: datetime) -> Image:
    """The image in the `.meta` file `name`, last `written` then; `StoreError` when it is damaged.

    What the original left unfinished nobody will finish: it becomes FAILED or DELETEFAILED.
    """
    try:
        return _image(json.loads(text), written)
    except (ValueError, RecursionError) as error:
        msg = f'The file "{name}" is damaged: {error}'
        raise StoreError(msg, hint="Repair it, or move it out of the folder") from error


def is_id(text: str) -> bool:
    """Whether this is an image's id in the one form that is used, so that it may be part of a path."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _image(content: object, written: datetime) -> Image:
    if not isinstance(content, dict):
        msg = "it holds no JSON object"
        raise ValueError(msg)  # noqa: TRY004 - the file is wrong, not the call
    id = _text(content, "identifier") or ""
    if not is_id(id):
        msg = f'"{id}" is no identifier'
        raise ValueError(msg)
    status, percent = _status(content), _percent(content)
    activity, error = _detail(content)
    if status in _INTERRUPTED:
        error = "The factory that worked on the image stopped before it was done"
    common: dict[str, Any] = {
        "id": id,
        "template": _text(content, "template"),
        "icicle": _text(content, "icicle"),
        "status": _INTERRUPTED.get(status, status),
        "activity": activity,
        "error": error,
        "percent": 100 if status is Status.COMPLETE else percent,
        "parameters": _object(content, "parameters"),
        "properties": _object(content, "properties") or {},
        "created": written,
        "updated": written,
    }
    match _text(content, "type"):
        case "BaseImage":
            return BaseImage(**common)
        case "TargetImage":
            target = _text(content, "target") or ""
            return TargetImage(
                **common, target=target, base_image_id=_text(content, "base_image_id")
            )
        case "ProviderImage":
            return ProviderImage(
                **common,
                provider=_text(content, "provider") or "",
                target="",  # the original does not say; its target image does
                target_image_id=_text(content, "target_image_id"),
                identifier_on_provider=_text(content, "identifier_on_provider"),
                provider_account_identifier=_text(content, "provider_account_identifier"),
            )
        case unknown:
            msg = f'"{unknown}" is no type of image'
            raise ValueError(msg)


def _status(content: Mapping[str, Any]) -> Status:
    word = (_text(content, "status") or "").upper()
    if word not in {*Status}:
        msg = f'"{word}" is no status'
        raise ValueError(msg)
    return Status(word)


def _detail(content: Mapping[str, Any]) -> tuple[str, str | None]:
    """The activity and the error; very old files have the activity alone."""
    if isinstance(content.get("status_detail"), str):
        return content["status_detail"], None
    detail = _object(content, "status_detail") or {}
    return _text(detail, "activity") or INITIAL_ACTIVITY, _text(detail, "error")


def _percent(content: Mapping[str, Any]) -> int:
    match content.get("percent_complete"):
        case None:
            return 0
        case int() | float() as percent:
            return max(0, min(int(percent), 100))
        case value:
            raise _ill_typed("percent_complete", value)


def _text(content: Mapping[str, Any], key: str) -> str | None:
    match content.get(key):
        case None | str() as value:
            return value
        case int() as number:
            return str(number)  # accounts and identifiers of some clouds
        case value:
            raise _ill_typed(key, value)


def _object(content: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    match content.get(key):
        case None | dict() as value:
            return value
        case value:
            raise _ill_typed(key, value)


def _ill_typed(key: str, value: object) -> ValueError:
    return ValueError(f'its "{key}" is of the unexpected type {type(value).__name__}')
