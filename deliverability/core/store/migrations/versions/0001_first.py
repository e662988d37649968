"""The tables of version 1.0, and the views that are made to be read by SQL; see docs/dashboards.md.

Until 1.0 is released, this makes what `tables` names, and there is nothing to keep in step. Release 1.0 freezes it: the
tables are then written out here (Alembic generates that), as every later step begins from them.
"""

from __future__ import annotations

from alembic import op

from deliverability.core.store.tables import metadata

revision = "0001"
down_revision: str | None = None

_RUNS = """
CREATE VIEW deliv_runs AS
SELECT id AS run, {day} AS day, started, finished, version
FROM runs WHERE finished <> ''
"""
_AUDITS = """
CREATE VIEW deliv_audits AS
SELECT snapshots.run, {day} AS day, snapshots.domain, snapshots.source
FROM snapshots JOIN runs ON runs.id = snapshots.run
"""
# What held in each run that audited the subject; in no other run is anything known of it.
_SPANS = """
CREATE VIEW {view} AS
SELECT audit.run, audit.day, audit.domain, audit.source, {columns}, span.day AS since
FROM deliv_audits AS audit
JOIN {table} AS span ON span.domain = audit.domain AND span.source = audit.source
  AND span.since <= audit.run AND (span.until IS NULL OR span.until > audit.run)
"""
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
_NUMBERED = {"sqlite": "date({} * 86400, 'unixepoch')", "postgresql": "DATE '1970-01-01' + {}"}
_STARTED = {"sqlite": "substr(runs.started, 1, 10)", "postgresql": "CAST(substr(runs.started, 1, 10) AS date)"}


def upgrade() -> None:
    """Make the tables and the views."""
    metadata.create_all(op.get_bind())
    dialect = op.get_bind().dialect.name
    numbered, day = _NUMBERED[dialect], _STARTED[dialect]
    op.execute(_RUNS.format(day=day))
    op.execute(_AUDITS.format(day=day))
    for view, table, columns in (
        ("seen_verdicts", "verdict_spans", "receiver, verdict"),
        ("seen_findings", "finding_spans", "rule, item, severity, outcome"),
        ("seen_gates", "gate_spans", "policy, answer"),
    ):
        op.execute(_SPANS.format(view=view, table=table, columns=columns))
    op.execute(_TRAFFIC)
    op.execute(_REPORTERS.format(first=numbered.format("MIN(day)"), last=numbered.format("MAX(day)")))
    op.execute(_GATE)
