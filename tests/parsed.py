"""The modules of the package, each parsed once for all guards of a process."""

from __future__ import annotations

import ast
import gc
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import deliverability

PACKAGE = Path(deliverability.__file__).parent


@cache
def sources() -> Mapping[Path, str]:
    """File -> its text, in the order of their names."""
    return {path: path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def trees() -> Mapping[Path, ast.Module]:
    """File -> its tree; a million and a half nodes, which are no garbage and not looked through for any."""
    gc.disable()
    try:
        return {path: ast.parse(text) for path, text in sources().items()}
    finally:
        gc.freeze()
        gc.enable()
