"""The size and the digest of each body."""

import sqlalchemy as sa
from alembic import op

from imagefactory.store.schema import IDENTIFIER

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "bodies",
        sa.Column(
            "image_id",
            IDENTIFIER,
            sa.ForeignKey("images.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
