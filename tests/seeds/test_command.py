"""`deliv seeds` on the command line: what it prints, and what it says to those who made a slip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from deliverability.cli import deliv
from deliverability.core.model.report import VerdictKind
from deliverability.core.store.store import History
from deliverability.seeds.kept import SeedHistory
from deliverability.seeds.values import Folder, Placed
from tests.console.test_settings_files import write  # noqa: F401
