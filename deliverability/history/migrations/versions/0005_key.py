"""A key for the digests of a history on a server; that of one in a file lies beside it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Make the table of the key. Digests without one are read as digests with it (see history.texts)."""
    op.create_table(
        "hash_keys",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
