"""How wide the terminal is."""

from __future__ import annotations

import os
import sys


def columns() -> int:
    """As `shutil.get_terminal_size` has it, whose module loads four compressors; 80 where it cannot be told."""
    setting = os.environ.get("COLUMNS", "")
    if setting.isdecimal() and int(setting):
        return int(setting)
    if sys.__stdout__ is None:
        return 80
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
