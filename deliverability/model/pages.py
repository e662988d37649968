"""Names of the pages in a folder of reports: one for each subject and language, beside a start page."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

from deliverability.model.placeholders import LANGUAGES

START = "index"
_UNSAFE = re.compile(r"[^a-z0-9.-]+")
_LONG = 150


class PageStems:
    """File names without ending, each given once: the domain, with a number where it has several messages."""

    def __init__(self) -> None:
        self._given = Counter((START,))

    def of(self, domain: str) -> str:
        """The name for the next subject."""
        plain = _UNSAFE.sub("-", domain).strip("-.") or "domain"
        if len(plain) > _LONG:  # a file name holds 255 octets, a domain nearly as many, and endings come on top
            plain = f"{plain[:_LONG]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"
        self._given[plain] += 1
        return plain if self._given[plain] == 1 else f"{plain}-{self._given[plain]}"


def page_name(stem: str, lang: str) -> str:
    """``index.html`` in English, ``index.ja.html`` in Japanese."""
    return f"{stem}.html" if lang == LANGUAGES[0] else f"{stem}.{lang}.html"
