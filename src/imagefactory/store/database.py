"""The store of images: every question and every change by name, and all SQL about images."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeVar, overload

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    bindparam,
    case,
    delete,
    extract,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from imagefactory.core.errors import Conflict, StoreError
from imagefactory.core.images import SETTLED, Image, ProviderImage, Status, now
from imagefactory.store import outbox
from imagefactory.store.connect import WRITE, open_sqlite
from imagefactory.store.meta import has, metadata
from imagefactory.store.outbox import Callback
from imagefactory.store.polled import SUMMARY, Polled
from imagefactory.store.rows import (
    Body,
    Claim,
    Event,
    Family,
    Summary,
    Tally,
    columns_of,
    event_from,
    image_from,
    missing,
    summary_from,
    unstorable,
)
from imagefactory.store.schema import SEAL, bodies, credentials, events, images, replies
from imagefactory.store.sealing import Seal

ImageT = TypeVar("ImageT", bound=Image)

_METADATA: Final = {"identifier": images.c.id, "type": images.c.kind, "status": images.c.status}
# Made once: to put one together takes longer than to run it.
_ONE: Final = select(images).where(images.c.id == bindparam("id"))
_UNFINISHED: Final = frozenset(Status) - SETTLED


@dataclass(frozen=True, kw_only=True)
class Store:
    """All images and their events, in one database that several processes and threads may use at once.

    Every method is one transaction; what it has changed is on the disk, and seen by all, when it
    returns. Any method may raise `StoreError`: the database is damaged, full or locked.
    """

    engine: Engine
    # SQLite lets writers wait by sleeping ever longer, and whoever comes wins; among our own threads a
    # queue is fairer.
    writers: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    polled: Polled = field(repr=False, compare=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The store in this SQLite file, made or migrated where needed; `StoreError` if it is damaged or newer."""
        engine = open_sqlite(path)
        return cls(engine=engine, polled=Polled(str(path), engine.get_execution_options()[SEAL]))

    def close(self) -> None:
        """Let go of the database; the store may not be used after this."""
        self.polled.close()
        self.engine.dispose()

    # One image

    def get(self, id: str) -> Image | None:
        """The image with this id, of any kind."""
        with self._reading() as connection:
            return _find(connection, id)

    @overload
    def image(self, id: str) -> Image: ...

    @overload
    def image(self, id: str, kind: type[ImageT]) -> ImageT: ...

    def image(self, id: str, kind: type[Image] = Image) -> Image:
        """The image with this id, of this kind; `NotFound` in the words of the API manual."""
        image = self.get(id)
        if not isinstance(image, kind):
            raise missing(id, kind)
        return image

    def family(self, id: str, kind: type[Image]) -> Family:
        """The image with this id, of this kind, and its relatives; `NotFound` as of `image`."""
        return self.polled.family(id, kind)

    def add(self, *new: Image, claim: Claim | None = None) -> None:
        """Record new images, all or none. `Conflict` when an id is taken or a parent does not exist.

        A claimed key stands for the last of them from then on, until that is deleted.
        """
        with self._writing() as connection:
            if new:
                connection.execute(
                    insert(images), [columns_of(image, seal_of(connection)) for image in new]
                )
            for image in new:
                _tell(connection, image)
                if image.status is Status.PENDING:
                    outbox.post(connection, image, seal_of(connection))
            if claim is not None:
                connection.execute(update(replies).where(_held(claim)).values(image_id=new[-1].id))

    def save(self, image: ImageT) -> ImageT:
        """Record a changed image; gives it back as it is stored now.

        `Conflict` when somebody else has changed it since it was read, `NotFound` when it is gone.
        Neither `report` nor `request_cancel` counts as a change. A percentage that has grown since, an
        activity that is newer than the image's last `to` or `at`, and a request to cancel are kept; the
        request is dropped when a settled image begins anew.
        """
        with self._writing() as connection:
            return _save(connection, image)

    def change(self, id: str, edit: Callable[[Image], ImageT]) -> ImageT:
        """Read an image, `edit` it and record it while nobody else can change it: never a `Conflict`.

        `edit` is pure and quick. What it raises leaves the image as it was; `NotFound` without one.
        """
        with self._writing() as connection:
            image = _find(connection, id)
            if image is None:
                raise missing(id, Image)
            return _save(connection, edit(image))

    def report(self, id: str, percent: int, activity: str | None = None) -> None:
        """Note how far an image is. Does nothing when it is settled or gone: the news comes too late."""
        reached = max(0, min(percent, 99))
        going_on = update(images).where(images.c.id == id, images.c.status.in_(_UNFINISHED))
        with self._writing() as connection:
            changed = going_on.values(
                percent=case((images.c.percent > reached, images.c.percent), else_=reached),
                activity=images.c.activity if activity is None else activity,
                updated=now(),  # asked for under the lock, or it could go back
            )
            row = connection.execute(changed.returning(images)).mappings().one_or_none()
            if row is not None:
                _tell(connection, image_from(row, seal_of(connection)))

    def request_cancel(self, id: str) -> None:
        """Ask whoever builds an image to stop. `NotFound`; `Conflict` when it is settled."""
        with self._writing() as connection:
            image = _find(connection, id)
            if image is None:
                raise missing(id, Image)
            if image.settled:
                msg = f'The {image.title} "{id}" is {image.status}, so there is nothing to cancel'
                raise Conflict(msg)
            asked = update(images).where(images.c.id == id).values(cancel_requested=True)
            connection.execute(asked)

    def delete(self, id: str) -> None:
        """Forget an image and wipe its credentials; its children stay and have no parent.

        Its files have to be gone before, or a start would take them for an original store's. Forgetting
        what is gone is success.
        """
        with self._writing() as connection:
            image = _find(connection, id)
            if image is None:
                return
            connection.execute(delete(images).where(images.c.id == id))
            if isinstance(image, ProviderImage):
                ref = image.credentials_ref
                connection.execute(delete(credentials).where(credentials.c.ref == ref))
            gone = replace(image, status=Status.DELETED, activity="Image deleted.")
            _tell(connection, gone)
            outbox.post(connection, gone, seal_of(connection))

    # Many images

    def list(
        self,
        *,
        kind: type[Image] | None = None,
        parent: str | None = None,
        status: Status | None = None,
        labels: Mapping[str, str] | None = None,
        limit: int | None = None,
        marker: str | None = None,
    ) -> tuple[Summary, ...]:
        """The images that fit everything given, newest last: those after `marker`, at most `limit`.

        `NotFound` when there is no image `marker`.
        """
        if not labels:
            return self.polled.list(
                kind=kind, parent=parent, status=status, limit=limit, marker=marker
            )
        wanted = select(*SUMMARY).order_by(images.c.number).limit(limit)
        if kind is not None:
            wanted = wanted.where(images.c.kind == kind.kind)
        if parent is not None:
            wanted = wanted.where(images.c.parent_id == parent)
        if status is not None:
            wanted = wanted.where(images.c.status == status)
        for key, value in labels.items():
            wanted = wanted.where(images.c.labels[key].as_string() == value)
        with self._reading() as connection:
            if marker is not None:
                number = connection.scalar(select(images.c.number).where(images.c.id == marker))
                if number is None:
                    raise missing(marker, Image)
                wanted = wanted.where(images.c.number > number)
            return tuple(map(summary_from, connection.execute(wanted).mappings()))

    def query(self, spec: Mapping[str, Any], *, storage: Path) -> tuple[Image, ...]:
        """The images whose metadata has exactly these values, oldest first: the command line's fetch-spec.

        `storage` is the folder of the bodies, which the key `data` names.
        """
        narrow = [
            _METADATA[key] == value
            for key, value in spec.items()
            if key in _METADATA and isinstance(value, str)
        ]
        return tuple(
            image
            for image in self._images(*narrow)
            if has(metadata(image, body=storage / f"{image.id}.body"), spec)
        )

    def tallies(self) -> tuple[Tally, ...]:
        """How many images of each kind there are in each status."""
        took = extract("epoch", images.c.updated) - extract("epoch", images.c.created)
        counted = select(images.c.kind, images.c.status, func.count(), func.sum(took))
        with self._reading() as connection:
            rows = connection.execute(counted.group_by(images.c.kind, images.c.status))
            return tuple(
                Tally(kind=kind, status=Status(status), count=count, seconds=float(seconds))
                for kind, status, count, seconds in rows
            )

    def ids(self) -> frozenset[str]:
        """The ids of all images."""
        return self.polled.ids()

    def waiting(self, parent_id: str) -> tuple[Image, ...]:
        """The images that wait for this one, oldest first."""
        waits = (images.c.parent_id == parent_id, images.c.status == Status.PENDING)
        return self._images(*waits)

    def unfinished(self) -> tuple[Image, ...]:
        """The images that are not settled, oldest first: what a start has to go on with."""
        return self._images(images.c.status.in_(_UNFINISHED))

    def cancel_requested(self, ids: Collection[str]) -> frozenset[str]:
        """Those of these images that somebody wants stopped, or that are being deleted or gone."""
        going_on = select(images.c.id).where(
            images.c.id.in_(ids),
            images.c.cancel_requested.is_(False),
            images.c.status != Status.DELETING,
        )
        with self._reading() as connection:
            return frozenset(ids) - frozenset(connection.scalars(going_on))

    # Events

    def events(
        self, *, after: int = 0, image: str | None = None, limit: int = 1000
    ) -> tuple[Event, ...]:
        """What has happened since the event `after`, to all images or to one, oldest first."""
        wanted = select(events).where(events.c.id > after).order_by(events.c.id).limit(limit)
        if image is not None:
            wanted = wanted.where(events.c.image_id == image)
        with self._reading() as connection:
            return tuple(map(event_from, connection.execute(wanted).mappings()))

    def last_event(self) -> int:
        """The id of the newest event, 0 without any: where somebody who wants only news begins."""
        with self._reading() as connection:
            return connection.scalar(select(func.max(events.c.id))) or 0

    # Callbacks: each change of a status is noted with the change itself

    def claim_callback(self, *, lease: timedelta) -> Callback | None:
        """A message that is due, for the caller alone until the lease has run out; see `outbox.claim`."""
        with self._reading() as connection:
            if not outbox.is_any_due(connection):
                return None
        with self._writing() as connection:
            return outbox.claim(connection, seal_of(connection), lease=lease)

    def end_callback(self, callback: Callback) -> None:
        """Forget a message: its receiver has it, or will never have it."""
        with self._writing() as connection:
            outbox.end(connection, callback.id)

    def postpone_callback(self, callback: Callback, *, until: datetime) -> None:
        """Let a message wait, and all that come after it for the same image and receiver."""
        with self._writing() as connection:
            outbox.postpone(connection, callback, until=until)

    # Bodies: the files are in `Bodies`

    def keep_body(self, id: str, body: Body) -> None:
        """Note the size and the digest of an image's body."""
        with self._writing() as connection:
            connection.execute(delete(bodies).where(bodies.c.image_id == id))
            connection.execute(insert(bodies).values(image_id=id, **asdict(body)))

    def body(self, id: str) -> Body | None:
        """The size and the digest of an image's body, where they are known."""
        wanted = select(bodies.c.size, bodies.c.sha256).where(bodies.c.image_id == id)
        with self._reading() as connection:
            row = connection.execute(wanted).one_or_none()
            return None if row is None else Body(size=row.size, sha256=row.sha256)

    def image_of_body(self, sha256: str) -> str | None:
        """The id of the oldest image whose body has this digest."""
        known = select(images.c.id).join(bodies, bodies.c.image_id == images.c.id)
        oldest = known.where(bodies.c.sha256 == sha256).order_by(images.c.number).limit(1)
        with self._reading() as connection:
            return connection.scalar(oldest)

    def bytes_of_bodies(self) -> int:
        """The sizes of all bodies together, holes included."""
        with self._reading() as connection:
            return connection.scalar(select(func.sum(bodies.c.size))) or 0

    # Credentials, sealed: the key is in `Vault`

    def keep_credentials(self, ref: str, sealed: bytes) -> None:
        with self._writing() as connection:
            connection.execute(insert(credentials).values(ref=ref, sealed=sealed, created=now()))

    def credentials(self, ref: str) -> bytes | None:
        with self._reading() as connection:
            return connection.scalar(select(credentials.c.sealed).where(credentials.c.ref == ref))

    def wipe_credentials(self, ref: str) -> None:
        with self._writing() as connection:
            connection.execute(delete(credentials).where(credentials.c.ref == ref))

    def wipe_stray_credentials(self, *, older_than: timedelta) -> None:
        referred = select(images.c.credentials_ref).where(images.c.credentials_ref.is_not(None))
        stray = credentials.c.ref.not_in(referred) & (credentials.c.created < now() - older_than)
        with self._writing() as connection:
            connection.execute(delete(credentials).where(stray))

    # Requests: what must not, or shall not, have an effect twice

    def claim(self, claim: Claim, *, request: str, patience: timedelta) -> str | None:
        """The image that this client got under an idempotency key; None when it is now to be made.

        Of the request, which may hold passwords, nothing is kept but a digest under the vault's key.
        Then `add` or `release` has to follow. `Conflict` when the key stands for another request, or
        for one that is being answered; one that took longer than `patience` was lost in a crash.
        """
        with self._writing() as connection:
            digest = seal_of(connection).digest(request)
            row = {**asdict(claim), "digest": digest, "claimed": now()}
            known = connection.execute(select(replies).where(_held(claim))).mappings().one_or_none()
            if known is None or (known["image_id"] is None and known["claimed"] + patience < now()):
                connection.execute(delete(replies).where(_held(claim)))
                connection.execute(insert(replies).values(row))
                return None
        if known["digest"] != digest:
            msg = f'The idempotency key "{claim.key}" was used for another request'
            raise Conflict(msg, hint="Choose a new key for each image")
        if known["image_id"] is None:
            msg = f'The request with the idempotency key "{claim.key}" is still being answered'
            raise Conflict(msg, hint="Try again in a moment")
        image_id: str = known["image_id"]
        return image_id

    def release(self, claim: Claim) -> None:
        """Give back a claimed key, unless it stands for an image by now."""
        with self._writing() as connection:
            connection.execute(delete(replies).where(_held(claim), replies.c.image_id.is_(None)))

    def _images(self, *conditions: Any) -> tuple[Image, ...]:
        wanted = select(images).where(*conditions).order_by(images.c.number)
        with self._reading() as connection:
            rows = connection.execute(wanted).mappings()
            return tuple(image_from(row, seal_of(connection)) for row in rows)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _told_simply(self.engine), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        writer = self.engine.execution_options(**{WRITE: True})
        with _told_simply(self.engine), self.writers, writer.begin() as connection:
            yield connection


def _held(claim: Claim) -> ColumnElement[bool]:
    return (replies.c.client == claim.client) & (replies.c.key == claim.key)


def seal_of(connection: Connection) -> Seal:
    """What encrypts the rows of the database that this connection leads to."""
    seal: Seal = connection.get_execution_options()[SEAL]
    return seal


def _find(connection: Connection, id: str) -> Image | None:
    row = connection.execute(_ONE, {"id": id}).mappings().one_or_none()
    return None if row is None else image_from(row, seal_of(connection))


def _overtaken(image: Image) -> Conflict:
    msg = f'The {image.title} "{image.id}" was changed by somebody else meanwhile'
    return Conflict(msg, hint="Read it again")


def _save(connection: Connection, image: ImageT) -> ImageT:
    before = _find(connection, image.id)
    if before is None:
        raise missing(image.id, type(image))
    if before.version != image.version:
        raise _overtaken(image)
    after = replace(
        image,
        percent=max(before.percent, image.percent),
        activity=before.activity if before.updated > image.updated else image.activity,
        cancel_requested=before.cancel_requested and not (before.settled and not image.settled),
        updated=now(),
        version=image.version + 1,
    )
    # Under SQLite nobody can have come between; PostgreSQL needs the version here too.
    stored = update(images).where(images.c.id == image.id, images.c.version == image.version)
    if connection.execute(stored.values(columns_of(after, seal_of(connection)))).rowcount == 0:
        raise _overtaken(image)
    if _shown(after) != _shown(before):
        _tell(connection, after)
    if after.status is not before.status:
        outbox.post(connection, after, seal_of(connection))
    return after


def _shown(image: Image) -> tuple[Status, int, str, str | None]:
    return image.status, image.percent, image.activity, image.error


def _tell(connection: Connection, image: Image) -> None:
    status, percent, activity, error = _shown(image)
    news = {"image_id": image.id, "kind": image.kind, "time": now(), "status": status}
    news |= {"percent": percent, "activity": activity, "error": error}
    connection.execute(insert(events), news)


@contextmanager
def _told_simply(engine: Engine) -> Iterator[None]:
    """Turn the database's own errors into ours."""
    try:
        yield
    except IntegrityError as error:
        msg = "The image cannot be recorded: its id is taken, or its parent does not exist"
        raise Conflict(msg) from error
    except DBAPIError as error:
        msg = f'The database "{engine.url.database}" cannot be used: {error.orig}'
        raise StoreError(msg) from error
    except (StatementError, UnicodeEncodeError) as error:
        raise unstorable() from error
