"""What receivers report."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Make the tables of observations."""
    op.create_table(
        "obs_intakes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.BigInteger, nullable=False),
        sa.Column("items", sa.Integer, nullable=False),
        sa.Column("new", sa.Integer, nullable=False),
        sa.Column("duplicates", sa.Integer, nullable=False),
    )
    op.create_table(
        "obs_problems",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("intake", sa.Integer, nullable=False),
        sa.Column("domain", sa.String(253), nullable=False),
        sa.Column("reporter", sa.String(253), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("detail", sa.String, nullable=False),
    )
    op.create_index("obs_problems_by_domain", "obs_problems", ["domain", "day"])
    op.create_table(
        "obs_items",
        sa.Column("digest", sa.LargeBinary(16), primary_key=True),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "obs_reports",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("twin", sa.LargeBinary(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("domain", sa.String(253), nullable=False),
        sa.Column("policy_domain", sa.String(253), nullable=False),
        sa.Column("reporter", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("report_id", sa.String(255), nullable=False),
        sa.Column("begin", sa.BigInteger, nullable=False),
        sa.Column("end", sa.BigInteger, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("trust", sa.String(16), nullable=False),
        sa.Column("intake", sa.Integer, nullable=False),
        sa.Column("copies", sa.Integer, nullable=False),
        sa.Column("records", sa.Integer, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("unread", sa.Integer, nullable=False),
        sa.Column("folded", sa.Integer, nullable=False),
        sa.Column("data", sa.String, nullable=False),
    )
    op.create_index("ix_obs_reports_twin", "obs_reports", ["twin"])
    op.create_index("obs_reports_by_domain", "obs_reports", ["domain", "kind", "day"])
    op.create_table(
        "obs_labels",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("text", sa.String(600), nullable=False, unique=True),
    )
    op.create_table(
        "obs_facets",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("header_from", sa.Integer, nullable=False),
        sa.Column("envelope_from", sa.Integer, nullable=False),
        sa.Column("dkim1", sa.Integer, nullable=False),
        sa.Column("dkim2", sa.Integer, nullable=False),
        sa.Column("dkim3", sa.Integer, nullable=False),
        sa.Column("spf", sa.Integer, nullable=False),
        sa.Column("aligned_dkim", sa.Integer, nullable=False),
        sa.Column("aligned_spf", sa.Integer, nullable=False),
        sa.Column("disposition", sa.Integer, nullable=False),
        sa.Column("reason", sa.Integer, nullable=False),
    )
    op.create_table(
        "obs_rows",
        sa.Column("report", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ip", sa.LargeBinary(16), nullable=False),
        sa.Column("facet", sa.Integer, nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "obs_weeks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("domain", sa.String(253), nullable=False),
        sa.Column("week", sa.Integer, nullable=False),
        sa.Column("reporter", sa.String(253), nullable=False),
        sa.Column("trust", sa.String(16), nullable=False),
        sa.UniqueConstraint("domain", "week", "reporter", "trust", name="one_week"),
    )
    op.create_table(
        "obs_sums",
        sa.Column("week", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ip", sa.LargeBinary(16), primary_key=True),
        sa.Column("facet", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "obs_marks",
        sa.Column("mailbox", sa.String(600), primary_key=True),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("uid", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "obs_owed",
        sa.Column("mailbox", sa.String(600), primary_key=True),
        sa.Column("uid", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("uidvalidity", sa.BigInteger, nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
    )
