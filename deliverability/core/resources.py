"""Locate the data folders `rules`, `reports` and `docs`: wheel, editable install or checkout."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of this program's modules; `data` and `demo` in it are read as files."""


def locate(name: str) -> Path:
    """The folder `name`: rules, reports or docs. Raises FileNotFoundError where the installation is incomplete."""
    inside = PACKAGE / name
    if inside.is_dir():
        return inside
    checkout = PACKAGE.parent
    beside = checkout / name
    if (checkout / "pyproject.toml").is_file() and beside.is_dir():
        return beside
    raise FileNotFoundError(f"the installation lacks its {name} folder; install deliv again")


def default_history() -> Path:
    """The history where none is named, whether it is there or not."""
    return state_folder() / "history.db"


def state_folder() -> Path:
    """Where a user's own data of this program are (XDG Base Directory Specification), whether it is there or not."""
    state = os.environ.get("XDG_STATE_HOME")
    folder = Path(state) if state and Path(state).is_absolute() else Path.home() / ".local" / "state"
    return folder / "deliv"
