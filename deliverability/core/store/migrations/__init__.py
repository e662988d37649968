"""The steps from one form of the tables to the next, and Alembic, which takes them."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def is_newer(connection: Connection, version_table: str) -> bool:
    """Whether a newer version of this program made the tables."""
    context = MigrationContext.configure(connection, opts={"version_table": version_table})
    known = {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}
    return not known.issuperset(context.get_current_heads())


def migrate(connection: Connection) -> None:
    """Bring the tables up to date, in the transaction of the connection."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
