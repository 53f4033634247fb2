"""What the receivers of callbacks are still to be told: written with the change that it tells of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, delete, exists, insert, select, update

from imagefactory.core.errors import RequestError, StoreError
from imagefactory.core.images import Image, now
from imagefactory.core.parameters import Parameters
from imagefactory.core.redaction import redacted
from imagefactory.store.meta import metadata
from imagefactory.store.schema import callbacks
from imagefactory.store.sealing import Seal

_UNTOLD: Final = ("type", "identifier", "data", "base_image_id", "target_image_id")


@dataclass(frozen=True, kw_only=True)
class Callback:
    """One message to one receiver, claimed by whoever holds it."""

    id: int  #: only grows; the same for each attempt
    image_id: str
    url: str
    body: str  #: JSON
    attempts: int  #: this one included
    created: datetime


def post(connection: Connection, image: Image, seal: Seal) -> None:
    """Note that all receivers of an image are to be told what it is now."""
    receivers = _receivers(image)
    body = json.dumps(message(image)) if receivers else ""
    moment = now()
    rows = [
        {
            "image_id": image.id,
            "place": place,
            "sealed": seal.close_up(json.dumps([url, body]), of=image.id),
            "attempts": 0,
            "created": moment,
            "due": moment,
        }
        for place, url in enumerate(receivers)
    ]
    if rows:
        connection.execute(insert(callbacks), rows)


def message(image: Image) -> Mapping[str, Any]:
    """What a receiver is told: the original's keys, without any secret."""
    shown = metadata(image, body=Path())
    told = {key: value for key, value in shown.items() if key not in _UNTOLD}
    if image.template is not None:
        told["template"] = redacted(image.template)
    return {image.noun: {"_type": image.kind, "id": image.id, **told}}


def _receivers(image: Image) -> tuple[str, ...]:
    try:
        return Parameters(image.parameters or {}).texts("callbacks")
    except RequestError:
        return ()  # recorded by an older program, which did not look


def is_any_due(connection: Connection) -> bool:
    """Whether a look with the write lock held may be worth it."""
    return connection.scalar(select(exists().where(callbacks.c.due <= now()))) or False


def claim(connection: Connection, seal: Seal, *, lease: timedelta) -> Callback | None:
    """A message that is due, and before which its receiver is to be told nothing of this image.

    Until the lease has run out nobody else gets it, nor a later one of the same image and receiver.
    """
    earlier = callbacks.alias()
    is_first = ~exists().where(
        earlier.c.image_id == callbacks.c.image_id,
        earlier.c.place == callbacks.c.place,
        earlier.c.id < callbacks.c.id,
    )
    wanted = select(callbacks).where(callbacks.c.due <= now(), is_first)
    row = connection.execute(wanted.order_by(callbacks.c.due).limit(1)).mappings().one_or_none()
    if row is None:
        return None
    taken = {"attempts": row["attempts"] + 1, "due": now() + lease}
    connection.execute(update(callbacks).where(callbacks.c.id == row["id"]).values(taken))
    text = seal.open_up(row["sealed"], of=row["image_id"])
    if text is None:
        msg = f'The callbacks of the image "{row["image_id"]}" cannot be decrypted'
        raise StoreError(msg, hint="The vault's key is another one")
    url, body = json.loads(text)
    return Callback(
        id=row["id"],
        image_id=row["image_id"],
        url=url,
        body=body,
        attempts=row["attempts"] + 1,
        created=row["created"],
    )


def end(connection: Connection, id: int) -> None:
    """Forget a message: its receiver has it, or will never have it."""
    connection.execute(delete(callbacks).where(callbacks.c.id == id))


def postpone(connection: Connection, callback: Callback, *, until: datetime) -> None:
    """Let a message wait, unless somebody else has claimed it since."""
    mine = (callbacks.c.id == callback.id) & (callbacks.c.attempts == callback.attempts)
    connection.execute(update(callbacks).where(mine).values(due=until))
