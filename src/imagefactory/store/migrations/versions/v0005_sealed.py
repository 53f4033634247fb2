"""What may hold a password lies encrypted in an image's row: template, parameters and provider."""

import json

import sqlalchemy as sa
from alembic import op

from imagefactory.store.schema import SEAL
from imagefactory.store.sealing import Seal

revision = "0005"
down_revision = "0004"

_COLUMNS = ("template", "parameters", "provider")


def upgrade() -> None:
    op.add_column("images", sa.Column("sealed", sa.LargeBinary))
    connection = op.get_bind()
    seal: Seal = connection.get_execution_options()[SEAL]
    images = sa.table(
        "images",
        sa.column("id", sa.Text),
        sa.column("sealed", sa.LargeBinary),
        sa.column("template", sa.Text),
        sa.column("parameters", sa.JSON),
        sa.column("provider", sa.Text),
    )
    for row in connection.execute(sa.select(images)).mappings().all():
        content = json.dumps({name: row[name] for name in _COLUMNS})
        sealed = seal.close_up(content, of=row["id"])
        connection.execute(sa.update(images).where(images.c.id == row["id"]).values(sealed=sealed))
    for name in _COLUMNS:
        op.drop_column("images", name)
