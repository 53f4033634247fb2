"""The tables, as the newest migration leaves them; the same for SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB

REVISION: Final = "0007"  #: the newest in `migrations/versions`
SEAL: Final = "imagefactory_seal"  #: the execution option of an engine that has its `Seal`


class Moment(TypeDecorator[datetime]):
    """A moment with its time zone, always UTC: SQLite keeps none, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite counts rows up only in a column that is called INTEGER.
COUNTER: Final = BigInteger().with_variant(Integer, "sqlite")
OBJECT: Final = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
IDENTIFIER: Final = String(36)

metadata: Final = MetaData()

images: Final = Table(
    "images",
    metadata,
    Column("number", COUNTER, primary_key=True),  # the order of arrival, whatever the clock does
    Column("id", IDENTIFIER, nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    # Checked when the transaction ends, so that a cascade may be added in any order. A child outlives
    # its parent and then shows null.
    Column(
        "parent_id",
        IDENTIFIER,
        ForeignKey("images.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED"),
    ),
    Column("name", Text),
    Column("status", String(16), nullable=False),
    Column("activity", Text, nullable=False),
    Column("error", Text),
    Column("percent", Integer, nullable=False),
    Column("labels", OBJECT, nullable=False),
    Column("target", Text),
    Column("identifier_on_provider", Text),
    Column("provider_account_identifier", Text),
    Column("credentials_ref", IDENTIFIER),
    Column("created", Moment, nullable=False),
    Column("updated", Moment, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    # Last, so that a list need not read through them.
    Column("properties", OBJECT, nullable=False),
    Column("icicle", Text),
    # Template, parameters and provider, which may hold passwords, as sealed JSON.
    Column("sealed", LargeBinary),
    Index("images_by_kind", "kind", "number"),
    Index("images_by_parent", "parent_id"),
    Index("images_by_status", "status"),
    sqlite_autoincrement=True,
)

# No foreign key: the last event of an image says that it is gone.
events: Final = Table(
    "events",
    metadata,
    Column("id", COUNTER, primary_key=True),
    Column("image_id", IDENTIFIER, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("time", Moment, nullable=False),
    Column("status", String(16), nullable=False),
    Column("percent", Integer, nullable=False),
    Column("activity", Text, nullable=False),
    Column("error", Text),
    Index("events_by_image", "image_id", "id"),
    sqlite_autoincrement=True,
)

credentials: Final = Table(
    "credentials",
    metadata,
    Column("ref", IDENTIFIER, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", Moment, nullable=False),
)

bodies: Final = Table(
    "bodies",
    metadata,
    Column("image_id", IDENTIFIER, ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)

# Which image a client got for an idempotency key; null while the request is being answered.
replies: Final = Table(
    "replies",
    metadata,
    Column("client", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("image_id", IDENTIFIER, ForeignKey("images.id", ondelete="CASCADE")),
    Column("claimed", Moment, nullable=False),
    Index("replies_by_image", "image_id"),
)

# What the receivers of callbacks have not been told yet: the oldest of an image and a receiver goes first.
callbacks: Final = Table(
    "callbacks",
    metadata,
    Column("id", COUNTER, primary_key=True),
    Column("image_id", IDENTIFIER, nullable=False),
    Column("place", Integer, nullable=False),  # of the receiver among those of the image
    Column("sealed", LargeBinary, nullable=False),  # the address may hold a password
    Column("attempts", Integer, nullable=False),
    Column("created", Moment, nullable=False),
    Column("due", Moment, nullable=False),
    Index("callbacks_by_due", "due"),
    Index("callbacks_by_image", "image_id", "place", "id"),
    sqlite_autoincrement=True,
)
