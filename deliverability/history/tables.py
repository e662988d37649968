"""The tables of the history.

runs        one row a run; `finished` stays empty until it is complete.
snapshots   one row an audited subject of a run; what it found lies in blobs, its manifest (see pieces) too.
blobs       compressed pieces by the SHA-256 of their text, shared by all runs that found the same.
states      what is known of each finding over all runs.
dkim_keys   when each DKIM key was first and last seen.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint

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
    UniqueConstraint("run", "domain", "source", name="one_snapshot_a_run"),
)
Index("snapshots_by_subject", snapshots.c.domain, snapshots.c.source, snapshots.c.id)

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
