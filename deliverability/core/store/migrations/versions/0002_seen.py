"""Tables and views that are made to be read by SQL; see docs/dashboards.md."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

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
    """Make them; `deliv history` fills them from runs of before."""
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
    op.create_index("seen_findings_by_day", "seen_findings", ["day", "severity", "outcome"])
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
