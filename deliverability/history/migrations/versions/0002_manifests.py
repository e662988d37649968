"""Manifests become blobs like all else: a week in which nothing changed shares that of the week before."""

from __future__ import annotations

import hashlib
import zlib

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

_AT_ONCE = 500


def upgrade() -> None:
    """Put the digest of each manifest in its place, and the manifest among the blobs."""
    connection = op.get_bind()
    snapshots = sa.table("snapshots", sa.column("id", sa.Integer), sa.column("manifest", sa.String))
    blobs = sa.table("blobs", sa.column("digest", sa.String), sa.column("data", sa.LargeBinary))
    last = -1
    while rows := connection.execute(
        sa.select(snapshots).where(snapshots.c.id > last).order_by(snapshots.c.id).limit(_AT_ONCE)
    ).all():
        last = rows[-1].id
        texts = {hashlib.sha256(row.manifest.encode()).hexdigest(): row.manifest for row in rows}
        known = {row.digest for row in connection.execute(sa.select(blobs.c.digest).where(blobs.c.digest.in_(texts)))}
        fresh = [
            {"digest": digest, "data": zlib.compress(text.encode(), 6)}
            for digest, text in texts.items()
            if digest not in known
        ]
        if fresh:
            connection.execute(sa.insert(blobs), fresh)
        connection.execute(
            sa.update(snapshots).where(snapshots.c.id == sa.bindparam("of")).values(manifest=sa.bindparam("digest")),
            [{"of": row.id, "digest": hashlib.sha256(row.manifest.encode()).hexdigest()} for row in rows],
        )
