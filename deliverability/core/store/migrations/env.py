"""Run by Alembic: brings the tables of the given connection up to date."""

from __future__ import annotations

from alembic import context

from deliverability.core.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="deliv_schema",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
