"""What became of mail, and the numbers that receivers publish."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Make the tables of deliveries."""
    op.create_table(
        "obs_events",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("day", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "obs_days",
        sa.Column("domain", sa.String(253), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("receiver", sa.String(60), primary_key=True),
        sa.Column("stream", sa.String(253), primary_key=True),
        sa.Column("origin", sa.String(16), primary_key=True),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("deferred", sa.BigInteger, nullable=False),
        sa.Column("hard", sa.BigInteger, nullable=False),
        sa.Column("soft", sa.BigInteger, nullable=False),
        sa.Column("policy", sa.BigInteger, nullable=False),
        sa.Column("complaints", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "obs_causes",
        sa.Column("domain", sa.String(253), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("receiver", sa.String(60), primary_key=True),
        sa.Column("stream", sa.String(253), primary_key=True),
        sa.Column("origin", sa.String(16), primary_key=True),
        sa.Column("meaning", sa.String(100), primary_key=True),
        sa.Column("result", sa.String(16), primary_key=True),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "obs_metrics",
        sa.Column("domain", sa.String(253), primary_key=True),
        sa.Column("subject", sa.String(253), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("origin", sa.String(16), primary_key=True),
        sa.Column("metric", sa.String(100), primary_key=True),
        sa.Column("value_low", sa.Float, nullable=False),
        sa.Column("value_high", sa.Float, nullable=False),
        sqlite_with_rowid=False,
    )
