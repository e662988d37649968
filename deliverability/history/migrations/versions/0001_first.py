"""The first form of the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("started", sa.String(32), nullable=False),
        sa.Column("finished", sa.String(32), nullable=False, server_default=""),
        sa.Column("version", sa.String(32), nullable=False),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("source", sa.String(1024), nullable=False),
        sa.Column("started", sa.String(32), nullable=False),
        sa.Column("rules_digest", sa.String(64), nullable=False),
        sa.Column("manifest", sa.String, nullable=False),
        sa.UniqueConstraint("run", "domain", "source", name="one_snapshot_a_run"),
    )
    op.create_index("snapshots_by_subject", "snapshots", ["domain", "source", "id"])
    op.create_table(
        "states",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("source", sa.String(1024), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
        sa.Column("checked", sa.String(32), nullable=False),
    )
    op.create_table(
        "dkim_keys",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("selector", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("first_seen", sa.String(32), nullable=False),
        sa.Column("last_seen", sa.String(32), nullable=False),
    )
