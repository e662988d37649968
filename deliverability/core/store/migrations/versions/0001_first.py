"""The tables of version 1.0."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

# Views that are made to be read by SQL; see docs/dashboards.md.
_TRAFFIC = """
CREATE VIEW deliv_traffic_daily AS
SELECT day, domain, own, passing, own - passing AS failing, unclaimed, forged, forwarded, altered
FROM seen_traffic
"""
_REPORTERS = """
CREATE VIEW deliv_reporters AS
SELECT domain, reporter, trust, {first} AS first_day, {last} AS last_day,
  COUNT(DISTINCT day) AS days, COUNT(DISTINCT twin) AS reports
FROM obs_reports WHERE kind = 'aggregate'
GROUP BY domain, reporter, trust
"""
_GATE = """
CREATE VIEW deliv_gate AS
SELECT run, day, domain, policy, MIN(answer) AS answer
FROM seen_gates
GROUP BY run, day, domain, policy
"""
_DATE = {"sqlite": "date({} * 86400, 'unixepoch')", "postgresql": "DATE '1970-01-01' + {}"}


def upgrade() -> None:
    """Make the tables."""
    _runs()
    _observations()
    _deliveries()
    _key()
    _seeds()
    _seen()


def _runs() -> None:
    """Runs and what they found of each subject."""
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


def _observations() -> None:
    """What receivers report."""
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


def _deliveries() -> None:
    """What became of mail, and the numbers that receivers publish."""
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
        "obs_campaigns",
        sa.Column("domain", sa.String(253), primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.String(253), primary_key=True),
        sa.Column("origin", sa.String(16), primary_key=True),
        sa.Column("campaign", sa.String(60), primary_key=True),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("deferred", sa.BigInteger, nullable=False),
        sa.Column("hard", sa.BigInteger, nullable=False),
        sa.Column("soft", sa.BigInteger, nullable=False),
        sa.Column("policy", sa.BigInteger, nullable=False),
        sa.Column("complaints", sa.BigInteger, nullable=False),
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


def _key() -> None:
    """A key for the digests of a history on a server; that of one in a file lies beside it."""
    op.create_table(
        "hash_keys",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )


def _seeds() -> None:
    """Where test mails landed."""
    op.create_table(
        "seeds",
        sa.Column("test", sa.String(300), primary_key=True),
        sa.Column("mailbox", sa.String, primary_key=True),
        sa.Column("receiver", sa.String(60), nullable=False),
        sa.Column("domain", sa.String(253), nullable=False),
        sa.Column("sent", sa.String(32), nullable=False),
        sa.Column("found", sa.String(32), nullable=False),
        sa.Column("folder", sa.String(16), nullable=False),
        sa.Column("tab", sa.String(16), nullable=False),
        sa.Column("delay_s", sa.Integer, nullable=True),
        sa.Column("auth", sa.String, nullable=False),
        sa.Column("signs", sa.String, nullable=False),
        sa.Column("verdict_before", sa.String(16), nullable=False),
        sa.Column("rules", sa.String, nullable=False),
    )


def _seen() -> None:
    """Tables and views that are made to be read by SQL; see docs/dashboards.md."""
    op.create_table(
        "seen_verdicts",
        *_subject(),
        sa.Column("receiver", sa.String(100), primary_key=True),
        sa.Column("verdict", sa.SmallInteger, nullable=False),
    )
    op.create_index("seen_verdicts_by_day", "seen_verdicts", ["day", "verdict"])
    op.create_index("seen_verdicts_by_domain", "seen_verdicts", ["domain", "day"])
    op.create_table(
        "seen_findings",
        *_subject(),
        sa.Column("rule", sa.String(100), primary_key=True),
        sa.Column("item", sa.String(200), primary_key=True),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
    )
    op.create_index("seen_findings_by_domain", "seen_findings", ["domain", "day"])
    op.create_table(
        "seen_gates",
        *_subject(),
        sa.Column("policy", sa.String(16), nullable=False),
        sa.Column("answer", sa.SmallInteger, nullable=False),
    )
    op.create_index("seen_gates_by_domain", "seen_gates", ["domain", "day"])
    op.create_table(
        "seen_traffic",
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("run", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("own", "passing", "unclaimed")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("forged", "forwarded", "altered")),
    )
    op.create_index("seen_traffic_by_day", "seen_traffic", ["day"])
    op.create_index("seen_traffic_by_run", "seen_traffic", ["run"])
    as_date = _DATE[op.get_bind().dialect.name]
    op.execute(_TRAFFIC)
    op.execute(_REPORTERS.format(first=as_date.format("MIN(day)"), last=as_date.format("MAX(day)")))
    op.execute(_GATE)


def _subject() -> tuple[sa.Column[object], ...]:
    """A subject of a run, and the day of the run (UTC)."""
    return (
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("domain", sa.String(255), primary_key=True),
        sa.Column("source", sa.String(1024), primary_key=True),
    )
