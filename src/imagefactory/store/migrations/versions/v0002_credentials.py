"""Encrypted credentials."""

import sqlalchemy as sa
from alembic import op

from imagefactory.store.schema import IDENTIFIER, Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "credentials",
        sa.Column("ref", IDENTIFIER, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created", Moment, nullable=False),
    )
