"""What the API remembers of requests: nonces and idempotency keys."""

import sqlalchemy as sa
from alembic import op

from imagefactory.store.schema import IDENTIFIER, Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "nonces",
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("nonce", sa.Text, primary_key=True),
        sa.Column("expires", Moment, nullable=False),
    )
    op.create_index("nonces_by_expiry", "nonces", ["expires"])
    op.create_table(
        "replies",
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("image_id", IDENTIFIER, sa.ForeignKey("images.id", ondelete="CASCADE")),
        sa.Column("claimed", Moment, nullable=False),
    )
    op.create_index("replies_by_image", "replies", ["image_id"])
