"""Texts with placeholders: the languages they come in, the names between braces, and how they are filled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

LANGUAGES = ("en", "ja")

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][\w.\-\[\]]*)\}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with ``{name}`` replaced; doubled braces become single ones. KeyError for a name without a value."""

    def replace(match: re.Match[str]) -> str:
        return values[match[1]] if match[1] else match[0][0]

    return _PLACEHOLDER.sub(replace, text)


@lru_cache(maxsize=8192)
def placeholders(text: str) -> frozenset[str]:
    """The names between single braces in `text`."""
    return frozenset(match[1] for match in _PLACEHOLDER.finditer(text) if match[1])
