"""Images and their events."""

import sqlalchemy as sa
from alembic import op

from imagefactory.store.schema import COUNTER, IDENTIFIER, OBJECT, Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "images",
        sa.Column("number", COUNTER, primary_key=True),
        sa.Column("id", IDENTIFIER, nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column(
            "parent_id",
            IDENTIFIER,
            sa.ForeignKey("images.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED"),
        ),
        sa.Column("name", sa.Text),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("activity", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("percent", sa.Integer, nullable=False),
        sa.Column("labels", OBJECT, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("provider", sa.Text),
        sa.Column("identifier_on_provider", sa.Text),
        sa.Column("provider_account_identifier", sa.Text),
        sa.Column("credentials_ref", IDENTIFIER),
        sa.Column("created", Moment, nullable=False),
        sa.Column("updated", Moment, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("parameters", OBJECT),
        sa.Column("properties", OBJECT, nullable=False),
        sa.Column("template", sa.Text),
        sa.Column("icicle", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("images_by_kind", "images", ["kind", "number"])
    op.create_index("images_by_parent", "images", ["parent_id"])
    op.create_index("images_by_status", "images", ["status"])
    op.create_table(
        "events",
        sa.Column("id", COUNTER, primary_key=True),
        sa.Column("image_id", IDENTIFIER, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("time", Moment, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("percent", sa.Integer, nullable=False),
        sa.Column("activity", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_image", "events", ["image_id", "id"])
