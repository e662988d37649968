"""The tables of the history.

runs        one row a run; `finished` stays empty until it is complete.
snapshots   one row an audited subject of a run; what it found lies in blobs, its manifest (see pieces) too.
blobs       compressed pieces by the SHA-256 of their text, shared by all runs that found the same.
states      what is known of each finding over all runs.
dkim_keys   when each DKIM key was first and last seen.
hash_keys   on a server, the key of digests, in one row; see history.key.
seeds       where test mails landed: a row a test and mailbox; `delay_s` in seconds, `auth`, `signs`, `rules` as JSON.

Derived from the snapshots, for the views that SQL reads (docs/dashboards.md; the views stand in the first migration).
A span holds in the runs that kept a snapshot of its subject, from the run `since` up to, but not including, the run
`until`, which found something else; `until` is empty while none did. `day` is that of its first run, and stays when
that run is pruned. A week without changes writes none.

verdict_spans  a receiver's verdict on a subject; the number of VerdictKind.
finding_spans  rules that are not met, or could not be checked as a look-up failed.
gate_spans     the answer of the gate; the number of GateKind.
seen_traffic   mail in a domain's name by day, as the newest run counts it.

What receivers report (times are seconds since 1970, days are counted from 1970-01-01, both UTC):

obs_intakes   one row an intake.
obs_problems  what could not be used, as a code with arguments.
obs_items     files and mails that were read, by the digest of their octets; `state`: see ItemState.
obs_reports   reports without their rows. `key`: digest of what names it; `twin`: digest of what it says, too. `folded`:
              0 its rows stand in obs_rows, 1 they went into obs_sums, 2 they were left out, as it overlaps another.
obs_labels    names, words and signatures, each once; 0 stands for the empty text.
obs_facets    what rows have in common, as ids of labels.
obs_rows      the rows of aggregate reports, in their order; only ever appended.
obs_weeks     the weeks (by their Monday) of a domain and reporter whose rows are old,
obs_sums      and the sums of these rows.
obs_days      what became of mail: mails by day, receiver, sending domain (`stream`) and where that is known from,
obs_causes    the same by the meaning of the replies,
obs_campaigns the same by the name that the sender gave the mailing,
obs_events    and the digests of the events in these sums, so that none counts twice.
obs_metrics   numbers that receivers publish about a domain or an address (`subject`).
obs_marks     how far each mailbox was read.
obs_owed      mails that were read and are still to be moved, deleted or read once more.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started", String(32), nullable=False),
    Column("finished", String(32), nullable=False, server_default=""),
    Column("version", String(32), nullable=False),
)

blobs = Table(
    "blobs",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("domain", String(255), nullable=False),
    Column("source", String(1024), nullable=False),
    Column("started", String(32), nullable=False),
    Column("rules_digest", String(64), nullable=False),
    Column("manifest", String, nullable=False),  # its digest
    UniqueConstraint("domain", "source", "run", name="one_snapshot_a_run"),
)
Index("snapshots_by_run", snapshots.c.run)

states = Table(
    "states",
    metadata,
    Column("domain", String(255), primary_key=True),
    Column("source", String(1024), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("outcome", String(32), nullable=False),
    Column("since", String(32), nullable=False),
    Column("checked", String(32), nullable=False),
)

dkim_keys = Table(
    "dkim_keys",
    metadata,
    Column("domain", String(255), primary_key=True),
    Column("selector", String(255), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("first_seen", String(32), nullable=False),
    Column("last_seen", String(32), nullable=False),
)

verdict_spans = Table(
    "verdict_spans",
    metadata,
    Column("domain", String(255), primary_key=True),
    Column("source", String(1024), primary_key=True),
    Column("receiver", String(100), primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer, nullable=True),
    Column("day", Date, nullable=False),
    Column("verdict", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("verdict_spans_by_verdict", verdict_spans.c.verdict)

finding_spans = Table(
    "finding_spans",
    metadata,
    Column("domain", String(255), primary_key=True),
    Column("source", String(1024), primary_key=True),
    Column("rule", String(100), primary_key=True),
    Column("item", String(200), primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer, nullable=True),
    Column("day", Date, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("outcome", String(16), nullable=False),
    sqlite_with_rowid=False,
)

gate_spans = Table(
    "gate_spans",
    metadata,
    Column("domain", String(255), primary_key=True),
    Column("source", String(1024), primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    Column("until", Integer, nullable=True),
    Column("day", Date, nullable=False),
    Column("policy", String(16), nullable=False),
    Column("answer", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

seen_traffic = Table(
    "seen_traffic",
    metadata,
    Column("domain", String(255), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("own", BigInteger, nullable=False),
    Column("passing", BigInteger, nullable=False),
    Column("unclaimed", BigInteger, nullable=False),
    Column("forged", BigInteger, nullable=False),
    Column("forwarded", BigInteger, nullable=False),
    Column("altered", BigInteger, nullable=False),
)
Index("seen_traffic_by_day", seen_traffic.c.day)
Index("seen_traffic_by_run", seen_traffic.c.run)

obs_intakes = Table(
    "obs_intakes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("started", BigInteger, nullable=False),
    Column("finished", BigInteger, nullable=False),
    Column("items", Integer, nullable=False),
    Column("new", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
)

obs_problems = Table(
    "obs_problems",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("intake", Integer, nullable=False),
    Column("domain", String(253), nullable=False),
    Column("reporter", String(253), nullable=False),
    Column("day", Integer, nullable=False),
    Column("name", String(200), nullable=False),
    Column("detail", String, nullable=False),
)
Index("obs_problems_by_domain", obs_problems.c.domain, obs_problems.c.day)

obs_items = Table(
    "obs_items",
    metadata,
    Column("digest", LargeBinary(16), primary_key=True),
    Column("day", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    sqlite_with_rowid=False,
)

obs_reports = Table(
    "obs_reports",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary(16), nullable=False, unique=True),
    Column("twin", LargeBinary(16), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("domain", String(253), nullable=False),
    Column("policy_domain", String(253), nullable=False),
    Column("reporter", String(253), nullable=False),
    Column("name", String(253), nullable=False),
    Column("report_id", String(255), nullable=False),
    Column("begin", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("day", Integer, nullable=False),
    Column("trust", String(16), nullable=False),
    Column("intake", Integer, nullable=False),
    Column("copies", Integer, nullable=False),
    Column("records", Integer, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("unread", Integer, nullable=False),
    Column("folded", Integer, nullable=False),
    Column("data", String, nullable=False),
)
Index("obs_reports_by_domain", obs_reports.c.domain, obs_reports.c.kind, obs_reports.c.day)

obs_labels = Table(
    "obs_labels",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("text", String(600), nullable=False, unique=True),
)

obs_facets = Table(
    "obs_facets",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary(16), nullable=False, unique=True),
    Column("header_from", Integer, nullable=False),
    Column("envelope_from", Integer, nullable=False),
    Column("dkim1", Integer, nullable=False),
    Column("dkim2", Integer, nullable=False),
    Column("dkim3", Integer, nullable=False),
    Column("spf", Integer, nullable=False),
    Column("aligned_dkim", Integer, nullable=False),
    Column("aligned_spf", Integer, nullable=False),
    Column("disposition", Integer, nullable=False),
    Column("reason", Integer, nullable=False),
)

obs_rows = Table(
    "obs_rows",
    metadata,
    Column("report", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("ip", LargeBinary(16), nullable=False),
    Column("facet", Integer, nullable=False),
    Column("messages", Integer, nullable=False),
    sqlite_with_rowid=False,
)

obs_weeks = Table(
    "obs_weeks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("domain", String(253), nullable=False),
    Column("week", Integer, nullable=False),
    Column("reporter", String(253), nullable=False),
    Column("trust", String(16), nullable=False),
    UniqueConstraint("domain", "week", "reporter", "trust", name="one_week"),
)

obs_sums = Table(
    "obs_sums",
    metadata,
    Column("week", Integer, primary_key=True, autoincrement=False),
    Column("ip", LargeBinary(16), primary_key=True),
    Column("facet", Integer, primary_key=True, autoincrement=False),
    Column("messages", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

obs_marks = Table(
    "obs_marks",
    metadata,
    Column("mailbox", String(600), primary_key=True),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
)

obs_owed = Table(
    "obs_owed",
    metadata,
    Column("mailbox", String(600), primary_key=True),
    Column("uid", BigInteger, primary_key=True, autoincrement=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("what", String(16), nullable=False),
    Column("day", Integer, nullable=False),
)

obs_events = Table(
    "obs_events",
    metadata,
    Column("digest", LargeBinary(16), primary_key=True),
    Column("day", Integer, nullable=False),
    sqlite_with_rowid=False,
)

obs_days = Table(
    "obs_days",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("receiver", String(60), primary_key=True),
    Column("stream", String(253), primary_key=True),
    Column("origin", String(16), primary_key=True),
    Column("delivered", BigInteger, nullable=False),
    Column("deferred", BigInteger, nullable=False),
    Column("hard", BigInteger, nullable=False),
    Column("soft", BigInteger, nullable=False),
    Column("policy", BigInteger, nullable=False),
    Column("complaints", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

obs_causes = Table(
    "obs_causes",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("receiver", String(60), primary_key=True),
    Column("stream", String(253), primary_key=True),
    Column("origin", String(16), primary_key=True),
    Column("meaning", String(100), primary_key=True),
    Column("result", String(16), primary_key=True),
    Column("messages", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

obs_campaigns = Table(
    "obs_campaigns",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("stream", String(253), primary_key=True),
    Column("origin", String(16), primary_key=True),
    Column("campaign", String(60), primary_key=True),
    Column("delivered", BigInteger, nullable=False),
    Column("deferred", BigInteger, nullable=False),
    Column("hard", BigInteger, nullable=False),
    Column("soft", BigInteger, nullable=False),
    Column("policy", BigInteger, nullable=False),
    Column("complaints", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

obs_metrics = Table(
    "obs_metrics",
    metadata,
    Column("domain", String(253), primary_key=True),
    Column("subject", String(253), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("origin", String(16), primary_key=True),
    Column("metric", String(100), primary_key=True),
    Column("value_low", Float, nullable=False),
    Column("value_high", Float, nullable=False),
    sqlite_with_rowid=False,
)

hash_keys = Table(
    "hash_keys",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("key", LargeBinary, nullable=False),
)

seeds = Table(
    "seeds",
    metadata,
    Column("test", String(300), primary_key=True),
    Column("mailbox", String, primary_key=True),
    Column("receiver", String(60), nullable=False),
    Column("domain", String(253), nullable=False),
    Column("sent", String(32), nullable=False),
    Column("found", String(32), nullable=False),
    Column("folder", String(16), nullable=False),
    Column("tab", String(16), nullable=False),
    Column("delay_s", Integer, nullable=True),
    Column("auth", String, nullable=False),
    Column("signs", String, nullable=False),
    Column("verdict_before", String(16), nullable=False),
    Column("rules", String, nullable=False),
)
