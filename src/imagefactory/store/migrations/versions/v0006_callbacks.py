"""What receivers of callbacks have not been told yet."""

import sqlalchemy as sa
from alembic import op

from imagefactory.store.schema import COUNTER, IDENTIFIER, Moment

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "callbacks",
        sa.Column("id", COUNTER, primary_key=True),
        sa.Column("image_id", IDENTIFIER, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created", Moment, nullable=False),
        sa.Column("due", Moment, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("callbacks_by_due", "callbacks", ["due"])
    op.create_index("callbacks_by_image", "callbacks", ["image_id", "place", "id"])
