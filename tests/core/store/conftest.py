"""A history in SQLite, and the same in PostgreSQL: what is kept must not depend on which it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deliverability.core.store.store import History


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    if request.param == "sqlite":
        opened = History.open(f"sqlite:///{tmp_path / 'h.db'}")
    else:
        opened = History.open(request.getfixturevalue("database"))
    yield opened
    opened.close()
